import assert from "node:assert/strict";
import { chmodSync, readdirSync, readFileSync, realpathSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import {
  declaredResources,
  embeddedPath,
  envNameOf,
  findUpwards,
  ForkstackError,
  formatEnvLine,
  isForkstackError,
  type Kind,
  openStack,
  parseEnvFile,
  parseEnvName,
  resourceTitle,
  setEnvVariable,
  stateRoot,
  variablePrefix,
} from "../mod.ts";
import { envFile, localFile, type Project, quotedFile, run, temporaryProject } from "./runtime_helpers.ts";
import { sized } from "./sizes.ts";
import { specifiersIn } from "../tools/gen/sources.ts";

const MOD = new URL("../mod.ts", import.meta.url);

/** The error that `call` ends with; it has the code, a hint, and a message in the house's form. */
async function failure(code: string, call: () => unknown): Promise<ForkstackError> {
  let error: unknown;
  try {
    await call();
  } catch (caught) {
    error = caught;
  }
  assert(isForkstackError(error), `expected ${code}, got ${error ?? "no error"}`);
  assert.equal(error.code, code, error.message);
  assert.match(error.message, /^Cannot [a-z]+ .*[^.]$/s);
  assert(error.hint, `${code} says what to do next`);
  return error;
}

/** A project with forkstack.json, the file of the environment that `.current-env` names, and whatever else a test needs. */
function project(files: Readonly<Record<string, string | Uint8Array>> = {}, config: object = {}): Project {
  const env = String(files[".current-env"] ?? "").replace("\uFEFF", "").trim();
  const isMade = /^[a-z]+$/.test(env) && env !== "production";
  const own = isMade ? { [`.forkstack/envs/${env}.env`]: ownFile(env) } : {};
  return temporaryProject({ "forkstack.json": JSON.stringify({ project: "myapp", ...config }), ...own, ...files });
}

/** The file of an environment to which no resource gives a variable. */
const ownFile = (env: string) => envFile({ FORKSTACK_ENV: env, FORKSTACK_PROJECT: "myapp" });

const ALICE = { FORKSTACK_ENV: "alice", FORKSTACK_PROJECT: "myapp", DATABASE_URL: "postgres://alice" };
const BOB = { FORKSTACK_ENV: "bob", FORKSTACK_PROJECT: "myapp", DATABASE_URL: "postgres://bob" };
const POSTGRES = { database: { provider: "postgres" } };
const url = (at: Project, variables: Record<string, string> = {}) => at.open(variables).of("database", "DATABASE_URL");

// ---- names

for (
  const [kind, env, name, title] of [
    ["database", "prod", undefined, "myapp"],
    ["database", "alice", undefined, "myapp-alice"],
    ["database", "prod", "main", "myapp-main"],
    ["database", "alice", "main", "myapp-main-alice"],
    ["storage", "prod", undefined, "myapp-bucket-prod"],
    ["storage", "alice", undefined, "myapp-bucket-alice"],
    ["storage", "prod", "uploads", "myapp-uploads-bucket-prod"],
    ["storage", "alice", "uploads", "myapp-uploads-bucket-alice"],
    ["secrets", "prod", undefined, "prod"],
    ["secrets", "alice", undefined, "alice"],
    ["secrets", "alice", "app", "app-alice"],
    ["cache", "prod", undefined, "myapp"],
    ["cache", "alice", "jobs", "myapp-jobs-alice"],
    ["queue", "prod", undefined, "myapp"],
    ["queue", "alice", undefined, "myapp-alice"],
    ["local", "prod", undefined, "myapp.prod.db"],
    ["local", "alice", undefined, "myapp.alice.db"],
    ["local", "alice", "music", "myapp.music.alice.db"],
  ] as [Kind, string, string | undefined, string][]
) {
  Deno.test(`resourceTitle() of ${kind} ${name ?? ""} in ${env} is ${title}`, () => {
    assert.equal(resourceTitle(kind, "myapp", env, name), title);
  });
}

Deno.test("parseEnvName() takes legal names and the two long forms", () => {
  for (const name of ["a", "0", "alice", "pr-42", "a--b", "constructor", "x".repeat(63)]) {
    assert.equal(parseEnvName(name), name);
  }
  assert.equal(parseEnvName("production"), "prod");
  assert.equal(parseEnvName("development"), "dev");
});

for (
  const value of ["", "../x", "a b", "ALICE", "Production", "-a", "a-", "a_b", "a.b", "é", "a\n", "\0", "x".repeat(200)]
) {
  const shown = JSON.stringify(value).slice(0, 20);
  Deno.test(`parseEnvName() refuses ${shown}`, async () => {
    const error = await failure("NAME_INVALID", () => parseEnvName(value));
    assert(error.message.length < 200, "a long value is cut");
  });
  Deno.test(`FORKSTACK_ENV and ENV refuse ${shown}, and never mean dev`, async () => {
    using at = project();
    assert.match((await failure("NAME_INVALID", () => at.open({ FORKSTACK_ENV: value }))).message, /FORKSTACK_ENV/);
    if (!value.includes("/")) await failure("NAME_INVALID", () => at.open({ ENV: value })); // else a shell's
  });
}

Deno.test("parseEnvName() offers the nearest legal name", async () => {
  assert.equal((await failure("NAME_INVALID", () => parseEnvName("feature/Login"))).hint, 'Use "feature-login"');
  assert.equal((await failure("NAME_INVALID", () => parseEnvName("müller"))).hint, 'Use "muller"');
});

Deno.test("envNameOf() makes a legal name of a git branch, or nothing", () => {
  assert.equal(envNameOf("feature/Login"), "feature-login");
  assert.equal(envNameOf("--__x//y--"), "x-y");
  assert.equal(envNameOf("müller"), "muller");
  assert.equal(envNameOf("mu\u0308ller"), "muller", "as macOS writes it");
  assert.equal(envNameOf("fix/Größe-Ærø"), "fix-grosse-aero");
  assert.equal(envNameOf("señal/łódź-İstanbul"), "senal-lodz-istanbul");
  assert.equal(envNameOf("ﬁx-①"), "fix-1");
  assert.equal(envNameOf("__proto__"), "proto");
  assert.equal(envNameOf("日本"), "");
  assert.equal(envNameOf(`${"a".repeat(62)}-b`), "a".repeat(62));
});

Deno.test("variablePrefix() is the resource's name in capitals", () => {
  assert.equal(variablePrefix(), "");
  assert.equal(variablePrefix("user-uploads"), "USER_UPLOADS_");
});

Deno.test("embeddedPath() puts each kind where the providers look", () => {
  assert.equal(embeddedPath("local", "/p", "myapp.alice.db"), join("/p", "myapp.alice.db"));
  assert.equal(embeddedPath("database", "/p", "myapp-alice"), join("/p/.forkstack/sqlite/myapp-alice.db"));
  assert.equal(embeddedPath("storage", "/p", "b"), join("/p/.forkstack/buckets/b"));
  assert.equal(embeddedPath("secrets", "/p", "alice"), join("/p/.forkstack/secrets/alice.env"));
});

// ---- errors

Deno.test("isForkstackError() knows the error of another copy of mod.ts", async () => {
  using at = temporaryProject({ "copy.ts": readFileSync(MOD) });
  const copy: typeof import("../mod.ts") = await import(pathToFileURL(join(at.path, "copy.ts")).href);
  const error: unknown = new copy.ForkstackError("NOT_FOUND", "Cannot find it", { hint: "Look", cause: 1 });
  assert.equal(error instanceof ForkstackError, false);
  assert(isForkstackError(error));
  assert.deepEqual([error.code, error.hint, error.retryable, error.cause], ["NOT_FOUND", "Look", false, 1]);
  for (const other of [new Error("x"), { isForkstack: Symbol.for("forkstack.error") }, null, "NOT_FOUND"]) {
    assert(!isForkstackError(other));
  }
});

// ---- which environment

Deno.test("FORKSTACK_ENV comes before ENV, ENV before .current-env, and dev is last", () => {
  using at = project({ ".current-env": "carol\n" });
  using bare = project();
  for (const env of ["alice", "bob"]) at.write(`.forkstack/envs/${env}.env`, ownFile(env));
  assert.equal(at.open({ FORKSTACK_ENV: "alice", ENV: "bob" }).current(), "alice");
  assert.equal(at.open({ ENV: "production" }).current(), "prod");
  assert.equal(at.open().current(), "carol");
  assert.equal(bare.open().current(), "dev");
  assert.deepEqual(
    [at.open({ FORKSTACK_ENV: "a" }), at.open({ ENV: "a" }), at.open(), bare.open()].map((stack) => stack.decidedBy),
    ["FORKSTACK_ENV", "ENV", ".current-env", "default"],
  );
});

Deno.test(".current-env is found from a directory below, next to forkstack.json", () => {
  using at = project({ ".current-env": "alice", "src/deep/x": "", "src/.current-env": "bob" });
  assert.equal(at.open({}, "src/deep").current(), "alice");
  assert.equal(findUpwards(join(at.path, "src/deep"), "forkstack.json"), at.path);
});

for (
  const [what, content, env] of [
    ["a CRLF", "alice\r\n", "alice"],
    ["a byte order mark", "\uFEFFalice\n", "alice"],
    ["a long form", "production\n", "prod"],
    ["nothing at the end", "alice", "alice"],
  ]
) {
  Deno.test(`.current-env with ${what} is read`, () => {
    using at = project({ ".current-env": content });
    assert.equal(at.open().current(), env);
  });
}

for (
  const [what, content] of Object.entries({
    "that is empty": "",
    "of blanks": " \n",
    "with two names": "alice\nbob\n",
    "that is binary": new Uint8Array([0, 255, 254, 10]),
    "in UTF-16": new Uint8Array([0xff, 0xfe, 97, 0]),
    "with a path": "../prod\n",
  })
) {
  Deno.test(`.current-env ${what} is NAME_INVALID, not dev`, async () => {
    using at = project({ ".current-env": content });
    assert.match((await failure("NAME_INVALID", () => at.open())).message, /\.current-env/);
  });
}

Deno.test(".current-env that is a directory is FILE_UNREADABLE", async () => {
  using at = project({ ".current-env/x": "" });
  assert((await failure("FILE_UNREADABLE", () => at.open())).cause instanceof Error);
});

// ---- forkstack.json

for (
  const [what, text] of Object.entries({
    "is empty": "",
    "is cut off": '{"project": "my',
    "is null": "null",
    "is a list": "[]",
    "names no project": "{}",
    "names a project in capitals": '{"project": "MyApp"}',
    "names a project of 64 characters": `{"project": "${"x".repeat(64)}"}`,
    "names a project that is a number": '{"project": 1}',
  })
) {
  Deno.test(`openStack() is CONFIG_INVALID where forkstack.json ${what}`, async () => {
    using at = temporaryProject({ "forkstack.json": text });
    await failure("CONFIG_INVALID", () => at.open({ FORKSTACK_ENV: "alice" }));
  });
}

for (const [kind, entry] of [["database", "turso"], ["database", null], ["storage", { uploads: "s3" }]] as const) {
  Deno.test(`declaredResources() is CONFIG_INVALID for ${kind}: ${JSON.stringify(entry)}`, async () => {
    const config = { project: "myapp", [kind]: entry };
    assert.match((await failure("CONFIG_INVALID", () => declaredResources(config))).message, new RegExp(kind));
  });
}

Deno.test("declaredResources() of a project alone is the embedded stack", () => {
  assert.deepEqual(declaredResources({ project: "myapp" }).map((one) => `${one.kind} ${one.provider}`), [
    "database sqlite",
    "storage local",
    "secrets env-file",
    "local directory",
  ]);
});

Deno.test("forkstack.json with a byte order mark is read", () => {
  using at = temporaryProject({ "forkstack.json": '\uFEFF{"project": "myapp"}' });
  assert.equal(at.open().project, "myapp");
});

Deno.test("project is CONFIG_MISSING without forkstack.json, and FORKSTACK_PROJECT is enough", async () => {
  using at = temporaryProject();
  await failure("CONFIG_MISSING", () => at.open().project);
  assert.equal(at.open({ FORKSTACK_PROJECT: "other" }).project, "other");
});

// ---- values

Deno.test("the embedded stack derives every value from names", () => {
  using at = project({ ".current-env": "alice" });
  const stack = at.open();
  const state = join(at.path, ".forkstack");
  assert.equal(fileURLToPath(stack.of("database", "DATABASE_URL")), join(state, "sqlite", "myapp-alice.db"));
  assert.equal(stack.of("local", "LOCAL_PATH"), join(at.path, "myapp.alice.db"));
  assert.deepEqual(stack.storage(), {
    bucket: "myapp-bucket-alice",
    path: join(state, "buckets", "myapp-bucket-alice"),
  });
  assert.equal(stack.optionalOf("database", "DATABASE_AUTH_TOKEN"), undefined);
});

Deno.test("Turso's host is never guessed: it is Turso that names it", async () => {
  using at = project({ ".current-env": "alice" }, { database: { provider: "turso", organization: "acme" } });
  for (const variables of [{}, { FORKSTACK_ENV: "prod" }] as Record<string, string>[]) {
    await failure("VALUE_MISSING", () => url(at, variables));
    await failure("VALUE_MISSING", () => at.open(variables).of("database", "DATABASE_AUTH_TOKEN"));
  }
});

Deno.test("a name that no variable can have is VALUE_MISSING, whatever the runtime makes of it", async () => {
  using at = project({ ".current-env": "alice" });
  const read = (name: string) => /^(FORKSTACK_|ENV$)/.test(name) ? undefined : Deno.env.get(name);
  for (const name of ["", "=", "A=B", "=C:", "A\0B", "\0"]) {
    await failure("VALUE_MISSING", () => openStack({ cwd: at.path, read }).variable(name));
  }
});

Deno.test("of() is VALUE_MISSING, naming variable and environment, where nothing gives a value", async () => {
  using at = project({ ".current-env": "alice" }, { ...POSTGRES, queue: { jobs: { provider: "qstash" } } });
  const error = await failure("VALUE_MISSING", () => url(at));
  assert.match(error.message, /DATABASE_URL.*"alice"/);
  assert.equal(error.details.env, "alice");
  assert.match(
    (await failure("VALUE_MISSING", () => at.open().of("queue", "QUEUE_URL", "jobs"))).message,
    /JOBS_QUEUE_URL/,
  );
});

Deno.test("the getters of a named resource read its prefixed variables", () => {
  using at = project({
    ".current-env": "alice",
    ".forkstack/envs/alice.env": envFile({
      ...ALICE,
      UPLOADS_AWS_REGION: "auto",
      ASSETS_AWS_REGION: "eu-west-1",
      AWS_REGION: "no",
    }),
  }, { storage: { uploads: { provider: "tigris" }, assets: { provider: "s3" } } });
  assert.deepEqual(at.open().storage("uploads"), { bucket: "myapp-uploads-bucket-alice", region: "auto" });
  assert.deepEqual(at.open().storage("assets"), { bucket: "myapp-assets-bucket-alice", region: "eu-west-1" });
});

Deno.test("a named resource must be declared, and named where there are several", () => {
  using at = project({}, { storage: { uploads: { provider: "s3" }, assets: { provider: "s3" } } });
  assert.throws(() => at.open().storage(), { name: "RangeError", message: /"uploads", "assets"/ });
  assert.throws(() => at.open().storage("upload"), { name: "RangeError", message: /"upload".*"uploads"/ });
  using single = project({}, { storage: { uploads: { provider: "s3" } } });
  assert.equal(single.open({ ENV: "alice" }).storage().bucket, "myapp-uploads-bucket-alice");
});

Deno.test("each value is looked up once, missing optional ones too", () => {
  using at = project({ ".current-env": "alice", ".forkstack/envs/alice.env": envFile(ALICE) });
  const asked: string[] = [];
  const stack = openStack({ cwd: at.path, read: (name) => void asked.push(name) });
  const ask = () => [stack.of("database", "DATABASE_URL"), stack.optionalOf("database", "DATABASE_AUTH_TOKEN")];
  const first = ask();
  const storage = stack.storage();
  asked.length = 0;
  at.write(".forkstack/envs/alice.env", envFile(BOB));
  assert.deepEqual(ask(), first);
  assert.equal(stack.storage(), storage);
  assert.deepEqual(asked, []);
});

// ---- the guard

Deno.test("guard: a stale .env.local is never read", async () => {
  using at = project({ ".current-env": "bob", ".env.local": localFile(ALICE) }, POSTGRES);
  await failure("VALUE_MISSING", () => url(at));
  at.write(".forkstack/envs/bob.env", envFile(BOB));
  assert.equal(url(at), BOB.DATABASE_URL);
  await failure("ENV_CONFLICT", () => url(at, { DATABASE_URL: ALICE.DATABASE_URL }));
});

Deno.test("guard: a .env.local that says of no environment whose it is is never read", async () => {
  using at = project({ ".current-env": "alice", ".env.local": localFile({ DATABASE_URL: "x" }) }, POSTGRES);
  await failure("VALUE_MISSING", () => url(at));
});

Deno.test("guard: a person's lines of .env.local are of no environment: what a resource gives is never theirs", async () => {
  const person = "export DATABASE_URL=postgres://mine\nDATABASE_AUTH_TOKEN=mine\nAPI_KEY=mine\nREDIS_URL='mine'\n";
  const stack = { ...POSTGRES, secrets: { provider: "env-file" } };
  for (const text of [person, `FORKSTACK_ENV=alice\nFORKSTACK_PROJECT=myapp\n${person}`, localFile(BOB, person)]) {
    using at = project({ ".current-env": "alice", ".env.local": text }, stack);
    await failure("VALUE_MISSING", () => url(at));
    assert.equal(at.open().optionalOf("database", "DATABASE_AUTH_TOKEN"), undefined);
    for (const key of ["DATABASE_URL", "DATABASE_AUTH_TOKEN"]) {
      await failure("SECRET_MISSING", () => at.open().secret(key));
      await failure("ENV_CONFLICT", () => at.open({ [key]: "mine" }).secret(key));
    }
    assert.equal(at.open().optionalOf("cache", "REDIS_URL"), "mine", "no resource gives it");
    assert.equal(await at.open().secret("API_KEY"), "mine");
    assert.equal(await at.open({ API_KEY: "mine" }).secret("API_KEY"), "mine", "loaded from the file");
    await failure("ENV_CONFLICT", () => at.open({ API_KEY: "another" }).secret("API_KEY"));
    at.write(".forkstack/secrets/alice.env", "API_KEY=alice's\n");
    assert.equal(await at.open().secret("API_KEY"), "alice's", "the provider comes first");
  }
});

Deno.test("guard: a person's line loaded with .env.local is no value of the environment that the shell names", async () => {
  using at = project({
    ".current-env": "alice",
    ".env.local": localFile(ALICE, "CACHE_URL=mine\nAPI_KEY=mine\n"),
    ".forkstack/envs/bob.env": ownFile("bob"),
  }, { cache: { provider: "valkey" } });
  const loaded = { ...ALICE, CACHE_URL: "mine", API_KEY: "mine", FORKSTACK_ENV: "bob" };
  await failure("ENV_CONFLICT", () => at.open(loaded).of("cache", "CACHE_URL"));
  assert.equal(await at.open(loaded).secret("API_KEY"), "mine");
});

Deno.test("guard: .env.local with damaged markers is ENV_CONFLICT, naming the line", async () => {
  using at = project({ ".current-env": "alice", ".env.local": localFile(ALICE).replace("# <<<", "#") }, POSTGRES);
  assert.match((await failure("ENV_CONFLICT", () => url(at))).message, /line 1, a marker, has no end marker below it/);
});

Deno.test("guard: a person's line that would be read in part is an error for who asks for it, and for nobody else", async () => {
  const person = 'A=\'x\'y\nJSON="{\\"a\\":1}"\n';
  const files = { ".current-env": "alice", ".env.local": localFile(ALICE, person), [secrets]: "GOOD=1\n" };
  using at = project(files);
  assert.equal(at.open().current(), "alice");
  assert.equal(await at.open().secret("GOOD"), "1");
  assert.equal(await at.open().secret("JSON"), '{"a":1}');
  const { message } = await failure("VALUE_UNREADABLE", () => at.open().secret("A"));
  assert.match(message, new RegExp(`"A" of \\.env\\.local: line ${localFile(ALICE).split("\n").length}, column 6: `));
  at.write(secrets, 'GOOD=1\nBAD="a"b\n');
  for (const work of [() => at.open().secret("BAD"), () => at.open().secrets()]) {
    assert.match((await failure("VALUE_UNREADABLE", work)).message, /alice\.env": line 2, column 8: /);
  }
});

Deno.test("guard: .env.local of 0.1.0 is read as a block", async () => {
  const old = `${quotedFile(envFile(ALICE))}# yours, kept\nMINE='1'\nDATABASE_URL='mine'\n`;
  using at = project(
    { ".current-env": "alice", ".env.local": old, ".forkstack/envs/alice.env": envFile(ALICE) },
    POSTGRES,
  );
  assert.equal(url(at, ALICE), ALICE.DATABASE_URL);
  assert.equal(at.open().optionalOf("cache", "MINE"), "1");
  await failure("ENV_CONFLICT", () => url(at, { ...ALICE, DATABASE_URL: "mine" }));
});

Deno.test("guard: a block alone makes no environment: without a file of its own it is ENV_UNKNOWN", async () => {
  using at = project({ ".current-env": "alice", ".env.local": localFile(ALICE, "MINE=1\n") }, POSTGRES);
  at.remove(".forkstack");
  for (const variables of [{}, ALICE]) {
    await failure("ENV_UNKNOWN", () => url(at, variables));
    await failure("ENV_UNKNOWN", () => at.open(variables).current());
    await failure("ENV_UNKNOWN", () => at.open(variables).secret("X", "fallback"));
    await failure("ENV_UNKNOWN", () => at.open(variables).setSecret("X", "1"));
  }
  at.write(".forkstack/envs/alice.env", envFile({ ...ALICE, DATABASE_URL: "postgres://newer" }));
  assert.equal(url(at), "postgres://newer");
  assert.equal(url(at, ALICE), "postgres://newer", "what the block says is stale, and passed over");
  assert.equal(at.open().optionalOf("cache", "MINE"), "1");
});

for (const by of [".current-env", "default"]) {
  Deno.test(`guard: an inherited DATABASE_URL is ENV_CONFLICT where ${by} decides, the same one is none`, async () => {
    const env = by === "default" ? "dev" : "alice";
    const own = { ...ALICE, FORKSTACK_ENV: env };
    using at = project({
      ...(by === "default" ? {} : { ".current-env": env }),
      [`.forkstack/envs/${env}.env`]: envFile(own),
    }, POSTGRES);
    const error = await failure("ENV_CONFLICT", () => url(at, { DATABASE_URL: BOB.DATABASE_URL }));
    assert(!error.message.includes("postgres:"), "a message holds no connection URL");
    assert.equal(url(at, { DATABASE_URL: own.DATABASE_URL }), own.DATABASE_URL);
    assert.equal(url(at, { DATABASE_URL: "" }), own.DATABASE_URL);
  });
}

Deno.test("guard: an inherited DATABASE_URL is ENV_CONFLICT against a derived one, and against none", async () => {
  using derived = project({ ".current-env": "alice" });
  await failure("ENV_CONFLICT", () => url(derived, { DATABASE_URL: "postgres://prod" }));
  using none = project({ ".current-env": "alice" }, POSTGRES);
  await failure("ENV_CONFLICT", () => url(none, { DATABASE_URL: "postgres://prod" }));
});

Deno.test("guard: a deployment's own variables win over names, and over nothing where there is state", async () => {
  using at = project();
  for (const by of ["FORKSTACK_ENV", "ENV"]) {
    assert.equal(url(at, { [by]: "prod", DATABASE_URL: "postgres://prod" }), "postgres://prod");
    assert.equal(url(at, { [by]: "alice", DATABASE_URL: "file:/data/app.db" }), "file:/data/app.db");
    assert.equal(at.open({ [by]: "alice" }).storage().bucket, "myapp-bucket-alice");
  }
  for (const state of [".forkstack/registry.db", ".forkstack/envs/bob.env"]) {
    using other = project({ [state]: "" });
    for (const by of ["FORKSTACK_ENV", "ENV"]) {
      await failure("ENV_CONFLICT", () => url(other, { [by]: "prod", DATABASE_URL: "postgres://prod" }));
      await failure("ENV_UNKNOWN", () => url(other, { [by]: "alice", DATABASE_URL: "postgres://prod" }));
    }
  }
});

Deno.test("guard: another environment's file is never read for a value, whatever is in it", async () => {
  using at = project({
    ".forkstack/envs/bob.env": new Uint8Array([0xff, 0]),
    ".forkstack/envs/alice.env": envFile(ALICE),
  });
  chmodSync(join(at.path, ".forkstack/envs/bob.env"), 0);
  const variables = { FORKSTACK_ENV: "alice", DATABASE_URL: BOB.DATABASE_URL, AWS_REGION: "auto" };
  await failure("ENV_CONFLICT", () => url(at, variables));
  await failure("ENV_CONFLICT", () => at.open(variables).optionalOf("storage", "AWS_REGION"));
});

for (const path of [".forkstack/envs/alice.env", ".env.local"]) {
  Deno.test(`guard: ${path} of another project is ENV_CONFLICT`, async () => {
    const file = path === ".env.local" ? localFile : envFile;
    using at = project({ ".current-env": "alice", [path]: file({ ...ALICE, FORKSTACK_PROJECT: "other" }) });
    assert.match((await failure("ENV_CONFLICT", () => at.open().current())).message, /"other"/);
    await failure("ENV_CONFLICT", () => url(at));
    await failure("ENV_CONFLICT", () => at.open().secret("X", "fallback"));
  });
}

Deno.test("guard: an environment's own file that says it is another's is ENV_CONFLICT", async () => {
  using at = project({ ".current-env": "alice", ".forkstack/envs/alice.env": envFile(BOB) });
  await failure("ENV_CONFLICT", () => url(at));
});

Deno.test("guard: the whole process environment of another project is ENV_CONFLICT", async () => {
  using at = project({}, POSTGRES);
  await failure("ENV_CONFLICT", () => url(at, { ...ALICE, FORKSTACK_PROJECT: "other" }));
});

Deno.test("guard: .env.local loaded over an inherited DATABASE_URL is ENV_CONFLICT", async () => {
  const files = {
    ".current-env": "alice",
    ".env.local": localFile(ALICE),
    ".forkstack/envs/alice.env": envFile(ALICE),
  };
  using at = project(files, POSTGRES);
  assert.equal(url(at, ALICE), ALICE.DATABASE_URL);
  await failure("ENV_CONFLICT", () => url(at, { ...ALICE, DATABASE_URL: BOB.DATABASE_URL }));
});

Deno.test("guard: a variable that the loaded .env.local does not hold is not vouched for by it", async () => {
  const { DATABASE_URL, ...rest } = ALICE;
  using at = project({ ".current-env": "alice", ".env.local": localFile(rest) }, POSTGRES);
  await failure("ENV_CONFLICT", () => url(at, { ...rest, DATABASE_URL }));
});

Deno.test("guard: a stale .env.local loaded before the start is ENV_CONFLICT, by .current-env and by ENV", async () => {
  const files = { ".current-env": "bob", ".env.local": localFile(ALICE), ".forkstack/envs/alice.env": envFile(ALICE) };
  using at = project(files, POSTGRES);
  const error = await failure("ENV_CONFLICT", () => at.open(ALICE).current());
  assert.match(error.message, /\.current-env says "bob"/);
  await failure("ENV_CONFLICT", () => url(at, ALICE));
  at.write(".current-env", "alice");
  await failure("ENV_CONFLICT", () => url(at, { ...ALICE, ENV: "production" }));
  assert.equal(url(at, { ...ALICE, ENV: "alice" }), ALICE.DATABASE_URL);
});

Deno.test("guard: FORKSTACK_ENV given to Bun, which loaded another's .env.local, is ENV_CONFLICT for what that holds", async () => {
  using at = project({ ".current-env": "bob", ".env.local": localFile(BOB) }, POSTGRES);
  const loaded = { ...BOB, FORKSTACK_ENV: "alice" };
  at.remove(".forkstack");
  await failure("ENV_CONFLICT", () => url(at, loaded));
  at.write(".forkstack/envs/alice.env", envFile({ ...ALICE, AWS_REGION: "auto" }));
  await failure("ENV_CONFLICT", () => url(at, loaded));
  assert.equal(at.open(loaded).optionalOf("storage", "AWS_REGION"), "auto");
});

Deno.test("guard: a value that Bun changed while loading is read from the file", async () => {
  const own = { ...ALICE, DATABASE_URL: "postgres://alice:pa$word@host" };
  const files = { ".current-env": "alice", ".env.local": localFile(own), ".forkstack/envs/alice.env": envFile(own) };
  using at = project(files, POSTGRES);
  assert.equal(url(at, { ...own, DATABASE_URL: "postgres://alice:pa@host" }), own.DATABASE_URL);
  for (const left of ["postgres://bob:pa@host", "postgres://alice", ""]) {
    if (left !== "") await failure("ENV_CONFLICT", () => url(at, { ...own, DATABASE_URL: left }));
    else assert.equal(url(at, { ...own, DATABASE_URL: left }), own.DATABASE_URL);
  }
});

// ---- git worktrees

Deno.test("a linked git worktree shares .forkstack and has its own .current-env and .env.local", () => {
  using at = temporaryProject({
    "main/app/forkstack.json":
      '{"project": "myapp", "database": {"provider": "postgres"}, "local": {"provider": "directory"}}',
    "main/app/.gitignore": ".current-env\n.env.local\n.forkstack\n",
  });
  const main = join(at.path, "main");
  const git = (...args: string[]) => {
    const { code, stderr } = run(["git", "-c", "user.name=t", "-c", "user.email=t@example", ...args], { cwd: main });
    assert.equal(code, 0, stderr);
  };
  git("init", "-q");
  git("add", ".");
  git("commit", "-qm", "x");
  git("worktree", "add", "-q", "../linked");
  for (const [where, env] of [["main", "alice"], ["linked", "bob"]]) {
    at.write(`${where}/app/.current-env`, `${env}\n`);
    at.write(`main/app/.forkstack/envs/${env}.env`, envFile({ ...ALICE, FORKSTACK_ENV: env, DATABASE_URL: env }));
    at.write(`${where}/app/.env.local`, localFile({ ...ALICE, FORKSTACK_ENV: env }, `MINE=${where}\n`));
  }
  const state = realpathSync(join(main, "app"));
  assert.equal(stateRoot(join(main, "app")), join(main, "app"));
  assert.equal(stateRoot(join(at.path, "linked/app")), state);
  for (const [where, env] of [["main", "alice"], ["linked", "bob"]]) {
    const stack = at.open({}, `${where}/app`);
    assert.deepEqual([stack.current(), stack.of("database", "DATABASE_URL")], [env, env]);
    assert.equal(stack.optionalOf("cache", "MINE"), where);
    assert.equal(stack.of("local", "LOCAL_PATH"), join(realpathSync(stack.stateRoot!), `myapp.${env}.db`));
  }
});

Deno.test("stateRoot() of a bare repository's worktree, of a submodule and outside git is the directory itself", () => {
  using at = temporaryProject({
    "bare/.git": "gitdir: ../repo.git/worktrees/bare\n",
    "repo.git/worktrees/bare/commondir": "../..\n",
    "sub/.git": "gitdir: ../super/.git/modules/sub\n",
    "plain/x": "",
  });
  for (const name of ["bare", "sub", "plain"]) assert.equal(stateRoot(join(at.path, name)), join(at.path, name));
});

// ---- secrets

const secrets = ".forkstack/secrets/alice.env";

Deno.test("secret() asks the process of a deployment, then the environment's file, then the provider, then the default", async () => {
  using deployed = project({ [secrets]: envFile({ A: "provider" }) });
  assert.equal(await deployed.open({ FORKSTACK_ENV: "alice", A: "process" }).secret("A"), "process");
  using at = project({ ".current-env": "alice", [secrets]: envFile({ A: "provider", B: "provider" }) });
  assert.equal(await at.open().secret("A"), "provider");
  at.write(".forkstack/envs/alice.env", envFile({ ...ALICE, A: "file" }));
  assert.equal(await at.open().secret("A"), "file");
  assert.equal(await at.open().secret("B", "default"), "provider");
  await failure("ENV_CONFLICT", () => at.open({ FORKSTACK_ENV: "alice", A: "process" }).secret("A"));
  assert.equal(await at.open().secret("C", "default"), "default");
  assert.equal(await at.open().secret("C", ""), "");
});

Deno.test("secret() is SECRET_MISSING, naming key and environment; names of Object's own are not there", async () => {
  using at = project({ ".current-env": "alice" });
  for (const key of ["API_KEY", "toString", "constructor", "__proto__"]) {
    const error = await failure("SECRET_MISSING", () => at.open().secret(key));
    assert.match(error.message, new RegExp(`"${key}".*"alice"`));
  }
});

Deno.test("secret() is ENV_CONFLICT for another value inherited where .current-env decides", async () => {
  using at = project({ ".current-env": "alice", [secrets]: envFile({ A: "1" }) });
  await failure("ENV_CONFLICT", () => at.open({ A: "2" }).secret("A"));
  await failure("ENV_CONFLICT", () => at.open({ A: "2" }).secrets());
  assert.equal(await at.open({ A: "1" }).secret("A"), "1");
});

Deno.test("secrets() are the provider's, with the process's where that decides", async () => {
  using at = project({ [secrets]: envFile({ A: "1", B: "2" }) });
  assert.deepEqual(await at.open({ ENV: "alice", B: "3", C: "4" }).secrets(), { A: "1", B: "3" });
});

Deno.test("a stack that declares no secrets has none, and can set none", async () => {
  using at = project({}, POSTGRES);
  assert.equal(await at.open().secret("A", "default"), "default");
  assert.deepEqual(await at.open().secrets(), {});
  await failure("CONFIG_MISSING", () => at.open().setSecret("A", "1"));
});

Deno.test("a secrets provider that is not there is PROVIDER_MISSING, and asked for only when needed", async () => {
  using at = project({}, { secrets: { provider: "no-such" } });
  const error = await failure("PROVIDER_MISSING", () => at.open().secret("A"));
  assert(error.cause instanceof Error);
  assert.equal(await at.open({ ENV: "prod", A: "1" }).secret("A"), "1");
  using path = project({}, { secrets: { provider: "../../evil" } });
  await failure("PROVIDER_MISSING", () => path.open().secret("A"));
});

Deno.test("setSecret() makes a file of mode 0600 in a directory of 0700 that git ignores", async () => {
  using at = project();
  const stack = at.open({ ENV: "alice" });
  await stack.setSecret("A", "it's");
  assert.equal(await stack.secret("A"), "it's");
  const mode = (path: string) => statSync(join(at.path, path)).mode & 0o777;
  assert.deepEqual([mode(secrets), mode(".forkstack/secrets")], [0o600, 0o700]);
  assert.equal(readFileSync(join(at.path, ".forkstack/.gitignore"), "utf8"), "*\n");
  assert.deepEqual(readdirSync(join(at.path, ".forkstack/secrets")), ["alice.env"], "no lock or temporary file stays");
});

Deno.test("setSecret() keeps comments, order and other values, and closes a file that was open to all", async () => {
  const text = "# keys\nexport A='1' # one\n\nTEXT='x\nA=not me\n'\nB=2";
  using at = project({ ".current-env": "alice", [secrets]: text });
  await at.open().setSecret("B", "3");
  await at.open().setSecret("C", "4");
  await at.open().setSecret("A", "5");
  const path = join(at.path, secrets);
  assert.equal(readFileSync(path, "utf8"), "# keys\nA=5\n\nTEXT='x\nA=not me\n'\nB=3\nC=4\n");
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

Deno.test("setSecret() refuses a key that is no variable's name, and half a surrogate pair", async () => {
  using at = project({ ".current-env": "alice" });
  for (const key of ["", "a b", "A=B", "1A", "A\n"]) {
    await assert.rejects(() => at.open().setSecret(key, "1"), { name: "RangeError" });
  }
  const error = await failure("VALUE_UNWRITABLE", () => at.open().setSecret("A", "top\ud800secret"));
  assert(!error.message.includes('secret"') && !error.message.includes("top"), "a message holds no value");
  assert.deepEqual(readdirSync(join(at.path, ".forkstack/secrets")), []);
});

Deno.test("setSecret() takes over the lock of a process that died, and the lock of that", async () => {
  using at = project({ ".current-env": "alice", [`${secrets}.lock`]: "dead", [`${secrets}.lock.lock`]: "dead too" });
  for (const lock of [`${secrets}.lock`, `${secrets}.lock.lock`]) utimesSync(join(at.path, lock), 1, 1);
  await at.open().setSecret("A", "1");
  assert.equal(await at.open().secret("A"), "1");
  assert.deepEqual(readdirSync(join(at.path, ".forkstack/secrets")), ["alice.env"]);
});

Deno.test("setSecret() of several processes at once loses no value", async () => {
  using at = project({
    "set.ts": `import { setSecret } from ${JSON.stringify(MOD.href)};
      await Promise.all(Array.from({ length: 10 }, (_, i) => setSecret(\`\${Deno.args[0]}_\${i}\`, "v")));`,
    // A lock left behind: the processes also race to take it over.
    [`${secrets}.lock`]: "dead",
  });
  utimesSync(join(at.path, `${secrets}.lock`), 1, 1);
  const writers = ["A", "B", "C", "D"];
  const ends = await Promise.all(writers.map((name) =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-config", "--allow-read", "--allow-write=.", "--allow-env", "set.ts", name],
      cwd: at.path,
      env: { FORKSTACK_ENV: "alice" },
      stderr: "piped",
    }).output()
  ));
  for (const end of ends) assert(end.success, new TextDecoder().decode(end.stderr));
  const wanted = writers.flatMap((name) => Array.from({ length: 10 }, (_, i) => `${name}_${i}`)).sort();
  assert.deepEqual(Object.keys(parseEnvFile(readFileSync(join(at.path, secrets), "utf8"))).sort(), wanted);
});

// ---- env files

Deno.test("parseEnvFile() reads what people write by hand", () => {
  const text =
    "\uFEFFA=1\r\n# B=2\r\n export C = \"x\\ny\" # c\r\nD=\r\nE='a#b\r\nF=1'\nG=a #b\nH=it's\nI= # i\n__proto__=p";
  assert.deepEqual(
    Object.entries(parseEnvFile(text)),
    Object.entries({ A: "1", C: "x\ny", D: "", E: "a#b\nF=1", G: "a", H: "it's", I: "", ["__proto__"]: "p" }),
  );
});

Deno.test("setEnvVariable() leaves one of a variable that was there twice", () => {
  assert.equal(setEnvVariable("A=1\nB=2\nA=3\n", "A", "4"), "A=4\nB=2\n");
  assert.equal(setEnvVariable("A=1", "B", "$&"), "A=1\nB='$&'\n");
});

for (const value of ["\0", "a\rb", "\r\n", "\ud800", "\ufffd", "\n'\"`", "#'\"`", "$'\"`"]) {
  Deno.test(`formatEnvLine() refuses ${JSON.stringify(value)} by the variable's name`, async () => {
    assert.match((await failure("VALUE_UNWRITABLE", () => formatEnvLine("API_KEY", value))).message, /"API_KEY"/);
  });
}

// ---- forkstack run

Deno.test("FORKSTACK_RUN vouches for what it names, in its environment, and for nothing else", async () => {
  const alice = envFile({
    FORKSTACK_ENV: "alice",
    FORKSTACK_PROJECT: "myapp",
    AWS_ENDPOINT_URL_S3: "http://a:1",
    A: "a",
  });
  const bob = localFile({ FORKSTACK_ENV: "bob", FORKSTACK_PROJECT: "myapp", BUCKET_NAME: "bucket-of-bob" });
  using at = project({ ".current-env": "bob", ".env.local": bob, ".forkstack/envs/alice.env": alice });
  const loaded = { FORKSTACK_ENV: "alice", FORKSTACK_PROJECT: "myapp" };
  const running = { ...loaded, FORKSTACK_RUN: "alice AWS_ENDPOINT_URL_S3 KEY" };
  const endpoint = { AWS_ENDPOINT_URL_S3: "http://a:2" };
  assert.equal(at.open({ ...running, ...endpoint }).storage().endpoint, "http://a:2");
  await failure("ENV_CONFLICT", () => at.open({ ...loaded, ...endpoint }).storage());
  await failure(
    "ENV_CONFLICT",
    () => at.open({ ...running, FORKSTACK_RUN: "bob AWS_ENDPOINT_URL_S3", ...endpoint }).storage(),
  );
  await failure("ENV_CONFLICT", () => at.open({ ...running, FORKSTACK_RUN: "alice KEY", ...endpoint }).storage());
  assert.equal(await at.open({ ...running, KEY: "k" }).secret("KEY"), "k");
  await failure("ENV_CONFLICT", () => at.open({ ...running, A: "not a" }).secret("A"));
  await failure("ENV_CONFLICT", () => at.open({ ...running, OTHER: "k" }).secret("OTHER")); // left over in the shell
  const others = { ...running, FORKSTACK_RUN: "alice KEY", BUCKET_NAME: "bucket-of-bob" };
  await failure("ENV_CONFLICT", () => at.open(others).storage());
  const unmade = {
    ...loaded,
    FORKSTACK_ENV: "carol",
    FORKSTACK_RUN: "carol DATABASE_URL",
    DATABASE_URL: "postgres://c",
  };
  assert.equal(url(at, unmade), "postgres://c", "run has asked the providers");
});

Deno.test("FORKSTACK_RUN: what run chose counts, though the directory points elsewhere", () => {
  const alice = envFile({ FORKSTACK_ENV: "alice", FORKSTACK_PROJECT: "myapp" });
  using at = project({ ".current-env": "bob", ".env.local": alice, ".forkstack/envs/alice.env": alice });
  const running = { FORKSTACK_ENV: "alice", FORKSTACK_PROJECT: "myapp", FORKSTACK_RUN: "alice" };
  assert.equal(at.open(running).current(), "alice");
});

// ---- permissions, size, start-up

const READ = "--allow-read";
const APP = `import * as m from ${JSON.stringify(MOD.href)};
  const found = [m.getCurrentEnv(), m.getDatabaseUrl(), m.getBucketName(), m.getStorageConfig().bucket, m.getLocalPath(),
    m.getDatabaseAuthToken(), await m.getSecret("A"), await m.getAllSecrets()];
  console.log(JSON.stringify(found));`;

/** Runs an application in Deno, with these permissions. */
function app(at: Project, permissions: string[], env: Record<string, string> = {}, code = APP) {
  at.write("app.ts", code);
  return run([Deno.execPath(), "run", "--no-config", "--no-prompt", ...permissions, "app.ts"], { cwd: at.path, env });
}

Deno.test("the getters need no more than --allow-read --allow-env=FORKSTACK_*", () => {
  using at = project({ ".current-env": "alice", [secrets]: envFile({ A: "1" }) });
  for (const env of [{}, { FORKSTACK_ENV: "alice" }, { FORKSTACK_ENV: "alice", ENV: "bob", DATABASE_URL: "unseen" }]) {
    const { stdout, stderr, code } = app(at, [READ, "--allow-env=FORKSTACK_*"], env as Record<string, string>);
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout).slice(0, 1).concat(JSON.parse(stdout).slice(2, 4)), [
      "alice",
      "myapp-bucket-alice",
      "myapp-bucket-alice",
    ]);
  }
});

