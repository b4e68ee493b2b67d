/**
 * Loaded before the real command line (`deno run --preload`), it counts what the process changes outside itself: each
 * file operation and each write to the registry is a point, and so is the middle of what takes more than one step.
 * At point `TEST_POINT` it says `@point` and stands still (`TEST_AT=stop`: for ever, until it is killed), or goes on
 * once a signal has come (`TEST_AT=signal`). Point 0 is none: the run says how many there are.
 */
import { mkdirSync, writeFileSync, writeSync } from "node:fs";
import process from "node:process";
import { files, temporaryPath } from "../../core/system/files.ts";
import { Registry } from "../../core/state/registry.ts";

const wanted = Number(process.env.TEST_POINT ?? Infinity);
const standsStill = process.env.TEST_AT !== "signal";
let points = 0;

async function point(what: string): Promise<void> {
  points++;
  if (wanted === 0) writeSync(2, `@points ${points}\n`);
  if (points !== wanted) return;
  writeSync(2, `@point ${what}\n`);
  if (standsStill) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  await new Promise<void>((resolve) => process.once("SIGINT", resolve).once("SIGTERM", resolve));
  if (process.env.TEST_HANG === "1") await new Promise((resolve) => setTimeout(resolve, 60_000)); // until the second
}

type Operation = (...args: never[]) => Promise<unknown>;

/** Puts a point before a method, and where it has steps another where half of them are done. */
function watch(on: object, name: string, middle?: (...args: never[]) => void): void {
  const methods = on as Record<string, Operation>;
  const real = methods[name];
  methods[name] = async function (this: unknown, ...args) {
    const what = `${name} ${String(args[0])}`;
    await point(what);
    if (middle !== undefined && points + 1 === wanted) middle(...args);
    if (middle !== undefined) await point(`half of ${what}`);
    return await real.apply(this, args);
  };
}

watch(files, "write", (path: string, content: string | Uint8Array) => {
  writeFileSync(temporaryPath(path), content.slice(0, content.length / 2), { mode: 0o600 });
});
watch(files, "copy", (_from: string, to: string) => {
  if (to.includes(".db.forkstack-") && to.includes("sqlite")) return writeFileSync(to, "half of a database");
  mkdirSync(to);
  writeFileSync(`${to}/half`, "");
});
for (const name of ["makeDirectory", "publish", "replace", "swap", "remove"]) watch(files, name);
for (const name of ["acquire", "adopt", "fenced", "release", "touch"]) watch(Registry.prototype, name);
