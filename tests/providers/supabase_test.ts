import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { inspect as show } from "node:util";
import postgres from "npm:postgres@3.4.9";
import * as v from "npm:valibot@1.5.0";
import { memory } from "../../core/system/memory.ts";
import { httpClient } from "../../core/http/client.ts";
import type { Context, Fork, Marker, Scope, Target } from "../../core/provider.ts";
import { Secret } from "../../core/provider.ts";
import { firstNameOf } from "../../providers/_shared/first_name.ts";
import provider from "../../providers/database/supabase.ts";
import { isForkstackError } from "../../mod.ts";
import { testProvider } from "../conformance.ts";
import { type Permission, startSupabase, type State, type SupabaseOptions } from "../emulators/supabase.ts";
import { ledgerOf, testIf } from "../helpers.ts";
import { jsonRequest, Specification, testSpecification } from "../emulators/specification.ts";
import { hasCode } from "./_special.ts";
import { NOTES, PROJECT, SEED, server, SKIP, supabaseEmulator, whyNoServer } from "./_supabase.ts";

/** Where the specification is known to be wrong. */
const SPECIFICATION = Specification.read("supabase.json", {
  exceptions: {
    "of the routes of branches it lists success and 500 alone; refusals happen all the same":
      /^(GET|POST|PATCH|DELETE) \S+\/branches\S*: answer 4\d\d: there are 20[01],500$/,
    "an entitlement's config must match exactly one of three shapes, but a number's matches that of a flag too":
      /^GET \S+\/entitlements: answer 200\/entitlements\/0\/config: must match exactly one schema/,
  },
});

if (whyNoServer === undefined) {
  testProvider({
    provider,
    emulator: supabaseEmulator({ specification: SPECIFICATION }),
    options: { projectRef: PROJECT, withData: true },
    skip: SKIP,
  });
  const shown = "the run with data shows it, and which data there are changes no call";
  testProvider({
    provider: {
      ...provider,
      name: "supabase without data",
      capabilities: { ...provider.capabilities, copy: "schema-only" },
    },
    emulator: supabaseEmulator({ seed: NOTES, specification: SPECIFICATION }), // the project has what its migrations make, and no more
    options: { projectRef: PROJECT, connection: "direct" },
    skip: {
      ...SKIP,
      "create() broken at any call can be undone, and run again": shown,
      "delete() broken at any call can be run again": shown,
      "an abort at any call leaves nothing unnamed": shown,
      "readers broken at any call tell the truth or throw": shown,
    },
  }, { isVariant: true });
  testSpecification("supabase", SPECIFICATION, {
    request: jsonRequest("https://api.supabase.com/v1/projects/abc/branches", "POST"),
    sent: "{}",
    is: /path parameter "ref": must NOT have fewer than 20 characters/,
  });
  testSpecification("supabase, a body", SPECIFICATION, {
    request: jsonRequest(`https://api.supabase.com/v1/projects/${PROJECT}/branches`, "POST"),
    sent: "{}",
    is: /body: must have required property 'branch_name'/,
  });
}

const TOKEN = "sbp_0123456789abcdef0123456789abcdef01234567";
const PASSWORD = "canary-project-password";
const CHINOOK = fileURLToPath(new URL("../../../shared/data/chinook/Chinook_PostgreSql.sql", import.meta.url));
type Options = Parameters<typeof provider.create>[1]["options"];

/** A project "shop", and the provider in it. Time goes by as it sleeps. */
async function openShop(changed: Partial<SupabaseOptions> = {}, seed = SEED) {
  const tokens = { [TOKEN]: undefined };
  const supabase = await startSupabase({ server, projectRef: PROJECT, tokens, password: PASSWORD, ...changed });
  await supabase.fill(seed);
  const journal = new Map<string, Marker>();
  const ledger = ledgerOf(journal);
  const warnings: string[] = [];
  const told: string[] = [];
  let slept = 0;
  const context = (token = TOKEN, more: Partial<Context> = {}): Context => ({
    fetch: httpClient({ tries: 2, random: () => 0 }),
    files: {} as Context["files"],
    credentials: { SUPABASE_ACCESS_TOKEN: new Secret(token) },
    signal: new AbortController().signal,
    now: () => new Date(Date.now() + slept),
    sleep: (ms) => Promise.resolve(void (slept += ms)),
    markerOf: () => undefined,
    once: memory(),
    ...ledger,
    warn: (text) => void warnings.push(text),
    progress: (text) => void told.push(text),
    confirm: () => Promise.resolve(),
    ...more,
  });
  const scope = (more: object = {}): Scope<Options> => ({
    options: v.parse(provider.options as v.GenericSchema<unknown, Options>, {
      projectRef: PROJECT,
      endpoint: supabase.url,
      withData: true,
      ...more,
    }),
    project: "shop",
    stack: "shop",
    resource: "database",
    root: "/nowhere",
  });
  const target = (env: string, more: Partial<Target<Options>> = {}, options?: object): Target<Options> => ({
    ...scope(options),
    name: `shop-${env}`,
    parent: "shop",
    marker: { stack: "shop", env, resource: "database", operation: `make ${env}` },
    begunAt: new Date().toISOString(),
    ...more,
  });
  const create = async (at: Target<Options>, with_ = context()): Promise<Fork> => {
    journal.set(at.name, at.marker);
    return await provider.create(with_, at);
  };
  const calls = () =>
    supabase.requests.map(({ method, path }) => `${method} ${path.replace("/v1/", "").replaceAll(PROJECT, "{ref}")}`);
  return {
    supabase,
    journal,
    warnings,
    told,
    context,
    scope,
    target,
    create,
    calls,
    slept: () => slept,
    [Symbol.asyncDispose]: () => supabase[Symbol.asyncDispose](),
  };
}

