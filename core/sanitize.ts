/**
 * The script that makes a fork of real data fit to be handed out: run before anyone gets its URL.
 *
 * @module
 */
import { ForkstackError, isForkstackError } from "../mod.ts";
import type { Project, Resource } from "./config.ts";
import type { World } from "./engine.ts";
import { join } from "./host.ts";

/** The scripts of the resources that have one, by key; all are read before anything is made. */
export async function loadScripts(
  { project, world }: { readonly project: Project; readonly world: Pick<World, "files" | "fetch"> },
  resources: readonly Resource[],
): Promise<Readonly<Record<string, string>>> {
  const loaded = await Promise.all(resources.flatMap((resource) => {
    if (resource.sanitize === undefined) return [];
    return [scriptOf(project, world, resource, resource.sanitize).then((text) => [resource.key, text] as const)];
  }));
  return Object.fromEntries(loaded);
}

async function scriptOf(
  project: Project,
  world: Pick<World, "files" | "fetch">,
  { key, provider }: Resource,
  place: string,
): Promise<string> {
  if (provider.execute === undefined) {
    throw new ForkstackError("CONFIG_INVALID", `Cannot sanitize ${key}: ${provider.name} runs no scripts`, {
      hint: `Remove "sanitize" from ${key} in forkstack.json`,
      details: { resource: key, provider: provider.name },
    });
  }
  const text = /^https?:/.test(place) ? await download(world, key, place) : await read(project, world, key, place);
  if (text.trim() !== "") return text;
  throw missing(key, place, "it is empty");
}

async function read(project: Project, world: Pick<World, "files">, key: string, place: string): Promise<string> {
  const text = await world.files.read(place.startsWith("/") ? place : join(project.root, place));
  if (text === undefined) throw missing(key, place, "there is no such file");
  return text;
}

async function download(world: Pick<World, "fetch">, key: string, place: string): Promise<string> {
  const response = await world.fetch(new Request(place));
  const text = await response.text();
  if (!response.ok) throw missing(key, new URL(place).origin, `it answers ${response.status}`);
  return text;
}

function missing(key: string, place: string, state: string): ForkstackError {
  return new ForkstackError("SANITIZE_NOT_FOUND", `Cannot read the script "${place}" that sanitizes ${key}: ${state}`, {
    hint: 'Correct "sanitize" in forkstack.json: a path from its directory, or an https URL. Nothing was made',
    details: { resource: key },
  });
}

/** Runs a script; what went wrong is told as its failure. The fork that it ran on is not fit for use then. */
export async function sanitize(resource: Pick<Resource, "key" | "provider">, title: string, run: () => Promise<void>) {
  try {
    await run();
  } catch (error) {
    if (isForkstackError(error) && error.retryable) throw error;
    const message = error instanceof Error ? error.message : String(error);
    const known = isForkstackError(error) ? error : undefined;
    throw new ForkstackError("SANITIZE_FAILED", `Cannot sanitize ${resource.key} "${title}": ${message}`, {
      hint: known?.hint ?? "Mend the script, then run the same command again",
      details: { ...known?.details, resource: resource.key, provider: resource.provider.name },
      cause: error,
    });
  }
}