Deno.test("the getters say which permission is missing rather than mean dev", () => {
  using at = project({ ".current-env": "alice" });
  const print = `import { getCurrentEnv } from ${JSON.stringify(MOD.href)};
    try { console.log(getCurrentEnv()); } catch (error) { console.log(error.code, error.hint); }`;
  assert.match(app(at, ["--allow-env"], {}, print).stdout, /^FILE_UNREADABLE .*--allow-read/);
  using bare = project();
  assert.match(app(bare, [READ, "--allow-env=FORKSTACK_*"], {}, print).stdout, /^ENV_UNREADABLE .*ENV/);
  assert.equal(app(at, ["--allow-env"], { ENV: "prod" }, print).stdout, "prod\n", "a deployment needs no files");
});

Deno.test("mod.ts reads within --allow-read=<project> alone", () => {
  using at = project({ ".current-env": "alice", [secrets]: envFile({ A: "1" }) });
  const { code, stderr } = app(at, ["--allow-read=.", "--allow-env"]);
  assert.equal(code, 0, stderr);
});

Deno.test("a value that may not be read is VALUE_MISSING with the permission", () => {
  using at = project({ ".current-env": "alice" }, POSTGRES);
  const print = `import { getDatabaseUrl } from ${JSON.stringify(MOD.href)};
    try { getDatabaseUrl(); } catch (error) { console.log(error.code, error.hint); }`;
  const { stdout } = app(at, [READ, "--allow-env=FORKSTACK_*"], {}, print);
  assert.match(stdout, /^VALUE_MISSING .*--allow-env=DATABASE_URL/);
});

