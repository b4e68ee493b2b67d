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
  if (!hasState || !isWritableByMode(root)) tried.push(root);
  const found = await Promise.all(tried.map(whyNotWritable));
  return found.flatMap((error): Finding[] =>
    error === undefined ? [] : [{ severity: "warning", problem: `read-only: ${error.message}`, fix: error.hint! }]
  );
}

function isWritableByMode(directory: string): boolean {
  const { accessSync, constants } = process.getBuiltinModule("node:fs");
  try {
    accessSync(directory, constants.W_OK);
    return true;
  } catch {
    return false;
  }
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
