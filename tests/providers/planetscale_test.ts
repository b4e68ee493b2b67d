import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { inspect as show } from "node:util";
import { createConnection } from "npm:mysql2@3.24.5/promise";
import postgres from "npm:postgres@3.4.9";
import * as v from "npm:valibot@1.5.0";
import { memory } from "../../core/system/memory.ts";
import { httpClient } from "../../core/http/client.ts";
import { type Context, type Created, type Fork, type Marker, Secret, type Target } from "../../core/provider.ts";
import { mysqlStatements } from "../../providers/_shared/mysql_statements.ts";
import { firstNameOf } from "../../providers/_shared/first_name.ts";
import provider from "../../providers/database/planetscale.ts";
import { FEW_FAULTS } from "../faults.ts";
import { testProvider } from "../conformance.ts";
import { type Access, type PlanetScaleOptions, startPlanetScale } from "../emulators/planetscale.ts";
import type { Data } from "../emulators/planetscale_data.ts";
import { ledgerOf, testIf } from "../helpers.ts";
import { jsonRequest, Specification, testSpecification } from "../emulators/specification.ts";
import { openStores, planetscaleEmulator, seed } from "./_planetscale.ts";
import { hasCode } from "./_special.ts";

type Options = NonNullable<Required<typeof provider.options>["~types"]>["output"];

/** Where the specification is known to be wrong. */
const SPECIFICATION = Specification.read("planetscale.yaml", {
  base: "/v1",
  exceptions: {
    "it asks for OAuth alone, but says of each operation what a service token needs, whose header has no scheme":
      /: no credentials of \[\{"oauth2":\[\]\}\]$/,
    "create_branch has no answer for a name that is taken, or any other that is invalid: the vendor's clients know 422":
      /^POST \S+\/branches: answer 422: there are/,
    "nor has update_branch, which gives a name as well": /^PATCH \S+\/branches\/[^/]+: answer 422: there are/,
  },
});
const STORES = await openStores();
const PLACE = { organization: "acme", database: "shop" };
const { capabilities } = provider;
const NO_DDL_IN_TRANSACTIONS = "MySQL commits at each change of the schema; the engine removes such a fork";
const VITESS_SKIPS = { "execute() runs a whole script on the fork, or none of it": NO_DDL_IN_TRANSACTIONS };

/** Each way to fork, with what its forks hold. What a provider claims is the best of them: here is what each can do. */
const WAYS = {
  "Vitess with data": ["vitess", { withData: true }, "data", { pointInTime: false }, VITESS_SKIPS],
  "Vitess": ["vitess", {}, "schema", { pointInTime: false }, VITESS_SKIPS],
  "PostgreSQL with data": ["postgres", { withData: true }, "data", {}, {}],
} as const;

for (const [way, [engine, options, holds, changed, skip]] of Object.entries(WAYS)) {
  const data = STORES[engine];
  if (typeof data === "string") {
    testIf(data, `planetscale, ${way}: the suite`, () => {});
    continue;
  }
  const one = { ...provider, capabilities: { ...capabilities, ...changed } };
  const emulator = planetscaleEmulator(data, holds, SPECIFICATION);
  testProvider({
    provider: one,
    emulator,
    options: { ...PLACE, ...options },
    skip,
    ...(way === "Vitess" ? { faults: FEW_FAULTS } : {}),
  }, { as: `planetscale, ${way}`, isVariant: way !== "Vitess with data" });
}

testSpecification("planetscale", SPECIFICATION, {
  request: jsonRequest("https://api.planetscale.com/v1/organizations/acme/databases/shop/branches", "POST", "id:token"),
  sent: JSON.stringify({ name: "x", seed_data: "everything" }),
  is: /seed_data: must be equal to one of the allowed values/,
});

