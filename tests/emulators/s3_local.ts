/**
 * Our own S3 server on a free port, over its own directory: the server under test, and the base of emulators for
 * vendors with an S3 API.
 */
import { join } from "node:path";
import { readdirSync } from "node:fs";
import { listen } from "../../core/s3/listen.ts";
import { type AccessGrant, type S3Handler, s3Handler, type S3Options } from "../../core/s3/server.ts";
import { temporaryDirectory } from "../helpers.ts";
import type { S3Server } from "./s3rver.ts";
import { unconnected } from "./serve.ts";

/** Options of the server. */
export interface Given extends Partial<Omit<S3Options, "directoryOf" | "root">> {
  /** Buckets that are created at the start. */
  readonly buckets?: readonly string[];
  /** A handler before the server, e.g. to count requests, to lose replies, or to add a vendor's own behaviour. */
  readonly wrap?: (handler: S3Handler) => S3Handler;
  /** Timeouts of the port. */
  readonly listen?: typeof listen;
  /** The access key. @default {"test-key"} */
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  /** Further access keys. */
  readonly others?: (accessKeyId: string) => AccessGrant | undefined;
  /** Directory of the buckets; by default one that is removed with the server. */
  readonly directory?: string;
}

/** A running server, with the directory of its buckets. */
export interface S3Local extends S3Server {
  readonly directory: string;
  /** Answers a request without a connection, in this process. */
  answer(request: Request): Promise<Response>;
}

/** Starts a server on `127.0.0.1`, whose one key may do everything, buckets included. */
export async function serveS3(given: Given = {}): Promise<S3Local> {
  const own = given.directory === undefined ? temporaryDirectory("forkstack-s3-") : undefined;
  const directory = given.directory ?? own!.path;
  const { accessKeyId = "test-key", secretAccessKey = "test-secret", region = "us-east-1" } = given;
  const directoryOf = (bucket: string) => join(directory, bucket);
  for (const name of given.buckets ?? []) Deno.mkdirSync(directoryOf(name), { recursive: true });
  const everything = { secretAccessKey, opens: isOneName, buckets: () => readdirSync(directory), mayMakeBuckets: true };
  const failures: unknown[] = [];
  const handler = s3Handler({
    region,
    account: given.account ?? ((id) => id === accessKeyId ? everything : given.others?.(id)),
    directoryOf,
    root: directory,
    ...(given.origins && { origins: given.origins }),
    onError: given.onError ?? ((error) => failures.push(error)),
    ...(given.now && { now: given.now }),
  });
  const outer = given.wrap?.(handler) ?? handler;
  const server = await (given.listen ?? listen)(outer, 0);
  return {
    answer: (request) =>
      unconnected(request, (received) => outer(received, request.url.slice(new URL(request.url).origin.length))),
    endpoint: `http://127.0.0.1:${server.port}`,
    region,
    credentials: { accessKeyId, secretAccessKey },
    directory,
    async [Symbol.asyncDispose]() {
      await server.stop();
      own?.[Symbol.dispose]();
      if (failures.length > 0) throw new AggregateError(failures, "the server failed by itself");
    },
  };
}

function isOneName(bucket: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(bucket);
}
