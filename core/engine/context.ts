/**
 * Contexts and targets that providers are called with.
 *
 * @module
 */
import { declaredResources, ForkstackError } from "../../mod.ts";
import type { Worker } from "../state/lock.ts";
import { memory } from "../system/memory.ts";
import { isMarker, parseMarker } from "../marker.ts";
import type { Context, Inspection, Inspector, Lease, Marker, Provider, Scope } from "../provider.ts";
import { REFUSED, TAKEN_OVER } from "../state/registry.ts";
import { FORGET } from "../state/rows.ts";
import { Secret } from "../secret.ts";
import { quoted, shown } from "../text/printable.ts";
import type { ResourceRow } from "../state/records.ts";
import { statements } from "../state/statements.ts";
import { isLine } from "../text/field_checks.ts";
import { answersTo, basesOf, keyOf, lackingCredentials, nameIn, type Resource } from "../project/project.ts";
import type { GivenOptions } from "../project/older_options.ts";
import type { Engine, Inspectable } from "./engine.ts";
import { isOrAre, listed } from "../text/phrases.ts";

/** Returns the scope of a resource, the same for every environment. */
export function scopeOf(
  engine: Engine,
  resource: Pick<Resource, "key" | "options">,
  expiresAt?: string,
): Scope<unknown> & Lease {
  const { project } = engine;
  const resourceName = nameIn(resource.key);
  return {
    expiresAt,
    options: resource.options,
    project: project.name,
    stack: project.stack,
    resource: resource.key,
    resourceName,
    root: project.stateRoot,
    bases: basesOf(project, resource.key),
  };
}

/** Returns the marker of one resource of one environment, for a new fork. */
export function markerOf(
  engine: Engine,
  of: Pick<ResourceRow, "env" | "key" | "title" | "operation">,
): Marker {
  const { project, registry } = engine;
  const { env, key: resource, operation, title: name } = of;
  return { stack: project.stack, env, resource, operation, name, registry: registry.id };
}

/** Returns the context that a provider gets for one resource of one environment. */
export function contextOf(
  engine: Engine,
  provider: Inspector,
  work: { worker?: Worker; marker?: Marker; rows?: readonly ResourceRow[] } = {},
): Context {
  const { world, registry } = engine;
  const { worker, marker, rows = [] } = work;
  const signal = worker?.signal ?? engine.signal;
  const rowOf = (name: string) => rows.find((one) => one.title === name && answersTo(provider, one.provider));
  const record = async (step: string, id: string) => {
    if (worker === undefined || marker === undefined) return;
    if (!isLine(id)) {
      throw new ForkstackError("ANSWER_INVALID", `Cannot use an answer of ${provider.name}: an id is ${quoted(id)}`);
    }
    await worker.write([statements.journal({ ...journalOf(engine, marker, step), phase: "record", id })]);
  };
  return {
    fetch: (request) => world.fetch(request, { before: worker?.fence, requestIdHeaders: provider.requestIdHeaders }),
    fence: worker?.fence ?? (() => Promise.resolve()),
    files: world.files,
    credentials: credentialsOf(engine, provider),
    signal,
    now: world.now,
    sleep: (ms) => world.sleep(ms, signal),
    warn: world.warn,
    progress: (text) => world.progress(marker?.resource ?? provider.kind, text),
    confirm: world.confirm,
    once: memory(),
    markerOf(name, note) {
      const found = parseMarker(note, name);
      if (!isMarker(found)) return undefined;
      if (found?.registry === undefined || !registry.owns(found)) return found;
      return { ...found, registry: registry.id }; // of one that this registry adopted, too
    },
    record,
    async recorded(name) {
      const row = rowOf(name);
      const whose = row === undefined ? marker : markerOf(engine, row);
      if (whose === undefined || whose.name !== name) return [];
      const told = await registry.recorded(whose.env, whose.resource, whose.operation);
      const all = row?.id === undefined ? told : [...told, { step: "create", id: row.id }];
      return all.map((one) => ({ ...one, marker: whose }));
    },
    refused: (name) => record(REFUSED, name),
    async takeOver(name, id, isEmpty) {
      if (marker === undefined || await registry.isRefused(marker.resource, marker.operation)) return false;
      if (!await isEmpty()) return false;
      world.warn(
        `Taken over: ${provider.name} "${name}" was empty, at a place where this run had lost the vendor's answer; nothing proves that it is ours`,
      );
      await record(TAKEN_OVER, id);
      return true;
    },
  };
}

function credentialsOf(engine: Engine, provider: Inspector): Record<string, Secret> {
  const lacking = unsetOf(engine, provider);
  if (lacking.length > 0) throw credentialsMissing(engine, provider, lacking);
  const found: Record<string, Secret> = {};
  for (const { variable } of provider.credentials) {
    const value = engine.world.read(variable);
    if (value) found[variable] = new Secret(value);
  }
  engine.world.secrets.push(...Object.values(found));
  return found;
}

