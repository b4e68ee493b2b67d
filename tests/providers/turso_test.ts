import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inspect as show } from "node:util";
import * as v from "npm:valibot@1.5.0";
import { memory } from "../../core/system/memory.ts";
import type { Context, Created, Marker, Outputs, Scope, Target } from "../../core/provider.ts";
import { httpClient } from "../../core/http/client.ts";
import { Secret } from "../../core/provider.ts";
import provider from "../../providers/database/turso.ts";
import { testProvider } from "../conformance.ts";
import { type Scope as TokenScope, startTurso, type TursoOptions } from "../emulators/turso.ts";
import { ledgerOf, temporaryDirectory } from "../helpers.ts";
import { jsonRequest, Specification, testSpecification } from "../emulators/specification.ts";
import { hasCode } from "./_special.ts";
import { seedFile, tursoEmulator } from "./_turso.ts";

const SPECIFICATION = Specification.read("turso.json", {
  pathOf: (path) => path.startsWith("/v1/") ? path : undefined,
  exceptions: { "it does not say how the list goes on": /\/databases: there is no query parameter "cursor"$/ },
});

testProvider({ provider, emulator: tursoEmulator(SPECIFICATION), options: { organization: "o" } });
testSpecification("turso", SPECIFICATION, {
  request: jsonRequest("https://api.turso.tech/v1/organizations/o/databases/x/auth/tokens?authorization=none", "POST"),
  is: /query parameter "authorization": must be equal to one of the allowed values/,
});

const CHINOOK = fileURLToPath(new URL("../../../shared/data/chinook/Chinook_Sqlite.sqlite", import.meta.url));
const TOKEN = "header.platform.token";
type Options = Scope<unknown> & {
  options: { organization: string; endpoint: string; access: "full-access" | "read-only"; group?: string };
};

/** An organization "acme" whose "shop" is a copy of a SQLite file, and the provider in it. */
async function openShop(changed: Partial<TursoOptions> = {}, seed?: string) {
  const directory = temporaryDirectory();
  const file = seed ?? join(directory.path, "seed.db");
  if (seed === undefined) seedFile(file);
  const turso = await startTurso({ organization: "acme", tokens: { [TOKEN]: undefined }, ...changed });
  turso.add("shop", file);
  const journal = new Map<string, Marker>();
  const ledger = ledgerOf(journal);
  const context = (token = TOKEN): Context => ({
    fetch: httpClient({ tries: 2 }),
    files: {} as Context["files"],
    credentials: { TURSO_API_TOKEN: new Secret(token) },
    signal: new AbortController().signal,
    now: () => new Date(turso.now()),
    sleep: () => Promise.resolve(),
    markerOf: () => undefined,
    once: memory(),
    ...ledger,
    warn: () => {},
    progress: () => {},
    confirm: () => Promise.resolve(),
  });
  const optionsOf = (more: object = {}) =>
    v.parse(provider.options as v.GenericSchema, { organization: "acme", endpoint: turso.url, ...more });
  const scope = (more?: object) =>
    ({ options: optionsOf(more), project: "shop", stack: "shop", resource: "database", root: "/nowhere" }) as Options;
  const target = (env: string, more: Partial<Target<unknown>> = {}, options?: object): Target<Options["options"]> => {
    const marker = { stack: "shop", env, resource: "database", operation: `make ${env}` };
    const begunAt = new Date(turso.now() - 1_000).toISOString();
    return { ...scope(options), name: `shop-${env}`, parent: "shop", marker, begunAt, ...more } as Target<
      Options["options"]
    >;
  };
  const create = async (at: Target<Options["options"]>, with_ = context()): Promise<Created> => {
    journal.set(at.name, at.marker);
    return await provider.create(with_, at);
  };
  return {
    turso,
    journal,
    ledger,
    context,
    scope,
    target,
    create,
    async [Symbol.asyncDispose]() {
      await turso[Symbol.asyncDispose]();
      directory[Symbol.dispose]();
    },
  };
}

/** The client of applications. */
async function connect(outputs: Outputs) {
  const { createClient } = await import("npm:@libsql/client@0.18.0/web");
  const token = outputs.DATABASE_AUTH_TOKEN as Secret;
  return createClient({ url: outputs.DATABASE_URL as string, authToken: token.reveal() });
}

