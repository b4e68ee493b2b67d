/**
 * Opening the registry of a project: a file of this machine, or a team's server.
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
 * Opens the registry that forkstack.json names, or else the project's own file; with `access: "look"` nothing is
 * written to it. A missing registry is created, or with `missing: "empty"` replaced by an empty one in memory, so that a command
 * that only looks leaves no file.
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
 * Binds the registry to its present directory, and finds out whether it is a copy: a moved registry works on, a copied
 * one knows the directory of its original.
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

/**
 * Returns true if another directory holds the same registry. A directory that this process may not read counts as one.
 */
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

/** Returns the id of the registry that is, or was, in this directory, so that markers are recognised after its loss. */
async function keptId(directory: string): Promise<string | undefined> {
  const text = (await files.read(join(directory, "registry-id")))?.trim();
  return text !== undefined && isRegistryId(text) ? text : undefined;
}

/** Writes the id; retries if another command took the temporary file for a leftover and removed it. */
async function keepId(directory: string, id: string): Promise<void> {
  for (let attempt = 1; await keptId(directory) !== id; attempt++) {
    await files.write(join(directory, "registry-id"), `${id}\n`, { mode: 0o600 }).catch((error) => {
      if (error.code !== "ENOENT" || attempt === 20) throw error;
    });
  }
}

/** Removes other users' access to the registry's files; files that this user does not own stay unchanged. */
async function closeFiles(directory: string): Promise<void> {
  if (system() === "windows") return;
  for (const name of ["registry.db", "registry.db-wal", "registry.db-shm"]) {
    const mode = await disk.mode(join(directory, name));
    if (mode !== undefined && (mode & 0o077) !== 0) await disk.changeMode(join(directory, name), 0o600).catch(() => {});
  }
}

/**
 * Returns the durability that the registry needs. Embedded forks are lost with it in a power loss; a fork at a vendor
 * is not, so its intent must be on disk first.
 */
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

/** Opens a registry on a libSQL server or Turso database. */
export async function openServer(url: string, authToken: string | undefined): Promise<Sql> {
  return await (await load<typeof import("./libsql.ts")>("core/state/libsql.ts")).open(url, authToken);
}