/** Asks a database through the client of applications. */
async function ask(url: unknown, sql: string) {
  const client = postgres(url instanceof Secret ? url.reveal() : String(url), { max: 1, onnotice: () => {} });
  try {
    return [...await client.unsafe(sql)];
  } finally {
    await client.end();
  }
}

const reveal = (outputs: Record<string, string | Secret>) =>
  Object.fromEntries(
    Object.entries(outputs).map(([name, value]) => [name, value instanceof Secret ? value.reveal() : value]),
  );

function test(name: string, fn: () => Promise<void>): void {
  testIf(whyNoServer, `supabase: ${name}`, fn);
}

testIf(
  whyNoServer ?? (existsSync(CHINOOK) ? undefined : `there is no ${CHINOOK}`),
  "supabase: Chinook, forked, read and written",
  async () => {
    const sql = readFileSync(CHINOOK, "utf8");
    await using shop = await openShop({}, sql.slice(sql.search(/^CREATE TABLE/m)));
    const fork = await shop.create(shop.target("alice"));
    assert.equal(fork.copy, "full-copy");
    const { DATABASE_URL: url } = await provider.outputs(shop.context(), fork, shop.scope());
    const count = async (url: unknown, table: string) =>
      Number((await ask(url, `SELECT count(*) AS n FROM ${table}`))[0]!.n);
    assert.equal(await count(url, "track"), 3503);
    await ask(url, "DELETE FROM playlist_track; INSERT INTO artist (artist_id, name) VALUES (1000, 'Ülkü ''O')");
    assert.equal((await ask(url, "SELECT name FROM artist WHERE artist_id = 1000"))[0]!.name, "Ülkü 'O");
    const context = shop.context();
    const credentials = { ...context.credentials, SUPABASE_DB_PASSWORD: new Secret(PASSWORD) };
    const project = { id: PROJECT, name: "shop" };
    const { DATABASE_URL: parents } = await provider.outputs({ ...context, credentials }, project, shop.scope());
    assert.equal(await count(parents, "playlist_track"), 8715);
    assert.equal(await count(parents, "artist"), 275);
    const { sizeBytes } = await provider.usage!(shop.context(), fork, shop.scope());
    assert(sizeBytes > 1_000_000, `it has ${sizeBytes} bytes`);
  },
);

test("without data a fork has what the migrations make, and nothing that was made beside them", async () => {
  const migrations = [NOTES, "CREATE TABLE tags (name text)", "INSERT INTO tags VALUES ('by a migration')"];
  await using shop = await openShop({ migrations }, `${SEED}; CREATE TABLE beside (x int)`);
  const fork = await shop.create(shop.target("alice", {}, { withData: false }));
  assert.equal(fork.copy, "schema-only");
  const { DATABASE_URL: url } = await provider.outputs(shop.context(), fork, shop.scope());
  assert.deepEqual(await ask(url, "SELECT count(*)::int AS n FROM notes"), [{ n: 0 }]);
  assert.deepEqual(await ask(url, "SELECT name FROM tags"), [{ name: "by a migration" }]);
  await assert.rejects(ask(url, "SELECT 1 FROM beside"), { code: "42P01" });
});

test("new is seven calls besides waiting, and what a fork answers at three", async () => {
  const course: State[] = [["MIGRATIONS_PASSED", "ACTIVE_HEALTHY"]];
  await using shop = await openShop({ course, hidden: 0, refusing: 0 });
  const fork = await shop.create(shop.target("alice"));
  const made = shop.calls();
  assert.deepEqual(made, [
    "GET projects/{ref}/branches",
    "POST projects/{ref}/branches",
    "GET projects/{ref}/branches",
    `GET branches/${fork.id}`,
    `GET projects/${fork.id}/config/database/pooler`,
    "GET projects/{ref}/branches",
    `PATCH branches/${fork.id}`,
  ]);
  await provider.outputs(shop.context(), fork, shop.scope());
  assert.deepEqual(shop.calls().slice(made.length), [
    `GET branches/${fork.id}`,
    `GET projects/${fork.id}/config/database/pooler`,
    `GET projects/${fork.id}/api-keys`,
  ]);
});

