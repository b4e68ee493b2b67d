/**
 * Opening the registry of a project: a file of this machine, or a server of a team's.
 *
 * @module
 */
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { disk } from "../system/disk.ts";
import { fileError, files } from "../system/files.ts";
import { dirname, join, system, variable } from "../system/host.ts";
import { isRegistryId } from "../marker.ts";
import { Registry, WHOLE_JOURNAL } from "./registry.ts";
import { beginAside, isOwnPlace, isRegistryThere, registryFile, serverUrl } from "./registry_file.ts";
import { UNREADABLE } from "./rows.ts";
import { type OpenFile, openFile, type Sql } from "./sql.ts";
import type { Original } from "./records.ts";
import { isPath } from "../text/field_checks.ts";
import { isEmbedded, type Project } from "../project/project.ts";
import { load } from "../system/lazy.ts";

/**
 * Opens the registry that forkstack.json names, or the project's own file; for a command that only looks, so that it is
 * not written to. Where that is not there yet, it is made, or with `missing: "empty"` an empty one stands in for it, so
 * that looking leaves nothing behind.
 */
export async function openRegistry(
  project: Project,
  missing: "create" | "empty",
  access: "look" | "work" = "work",
): Promise<Registry> {
  const path = await registryFile(project);
  if (path === undefined) {
    const url = serverUrl(project.config.registry!.url);
    return await Registry.open(await openServer(url, variable("FORKSTACK_REGISTRY_TOKEN")), project);
  }
  const directory = dirname(path);
  const open = async (how: OpenFile) =>
    await Registry.open(await openFile(path, how), project, join(directory, "locks"), await keptId(directory));
  const survives = neededDurability(project);
  try {
    const isThere = await isRegistryThere(project, path);
    if (!isThere && missing === "empty") {
      return await Registry.open(await openFile(":memory:"), project, undefined, await keptId(directory));
    }
    if (!isThere && isOwnPlace(project)) {
      // Before anything is written there: whatever .forkstack holds is not for git.
      await files.write(join(project.stateRoot, ".forkstack", ".gitignore"), "*\n");
    } else if (!isThere) {
      const id = await keptId(directory);
      await beginAside(
        path,
        async (aside) => (await Registry.open(await openFile(aside), project, undefined, id)).close(),
      );
    }
    if (access === "work") {
      const registry = await open({ survives });
      if (missing === "create") await keepId(directory, registry.id);
      if (isOwnPlace(project)) {
        await closeFiles(directory);
        await settle(registry, directory, true);
      }
      return registry;
    }
    const registry = await open({ readOnly: true }).catch(async (error) => {
      if (!/read-?only/.test((error as Error).message)) throw error;
      return await open({ survives }); // of an older forkstack, and brought up to date first
    });
    if (isOwnPlace(project)) await settle(registry, directory, false);
    return registry;
  } catch (error) {
    throw registryError(path, error);
  }
}

/**
 * Tells what the registry is a copy of, and binds it to the directory in which it is now: a moved one simply works, and
 * of a copy it is known where its original stands.
 */
async function settle(registry: Registry, directory: string, mayWrite: boolean): Promise<void> {
  const own = await disk.realPath(directory);
  const { home } = registry;
  const known = registry.originals;
  const standing: Original[] = [];
  for (const one of known) {
    if (await standsAt(one.directory, own, registry.id)) standing.push(one);
    else if (mayWrite) await registry.forgetOriginal(one.directory);
  }
  const isCopy = home !== undefined && home !== own && await standsAt(home, own, registry.id);
  const isUnbound = home !== own && isPath(own);
  const last = mayWrite && isUnbound ? await registry.bind(own, isCopy ? home : undefined) : WHOLE_JOURNAL;
  if (isCopy) standing.push({ directory: home, seq: last }); // what the journal knew until now
  registry.originals = standing;
}

/** Whether the same registry stands in another directory. What may not be looked at does, as far as anybody can tell. */
async function standsAt(directory: string, own: string, id: string): Promise<boolean> {
  if (directory === own) return false;
  try {
    if ((await disk.look(join(directory, "registry.db")))?.type !== "file") return false;
    const other = await keptId(directory);
    if (other !== undefined && other !== id) return false;
    const stamps = await Promise.all([directory, own].map((at) => disk.stamp(join(at, "registry.db"))));
    return stamps[0] !== stamps[1]; // else it is the same file, mounted at two places
  } catch (error) {
    return (error as Error).name !== "NotCapable"; // a container's grant does not reach the host's paths
  }
}

/** The id of the registry that is, or was, in this directory: marks name it, and it is known when the registry was lost. */
async function keptId(directory: string): Promise<string | undefined> {
  const text = (await files.read(join(directory, "registry-id")))?.trim();
  return text !== undefined && isRegistryId(text) ? text : undefined;
}

/** Keeps it; again where another command at work here took the file for left behind before it had its name. */
async function keepId(directory: string, id: string): Promise<void> {
  for (let attempt = 1; await keptId(directory) !== id; attempt++) {
    await files.write(join(directory, "registry-id"), `${id}\n`, { mode: 0o600 }).catch((error) => {
      if (error.code !== "ENOENT" || attempt === 20) throw error;
    });
  }
}

/** Takes the registry's files that were open to others from them; what this user does not own stays. */
async function closeFiles(directory: string): Promise<void> {
  if (system() === "windows") return;
  for (const name of ["registry.db", "registry.db-wal", "registry.db-shm"]) {
    const mode = await disk.mode(join(directory, name));
    if (mode !== undefined && (mode & 0o077) !== 0) await disk.changeMode(join(directory, name), 0o600).catch(() => {});
  }
}

/** Forks on this disk go with it in a power loss; one at a vendor does not, so that its intent must be there before it. */
function neededDurability({ config }: Pick<Project, "config">): "power loss" | "process crash" {
  return isEmbedded(config) ? "process crash" : "power loss";
}

function registryError(path: string, error: unknown): unknown {
  const message = (error as Error).message ?? "";
  const known = fileError(error, `open the registry "${path}"`);
  if (isForkstackError(known)) return known;
  if (UNREADABLE.test(message)) {
    return new ForkstackError("REGISTRY_DAMAGED", `Cannot open the registry "${path}": ${message}`, {
      hint: "Move it away; `forkstack doctor --rebuild` finds the environments again from their marks",
      cause: error,
    });
  }
  if (/readonly|unable to open/.test(message)) {
    return new ForkstackError("NOT_PERMITTED", `Cannot open the registry "${path}": ${message}`, {
      hint: "Check its owner and its permissions; FORKSTACK_STATE names another place for the state",
      cause: error,
    });
  }
  return error;
}

/** A libSQL server or Turso database. */
export async function openServer(url: string, authToken: string | undefined): Promise<Sql> {
  return await (await load<typeof import("./libsql.ts")>("core/state/libsql.ts")).open(url, authToken);
}
