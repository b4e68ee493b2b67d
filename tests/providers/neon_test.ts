import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { inspect as show } from "node:util";
import * as v from "npm:valibot@1.5.0";
import { parseMarker } from "../../core/marker.ts";
import { Secret } from "../../core/provider.ts";
import type { Context, Scope, Target } from "../../core/provider.ts";
import { formatMarker } from "../../core/marker.ts";
import provider from "../../providers/database/neon.ts";
import { testProvider } from "../conformance.ts";
import { type Given, type Key, type NeonOptions, startNeon } from "../emulators/neon.ts";
import { realContext, testIf } from "../helpers.ts";
import { jsonRequest, Specification, testSpecification } from "../emulators/specification.ts";
import { ask, neonEmulator, NOTES, quickClient, server, whyNot } from "./_neon.ts";
import { hasCode } from "./_special.ts";

const SPECIFICATION = Specification.read("neon.yaml", { base: "/api/v2" });

if (server !== undefined) {
  testProvider({
    provider,
    emulator: neonEmulator({}, SPECIFICATION),
    options: { projectId: "late-frost-12345" },
  });
  testSpecification("neon", SPECIFICATION, {
    request: jsonRequest("https://console.neon.tech/api/v2/projects/x/branches?limit=0"),
    is: /query parameter "limit": must be >= 1/,
  });
}

const CHINOOK = new URL("../../../shared/data/chinook/Chinook_PostgreSql.sql", import.meta.url);
const KEY = "napi_canary_key";
type Options = Parameters<typeof provider.create>[1]["options"];

/** A project "shop" whose default branch is called main, and the provider in it. */
async function openShop(changed: Partial<NeonOptions> = {}, given: Given = {}) {
  const neon = await startNeon(server!, { keys: { [KEY]: {} }, ...changed });
  const main = await neon.add("main", { isDefault: true, databases: { neondb: NOTES }, ...given });
  const warnings: string[] = [];
  let waited = 0;
  const context = (more: Partial<Context> = {}, key = KEY): Context =>
    realContext({
      fetch: quickClient(),
      credentials: { NEON_API_KEY: new Secret(key) },
      now: () => new Date(neon.now() + waited),
      sleep: (ms) => Promise.resolve(void (waited += ms)),
      markerOf: (name, note) => parseMarker(note, name),
      warn: (text) => void warnings.push(text),
      ...more,
    });
  const scope = (more: object = {}): Scope<Options> => {
    const input = { projectId: "late-frost-12345", endpoint: neon.url, ...more };
    const options = v.parse(provider.options as v.GenericSchema<unknown, Options>, input);
    return { options, project: "shop", stack: "shop", resource: "database", root: "/nowhere" };
  };
  const target = (env: string, more: Partial<Target<Options>> = {}, options?: object): Target<Options> => {
    const marker = { stack: "shop", env, resource: "database", operation: `make ${env}` };
    const begunAt = new Date(neon.now()).toISOString();
    return { ...scope(options), name: `shop-${env}`, parent: "shop", marker, begunAt, ...more };
  };
  return { neon, main, warnings, context, scope, target, [Symbol.asyncDispose]: () => neon[Symbol.asyncDispose]() };
}
type Shop = Awaited<ReturnType<typeof openShop>>;

/** What an application gets. */
async function urlsOf(shop: Shop, held: { id: string; name: string }, context = shop.context(), options?: object) {
  const outputs = await provider.outputs(context, held, shop.scope(options));
  const [pooled, direct] = ["DATABASE_URL", "DATABASE_URL_UNPOOLED"].map((key) => (outputs[key] as Secret).reveal());
  return { pooled: pooled!, direct: direct! };
}

/** The calls besides polling. */
function callsOf({ neon }: Shop): string[] {
  return neon.requests.map(({ method, path }) => `${method} ${path.replace(/^\/api\/v2\/projects\/[^/]+\/?/, "")}`)
    .filter((call) => !call.startsWith("GET operations/"));
}

function test(name: string, fn: (shop: Shop) => Promise<void>, options?: Partial<NeonOptions>, given?: Given): void {
  testIf(whyNot, `neon: ${name}`, async () => {
    await using shop = await openShop(options, given);
    await fn(shop);
  });
}

