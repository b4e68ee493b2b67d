/** Policy for the secrets of forks: `exclude` and `override` of every entry of `secrets` in forkstack.json. */
import * as v from "npm:valibot@1.5.0";
import { Secret } from "../../core/secret.ts";
import type { Context, Fork, Replacement, SecretsAccess, Target } from "../../core/provider.ts";
import { globMatcher } from "../../core/system/glob.ts";
import { ForkstackError } from "../../mod.ts";

const KEY = /^[A-Za-z_][A-Za-z0-9_]*$/;
const key = v.pipe(v.string(), v.regex(KEY, 'must be a key like "API_KEY"'));

/** Options that every provider of secrets has. */
export const policyOptions = {
  /** Keys that no fork gets, e.g. `"STRIPE_LIVE_*"`; `*` stands for any characters. */
  exclude: v.optional(v.array(v.pipe(v.string(), v.regex(/^[A-Za-z0-9_*]+$/, 'must be a key or "STRIPE_LIVE_*"')))),
  /**
   * Values that a fork gets in place of its parent's. forkstack.json must not contain secrets: a text here is public,
   * and `{"from": "STRIPE_TEST_KEY"}` is the parent's value under another key.
   */
  override: v.optional(v.record(key, v.union([v.string(), v.strictObject({ from: key })]))),
};

/** The values of those options. */
export interface Policy {
  readonly exclude?: readonly string[] | undefined;
  readonly override?: Readonly<Record<string, string | { readonly from: string }>> | undefined;
}

/** Returns true if a fork's secrets differ from its parent's. */
export function hasPolicy({ exclude = [], override = {} }: Policy): boolean {
  return exclude.length > 0 || Object.keys(override).length > 0;
}

/**
 * Returns the differences of a fork's secrets from its parent's; `null` for keys that it does not get.
 *
 * @throws {ForkstackError} SECRET_NOT_FOUND if the parent lacks the key of an override.
 */
export function policyChanges<Value>(
  policy: Policy,
  parents: Readonly<Record<string, Value>>,
  plain: (text: string) => Value,
  { provider, resource }: { readonly provider: string; readonly resource: string },
): Record<string, Value | null> {
  const changes: Record<string, Value | null> = {};
  const isExcluded = globMatcher(...policy.exclude ?? []);
  for (const one of Object.keys(parents)) if (isExcluded(one)) changes[one] = null;
  for (const [one, by] of Object.entries(policy.override ?? {})) {
    if (typeof by === "string") changes[one] = plain(by);
    else if (Object.hasOwn(parents, by.from)) changes[one] = parents[by.from]!;
    else {
      throw new ForkstackError("SECRET_NOT_FOUND", `Cannot override "${one}": the parent has no secret "${by.from}"`, {
        hint: `Set "${by.from}" in the parent, or correct "override" of ${resource} in forkstack.json`,
        details: { provider, resource },
      });
    }
  }
  return changes;
}

/** Returns secrets with changes applied. */
function changed<Value>(
  secrets: Readonly<Record<string, Value>>,
  changes: Readonly<Record<string, Value | null>>,
): Record<string, Value> {
  const all = Object.entries<Value | null>({ ...secrets, ...changes });
  return Object.fromEntries(all.filter((entry): entry is [string, Value] => entry[1] !== null));
}

/** Returns the changes that turn `from` into `to`. */
function difference(
  from: Readonly<Record<string, Secret>>,
  to: Readonly<Record<string, Secret>>,
): Record<string, Secret | null> {
  const changes: Record<string, Secret | null> = {};
  for (const one of Object.keys(from)) if (!Object.hasOwn(to, one)) changes[one] = null;
  for (const [one, value] of Object.entries(to)) {
    if (!Object.hasOwn(from, one) || from[one]!.reveal() !== value.reveal()) changes[one] = value;
  }
  return changes;
}

/** Prepares a reset by values: replaces all of the fork's secrets by the parent's under the policy, in one write. */
export function replacement<Options extends Policy>(
  context: Context,
  fork: Fork,
  target: Target<Options>,
  access: SecretsAccess<Options>,
  parents: Readonly<Record<string, Secret>>,
): Replacement {
  const scope = { provider: "secrets", resource: target.resource };
  const changes = policyChanges(target.options, parents, (text) => new Secret(text), scope);
  const wanted = changed(parents, changes);
  return {
    discard: () => Promise.resolve(),
    async commit() {
      await access.write(context, fork, target, difference(await access.read(context, fork, target), wanted));
      return { ...fork, copy: "full-copy" };
    },
  };
}