Deno.test({
  name: `turso: Chinook, forked, read and written${existsSync(CHINOOK) ? "" : ` (skipped: there is no ${CHINOOK})`}`,
  ignore: !existsSync(CHINOOK),
  async fn() {
    await using shop = await openShop({}, CHINOOK);
    const context = shop.context();
    const fork = await shop.create(shop.target("alice"), context);
    const client = await connect(fork.outputs!);
    const count = async () => Number((await client.execute("SELECT count(*) AS n FROM Track")).rows[0]!.n);
    assert.equal(await count(), 3503);
    await client.execute("DELETE FROM PlaylistTrack");
    await client.execute("INSERT INTO Artist (ArtistId, Name) VALUES (1000, 'Ülkü ''O')");
    const { rows } = await client.execute("SELECT Name FROM Artist WHERE ArtistId = 1000");
    assert.equal(rows[0]!.Name, "Ülkü 'O");
    client.close();
    const parent = { id: shop.turso.databases.get("shop")!.id, name: "shop" };
    const parents = await connect(await provider.outputs(shop.context(), parent, shop.scope()));
    assert.equal((await parents.execute("SELECT count(*) AS n FROM PlaylistTrack")).rows[0]!.n, 8715);
    assert.equal((await parents.execute("SELECT count(*) AS n FROM Artist")).rows[0]!.n, 275);
    parents.close();
    const { sizeBytes } = await provider.usage!(shop.context(), fork, shop.scope());
    assert(sizeBytes > 500_000, `it has ${sizeBytes} bytes`);
  },
});

Deno.test("turso: create() makes three calls, with its probe and outputs; they need no further one", async () => {
  await using shop = await openShop();
  const context = shop.context();
  const fork = await shop.create(shop.target("alice"), context);
  await provider.probe(context, fork, shop.scope());
  assert(fork.outputs, "with what outputs() gives");
  const calls = shop.turso.requests.filter(({ path }) => path.startsWith("/v1/")).map((one) =>
    `${one.method} ${one.path.replace("/v1/organizations/acme/", "")}`
  );
  assert.deepEqual(calls, ["GET databases/shop", "POST databases", "POST databases/shop-alice/auth/tokens"]);
  assert.equal(shop.turso.requests.length - calls.length, 4, "two are answered before it is there");
});

Deno.test("turso: a token is of one database alone, ends with the lease, and not before", async () => {
  await using shop = await openShop();
  let now = Date.parse("2026-01-01T00:00:00Z");
  shop.turso.now = () => now;
  const context = shop.context();
  const target = shop.target("alice", { expiresAt: "2026-01-04T00:20:30Z" });
  const alice = await shop.create(target, context);
  const minting = shop.turso.requests.find(({ path }) => path.endsWith("/auth/tokens"))!;
  assert.equal(new URLSearchParams(minting.query).get("expiration"), "3d21m");
  const outputs = alice.outputs!;
  const bob = await shop.create(shop.target("bob"));
  const bobs = await provider.outputs(shop.context(), bob, shop.scope());
  const crossed = await connect({ ...outputs, DATABASE_URL: bobs.DATABASE_URL! });
  await assert.rejects(crossed.execute("SELECT 1"));
  crossed.close();
  const client = await connect(outputs);
  now = Date.parse("2026-01-04T00:20:30Z");
  await client.execute("SELECT 1");
  now += 60_000;
  await assert.rejects(client.execute("SELECT 1"));
  client.close();
});

for (const [group, wanted] of [["eu", undefined], ["eu", "eu"], ["default", undefined], ["us", "us"]] as const) {
  Deno.test(`turso: a fork of group "${group}" stays there, where the options name ${wanted ?? "none"}`, async () => {
    await using shop = await openShop({ groups: ["default", "eu", "us"] });
    shop.turso.add("base", undefined, group);
    await shop.create(shop.target("alice", { parent: "base" }, wanted && { group: wanted }));
    await shop.create(shop.target("empty", { parent: undefined }, { group: "us" }));
    const groups = ["shop-alice", "shop-empty"].map((name) => shop.turso.databases.get(name)!.group);
    assert.deepEqual(groups, [group, "us"]);
  });
}

