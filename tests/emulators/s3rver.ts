/**
 * `npm:s3rver`, an S3 server that nobody here wrote, on a free port: what our checks say of S3 is held against it too.
 *
 * - https://github.com/jamhall/s3rver: its one key is `S3RVER`/`S3RVER`; it knows no trailing checksums and no tags of
 *   buckets, and answers what it does not know with `NotImplemented` or not at all.
 */
import crypto from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { temporaryDirectory } from "../helpers.ts";

/** A running S3 server, as an SDK client is told of it. */
export interface S3Server extends AsyncDisposable {
  /** E.g. `"http://127.0.0.1:40123"`; buckets are the first segment of the path. */
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** It hides what is in its continuation tokens by DES, which neither Deno nor OpenSSL 3 has: any other will do. */
const { createCipheriv, createDecipheriv } = crypto;
const twice = (bytes: Uint8Array) => new Uint8Array([...bytes, ...bytes]);
Object.assign(crypto, {
  createCipheriv: (name: string, key: Uint8Array, iv: Uint8Array) =>
    name === "des" ? createCipheriv("aes-128-cbc", twice(key), twice(iv)) : createCipheriv(name, key, iv),
  createDecipheriv: (name: string, key: Uint8Array, iv: Uint8Array) =>
    name === "des" ? createDecipheriv("aes-128-cbc", twice(key), twice(iv)) : createDecipheriv(name, key, iv),
});

/**
 * Starts s3rver on `127.0.0.1`, with these buckets; `await using` ends it and removes what it held. Two things that
 * it does only if it is to be `asItIs` would fail a test now and then: it closes a kept connection after five seconds,
 * maybe as a client uses it again; and it answers an upload before it has written all of it, and
 * writes two of one key into each other.
 */
export async function startS3rver(
  buckets: readonly string[] = [],
  { asItIs = false }: { readonly asItIs?: boolean } = {},
): Promise<S3Server> {
  const { default: S3rver } = await import("npm:s3rver@3.7.1");
  const directory = temporaryDirectory("forkstack-s3rver-");
  const server = new S3rver({
    address: "127.0.0.1",
    port: 0,
    silent: true,
    directory: directory.path,
    configureBuckets: buckets.map((name) => ({ name, configs: [] })),
  });
  const { port } = await server.run() as AddressInfo;
  if (!asItIs) {
    server.httpServer.prependListener("request", (_request: unknown, response: ServerResponse) => {
      response.setHeader("connection", "close");
    });
    finishUploads(server.store);
  }
  return {
    endpoint: `http://127.0.0.1:${port}`,
    region: "us-east-1",
    credentials: { accessKeyId: "S3RVER", secretAccessKey: "S3RVER" },
    async [Symbol.asyncDispose]() {
      const closed = server.close();
      server.httpServer.closeAllConnections(); // else it may wait for one that the client keeps open: three minutes
      await closed;
      directory[Symbol.dispose]();
    },
  };
}

interface Upload {
  readonly bucket: string;
  readonly key: string;
}

/** Answers an upload once it is on the disk, and one after the other those of one key. */
// deno-lint-ignore no-explicit-any -- it has no types
function finishUploads(store: any): void {
  const putObject = store.putObject.bind(store);
  const last = new Map<string, Promise<unknown>>();
  store.putObject = (upload: Upload) => {
    const path = store.getResourcePath(upload.bucket, upload.key, "object");
    const isWritten = (md5: string) =>
      existsSync(path) && crypto.createHash("md5").update(readFileSync(path)).digest("hex") === md5;
    const put = (last.get(path) ?? Promise.resolve()).catch(() => {}).then(async () => {
      const done = await putObject(upload);
      for (let tries = 0; !isWritten(done.md5) && tries < 1_000; tries++) await sleep(1); // or it is deleted by now
      return done;
    });
    last.set(path, put);
    return put;
  };
}
