/** Stores that speak S3 as the conformance suite and the special tests want them: full, and looked at from behind. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import * as s3 from "npm:@aws-sdk/client-s3@3.1162.0";
import * as v from "npm:valibot@1.5.0";
import { formatMarker, parseMarker } from "../../core/marker.ts";
import { httpClient } from "../../core/http/client.ts";
import { type Context, type Fork, type Marker, type Provider, Secret, type Target } from "../../core/provider.ts";
import { Bucket } from "../../core/s3/bucket.ts";
import { listPage } from "../../core/s3/list.ts";
import { resourceTitle } from "../../mod.ts";
import type { Emulator, World } from "../conformance.ts";
import { serveAws } from "../emulators/aws_s3.ts";
import type { S3Local } from "../emulators/s3_local.ts";
import type { S3Server } from "../emulators/s3rver.ts";
import { ledgerOf, realContext } from "../helpers.ts";

/** What the parent holds. */
export const OBJECTS: Readonly<Record<string, string>> = {
  "covers/1.jpg": "canary-in-the-parent-0123456789",
  "covers/ü +%.jpg": "of a key that is hard to send",
  "empty": "",
};
export const PARENT = "myapp-bucket-prod";
export const titleOf = (env: string) => resourceTitle("storage", "myapp", env);

/** An application's own client. */
export function clientOf({ endpoint, region, credentials }: S3Server): s3.S3Client {
  return new s3.S3Client({
    endpoint,
    region,
    credentials,
    forcePathStyle: true,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
  });
}

/** Puts objects behind a server's back. */
export async function put(directory: string, bucket: string, objects: Readonly<Record<string, string>>): Promise<void> {
  const root = join(directory, bucket);
  mkdirSync(root, { recursive: true });
  for (const [key, body] of Object.entries(objects)) {
    const etag = createHash("md5").update(body).digest("hex");
    const headers = { "content-type": "text/plain", "x-amz-meta-of": bucket.length > 8 ? "prod" : "near" };
    const tags = key.length % 2 === 0 ? [["colour", "blue & green"]] as const : undefined;
    const bytes = new Blob([body]).stream();
    await new Bucket(bucket, root).put(key, bytes, () => ({
      etag,
      modifiedAt: Date.now() - 5_000, // of this second is an object only if it changes while it is copied
      headers,
      ...(tags && { tags }),
    }));
  }
}

/** All there is to an object of a bucket but when it was written, a line each; our own mark is not told. */
export function contentsOf(directory: string, bucket: string): string[] {
  const at = new Bucket(bucket, join(directory, bucket));
  const { keys } = listPage(at, { prefix: "", delimiter: "", after: "", limit: Infinity });
  return keys.filter((key) => key !== ".forkstack.json").map((key) => {
    using found = at.need(key);
    const { headers, tags } = found.meta;
    const body = found.sizeBytes > 2 ** 20 ? `${found.sizeBytes}` : found.read(0, found.sizeBytes) as Uint8Array;
    const digest = createHash("md5").update(body).digest("hex"); // what is large has a test of its own
    return JSON.stringify([key, found.sizeBytes, digest, headers, tags ?? []]);
  });
}

/** The mark that is an object, of a bucket. */
export function markIn(directory: string, bucket: string): Record<string, string> {
  using found = new Bucket(bucket, join(directory, bucket)).open(".forkstack.json");
  return found === undefined ? {} : JSON.parse(new TextDecoder().decode(found.read(0, found.sizeBytes) as Uint8Array));
}

/** A server with buckets, as a world of the suite. */
export interface Full {
  readonly server: S3Local;
  readonly options: Readonly<Record<string, unknown>>;
  noteOf(bucket: string): Record<string, string>;
  setNote(bucket: string, note: Record<string, string>): Promise<void> | void;
  readonly isOverHttp: boolean;
  readonly more?: Partial<World>;
}

/** Puts the suite's parent and look-alikes there. */
export async function bucketWorld({ server, options, noteOf, setNote, isOverHttp, more = {} }: Full): Promise<World> {
  const { directory } = server;
  await put(directory, PARENT, OBJECTS);
  for (const near of ["alice2", "alice-2"]) await put(directory, titleOf(near), { "a": near });
  const contentOf = (name: string) => {
    const content = contentsOf(directory, name).join("\n");
    return Promise.resolve(createHash("sha256").update(content).digest("hex"));
  };
  return {
    options,
    project: "myapp",
    root: "/nowhere",
    context: {
      files: {} as World["context"]["files"],
      fetch: (request) =>
        isOverHttp || !request.url.startsWith(`${server.endpoint}/`) ? fetch(request) : server.answer(request),
    },
    parent: PARENT,
    absentParent: "myapp-bucket-nobody",
    titleOf,
    async things() {
      const all = readdirSync(directory).map(async (name) => {
        const note = noteOf(name);
        return [`${name} ${note["forkstack-id"] ?? ""}`, JSON.stringify([note, await contentOf(name)])] as const;
      });
      return new Map(await Promise.all(all));
    },
    contentOf,
    change: (name) => put(directory, name, { mine: "mine" }),
    async placeForeign(name, { isEmpty, markOf } = {}) {
      await put(directory, name, isEmpty ? {} : { theirs: "theirs" });
      if (markOf !== undefined) await setNote(name, noteOf(markOf));
    },
    rehand: async (fork, marker) => await setNote(fork.name, { ...noteOf(fork.name), forkstack: noted(marker) }),
    pageSize: 2,
    canaries: () => Object.values(OBJECTS).filter(Boolean),
    close: () => Promise.resolve(server[Symbol.asyncDispose]()),
    ...more,
  };
}

