/**
 * Programs that tests call and that a machine with Node alone may lack: had by npm where npm has them; else the tests
 * that need one are skipped by `testIf`, which names it.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, symlinkSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { temporaryDirectory } from "./helpers.ts";

/** Why programs can't be called; `undefined`: each is in PATH. */
export function whyMissing(...programs: readonly string[]): string | undefined {
  const directories = (process.env.PATH ?? "").split(delimiter);
  const missing = programs.filter((program) => !directories.some((one) => existsSync(join(one, program))));
  return missing.length === 0 ? undefined : `there is no ${missing.join(", no ")}`;
}

/** The path of a package's program, which npx fetches: starting it through npx again and again takes longer than it does. */
export function programOf(packageAtVersion: string, name: string): string {
  const { stdout, stderr } = spawnSync("npx", ["-y", "-p", packageAtVersion, "-c", `command -v ${name}`], {
    encoding: "utf8",
  });
  if (stdout.trim() === "") throw new Error(`npx has no ${packageAtVersion}: ${stderr}`);
  return stdout.trim();
}

/** Number of the user and the group that own nothing. */
export const NOBODY = 65_534;

const IS_ROOT = process.getuid?.() === 0;

/** A command in front of another, which then runs as a user that is not root: servers refuse root. */
export const AS_NOBODY: readonly string[] = IS_ROOT
  ? ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"]
  : [];

/** A command in front of another, which then heeds the modes of files: root ignores them, unless it gives that right up. */
export const WITHOUT_RIGHTS: readonly string[] = IS_ROOT
  ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", "--inh-caps=-all", "--"]
  : [];

/** Why the two above can't be used. */
export const WHY_ROOT: string | undefined = IS_ROOT ? whyMissing("setpriv") : undefined;

/** A path that another user may read: the path itself, else a copy at `copy`, in a directory that all may enter. */
export function readableByAll(path: string, copy: string): string {
  if (spawnSync("setpriv", ["--reuid=1000", "--clear-groups", "test", "-r", path]).status === 0) return path;
  if (existsSync(copy)) return copy;
  cpSync(path, copy, { recursive: true });
  spawnSync("chmod", ["-R", "a+rX", copy]);
  return copy;
}

/** A directory for PATH in which programs go by these names; `using` removes it. */
export function linkedPrograms(
  programs: Readonly<Record<string, string>>,
): { readonly path: string; [Symbol.dispose](): void } {
  const directory = temporaryDirectory("forkstack-bin-");
  for (const [name, path] of Object.entries(programs)) symlinkSync(path, join(directory.path, name));
  return directory;
}