test("outputs() hands out the pooler's address in session mode, or the server's, and the keys", async () => {
  await using shop = await openShop({ realHosts: true });
  const branch = shop.supabase.add("shop-alice");
  const held = { id: branch.ref, name: "shop-alice" };
  const { anon, service_role, publishable, secret } = branch.keys;
  const direct = `postgresql://postgres:${branch.password}@db.${branch.ref}.supabase.co:5432/postgres`;
  const others = {
    DATABASE_URL_UNPOOLED: direct,
    SUPABASE_ANON_KEY: anon,
    SUPABASE_SERVICE_ROLE_KEY: service_role,
    SUPABASE_PUBLISHABLE_KEY: publishable,
    SUPABASE_SECRET_KEY: secret,
    SUPABASE_JWT_SECRET: branch.jwtSecret,
    SUPABASE_URL: `https://${branch.ref}.supabase.co`,
  };
  const login = `postgres.${branch.ref}:${branch.password}`;
  assert.deepEqual(reveal(await provider.outputs(shop.context(), held, shop.scope())), {
    DATABASE_URL: `postgresql://${login}@aws-0-us-east-1.pooler.supabase.com:5432/postgres`,
    ...others,
  });
  const outputs = await provider.outputs(shop.context(), held, shop.scope({ connection: "direct" }));
  assert.deepEqual(reveal(outputs), { DATABASE_URL: direct, ...others });
  for (const [name, value] of Object.entries(outputs)) assert(name === "SUPABASE_URL" || value instanceof Secret, name);
});

test("a fork's password opens no other fork, and not the project", async () => {
  await using shop = await openShop();
  const [alice, bob] = [await shop.create(shop.target("alice")), await shop.create(shop.target("bob"))];
  const urlOf = async (fork: Fork) =>
    String(reveal(await provider.outputs(shop.context(), fork, shop.scope())).DATABASE_URL);
  const url = await urlOf(alice);
  for (const other of [bob.id, PROJECT]) {
    await assert.rejects(ask(url.replace(alice.id, other), "SELECT 1"), { code: "28P01" });
  }
  await assert.rejects(ask(url.replace(alice.id, "z".repeat(20)), "SELECT 1"), { code: "XX000" });
});

test("no database password is needed to list, to look at the project and a fork, or to delete", async () => {
  await using shop = await openShop();
  const context = shop.context();
  assert.equal(context.credentials.SUPABASE_DB_PASSWORD, undefined);
  const fork = await shop.create(shop.target("alice"), context);
  assert.deepEqual((await Array.fromAsync(provider.list(context, shop.scope()))).map(({ id }) => id), [fork.id]);
  assert.equal((await provider.inspect(context, { ...shop.target("prod"), name: "shop" })).state, "foreign");
  await provider.probe(context, fork, shop.scope());
  assert.equal(await provider.delete(context, fork, shop.scope()), "deleted");
});

for (const hidden of [1, 3, 8]) {
  test(`a branch that ${hidden} lists do not have yet is deleted all the same, and is not taken for absent`, async () => {
    await using shop = await openShop({ hidden, hidesInListsAlone: true });
    const control = new AbortController();
    const { fetch } = shop.context();
    const cut = {
      ...shop.context(),
      signal: control.signal,
      fetch: async (request: Request) => {
        const answer = await fetch(request);
        if (request.method === "POST") control.abort();
        return answer;
      },
    };
    await assert.rejects(shop.create(shop.target("alice"), cut));
    const [branch] = [...shop.supabase.branches.values()].filter(({ name }) => name.startsWith("shop-alice"));
    const { marker, begunAt: createdAt } = shop.target("alice");
    const fork = { id: branch!.ref, name: "shop-alice", marker, createdAt };
    assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "deleted");
    assert.equal(shop.supabase.find(branch!.name), undefined);
    assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "absent");
  });

  test(`what stands there while ${hidden} lists lack our own branch is not adopted, and stays`, async () => {
    await using shop = await openShop({ hidden, muteCreate: false });
    const { fetch } = shop.context();
    const lost = {
      ...shop.context(),
      fetch: async (request: Request) => {
        const answer = await fetch(request);
        if (request.method !== "POST") return answer;
        shop.supabase.add("shop-alice"); // somebody else's, seen at once
        throw new TypeError("the answer was lost");
      },
    };
    const target = shop.target("alice");
    await assert.rejects(shop.create(target, lost), hasCode("FOREIGN"));
    const theirs = shop.supabase.find("shop-alice")!;
    const seen = await provider.inspect(shop.context(), { ...target, isResumed: true });
    assert("fork" in seen && seen.fork.id !== theirs.ref, show(seen)); // our own, by its first name
    const fork = { id: theirs.ref, name: "shop-alice", marker: target.marker, createdAt: target.begunAt };
    await assert.rejects(provider.delete(shop.context(), fork, shop.scope()), hasCode("FOREIGN"));
    assert.equal(shop.supabase.find("shop-alice"), theirs);
  });
}

