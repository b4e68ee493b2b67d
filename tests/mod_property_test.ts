import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "npm:fast-check@4.10.2";
import {
  envNameOf,
  formatEnvLine,
  isForkstackError,
  NAME_PATTERN,
  openStack,
  parseEnvFile,
  parseEnvName,
  setEnvVariable,
  type Stack,
} from "../mod.ts";
import { envFile, localFile, temporaryProject } from "./runtime_helpers.ts";

const ENVS = ["alice", "bob", "prod", "dev"] as const;
const env = fc.constantFrom(...ENVS);
const maybe = <T>(one: fc.Arbitrary<T>) => fc.option(one, { nil: undefined });

/** The variables whose values are told apart by the environment in them; what a file holds and a process inherits. */
const TAGGED = ["DATABASE_URL", "DATABASE_AUTH_TOKEN", "UPLOADS_BUCKET_NAME", "AWS_REGION", "CACHE_URL", "API_KEY"];

/** Two styles: Bun and python-dotenv change the second on its way into the process. */
type Style = "plain" | "fragile";
const tag = (whose: string, variable: string, style: Style) =>
  style === "plain" ? `<${whose}>${variable}` : `<${whose}>$${variable}\\`;

/** A state of a working directory and its process. */
interface World {
  ENV?: string;
  FORKSTACK_ENV?: string;
  pointer?: string;
  local?: string;
  /** A person's own lines of `.env.local`. */
  mine: readonly string[];
  kept: readonly string[];
  style: Style;
  /** Which variables the process inherited, and whose they are. */
  inherited: readonly { variable: string; whose: string }[];
  /** `.env.local` was loaded into the process before the start; `"changed"`: with `$` expanded, as Bun does. */
  loading: "none" | "exact" | "changed";
  provider: "sqlite" | "postgres";
}

const world: fc.Arbitrary<World> = fc.record({
  ENV: maybe(fc.oneof({ weight: 5, arbitrary: env }, fc.constantFrom("production", "", "NOT legal"))),
  FORKSTACK_ENV: maybe(fc.oneof({ weight: 5, arbitrary: env }, fc.constantFrom("development", "", "../x"))),
  pointer: maybe(fc.oneof({ weight: 5, arbitrary: env }, fc.constantFrom("", "production", "\0\xff"))),
  local: maybe(env),
  mine: fc.subarray(TAGGED),
  kept: fc.subarray([...ENVS]),
  style: fc.constantFrom<Style>("plain", "fragile"),
  inherited: fc.uniqueArray(fc.record({ variable: fc.constantFrom(...TAGGED), whose: env }), {
    selector: (one) => one.variable,
    maxLength: 3,
  }),
  loading: fc.constantFrom("none", "none", "exact", "changed"),
  provider: fc.constantFrom("sqlite", "postgres"),
}) as fc.Arbitrary<World>;

/** What the file of an environment says. */
function variablesOf(whose: string, style: Style): Record<string, string> {
  const own = Object.fromEntries(TAGGED.map((name) => [name, tag(whose, name, style)]));
  return { FORKSTACK_ENV: whose, FORKSTACK_PROJECT: "myapp", ...own };
}

/** The text of `.env.local`: a block, with a person's lines below it. */
function localOf({ local, mine, style }: World): string {
  const person = envFile(Object.fromEntries(mine.map((name) => [name, tag("mine", name, style)])));
  return local === undefined ? person : localFile(variablesOf(local, style), person);
}

/** The process environment that a program of this world starts with. */
function processOf(it: World): Record<string, string> {
  const process: Record<string, string> = {};
  if (it.ENV !== undefined) process.ENV = it.ENV;
  if (it.FORKSTACK_ENV !== undefined) process.FORKSTACK_ENV = it.FORKSTACK_ENV;
  for (const { variable, whose } of it.inherited) process[variable] = tag(whose, variable, it.style);
  if (it.loading !== "none") {
    for (const [name, value] of Object.entries(parseEnvFile(localOf(it)))) {
      process[name] ??= it.loading === "changed" ? value.replace(/\$.*/, "") : value; // what was there stays
    }
  }
  return process;
}

