/**
 * States of a checkout and its process for the property test of the guard, and the environment that the user means in
 * each.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "npm:fast-check@4.10.2";
import { fileUrl, formatEnvLine, parseEnvFile } from "../mod.ts";
import { envFile } from "./runtime_helpers.ts";

export const ENVS = ["alice", "bob", "prod", "dev"] as const;
const ALIASES: Readonly<Record<string, string>> = { production: "prod", development: "dev" };

/** Variables whose values contain the name of their environment. */
export const TAGGED = [
  "DATABASE_URL",
  "DATABASE_AUTH_TOKEN",
  "UPLOADS_BUCKET_NAME",
  "AWS_REGION",
  "CACHE_URL",
  "API_KEY",
] as const;
type Tagged = (typeof TAGGED)[number];

/** The style of values: Bun and python-dotenv change the second on its way into the process. */
type Style = "plain" | "fragile";

export function tag(whose: string, variable: string, style: Style): string {
  return style === "plain" ? `<${whose}>${variable}` : `<${whose}>$${variable}\\`;
}

/** A state of a checkout and its process. */
export interface World {
  readonly layout: "plain" | "main" | "linked" | "nested" | "bare" | "submodule";
  /** Origin of the files that point the directory at an environment. */
  readonly history: "made here" | "moved" | "mounted elsewhere" | "copied whole" | "pointers copied";
  readonly ENV?: string;
  readonly FORKSTACK_ENV?: string;
  readonly pointer?: string;
  readonly block?: string;
  /** A person's own lines of `.env.local`. */
  readonly mine: readonly Tagged[];
  readonly kept: readonly string[];
  readonly hasRegistry: boolean;
  readonly style: Style;
  /** Variables that the process inherited, each with its owner. */
  readonly inherited: readonly { readonly variable: Tagged; readonly whose: string; readonly isStale: boolean }[];
  /** An env file that was loaded before the start; `"changed"`: with `$` expanded, as Bun does. */
  readonly loading: "none" | "exact" | "changed" | "alice's own" | "bob's own";
  /** The environment, if `forkstack run <env>` started the program. */
  readonly run?: string;
  readonly provider: "sqlite" | "postgres";
}

const env = fc.constantFrom(...ENVS);
const maybe = <T>(one: fc.Arbitrary<T>, freq = 2) => fc.option(one, { nil: undefined, freq });

export const world = fc.record({
  layout: fc.constantFrom("plain", "main", "linked", "nested", "bare", "submodule"),
  history: fc.constantFrom("made here", "made here", "moved", "mounted elsewhere", "copied whole", "pointers copied"),
  ENV: maybe(fc.oneof({ weight: 8, arbitrary: env }, fc.constantFrom("production", "", "NOT legal")), 1),
  FORKSTACK_ENV: maybe(fc.oneof({ weight: 8, arbitrary: env }, fc.constantFrom("development", "", "../x")), 1),
  pointer: maybe(fc.oneof({ weight: 12, arbitrary: env }, fc.constantFrom("", "production", "\0\xff"))),
  block: maybe(env),
  mine: fc.oneof(fc.constant([]), fc.subarray([...TAGGED])),
  kept: fc.oneof({ weight: 2, arbitrary: fc.constant([...ENVS]) }, fc.subarray([...ENVS])),
  hasRegistry: fc.boolean(),
  style: fc.constantFrom<Style>("plain", "fragile"),
  inherited: fc.oneof(
    fc.constant([]),
    fc.uniqueArray(fc.record({ variable: fc.constantFrom(...TAGGED), whose: env, isStale: fc.boolean() }), {
      selector: (one) => one.variable,
      maxLength: 3,
    }),
  ),
  loading: fc.constantFrom("none", "none", "none", "exact", "changed", "alice's own", "bob's own"),
  run: maybe(env, 1),
  provider: fc.constantFrom("sqlite", "postgres"),
}) as fc.Arbitrary<World>;

/** A world that was written to disk. */
export interface Laid {
  readonly cwd: string;
  /** Directory of the state, now and when the files were written. */
  readonly state: string;
  readonly process: Readonly<Record<string, string>>;
}

const isLinked = ({ layout }: World) => layout === "linked" || layout === "nested" || layout === "bare";