/** "acme" with its database "shop", and the provider in it. */
async function openShop(data: Data | undefined, changed: Partial<PlanetScaleOptions> = {}) {
  const planetscale = await startPlanetScale({
    ...PLACE,
    tokens: { "id:token": undefined },
    ...(data ? { data } : {}),
    ...changed,
  });
  const main = await planetscale.add(planetscale.defaultBranch, {}, false);
  planetscale.made.add(main.id);
  if (data) await seed(data, main.id);
  const journal = new Map<string, Marker>();
  const ledger = ledgerOf(journal);
  const context = (token = "token"): Context => ({
    fetch: httpClient({ tries: 1 }),
    files: {} as Context["files"],
    credentials: { PLANETSCALE_SERVICE_TOKEN_ID: new Secret("id"), PLANETSCALE_SERVICE_TOKEN: new Secret(token) },
    signal: new AbortController().signal,
    now: () => new Date(planetscale.now()),
    sleep: () => new Promise((resolve) => setTimeout(resolve, 0)),
    markerOf: () => undefined,
    once: memory(),
    ...ledger,
    warn: () => {},
    progress: () => {},
    confirm: () => Promise.resolve(),
  });
  const optionsOf = (more: object = {}) =>
    v.parse(provider.options as v.GenericSchema<unknown, Options>, { ...PLACE, endpoint: planetscale.url, ...more });
  const scope = (more?: object) => ({
    options: optionsOf(more),
    project: "shop",
    stack: "shop",
    resource: "database",
    root: "/nowhere",
  });
  const target = (env: string, more: Partial<Target<Options>> = {}, options?: object): Target<Options> => {
    const marker = { stack: "shop", env, resource: "database", operation: `make ${env}` };
    const begunAt = new Date(planetscale.now()).toISOString();
    return { ...scope(options), name: `shop-${env}`, parent: "shop", marker, begunAt, ...more };
  };
  const create = async (at: Target<Options>, with_ = context()): Promise<Created> => {
    journal.set(at.name, at.marker);
    return await provider.create(with_, at);
  };
  /** The URL that an application of the environment gets. */
  const urlOf = async (held: Pick<Fork, "id" | "name">) =>
    ((await provider.outputs(context(), held, scope())).DATABASE_URL as Secret).reveal();
  return {
    planetscale,
    main,
    journal,
    context,
    scope,
    target,
    create,
    urlOf,
    [Symbol.asyncDispose]: () => planetscale[Symbol.asyncDispose](),
  };
}

/** Rows, as an application gets them by its usual client. */
async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  if (url.startsWith("mysql:")) {
    const connection = await createConnection(url);
    try {
      return (await connection.query(text))[0] as Record<string, unknown>[];
    } finally {
      await connection.end();
    }
  }
  const sql = postgres(url, { max: 1, prepare: false, fetch_types: false, onnotice: () => {} });
  try {
    return [...await sql.unsafe(text)];
  } finally {
    await sql.end({ timeout: 1 });
  }
}

const CHINOOK = {
  vitess: fileURLToPath(new URL("../../../shared/data/chinook/Chinook_MySql.sql", import.meta.url)),
  postgres: fileURLToPath(new URL("../../../shared/data/chinook/Chinook_PostgreSql.sql", import.meta.url)),
};

/** Chinook's file without what makes and chooses a database. */
function chinook(engine: keyof typeof CHINOOK): string {
  const text = readFileSync(CHINOOK[engine], "utf8").replace(/^\uFEFF/, "");
  return text.replace(/^((DROP|CREATE) DATABASE|USE) .*$|^\\c .*$/gm, "");
}