Deno.test("turso: a fork into another group than its parent's is refused before anything is made", async () => {
  for (const [parent, group] of [["shop", "eu"], ["base", "default"], ["base", "us"]] as const) {
    await using shop = await openShop({ groups: ["default", "eu", "us"] });
    shop.turso.add("base", undefined, "eu");
    await assert.rejects(shop.create(shop.target("alice", { parent }, { group })), (error: Error) => {
      assert(hasCode("CONFIG_INVALID")(error));
      assert.match(error.message, new RegExp(`parent "${parent}" is in group ".*", not in "${group}"`));
      return true;
    });
    assert(shop.turso.requests.every(({ method }) => method === "GET"), show(shop.turso.requests));
  }
});

Deno.test("turso: an id that holds no time", async () => {
  await using shop = await openShop({ newId: () => crypto.randomUUID() });
  shop.turso.now = () => Date.parse("2026-01-01T00:00:00Z");
  const { outputs: _, ...fork } = await shop.create(shop.target("alice"));
  assert.equal(fork.createdAt, "2026-01-01T00:00:00.000Z");
  assert.deepEqual(await provider.inspect(shop.context(), shop.target("alice")), { state: "ready", fork });
});

Deno.test("turso: an id of version 1 or 7 tells when the database was made", async () => {
  const ids = ["0eb771dd-6906-11ee-8553-eaa7715aeaf2", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"]; // RFC 9562, A.6
  const times = ["2023-10-12T13:48:43.268Z", "2022-02-22T19:22:22.000Z"];
  for (const [i, id] of ids.entries()) {
    const given = [crypto.randomUUID(), id]; // the first is the parent's
    await using shop = await openShop({ newId: () => given.shift()! });
    assert.equal((await shop.create(shop.target("alice"))).createdAt, times[i]);
  }
});

Deno.test("turso: a name that is taken, answered with the documented status", async () => {
  await using shop = await openShop({ takenStatus: 409 });
  const fork = await shop.create(shop.target("alice"));
  assert.deepEqual(await shop.create(shop.target("alice")), fork);
  shop.journal.clear();
  await assert.rejects(provider.create(shop.context(), shop.target("alice")), hasCode("FOREIGN"));
});

Deno.test("turso: delete() leaves a database whose delete protection is on", async () => {
  await using shop = await openShop();
  const fork = await shop.create(shop.target("alice"));
  shop.turso.databases.get("shop-alice")!.protected = true;
  await assert.rejects(provider.delete(shop.context(), fork, shop.scope()), hasCode("CONFLICT"));
  assert(shop.turso.databases.has("shop-alice"));
});

Deno.test("turso: delete() leaves another database that bears the name by now", async () => {
  await using shop = await openShop();
  const fork = await shop.create(shop.target("alice"));
  assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "deleted");
  const other = shop.turso.add("shop-alice", undefined);
  assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "absent");
  assert.equal(shop.turso.databases.get("shop-alice"), other);
});

const REFUSALS: Record<string, {
  code: string;
  given?: Partial<TursoOptions>;
  token?: string;
  scopes?: readonly TokenScope[];
  options?: object;
  target?: Partial<Target<unknown>>;
  says: RegExp;
}> = {
  "a missing parent": { code: "NOT_FOUND", target: { parent: "shopp" }, says: /"shopp": organization "acme" has none/ },
  "a token that is none": { code: "CREDENTIALS_REJECTED", token: "expired", says: /401.*turso auth api-tokens mint/s },
  "an expired token": { code: "CREDENTIALS_REJECTED", token: "a.b.c", says: /401.*\(request request-1\).*jwt id/s },
  "a token that may not read": { code: "CREDENTIALS_DENIED", scopes: ["db:create"], says: /403.*db:create/s },
  "a token that may not create": { code: "CREDENTIALS_DENIED", scopes: ["read"], says: /403.*db:create/s },
  "a token that may not mint": {
    code: "CREDENTIALS_DENIED",
    scopes: ["read", "db:create"],
    says: /a token for database "shop-alice".*403/s,
  },
  "another organization": { code: "CREDENTIALS_DENIED", options: { organization: "umbrella" }, says: /of "umbrella"/ },
  "a plan's limit": { code: "PLAN_LIMIT", given: { maxDatabases: 1 }, says: /402.*maximum database count.*prune/s },
  "a group that is not there": {
    code: "NOT_FOUND",
    options: { group: "mars" },
    target: { parent: undefined } as Partial<Target<unknown>>,
    says: /group "mars".*database\.group/s,
  },
  "a name that Turso refuses": { code: "PROVIDER_REFUSED", target: { name: "Shop" }, says: /400.*lowercase letters/s },
  "a name too long for the organization": {
    code: "NAME_INVALID",
    target: { name: "x".repeat(59) },
    says: /has 59 characters.*at most 58/s,
  },
};

