/** The suite of `s3` on a server that nobody here wrote: `npm:s3rver`, whose buckets take no tags. */
import { createHash } from "node:crypto";
import * as s3 from "npm:@aws-sdk/client-s3@3.1162.0";
import { Secret } from "../../core/provider.ts";
import provider from "../../providers/storage/s3.ts";
import { type Emulator, testProvider, WITHOUT_FAULTS, type World } from "../conformance.ts";
import { FEW_FAULTS } from "../faults.ts";
import { sized } from "../sizes.ts";
import { startS3rver } from "../emulators/s3rver.ts";
import { clientOf, isolation, noted, OBJECTS, PARENT, shopOf, titleOf } from "./_s3.ts";

/** It decodes what a copy is made of twice, and so does not find a key with `%` or `+`. */
const HELD = Object.fromEntries(Object.entries(OBJECTS).map(([key, body]) => [key.replace(/[+%]/g, ""), body]));

async function fill(client: s3.S3Client, Bucket: string, objects: Readonly<Record<string, string>>): Promise<void> {
  await client.send(new s3.CreateBucketCommand({ Bucket }));
  for (const [Key, Body] of Object.entries(objects)) {
    await client.send(
      new s3.PutObjectCommand({ Bucket, Key, Body, ContentType: "text/plain", Metadata: { of: "us" } }),
    );
  }
}

const emulator: Emulator = {
  async open() {
    const server = await startS3rver();
    const client = clientOf(server);
    await fill(client, PARENT, HELD);
    for (const near of ["alice2", "alice-2"]) await fill(client, titleOf(near), { "a": near });
    const { accessKeyId, secretAccessKey } = server.credentials;
    const contentOf = async (Bucket: string) => {
      const { Contents = [] } = await client.send(new s3.ListObjectsV2Command({ Bucket }));
      const lines = await Promise.all(
        Contents.filter(({ Key }) => Key !== ".forkstack.json").map(async ({ Key, Size, ETag }) => {
          const { ContentType, Metadata } = await client.send(new s3.HeadObjectCommand({ Bucket, Key }));
          return JSON.stringify([Key, Size, ETag, ContentType, Metadata]);
        }),
      );
      return createHash("sha256").update(lines.join("\n")).digest("hex");
    };
    const noteOf = async (Bucket: string): Promise<Record<string, string>> => {
      try {
        const { Body } = await client.send(new s3.GetObjectCommand({ Bucket, Key: ".forkstack.json" }));
        return JSON.parse(await Body!.transformToString());
      } catch (error) {
        if ((error as Error).name === "NoSuchKey") return {};
        throw error;
      }
    };
    const world: World = {
      options: { endpoint: server.endpoint, mark: "object" },
      project: "myapp",
      root: "/nowhere",
      context: {
        files: {} as World["context"]["files"],
        fetch: (request) => fetch(request),
        credentials: {
          AWS_ACCESS_KEY_ID: new Secret(accessKeyId), // it takes no others
          AWS_SECRET_ACCESS_KEY: new Secret(secretAccessKey),
        },
      },
      parent: PARENT,
      absentParent: "myapp-bucket-nobody",
      titleOf,
      async things() {
        const { Buckets = [] } = await client.send(new s3.ListBucketsCommand());
        const all = Buckets.map(async ({ Name = "" }) => {
          const note = await noteOf(Name);
          return [`${Name} ${note["forkstack-id"] ?? ""}`, JSON.stringify([note, await contentOf(Name)])] as const;
        });
        return new Map(await Promise.all(all));
      },
      contentOf,
      change: async (Bucket) => void await client.send(new s3.PutObjectCommand({ Bucket, Key: "mine", Body: "mine" })),
      placeForeign: (name) => fill(client, name, { theirs: "theirs" }),
      async rehand({ name: Bucket }, marker) {
        const Body = JSON.stringify({ ...await noteOf(Bucket), forkstack: noted(marker) });
        await client.send(new s3.PutObjectCommand({ Bucket, Key: ".forkstack.json", Body }));
      },
      pageSize: 2,
      canaries: () => Object.values(OBJECTS).filter(Boolean),
      async close() {
        client.destroy();
        await server[Symbol.asyncDispose]();
      },
    };
    return world;
  },
};

// Our own server bears the faults in the gate, in s3_test.ts; this one takes five times as long for each of its answers.
testProvider({ provider, emulator, options: { mark: "object" }, faults: FEW_FAULTS }, {
  only: sized({ gate: WITHOUT_FAULTS, full: /^/ }),
});

Deno.test("s3: on s3rver too, neither parent nor fork sees what is written to the other", async () => {
  await using server = await startS3rver();
  await fill(clientOf(server), PARENT, HELD);
  const { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY } = server.credentials;
  const options = { endpoint: server.endpoint, mark: "object" };
  await isolation(shopOf(provider, { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY }, options), clientOf(server));
});