for (const engine of ["vitess", "postgres"] as const) {
  const data = STORES[engine];
  const missing = typeof data === "string" ? data : undefined;
  const store = data as Data;
  const noFile = existsSync(CHINOOK[engine]) ? undefined : `there is no ${CHINOOK[engine]}`;

  testIf(missing ?? noFile, `planetscale: Chinook on ${engine}, forked, read and written`, async () => {
    await using shop = await openShop(store);
    await store.run(shop.main.id, chinook(engine));
    const alice = await shop.create(shop.target("alice", {}, { withData: true }));
    const url = await shop.urlOf(alice);
    const [tracks, playlist, artist] = engine === "vitess"
      ? ["Track", "PlaylistTrack", "Artist"]
      : ["track", "playlist_track", "artist"];
    const count = async (at: string, table: string) =>
      Number((await query(at, `SELECT count(*) AS n FROM ${table}`))[0]!.n);
    assert.equal(await count(url, tracks!), 3503);
    await query(url, `DELETE FROM ${playlist}`);
    await query(url, `INSERT INTO ${artist} VALUES (1000, 'Ülkü ''O')`);
    assert.equal(await count(url, artist!), 276);
    const parents = await shop.urlOf({ id: shop.main.id, name: "shop" });
    assert.deepEqual([await count(parents, playlist!), await count(parents, artist!)], [8715, 275]);
    const { sizeBytes } = await provider.usage!(shop.context(), alice, shop.scope());
    assert(sizeBytes > 200_000, `it has ${sizeBytes} bytes`);
  });

  testIf(
    missing,
    `planetscale: on ${engine} a URL opens one branch alone, and nothing once it is deleted`,
    async () => {
      await using shop = await openShop(store);
      const options = { withData: true };
      const [alice, bob] = [
        await shop.create(shop.target("alice", {}, options)),
        await shop.create(shop.target("bob", {}, options)),
      ];
      const [alices, bobs] = [await shop.urlOf(alice), await shop.urlOf(bob)];
      await query(alices, "UPDATE notes SET text = 'by alice'");
      assert.deepEqual(await query(alices, "SELECT text FROM notes"), [{ text: "by alice" }]);
      assert.notDeepEqual(await query(bobs, "SELECT text FROM notes"), [{ text: "by alice" }]);
      const crossed = new URL(alices);
      crossed.pathname = new URL(bobs).pathname;
      if (engine === "postgres") {
        await assert.rejects(query(crossed.href, "SELECT 1"), /permission denied for database/);
      }
      const logins = [...shop.planetscale.branches.get("shop-alice")!.logins.values()];
      assert.deepEqual(
        logins.map(({ role }) => role),
        ["admin", "admin"],
        "one of create(), one of outputs()",
      );
      assert.equal(await provider.delete(shop.context(), alice, shop.scope()), "deleted");
      await assert.rejects(query(alices, "SELECT 1"), /denied|password authentication failed|does not exist/i);
      assert.equal((await query(bobs, "SELECT text FROM notes")).length, 1);
    },
  );

  testIf(missing, `planetscale: on ${engine} a look is by a login that reads, ends soon, and is revoked`, async () => {
    await using shop = await openShop(store);
    const alice = await shop.create(shop.target("alice", {}, { withData: true }));
    const before = shop.planetscale.requests.length;
    await provider.probe(shop.context(), alice, shop.scope());
    const calls = shop.planetscale.requests.slice(before);
    const minted = calls.find(({ method }) => method === "POST")!.body as Record<string, unknown>;
    assert.equal(minted.ttl, 600);
    assert.deepEqual(minted.role ?? minted.inherited_roles, engine === "vitess" ? "reader" : ["pg_read_all_data"]);
    assert.equal(calls.at(-1)!.method, "DELETE");
    assert.equal(shop.planetscale.branches.get("shop-alice")!.logins.size, 1, "that of create()");
  });

  testIf(missing, `planetscale: on ${engine} create() says all that probe() and outputs() need`, async () => {
    await using shop = await openShop(store, { settling: 1 });
    const context = shop.context();
    const alice = await shop.create(shop.target("alice"), context);
    await provider.probe(context, alice, shop.scope());
    assert(alice.outputs);
    const word = engine === "vitess" ? "passwords" : "roles";
    const calls = shop.planetscale.requests.map(({ method, path }) =>
      `${method} ${
        path.replace(/^.*\/shop(?=$|\/branches)\/?/, "").replace(/roles\/.*/, "roles/x").replace(/-[0-9a-f]{12}$/, "-x")
      }`
    );
    assert.deepEqual(calls, [
      "GET ",
      "GET branches/main",
      "GET branches/shop-alice",
      "GET branches",
      "POST branches",
      "GET branches/shop-alice-x",
      "PATCH branches/shop-alice-x",
      `POST branches/shop-alice/${word}`,
      ...(engine === "postgres" ? ["GET branches/shop-alice/roles/x"] : []),
    ]);
    assert.equal(alice.copy, engine === "vitess" ? "schema-only" : "empty");
    const tables = await query(await shop.urlOf(alice), TABLES[engine]);
    assert.equal(tables.length, engine === "vitess" ? 1 : 0);
  });
}

const TABLES = {
  vitess: "SHOW TABLES",
  postgres: "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
} as const;