/** Writes a world to an empty directory. */
export function layDown(it: World, root: string): Laid {
  const write = (path: string, text: string) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  };
  const { cwd, state } = placesOf(it, root, write);
  const other = join(root, "other");
  const written = it.history === "made here"
    ? cwd
    : it.history === "mounted elsewhere"
    ? "/nowhere/shop"
    : isLinked(it) && it.history === "pointers copied"
    ? join(root, it.layout === "bare" ? "one" : "main")
    : other;
  // Where the embedded database was as the files were written.
  const then = it.history === "made here" || isLinked(it) ? state : written;
  const config = JSON.stringify({
    project: "myapp",
    database: { provider: it.provider },
    storage: { uploads: { provider: "s3" } },
    secrets: { provider: "env-file" },
    variables: { SHAPED_URL: "{{{FORKSTACK_ENV}}}+{DATABASE_URL|rest}" },
  });
  write(join(cwd, "forkstack.json"), config);
  if (it.pointer !== undefined) write(join(cwd, ".current-env"), it.pointer);
  const local = localOf(it, written, then);
  if (local !== "") write(join(cwd, ".env.local"), local);
  for (const one of it.kept) write(join(state, ".forkstack/envs", `${one}.env`), envFile(variablesOf(it, one, then)));
  if (it.hasRegistry) write(join(state, ".forkstack/registry.db"), "");
  const secrets = (at: string, whose: (one: string) => string) => {
    for (const one of ENVS) {
      write(join(at, ".forkstack/secrets", `${one}.env`), envFile({ API_KEY: tag(whose(one), "API_KEY", it.style) }));
    }
  };
  secrets(state, (one) => one);
  if (it.history === "copied whole" || it.history === "pointers copied") {
    // The original: on whatever it was, with state of its own, which no copy may read.
    write(join(written, ".current-env"), it.pointer ?? "alice\n");
    write(join(written, "forkstack.json"), config);
    if (!isLinked(it)) {
      write(join(written, ".forkstack/registry.db"), "");
      secrets(written, () => "original");
    }
  }
  return { cwd, state, process: processOf(it, local, then) };
}

function placesOf(it: World, root: string, write: (path: string, text: string) => void) {
  const at = (path: string) => join(root, path);
  const link = (common: string, tree: string, id = "w") => {
    write(at(`${common}/worktrees/${id}/commondir`), "../..\n");
    write(at(`${common}/worktrees/${id}/gitdir`), `${at(tree)}/.git\n`);
    write(at(`${tree}/.git`), `gitdir: ${at(common)}/worktrees/${id}\n`);
    write(at(`${common}/HEAD`), "ref: refs/heads/main\n");
  };
  switch (it.layout) {
    case "plain":
      mkdirSync(at("shop"), { recursive: true });
      return { cwd: at("shop"), state: at("shop") };
    case "main":
      write(at("shop/.git/HEAD"), "ref: refs/heads/main\n");
      return { cwd: at("shop"), state: at("shop") };
    case "linked":
      link("main/.git", "w");
      return { cwd: at("w"), state: at("main") };
    case "nested":
      link("main/.git", "main/w");
      write(at("main/forkstack.json"), '{"project": "myapp"}');
      write(at("main/.current-env"), "bob\n"); // of the checkout around it
      return { cwd: at("main/w"), state: at("main") };
    case "bare":
      link("bare", "w");
      link("bare", "one", "one");
      write(at("bare/config"), "[core]\n\tbare = true\n");
      return { cwd: at("w"), state: at("bare") };
    case "submodule":
      write(at("super/forkstack.json"), '{"project": "myapp"}');
      write(at("super/.current-env"), "bob\n");
      write(at("super/.git/modules/sub/HEAD"), "ref: refs/heads/main\n");
      write(at("super/sub/.git"), "gitdir: ../.git/modules/sub\n");
      return { cwd: at("super/sub"), state: at("super/sub") };
  }
}

/** Returns the file of an environment, as it was written. */
function variablesOf(it: World, whose: string, then: string): Record<string, string> {
  const own = Object.fromEntries(TAGGED.map((name) => [name, valueOf(it, name, whose, then)]));
  return { FORKSTACK_ENV: whose, FORKSTACK_PROJECT: "myapp", ...own };
}