testIf(
  whyNot ?? (existsSync(CHINOOK) ? undefined : `there is no ${CHINOOK.pathname}`),
  "neon: Chinook, forked, read and written by postgres.js",
  async () => {
    const script = readFileSync(CHINOOK, "utf8").replace(/^(DROP|CREATE) DATABASE .*$|^\\c .*$/gm, "");
    await using shop = await openShop({}, { databases: { neondb: script } });
    const fork = await provider.create(shop.context(), shop.target("alice"));
    const { pooled, direct } = await urlsOf(shop, fork);
    assert.deepEqual(await ask(pooled, "SELECT count(*)::int AS n FROM track"), [{ n: 3503 }]);
    await ask(direct, "DELETE FROM playlist_track; INSERT INTO artist VALUES (1000, 'Ülkü ''O')");
    assert.deepEqual(await ask(pooled, "SELECT name FROM artist WHERE artist_id = 1000"), [{ name: "Ülkü 'O" }]);
    const parent = await urlsOf(shop, { id: shop.main.id, name: "shop" });
    assert.deepEqual(await ask(parent.pooled, "SELECT count(*)::int AS n FROM playlist_track"), [{ n: 8715 }]);
    assert.deepEqual(await ask(parent.pooled, "SELECT count(*)::int AS n FROM artist"), [{ n: 275 }]);
    const { sizeBytes, costUsd } = await provider.usage!(shop.context(), fork, shop.scope());
    assert(sizeBytes > 8_000_000, `it has ${sizeBytes} bytes`);
    assert.equal(costUsd, sizeBytes / 1e9 * 0.35);
  },
);

// ---- What a fork is made of ----

test("create() of a fork of prod is one call, with its probe and outputs; they need no further one", async (shop) => {
  const context = shop.context();
  const fork = await provider.create(context, shop.target("alice"));
  await provider.probe(context, fork, shop.scope());
  const told = await urlsOf(shop, fork, context);
  assert.deepEqual(callsOf(shop), ["POST branches"]);
  assert(shop.neon.requests.length > 4, "operations take their time");
  assert.equal(fork.parentId, shop.main.id);
  assert.notEqual(new URL(told.pooled).host, new URL(told.direct).host);
  assert.deepEqual(await urlsOf(shop, fork), told, "and read back they are the same");
});

test("create() of a fork of another environment looks for its parent first", async (shop) => {
  const base = await shop.neon.add("shop-dev", { parent: shop.main });
  const fork = await provider.create(shop.context(), shop.target("alice", { parent: "shop-dev" }));
  assert.deepEqual(callsOf(shop).map((call) => call.split("?")[0]), ["GET branches", "POST branches"]);
  assert.equal(fork.parentId, base.id);
});

test("an annotation is ours on its own branch alone; whose another's is, is told", async (shop) => {
  const given = shop.target("alice");
  const target = { ...given, marker: { ...given.marker, name: given.name, registry: "0123456789abcdef" } };
  const note = formatMarker(target.marker);
  const elsewhere = await shop.neon.add("shop-bob", { parent: shop.main, annotation: { forkstack: note, more: "x" } });
  const bob = { ...shop.target("bob"), isResumed: true };
  assert.equal((await provider.inspect(shop.context(), bob)).state, "foreign", "it was copied from alice's");
  await assert.rejects(provider.create(shop.context(), bob), hasCode("FOREIGN"));
  for (const bad of [`${note}:`, note.toUpperCase(), `${note.slice(0, -1)}~`, "forkstack:v2", ""]) {
    elsewhere.name = "shop-alice";
    elsewhere.annotation = { forkstack: bad };
    assert.equal((await provider.inspect(shop.context(), target)).state, "foreign", bad);
  }
  for (const changed of [{ registry: "fedcba9876543210" }, { stack: "another" }, { resource: "database.other" }]) {
    const marker = { ...target.marker, ...changed };
    elsewhere.annotation = { forkstack: formatMarker(marker) };
    const seen = await provider.inspect(shop.context(), target);
    assert.deepEqual((seen as { holder?: unknown }).holder, marker);
    const fork = { id: elsewhere.id, name: "shop-alice", marker: target.marker, createdAt: target.begunAt };
    await assert.rejects(provider.delete(shop.context(), fork, shop.scope()), hasCode("FOREIGN"));
  }
  elsewhere.annotation = { forkstack: formatMarker(given.marker) }; // of 0.1.0
  assert.equal((await provider.inspect(shop.context(), target)).state, "ready");
  assert(shop.neon.branches.has(elsewhere.id));
});