testIf(
  whyNo("vitess"),
  "planetscale: execute() runs a script on Vitess, and names the line that fails without its values",
  async () => {
    await using shop = await openShop(STORES.vitess as Data);
    const alice = await shop.create(shop.target("alice", {}, { withData: true }));
    const script = "-- a comment; with a semicolon\nCREATE TABLE made (x INTEGER PRIMARY KEY, `odd;name` TEXT);\n" +
      "# another; one\nINSERT INTO made VALUES (1, 'it''s; \\' \"');\n";
    await provider.execute!(shop.context(), alice, shop.scope(), script);
    assert.deepEqual(await query(await shop.urlOf(alice), "SELECT * FROM made"), [{ x: 1, "odd;name": "it's; ' \"" }]);
    const failing = `/* first\n*/ UPDATE notes SET text = 'x';\n\nINSERT INTO made VALUES (1, 'canary');`;
    const error = await provider.execute!(shop.context(), alice, shop.scope(), failing).then(() => undefined, (e) => e);
    assert(hasCode("SQL_FAILED")(error));
    assert.match(error.message, /^line 4: the server refused it \(ER_DUP_ENTRY\)$/);
    assert(!show(error, { depth: 9 }).includes("canary"));
    await assert.rejects(provider.execute!(shop.context(), alice, shop.scope(), "SELEC 1"), /line 1: it is no SQL/);
    shop.planetscale.branches.get("shop-alice")!.safeMigrations = true;
    const refused = provider.execute!(shop.context(), alice, shop.scope(), "ALTER TABLE nowhere ADD y INT");
    await assert.rejects(refused, hasCode("CONFLICT_SAFE_MIGRATIONS"));
    assert.deepEqual(
      [...shop.planetscale.branches.get("shop-alice")!.logins.values()].length,
      2,
      "create(), outputs()",
    );
  },
);

Deno.test("planetscale: a script of MySQL's is split at each semicolon outside of quotes and comments", () => {
  const script = '/*! SET x = 1 */;\n-- no; \n\nSELECT \';\' -- ;\n, "a\\";", `b;`;; # c;\n/* ; */\nSELECT 2';
  assert.deepEqual(mysqlStatements(script), [
    { text: "/*! SET x = 1 */", line: 1 },
    { text: 'SELECT \';\' -- ;\n, "a\\";", `b;`', line: 4 },
    { text: "SELECT 2", line: 7 },
  ]);
  assert.deepEqual(mysqlStatements("-- nothing\n;; "), []);
});

testIf(
  whyNo("postgres"),
  "planetscale: what a script made on PostgreSQL does not go with the role that made it",
  async () => {
    await using shop = await openShop(STORES.postgres as Data);
    const alice = await shop.create(shop.target("alice"));
    await provider.execute!(shop.context(), alice, shop.scope(), "CREATE TABLE made (x INTEGER)");
    assert.equal(shop.planetscale.branches.get("shop-alice")!.logins.size, 1, "that of create()");
    assert.deepEqual(await query(await shop.urlOf(alice), "SELECT * FROM made"), []);
  },
);

testIf(
  whyNo("vitess"),
  "planetscale: a password that is not known at once is waited for; TLS is asked for where the API has it",
  async () => {
    await using shop = await openShop(STORES.vitess as Data, { unknown: 3 });
    const alice = await shop.create(shop.target("alice"));
    const context = shop.context();
    const fetch = (request: Request) =>
      context.fetch(new Request(request.url.replace("https://api.planetscale.com", shop.planetscale.url), request));
    const scope = shop.scope({ endpoint: "https://api.planetscale.com" });
    const { DATABASE_URL } = await provider.outputs({ ...context, fetch }, alice, scope);
    const url = new URL((DATABASE_URL as Secret).reveal());
    assert.deepEqual(JSON.parse(url.searchParams.get("ssl")!), { rejectUnauthorized: true });
    await assert.rejects(provider.probe({ ...context, fetch }, alice, scope), hasCode("TLS_FAILED"));
  },
);

Deno.test("planetscale: prod is the default branch, whatever it is called, and never anything else", async () => {
  await using shop = await openShop(undefined, { defaultBranch: "trunk", kind: "mysql" });
  await shop.planetscale.add("shop");
  const seen = await provider.inspect(shop.context(), shop.target("prod", { name: "shop" }));
  assert.equal(seen.state, "foreign");
  assert.equal((seen as { id: string }).id, shop.main.id);
  const reports = { resource: "database.reports", resourceName: "reports", name: "shop-reports" };
  const named = await provider.inspect(shop.context(), shop.target("prod", reports));
  assert.equal((named as { id: string }).id, shop.main.id);
  await assert.rejects(shop.create(shop.target("prod", { name: "shop" })), hasCode("FOREIGN"));
  await assert.rejects(shop.create(shop.target("x", { name: "trunk" })), hasCode("FOREIGN"));
  await assert.rejects(shop.create(shop.target("alice", { parent: "shop-dev" })), hasCode("NOT_FOUND"));
  assert.deepEqual([...shop.planetscale.branches.keys()], ["trunk", "shop"]);
});

