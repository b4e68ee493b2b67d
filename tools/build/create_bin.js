#!/usr/bin/env node
/** `npm create forkstack [directory] -- --template python`: begins a new project, in a directory of its own if one is named. */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const [first, ...rest] = process.argv.slice(2);
const isNamed = first !== undefined && !first.startsWith("-");
if (isNamed) {
  mkdirSync(first, { recursive: true });
  process.chdir(first);
}
const manifest = createRequire(import.meta.url).resolve("forkstack/package.json");
const options = isNamed ? rest : process.argv.slice(2);
const run = spawnSync(process.execPath, [join(dirname(manifest), "bin.js"), "init", ...options], { stdio: "inherit" });
process.exitCode = run.status ?? 1;
