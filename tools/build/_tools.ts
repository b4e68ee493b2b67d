/** Parts that the building programs share. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

export const REPO: string = resolve(fileURLToPath(new URL("../..", import.meta.url)));

/** The directory of build results. */
export const DIST: string = join(REPO, "dist");

/** The package of npm that contains Bun, in the tested version. */
export const BUN = "bun@1.4.5";

/** Runs work in a temporary directory. */
export async function inWorkshop<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "forkstack-build-"));
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Runs a program and returns its output; throws with its messages if it fails. */
export async function run(
  program: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<string> {
  const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "", stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text) => stderr += text);
  const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  if (code !== 0) {
    throw new Error(`\`${program} ${args.join(" ")}\` ended with ${code}: ${stderr.trim() || stdout.trim()}`);
  }
  return stdout;
}
