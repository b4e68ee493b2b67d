/** The environment of a program that `run` runs. */
import assert from "node:assert/strict";
import { type ProgramEnvironment, programVariables } from "../../../core/workspace/program_env.ts";
import { Secret } from "../../../core/secret.ts";
import { IDENTITIES } from "../../../providers/identities.ts";

const CONFIG = { project: "shop", database: { provider: "sqlite" }, storage: { uploads: { provider: "local" } } };

function known(changed: Partial<ProgramEnvironment> = {}): ProgramEnvironment {
  const project = { root: "/shop", stateRoot: "/shop", name: "shop", stack: "shop", config: CONFIG, isNew: false };
  return {
    project: project as ProgramEnvironment["project"],
    env: "alice",
    variables: { DATABASE_URL: "of alice" },
    unwritten: {},
    secrets: {},
    identities: IDENTITIES,
    ...changed,
  };
}

const OWN = { FORKSTACK_ENV: "alice", FORKSTACK_PROJECT: "shop", DATABASE_URL: "of alice", FORKSTACK_RUN: "alice" };

Deno.test("programVariables() keeps what is the caller's, and puts the environment's in the place of what is not", () => {
  const cases: [name: string, caller: Record<string, string>, kept: Record<string, string>][] = [
    ["nothing", {}, {}],
    ["what is nobody's", { PATH: "/bin", MINE: "x", EMPTY: "" }, { PATH: "/bin", MINE: "x", EMPTY: "" }],
    ["a value of another environment", { DATABASE_URL: "of bob", FORKSTACK_ENV: "bob" }, {}],
    ["a variable of another environment that this one lacks", { CACHE_URL: "of bob" }, {}],
    ["one of that name, but the caller's own", { CACHE_URL: "mine" }, { CACHE_URL: "mine" }],
    ["what the stack's getters would read", { DATABASE_AUTH_TOKEN: "x", UPLOADS_BUCKET_NAME: "x" }, {}],
    ["what an AWS SDK would mix with the key", { UPLOADS_AWS_PROFILE: "x", UPLOADS_AWS_SESSION_TOKEN: "x" }, {}],
    ["the same of what the stack has not", { BUCKET_NAME: "x", AWS_PROFILE: "x" }, {
      BUCKET_NAME: "x",
      AWS_PROFILE: "x",
    }],
    ["ENV of another", { ENV: "prod" }, {}],
    ["ENV of this one", { ENV: "alice" }, { ENV: "alice" }],
    ["a lease that is another's", { FORKSTACK_EXPIRES_AT: "x", FORKSTACK_PROJECT: "other" }, {}],
    ["what the run that this one is in set", { FORKSTACK_RUN: "bob API_KEY B", API_KEY: "of bob", B: "of bob" }, {}],
    ["a credential for the registry", { FORKSTACK_REGISTRY_TOKEN: "x" }, { FORKSTACK_REGISTRY_TOKEN: "x" }],
  ];
  const bob = { FORKSTACK_ENV: "bob", DATABASE_URL: "of bob", CACHE_URL: "of bob" };
  for (const [name, caller, kept] of cases) {
    assert.deepEqual(programVariables(caller, [bob], known()), { ...kept, ...OWN }, name);
  }
});

Deno.test("programVariables() gives secrets, but never in the place of the environment's own variables", () => {
  const secrets = { API_KEY: new Secret("k"), DATABASE_URL: new Secret("no"), FORKSTACK_ENV: new Secret("prod") };
  const given = programVariables({ API_KEY: "left over" }, [], known({ secrets }));
  assert.deepEqual(given, { ...OWN, API_KEY: "k", FORKSTACK_RUN: "alice API_KEY" });
});

Deno.test("programVariables() takes out what the stack's providers declare as an environment's own", () => {
  const config = { project: "shop", database: { provider: "supabase" }, queue: { provider: "qstash" } };
  const project = { ...known().project, config } as ProgramEnvironment["project"];
  const kept = { QSTASH_TOKEN: "the account's", INNGEST_ENV: "another stack's", AWS_REGION: "x", UP_SUPABASE_URL: "x" };
  const caller = {
    ...kept,
    SUPABASE_URL: "x",
    SUPABASE_JWT_SECRET: "x",
    DATABASE_URL_UNPOOLED: "x",
    QUEUE_PREFIX: "x",
  };
  assert.deepEqual(programVariables(caller, [], known({ project })), { ...kept, ...OWN });
});

Deno.test("programVariables() names what no file tells", () => {
  const unwritten = { UPLOADS_AWS_ENDPOINT_URL_S3: "http://127.0.0.1:4" };
  const given = programVariables({}, [], known({ unwritten }));
  assert.deepEqual(given, { ...OWN, ...unwritten, FORKSTACK_RUN: "alice UPLOADS_AWS_ENDPOINT_URL_S3" });
});

Deno.test("programVariables() refuses a secret that no process environment could hold", () => {
  for (const [key, value] of [["A=B", "x"], ["A B", "x"], ["", "x"], ["A\0", "x"], ["A", "canary\0"]] as const) {
    assert.throws(() => programVariables({}, [], known({ secrets: { [key]: new Secret(value) } })), (error: Error) => {
      assert.equal((error as { code?: string }).code, "VALUE_UNWRITABLE");
      return !error.message.includes("canary");
    });
  }
});
