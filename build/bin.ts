#!/usr/bin/env node
/**
 * `forkstack` as npm installs it, and where the one file that Bun compiles begins. The version is told before anything
 * else is loaded.
 */
import { VERSION } from "../core/version.ts";

if (/^(--version|-V)$/.test(process.argv[2])) console.log(VERSION);
else {
  quietSqlite();
  await import("../core/binary.ts");
}

/** Node 22 says at every start that its SQLite is experimental, which is no news to whoever types a command. */
function quietSqlite(): void {
  const tell = process.emitWarning.bind(process) as (...args: unknown[]) => void;
  process.emitWarning = (...args: unknown[]) => {
    if (args[1] !== "ExperimentalWarning") tell(...args); // the type: https://nodejs.org/api/process.html
  };
}