Deno.test("getSecret() and setSecret() reject, and do not throw, where the environment is illegal", () => {
  using at = project({ ".current-env": "NO" });
  const print = `import { getSecret, setSecret } from ${JSON.stringify(MOD.href)};
    for (const one of [getSecret("A"), setSecret("A", "1")]) one.catch((error) => console.log(error.code));`;
  assert.equal(app(at, [READ, "--allow-env"], {}, print).stdout, "NAME_INVALID\nNAME_INVALID\n");
});

Deno.test("mod.ts imports nothing but node: built-ins, and none of them before the first call", () => {
  const text = readFileSync(MOD, "utf8");
  assert.deepEqual(specifiersIn(text).filter((specifier) => !specifier.startsWith("node:")), []);
  using at = temporaryProject();
  const touch = `Object.defineProperty(globalThis, "process", { get() { throw new Error("touched"); } });
    await import(${JSON.stringify(MOD.href)});`;
  const { code, stderr } = app(at, ["--allow-read"], {}, touch);
  assert.equal(code, 0, stderr);
});

Deno.test("getters cost less than a microsecond after the first call", () => {
  using at = project({ ".current-env": "alice" });
  const measure = `import * as m from ${JSON.stringify(MOD.href)};
    const worst = {};
    for (const name of ["getCurrentEnv", "getDatabaseUrl", "getDatabaseAuthToken", "getBucketName", "getStorageConfig"]) {
      let best = Infinity; // of several rounds: the machine may be busy
      for (let round = 0; round < 20; round++) {
        const start = performance.now();
        for (let i = 0; i < 10_000; i++) m[name]();
        best = Math.min(best, (performance.now() - start) / 10);
      }
      if (best > 1) worst[name] = best;
    }
    console.log(JSON.stringify(worst));`;
  assert.equal(app(at, [READ, "--allow-env"], {}, measure).stdout, "{}\n");
});