Deno.test("planetscale: what bears a fork's name is not ours without a record, however it was made", async () => {
  await using shop = await openShop(undefined);
  const target = shop.target("alice");
  const resumed = { ...target, isResumed: true };
  shop.journal.set(target.name, target.marker);
  for (const how of [{ parent: "main" }, { restoredFrom: shop.main }, { production: true }, { state: "sleeping" }]) {
    const branch = await shop.planetscale.add("shop-alice", how, false);
    for (const one of [target, resumed]) {
      await assert.rejects(provider.create(shop.context(), one), hasCode("FOREIGN"));
      assert.equal((await provider.inspect(shop.context(), one)).state, "foreign", show(how));
    }
    const fork = { id: branch.id, name: "shop-alice", marker: target.marker, createdAt: branch.createdAt };
    await assert.rejects(provider.delete(shop.context(), fork, shop.scope()), hasCode("FOREIGN"));
  }
  assert(!shop.planetscale.requests.some(({ method }) => method !== "GET"));
});

Deno.test("planetscale: what bears the first name of another run, or of this one before it was sent, is nobody's", async () => {
  await using shop = await openShop(undefined);
  const target = shop.target("alice", {}, {});
  const first = (operation: string) => firstNameOf({ ...target, marker: { ...target.marker, operation } }, 60);
  assert.match(first("make alice"), /^shop-alice-[0-9a-f]{12}$/);
  assert.notEqual(first("make alice"), first("another"));
  const own = await shop.planetscale.add(first("make alice"), {}, false);
  await shop.planetscale.add(first("another"), {}, false);
  shop.journal.set(target.name, target.marker);
  assert.equal((await provider.inspect(shop.context(), target)).state, "absent", "nothing was sent by then");
  const seen = await provider.inspect(shop.context(), { ...target, isResumed: true });
  assert.equal(seen.state, "pending");
  assert.equal((seen as { fork: Fork }).fork.id, own.id);
  const { fork } = seen as { fork: Fork };
  await assert.rejects(
    provider.delete(shop.context(), fork, shop.scope()),
    hasCode("FOREIGN"),
    "it is not on record yet",
  );
  await shop.context().record("proven", own.id);
  assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "deleted");
  assert.deepEqual([...shop.planetscale.branches.keys()], ["main", first("another")]);
});

testIf(
  whyNo("vitess"),
  "planetscale: a name that somebody takes while a branch gets ready is left, and ours is undone",
  async () => {
    await using shop = await openShop(STORES.vitess as Data);
    const target = shop.target("alice");
    const context = shop.context();
    const fetch = async (request: Request) => {
      if (request.method === "PATCH") await shop.planetscale.add("shop-alice", {}, false);
      return await context.fetch(request);
    };
    await assert.rejects(shop.create(target, { ...context, fetch }), hasCode("FOREIGN"));
    const theirs = shop.planetscale.branches.get("shop-alice")!;
    const seen = await provider.inspect(shop.context(), { ...target, isResumed: true });
    assert.equal(seen.state, "pending", "ours, under its first name");
    assert.equal(await provider.delete(shop.context(), (seen as { fork: Fork }).fork, shop.scope()), "deleted");
    assert.deepEqual([...shop.planetscale.branches.values()], [shop.main, theirs]);
    assert.equal((await provider.inspect(shop.context(), target)).state, "foreign");
  },
);

testIf(
  whyNo("vitess"),
  "planetscale: a name of the greatest length has a first name that is legal, and is made",
  async () => {
    await using shop = await openShop(STORES.vitess as Data);
    const name = `shop-${"a".repeat(41)}-${"b".repeat(13)}`;
    assert.equal(name.length, 60);
    const fork = await shop.create(shop.target("alice", { name }));
    assert.equal(fork.name, name);
    const [sent] = shop.planetscale.requests.filter(({ method }) => method === "POST");
    assert.match((sent!.body as { name: string }).name, /^[a-z][a-z0-9-]{0,58}[a-z0-9]$/);
    assert.equal(await provider.delete(shop.context(), fork, shop.scope()), "deleted");
  },
);

testIf(whyNo("vitess"), "planetscale: the branch that reached the plan's limit can be finished", async () => {
  await using shop = await openShop(STORES.vitess as Data, { maxDevelopment: 1 });
  const fork = await shop.create(shop.target("alice"));
  assert.deepEqual(await shop.create(shop.target("alice")), fork);
  await assert.rejects(shop.create(shop.target("bob")), hasCode("PLAN_LIMIT"));
});

