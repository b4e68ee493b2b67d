/**
 * forkstack.json: found, parsed, checked against one schema, and joined with the providers it names.
 *
 * @module
 */
import { join, resolve } from "node:path";
import * as v from "valibot";
import {
  declaredResources,
  envNameOf,
  findUpwards,
  ForkstackError,
  type Kind,
  NAME_PATTERN,
  parseEnvName,
  resourceTitle,
  stateRoot,
} from "../mod.ts";
import { PROVIDERS } from "../providers/mod.ts";
import { files } from "./files.ts";
import type { Provider } from "./provider.ts";

const name = v.pipe(
  v.string(),
  v.maxLength(63),
  v.regex(NAME_PATTERN, 'must be a name like "myapp": a-z, 0-9 and "-" inside'),
);
const one = v.looseObject({ provider: v.string() }); // the provider's own schema checks the rest, once it is loaded
const kind = v.union([one, v.record(name, one)]);

/** The schema of forkstack.json, but for the providers' own options. */
export const CONFIG = v.strictObject({
  $schema: v.optional(v.string()),
  project: name,
  stack: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(64))),
  parent: v.optional(name),
  protected: v.optional(v.array(name)),
  registry: v.optional(
    v.strictObject({
      url: v.pipe(v.string(), v.regex(/^(libsql|https?|file):/, "must be a libsql:, https:, http: or file: URL")),
    }),
  ),
  ttl: v.optional(v.pipe(v.string(), v.regex(/^\d+[mhdw]$/, 'must be a duration like "12h" or "3d"'))),
  database: v.optional(kind),
  storage: v.optional(kind),
  secrets: v.optional(kind),
  cache: v.optional(kind),
  queue: v.optional(kind),
  local: v.optional(kind),
});

/** What forkstack.json says, checked. */
export type Config = v.InferOutput<typeof CONFIG>;

/** The environments that always count as there, whoever made what they hold. */
export const BASE_ENVS: readonly string[] = ["dev", "prod"];

/** A resource that the stack declares, with its provider loaded. */
export interface Resource {
  /** `"database"`, or with a name `"storage.uploads"`. */
  readonly key: string;
  readonly kind: Kind;
  readonly name?: string;
  // deno-lint-ignore no-explicit-any -- each provider has its own options' type
  readonly provider: Provider<any>;
  readonly options: unknown;
}

/** A project: its directory and what it declares. */
export interface Project {
  /** The directory of forkstack.json. */
  readonly root: string;
  /** The directory that holds `.forkstack/`: the main git worktree's. */
  readonly stateRoot: string;
  readonly name: string;
  /** What the markers carry: `stack` of forkstack.json, or the project's name. */
  readonly stack: string;
  readonly config: Config;
  /** There is no forkstack.json yet; `new` writes it. */
  readonly isNew: boolean;
}

/** Finds the project of a directory. Without a forkstack.json upwards it is `"missing"`, or with `init` a new one here. */
export async function openProject(cwd: string, options: { init: boolean }): Promise<Project> {
  const root = findUpwards(cwd, "forkstack.json");
  if (root === undefined && !options.init) {
    throw new ForkstackError("CONFIG_MISSING", `Cannot find forkstack.json in "${cwd}" or above`, {
      hint:
        'Go to your project, or begin one here with `forkstack new <env>`, or write {"project": "myapp"} to forkstack.json',
    });
  }
  const config = root === undefined
    ? { project: envNameOf(resolve(cwd).split(/[/\\]/).pop() ?? "") || "app" }
    : await parseConfig(join(root, "forkstack.json"));
  const at = root ?? resolve(cwd);
  const stack = config.stack ?? config.project;
  return { root: at, stateRoot: stateRoot(at), name: config.project, stack, config, isNew: root === undefined };
}

async function parseConfig(path: string): Promise<Config> {
  const text = await files.read(path) ?? "";
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch (error) {
    throw await notJson(path, text, error);
  }
  const problems = [...await problemsOf(CONFIG, input, "")];
  if (typeof input === "object" && input !== null) {
    problems.push(...await resourceProblems(input as Record<string, unknown>));
  }
  if (problems.length > 0) throw invalid(path, problems);
  return input as Config;
}

async function notJson(path: string, text: string, cause: unknown): Promise<ForkstackError> {
  const { parse, printParseErrorCode } = await import("jsonc-parser");
  const errors: import("jsonc-parser").ParseError[] = [];
  parse(text, errors, { disallowComments: true });
  const first = errors[0] ?? { error: 0, offset: text.length };
  const before = text.slice(0, first.offset).split("\n");
  const position = `line ${before.length}, column ${before[before.length - 1].length + 1}`;
  const what = errors.length === 0
    ? "not JSON"
    : printParseErrorCode(first.error).replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return new ForkstackError("CONFIG_INVALID", `Cannot read ${path}: ${position}: ${what}`, {
    hint: "It must be plain JSON, without comments or trailing commas",
    cause,
  });
}