/** An account at Amazon that is full. */
export function awsEmulator(mark: "tags" | "object"): Emulator {
  return {
    worldsAtOnce: 4,
    async open({ credentials, isOverHttp }) {
      const server = await serveAws({
        accessKeyId: credentials.AWS_ACCESS_KEY_ID!,
        secretAccessKey: credentials.AWS_SECRET_ACCESS_KEY!,
        pageSize: 2,
      });
      const { directory } = server;
      return await bucketWorld({
        server,
        isOverHttp,
        options: { endpoint: server.endpoint, mark },
        noteOf: (name) => mark === "tags" ? server.tags.get(name) ?? {} : markIn(directory, name),
        setNote: (name, note) =>
          mark === "tags"
            ? void server.tags.set(name, note)
            : put(directory, name, { ".forkstack.json": JSON.stringify(note) }),
      });
    },
  };
}

/** A marker as the providers write it. */
export function noted(marker: Marker): string {
  return formatMarker(marker).replaceAll("%", "=");
}

/** A provider at a server, for what is special to it. */
// deno-lint-ignore no-explicit-any -- any provider, any options
export function shopOf(provider: Provider<any>, credentials: Readonly<Record<string, string>>, standard: object) {
  const journal = new Map<string, Marker>();
  const ledger = ledgerOf(journal);
  const said: string[] = [];
  const client = httpClient({ tries: 1 });
  const context = (changed: Partial<Context> = {}): Context =>
    realContext({
      fetch: (request) => client(request, { requestIdHeaders: provider.requestIdHeaders }),
      credentials: Object.fromEntries(Object.entries(credentials).map(([name, value]) => [name, new Secret(value)])),
      markerOf: (name, note) => parseMarker(note, name),
      ...ledger,
      progress: (text) => void said.push(text),
      warn: (text) => void said.push(text),
      sleep: () => Promise.resolve(),
      ...changed,
    });
  const scope = (more: object = {}) => ({
    options: v.parse(provider.options as v.GenericSchema, { ...standard, ...more }),
    project: "myapp",
    stack: "myapp",
    resource: "storage",
    root: "/nowhere",
  });
  const target = (env: string, more: Partial<Target<unknown>> = {}, options?: object) => ({
    ...scope(options),
    name: titleOf(env),
    parent: PARENT,
    marker: { stack: "myapp", env, resource: "storage", operation: `make ${env}` },
    begunAt: new Date(Date.now() - 1_000).toISOString(),
    ...more,
  });
  const create = async (at: ReturnType<typeof target>, with_ = context()): Promise<Fork> => {
    journal.set(at.name, at.marker as Marker);
    return await provider.create(with_, at);
  };
  return { journal, ledger, said, context, scope, target, create };
}

/** Random writes to a parent and its forks, as two applications do them: each sees its own, and no other's. */
export async function isolation(
  shop: Pick<ReturnType<typeof shopOf>, "create" | "target">,
  client: s3.S3Client,
  seed = 20_261_121,
): Promise<void> {
  let state = seed;
  const random = (below: number) => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0; // any sequence does, if it is always the same
    return (state >>> 8) % below;
  };
  const { Contents = [] } = await client.send(new s3.ListObjectsV2Command({ Bucket: PARENT }));
  const of = (key: string) => OBJECTS[key] ?? Object.values(OBJECTS)[1]!; // the key may be a plainer one
  const models = new Map([[PARENT, new Map(Contents.map(({ Key = "" }) => [Key, of(Key)]))]]);
  for (const env of ["alice", "bob"]) {
    await shop.create(shop.target(env));
    models.set(titleOf(env), new Map(models.get(PARENT)));
    for (let i = 0; i < 25; i++) {
      const [Bucket, model] = [...models][random(models.size)]!;
      const Key = random(2) === 0 && model.size > 0 ? [...model.keys()][random(model.size)]! : `random/${random(20)}`;
      if (random(3) === 0) {
        await client.send(new s3.DeleteObjectCommand({ Bucket, Key }));
        model.delete(Key);
      } else {
        const Body = `${Bucket} ${i} ${random(1_000)}`;
        await client.send(new s3.PutObjectCommand({ Bucket, Key, Body }));
        model.set(Key, Body);
      }
    }
  }
  for (const [Bucket, model] of models) {
    const { Contents = [] } = await client.send(new s3.ListObjectsV2Command({ Bucket }));
    const keys = Contents.map(({ Key = "" }) => Key).filter((key) => key !== ".forkstack.json");
    assert.deepEqual(keys.sort(), [...model.keys()].sort(), `${Bucket}, seed ${seed}`);
    for (const [Key, body] of model) {
      const { Body } = await client.send(new s3.GetObjectCommand({ Bucket, Key }));
      assert.equal(await Body!.transformToString(), body, `${Bucket}/${Key}, seed ${seed}`);
    }
  }
  client.destroy();
}
