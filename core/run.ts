/**
 * Other programs: `cp`, `git`.
 *
 * @module
 */
import { variable } from "./host.ts";

const deno = (globalThis as { Deno?: typeof Deno }).Deno;

/** How a program ended. */
export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, with little of our environment; `undefined` if there is no such program. */
export async function run(command: string, args: string[]): Promise<Ended | undefined> {
  const env = { PATH: variable("PATH") ?? "/usr/bin:/bin", HOME: variable("HOME") ?? "/", LC_ALL: "C" };
  if (deno === undefined) return await runByNode(command, args, env);
  try {
    const options = { args, env, clearEnv: true, stdin: "null" as const };
    const { code, stdout, stderr } = await new deno.Command(command, options).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { status: code, stdout: text(stdout), stderr: text(stderr) };
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw error;
  }
}

async function runByNode(
  command: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<Ended | undefined> {
  const { execFile } = await import("node:child_process");
  return await new Promise((resolve, reject) => {
    execFile(command, args, { env, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      if (error === null) resolve({ status: 0, stdout, stderr });
      else if (typeof error.code === "number") resolve({ status: error.code, stdout, stderr });
      else if ((error as { code?: unknown }).code === "ENOENT") resolve(undefined);
      else reject(error);
    });
  });
}
