import { listenByNode } from "../../../core/s3/listen.ts";
import { runChecks } from "../../emulators/s3_checks.ts";
import { serveS3 } from "../../emulators/s3_local.ts";
import { startS3rver } from "../../emulators/s3rver.ts";

Deno.test("S3, by the real SDK, on our own server", async (t) => {
  await using server = await serveS3();
  await runChecks(server, (name, fn) => t.step(name, fn));
});

Deno.test("the same checks on our own server by node:http, as Bun runs it", async (t) => {
  await using server = await serveS3({ listen: listenByNode });
  await runChecks(server, (name, fn) => t.step(name, fn));
});

Deno.test("the same checks on s3rver, which nobody here wrote", async (t) => {
  await using server = await startS3rver();
  await runChecks(server, (name, fn, { s3rver }) => {
    const reason = s3rver === undefined ? "" : ` (skipped: ${s3rver})`;
    return t.step({ name: name + reason, fn, ignore: s3rver !== undefined });
  });
});
