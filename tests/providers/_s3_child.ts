/** A process of its own that forks a bucket: to be killed, or to have its memory measured. */
import { readFileSync } from "node:fs";
import process from "node:process";
import provider from "../../providers/storage/s3.ts";
import { shopOf } from "./_s3.ts";

const { endpoint, credentials, work } = JSON.parse(process.env.FORKSTACK_TEST_S3!);
const shop = shopOf(provider, credentials, { endpoint, fork: "copy" });
const [context, target] = [shop.context(), shop.target("alice")];
if (work === "create") await shop.create(target, context);
else {
  shop.journal.set(target.name, target.marker);
  const seen = await provider.inspect(context, target as never);
  if (seen.state === "ready" || seen.state === "pending") await provider.delete(context, seen.fork, target as never);
}
// Not what getrusage() says: that begins with what the process had that started this one.
const [, kib] = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))!;
console.log(`${Math.round(Number(kib) / 1024)} MiB at most`);
