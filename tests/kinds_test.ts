/** `KINDS` of mod.ts is the one table of the kinds of resource: what is said of a kind elsewhere follows from it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { CONFIG } from "../core/project/schema.ts";
import { guardedNames, variableNames } from "../core/workspace/variable_names.ts";
import { derivedVariables, type Kind, KINDS, resourceTitle } from "../mod.ts";
import { PROVIDERS } from "../providers/mod.ts";
import { envFile, temporaryProject } from "./runtime_helpers.ts";

const NAMES = Object.keys(KINDS) as Kind[];
const EMBEDDED = NAMES.flatMap((kind) => {
  const provider = KINDS[kind].embedded?.provider;
  return provider === undefined ? [] : [[kind, provider] as const];
});

Deno.test("KINDS are the kinds of forkstack.json's schema and of the catalog of providers", () => {
  assert.deepEqual(NAMES.filter((kind) => !(kind in CONFIG.entries)), []);
  assert.deepEqual(Object.keys(PROVIDERS).sort(), [...NAMES].sort());
  assert(EMBEDDED.length > 0);
  for (const [kind, provider] of EMBEDDED) assert(provider in PROVIDERS[kind], provider);
});

Deno.test("KINDS name each variable once, so that no getter reads another kind's", () => {
  const all = NAMES.flatMap((kind) => [...Object.values(KINDS[kind].variables), ...KINDS[kind].given ?? []]);
  assert.equal(new Set(all).size, all.length);
  for (const name of all) assert.match(name, /^[A-Z][A-Z0-9_]*$/);
});

Deno.test("KINDS give two resources, and two environments, no title in common", () => {
  for (const kind of NAMES) {
    const titles = [undefined, "a", "b-c"].flatMap((name) =>
      ["prod", "dev", "alice"].map((env) => resourceTitle(kind, "shop", env, name))
    );
    assert.equal(new Set(titles).size, titles.length, kind);
  }
});

Deno.test("derivedVariables() of each embedded kind are those of its fields that a path gives, named or not", () => {
  for (const [kind, provider] of EMBEDDED) {
    const variables = Object.entries(KINDS[kind].variables);
    const fields = variables.filter(([field]) => ["url", "path", "bucket"].includes(field)).map(([, variable]) =>
      variable
    );
    const one = derivedVariables({ project: "shop", [kind]: { provider } }, "/state", "alice");
    assert.deepEqual(Object.keys(one).sort(), fields.sort(), kind);
    const named = derivedVariables({ project: "shop", [kind]: { "two-words": { provider } } }, "/state", "alice");
    assert.deepEqual(Object.keys(named).sort(), fields.map((variable) => `TWO_WORDS_${variable}`).sort(), kind);
    for (const value of [...Object.values(one), ...Object.values(named)]) assert.match(value, /alice/, kind);
    const other = derivedVariables({ project: "shop", [kind]: { provider: "no-such" } }, "/state", "alice");
    assert.deepEqual(other, {}, "what a vendor tells is not derived");
  }
});

Deno.test("getStorageConfig() has a field for each variable of a bucket", () => {
  const { variables } = KINDS.storage;
  const values = Object.fromEntries(Object.entries(variables).map(([field, variable]) => [variable, `of ${field}`]));
  using at = temporaryProject({
    "forkstack.json": JSON.stringify({ project: "shop", storage: { provider: "s3" } }),
    ".current-env": "alice",
    ".forkstack/envs/alice.env": envFile({ FORKSTACK_ENV: "alice", FORKSTACK_PROJECT: "shop", ...values }),
  });
  assert.deepEqual(
    { ...at.open().storage() },
    Object.fromEntries(Object.keys(variables).map((field) => [field, `of ${field}`])),
  );
});

Deno.test("guardedNames() are what the getters read, and variableNames() all that forkstack writes", () => {
  assert.deepEqual(guardedNames({ kind: "queue", name: "jobs" }), ["JOBS_QUEUE_URL", "JOBS_QUEUE_PREFIX"]);
  assert.deepEqual(guardedNames({ kind: "secrets" }), ["SECRETS_FILE"]);
  const cache = {
    kind: "cache",
    name: "hot",
    provider: { variables: { TOKEN: { isSecret: true } } },
  } as unknown as Parameters<
    typeof variableNames
  >[0][number];
  assert.deepEqual(variableNames([cache]).slice(-4), [
    "HOT_CACHE_URL",
    "HOT_REDIS_URL",
    "HOT_CACHE_PREFIX",
    "HOT_TOKEN",
  ]);
});

Deno.test("a person's line of what a kind's providers give is no value, and one of another name is", () => {
  const person = "CACHE_PREFIX=mine\nHOT_REDIS_URL=mine\nHOT_CACHE_PREFIX=mine\nCACHE_PREFIXES=mine\n";
  const config = { project: "shop", cache: { hot: { provider: "valkey" } } };
  using at = temporaryProject({ "forkstack.json": JSON.stringify(config), ".env.local": person });
  const read = (variable: string) => at.open().optionalOf("database", variable);
  assert.deepEqual(["HOT_REDIS_URL", "HOT_CACHE_PREFIX"].map(read), [undefined, undefined]);
  assert.deepEqual(["CACHE_PREFIX", "CACHE_PREFIXES"].map(read), ["mine", "mine"], "no resource of that name");
});

Deno.test("setSecret() tells by one clock how old another's lock is, and how long it has waited", async () => {
  using at = temporaryProject({
    "forkstack.json": '{"project": "shop"}',
    ".forkstack/secrets/dev.env.lock": "another",
  });
  const lock = join(at.path, ".forkstack/secrets/dev.env.lock");
  const { now } = performance;
  let passed = 0;
  try {
    performance.now = () => now.call(performance) + passed;
    const writing = at.open().setSecret("A", "1");
    await Promise.resolve();
    assert.equal(Deno.readTextFileSync(lock), "another", "a fresh lock is somebody's");
    passed = 11_000;
    await writing;
    passed += 600_000;
    assert.equal(await at.open().secret("A"), "1");
  } finally {
    performance.now = now;
  }
});
