/** The command line under a permission set of the project's own deno.json, as docs/security.md has it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { PermissionSet } from "../../core/project/permissions.ts";
import { SIZE } from "../sizes.ts";
import { type Ended, type Place, runCommand } from "./run.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The page. */
export const PAGE: string = readFileSync(`${ROOT}docs/security.md`, "utf8");

/** The options of the task that the page has. */
const TASK = /"deno run (.+) <forkstack>\/cli\.ts new"/.exec(PAGE)![1]!.split(" ");

/** Runs it under a set. */
export async function under(
  set: object,
  place: Place,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  program = "cli.ts",
): Promise<Ended> {
  await place.write("deno.json", JSON.stringify({ permissions: { forkstack: set } }));
  const command = [Deno.execPath(), "run", "--no-prompt", ...TASK, `${ROOT}${program}`, ...args];
  return await runCommand(place.root, command, { env });
}

/** Runs lines that must succeed under a set: in one process of that set, at full size in a process each. */
export async function allUnder(
  set: object,
  place: Place,
  lines: readonly (readonly string[])[],
  env?: Readonly<Record<string, string>>,
): Promise<void> {
  const runs = SIZE === "full"
    ? lines.map((args) => () => under(set, place, args, env))
    : [() => under(set, place, [JSON.stringify(lines)], env, "tests/cli/_lines.ts")];
  for (const [at, run] of runs.entries()) {
    const { code, stdout, stderr } = await run();
    assert.equal(code, 0, `${runs.length === 1 ? "" : lines[at]!.join(" ")}: ${stdout}${stderr}`);
  }
}

/** The set that is printed for a project. */
export async function printed(
  place: Place,
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly set: PermissionSet; readonly stderr: string }> {
  const { code, stdout, stderr } = await under({ read: true, env: true }, place, ["permissions"], env);
  assert.equal(code, 0, stderr);
  return { set: setIn(stdout), stderr };
}

/** The set in what `permissions` says. */
export function setIn(text: string): PermissionSet {
  return JSON.parse(text).permissions.forkstack;
}