const MANY = sized({ quick: 500, gate: 5_000, full: 5_000 });

Deno.test(`a value that is nowhere recorded costs as much with ${MANY} environments on the disk as with ten`, async () => {
  const bestOf = async (count: number, variables: Record<string, string>): Promise<number> => {
    using at = project({ ".current-env": "alice", ".forkstack/registry.db": "" }, POSTGRES);
    for (let i = 0; i < count; i++) {
      const env = { FORKSTACK_ENV: `e${i}`, FORKSTACK_PROJECT: "myapp", DATABASE_URL: `postgres://e${i}` };
      at.write(`.forkstack/envs/e${i}.env`, envFile(env));
    }
    let best = Infinity; // of several: the machine may be busy
    for (let round = 0; round < 20; round++) {
      const began = performance.now();
      const stack = at.open(variables);
      await assert.rejects(async () => await stack.secret("NOWHERE"), { code: /SECRET_MISSING/ });
      try {
        stack.optionalOf("cache", "AWS_REGION");
        stack.of("database", "DATABASE_URL");
      } catch (error) {
        assert(isForkstackError(error));
      }
      best = Math.min(best, performance.now() - began);
    }
    return best;
  };
  const ways: Record<string, string>[] = [{}, { FORKSTACK_ENV: "e7", AWS_REGION: "x" }, {
    ENV: "prod",
    DATABASE_URL: "x",
  }];
  for (const variables of ways) {
    const [few, many] = [await bestOf(10, variables), await bestOf(MANY, variables)];
    console.log(many, few);
    assert(many <= 3 * few, `${many} ms, with ten ${few} ms`); // else each was read
  }
});