function invalid(path: string, problems: string[]): ForkstackError {
  return new ForkstackError("CONFIG_INVALID", `Cannot use ${path}: ${problems.join("; ")}`, {
    hint: 'A minimal one is {"project": "myapp"}',
  });
}

/** What a schema has against a value, each with its JSON path and, for an unknown key, the nearest known one. */
async function problemsOf(schema: v.GenericSchema, input: unknown, path: string): Promise<string[]> {
  const result = v.safeParse(schema, input);
  if (result.success) return [];
  return await Promise.all(result.issues.map(async (issue) => {
    const keys = (issue.path ?? []).map((item) => String(item.key));
    const at = `"${[path, ...keys].filter(Boolean).join(".")}"`;
    if (issue.type === "strict_object" && issue.expected === "never") {
      const known = Object.keys((schema as unknown as { entries?: object }).entries ?? {});
      return `unknown key ${at}${await didYouMean(keys[keys.length - 1] ?? "", known)}`;
    }
    if (issue.type === "strict_object" && issue.received === "undefined") return `${at} is missing`;
    if (issue.type === "regex") return `${at} ${issue.message}`;
    return `${at} must be ${issue.expected ?? "valid"}, not ${issue.received}`;
  }));
}

async function resourceProblems(input: Record<string, unknown>): Promise<string[]> {
  const problems: string[] = [];
  const kinds = (Object.keys(PROVIDERS) as Kind[]).filter((kind) =>
    typeof input[kind] === "object" && input[kind] !== null
  );
  for (
    const { kind, name, provider } of declaredResources(Object.fromEntries(kinds.map((kind) => [kind, input[kind]])))
  ) {
    const at = `"${[kind, name, "provider"].filter(Boolean).join(".")}"`;
    if (kinds.length > 0 && PROVIDERS[kind][provider] === undefined && provider !== "undefined") {
      const known = Object.keys(PROVIDERS[kind]);
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

/** `; did you mean "x"?`, or nothing. */
export async function didYouMean(word: string, known: readonly string[]): Promise<string> {
  const near = await nearest(word, known);
  return near.length === 0 ? "" : `; did you mean ${near.map((one) => `"${one}"`).join(" or ")}?`;
}

/** The known words nearest to a mistyped one, best first. */
export async function nearest(word: string, known: readonly string[]): Promise<string[]> {
  const { distance } = await import("fastest-levenshtein");
  return known
    .map((one) => ({ one, far: one.startsWith(word) || word.startsWith(one) ? 1 : distance(word, one) }))
    .filter(({ one, far }) =>
      far <= Math.max(1, Math.floor(Math.max(word.length, one.length) / 2) - 1, one.length > 3 ? 2 : 1)
    )
    .sort((a, b) => a.far - b.far || a.one.localeCompare(b.one))
    .slice(0, 3)
    .map(({ one }) => one);
}

/** Loads the providers of the stack and checks their options. */
export async function loadResources(project: Project): Promise<Resource[]> {
  const resources = await Promise.all(
    declaredResources(project.config).map(async (declared) => {
      const { default: provider } = await PROVIDERS[declared.kind][declared.provider]();
      const key = [declared.kind, declared.name].filter(Boolean).join(".");
      const { provider: _, ...options } = declared.options;
      const problems = await problemsOf(provider.options, options, key);
      if (problems.length > 0) throw invalid(join(project.root, "forkstack.json"), problems);
      return { key, kind: declared.kind, name: declared.name, provider, options: v.parse(provider.options, options) };
    }),
  );
  return resources.sort((a, b) => a.key.localeCompare(b.key));
}

/** The name that a resource has in an environment, checked against what the vendor accepts. */
export function titleOf(project: Project, resource: Resource, env: string): string {
  const title = resourceTitle(resource.kind, project.name, env, resource.name);
  const { maxLength, pattern } = resource.provider.capabilities.name;
  if (title.length <= maxLength && pattern.test(title)) return title;
  throw new ForkstackError(
    "NAME_INVALID",
    `Cannot name ${resource.key} "${title}": ${resource.provider.name} takes up to ${maxLength} characters like ${pattern.source}`,
    {
      hint: "Choose a shorter environment name",
      details: { env, resource: resource.key, provider: resource.provider.name },
    },
  );
}

/** The environments that can't be deleted, reset or pruned. */
export function protectedEnvs(project: Project): readonly string[] {
  return [...new Set([...BASE_ENVS, ...(project.config.protected ?? [])])];
}

/** What a new environment forks: `--from`, then `parent` of forkstack.json, then `prod`, or `dev` for an embedded stack. */
export function parentOf(project: Project, resources: readonly Resource[], from: string | undefined): string {
  if (from !== undefined) return parseEnvName(from, "the parent of --from");
  if (project.config.parent !== undefined) return parseEnvName(project.config.parent, '"parent" of forkstack.json');
  return resources.every(({ provider }) => provider.capabilities.parentMayBeAbsent) ? "dev" : "prod";
}