// ---- States ----

const STATES: Record<string, { course: State[]; code?: string; says?: RegExp }> = {
  "edge functions that fail warn": {
    course: [["FUNCTIONS_FAILED", "ACTIVE_HEALTHY"]],
    says: /"shop-alice" were not deployed/,
  },
  "a server that does not start": {
    course: [["CREATING_PROJECT", "COMING_UP"], ["CREATING_PROJECT", "INIT_FAILED"]],
    code: "PROVIDER_UNAVAILABLE",
    says: /could not \(INIT_FAILED\).*support of branch "[a-z]{20}"/s,
  },
  "a restore that fails": {
    course: [["CREATING_PROJECT", "RESTORING"], ["CREATING_PROJECT", "RESTORE_FAILED"]],
    code: "PROVIDER_UNAVAILABLE",
    says: /could not \(RESTORE_FAILED\)/,
  },
  "a pause that fails": {
    course: [["CREATING_PROJECT", "PAUSE_FAILED"]],
    code: "PROVIDER_UNAVAILABLE",
    says: /could not \(PAUSE_FAILED\)/,
  },
  "one that never comes up": {
    course: [["CREATING_PROJECT", "COMING_UP"]],
    code: "NOT_READY",
    says: /still COMING_UP/,
  },
  "one whose creation is stuck though its server runs": {
    course: [["CREATING_PROJECT", "ACTIVE_HEALTHY"]],
    code: "NOT_READY",
    says: /still CREATING_PROJECT/,
  },
  "one that is unhealthy": {
    course: [["MIGRATIONS_PASSED", "ACTIVE_UNHEALTHY"]],
    code: "NOT_READY",
    says: /still ACTIVE_UNHEALTHY/,
  },
  "one that somebody deletes": {
    course: [["CREATING_PROJECT", "COMING_UP"], ["CREATING_PROJECT", "GOING_DOWN"]],
    code: "NOT_READY",
    says: /branch "[a-z]{20}" is gone/,
  },
  "one that is paused before it was used": {
    course: [["FUNCTIONS_DEPLOYED", "INACTIVE"]],
    code: "NOT_READY",
    says: /paused it.*wakes it/s,
  },
};

for (const [what, { course, code, says }] of Object.entries(STATES)) {
  test(`${what}${code === undefined ? "" : ` is ${code}`}`, async () => {
    await using shop = await openShop({ course });
    const target = shop.target("alice");
    const made = shop.create(target);
    if (code === undefined) {
      await made;
      assert.match(shop.warnings.join("\n"), says!);
      return;
    }
    await assert.rejects(made, (error: Error) => {
      assert(hasCode(code)(error));
      assert.match(`${error.message}\n${(error as { hint?: string }).hint}`, says!);
      return true;
    });
    assert(shop.slept() < 3_700_000 + 300_000, `it waited ${shop.slept()} ms`);
    const seen = await provider.inspect(shop.context(), target);
    assert(seen.state === "pending" || seen.state === "deleting" || course[0]![1] === "INACTIVE", show(seen));
  });
}

test("migrations that fail on a branch are PARENT_MIGRATIONS, and what they left can be deleted", async () => {
  await using shop = await openShop({ migrations: [NOTES, "ALTER TABLE beside ADD x int"] });
  const target = shop.target("alice", {}, { withData: false });
  await assert.rejects(shop.create(target), (error: Error) => {
    assert(hasCode("PARENT_MIGRATIONS")(error));
    assert.match((error as { hint?: string }).hint!, /supabase migration list.*withData/);
    return true;
  });
  const seen = await provider.inspect(shop.context(), target);
  assert.equal(seen.state, "pending");
  assert.equal(await provider.delete(shop.context(), (seen as { fork: Fork }).fork, target), "deleted");
  assert.equal(shop.supabase.branches.size, 0);
});

test("a database that refuses for a minute after its server is healthy is waited for", async () => {
  await using shop = await openShop({ refusing: 15, hidden: 4 });
  await shop.create(shop.target("alice"));
  assert(shop.slept() > 45_000, `it waited ${shop.slept()} ms`);
});

test("a database that refuses for ever is PROVIDER_UNAVAILABLE", async () => {
  await using shop = await openShop({ refusing: 1e9 });
  await assert.rejects(shop.create(shop.target("alice")), hasCode("PROVIDER_UNAVAILABLE"));
  assert(shop.slept() < 150_000, `it waited ${shop.slept()} ms`);
});

