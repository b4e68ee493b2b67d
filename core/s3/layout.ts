/**
 * Where in a bucket's directory the S3 server keeps what is its own; apart, so that a provider need not load the server.
 *
 * @module
 */

/** The directory of a bucket in which the server, and nobody else, writes. */
export const STORE = ".forkstack-s3";
/** Where in it the objects are: what a fork links. */
export const OBJECTS = "objects";
