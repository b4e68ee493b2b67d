/** Our S3 server over a directory, in whichever runtime runs this: `<directory> <origin>`; says its port. */
import { join } from "node:path";
import { readdirSync } from "node:fs";
import process from "node:process";
import { listen } from "../../../core/s3/listen.ts";
import { s3Handler } from "../../../core/s3/server.ts";

const [, , directory, origin] = process.argv as [string, string, string, string];
const limits = { headersMs: 1_000, bodyMs: 1_000, idleMs: 1_000, sendMs: 2_000 };
const account = {
  secretAccessKey: "test-secret",
  opens: (bucket: string) => /^[a-z]+$/.test(bucket),
  buckets: () => readdirSync(directory),
};
const handler = s3Handler({
  region: "us-east-1",
  account: (id) => id === "test-key" ? account : undefined,
  directoryOf: (bucket) => join(directory, bucket),
  root: directory,
  origins: [origin],
  onError: (error) => console.error(error),
});
const { port } = await listen(handler, 0, limits);
console.log(String(port));
