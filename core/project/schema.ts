/**
 * The schema of forkstack.json: its types, its validation, and `forkstack.schema.json`.
 *
 * @module
 */
import * as v from "npm:valibot@1.5.0";
import {
  basePath,
  type Declared,
  declaredResources,
  declaredTitle,
  ENV_FILE_PATTERN,
  ForkstackError,
  type Kind,
  KINDS,
  NAME_PATTERN,
} from "../../mod.ts";
import type { Catalog } from "../catalog.ts";
import type { OptionsSchema, Provider } from "../provider.ts";
import { didYouMean } from "../text/did_you_mean.ts";
import { type GivenOptions, upgradedOptions } from "./older_options.ts";
import { registryUrlProblem } from "./registry_url.ts";
import { referenceProblem } from "./provider_reference.ts";
import { templateProblems } from "./templates.ts";

const name = v.pipe(
  v.string(),
  v.maxLength(63),
  v.regex(NAME_PATTERN, 'must be a name like "myapp": a-z, 0-9 and "-" inside'),
);
const one = v.looseObject({ provider: v.string() }); // the provider's own schema checks the rest, once it is loaded
const KIND = v.union([one, v.record(name, one)]);
const entry = v.optional(KIND);
const entries = Object.fromEntries(Object.keys(KINDS).map((kind) => [kind, entry])) as Record<Kind, typeof entry>;

/** The schema of forkstack.json, without the providers' own options. */
export const CONFIG = v.strictObject({
  $schema: v.optional(v.string()),
  project: name,
  stack: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(64))),
  parent: v.optional(name),
  protected: v.optional(v.array(name)),
  registry: v.optional(
    v.strictObject({
      url: v.pipe(
        v.string(),
        v.regex(/^(libsql|https?|file):/, "must be a libsql:, https:, http: or file: URL"),
        v.check((url) => registryUrlProblem(url) === undefined, ({ input }) => registryUrlProblem(input) ?? ""),
      ),
    }),
  ),
  /** The env file that holds forkstack's block; `false`: no file is written. */
  envFile: v.optional(
    v.union([
      v.literal(false),
      v.pipe(v.string(), v.regex(ENV_FILE_PATTERN)),
    ]),
  ),
  /** A command line that fills an environment without data; a shell runs it in the project's directory. */
  seed: v.optional(
    v.pipe(v.string(), v.regex(/^(?=.*\S)[^\p{C}]+$/u, 'must be a command line like "npm run seed"')),
  ),
  /** Further variables of each environment, shaped from others: `{"SQLALCHEMY_URL": "sqlite:///{DATABASE_PATH}"}`. */
  variables: v.optional(v.record(v.string(), v.string())),
  ttl: v.optional(v.pipe(v.string(), v.regex(/^\d+[mhdw]$/, 'must be a duration like "12h" or "3d"'))),
  ...entries,
});

/** A valid forkstack.json. */
export type Config = v.InferOutput<typeof CONFIG>;

/**
 * Parses and checks the text of a forkstack.json.
 *
 * @throws {ForkstackError} CONFIG_INVALID with the line and column, or the JSON path of every problem.
 */
export async function parseConfig(path: string, text: string, catalog: Catalog): Promise<Config> {
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch (error) {
    throw await notJson(path, text, error);
  }
  const problems = await problemsOf(CONFIG, input, "");
  if (typeof input === "object" && input !== null) {
    const told = await resourceProblems(input as Record<string, unknown>, catalog);
    problems.push(...told.map((text) => ({ text })), ...await variablesProblems(text, input, catalog));
  }
  if (problems.length > 0) throw invalid(path, problems, 'A minimal file is {"project": "myapp"}');
  return input as Config;
}

/** Lists the faults of `variables`, each with its line. */
async function variablesProblems(text: string, input: object, catalog: Catalog): Promise<Problem[]> {
  const found = await templateProblems(input as Record<string, unknown>, catalog);
  if (found.length === 0) return [];
  const { findNodeAtLocation, parseTree } = await import("npm:jsonc-parser@3.3.1");
  const tree = parseTree(text);
  return found.map(({ variable, text: fault, hint }) => {
    const { offset = 0 } = tree && findNodeAtLocation(tree, ["variables", variable]) || {};
    const name = `"variables.${variable.slice(0, 64)}"`;
    return { text: `line ${text.slice(0, offset).split("\n").length}: ${name} ${fault}`, hint };
  });
}

/** Pattern for a custom provider: a path, or a URL. */
const CUSTOM = /^(\.{1,2}\/|\/|[a-z]+:\/\/)/;