test("a branch that bears prod's title beside the default one is never looked at", async (shop) => {
  const decoy = await shop.neon.add("shop", { parent: shop.main });
  const fork = await provider.create(shop.context(), shop.target("alice"));
  assert.equal(fork.parentId, shop.main.id);
  const seen = await provider.inspect(shop.context(), shop.target("prod", { name: "shop" }));
  assert.deepEqual([seen.state, "id" in seen && seen.id], ["foreign", shop.main.id]);
  assert(shop.neon.branches.has(decoy.id));
});

test(
  "a project with several databases and roles needs three calls where both are named",
  async (shop) => {
    shop.neon.addRole(shop.main, "reader");
    const named = { database: "second", role: "neondb_owner" };
    const context = shop.context();
    const fork = await provider.create(context, shop.target("alice", {}, named));
    const { pooled, direct } = await urlsOf(shop, fork, context, named);
    assert.deepEqual(callsOf(shop), ["POST branches", "GET connection_uri"]);
    assert.deepEqual(await ask(pooled, "SELECT x FROM theirs"), [{ x: 2 }]);
    assert.deepEqual(await urlsOf(shop, fork, shop.context(), named), { pooled, direct });
    // Without a role the database's owner is asked for first.
    const bob = await provider.create(shop.context(), shop.target("bob", {}, { database: "second" }));
    assert.equal(new URL((await urlsOf(shop, bob, shop.context(), { database: "second" })).pooled).pathname, "/second");
  },
  {},
  { databases: { neondb: NOTES, second: "CREATE TABLE theirs (x int); INSERT INTO theirs VALUES (2)" } },
);

test(
  "a fork of a protected branch has a password of its own",
  async (shop) => {
    const fork = await provider.create(shop.context(), shop.target("alice"));
    const { pooled } = await urlsOf(shop, fork);
    assert.notEqual(new URL(pooled).password, new URL(shop.neon.uriOf(shop.main)).password);
    assert.deepEqual(await ask(pooled, "SELECT count(*)::int AS n FROM notes"), [{ n: 1 }]);
  },
  {},
  { isProtected: true },
);

test(
  "--at goes to an instant, and to a position in the log",
  async (shop) => {
    let now = shop.neon.now();
    shop.neon.now = () => now;
    const url = shop.neon.uriOf(shop.main);
    await ask(url, "INSERT INTO notes (text) VALUES ('second')");
    const lsn = await shop.neon.keep(shop.main);
    const then = new Date(now + 60_000).toISOString();
    now += 600_000;
    await ask(url, "INSERT INTO notes (text) VALUES ('third')");
    for (const [env, at, count] of [["a", then, 2], ["b", lsn, 2], ["c", undefined, 3]] as const) {
      const fork = await provider.create(shop.context(), shop.target(env, at === undefined ? {} : { at }));
      const { pooled } = await urlsOf(shop, fork);
      assert.deepEqual(await ask(pooled, "SELECT count(*)::int AS n FROM notes"), [{ n: count }], `at ${at}`);
    }
    for (const at of [new Date(now - 7 * 3_600_000).toISOString(), "0/1"]) {
      const made = provider.create(shop.context(), shop.target("d", { at }));
      await assert.rejects(made, (error: Error & { hint: string }) => {
        hasCode("AT_OUT_OF_REACH")(error);
        assert.match(error.hint, /history goes back to 20/);
        return true;
      });
    }
  },
  {},
  { createdAt: Date.now() - 86_400_000 },
);