testIf(
  whyNo("vitess"),
  "planetscale: a branch that was restored may be of production, and is deleted all the same",
  async () => {
    const needed: Access[] = [
      "read_branch",
      "create_branch",
      "write_database",
      "restore_backup",
      "connect_production_branch",
      "delete_branch",
    ];
    const tokens = { "id:token": needed, "id:other": undefined };
    await using shop = await openShop(STORES.vitess as Data, { restoredIsProduction: true, tokens });
    const fork = await shop.create(shop.target("alice", {}, { withData: true }));
    assert.equal(fork.copy, "full-copy");
    const lacking = await provider.delete(shop.context(), fork, shop.scope()).then(() => undefined, (error) => error);
    assert(hasCode("CREDENTIALS_DENIED")(lacking));
    assert.match(lacking.hint, /delete_production_branch/);
    assert.equal(await provider.delete(shop.context("other"), fork, shop.scope()), "deleted");
  },
);

const KEPT: Record<string, { code: string; says: RegExp; change: (shop: Shop) => unknown }> = {
  "is the default one by now": {
    code: "CONFLICT_DEFAULT",
    says: /default branch/,
    change: ({ planetscale }) => void (planetscale.options = { ...planetscale.options, defaultBranch: "shop-alice" }),
  },
  "was promoted": {
    code: "CONFLICT_PRODUCTION",
    says: /promoted.*Demote/s,
    change: ({ planetscale }) => void (planetscale.branches.get("shop-alice")!.production = true),
  },
  "is protected": {
    code: "CONFLICT_PROTECTED",
    says: /deletion protection/,
    change: ({ planetscale }) => void (planetscale.branches.get("shop-alice")!.protected = true),
  },
  "has branches of its own": {
    code: "CONFLICT_CHILDREN",
    says: /of its own: feature-x, feature-y/,
    change: async ({ planetscale }) => {
      for (const name of ["feature-x", "feature-y"]) await planetscale.add(name, { parent: "shop-alice" });
    },
  },
  "may not be deleted by the token": {
    code: "CREDENTIALS_DENIED",
    says: /404.*delete_branch/s,
    change: ({ planetscale }) =>
      void (planetscale.options = { ...planetscale.options, tokens: { "id:token": ["read_branch"] } }),
  },
  "can't be seen by the token, which does not make it absent": {
    code: "CREDENTIALS_REJECTED",
    says: /does not know the service token/,
    change: ({ planetscale }) => void (planetscale.options = { ...planetscale.options, tokens: {} }),
  },
};
type Shop = Awaited<ReturnType<typeof openShop>>;

for (const [what, { code, says, change }] of Object.entries(KEPT)) {
  Deno.test(`planetscale: delete() leaves a branch that ${what}: ${code}`, async () => {
    await using shop = await openShop(undefined);
    const branch = await shop.planetscale.add("shop-alice");
    const { marker } = shop.target("alice");
    const fork: Fork = { id: branch.id, name: "shop-alice", marker, createdAt: branch.createdAt };
    shop.journal.set(fork.name, marker);
    await shop.context().record("branch", branch.id);
    await change(shop);
    await assert.rejects(provider.delete(shop.context(), fork, shop.scope()), isTold(code, says));
    assert.equal(shop.planetscale.branches.get("shop-alice"), branch);
  });
}