function unsetOf(engine: Engine, { credentials }: Pick<Inspector, "credentials">): string[] {
  return lackingCredentials(credentials, (variable) => Boolean(engine.world.read(variable)));
}

/** The error for missing credentials; it also names those that other providers of the stack lack. */
function credentialsMissing(engine: Engine, provider: Inspector, lacking: readonly string[]): ForkstackError {
  const others = new Map(engine.resources.map(({ provider }) => [provider.name, unsetOf(engine, provider)]));
  others.delete(provider.name);
  const more = [...others].map(([name, variables]) =>
    [name, variables.filter((one) => !lacking.includes(one))] as const
  )
    .filter(([, variables]) => variables.length > 0)
    .map(([name, variables]) => `. ${name} needs ${listed(variables)}, too`);
  const hint = provider.credentialsHint === undefined ? "" : `: ${provider.credentialsHint}`;
  return new ForkstackError(
    "CREDENTIALS_MISSING",
    `Cannot use ${provider.name}: ${listed(lacking)} ${isOrAre(lacking)} not set`,
    {
      hint: `Set ${listed(lacking)} in the environment of this command${hint}${more.join("")}`,
      details: { provider: provider.name },
    },
  );
}

/** Returns the fields that all journal lines of one step share. */
export function journalOf(engine: Engine, marker: Marker, step: string) {
  return {
    operation: marker.operation,
    env: marker.env,
    resource: marker.resource,
    step,
    at: engine.world.now().toISOString(),
  };
}

/**
 * Looks for the fork of a resource at its vendor; for a base environment's resource too, which has no marker and no
 * row.
 */
export async function inspectResource(
  engine: Engine,
  resource: Inspectable,
  { env, title }: Pick<ResourceRow, "env" | "title">,
  rows: readonly ResourceRow[] = [],
): Promise<Inspection> {
  const marker = markerOf(engine, { env, key: resource.key, title, operation: "" });
  return await resource.provider.inspect(contextOf(engine, resource.provider, { rows }), {
    ...scopeOf(engine, resource),
    name: title,
    marker,
    begunAt: engine.world.now().toISOString(),
    heldId: rows.find((row) => row.title === title)?.id,
  });
}

/** Loads the provider of a recorded resource, whether or not forkstack.json still names it. */
async function providerOf(engine: Engine, row: ResourceRow): Promise<Provider> {
  const provider = await engine.world.provider(row.kind, row.provider);
  if (provider !== undefined) return provider;
  throw new ForkstackError(
    "PROVIDER_UNKNOWN",
    `Cannot reach ${row.key}: neither this forkstack nor forkstack.json has its provider "${row.provider}"`,
    {
      hint: "Use the forkstack version that created it, or name the provider's file in forkstack.json again",
    },
  );
}

/** Returns a recorded resource with its provider, and its options parsed by today's schema. */
export async function recordedResource(engine: Engine, row: ResourceRow): Promise<Resource> {
  const provider = await providerOf(engine, row);
  const recorded = row.options as GivenOptions;
  const parsed = await engine.world.recordedOptions(provider, recorded, declaredOptions(engine, row, provider));
  if ("problem" in parsed) throw unreadableOptions(row, provider, parsed);
  const { key, kind, name } = row;
  await engine.assertTrusted?.({ key, kind, options: parsed.given }, provider);
  return { key, kind, name, provider, options: parsed.options };
}

/** Returns the resource's options from forkstack.json, if it still names this provider. */
function declaredOptions({ project, resources }: Engine, { key }: ResourceRow, provider: Provider): GivenOptions {
  const declared = declaredResources(project.config).find(({ kind, name }) => keyOf(kind, name) === key);
  if (declared === undefined) return {};
  // A file that forkstack.json names has a name of its own, which is known once it is loaded.
  const by = resources.find((one) => one.key === key)?.provider.name ?? declared.provider;
  return answersTo(provider, by) ? declared.options : {};
}

function unreadableOptions(
  { key, env }: ResourceRow,
  { name }: Provider,
  { problem, lacking }: { readonly problem: string; readonly lacking?: string },
): ForkstackError {
  const details = { env, resource: key, provider: name };
  if (lacking === undefined) {
    return new ForkstackError(
      "REGISTRY_DAMAGED",
      `Cannot use ${key} of environment "${env}": its row in the registry is damaged: ${shown(problem)}`,
      { hint: FORGET, details },
    );
  }
  return new ForkstackError(
    "CONFIG_INVALID",
    `Cannot use ${key} of environment "${env}": provider "${name}" now needs "${lacking}", which an older forkstack ` +
      `did not record`,
    { hint: `Write ${key} with provider "${name}" and "${lacking}" into forkstack.json, as it was then`, details },
  );
}