test("create() says how far Supabase is", async () => {
  await using shop = await openShop();
  await shop.create(shop.target("alice"));
  assert.deepEqual(shop.told, ["Supabase says COMING_UP", "Supabase says RESTORING"]);
});

test("what is not set may be null, and times may have another zone", async () => {
  await using shop = await openShop();
  const context = shop.context();
  const fetch = async (request: Request) => {
    const response = await context.fetch(request);
    if (!request.url.endsWith("/branches")) return response;
    const text = (await response.text()).replace(
      /"created_at":"([^"]*)Z"/g,
      '"created_at":"$1456+00:00","deletion_scheduled_at":null,"git_branch":null',
    );
    return new Response(text, response);
  };
  const fork = await shop.create(shop.target("alice"), shop.context(TOKEN, { fetch }));
  assert.match(fork.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const { state } = await provider.inspect(shop.context(TOKEN, { fetch }), shop.target("alice"));
  assert.equal(state, "ready");
});

test("a fork that is paused is ready, and says so where it is used", async () => {
  await using shop = await openShop();
  const fork = await shop.create(shop.target("alice"));
  shop.supabase.find("shop-alice")!.course = [["FUNCTIONS_DEPLOYED", "INACTIVE"]];
  assert.deepEqual(await provider.inspect(shop.context(), shop.target("alice")), { state: "ready", fork });
  await assert.rejects(provider.probe(shop.context(), fork, shop.scope()), hasCode("NOT_READY"));
});

// ---- Lost and late answers ----

test("a create that never answers is found, though it shows late", async () => {
  await using shop = await openShop({ muteCreate: true, hidden: 6 });
  const fetch = httpClient({ tries: 2, timeoutMs: 150 });
  const fork = await shop.create(shop.target("alice"), shop.context(TOKEN, { fetch }));
  assert.equal(fork.id, shop.supabase.find("shop-alice")!.ref);
  assert.equal(shop.calls().filter((call) => call.startsWith("POST")).length, 1);
});

for (const takenStatus of [409, 500] as const) {
  test(`a name that was taken meanwhile, answered with ${takenStatus}`, async () => {
    await using shop = await openShop({ takenStatus });
    const target = shop.target("alice");
    const racing = () => {
      const context = shop.context();
      let lists = 0;
      return shop.context(TOKEN, {
        // What somebody else makes is not in the list of the first look.
        fetch: (request) => {
          if (request.method === "GET" && lists++ === 0) return Promise.resolve(Response.json([]));
          return context.fetch(request);
        },
      });
    };
    const { ref } = shop.supabase.add(firstNameOf(target, 80)); // by another worker of the same run
    const fork = await shop.create(target, racing());
    assert.equal(fork.id, ref);
    assert.deepEqual(await shop.create(target, racing()), fork, "what is on record is not made again");
    shop.journal.set(target.name, { ...target.marker, operation: "another" });
    await assert.rejects(provider.create(racing(), target), hasCode("FOREIGN"));
    assert.equal(shop.supabase.branches.size, 1);
    shop.journal.clear();
    await assert.rejects(provider.create(racing(), target), hasCode("FOREIGN"));
    assert.equal(shop.supabase.find("shop-alice")!.ref, ref);
  });
}

test("a name that somebody takes while a branch comes up is left, and ours is undone", async () => {
  await using shop = await openShop();
  const target = shop.target("alice");
  const context = shop.context();
  const fetch = (request: Request) => {
    if (request.method === "PATCH") shop.supabase.add("shop-alice");
    return context.fetch(request);
  };
  await assert.rejects(shop.create(target, shop.context(TOKEN, { fetch })), hasCode("FOREIGN"));
  const theirs = shop.supabase.find("shop-alice")!;
  assert.equal((await provider.inspect(context, target)).state, "pending", "ours is on record");
  const { fork } = await provider.inspect(context, { ...target, isResumed: true }) as { fork: Fork };
  assert.notEqual(fork.id, theirs.ref);
  assert.equal(await provider.delete(context, fork, shop.scope()), "deleted");
  assert.deepEqual([...shop.supabase.branches.values()], [theirs]);
  assert.equal((await provider.inspect(context, target)).state, "foreign");
});

test("a create that was cut off is seen by what undoes it, though it shows late", async () => {
  await using shop = await openShop({ hidden: 8 });
  const target = shop.target("alice");
  const context = shop.context();
  let isDead = false;
  const dying = shop.context(TOKEN, {
    async fetch(request) {
      if (isDead) throw new Error("the process died here");
      const response = await context.fetch(request);
      if (request.method === "POST") {
        isDead = true;
        await response.text();
        throw new Error("the process died here");
      }
      return response;
    },
  });
  await assert.rejects(shop.create(target, dying), /died here/);
  assert.equal((await provider.inspect(context, target)).state, "absent", "it is not on record");
  const seen = await provider.inspect(context, { ...target, isResumed: true });
  assert.equal(seen.state, "pending");
  const later = {
    ...target,
    isResumed: true,
    begunAt: new Date(Date.now() - 600_000).toISOString(),
    name: "shop-nobody",
  };
  const before = shop.calls().length;
  assert.equal((await provider.inspect(context, later)).state, "absent");
  assert.equal(shop.calls().length, before + 1, "what began long ago is not waited for");
});