/** Every getter, by name; the expected environment's tag or a path in its name must be in what it gives. */
const GETTERS: Readonly<Record<string, (stack: Stack) => unknown>> = {
  current: (stack) => `<${stack.current()}>`,
  database: (stack) => stack.of("database", "DATABASE_URL"),
  token: (stack) => stack.optionalOf("database", "DATABASE_AUTH_TOKEN"),
  bucket: (stack) => stack.of("storage", "BUCKET_NAME", "uploads"),
  storage: (stack) => stack.storage("uploads").bucket,
  region: (stack) => stack.optionalOf("cache", "AWS_REGION"),
  cache: (stack) => stack.of("cache", "CACHE_URL"),
  secret: (stack) => stack.secret("API_KEY"),
  secrets: async (stack) => (await stack.secrets()).API_KEY,
};

/** The environment whose value this is, by its tag or by a derived name. */
function ownerOf(value: string): string | undefined {
  const derived = /myapp(?:-uploads-bucket)?(?:-(alice|bob|prod|dev))?(?:\.db)?$/.exec(value);
  return /^<(\w+)>/.exec(value)?.[1] ?? (derived ? derived[1] ?? "prod" : undefined);
}

const ALIASES: Record<string, string> = { production: "prod", development: "dev" };

Deno.test("each getter gives the current environment's value or throws, in 3,000 states of directory and process", async () => {
  using at = temporaryProject();
  const seen = { values: 0, errors: new Map<string, number>() };
  let run = 0;
  await fc.assert(
    fc.asyncProperty(world, async (it) => {
      const root = join(at.path, String(run++));
      const write = (name: string, text: string) => {
        mkdirSync(dirname(join(root, name)), { recursive: true });
        writeFileSync(join(root, name), text);
      };
      const config = {
        project: "myapp",
        database: { provider: it.provider },
        storage: { uploads: { provider: "s3" } },
      };
      write("forkstack.json", JSON.stringify({ ...config, secrets: { provider: "env-file" } }));
      if (it.pointer !== undefined) write(".current-env", it.pointer);
      if (it.local !== undefined || it.mine.length > 0) write(".env.local", localOf(it));
      for (const one of it.kept) write(`.forkstack/envs/${one}.env`, envFile(variablesOf(one, it.style)));
      for (const one of ENVS) {
        write(`.forkstack/secrets/${one}.env`, envFile({ API_KEY: tag(one, "API_KEY", it.style) }));
      }
      const process = processOf(it);
      // The contract's order, written again: what decides, or an error.
      const said = it.FORKSTACK_ENV ?? it.ENV;
      const wanted = process.FORKSTACK_ENV ?? process.ENV ?? it.pointer ?? "dev";
      const isLoaded = it.local !== undefined && it.loading !== "none";
      // A loaded file is no decision of anybody's: what was said without it is what is meant.
      const meant = isLoaded && it.FORKSTACK_ENV === undefined ? said ?? it.pointer ?? wanted : wanted;
      const current = ALIASES[meant] ?? meant;
      for (const [name, get] of Object.entries(GETTERS)) {
        let value: unknown;
        try {
          value = await get(openStack({ cwd: root, read: (variable) => process[variable] }));
        } catch (error) {
          assert(isForkstackError(error), `${name}: ${error}`);
          seen.errors.set(error.code, (seen.errors.get(error.code) ?? 0) + 1);
          continue;
        }
        if (value === undefined) continue;
        seen.values++;
        const inherited = it.inherited.find((one) => tag(one.whose, one.variable, it.style) === value);
        // A deployment: the process says that the value is this environment's, and no file proves otherwise. That
        // another's file holds it proves it of what names one thing, or if this environment's file holds another value.
        const isSaid = inherited !== undefined && said !== undefined;
        const isElsewhere = isSaid && (it.local === inherited.whose || it.kept.includes(inherited.whose));
        const isProof = isSaid && (/DATABASE_URL|BUCKET/.test(inherited.variable) || it.kept.includes(current));
        const isVouched = isSaid && !(isElsewhere && isProof);
        // A person's own line, for what no resource of this stack gives.
        if (ownerOf(String(value)) === "mine") {
          const isGiven = /<mine>(DATABASE|UPLOADS|API)/.test(String(value));
          assert(!isGiven || (said !== undefined && it.local === undefined), `${name} gave ${value}`);
        } else if (!isVouched) assert.equal(ownerOf(String(value)), current, `${name} gave ${value}`);
      }
      rmSync(root, { recursive: true });
    }),
    { numRuns: 3000 },
  );
  // The property is not true because everything throws.
  assert(seen.values > 6000, `only ${seen.values} values`);
  for (const code of ["ENV_CONFLICT", "NAME_INVALID", "VALUE_MISSING"]) {
    assert(seen.errors.has(code), `no ${code} was seen`);
  }
});

