/**
 * Removing the pointer to a deleted environment from a directory. Only the directory's own two files change, and no
 * other environment takes its place, so that no default can lead to production.
 *
 * @module
 */
import { NAME_PATTERN } from "../../mod.ts";
import { sameBytes } from "../system/disk.ts";
import * as block from "./env_block.ts";
import { fileError, temporaryPath } from "../system/files.ts";
import { join } from "../system/host.ts";
import { messageOf } from "../text/printable.ts";
import { changeFiles, knownOf, readVariables } from "./env_files.ts";
import { fileText, localPath, type Workspace } from "./workspace.ts";
import { rewriteShared } from "./staged_files.ts";

/** The environments that the two files name; `undefined` for a file that names none. */
interface Pointers {
  readonly pointer: string | undefined;
  readonly block: string | undefined;
}

/** Rounds after which this command gives up, if other commands keep pointing the directory elsewhere. */
const MOST_ROUNDS = 20;

/** Returns true if this directory points to an environment: by `.current-env`, or only by its block after a crash. */
export async function pointsTo(place: Workspace, env: string): Promise<boolean> {
  return isOn(await pointersOf(place), env);
}

/**
 * Removes the pointer of this directory if it points to the environment, and always the environment's block in the env
 * file; returns true if the directory pointed there. A file that cannot be changed causes a warning only: the
 * environment's own file is deleted too, so the app stops instead of using another environment.
 */
export async function leave(place: Workspace, env: string): Promise<boolean> {
  let [isLeft, isTaken] = [false, false];
  try {
    for (let round = 1; round <= MOST_ROUNDS; round++) {
      const now = await pointersOf(place);
      if (!isOn(now, env) && now.block !== env) break;
      isLeft ||= isOn(now, env);
      isTaken ||= now.block !== undefined;
      // The block first: cut off in between, the pointer still leads to this environment and to no other.
      const isBlockGone = await removeBlock(place, now.pointer === env ? undefined : env);
      const isPointerGone = now.pointer !== env ||
        await removeIf(place, pointerPath(place), (bytes) => nameIn(bytes) === env);
      if (!isPointerGone || !isBlockGone) break; // told already
    }
    if (isTaken) await agree(place, env);
  } catch (error) {
    tell(place, error, "look at what this directory points to");
  }
  return isLeft;
}

function isOn({ pointer, block }: Pointers, env: string): boolean {
  return pointer === undefined ? block === env : pointer === env;
}

function pointerPath({ project }: Workspace): string {
  return join(project.root, ".current-env");
}

/** Returns the name in a pointer file, as `mod.ts` reads it. */
function nameIn(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).trim();
}

async function pointersOf(place: Workspace): Promise<Pointers> {
  const { project, world: { files } } = place;
  const bytes = await files.readBytes(pointerPath(place));
  const pointer = bytes && nameIn(bytes);
  const path = localPath(project);
  const text = path === undefined ? "" : await files.readBytes(path).then(fileText, () => "");
  try {
    return { pointer, block: block.blockVariables(text).FORKSTACK_ENV };
  } catch {
    return { pointer, block: undefined }; // damaged markers: told where the block is to be removed
  }
}

/** Removes the block from the env file; with `only` just a block of that environment. Returns `false` on failure. */
async function removeBlock(place: Workspace, only: string | undefined): Promise<boolean> {
  const { project, world: { files } } = place;
  const path = localPath(project);
  if (path === undefined) return true;
  try {
    const found = await files.stat(path);
    if (found === undefined) return true;
    if (found.type !== "file") {
      place.world.warn?.(
        `Not touched: "${path}" is not a regular file; remove forkstack's lines from what it leads to`,
      );
      return false;
    }
    const without = async (now: Uint8Array | undefined) => {
      const text = fileText(now);
      const known = await knownOf(place, text);
      const isMeant = only === undefined || block.blockVariables(text, known.name).FORKSTACK_ENV === only;
      return isMeant ? block.withoutBlock(text, known) : text;
    };
    const before = await files.readBytes(path);
    const rest = await without(before);
    if (rest === fileText(before)) return true;
    if (rest === "") return await removeIf(place, path, (bytes) => sameBytes(bytes, before)); // nothing in it but ours
    await rewriteShared(place, path, async (now) => block.bytesOfText(await without(now)));
    return true;
  } catch (error) {
    tell(place, error, `remove forkstack's block from "${path}"`);
    return false;
  }
}

/** Removes a file if its content matches; a file that was written again meanwhile stays. */
async function removeIf(place: Workspace, path: string, isMeant: (bytes: Uint8Array) => boolean): Promise<boolean> {
  const { files } = place.world;
  try {
    const seen = await files.readBytes(path);
    if (seen === undefined || !isMeant(seen)) return true;
    const aside = temporaryPath(path);
    await files.replace(path, aside);
    const taken = await files.readBytes(aside);
    const isOther = taken !== undefined && !isMeant(taken);
    if (isOther) await files.swap(aside, path, undefined); // put back, unless a newer one is there by now
    await files.remove(aside);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return true; // another command was quicker
    tell(place, error, `remove "${path}"`);
    return false;
  }
}

/**
 * Writes the block again if this command removed that of another environment, to which another command points
 * meanwhile.
 */
async function agree(place: Workspace, env: string): Promise<void> {
  const { pointer, block } = await pointersOf(place);
  if (pointer === undefined || pointer === env || block !== undefined) return;
  const path = localPath(place.project);
  if (path === undefined) return;
  if (!NAME_PATTERN.test(pointer) || await readVariables(place, pointer) === undefined) return;
  await changeFiles(place, { env: pointer, activate: true, anyway: true }).catch((error) =>
    tell(place, error, `write "${path}"`)
  );
}

function tell(place: Workspace, error: unknown, doing: string): void {
  const known = fileError(error, doing);
  const message = messageOf(known);
  const hint = (known as { hint?: string }).hint;
  place.world.warn?.(`${message}${hint === undefined ? "" : `; ${hint[0]!.toLowerCase()}${hint.slice(1)}`}`);
}
