import assert from "node:assert/strict";
import { realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
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
import { databaseUrl, layDown, meaningOf, world } from "./guard_worlds.ts";
import { temporaryProject } from "./runtime_helpers.ts";
import { sized } from "./sizes.ts";

/** Every getter, by name. */
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

/** Whether no resource of this stack gives a value, so that a person's own line counts. */
const isPersons = (value: string) => /<mine>\$?(AWS_REGION|CACHE_URL)/.test(value);

const STATES = sized({ quick: 200, gate: 1_000, full: 40_000 });

Deno.test(`each getter gives the current environment's value or throws, in ${STATES} states of checkout and process`, async () => {
  using at = temporaryProject();
  const top = realpathSync(at.path);
  const seen = { values: 0, plain: 0, errors: new Map<string, number>() };
  let run = 0;
  await fc.assert(
    fc.asyncProperty(world, async (it) => {
      const root = join(top, String(run++));
      const { cwd, state, process } = layDown(it, root);
      const meant = meaningOf(it);
      if (meant.isPlain) seen.plain++;
      let stack: Stack | undefined;
      for (const [name, get] of Object.entries(GETTERS)) {
        let value: unknown;
        try {
          value = await get(stack ??= openStack({ cwd, read: (variable) => process[variable] }));
        } catch (error) {
          assert(isForkstackError(error) && error.hint, `${name}: ${error}`);
          seen.errors.set(error.code, (seen.errors.get(error.code) ?? 0) + 1);
          const isNowhere = error.code === "VALUE_MISSING" && /^(database|cache)$/.test(name) &&
            (name === "cache" || it.provider === "postgres") && !it.kept.includes(meant.env!);
          assert(!meant.isPlain || isNowhere, `${name} threw ${error}`);
          continue;
        }
        if (value === undefined) continue;
        seen.values++;
        assert(meant.env !== undefined, `${name} gave ${value} where nobody can tell the environment`);
        const text = String(value);
        if (text.startsWith("file:") && !meant.isDeployment) assert.equal(text, databaseUrl(state, meant.env), name);
        const isOfProcess = meant.isDeployment && Object.values(process).includes(text);
        if (!isOfProcess && !isPersons(text)) assert.equal(ownerOf(text), meant.env, `${name} gave ${text}`);
      }
      rmSync(root, { recursive: true });
    }),
    { numRuns: STATES },
  );
  // The property is not true because everything throws.
  assert(seen.values > STATES, `only ${seen.values} values`);
  assert(seen.plain > STATES / 10, `only ${seen.plain} states without a doubt`);
  for (const code of ["ENV_CONFLICT", "ENV_UNKNOWN", "ENV_UNSET", "NAME_INVALID", "VALUE_MISSING"]) {
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
