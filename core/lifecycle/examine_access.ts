/**
 * Findings on directories in which nothing can be written: every command that changes something fails there.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";
import type { Project } from "../project/project.ts";
import { disk } from "../system/disk.ts";
import { fileError } from "../system/files.ts";
import { join, pid } from "../system/host.ts";
import type { Finding } from "./finding.ts";

/** Tries the directory of `forkstack.json` and that of the state. */
export async function examineAccess({ root, stateRoot }: Pick<Project, "root" | "stateRoot">): Promise<Finding[]> {
  const state = join(stateRoot, ".forkstack");
  const hasState = (await disk.look(state))?.type === "directory";
  // A try shows up in file watchers: beside a person's files there is none unless the modes speak against it.
  const tried: string[] = [];
  if (hasState) tried.push(state);
  if (!hasState || !isWritableByMode(root, state)) tried.push(root);
  const found = await Promise.all(tried.map(whyNotWritable));
  return found.flatMap((error): Finding[] =>
    error === undefined ? [] : [{ severity: "warning", problem: `read-only: ${error.message}`, fix: error.hint! }]
  );
}

/** Tells whether the modes let the user write who owns the state; who this is costs a question in Deno. */
function isWritableByMode(directory: string, state: string): boolean {
  const { statSync } = process.getBuiltinModule("node:fs");
  const { mode, uid } = statSync(directory);
  return (mode & (uid === statSync(state).uid ? 0o200 : 0o022)) !== 0;
}

/** Makes and removes an empty directory; a file system that is read-only shows in no mode. */
async function whyNotWritable(directory: string): Promise<ForkstackError | undefined> {
  const path = join(directory, `.forkstack-try-${pid()}`);
  try {
    await disk.makeDirectory(path, 0o700);
    await disk.remove(path);
    return undefined;
  } catch (error) {
    const told = fileError(error, `write in "${directory}"`);
    return told instanceof ForkstackError && told.code === "NOT_PERMITTED" ? told : undefined;
  }
}