const REFUSALS: Record<string, {
  code: string;
  says: RegExp;
  given?: Partial<PlanetScaleOptions>;
  token?: string;
  options?: object;
  target?: Partial<Target<Options>>;
  /** It is there by then: what is made is named. */
  isMade?: boolean;
}> = {
  "a token that nobody knows": {
    code: "CREDENTIALS_REJECTED",
    token: "expired",
    says: /404 not_found.*pscale service-token create/s,
  },
  "a token that nobody knows, as documented": {
    code: "CREDENTIALS_REJECTED",
    token: "expired",
    given: { unknownStatus: 401 },
    says: /401 unauthorized.*PLANETSCALE_SERVICE_TOKEN/s,
  },
  "another organization": {
    code: "ORGANIZATION_NOT_FOUND",
    options: { organization: "umbrella" },
    says: /not for organization "umbrella".*404.*database\.organization/s,
  },
  "another database": {
    code: "DATABASE_NOT_FOUND",
    options: { database: "shopp" },
    says: /no database "shopp".*404.*database\.database/s,
  },
  "a token without any access": {
    code: "DATABASE_NOT_FOUND",
    given: { tokens: { "id:token": [] } },
    says: /that the service token may see.*read_branch/s,
  },
  "a token that may not see branches": {
    code: "CREDENTIALS_DENIED",
    given: { tokens: { "id:token": ["read_database"] } },
    says: /404.*read_branch, create_branch, write_database, delete_branch and connect_branch/s,
  },
  "a token that may not create": {
    code: "CREDENTIALS_DENIED",
    given: { tokens: { "id:token": ["read_branch"] } },
    says: /404.*create_branch/s,
  },
  "a token that may not create, told by 403": {
    code: "CREDENTIALS_DENIED",
    given: { tokens: { "id:token": ["read_branch"] }, deniedStatus: 403 },
    says: /403 forbidden.*create_branch/s,
  },
  "a token that may not restore": {
    code: "CREDENTIALS_DENIED",
    given: { tokens: { "id:token": ["read_branch", "create_branch"] } },
    options: { withData: true },
    says: /404.*restore_backup/s,
  },
  "a token that may not connect": {
    code: "CREDENTIALS_DENIED",
    given: { tokens: { "id:token": ["create_branch", "write_database"] } },
    says: /a password for branch "shop-alice".*404.*connect_branch/s,
    isMade: true,
  },
  "a token that may not rename": {
    code: "CREDENTIALS_DENIED",
    given: { tokens: { "id:token": ["create_branch"] } },
    says: /name branch "shop-alice".*404.*write_database/s,
    isMade: true,
  },
  "a token that may make no roles": {
    code: "CREDENTIALS_DENIED",
    given: { tokens: { "id:token": ["create_branch", "write_database"] }, kind: "postgresql" },
    says: /a role for branch "shop-alice".*404.*create_branch_password/s,
    isMade: true,
  },
  "a missing parent": {
    code: "NOT_FOUND",
    target: { parent: "shop-dev" },
    says: /"shop-dev": database "shop" has none.*404.*"shop" stands for the default branch/s,
  },
  "a limit of branches": { code: "PLAN_LIMIT", given: { maxDevelopment: 0 }, says: /all the development.*prune/s },
  "a limit of restored branches": {
    code: "PLAN_LIMIT",
    given: { maxRestored: 0 },
    options: { withData: true },
    says: /all the restored.*prune/s,
  },
  "data on a plan without it": {
    code: "PLAN_LIMIT_DATA",
    given: { allowDataBranching: false },
    options: { withData: true },
    says: /Data Branching is off.*withData/s,
  },
  "a limit of passwords": {
    code: "PLAN_LIMIT_PASSWORDS",
    given: { maxPasswords: 0 },
    says: /422.*pscale password list shop shop-alice/s,
    isMade: true,
  },
  "a database that is not ready": {
    code: "NOT_READY",
    given: { isReady: false },
    says: /"shop" is not ready yet.*dashboard/s,
  },
  "another engine": {
    code: "CONFIG_INVALID",
    options: { engine: "postgres" },
    says: /runs on vitess, not on postgres/,
  },
  "the past of Vitess": {
    code: "AT_UNSUPPORTED",
    target: { at: "2026-01-01T00:00:00Z" },
    says: /only of PostgreSQL.*--at/s,
  },
  "a token that may not see backups": {
    code: "CREDENTIALS_DENIED",
    given: { kind: "postgresql", tokens: { "id:token": ["read_branch", "create_branch", "restore_backup"] } },
    target: { at: "2026-01-01T00:00:00Z" },
    says: /the backups of branch "main".*404.*read_backups/s,
  },
  "a position in place of a time": {
    code: "AT_INVALID",
    given: { kind: "postgresql" },
    target: { at: "0/1F3D3A8" },
    says: /does not know such positions/,
  },
  "a name that PlanetScale refuses": {
    code: "PROVIDER_REFUSED",
    target: { name: "Shop" },
    says: /422.*Name is invalid/s,
  },
};

for (const [what, { code, says, given = {}, token, options, target, isMade = false }] of Object.entries(REFUSALS)) {
  Deno.test(`planetscale: ${what} is ${code}, and nothing is made that is not named`, async () => {
    await using shop = await openShop(undefined, given);
    const wanted = shop.target("alice", target, options);
    const isLocal = code === "AT_INVALID"; // it is refused before any request
    await assert.rejects(shop.create(wanted, shop.context(token)), isTold(code, says, !isLocal));
    const made = [...shop.planetscale.branches.keys()].filter((name) => /^shop-alice(-[0-9a-f]{12})?$/.test(name));
    assert.equal(made.length, isMade ? 1 : 0);
  });
}