/** Fields that every entry of a kind may have in addition to its provider's options. */
const COMMON: Partial<Record<Kind, v.ObjectEntries>> = {
  database: {
    /** A script of SQL that runs on a new fork before anyone gets its URL: a path from here, or an https URL. */
    sanitize: v.optional(
      v.pipe(v.string(), v.regex(/^(?!http:|\s*$)/, "must be a path, or an https URL")),
    ),
  },
};

/** A name in `bases`: one line, no path that leads anywhere. */
const BASE = v.pipe(
  v.string(),
  v.maxLength(255),
  v.regex(/^(?!.*(?:^|\/)\.{0,2}(?:\/|$))(?!\s)[^\p{C}]+$/u, 'must be a name like "shop_production"'),
);

/** The options of every entry, beside its provider's own. */
function commonOf({ kind, baseSchema = BASE }: Pick<Provider, "kind" | "baseSchema">): v.ObjectEntries {
  const base = v.optional(baseSchema as v.GenericSchema);
  /** Existing resources by base environment: a name at the vendor, or a path on this machine. */
  return { ...COMMON[kind], bases: v.optional(v.strictObject({ prod: base, dev: base })) };
}

/** Parses an entry without its `provider`: the fields of every entry of the kind, and the provider's options. */
export async function parseResource(
  provider: Pick<Provider, "name" | "kind" | "options" | "baseSchema" | "upgradeOptions">,
  input: GivenOptions,
  key: string,
  path: string,
): Promise<{ options: unknown; sanitize?: string }> {
  const { options } = provider;
  const common = commonOf(provider);
  const schema = v.strictObject({ ...entriesOf(options), ...common });
  const isCommon = ([name]: [string, unknown]) => name in common;
  const own = Object.fromEntries(Object.entries(input).filter((one) => !isCommon(one)));
  const given = upgradedOptions(provider, own);
  const whole = { ...Object.fromEntries(Object.entries(input).filter(isCommon)), ...given };
  const problems = await problemsOf(schema, whole, key);
  if (problems.length > 0) {
    throw invalid(path, problems, keysHint(`options of ${provider.name}`, Object.keys(schema.entries)));
  }
  const shared = Object.entries(v.parse(schema, whole)).filter(isCommon);
  return { ...Object.fromEntries(shared), options: v.parse(options as v.GenericSchema, given) };
}

/** The options of a row, for today's version of the provider. */
export type RecordedOptions = {
  /** Options that the schema has parsed. */
  readonly options: unknown;
  /** The same options before parsing, with all host names complete. */
  readonly given: GivenOptions;
} | {
  readonly problem: string;
  /** The name of a required option that neither the row nor forkstack.json has. */
  readonly lacking?: string;
};

/**
 * Parses options that any version recorded, by today's schema: renamed options are upgraded, options that the provider
 * no longer has are left out, and newly required ones are taken from the entry in forkstack.json.
 *
 * @throws {ForkstackError} PROVIDER_INVALID if `upgradeOptions` throws or returns no object.
 */
export function recordedOptions(
  provider: Pick<Provider, "name" | "options" | "upgradeOptions">,
  recorded: GivenOptions,
  declared: GivenOptions = {},
): RecordedOptions {
  const { options } = provider;
  const [upgraded, present] = [upgradedOptions(provider, recorded), upgradedOptions(provider, declared)];
  const entries = entriesOf(options) as v.ObjectEntries | undefined; // a test's schema may take anything
  const lacking = entries === undefined ? [] : requiredOptions(options).filter((key) => upgraded[key] === undefined);
  const given = Object.fromEntries([
    ...Object.entries(upgraded).filter(([key]) => entries === undefined || Object.hasOwn(entries, key)),
    ...lacking.flatMap((key) => Object.hasOwn(present, key) ? [[key, present[key]]] : []),
  ]);
  const result = v.safeParse(options as v.GenericSchema, given);
  if (result.success) return { options: result.output, given };
  const [issue] = result.issues;
  const option = v.getDotPath(issue) ?? "";
  const problem = `option "${option}" ${issue.message}`;
  return lacking.includes(option) && given[option] === undefined ? { problem, lacking: option } : { problem };
}

/** Lists the names of the required options. */
export function requiredOptions(options: OptionsSchema<unknown>): string[] {
  return Object.entries(entriesOf(options)).filter(([, entry]) => !v.safeParse(entry, undefined).success)
    .map(([key]) => key);
}

/**
 * Returns an option's value from the text that the user typed: the text, or a number or boolean if the option takes no
 * text.
 */
export function typedOption(options: OptionsSchema<unknown>, key: string, text: string): unknown {
  const entry = entriesOf(options)[key];
  if (entry === undefined || v.is(entry, text)) return text;
  const value = /^(true|false|-?\d+(\.\d+)?)$/.test(text) ? JSON.parse(text) : text;
  return v.is(entry, value) ? value : text;
}