test("schemaOnly forks tables without rows, and remembers of what", async (shop) => {
  const wanted = shop.target("alice", {}, { schemaOnly: true });
  const fork = await provider.create(shop.context(), wanted);
  assert.deepEqual([fork.copy, fork.parentId], ["schema-only", shop.main.id]);
  assert.deepEqual(await provider.inspect(shop.context(), wanted), { state: "ready", fork });
  const { pooled } = await urlsOf(shop, fork);
  assert.deepEqual(await ask(pooled, "SELECT count(*)::int AS n FROM notes"), [{ n: 0 }]);
  assert.equal(shop.neon.branches.get(fork.id)!.parentId, undefined, "such a branch is a root");
  const more = provider.create(shop.context(), shop.target("bob", {}, { schemaOnly: true }));
  await assert.rejects(more, (error: Error) => hasCode("PLAN_LIMIT")(error) && /root/.test(error.message));
}, { maxRoots: 2 });

test("an empty fork is emptied once: what was made in it since stays", async (shop) => {
  const wanted = shop.target("alice", { parent: undefined });
  const fork = await provider.create(shop.context(), wanted);
  assert.deepEqual([fork.copy, fork.parentId], ["empty", undefined]);
  const { pooled } = await urlsOf(shop, fork);
  await assert.rejects(ask(pooled, "SELECT 1 FROM notes"), /does not exist/);
  await ask(pooled, "CREATE TABLE mine (x int)");
  assert.deepEqual(await provider.create(shop.context(), wanted), fork);
  assert.deepEqual(await ask(pooled, "SELECT count(*)::int AS n FROM mine"), [{ n: 0 }]);
});

// ---- Time ----

test("the lease's end is told to the second, and a longer one than Neon takes is left to prune", async (shop) => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  shop.neon.now = () => now;
  const end = (fork: { id: string }) => shop.neon.branches.get(fork.id)!.expiresAt;
  const alice = await provider.create(shop.context(), shop.target("alice", { expiresAt: "2026-01-04T00:20:30.001Z" }));
  assert.equal(end(alice), Date.parse("2026-01-04T00:20:31Z"));
  await provider.extend!(shop.context(), alice, "2026-01-05T00:00:00.000Z", shop.scope());
  assert.equal(end(alice), Date.parse("2026-01-05T00:00:00Z"));
  assert.deepEqual(shop.warnings, []);
  await provider.extend!(shop.context(), alice, "2026-03-01T00:00:00.000Z", shop.scope());
  assert.equal(end(alice), undefined);
  const bob = await provider.create(shop.context(), shop.target("bob", { expiresAt: "2026-03-01T00:00:00.000Z" }));
  assert.equal(end(bob), undefined);
  assert.equal(shop.warnings.length, 2);
  assert.match(shop.warnings[0]!, /30 days.*prune/);
});

test("a project that is locked is waited for", async (shop) => {
  await provider.create(shop.context({ sleep: () => Promise.reject(new Error("it died")) }), shop.target("bob"))
    .catch(() => {});
  const fork = await provider.create(shop.context(), shop.target("alice"));
  await provider.probe(shop.context(), fork, shop.scope());
  const locked = shop.neon.requests.filter(({ status }) => status === 423);
  assert(locked.length > 1, "the create was refused more than once");
}, { settling: 4 });

test("create() waits for a branch of an earlier attempt as well, and for its compute", async (shop) => {
  const died = shop.context({ sleep: () => Promise.reject(new Error("it died")) });
  await assert.rejects(provider.create(died, shop.target("alice")), /it died/);
  assert.equal(shop.neon.branch("shop-alice").state, "init");
  const fork = await provider.create(shop.context(), shop.target("alice"));
  const { state, endpoint } = shop.neon.branch("shop-alice");
  assert.deepEqual([fork.name, state, endpoint!.state], ["shop-alice", "ready", "active"]);
}, { settling: 4 });

test("a project that stays locked is RESOURCE_LOCKED", async (shop) => {
  await provider.create(shop.context({ sleep: () => Promise.reject(new Error("it died")) }), shop.target("bob"))
    .catch(() => {});
  const made = provider.create(shop.context(), shop.target("alice"));
  await assert.rejects(made, refusal("RESOURCE_LOCKED", /locked by other operations.*423.*conflicting operations/s));
}, { settling: 1_000 });

