#!/usr/bin/env node
/**
 * `forkstack` as npm installs it, and where the one file that Bun compiles begins. The version is told before anything
 * else is loaded, and so is that Node is too old to load it.
 */
import { VERSION } from "../../core/system/version.ts";

if (/^(--version|-V)$/.test(process.argv[2])) console.log(VERSION);
else if (process.getBuiltinModule === undefined) { // https://nodejs.org/api/process.html
  console.error(`error: Cannot run forkstack in Node ${process.versions.node}: it is too old
  hint: Run it with Node 22.16 or later, Deno, Bun, or as a binary; the app itself may run in Node 20.16 or later`);
  process.exitCode = 2;
} else {
  quietSqlite();
  await import("./binary.ts");
}

/** Node 22 says at every start that its SQLite is experimental, which is no news to whoever types a command. */
function quietSqlite(): void {
  const tell = process.emitWarning.bind(process) as (...args: unknown[]) => void;
  process.emitWarning = (...args: unknown[]) => {
    if (args[1] !== "ExperimentalWarning") tell(...args); // the type: https://nodejs.org/api/process.html
  };
}
