/**
 * What of its parent's secrets a fork never gets, and what it gets in their place: `exclude` and `override` of every
 * entry of `secrets` in forkstack.json.
 */
import * as v from "npm:valibot@1.5.0";
import { Secret } from "../../core/provider.ts";
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
   * What a fork gets in place of its parent's value. forkstack.json is no place for secrets: a text here is none, and
   * `{"from": "STRIPE_TEST_KEY"}` is the value that the parent has under another key.
   */
  override: v.optional(v.record(key, v.union([v.string(), v.strictObject({ from: key })]))),
};

/** The values of those options. */
export interface Policy {
  readonly exclude?: readonly string[] | undefined;
  readonly override?: Readonly<Record<string, string | { readonly from: string }>> | undefined;
}

/** Whether a fork is to differ from its parent at all. */
export function hasPolicy({ exclude = [], override = {} }: Policy): boolean {
  return exclude.length > 0 || Object.keys(override).length > 0;
}

/**
 * What a fork differs in from its parent's secrets: `null` for what it does not get.
 *
 * @throws {ForkstackError} SECRET_NOT_FOUND if an override is to come from a key that the parent has not.
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

/** Secrets after changes to them. */
function changed<Value>(
  secrets: Readonly<Record<string, Value>>,
  changes: Readonly<Record<string, Value | null>>,
): Record<string, Value> {
  const all = Object.entries<Value | null>({ ...secrets, ...changes });
  return Object.fromEntries(all.filter((entry): entry is [string, Value] => entry[1] !== null));
}

/** What makes `from` into `to`. */
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

/** A reset by values: what the parent holds, as the policy has it, in one go over what the fork holds. */
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
