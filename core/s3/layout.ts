/**
 * Names of the S3 server's own directories in a bucket; in a separate file, so that a provider need not load the
 * server.
 *
 * @module
 */

/** The directory of a bucket that only the server writes. */
export const STORE = ".forkstack-s3";
/** The directory in `STORE` with the objects; a fork links these. */
export const OBJECTS = "objects";