Deno.test("planetscale: a point of PostgreSQL's past is asked for with the last backup of before, and a size", async () => {
  const days = ["2026-01-01", "2026-01-03", "2026-01-02", "2026-01-05"];
  for (
    const [at, from] of [["2026-01-03T12:00:00Z", 1], ["2026-01-03T00:00:00Z", 1], ["2026-01-09T00:00:00Z", 3]] as const
  ) {
    for (const pageSize of [1, 100]) {
      await using shop = await openShop(undefined, { kind: "postgresql", pageSize });
      for (const [index, day] of days.entries()) shop.planetscale.remember(`${day}T00:00:00Z`, `backup-${index}`);
      await assert.rejects(shop.create(shop.target("alice", { at })), /query branch/); // nothing answers there
      const { body } = shop.planetscale.requests.find(({ method, path }) =>
        method === "POST" && /branches$/.test(path)
      )!;
      const { name: _, ...sent } = body as Record<string, unknown>;
      const wanted = { parent_branch: "main", backup_id: `backup-${from}`, restore_point: at, cluster_size: "PS_10" };
      assert.deepEqual(sent, wanted);
    }
  }
  await using shop = await openShop(undefined, { kind: "postgresql" });
  shop.planetscale.remember("2026-01-02T00:00:00Z", "backup");
  const early = shop.create(shop.target("alice", { at: "2026-01-01T00:00:00Z" }));
  await assert.rejects(early, hasCode("AT_OUT_OF_REACH"));
  assert(shop.planetscale.requests.every(({ method }) => method === "GET"));
});

Deno.test("planetscale: the emulator restores no point without a backup of before it and a size", async () => {
  for (const findsBackups of [false, true]) {
    await using shop = await openShop(undefined, { kind: "postgresql", findsBackups });
    shop.planetscale.remember("2026-01-02T00:00:00Z", "backup");
    const url = `${shop.planetscale.url}/v1/organizations/acme/databases/shop/branches`;
    const ask = async (more: object, index: number) => {
      const body = JSON.stringify({ name: `x-${index}`, restore_point: "2026-01-03T00:00:00Z", ...more });
      const answer = await fetch(url, { method: "POST", headers: { authorization: "id:token" }, body });
      await answer.text();
      return answer.status;
    };
    const sent = [{}, { backup_id: "backup" }, { backup_id: "none", cluster_size: "PS_10" }, {
      backup_id: "backup",
      cluster_size: "PS_10",
    }];
    const statuses = await Promise.all(sent.map(ask));
    assert.deepEqual(statuses, [findsBackups ? 201 : 422, 422, 404, 201]);
  }
});

for (const engine of ["vitess", "postgres"] as const) {
  const what = `planetscale: a branch on ${engine} that does not say that it was restored claims no copy of the data`;
  testIf(whyNo(engine), what, async () => {
    for (const ignoresSeeds of [false, true]) {
      await using shop = await openShop(STORES[engine] as Data, { ignoresSeeds });
      const warnings: string[] = [];
      const context = { ...shop.context(), warn: (text: string) => void warnings.push(text) };
      const { copy } = await shop.create(shop.target("alice", {}, { withData: true }), context);
      assert.equal(copy, ignoresSeeds ? engine === "vitess" ? "schema-only" : "empty" : "full-copy");
      assert.equal(
        warnings.filter((one) => /was restored: it may hold no rows/.test(one)).length,
        ignoresSeeds ? 1 : 0,
      );
    }
  });
}

Deno.test("planetscale: a parent that is not ready is told with its state", async () => {
  await using shop = await openShop(undefined);
  shop.main.state = "sleeping";
  await assert.rejects(shop.create(shop.target("alice")), isTold("PARENT_NOT_READY", /"main": it is sleeping.*wake/s));
});

/** An error with this code, the request's id, and what to do next; it shows no credential. */
function isTold(code: string, says: RegExp, hasRequest = true): (error: unknown) => boolean {
  return (error) => {
    assert(hasCode(code)(error), show(error));
    const { message, cause, hint, details } = error as Error & { hint: string; details: Record<string, unknown> };
    const text = [message, (cause as Error | undefined)?.message, hint].join("\n");
    assert.match(text, says);
    if (hasRequest) assert.match(String(details.requestId), /^request-\d+$/, text);
    assert(!/id:token|expired/.test(text), text);
    return true;
  };
}

function whyNo(engine: "vitess" | "postgres"): string | undefined {
  const found = STORES[engine];
  return typeof found === "string" ? found : undefined;
}