for (const [what, { code, given = {}, token = TOKEN, scopes, options, target, says }] of Object.entries(REFUSALS)) {
  Deno.test(`turso: ${what} is ${code}, and nothing is made that is not named`, async () => {
    await using shop = await openShop({ tokens: { [TOKEN]: scopes }, ...given });
    const before = [...shop.turso.databases.keys()];
    const wanted = shop.target("alice", target, options);
    await assert.rejects(shop.create(wanted, shop.context(token)), (error: Error) => {
      assert.equal((error as { code?: string }).code, code, show(error));
      const { hint } = error as { hint?: string };
      assert(hint, "it must say what to do");
      const text = [error.message, (error.cause as Error | undefined)?.message, hint].join("\n");
      assert.match(text, says);
      assert(!text.includes(token) || token === "expired", text);
      return true;
    });
    const made = [...shop.turso.databases.keys()].filter((name) => !before.includes(name));
    assert.deepEqual(made, what.endsWith("mint") ? ["shop-alice"] : []);
  });
}

Deno.test("turso: an endpoint that is not Turso's is told by its name, and nothing counts as absent", async () => {
  await using shop = await openShop();
  const context = shop.context();
  const lost = (request: Request) =>
    context.fetch(new Request(request.url.replace("/organizations/", "/orgs/"), request));
  const found = provider.inspect({ ...context, fetch: lost }, shop.target("alice"));
  await assert.rejects(found, hasCode("PROVIDER_REFUSED"));
});

Deno.test("turso: a token is sent without TLS to this machine only", () => {
  const parse = (endpoint: string) =>
    v.safeParse(provider.options as v.GenericSchema, { organization: "acme", endpoint }).success;
  for (
    const good of ["https://api.turso.tech", "https://proxy.example:8443/", "http://127.0.0.1:1", "http://[::1]:1"]
  ) {
    assert(parse(good), good);
  }
  for (const bad of ["http://api.turso.tech", "http://127.0.0.1.evil.example", "ftp://x", "https://a@b", "x"]) {
    assert(!parse(bad), bad);
  }
});

Deno.test("turso: a token is read-only if forkstack.json says so, and a script still runs", async () => {
  await using shop = await openShop();
  const readOnly = { access: "read-only" };
  const fork = await shop.create(shop.target("alice", {}, readOnly));
  const scope = shop.scope(readOnly);
  await provider.execute!(shop.context(), fork, scope, "CREATE TABLE made (x INTEGER)");
  const client = await connect(await provider.outputs(shop.context(), fork, scope));
  assert.equal((await client.execute("SELECT count(*) AS n FROM made")).rows[0]!.n, 0);
  await assert.rejects(client.execute("INSERT INTO made VALUES (1)"));
  client.close();
});

Deno.test("turso: --at asks for the past by its instant; a position of another vendor's is refused", async () => {
  await using shop = await openShop();
  const at = "2026-11-20T09:46:08.000Z";
  shop.turso.keep("shop", "2026-11-20T00:00:00Z");
  await shop.create(shop.target("alice", { at }));
  await assert.rejects(shop.create(shop.target("bob", { at: "0/1F3D3A8" })), { code: "AT_INVALID" });
  await assert.rejects(shop.create(shop.target("bob", { at: "2026-11-01T00:00:00Z" })), { code: "AT_OUT_OF_REACH" });
  assert.deepEqual([...shop.turso.databases.keys()], ["shop", "shop-alice"]);
});