test("what bears a fork's name is not ours without a record, whenever and however it was made", async () => {
  await using shop = await openShop();
  const target = shop.target("alice");
  shop.journal.set(target.name, target.marker);
  const hows = [
    { createdAt: new Date(Date.now() - 3_600_000).toISOString() },
    { createdAt: new Date(Date.now() + 3_600_000).toISOString() },
    { withData: false },
    { course: [["CREATING_PROJECT", "COMING_UP"]] as State[] },
  ];
  for (const how of hows) {
    const branch = shop.supabase.add("shop-alice", how);
    for (const one of [target, { ...target, isResumed: true }]) {
      await assert.rejects(provider.create(shop.context(), one), hasCode("FOREIGN"));
      assert.equal((await provider.inspect(shop.context(), one)).state, "foreign", show(how));
    }
    const fork = { id: branch.ref, name: "shop-alice", marker: target.marker, createdAt: branch.createdAt };
    await assert.rejects(provider.delete(shop.context(), fork, shop.scope()), hasCode("FOREIGN"));
    assert.deepEqual([...shop.supabase.branches.values()], [branch]);
    shop.supabase.branches.clear();
  }
  assert(!shop.calls().some((call) => !call.startsWith("GET")));
});

test("what bears the first name of another run, or of this one before it was sent, is nobody's", async () => {
  await using shop = await openShop();
  const target = shop.target("alice");
  shop.journal.set(target.name, target.marker);
  const first = (operation: string) => firstNameOf({ ...target, marker: { ...target.marker, operation } }, 80);
  const own = shop.supabase.add(first("make alice"));
  const other = shop.supabase.add(first("another"));
  assert.equal((await provider.inspect(shop.context(), target)).state, "absent");
  assert.deepEqual(await Array.fromAsync(provider.list(shop.context(), shop.scope())), []);
  const seen = await provider.inspect(shop.context(), { ...target, isResumed: true });
  assert.equal(seen.state, "pending", "it has not its own name yet");
  const { fork } = seen as { fork: Fork };
  assert.deepEqual([fork.id, fork.name], [own.ref, "shop-alice"]);
  await shop.context().record("proven", fork.id);
  assert.deepEqual(await Array.fromAsync(provider.list(shop.context(), shop.scope())), [fork]);
  assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "deleted");
  assert.deepEqual([...shop.supabase.branches.values()], [other]);
});

test("a limit of calls is waited out", async () => {
  await using shop = await openShop({ busy: 3 });
  await shop.create(shop.target("alice"));
  assert.equal(shop.supabase.requests.filter(({ status }) => status === 429).length, 3);
});

// ---- Deleting ----

test("delete() waits while a branch comes up, and until it is gone", async () => {
  const course: State[] = [["CREATING_PROJECT", "COMING_UP"], ["MIGRATIONS_PASSED", "ACTIVE_HEALTHY"]];
  await using shop = await openShop({ leaving: 4 });
  const { ref } = shop.supabase.add("shop-alice", { course: [course[0]!, course[0]!, course[0]!, ...course] });
  const marker = shop.target("alice").marker;
  shop.journal.set("shop-alice", marker);
  await shop.context().record("branch", ref);
  const fork = { id: ref, name: "shop-alice", marker, createdAt: new Date().toISOString() };
  assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "deleted");
  assert.equal(shop.supabase.requests.filter(({ method, status }) => method === "DELETE" && status === 400).length, 3);
  assert.equal(shop.supabase.branches.size, 0);
  assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "absent");
});

test("delete() that is never done is NOT_READY", async () => {
  await using shop = await openShop({ leaving: 1e9 });
  const fork = await shop.create(shop.target("alice"));
  await assert.rejects(provider.delete(shop.context(), fork, shop.scope()), hasCode("NOT_READY"));
  assert.equal((await provider.inspect(shop.context(), shop.target("alice"))).state, "deleting");
});

test("delete() leaves what was made persistent, and what is scheduled to go is deleting", async () => {
  await using shop = await openShop();
  const fork = await shop.create(shop.target("alice"));
  const branch = shop.supabase.find("shop-alice")!;
  branch.persistent = true;
  await assert.rejects(provider.delete(shop.context(), fork, shop.scope()), hasCode("CONFLICT"));
  assert(!shop.calls().some((call) => call.startsWith("DELETE")));
  branch.persistent = false;
  branch.deletionScheduledAt = new Date().toISOString();
  assert.equal((await provider.inspect(shop.context(), shop.target("alice"))).state, "deleting");
  assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "deleted");
});