test("an operation that fails may be tried again by Neon, but not for ever", async (shop) => {
  shop.neon.failing.set("start_compute", 3);
  const fork = await provider.create(shop.context(), shop.target("alice"));
  await provider.probe(shop.context(), fork, shop.scope());
  shop.neon.failing.set("start_compute", 1_000);
  const made = provider.create(shop.context(), shop.target("bob"));
  await assert.rejects(made, refusal("PROVIDER_UNAVAILABLE", /start_compute ended as "failed"/));
});

test("an operation that never ends is NOT_READY", async (shop) => {
  const made = provider.create(shop.context(), shop.target("alice"));
  await assert.rejects(made, refusal("NOT_READY", /after 30\d(\.\d+)? s operation create_branch is "running"/));
}, { settling: 1_000 });

// ---- What is refused ----

/** The error has this code, the vendor's request id and a hint, and says this. */
function refusal(code: string, says: RegExp): (error: Error) => boolean {
  return (error) => {
    const { hint, details } = error as Error & { hint?: string; details?: { requestId?: string } };
    assert.equal((error as { code?: string }).code, code, show(error));
    assert(hint, "it must say what to do");
    assert.match(details?.requestId ?? "", /^request-\d+$/, show(error));
    const text = [error.message, (error.cause as Error | undefined)?.message, hint].join("\n");
    assert.match(text, says);
    assert(!text.includes(KEY), text);
    return true;
  };
}

for (const status of [400, 409, 422] as const) {
  test(`delete() tells what keeps a branch, answered with ${status}`, async (shop) => {
    const fork = await provider.create(shop.context(), shop.target("alice"));
    const child = await shop.neon.add("shop-bob", { parent: shop.neon.branch("shop-alice") });
    const removed = () => provider.delete(shop.context(), fork, shop.scope());
    await assert.rejects(
      removed(),
      refusal("CONFLICT_CHILDREN", /"shop-bob" were forked from it.*those environments/s),
    );
    shop.neon.branches.delete(child.id);
    const branch = shop.neon.branch("shop-alice");
    branch.isProtected = true;
    await assert.rejects(removed(), refusal("CONFLICT_PROTECTED", /it is protected.*End its protection/s));
    [branch.isProtected, branch.isDefault] = [false, true];
    await assert.rejects(removed(), refusal("CONFLICT_DEFAULT", /default branch.*Make another one/s));
    assert(shop.neon.requests.filter(({ method }) => method === "DELETE").length === 1, "it was asked for once");
    branch.isDefault = false;
    assert.equal(await removed(), "deleted");
  }, { refusal: status });

  test(`a parent that expires is PARENT_EXPIRES, answered with ${status}`, async (shop) => {
    await shop.neon.add("shop-dev", { parent: shop.main, expiresAt: Date.now() + 3_600_000 });
    const made = provider.create(shop.context(), shop.target("alice", { parent: "shop-dev" }));
    await assert.rejects(made, refusal("PARENT_EXPIRES", /lease ends.*--from/s));
  }, { refusal: status });
}