function valueOf(it: World, name: Tagged, whose: string, state: string): string {
  return name === "DATABASE_URL" && it.provider === "sqlite" ? databaseUrl(state, whose) : tag(whose, name, it.style);
}

/** Returns the URL of the embedded database of an environment. */
export function databaseUrl(state: string, whose: string): string {
  return fileUrl(join(state, ".forkstack/sqlite", whose === "prod" ? "myapp.db" : `myapp-${whose}.db`));
}

function localOf(it: World, written: string, then: string): string {
  const person = it.mine.map((name) => `${formatEnvLine(name, tag("mine", name, it.style))}\n`).join("");
  if (it.block === undefined) return person;
  const marker = `# >>> forkstack ${JSON.stringify({ directory: written })}\n`;
  return `${marker}${envFile(variablesOf(it, it.block, then))}# <<< forkstack\n${person}`;
}

/** Returns the process environment with which a program of this world starts. */
function processOf(it: World, local: string, then: string): Record<string, string> {
  const process: Record<string, string> = {};
  if (it.ENV !== undefined) process.ENV = it.ENV;
  if (it.FORKSTACK_ENV !== undefined) process.FORKSTACK_ENV = it.FORKSTACK_ENV;
  for (const { variable, whose, isStale } of it.inherited) {
    process[variable] = isStale ? valueOf(it, variable, whose, then) : tag(whose, variable, it.style);
  }
  if (it.run !== undefined) {
    Object.assign(process, { FORKSTACK_ENV: it.run, FORKSTACK_PROJECT: "myapp", FORKSTACK_RUN: `${it.run} CACHE_URL` });
    process.CACHE_URL = tag(it.run, "CACHE_URL", it.style);
  }
  const own = /^(\w+)'s own$/.exec(it.loading)?.[1];
  const file = own !== undefined ? envFile(variablesOf(it, own, then)) : it.loading === "none" ? "" : local;
  for (const [name, value] of Object.entries(parseEnvFile(file))) {
    process[name] ??= it.loading === "changed" ? value.replace(/\$.*/, "") : value; // what was there stays
  }
  return process;
}

/** The environment that the user means in a world, judged by its history and not by its files. */
export interface Meaning {
  /** The environment; absent if nobody can tell, so that no getter may return a value. */
  readonly env?: string;
  /** True if the process's own values are this environment's: a deployment. */
  readonly isDeployment: boolean;
  /** True if nothing is in doubt: each existing value is returned, without an error. */
  readonly isPlain: boolean;
}

/** See `Meaning`. */
export function meaningOf(it: World): Meaning {
  const nothing = { isDeployment: false, isPlain: false };
  const own = /^(\w+)'s own$/.exec(it.loading)?.[1];
  const isLocalLoaded = it.loading === "exact" || it.loading === "changed";
  const named = it.run ?? it.FORKSTACK_ENV ?? own ?? it.ENV;
  const hasState = it.hasRegistry || it.kept.length > 0;
  // Where no state came along, or all worktrees share one, the original's pointer is meant as well as this one.
  const isAnothers = it.history === "pointers copied"
    ? isLinked(it) || !hasState
    : it.history === "copied whole" && !hasState;
  const isCopied = isAnothers && it.block !== undefined && it.pointer !== undefined;
  const said = named ?? it.pointer?.trim() ?? (isLinked(it) || it.block !== undefined ? undefined : "dev");
  if (said === undefined || (named === undefined && isCopied)) return nothing;
  const env = ALIASES[said] ?? said;
  const isMade = it.kept.includes(env) || env === "dev" || env === "prod";
  const isDeployment = !hasState && it.run === undefined && named !== undefined;
  if (!/^[a-z]+$/.test(env) || !(isMade || isDeployment || it.run !== undefined)) return nothing;
  const isInherited = it.inherited.length > 0;
  const isQuiet = !isInherited && it.loading === "none";
  // The block that was loaded is that of the pointer, and nobody said anything else.
  const isAgreed = isLocalLoaded && !isInherited && it.block === env && it.kept.includes(env) &&
    it.mine.length === 0 && named === undefined;
  const isDeployed = isDeployment && it.loading === "none" && it.block === undefined;
  return { env, isDeployment, isPlain: isQuiet || isAgreed || isDeployed };
}
