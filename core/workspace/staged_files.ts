/**
 * Files that change together: written under temporary names, then renamed one by one, and all restored on failure.
 *
 * @module
 */
import * as block from "./env_block.ts";
import { ForkstackError } from "../../mod.ts";
import { fileError, type Files, sweepTemporary, temporaryPath } from "../system/files.ts";
import { disk, sameBytes } from "../system/disk.ts";
import { join, system } from "../system/host.ts";
import { pointersOf } from "../project/state_ownership.ts";
import { messageOf, reasonOf } from "../text/printable.ts";
import { fileText, type Workspace } from "./workspace.ts";

/** Removes temporary files of runs that died; some hold credentials. */
export async function sweep({ project, world: { files } }: Workspace): Promise<void> {
  for (const name of [...pointersOf(project), ".gitignore", "forkstack.json"]) {
    await sweepTemporary(files, join(project.root, name));
  }
  await sweepTemporary(files, join(project.stateRoot, ".forkstack", "registry-id"));
  const envs = join(project.stateRoot, ".forkstack", "envs");
  for (const name of await files.list(envs)) {
    if (/\.forkstack-[0-9a-f]{8}$/.test(name)) await files.remove(join(envs, name));
  }
}

interface Staged {
  readonly path: string;
  readonly temporary: string;
  readonly mode: number;
  content: Uint8Array;
  before: Uint8Array | undefined;
  /** Permission bits of the file before the change. */
  readonly modeBefore: number;
  /** Makes the content again from the user's latest text, for a file that the user edits too. */
  readonly remake?: Remake;
}

/** Returns the new content of a file, from its present one. */
export type Remake = (now: Uint8Array | undefined) => Promise<Uint8Array>;

/** Writes the requested files under temporary names; on failure removes them all. */
export async function stageAll(place: Workspace, wanted: () => Promise<readonly Planned[]>): Promise<Staged[]> {
  const { project, world: { files } } = place;
  const staged: Staged[] = [];
  let doing = `read the files of "${project.root}"`;
  try {
    await sweep(place);
    for (const [path, content, mode] of await wanted()) {
      doing = `write "${path}"`;
      const before = await files.readBytes(path);
      const one = {
        path,
        temporary: temporaryPath(path),
        mode,
        content: typeof content === "function" ? await content(before) : bytesOf(content),
        before,
        modeBefore: (await disk.mode(path) ?? mode) & 0o777,
        remake: typeof content === "function" ? content : undefined,
      };
      staged.push(one);
      await stage(files, one);
    }
    return staged;
  } catch (error) {
    await putBack(files, staged);
    throw fileError(error, doing);
  }
}

/** Writes files of the project itself, all or none. */
export async function writeProjectFiles(place: Workspace, written: readonly Written[]): Promise<void> {
  const { files } = place.world;
  for (const [path] of written) await sweepTemporary(files, path);
  const staged = await stageAll(place, () => Promise.resolve(written));
  const commit = async () => {
    for (const one of staged) await putStaged(files, one);
  };
  await allOrNone(
    commit,
    () => putBack(files, staged),
    "Look at the files of the project, and run the same command again",
  );
}

/** Rewrites a file that the user edits too, from its present content; keeps its mode. */
export async function rewriteShared(place: Workspace, path: string, remake: Remake, modeOfNew = 0o600): Promise<void> {
  const mode = (await disk.mode(path) ?? modeOfNew) & 0o777;
  const [one] = await stageAll(place, () => Promise.resolve([[path, remake, mode]]));
  try {
    await putStaged(place.world.files, one);
  } finally {
    await place.world.files.remove(one.temporary);
  }
}

async function stage(files: Files, { temporary, content, mode }: Staged): Promise<void> {
  await files.remove(temporary);
  await files.write(temporary, content, { mode, direct: true });
}

/** Warns that other users could read a file until now. */
export function tellClosed({ world }: Workspace, staged: readonly Staged[]): void {
  if (system() === "windows") return;
  for (const { path, before, mode, modeBefore, remake } of staged) {
    if (remake === undefined || before === undefined || mode === modeBefore || (modeBefore & 0o077) === 0) continue;
    world.warn?.(
      `"${path}" holds credentials now, so that only you can read it: mode 600, was ${modeBefore.toString(8)}`,
    );
  }
}

/**
 * Renames a staged file to its final name; stages it again if another command took it for a leftover and removed it.
 */