const REFUSALS: Record<string, {
  code: string;
  given?: Partial<NeonOptions>;
  key?: Key;
  options?: object;
  target?: Partial<Target<unknown>>;
  isLocal?: boolean;
  says: RegExp;
}> = {
  "a missing parent": {
    code: "NOT_FOUND",
    target: { parent: "shop-dev" },
    isLocal: true, // an empty list is no refusal
    says: /"shop-dev": project "late-frost-12345" has none.*default branch/s,
  },
  "a key that is none": {
    code: "CREDENTIALS_REJECTED",
    given: { keys: {} },
    says: /401.*supplied credentials.*api-keys/s,
  },
  "an expired key": { code: "CREDENTIALS_REJECTED", key: { isExpired: true }, says: /401.*NEON_API_KEY again/s },
  "a key that may only read": { code: "CREDENTIALS_DENIED", key: { may: "read" }, says: /403.*late-frost-12345/s },
  "a key of another project": {
    code: "PROJECT_NOT_FOUND",
    key: { projects: ["x"] },
    says: /404.*database\.projectId/s,
  },
  "another project": {
    code: "PROJECT_NOT_FOUND",
    options: { projectId: "icy-moon-1" },
    says: /no project "icy-moon-1"/,
  },
  "the plan's limit of branches": {
    code: "PLAN_LIMIT",
    given: { maxBranches: 1 },
    says: /422 BRANCHES_LIMIT_EXCEEDED.*prune/s,
  },
  "a name that Neon refuses": { code: "PROVIDER_REFUSED", target: { name: "x".repeat(257) }, says: /400.*too long/s },
  "a database that is not there": {
    code: "DATABASE_NOT_FOUND",
    options: { database: "nope" },
    says: /no database "nope".*there is "neondb"/s,
  },
  "a database that is not there, with a role": {
    code: "DATABASE_NOT_FOUND",
    options: { database: "nope", role: "neondb_owner" },
    says: /no database "nope".*there is "neondb"/s,
  },
  "a role that is not there": {
    code: "ROLE_NOT_FOUND",
    options: { role: "nobody", database: "neondb" },
    says: /no role "nobody".*there is "neondb_owner"/s,
  },
  "a project that stores no passwords": {
    code: "CREDENTIALS_NOT_STORED",
    given: { storesPasswords: false },
    options: { role: "neondb_owner", database: "second" },
    says: /412.*does not store passwords.*store_passwords/s,
  },
  "which database, where there are two": {
    code: "CONFIG_INVALID",
    options: { role: "neondb_owner" },
    says: /set `database/,
  },
};

for (const [what, { code, given = {}, key = {}, options, target, isLocal, says }] of Object.entries(REFUSALS)) {
  const databases: Record<string, string> = { neondb: NOTES };
  if (/two|passwords/.test(what)) databases.second = "";
  test(
    `${what} is ${code}, and nothing is made that is not named`,
    async (shop) => {
      const before = [...shop.neon.branches.keys()];
      const named: string[] = [];
      const context = shop.context({ record: (_step, id) => Promise.resolve(void named.push(id)) });
      const wanted = shop.target("alice", target as Partial<Target<Options>>, options);
      const made = provider.create(context, wanted);
      await assert.rejects(
        made,
        isLocal ? (error: Error) => hasCode(code)(error) && says.test(show(error)) : refusal(code, says),
      );
      assert.deepEqual([...shop.neon.branches.keys()].filter((id) => !before.includes(id)), named);
    },
    { keys: { [KEY]: key }, ...given },
    { databases },
  );
}

test("a project that the key does not see is no reason to take a branch for gone", async (shop) => {
  const fork = await provider.create(shop.context(), shop.target("alice"));
  shop.neon.options = { ...shop.neon.options, keys: { [KEY]: { projects: [] } } };
  const lost = refusal("PROJECT_NOT_FOUND", /late-frost-12345/);
  await assert.rejects(provider.delete(shop.context(), fork, shop.scope()), lost);
  await assert.rejects(provider.inspect(shop.context(), shop.target("alice")), lost);
  await assert.rejects(provider.probe(shop.context(), fork, shop.scope()), lost);
  assert(shop.neon.branches.has(fork.id));
});

test("a branch without a compute, and one that is gone, are told apart", async (shop) => {
  const fork = await provider.create(shop.context(), shop.target("alice"));
  const branch = shop.neon.branches.get(fork.id)!;
  const bare = { ...branch, endpoint: undefined };
  delete bare.endpoint;
  shop.neon.branches.set(fork.id, bare);
  const used = () => provider.probe(shop.context(), fork, shop.scope());
  await assert.rejects(used(), refusal("COMPUTE_NOT_FOUND", /no compute.*console/s));
  shop.neon.branches.delete(fork.id);
  await assert.rejects(used(), refusal("NOT_FOUND", /it is gone.*doctor/s));
  await assert.rejects(
    provider.extend!(shop.context(), fork, "2027-01-01T00:00:00Z", shop.scope()),
    refusal("NOT_FOUND", /it is gone/),
  );
});

Deno.test("neon: a project's id and an endpoint without TLS elsewhere are refused", () => {
  const parse = (input: object) => v.safeParse(provider.options as v.GenericSchema, input).success;
  assert(parse({ projectId: "late-frost-12345" }));
  for (const projectId of ["", "Late", "a/b", "../x", "x".repeat(61)]) assert(!parse({ projectId }), projectId);
  assert(!parse({ projectId: "x", endpoint: "http://console.neon.tech" }));
  assert(!parse({ projectId: "x", database: "" }));
});
