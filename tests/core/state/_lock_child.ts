/**
 * Holds the lock of an environment in a process of its own: `_lock_child.ts <file or url> <env>`. It says `held`, then
 * for each line that it is told one line: `write` tries a write, `end` lets go. Once its signal aborts it says so.
 */
import { createInterface } from "node:readline";
import process from "node:process";
import { withLock } from "../../../core/state/lock.ts";
import { Registry } from "../../../core/state/registry.ts";
import { openFile } from "../../../core/state/sql.ts";
import { sleep } from "../../../core/system/host.ts";
import { statements } from "../../../core/state/statements.ts";
import { openServer } from "../../../core/state/open_registry.ts";

const [place, locks] = process.argv.slice(2);
const isServer = place.startsWith("http");
const sql = isServer ? await openServer(place, undefined) : await openFile(place);
const registry = await Registry.open(sql, { name: "shop" }, isServer ? undefined : locks);
const options = {
  clock: { monotonicMs: () => performance.now(), sleep },
  owner: `child-${process.pid}`,
  signal: new AbortController().signal,
  beatMs: 1_000, // so that a test that stops it does not meet it in a transaction
  staleMs: 400,
};
const say = (line: string) => process.stdout.write(`${line}\n`);

await withLock(registry, { env: "alice", purpose: "create" }, options, async (worker) => {
  worker.signal.addEventListener("abort", () => say(`aborted ${worker.signal.reason.code}`));
  say("held");
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "end") break;
    const at = { operation: "child", env: "alice", resource: "database", step: line, at: new Date().toISOString() };
    try {
      await worker.write([statements.journal({ ...at, phase: "intent" })]);
      say("written");
    } catch (error) {
      say((error as { code: string }).code);
    }
  }
});
registry.close();
process.exit(0);
