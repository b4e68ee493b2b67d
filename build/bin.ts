#!/usr/bin/env node
/**
 * `forkstack` as npm installs it, and where the one file that Bun compiles begins. The version is told before anything
 * else is loaded.
 */
import { VERSION } from "../core/version.ts";

if (/^(--version|-V)$/.test(process.argv[2])) console.log(VERSION);
else {
  await forgetLoaded();
  quietSqlite();
  await import("../core/binary.ts");
}

/**
 * Bun reads `.env.local` into the process unasked. What it says of the current environment is for the app: here it would
 * decide what is current after a switch too, and a fork's credentials would stand where the account's belong.
 */
async function forgetLoaded(): Promise<void> {
  const bun = (globalThis as { Bun?: { isStandaloneExecutable?: boolean } }).Bun;
  if (bun === undefined || bun.isStandaloneExecutable) return;
  const { readFile } = await import("node:fs/promises");
  const text = await readFile(".env.local", "utf8").catch(() => "");
  if (text === "") return;
  const { parseEnvFile } = await import("../mod.ts");
  for (const [name, value] of Object.entries(parseEnvFile(text))) {
    if (process.env[name] === value) delete process.env[name];
  }
}

/** Node 22 says at every start that its SQLite is experimental, which is no news to whoever types a command. */
function quietSqlite(): void {
  const tell = process.emitWarning.bind(process) as (...args: unknown[]) => void;
  process.emitWarning = (...args: unknown[]) => {
    if (args[1] !== "ExperimentalWarning") tell(...args); // the type: https://nodejs.org/api/process.html
  };
}