export async function putStaged(files: Files, one: Staged): Promise<void> {
  try {
    for (let attempt = 1;; attempt++) {
      try {
        if (one.remake === undefined) return await files.replace(one.temporary, one.path);
        return await merge(files, one, one.remake);
      } catch (error) {
        if ((error as { code?: string }).code !== "ENOENT" || attempt === 20) throw error;
        await stage(files, one);
      }
    }
  } catch (error) {
    throw fileError(error, `write "${one.path}"`);
  }
}

const MOST_SAVES = 100;

/** Replaces a file that others write too, and includes the changes that they save meanwhile. */
async function merge(files: Files, one: Staged, remake: Remake): Promise<void> {
  const remakeOf = async (now: Uint8Array | undefined) => {
    one.before = now;
    one.content = await remake(now);
    await stage(files, one);
  };
  let expected = await files.readBytes(one.path);
  if (sameBytes(expected, one.content)) return await files.remove(one.temporary);
  if (!sameBytes(expected, one.before)) await remakeOf(expected);
  let late: readonly [from: string, to: string] | undefined; // what was saved as the file was replaced
  for (let attempt = 1; attempt <= MOST_SAVES; attempt++) {
    const { isDone, seen } = await files.swap(one.temporary, one.path, expected);
    if (isDone && sameBytes(seen, expected)) return;
    if (isDone) late = [fileText(expected), fileText(seen)];
    expected = isDone ? await files.readBytes(one.path) : seen;
    if (late === undefined) {
      await remakeOf(expected);
      continue;
    }
    const [from, to] = late;
    const merged = sameBytes(expected, one.content) ? to : block.withEdit(fileText(expected), from, to);
    await remakeOf(block.bytesOfText(merged));
  }
  throw new ForkstackError("CONFLICT", `Cannot write "${one.path}": another program keeps changing it`, {
    hint: "Close what writes it, and run the same command again",
    retryable: true,
  });
}

export async function allOrNone(
  commit: () => Promise<void>,
  undo: () => Promise<unknown[]>,
  hint: string,
  env?: string,
): Promise<void> {
  try {
    await commit();
  } catch (error) {
    const failures = await undo();
    if (failures.length === 0) throw error;
    throw new ForkstackError(
      "UNDO_INCOMPLETE",
      `${messageOf(error)}. Undoing failed: ${failures.map((failure) => reasonOf(failure)).join("; ")}`,
      {
        hint,
        details: { env },
        cause: new AggregateError([error, ...failures]),
      },
    );
  }
}

export async function putBack(files: Files, staged: readonly Staged[]): Promise<unknown[]> {
  const failures: unknown[] = [];
  for (const one of staged.toReversed()) {
    const { path, temporary, content, before, mode, modeBefore, remake } = one;
    try {
      await files.remove(temporary);
      if (sameBytes(content, before) && mode === modeBefore) continue;
      if (remake !== undefined) {
        await takeBack(files, one);
        continue;
      }
      if (!sameBytes(await files.readBytes(path), content)) continue; // not ours, or another's by now
      if (before === undefined) await files.remove(path);
      else await files.write(path, before, { mode: modeBefore });
    } catch (error) {
      failures.push(fileError(error, `restore "${path}"`));
    }
  }
  return failures;
}

/** Removes forkstack's lines from a file, or restores the earlier ones; the user's lines stay as they are now. */
async function takeBack(files: Files, { path, temporary, content, before, modeBefore }: Staged): Promise<void> {
  for (let attempt = 1; attempt <= MOST_SAVES; attempt++) {
    const now = await files.readBytes(path);
    if (now === undefined) return;
    const earlier = fileText(before);
    const restored = block.withoutChange(fileText(now), fileText(content), earlier);
    if (restored === undefined) return; // another's by now
    if (before === undefined && restored === "") return await files.remove(path);
    await files.write(temporary, block.bytesOfText(restored), { mode: modeBefore, direct: true });
    const { isDone, seen } = await files.swap(temporary, path, now);
    if (isDone && sameBytes(seen, now)) return;
    await files.remove(temporary);
  }
  throw new ForkstackError("CONFLICT", "another program keeps changing it");
}

/** A path with its new content, or the function that makes it, and its mode. */
export type Planned = readonly [path: string, content: string | Uint8Array | Remake, mode: number];

/** A path with its new content and mode. */
export type Written = readonly [path: string, content: string | Uint8Array, mode: number];

function bytesOf(content: string | Uint8Array): Uint8Array {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}