/** Returns the problem of an option's value; `undefined` if there is none. */
export function optionProblem(options: OptionsSchema<unknown>, key: string, value: unknown): string | undefined {
  const entry = entriesOf(options)[key];
  return entry === undefined ? undefined : v.safeParse(entry, value).issues?.[0]?.message;
}

function entriesOf(options: OptionsSchema<unknown>): v.ObjectEntries {
  return (options as unknown as { entries: v.ObjectEntries }).entries;
}

/** Returns the JSON Schema of forkstack.json, with the options of every provider in a catalog. */
export async function jsonSchema(catalog: Catalog): Promise<unknown> {
  const { toJsonSchema } = await import("npm:@valibot/to-json-schema@1.8.0");
  const kinds = await Promise.all(
    Object.entries(catalog.providers).map(async ([kind, providers]) => {
      const loaded = await Promise.all(
        Object.entries(providers).map(async ([name, load]) => {
          const { default: provider } = await load();
          const entries = { ...commonOf(provider), ...entriesOf(provider.options) };
          return v.strictObject({ provider: v.literal(name), ...entries });
        }),
      );
      const own = v.pipe(v.string(), v.regex(CUSTOM)); // its options are known to itself alone
      const any = v.union([...loaded, v.looseObject({ ...commonOf({ kind: kind as Kind }), provider: own })]);
      return [kind, v.optional(v.union([any, v.record(v.string(), any)]))] as const;
    }),
  );
  const whole = v.strictObject({ ...CONFIG.entries, ...Object.fromEntries(kinds) });
  return { ...toJsonSchema(whole, { errorMode: "ignore" }), title: "forkstack.json" };
}

async function notJson(path: string, text: string, cause: unknown): Promise<ForkstackError> {
  const problem = await jsonProblem(text, { isPlain: true }) ?? "not JSON";
  return new ForkstackError("CONFIG_INVALID", `Cannot read ${path}: ${problem}`, { hint: PLAIN_JSON, cause });
}

/** The hint for a file that must be plain JSON. */
export const PLAIN_JSON = "It must be plain JSON, without comments or trailing commas";

/** Returns line, column and reason if a text is not JSON; comments and trailing commas are allowed unless `isPlain`. */
export async function jsonProblem(text: string, { isPlain }: { isPlain: boolean }): Promise<string | undefined> {
  const { parse, printParseErrorCode } = await import("npm:jsonc-parser@3.3.1");
  const errors: import("npm:jsonc-parser@3.3.1").ParseError[] = [];
  parse(text, errors, { disallowComments: isPlain, allowTrailingComma: !isPlain });
  const [first] = errors;
  if (first === undefined) return undefined;
  const before = text.slice(0, first.offset).split("\n");
  const position = `line ${before.length}, column ${before[before.length - 1].length + 1}`;
  return `${position}: ${printParseErrorCode(first.error).replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase()}`;
}

/** A fault of a file, with a next step of its own where the general one says less. */
interface Problem {
  readonly text: string;
  readonly hint?: string;
}

function invalid(path: string, problems: readonly Problem[], hint: string): ForkstackError {
  const text = problems.map((one) => one.text).join("; ");
  return new ForkstackError("CONFIG_INVALID", `Cannot use ${path}: ${text}`, {
    hint: problems.find((one) => one.hint !== undefined)?.hint ?? hint,
  });
}

/** Returns the hint that names all keys of a part of the file: `The options of turso: organization, group, bases`. */
function keysHint(whose: string, known: readonly string[]): string {
  return `The ${whose}: ${known.join(", ")}`;
}

/**
 * Lists the problems of a value by a schema, each with its JSON path and, for an unknown key, the nearest known one.
 */
async function problemsOf(schema: v.GenericSchema, input: unknown, path: string): Promise<Problem[]> {
  const result = v.safeParse(schema, input);
  if (result.success) return [];
  const found = await Promise.all(result.issues.map(async (issue): Promise<Problem[]> => {
    const keys = (issue.path ?? []).map((item) => String(item.key));
    if (issue.type !== "union" || schema !== CONFIG || keys[0] === "envFile") {
      return [await problemOf(schema, issue, { path, keys })];
    }
    const value = issue.input; // a kind: tell what is wrong with the form that was meant
    const isMap = typeof value === "object" && value !== null && !("provider" in value);
    return await problemsOf(isMap ? v.record(name, one) : one, value, keys.join("."));
  }));
  return found.flat();
}

