/**
 * Checks on everything that a provider returns: a vendor's answer is untrusted data, and facts about a fork go on into
 * the registry, into paths and onto terminals.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";
import type { Context, Fork, Held, Inspection, Outputs, Provider, Replacement, Scope, Target } from "../provider.ts";
import { isMarker } from "../marker.ts";
import { Secret } from "../secret.ts";
import { quoted } from "../text/printable.ts";
import { isCopy, isInstant, isLine } from "../text/field_checks.ts";

/** More forks of one resource than any project has: beyond it the list counts as endless. */
const MOST_FORKS = 100_000;
const VARIABLE = /^(?!FORKSTACK_)[A-Za-z_][A-Za-z0-9_]{0,99}$/;

/** Returns a provider whose results are checked; an invalid one is `ANSWER_INVALID`. */
export function checked<Options>(provider: Provider<Options>): Provider<Options> {
  const { damage, execute, reset, keep, extend, remark, usage, permissions, secrets } = provider;
  const { credentialsHint, requestIdHeaders, upgradeOptions } = provider;
  const refuse: Refuse = (what, value) => invalid(provider, what, value);
  return {
    name: provider.name,
    aliases: provider.aliases,
    kind: provider.kind,
    title: provider.title,
    page: provider.page,
    capabilities: provider.capabilities,
    credentials: provider.credentials,
    variables: provider.variables,
    credentialsHint,
    requestIdHeaders,
    options: provider.options,
    baseSchema: provider.baseSchema,
    upgradeOptions: upgradeOptions?.bind(provider),
    inspect: async (context, target) => inspection(await provider.inspect(context, target), target, refuse),
    async create(context, target) {
      const created = await provider.create(context, target);
      forkOf(created, target, refuse);
      if (created.outputs === undefined) return created;
      return { ...created, outputs: declared(provider, created.outputs, refuse) };
    },
    async delete(context, fork, scope) {
      const state = await provider.delete(context, fork, scope);
      if (state !== "deleted" && state !== "absent") throw refuse("the end of a deletion", state);
      return state;
    },
    list: (context, scope) => listed(provider, context, scope, refuse),
    probe: (context, held, scope) => provider.probe(context, held, scope),
    damage: damage && (async (context, held, scope) => {
      const lines = await damage.call(provider, context, held, scope);
      const isText = Array.isArray(lines) && lines.every((line) => typeof line === "string");
      if (!isText) throw refuse("what is damaged", lines);
      return lines;
    }),
    async outputs(context, held, scope) {
      return declared(provider, await provider.outputs(context, held, scope), refuse);
    },
    secrets,
    permissions: permissions?.bind(provider),
    execute: execute?.bind(provider),
    import: provider.import?.bind(provider),
    sources: provider.sources,
    importHint: provider.importHint,
    extend: extend?.bind(provider),
    remark: remark?.bind(provider),
    usage: usage?.bind(provider),
    reset: reset && (async (context, fork, target) => {
      const given = await reset.call(provider, context, fork, target);
      return replacement(given, target, refuse);
    }),
    keep: keep && (async (context, fork, scope) => {
      const kept = await keep.call(provider, context, fork, scope);
      if (kept !== "absent") checkHeld(kept, refuse);
      return kept;
    }),
  };
}

type Refuse = (what: string, value: unknown) => ForkstackError;

function invalid({ name, kind }: Pick<Provider, "name" | "kind">, what: string, value: unknown): ForkstackError {
  return new ForkstackError("ANSWER_INVALID", `Cannot use an answer of ${name}: ${what} is ${quoted(value)}`, {
    hint: "Nothing was done with it. Check that `endpoint`, if forkstack.json has one, is the vendor's own API",
    details: { provider: name, resource: kind },
  });
}

function inspection(seen: Inspection, target: Target<unknown>, refuse: Refuse): Inspection {
  switch (seen?.state) {
    case "absent":
      return seen;
    case "foreign":
      if (!isLine(seen.id)) throw refuse("an id", seen.id);
      return seen;
    case "pending":
    case "ready":
    case "deleting":
      forkOf(seen.fork, target, refuse);
      return seen;
    default:
      throw refuse("the state of a resource", (seen as { state?: unknown } | undefined)?.state);
  }
}

/** Checks a fork against its target: the name, and the resource and environment in its marker. */
function forkOf(fork: Fork, { name, marker }: Target<unknown>, refuse: Refuse): Fork {
  checkFork(fork, refuse);
  if (fork.name !== name) throw refuse(`the name of "${name}"`, fork.name);
  for (const field of ["stack", "env", "resource"] as const) {
    if (fork.marker[field] !== marker[field]) throw refuse(`${field} in the mark of "${name}"`, fork.marker[field]);
  }
  return fork;
}

function checkFork(fork: Fork, refuse: Refuse): void {
  checkHeld(fork, refuse);
  const { parentId, createdAt, copy } = fork;
  if (parentId !== undefined && !isLine(parentId)) throw refuse("the id of a parent", parentId);
  if (!isInstant(createdAt)) throw refuse("the time of a creation", createdAt);
  if (copy !== undefined && !isCopy(copy)) throw refuse("the way of a copy", copy);
  if (!isMarker(fork.marker)) throw refuse(`the mark of "${fork.name}"`, "none of forkstack's");
}

/** Returns outputs as declared: a secret becomes a `Secret`, even if the provider returned plain text. */
function declared({ variables }: Pick<Provider, "variables">, outputs: Outputs, refuse: Refuse): Outputs {
  const entries = Object.entries(outputs).map(([name, value]): [string, string | Secret] => {
    if (!VARIABLE.test(name)) throw refuse("the name of a variable", name);
    if (!Object.hasOwn(variables, name)) throw refuse("a variable that it does not declare", name);
    if (value instanceof Secret) return [name, value];
    if (typeof value !== "string") throw refuse(`variable ${name}`, typeof value);
    return [name, variables[name]!.isSecret ? new Secret(value) : value];
  });
  return Object.fromEntries(entries);
}

function checkHeld(held: Held, refuse: Refuse): void {
  if (!isLine(held?.id)) throw refuse("an id", held?.id);
  if (!isLine(held.name, 255)) throw refuse("a name", held.name);
}

async function* listed<Options>(
  provider: Provider<Options>,
  context: Context,
  scope: Scope<Options>,
  refuse: Refuse,
): AsyncIterable<Fork> {
  let count = 0;
  for await (const fork of provider.list(context, scope)) {
    if (++count > MOST_FORKS) throw refuse("the number of forks", count);
    checkFork(fork, refuse);
    const { stack, resource } = fork.marker;
    if (stack !== scope.stack || resource !== scope.resource) throw refuse("the mark of a fork in a list", stack);
    yield fork;
  }
}

function replacement(given: Replacement, target: Target<unknown>, refuse: Refuse): Replacement {
  return {
    execute: given.execute?.bind(given),
    discard: () => given.discard(),
    commit: async () => forkOf(await given.commit(), target, refuse),
  };
}
