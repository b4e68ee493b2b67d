/** The variables that providers declare, and what follows from the declarations. */
import assert from "node:assert/strict";
import { inspect } from "node:util";
import type { Engine } from "../../core/engine/engine.ts";
import { outputsOf } from "../../core/engine/outputs.ts";
import { redactor } from "../../core/http/redact.ts";
import { checked } from "../../core/project/checked_provider.ts";
import type { Context, Declaration, Fork, Kind, Outputs, Provider, Target } from "../../core/provider.ts";
import { Secret } from "../../core/secret.ts";
import { variableNames } from "../../core/workspace/variable_names.ts";
import { isForkstackError, KINDS } from "../../mod.ts";
import { IDENTITIES } from "../../providers/identities.ts";
import { CATALOG, PROVIDERS } from "../../providers/mod.ts";
import { fakeProvider, Vendor } from "../core/_engine.ts";

const ALL: readonly Provider[] = await Promise.all(
  Object.values(PROVIDERS).flatMap((those) => Object.values(those)).map(async (load) => (await load()).default),
);

const PLAIN: Declaration = { isSecret: false, isIdentity: false };
const SECRET: Declaration = { isSecret: true, isIdentity: true };

const HELD = { id: "1", name: "shop-alice" };
const MARKER = { stack: "shop", env: "alice", resource: "cache", operation: "o" };
const FORK: Fork = { ...HELD, marker: MARKER, createdAt: "2026-11-30T00:00:00.000Z" };
const TARGET = { name: HELD.name, marker: MARKER } as Target<unknown>;

/** A provider that declares one thing and gives another, as the command line holds it. */
function giving(outputs: Outputs, variables: Provider["variables"]): Provider {
  return checked({
    ...fakeProvider(new Vendor(), "cache"),
    variables,
    outputs: () => Promise.resolve(outputs),
    create: () => Promise.resolve({ ...FORK, outputs }),
  });
}

Deno.test("a provider that gives a variable which it does not declare is refused, by create() and by outputs()", async () => {
  const cases: [given: Outputs, declared: Provider["variables"]][] = [
    [{ CACHE_URL: "x", CACHE_TOKEN: new Secret("y") }, { CACHE_URL: PLAIN }],
    [{ REDIS_URL: "x" }, {}],
    [{ toString: "x" }, { CACHE_URL: PLAIN }],
    [{ CACHE_URL: "x", UP_CACHE_URL: "x" }, { CACHE_URL: PLAIN }],
    [{ FORKSTACK_ENV: "prod" }, { FORKSTACK_ENV: PLAIN }],
  ];
  for (const [given, declared] of cases) {
    const provider = giving(given, declared);
    const attempts = [
      () => provider.outputs({} as Context, HELD, TARGET),
      () => provider.create({} as Context, TARGET),
    ];
    for (const attempt of attempts) {
      await assert.rejects(attempt, (error) => isForkstackError(error) && error.code === "ANSWER_INVALID");
    }
  }
});

Deno.test("a variable declared a secret is one, though its provider gives plain text, and no error shows it", async () => {
  const text = "canary-0123456789";
  const outputs = { CACHE_URL: "redis://host", CACHE_TOKEN: text, CACHE_KEY: new Secret(`${text}-2`) };
  const provider = giving(outputs, { CACHE_URL: PLAIN, CACHE_TOKEN: SECRET, CACHE_KEY: PLAIN });
  for (const given of [undefined, (await provider.create({} as Context, TARGET)).outputs]) {
    const world = { secrets: [] as Secret[] } as Engine["world"];
    const query = { context: {} as Context, resource: { name: "hot", provider }, held: HELD, scope: TARGET, given };
    const variables = await outputsOf({ world }, query);
    assert.doesNotMatch(inspect(variables, { depth: 9 }) + JSON.stringify(variables), /canary/);
    assert.equal(variables.HOT_CACHE_URL, "redis://host");
    assert.equal((variables.HOT_CACHE_TOKEN as Secret).reveal(), text);
    const redact = redactor(() => world.secrets.map((one) => one.reveal()));
    assert.doesNotMatch(redact(`a vendor said ${text} and ${text}-2`), /canary/);
  }
});

Deno.test("providers/identities.ts has the identities that the providers declare, and the catalog gives them", async () => {
  for (const { kind, name, variables } of ALL) {
    const declared = Object.keys(variables).filter((one) => variables[one]!.isIdentity && !variables[one]!.isPersonal);
    assert.deepEqual(IDENTITIES[kind][name], declared, name);
    assert(declared.length > 0, `${name}: nothing tells one environment from another`);
    for (const variable of Object.keys(variables)) assert.match(variable, /^(?!FORKSTACK_)[A-Z][A-Z0-9_]*$/, name);
  }
  assert.equal(await CATALOG.identities(), IDENTITIES);
});

Deno.test("KINDS name no variable that no provider of the kind declares", () => {
  for (const [kind, { variables, given = [] }] of Object.entries(KINDS)) {
    const declared = ALL.filter((one) => one.kind === kind).flatMap(({ variables }) => Object.keys(variables));
    const lacking = [...Object.values(variables), ...given].filter((one) => !declared.includes(one));
    assert.deepEqual(lacking, [], kind);
  }
});

Deno.test("the embedded providers declare the same with and without their package", async () => {
  const embedded = ALL.filter(({ capabilities }) => capabilities.embedded);
  assert.equal(embedded.length, 4);
  for (const { kind, name, variables } of embedded) {
    assert.deepEqual((await CATALOG.teller(kind, name))?.variables, variables, name);
  }
});

Deno.test("variableNames() has what the providers declare, under the resource's name, but what a person may set", () => {
  const of = (kind: Kind, name: string) => ({ kind, provider: ALL.find((one) => one.name === name)! });
  const names = variableNames([
    of("queue", "inngest"),
    of("secrets", "doppler"),
    { ...of("storage", "s3"), name: "uploads" },
  ]);
  assert.equal(new Set(names).size, names.length);
  for (const one of ["QUEUE_PREFIX", "INNGEST_ENV", "DOPPLER_TOKEN", "UPLOADS_AWS_SESSION_TOKEN"]) {
    assert(names.includes(one), one);
  }
  for (const one of ["INNGEST_EVENT_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "UPLOADS_INNGEST_ENV"]) {
    assert(!names.includes(one), one);
  }
});
