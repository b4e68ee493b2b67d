/**
 * A text in the person's own editor, in a file that only that person can read and that is gone afterwards.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";
import { absent, disk } from "../system/disk.ts";
import { join, onExit, pid, variable } from "../system/host.ts";
import { runOnTerminal } from "../system/subprocess.ts";

/**
 * Opens `$VISUAL`, else `$EDITOR`, else vi on the text, and gives what was saved. A directory of its own holds the file
 * and what an editor puts beside it, and goes as a whole: after the editor, on an error, on Ctrl-C, and where this
 * process was killed, at the next edit.
 */
export async function editText(state: string, name: string, text: string): Promise<string> {
  const above = join(state, ".forkstack", "edit");
  await sweep(above);
  const directory = join(above, `${pid()}-${crypto.randomUUID().slice(0, 8)}`);
  const path = join(directory, name);
  const [command, ...args] = (variable("VISUAL") ?? variable("EDITOR") ?? "vi").split(/\s+/).filter(Boolean);
  const remove = () => removeNow(directory);
  const settle = onExit(remove); // a second Ctrl-C leaves at once
  try {
    await disk.makeDirectory(directory, 0o700);
    await disk.writeNew(path, text, 0o600);
    const status = await runOnTerminal(command!, [...args, path]).catch(absent);
    if (status === 0) return await disk.readText(path);
    throw new ForkstackError(
      status === undefined ? "USAGE" : "CANCELLED",
      status === undefined
        ? `Cannot edit: there is no program "${command}"`
        : `Cancelled: "${command}" ended with ${status}; nothing was changed`,
      { hint: "Set EDITOR to your editor, e.g. EDITOR=nano" },
    );
  } finally {
    remove();
    settle();
  }
}

function removeNow(path: string): void {
  const deno = (globalThis as { Deno?: typeof Deno }).Deno;
  try {
    if (deno === undefined) process.getBuiltinModule("node:fs").rmSync(path, { recursive: true, force: true });
    else deno.removeSync(path, { recursive: true });
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
  }
}

/** Removes what an edit left whose process was killed. */
async function sweep(above: string): Promise<void> {
  for (const name of await disk.names(above).catch(() => [])) {
    const owner = /^(\d+)-[0-9a-f]{8}$/.exec(name)?.[1];
    if (owner !== undefined && !isAlive(Number(owner))) await disk.remove(join(above, name));
  }
}

function isAlive(owner: number): boolean {
  try {
    return process.kill(owner, 0);
  } catch (error) {
    return (error as { code?: string }).code !== "ESRCH"; // it may be somebody else's
  }
}
