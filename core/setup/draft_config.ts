/**
 * Creation of a forkstack.json from a stack's name: its providers, the options given for them, and those still missing.
 *
 * @module
 */
import { declaredResources, ForkstackError, type Kind, KINDS } from "../../mod.ts";
import { variable } from "../system/host.ts";
import type { Catalog } from "../catalog.ts";
import type { Provider } from "../provider.ts";
import { optionProblem, requiredOptions, typedOption } from "../project/schema.ts";
import { embeddedStack } from "./propose.ts";
import { didYouMean } from "../text/did_you_mean.ts";
import { isOrAre, listed } from "../text/phrases.ts";

/** The provider of each kind. */
export type Providers = Readonly<Partial<Record<Kind, string>>>;
/** An unfinished forkstack.json, not yet checked as a whole. */
type Draft = Record<string, unknown>;

/** An option that needs a value, or that most projects set. */
export interface Gap {
  /** Its path in forkstack.json: `["database", "organization"]`. */
  readonly kind: Kind;
  readonly option: string;
  readonly ask: string;
  readonly example: string;
  /** The suggested value. */
  readonly initial?: string;
  /** Returns the problem of an answer; `undefined` if there is none. */
  readonly check: (text: string) => string | undefined;
}

/** Returns the providers of a stack by its name: a known one, or providers' own names joined: `postgres-s3`. */
export async function providersOf(catalog: Catalog, stack: string): Promise<Providers> {
  const { stacks } = await catalog.presets();
  const known = Object.hasOwn(stacks, stack) ? stacks[stack]!.providers : parts(catalog, stack, {});
  if (known !== undefined) return known;
  const near = await didYouMean(stack, Object.keys(stacks));
  throw new ForkstackError(
    "USAGE",
    `Cannot set up stack ${JSON.stringify(stack.slice(0, 80))}: there is no such stack${near}`,
    {
      hint: `The stacks: ${Object.keys(stacks).join(", ")}; or join names of providers: postgres-s3-vault`,
    },
  );
}

/** Splits a text into names of providers of different kinds, joined by dashes. */
function parts(catalog: Catalog, text: string, found: Providers): Providers | undefined {
  for (const [kind, providers] of Object.entries(catalog.providers)) {
    if (kind in found) continue;
    for (const name of Object.keys(providers)) {
      if (text !== name && !text.startsWith(`${name}-`)) continue;
      const now = { ...found, [kind]: name };
      const all = text === name ? now : parts(catalog, text.slice(name.length + 1), now);
      if (all !== undefined) return all;
    }
  }
  return undefined;
}

/** Returns true for the embedded stack, which forkstack.json need not name. */
function isEmbedded(providers: Providers): boolean {
  return Object.entries(providers).every(([kind, name]) => KINDS[kind as Kind].embedded?.provider === name);
}

/** Returns the kinds to write to forkstack.json: if one is named, the embedded others must be named too. */
function kindsToWrite(providers: Providers, isNamed: boolean): Providers {
  if (!isEmbedded(providers)) return providers;
  return isNamed ? { ...embeddedStack(), ...providers } : {};
}

/** Returns a forkstack.json with these providers and the values of `--set`: `["database.organization=acme"]`. */
export async function draftOf(
  catalog: Catalog,
  { begin, providers, settings }: {
    readonly begin: Readonly<Record<string, string>>;
    readonly providers: Providers;
    readonly settings: readonly string[];
  },
): Promise<Draft> {
  const set = settings.map(parseSetting);
  const draft: Draft = { ...begin };
  const isNamed = set.some(({ path }) => path.length > 1);
  for (const [kind, provider] of Object.entries(kindsToWrite(providers, isNamed))) draft[kind] = { provider };
  set.sort((a, b) => Number(b.path[1] === "provider") - Number(a.path[1] === "provider"));
  for (const { path: [first, second], value } of set) {
    if (second === undefined) draft[first!] = value;
    else {
      const entry = (draft[first!] ??= {}) as Draft;
      const provider = second === "provider" ? undefined : await loaded(catalog, first as Kind, entry.provider);
      entry[second] = provider === undefined ? value : typedOption(provider.options, second, value);
    }
  }
  return draft;
}