Deno.test("getSecret() costs less than a microsecond after the first call", () => {
  using at = project({ ".current-env": "alice", [secrets]: envFile({ A: "1" }) });
  const measure = `import { getSecret } from ${JSON.stringify(MOD.href)};
    let best = Infinity;
    for (let round = 0; round < 20; round++) {
      const start = performance.now();
      for (let i = 0; i < 10_000; i++) await getSecret("A");
      best = Math.min(best, (performance.now() - start) / 10);
    }
    console.log(best <= 1 ? "within" : best + " us");`;
  assert.equal(app(at, [READ, "--allow-env"], {}, measure).stdout, "within\n");
});

Deno.test("secret() asks the provider once in five minutes, and anew after setSecret()", async () => {
  using at = project({ ".current-env": "alice", [secrets]: envFile({ A: "1" }) });
  const { now } = performance;
  try {
    let passed = 0;
    performance.now = () => 1_000 + passed;
    const stack = at.open();
    assert.equal(await stack.secret("A"), "1");
    at.write(secrets, envFile({ A: "2", B: "2" }));
    passed = 299_000;
    assert.deepEqual([await stack.secret("A"), await stack.secret("B", "none")], ["1", "none"]);
    passed = 301_000;
    assert.deepEqual([await stack.secret("A"), await stack.secret("B", "none")], ["2", "2"]);
    await stack.setSecret("A", "3");
    assert.equal(await stack.secret("A"), "3");
  } finally {
    performance.now = now;
  }
});

Deno.test("secret() takes an empty value for a missing one", async () => {
  using at = project({ ".current-env": "alice", [secrets]: envFile({ A: "" }) });
  await failure("SECRET_MISSING", () => at.open().secret("A"));
  assert.equal(await at.open().secret("A", "default"), "default");
});

Deno.test("mod.ts is one file that imports nothing and stays under its budget", async () => {
  const text = await Deno.readTextFile(new URL("../mod.ts", import.meta.url));
  assert.deepEqual(specifiersIn(text), []);
  const lines = text.split("\n").length - 1;
  assert(lines <= 1_396, `${lines} lines`);
  assert(text.length <= 73_000, `${text.length} characters`);
});