async function problemOf(
  schema: v.GenericSchema,
  issue: v.BaseIssue<unknown>,
  { path, keys }: { readonly path: string; readonly keys: readonly string[] },
): Promise<Problem> {
  const place = [path, ...keys].filter(Boolean).join(".");
  const at = place === "" ? "it" : `"${place}"`;
  if (issue.type === "strict_object" && issue.expected === "never") {
    if (path !== "" && keys[0] === "bases") {
      return { text: `${at} is of no base environment: ${basesExample(keys[1]!, issue.path?.at(-1)?.value)}` };
    }
    const known = keysAt(schema, keys.slice(0, -1));
    const text = `unknown key ${at}${await didYouMean(keys.at(-1) ?? "", known)}`;
    const inside = [path, ...keys.slice(0, -1)].filter(Boolean).join(".");
    if (inside === "") return { text, hint: keysHint("keys of forkstack.json", known) };
    return keys.length === 1 ? { text } : { text, hint: keysHint(`keys of "${inside}"`, known) };
  }
  if (/_object$/.test(issue.type) && issue.received === "undefined") return { text: `${at} is missing` };
  if (keys[0] === "envFile") {
    return { text: `${at} must name an env file of the project, like ".env", or be false` };
  }
  if (issue.type === "regex" || issue.type === "check") return { text: `${at} ${issue.message}` };
  return { text: `${at} must be ${issue.expected ?? "valid"}, not ${issue.received}` };
}

/** Lists the keys that an object in a schema may have, by the path that leads to it. */
function keysAt(schema: v.GenericSchema, path: readonly string[]): string[] {
  let at: unknown = schema;
  for (const key of path) at = objectOf(at)?.entries[key];
  return Object.keys(objectOf(at)?.entries ?? {});
}

function objectOf(schema: unknown): { readonly entries: v.ObjectEntries } | undefined {
  const { entries, wrapped } = schema as { entries?: v.ObjectEntries; wrapped?: unknown } ?? {};
  if (entries !== undefined) return { entries };
  return wrapped === undefined ? undefined : objectOf(wrapped);
}

/** Returns the replacement for a key that 0.1.0 took: the name of a cache or queue. */
function basesExample(key: string, value: unknown): string {
  return `the keys of "bases" are "prod" and "dev", like ${
    JSON.stringify({ [/-dev$/.test(key) ? "dev" : "prod"]: value })
  }`;
}

/** Returns the faults of `bases` that no provider takes. */
function basesProblem(one: Declared, project: string): string | undefined {
  const at = `"${[one.kind, one.name, "bases"].filter(Boolean).join(".")}"`;
  if (one.options.bases === undefined || !v.is(v.looseObject({}), one.options.bases)) return undefined;
  const [dev, prod] = ["dev", "prod"].map((env) => {
    try {
      return basePath(one, env, "/") ?? declaredTitle(one, project, env);
    } catch {
      return env; // told by the schema
    }
  });
  return dev === prod ? `${at} gives dev and prod the same ${one.kind}: ${JSON.stringify(dev)}` : undefined;
}

async function resourceProblems(input: Record<string, unknown>, { providers }: Catalog): Promise<string[]> {
  const problems: string[] = [];
  const kinds = (Object.keys(KINDS) as Kind[]).filter((kind) => input[kind] !== undefined && v.is(KIND, input[kind]));
  for (
    const { kind, name, provider, options } of declaredResources(
      Object.fromEntries(kinds.map((kind) => [kind, input[kind]])),
    )
  ) {
    const at = `"${[kind, name, "provider"].filter(Boolean).join(".")}"`;
    const problem = basesProblem({ kind, name, provider, options }, String(input.project));
    if (problem !== undefined) problems.push(problem);
    if (CUSTOM.test(provider)) {
      const problem = referenceProblem(provider);
      if (problem !== undefined) problems.push(`${at} ${problem}`);
    } else if (kinds.length > 0 && !Object.hasOwn(providers[kind], provider) && provider !== "undefined") {
      const known = Object.keys(providers[kind]);
      const meant = await didYouMean(provider, known);
      problems.push(
        `${at} names no ${kind} provider: "${provider}"${
          meant || `; there is ${known.map((one) => `"${one}"`).join(", ")}`
        }`,
      );
    }
  }
  for (const kind of kinds) {
    const names = Object.keys(input[kind] as object);
    if ("provider" in (input[kind] as object)) continue;
    if (names.length === 0) problems.push(`"${kind}" must name a provider`);
    for (const a of names) {
      // `a` of environment "b-x" and `a-b` of environment "x" would have one name
      const b = names.find((other) => other.startsWith(`${a}-`));
      if (b !== undefined) problems.push(`"${kind}.${a}" and "${kind}.${b}" would give two resources one name`);
    }
  }
  return problems;
}