function parseSetting(text: string): { path: string[]; value: string } {
  const [, place, value] = /^([a-z]\w*(?:\.[a-z]\w*)?)=(.+)$/is.exec(text) ?? [];
  const path = place?.split(".") ?? [];
  const isPlace = path.length === (path[0]! in KINDS ? 2 : 1) || path[0] === "registry";
  if (place !== undefined && isPlace && !path.some((part) => part in {})) return { path, value: value! };
  const shown = JSON.stringify(text.replace(/=.*/s, "=…").slice(0, 80)); // the value may be a secret
  throw new ForkstackError("USAGE", `Cannot use --set ${shown}: it is not a key of forkstack.json with a value`, {
    hint: "For example --set database.organization=acme",
  });
}

/** Lists the options that are still missing in a draft, in the order of forkstack.json. */
export async function gapsOf(catalog: Catalog, draft: Draft): Promise<Gap[]> {
  const { questions } = await catalog.presets();
  const gaps: Gap[] = [];
  for (const kind of Object.keys(KINDS) as Kind[]) {
    const entry = draft[kind] as Draft | undefined;
    const provider = await loaded(catalog, kind, entry?.provider);
    if (entry === undefined || provider === undefined) continue;
    const asked = questions[provider.name] ?? {};
    for (const option of new Set([...Object.keys(asked), ...requiredOptions(provider.options)])) {
      if (entry[option] !== undefined) continue;
      const { ask = `${provider.name}: ${option}`, example = "…", ...by } = asked[option] ?? {};
      const initial = (by.variable && variable(by.variable)) ?? by.value ??
        (by.isProject ? draft.project as string : undefined);
      const check = (text: string) =>
        optionProblem(provider.options, option, typedOption(provider.options, option, text));
      const isFit = initial !== undefined && check(initial) === undefined;
      gaps.push({ kind, option, ask, example, check, initial: isFit ? initial : undefined });
    }
  }
  return gaps;
}

/** Writes an answer into a draft. */
export async function fill(
  catalog: Catalog,
  draft: Draft,
  { kind, option, answer }: Pick<Gap, "kind" | "option"> & { readonly answer: string },
): Promise<void> {
  const entry = draft[kind] as Draft;
  const provider = await loaded(catalog, kind, entry.provider);
  entry[option] = provider === undefined ? answer : typedOption(provider.options, option, answer);
}

/** The error for missing options. */
export function missingOptions(stack: string, gaps: readonly Gap[]): ForkstackError {
  const names = gaps.map(({ kind, option }) => `${kind}.${option}`);
  const flags = gaps.map(({ kind, option, example }) => `--set ${kind}.${option}=${example}`).join(" ");
  const what = gaps.map(({ ask }) => ask).join("; ");
  return new ForkstackError("USAGE", `Cannot set up ${stack}: ${listed(names)} ${isOrAre(names)} not given`, {
    hint: `Add ${flags} (${what})`,
  });
}

/** Returns the path at which a forkstack.json differs from the request; `undefined` if nowhere. */
export async function contradiction(
  catalog: Catalog,
  config: Readonly<Record<string, unknown>>,
  wanted: { readonly project?: string; readonly stack?: string; readonly settings: readonly string[] },
): Promise<string | undefined> {
  const there = declaredResources(config);
  const providers = wanted.stack === undefined ? {} : await providersOf(catalog, wanted.stack);
  if (wanted.stack !== undefined && isEmbedded(providers)) {
    const other = there.find(({ kind, provider }) => KINDS[kind].embedded?.provider !== provider);
    if (other !== undefined) return [other.kind, other.name, "provider"].filter(Boolean).join(".");
  }
  for (const [kind, provider] of Object.entries(providers)) {
    if (!there.some((one) => one.kind === kind && one.provider === provider)) return `${kind}.provider`;
  }
  if (wanted.project !== undefined && wanted.project !== config.project) return "project";
  for (const { path: [first, second], value } of wanted.settings.map(parseSetting)) {
    const one = there.find(({ kind, name }) => kind === first && name === undefined);
    const found = second === undefined ? config[first!] : one?.options[second] ??
      (second === "provider" ? one?.provider : undefined);
    if (String(found) !== value) return [first, second].filter(Boolean).join(".");
  }
  return undefined;
}

// deno-lint-ignore no-explicit-any -- each provider has its own options' type
async function loaded(catalog: Catalog, kind: Kind, name: unknown): Promise<Provider<any> | undefined> {
  const providers = catalog.providers[kind] as Catalog["providers"][Kind] | undefined;
  if (typeof name !== "string" || providers === undefined || !Object.hasOwn(providers, name)) return undefined;
  return (await providers[name]!()).default;
}