test("delete() never deletes the project, nor another branch that bears the name by now", async () => {
  await using shop = await openShop();
  const fork = await shop.create(shop.target("alice"));
  shop.supabase.find("shop-alice")!.name = "renamed"; // its ref proves it
  const other = shop.supabase.add("shop-alice");
  assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "deleted");
  assert.deepEqual([...shop.supabase.branches.values()], [other]);
  for (const name of ["shop", "main", "shop-alice"]) {
    const project = { ...fork, id: PROJECT, name };
    await assert.rejects(provider.delete(shop.context(), project, shop.scope()), hasCode("FOREIGN"));
  }
  assert.equal(shop.supabase.requests.filter(({ method }) => method === "DELETE").length, 1);
});

// ---- The project itself ----

test("prod is the project itself, whatever else bears its title; its password comes from the person", async () => {
  await using shop = await openShop();
  shop.supabase.add("shop");
  const prod = shop.target("prod", { name: "shop" });
  const seen = await provider.inspect(shop.context(), prod);
  assert.deepEqual(seen, { state: "foreign", id: PROJECT, reason: "it is the project itself" });
  const held = { id: PROJECT, name: "shop" };
  await assert.rejects(provider.outputs(shop.context(), held, shop.scope()), hasCode("CREDENTIALS_MISSING"));
  const credentials = { ...shop.context().credentials, SUPABASE_DB_PASSWORD: new Secret(PASSWORD) };
  const context = shop.context(TOKEN, { credentials });
  await provider.probe(context, held, shop.scope());
  const { DATABASE_URL } = await provider.outputs(context, held, shop.scope());
  assert.deepEqual(await ask(DATABASE_URL, "SELECT count(*)::int AS n FROM notes"), [{ n: 1 }]);
  const named = { ...prod, resource: "database.analytics", resourceName: "analytics", name: "shop-analytics" };
  assert.equal((await provider.inspect(context, named)).state, "foreign");
  assert.equal((await provider.inspect(context, { ...prod, name: "shop-dev" })).state, "absent");
});

test("usage() has the list price of the server's size: Micro, where no other was chosen", async () => {
  await using shop = await openShop();
  const fork = await shop.create(shop.target("alice"));
  assert.equal((await provider.usage!(shop.context(), fork, shop.scope())).costUsd, 9.81);
  shop.supabase.find("shop-alice")!.computeAddon = { id: "ci_small", name: "Small", hourly: 0.0206 };
  assert.equal((await provider.usage!(shop.context(), fork, shop.scope())).costUsd, 15.04);
});

// ---- Refusals ----

const ALL: readonly Permission[] = [
  "branches:read",
  "branches:create",
  "branches:write",
  "branches:secrets",
  "keys:read",
  "pooler:read",
];
const without = (one: Permission) => [...ALL, "project:read" as const].filter((other) => other !== one);
const REFUSALS: Record<string, {
  code: string;
  given?: Partial<SupabaseOptions>;
  token?: string;
  permissions?: readonly Permission[];
  options?: object;
  target?: Partial<Target<Options>>;
  /** Whether something was made, which the journal names. */
  isMade?: boolean;
  /** Whether no answer of the API was it. */
  isOurs?: boolean;
  says: RegExp;
}> = {
  "a token that is none": { code: "CREDENTIALS_REJECTED", token: "sbp_no", says: /401.*tokens makes one/s },
  "a token that may not see branches": {
    code: "CREDENTIALS_DENIED",
    permissions: without("branches:read"),
    says: /list branches.*403.*rights to branches/s,
  },
  "a token that may not make branches": {
    code: "CREDENTIALS_DENIED",
    permissions: without("branches:create"),
    says: /make database "shop-alice".*403.*rights to branches/s,
  },
  "a token that may not see passwords": {
    code: "CREDENTIALS_DENIED",
    permissions: without("branches:secrets"),
    isMade: true,
    isOurs: true,
    says: /may not see its password/,
  },
  "a token that may not see the pooler": {
    code: "CREDENTIALS_DENIED",
    permissions: without("pooler:read"),
    isMade: true,
    says: /read the pooler of database "shop-alice".*403/s,
  },
  "a token that may not rename branches": {
    code: "CREDENTIALS_DENIED",
    permissions: without("branches:write"),
    isMade: true,
    says: /name database "shop-alice".*403.*rights to branches/s,
  },
  "a project that is not there": {
    code: "NOT_FOUND",
    options: { projectRef: "z".repeat(20) },
    says: /no project "z{20}".*404.*database\.projectRef/s,
  },
  "a branch in the project's place": {
    code: "CREDENTIALS_DENIED",
    options: { projectRef: "b".repeat(20) },
    says: /403.*must be a project, not a branch/s,
  },
  "a project that is paused": {
    code: "PARENT_PAUSED",
    given: { projectStatus: "INACTIVE" },
    says: /is paused.*400.*Resume it/s,
  },
  "a project without branching": {
    code: "PARENT_BRANCHING_OFF",
    given: { branching: false },
    says: /422.*dashboard\/project\/abcdefghijklmnopqrst\/branches/s,
  },
  "a plan without branches": { code: "PLAN_LIMIT", given: { maxBranches: 0 }, says: /has no branches.*403.*plan Pro/s },
  "the plan's limit": { code: "PLAN_LIMIT", given: { maxBranches: 1 }, says: /has 1 of 1 branches.*402.*prune/s },
  "data without the add-on for it": {
    code: "PLAN_LIMIT",
    given: { pitr: false },
    says: /needs Point in Time.*400.*Add-ons/s,
  },
  "a parent that is not there": {
    code: "NOT_FOUND",
    target: { parent: "shop-dev" },
    isOurs: true,
    says: /"shop-dev": project "abc.*has no branch.*prod is the project/s,
  },
  "a parent that is a branch": {
    code: "PARENT_IS_BRANCH",
    target: { parent: "shop-there" },
    isOurs: true,
    says: /"shop-there" is itself a branch.*--from prod/s,
  },
  "an empty one": { code: "PARENT_NEEDED", target: { parent: undefined }, isOurs: true, says: /migrations.*--empty/s },
  "a name that somebody else's has": {
    code: "FOREIGN",
    target: { name: "shop-there" },
    isOurs: true,
    says: /"shop-there": no answer of Supabase's on record/,
  },
};

