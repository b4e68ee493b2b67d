/** Stores that speak S3 as the conformance suite wants them: full. */
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import * as s3 from "@aws-sdk/client-s3";
import { resourceTitle } from "../../mod.ts";
import type { Emulator, World } from "../conformance.ts";
import { type Aws, serveAws } from "../emulators/aws_s3.ts";
import type { S3Server } from "../emulators/s3rver.ts";

/** What the parent holds. */
export const OBJECTS: Readonly<Record<string, string>> = {
  "covers/1.jpg": "canary-in-the-parent-0123456789",
  "covers/ü +%.jpg": "of a key that is hard to send",
  "empty": "",
};
export const PARENT = "myapp-bucket-prod";

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

/** Makes a bucket that holds these. */
export async function fill(
  client: s3.S3Client,
  Bucket: string,
  objects: Readonly<Record<string, string>>,
): Promise<void> {
  await client.send(new s3.CreateBucketCommand({ Bucket }));
  await Promise.all(
    Object.entries(objects).map(([Key, Body]) => client.send(new s3.PutObjectCommand({ Bucket, Key, Body }))),
  );
}

/** Keys, sizes and ETags of what is in a bucket, but for our mark. */
export async function contentsOf(client: s3.S3Client, bucket: string): Promise<string[]> {
  const { Contents = [] } = await client.send(new s3.ListObjectsV2Command({ Bucket: bucket }));
  return Contents.map(({ Key, Size, ETag }) => `${Key} ${Size} ${ETag}`).filter((one) => !one.startsWith(".forkstack"));
}

/** An account that is full. */
export function awsEmulator(mark: "tags" | "object"): Emulator {
  return {
    async open({ credentials }) {
      const accessKeyId = credentials.AWS_ACCESS_KEY_ID!;
      const server: Aws = await serveAws({
        accessKeyId,
        secretAccessKey: credentials.AWS_SECRET_ACCESS_KEY!,
        pageSize: 3,
      });
      const titleOf = (env: string) => resourceTitle("storage", "myapp", env);
      const client = clientOf(server);
      await fill(client, PARENT, OBJECTS);
      for (const near of ["alic", "alice2", "alice-2"]) await fill(client, titleOf(near), { "a": near });
      const contentOf = async (name: string) =>
        createHash("sha256").update((await contentsOf(client, name)).join("\n")).digest("hex");
      const world: World = {
        options: { endpoint: server.endpoint, mark },
        project: "myapp",
        root: "/nowhere",
        context: { files: {} as World["context"]["files"], fetch: (request) => fetch(request) },
        parent: PARENT,
        absentParent: "myapp-bucket-nobody",
        titleOf,
        async things() {
          const names = readdirSync(server.directory);
          const rest = await Promise.all(
            names.map(async (name) => [name, await noteOf(name), await contentOf(name)] as const),
          );
          return new Map(
            rest.map((
              [name, note, content],
            ) => [`${name} ${note["forkstack-id"] ?? ""}`, JSON.stringify([note, content])]),
          );
        },
        contentOf,
        async change(name) {
          await client.send(new s3.PutObjectCommand({ Bucket: name, Key: "mine", Body: "mine" }));
        },
        placeForeign: (name) => fill(client, name, { theirs: "theirs" }),
        async rehand(fork, marker) {
          const note = { ...await noteOf(fork.name), forkstack: noted(marker) };
          if (mark === "tags") return void server.tags.set(fork.name, note);
          await client.send(
            new s3.PutObjectCommand({ Bucket: fork.name, Key: ".forkstack.json", Body: JSON.stringify(note) }),
          );
        },
        pageSize: 3,
        canaries: () => Object.values(OBJECTS).filter(Boolean),
        async close() {
          client.destroy();
          await server[Symbol.asyncDispose]();
        },
      };
      async function noteOf(name: string): Promise<Record<string, string>> {
        if (mark === "tags") return server.tags.get(name) ?? {};
        try {
          const { Body } = await client.send(new s3.GetObjectCommand({ Bucket: name, Key: ".forkstack.json" }));
          return JSON.parse(await Body!.transformToString());
        } catch {
          return {};
        }
      }
      return world;
    },
  };
}

/** A marker as the provider writes it. */
function noted(
  { stack, env, resource, operation }: { stack: string; env: string; resource: string; operation: string },
) {
  return ["forkstack", "v1", stack, env, resource, operation].map(encodeURIComponent).join(":").replaceAll("%", "=");
}
