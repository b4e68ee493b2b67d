/**
 * Our own S3 server on a free port, over a directory of its own: the server under test, and what emulators of vendors
 * that speak S3 are built on.
 */
import { join } from "node:path";
import { readdirSync } from "node:fs";
import { listen } from "../../core/s3/listen.ts";
import { type AccessGrant, type S3Handler, s3Handler, type S3Options } from "../../core/s3/server.ts";
import { temporaryDirectory } from "../helpers.ts";
import type { S3Server } from "./s3rver.ts";
import { unconnected } from "./serve.ts";

/** What may be set. */
export interface Given extends Partial<Omit<S3Options, "directoryOf" | "root">> {
  /** Made at the start. */
  readonly buckets?: readonly string[];
  /** Stands before the server, e.g. to count requests, to lose replies, or to add what a vendor has of its own. */
  readonly wrap?: (handler: S3Handler) => S3Handler;
  /** How it listens. */
  readonly listen?: typeof listen;
  /** @default {"test-key"} */
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  /** Further keys. */
  readonly others?: (accessKeyId: string) => AccessGrant | undefined;
  /** Where buckets are; by default a directory that goes away with the server. */
  readonly directory?: string;
}

/** A running server, with the directory in which each bucket is one. */
export interface S3Local extends S3Server {
  readonly directory: string;
  /** Answers without a connection, in this process. */
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