for (const [what, refusal] of Object.entries(REFUSALS)) {
  test(`${what} is ${refusal.code}, and nothing is made that is not named`, async () => {
    const { given, token = TOKEN, permissions, options, target, isMade = false, isOurs = false, says } = refusal;
    await using shop = await openShop({ tokens: { [TOKEN]: permissions }, ...given });
    shop.supabase.add("shop-there", { ref: "b".repeat(20), createdAt: "2026-01-01T00:00:00.000Z" });
    const wanted = shop.target("alice", target, options);
    await assert.rejects(shop.create(wanted, shop.context(token)), (error: Error) => {
      assert(hasCode(refusal.code)(error) && isForkstackError(error), show(error));
      assert.equal(error.details?.requestId !== undefined, !isOurs, `request id of ${show(error)}`);
      const text = [error.message, (error.cause as Error | undefined)?.message, error.hint].join("\n");
      assert.match(text, says);
      assert(!text.includes(token), text);
      return true;
    });
    const waited = shop.slept();
    if (
      !isMade && refusal.code !== "FOREIGN" && options === undefined && (permissions ?? ALL).includes("branches:read")
    ) {
      await provider.inspect(shop.context(), { ...shop.target("alice"), isResumed: true }).catch(() => {});
      assert.equal(shop.slept(), waited, "nobody waits for what was refused");
    }
    const names = [...shop.supabase.branches.values()].map(({ name }) => name.replace(/-[0-9a-f]{12}$/, ""));
    const made = names.filter((name) => name !== "shop-there");
    assert.deepEqual(made, isMade ? ["shop-alice"] : []);
  });
}

test("an API that is not Supabase's counts for nothing", async () => {
  await using shop = await openShop();
  const page = () => Promise.resolve(new Response("<html>it works</html>"));
  await assert.rejects(
    provider.inspect(shop.context(TOKEN, { fetch: page }), shop.target("alice")),
    hasCode("PROVIDER_UNAVAILABLE"),
  );
  const strange = () => Promise.resolve(Response.json([{ name: "shop-alice" }]));
  await assert.rejects(
    provider.inspect(shop.context(TOKEN, { fetch: strange }), shop.target("alice")),
    hasCode("PROVIDER_UNAVAILABLE"),
  );
});

Deno.test("supabase: options that are wrong are refused before any call", () => {
  const parse = (input: object) => v.safeParse(provider.options as v.GenericSchema, { projectRef: PROJECT, ...input });
  const { output } = parse({});
  assert.deepEqual(output, {
    projectRef: PROJECT,
    withData: false,
    connection: "pooler",
    endpoint: "https://api.supabase.com",
  });
  for (
    const bad of [
      { projectRef: PROJECT.toUpperCase() },
      { projectRef: PROJECT.slice(1) },
      { projectRef: `${PROJECT}/../x` },
      { projectRef: `https://${PROJECT}.supabase.co` },
      { projectRef: undefined },
      { withData: "yes" },
      { connection: "transaction" },
      { endpoint: "http://api.supabase.com" },
      { token: "sbp_x" },
    ]
  ) assert(!parse(bad).success, show(bad));
});