Deno.test("turso: a database is ours by its id on record, or after a lost reply by the parent that it was forked from", async () => {
  await using shop = await openShop();
  const target = shop.target("alice");
  shop.journal.set("shop-alice", target.marker);
  shop.turso.add("shop-alice", shop.turso.databases.get("shop")); // by whom, nobody knows
  await assert.rejects(provider.create(shop.context(), target), hasCode("FOREIGN"));
  assert.equal((await provider.inspect(shop.context(), target)).state, "foreign");
  const resumed = { ...target, isResumed: true };
  assert.equal((await provider.inspect(shop.context(), resumed)).state, "ready");
  const fork = await provider.create(shop.context(), resumed);
  assert.equal((await provider.inspect(shop.context(), target)).state, "ready", "its id is on record now");
  assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "deleted");
  shop.turso.add("shop-alice", shop.turso.add("shop2", undefined)); // forked from another
  await assert.rejects(provider.create(shop.context(), resumed), hasCode("FOREIGN"));
});

Deno.test("turso: an empty database is taken over after a lost reply alone, and told; one that holds something never", async () => {
  await using shop = await openShop();
  const target = shop.target("alice", { parent: undefined });
  const told = shop.target("alice", { parent: undefined, marker: { ...target.marker, operation: "told" } });
  const resumed = { ...target, isResumed: true };
  shop.journal.set("shop-alice", told.marker);
  const made = shop.turso.add("shop-alice", undefined);
  await assert.rejects(provider.create(shop.context(), told), hasCode("FOREIGN"));
  await assert.rejects(provider.create(shop.context(), { ...told, isResumed: true }), hasCode("FOREIGN"));
  assert.deepEqual(shop.ledger.takenOver, [], "Turso had said that it is there");
  shop.journal.set("shop-alice", target.marker);
  assert.equal((await provider.inspect(shop.context(), resumed)).state, "foreign");
  assert.equal((await provider.create(shop.context(), resumed)).id, made.id);
  assert.deepEqual(shop.ledger.takenOver, ["shop-alice"]);
  const fork = { id: made.id, name: "shop-alice", marker: target.marker, createdAt: target.begunAt };
  await assert.rejects(provider.delete(shop.context(), fork, shop.scope()), hasCode("FOREIGN"));
  shop.turso.databases.delete("shop-alice");
  shop.turso.add("shop-alice", shop.turso.databases.get("shop")!.path);
  await assert.rejects(provider.create(shop.context(), resumed), hasCode("FOREIGN"));
  assert.deepEqual(shop.ledger.takenOver, ["shop-alice"]);
});

Deno.test("turso: a script's token opens its fork alone: it attaches no other database and no file", async () => {
  await using shop = await openShop();
  const fork = await shop.create(shop.target("alice"));
  const scripts = [
    "ATTACH 'shop' AS other",
    "attach DATABASE\n'shop' AS [other]; DELETE FROM other.Track",
    "COMMIT; ATTACH shop AS o",
  ];
  for (const script of [...scripts, "ATTACH '/tmp/x.db' AS x", "VACUUM INTO '/tmp/x.db'"]) {
    const work = provider.execute!(shop.context(), fork, shop.scope(), `CREATE TABLE made (x);\n${script}`);
    await assert.rejects(work, script);
  }
});

for (const verb of ["BEGIN", "COMMIT"] as const) {
  for (const code of ["SQLITE_BUSY", "BLOCKED"]) {
    Deno.test(`turso: a script whose ${verb} is refused as ${code} runs once in the end, or says so`, async () => {
      let refusals = 0;
      await using shop = await openShop({ refuse: (asked) => asked === verb && refusals-- > 0 ? code : undefined });
      const fork = await shop.create(shop.target("alice"));
      refusals = 2;
      const script = "CREATE TABLE made (x); INSERT INTO made VALUES (1);";
      await provider.execute!(shop.context(), fork, shop.scope(), script);
      const client = await connect(await provider.outputs(shop.context(), fork, shop.scope()));
      assert.equal((await client.execute("SELECT count(*) AS n FROM made")).rows[0]!.n, 1);
      client.close();
      refusals = Infinity;
      const work = provider.execute!(shop.context(), fork, shop.scope(), "INSERT INTO made VALUES (2)");
      await assert.rejects(work, (error: Error) => {
        assert(hasCode("NOT_READY")(error));
        assert.match(error.message, new RegExp(`refuses the transaction \\(${code}\\)`));
        return true;
      });
    });
  }
}