// ---- names

Deno.test("envNameOf() of any text is empty or legal, and parseEnvName() takes it", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
      const name = envNameOf(text);
      if (name !== "") assert.match(parseEnvName(name), NAME_PATTERN);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("parseEnvName() of any text gives a legal name or NAME_INVALID", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."aZ0-_./ \n\0é"), maxLength: 70 }), (text) => {
      try {
        assert.match(parseEnvName(text), NAME_PATTERN);
      } catch (error) {
        assert(isForkstackError(error) && error.code === "NAME_INVALID", String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

// ---- env files

const tricky = fc.string({
  unit: fc.constantFrom(..."aB =#$\\'\"`\n\t{}\r", "\\n", "\nB=", "\ufeff", "\u2028"),
  maxLength: 12,
});
const value = fc.oneof(tricky, fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" }));

/** The line, or `undefined` where the value is refused. */
function lineOf(name: string, text: string): string | undefined {
  try {
    return formatEnvLine(name, text);
  } catch (error) {
    assert(isForkstackError(error) && error.code === "VALUE_UNWRITABLE", String(error));
    return undefined;
  }
}

Deno.test("formatEnvLine() of any value reads back among others, or is VALUE_UNWRITABLE", () => {
  fc.assert(
    fc.property(value, (text) => {
      const line = lineOf("X", text);
      if (line === undefined) {
        return assert.match(text, /[\0\r\ufffd\ud800-\udfff]|'/, "only such values may be refused");
      }
      assert.deepEqual(parseEnvFile(`A='1'\n${line}\nB="2"\n`), { A: "1", X: text, B: "2" });
    }),
    { numRuns: 20_000 },
  );
});

Deno.test("setEnvVariable() sets one variable and leaves all others, comments and order", () => {
  const name = fc.constantFrom("A", "B", "C_D", "export", "__proto__");
  const comment = fc.constantFrom("# it's a comment", "", "# A=no", "  ");
  const line = fc.oneof(comment, fc.tuple(name, value).map(([key, text]) => lineOf(key, text) ?? ""));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), name, value, fc.boolean(), (lines, key, text, isOpen) => {
      if (lineOf(key, text) === undefined) return;
      const before = lines.join("\n") + (isOpen ? "" : "\n");
      const after = setEnvVariable(before, key, text);
      const others = Object.entries(parseEnvFile(before)).filter(([other]) => other !== key);
      assert.deepEqual(Object.entries(parseEnvFile(after)).filter(([other]) => other !== key), others);
      assert.equal(new Map(Object.entries(parseEnvFile(after))).get(key), text);
      assert.equal(setEnvVariable(after, key, text), after, "setting it again changes nothing");
    }),
    { numRuns: 5000 },
  );
});
