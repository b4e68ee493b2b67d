import { deepStrictEqual as equal, match, ok, rejects, strictEqual as is } from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createEnvironment } from "../../../core/lifecycle/create.ts";
import { openRegistry, openServer } from "../../../core/state/open_registry.ts";
import { Registry } from "../../../core/state/registry.ts";
import { openFile, type Sql } from "../../../core/state/sql.ts";
import { switchEnvironment } from "../../../core/lifecycle/switch.ts";
import { openStack, parseEnvFile } from "../../../mod.ts";
import { commandOf, type Ended, Place, runCommand } from "../../cli/run.ts";
import { hranaHandler, type HranaServer, startHrana } from "../../emulators/hrana.ts";
import { temporaryDirectory, testIf } from "../../helpers.ts";
import { WHY_ROOT, WITHOUT_RIGHTS } from "../../tools.ts";
import { bench, failure, Vendor } from "../_engine.ts";
import type { Environment, ResourceRow } from "../../../core/state/records.ts";
import { statements } from "../../../core/state/statements.ts";

const TOKEN = "t0ken-canary";
const PROJECT = { name: "shop" };
const AT = "2026-05-01T12:00:00.000Z";

/** One database, opened as often as a test likes. */
interface Backend extends AsyncDisposable {
  sql(): Promise<Sql>;
}

const BACKENDS: Readonly<Record<string, () => Promise<Backend>>> = {
  // deno-lint-ignore require-await -- the other one waits
  "a local file": async () => {
    const directory = temporaryDirectory();
    return {
      sql: () => openFile(join(directory.path, "registry.db")),
      [Symbol.asyncDispose]: () => Promise.resolve(directory[Symbol.dispose]()),
    };
  },
  "a libSQL server": async () => {
    const server = await startHrana({ path: ":memory:", authToken: TOKEN });
    return { sql: () => openServer(server.url, TOKEN), [Symbol.asyncDispose]: () => server.close() };
  },
};

/** Registers a test on each kind of database; `open` gives another client of it. */
function test(name: string, run: (open: () => Promise<Registry>, sql: () => Promise<Sql>) => Promise<void>): void {
  for (const [backend, start] of Object.entries(BACKENDS)) {
    Deno.test(`${name}, on ${backend}`, async () => {
      await using database = await start();
      const opened: { close(): void }[] = [];
      const keep = <T extends { close(): void }>(one: T) => (opened.push(one), one);
      try {
        await run(async () => keep(await Registry.open(await database.sql(), PROJECT)), async () => {
          return keep(await database.sql());
        });
      } finally {
        for (const one of opened) one.close();
      }
    });
  }
}

const environment = (name: string, more: Partial<Environment> = {}): Environment => ({
  name,
  parent: "dev",
  status: "ready",
  owner: "alice@laptop",
  operation: `run-of-${name}`,
  createdAt: AT,
  ...more,
});

const row = (env: string, more: Partial<ResourceRow> = {}): ResourceRow => ({
  env,
  key: "storage.uploads",
  kind: "storage",
  name: "uploads",
  provider: "s3",
  title: `shop-uploads-bucket-${env}`,
  state: "ready",
  operation: `run-of-${env}`,
  id: "id/1 'quoted' \"día\"",
  parentId: "shop-uploads-bucket-dev",
  fork: "full-copy",
  createdAt: AT,
  options: { region: "eu-west-1", nested: { list: [1, null, "a"] } },
  ...more,
});

const line = (env: string, step: string) => ({
  ...{ operation: `run-of-${env}`, env, resource: "storage.uploads", step, at: AT },
  phase: "intent" as const,
});

async function held(registry: Registry, env: string, owner = "one#1"): Promise<number> {
  const token = await registry.acquire(env, owner, "create");
  ok(typeof token === "number", "the lock is not free");
  return token;
}

test("unanswered() lists runs whose last word on a create is an intent", async (open) => {
  const registry = await open();
  const token = await held(registry, "alice");
  const runs: Record<string, string[]> = {
    lost: ["create intent"],
    "lost twice": ["create intent", "create intent"],
    "lost, then refused": ["create intent", "create intent", "refused record"],
    "lost, then made": ["create intent", "create intent", "create done"],
    made: ["create intent", "create done"],
    "never sent": ["create intent", "create failed"],
    refused: ["create intent", "refused record"],
    "refused, told twice": ["create intent", "refused record", "refused record"],
    "refused, then tried again": ["create intent", "refused record", "create intent"],
    deleted: ["create intent", "create done", "delete intent"],
  };
  for (const [name, words] of Object.entries(runs)) {
    const lines = words.map((one) => one.split(" ")).map(([step, phase]) =>
      statements.journal({ ...line("alice", step!), operation: name.replace(/\W+/g, "-"), phase: phase as "intent" })
    );
    await registry.fenced("alice", token, lines);
  }
  const other = statements.journal({ ...line("alice", "create"), resource: "database", operation: "made" });
  await registry.fenced("alice", token, [other]);
  equal((await registry.unanswered("storage.uploads")).map(({ operation }) => operation), [
    "refused-then-tried-again",
    "lost-then-made",
    "lost-then-refused",
    "lost-twice",
    "lost",
  ]);
});

test("environments, resources and journal read back as they were written", async (open) => {
  const registry = await open();
  const token = await held(registry, "alice");
  const whole = environment("alice", { expiresAt: "2026-06-01T00:00:00.000Z", usedAt: AT });
  const bare: ResourceRow = {
    ...{ env: "alice", key: "database", kind: "database", provider: "neon", title: "shop-alice" },
    ...{ state: "creating", operation: "run-of-alice", createdAt: AT, options: {} },
  };
  await registry.fenced("alice", token, [
    statements.putEnvironment(whole),
    statements.putResource(row("alice")),
    statements.putResource(bare),
    statements.journal(line("alice", "create")),
    statements.journal({ ...line("alice", "create"), phase: "done", id: "id-1" }),
  ]);
  const other = await open(); // as another process sees it
  equal(await other.environments(), [whole]);
  equal(await other.environment("alice"), whole);
  is(await other.environment("bob"), undefined);
  equal(await other.resources("alice"), [bare, row("alice")]);
  equal(await other.resources("bob"), []);
  equal(await other.journal("alice"), [
    { seq: 1, ...line("alice", "create") },
    { seq: 2, ...line("alice", "create"), phase: "done", id: "id-1" },
  ]);
  await registry.fenced("alice", token, [
    statements.putResource({ ...row("alice"), state: "deleting", id: undefined, fork: undefined }),
    statements.dropResource("alice", "database"),
    statements.putEnvironment({ ...whole, status: "deleting", expiresAt: undefined }),
  ]);
  const { id: _id, fork: _fork, ...rest } = row("alice");
  equal(await other.resources("alice"), [{ ...rest, state: "deleting" }]);
  const { expiresAt: _expiresAt, ...kept } = whole;
  equal(await other.environment("alice"), { ...kept, status: "deleting" });
  await registry.fenced("alice", token, [statements.dropEnvironment("alice")]);
  equal(await other.environments(), []);
});

test("environments and resources are sorted by name, numbers as numbers", async (open) => {
  const registry = await open();
  const names = ["pr-9", "pr-10", "pr-100", "alice", "pr-2"];
  const token = await held(registry, "pr-2");
  const expiresAt = "2026-01-01T00:00:00.000Z";
  const keys = ["storage.part-10", "storage.part-2"];
  const parts = ["part-10", "part-2"].map((name) =>
    statements.putResource(row("pr-2", { key: `storage.${name}`, name, title: `shop-${name}-bucket-pr-2` }))
  );
  const environments = names.map((name) => statements.putEnvironment({ ...environment(name), expiresAt }));
  await registry.fenced("pr-2", token, [...environments, ...parts]);
  const sorted = ["alice", "pr-2", "pr-9", "pr-10", "pr-100"];
  equal((await registry.environments()).map(({ name }) => name), sorted);
  equal((await registry.expired("2026-02-01T00:00:00.000Z")).map(({ name }) => name), sorted);
  equal((await registry.resources("pr-2")).map(({ key }) => key), keys.toReversed());
});

test("fenced() writes all or nothing, and nothing once the lock is another's", async (open) => {
  const [one, two] = [await open(), await open()];
  const token = await held(one, "alice");
  await rejects(
    one.fenced("alice", token, [statements.putEnvironment(environment("alice")), ["INSERT INTO nowhere VALUES (1)"]]),
    /no such table: nowhere/,
  );
  equal(await two.environments(), []);
  const seen = (await two.lock("alice"))!;
  is(await two.acquire("alice", "two#2", "delete", seen), token + 1);
  const error = await failure(one.fenced("alice", token, [statements.putEnvironment(environment("alice"))]));
  is(error.code, "LOCK_LOST");
  ok(error.retryable);
  equal(await two.environments(), []);
  await two.fenced("alice", token + 1, [statements.putEnvironment(environment("alice"))]);
  is((await one.environments()).length, 1);
  await two.release("alice", token + 1);
  is((await failure(two.fenced("alice", token + 1, [statements.dropEnvironment("alice")]))).code, "LOCK_LOST");
  is((await one.environments()).length, 1, "a write that comes after its own release is refused");
});

test("acquire(), beat() and release() keep one holder, and its token grows", async (open) => {
  const [one, two] = [await open(), await open()];
  is(await one.acquire("alice", "one#1", "create"), 1);
  const seen = await two.acquire("alice", "two#2", "delete");
  equal(seen, { env: "alice", owner: "one#1", purpose: "create", token: 1, beat: 0 });
  ok(await one.beat("alice", 1));
  const later = await two.acquire("alice", "two#2", "delete", seen as never);
  equal(later, { ...seen as object, beat: 1 }, "it beat since then: no takeover");
  is(await two.acquire("alice", "two#2", "delete", later as never), 2);
  is(await one.beat("alice", 1), false);
  await one.release("alice", 1); // a late release of a lost lock frees nothing
  equal((await one.lock("alice"))?.owner, "two#2");
  await two.release("alice", 2);
  is(await two.lock("alice"), undefined);
  is(await two.beat("alice", 2), false);
  is(await one.acquire("alice", "one#3", "create"), 3);
  is(await one.acquire("bob", "one#3", "create"), 1, "environments do not share a lock");
});

test("write transactions of several clients at once are all kept", async (open) => {
  const clients = await Promise.all([open(), open(), open()]);
  const tokens = await Promise.all(clients.map((client, at) => held(client, `env-${at}`)));
  const writes = clients.flatMap((client, at) =>
    Array.from({ length: 10 }, (_, step) =>
      client.fenced(`env-${at}`, tokens[at], [
        statements.putEnvironment(environment(`env-${at}`, { operation: `${step}` })),
        statements.journal(line(`env-${at}`, `${step}`)),
      ]))
  );
  await Promise.all(writes);
  const journals = await Promise.all(clients.map((client, at) => client.journal(`env-${at}`)));
  equal(journals.map((lines) => lines.length), [10, 10, 10]);
  is(new Set(journals.flat().map(({ seq }) => seq)).size, 30);
  const got = await Promise.all(clients.map((client, at) => client.acquire("shared", `one#${at}`, "create")));
  equal(got.filter((one) => typeof one === "number"), [1], "one of them has the lock");
});

test("expired(), knowsOperation() and touch() tell what was written", async (open) => {
  const registry = await open();
  for (
    const [name, expiresAt] of [["early", "2026-05-01T11:59:59.999Z"], ["now", AT], [
      "late",
      "2026-05-01T12:00:00.001Z",
    ]]
  ) {
    const token = await held(registry, name);
    await registry.fenced(name, token, [statements.putEnvironment(environment(name, { expiresAt }))]);
  }
  const token = await held(registry, "forever");
  await registry.fenced("forever", token, [
    statements.putEnvironment(environment("forever")),
    statements.journal(line("forever", "create")),
  ]);
  equal((await registry.expired(AT)).map(({ name }) => name), ["early", "now"]);
  is(await registry.knowsOperation("run-of-forever"), true);
  is(await registry.knowsOperation("run-of-early"), false);
  await registry.touch("forever", AT);
  is((await registry.environment("forever"))?.usedAt, AT);
  await registry.touch("nobody", AT);
  is((await registry.environments()).length, 4);
});

test("open() makes the schema once for openers that come at once", async (open, sql) => {
  const registries = await Promise.all(Array.from({ length: 8 }, open));
  const token = await held(registries[0], "alice");
  await registries[0].fenced("alice", token, [statements.putEnvironment(environment("alice"))]);
  for (const registry of registries) is((await registry.environments()).length, 1);
  const meta = await (await sql()).read(["SELECT key, value FROM meta ORDER BY key"]);
  equal(meta, [{ key: "id", value: registries[0].id }, { key: "project", value: "shop" }, {
    key: "version",
    value: "4",
  }]);
});

test(
  "open() refuses a newer schema, another project's registry and another application's database",
  async (open, sql) => {
    await open();
    const client = await sql();
    await client.write([["UPDATE meta SET value = '5' WHERE key = 'version'"]]);
    is((await failure(open())).code, "REGISTRY_NEWER");
    await client.write([["UPDATE meta SET value = '4' WHERE key = 'version'"]]);
    await client.write([["UPDATE meta SET value = 'other' WHERE key = 'project'"]]);
    const error = await failure(open());
    is(error.code, "REGISTRY_FOREIGN");
    match(error.message, /"other", not "shop"/);
  },
);

test(
  "open() brings a registry of version 1 up to date, with two at once, and keeps what it holds",
  async (open, sql) => {
    const [first] = [await open()];
    const token = await held(first, "alice");
    await first.fenced("alice", token, [statements.putEnvironment(environment("alice"))]);
    const client = await sql();
    await client.write([
      ["ALTER TABLE environments DROP COLUMN origin"],
      ["DROP TABLE checkouts"],
      ["UPDATE meta SET value = '1' WHERE key = 'version'"],
    ]);
    const [one, two] = await Promise.all([open(), open()]);
    for (const registry of [one, two]) equal(await registry.environment("alice"), environment("alice"));
    await one.fenced("alice", token, [statements.putEnvironment(environment("bob", { origin: "empty" }))]);
    is((await two.environment("bob"))?.origin, "empty");
    equal(await two.checkouts(), []);
  },
);

test("open() adds nothing to another application's database", async (open, sql) => {
  const client = await sql();
  await client.write([["CREATE TABLE customers (id INTEGER)"]]);
  is((await failure(open())).code, "REGISTRY_FOREIGN");
  equal(await client.read(["SELECT name FROM sqlite_schema"]), [{ name: "customers" }]);
});

// ---- what a server adds: replies that are lost, tokens, networks

async function withServer(run: (server: HranaServer, registry: Registry) => Promise<void>): Promise<void> {
  const server = await startHrana({ path: ":memory:", authToken: TOKEN });
  try {
    const registry = await Registry.open(await openServer(server.url, TOKEN), PROJECT);
    await run(server, registry);
    registry.close();
  } finally {
    await server.close();
  }
}

/** Breaks the next requests one by one as listed, then no more. */
function intercepted(server: HranaServer, orders: ("drop-before" | "drop-after" | number | undefined)[]): void {
  server.intercept = () => orders.shift();
}

for (const order of ["drop-before", "drop-after", 503] as const) {
  Deno.test(`a registry write whose reply is ${order === 503 ? "503" : `broken by ${order}`} is done once`, async () => {
    await withServer(async (server, registry) => {
      intercepted(server, [order]);
      const token = await held(registry, "alice"); // it recognises the lock as its own
      is(token, 1);
      intercepted(server, [order]);
      ok(await registry.beat("alice", token));
      intercepted(server, [order, order]); // twice in a row
      await registry.fenced("alice", token, [
        statements.putEnvironment(environment("alice")),
        statements.journal(line("alice", "create")),
      ]);
      is((await registry.journal("alice")).length, 1);
      is((await registry.environments()).length, 1);
      intercepted(server, [order]);
      await registry.touch("alice", AT);
      intercepted(server, [order]);
      await registry.release("alice", token);
      is(await registry.lock("alice"), undefined);
      is(await held(registry, "alice"), token + 1);
    });
  });
}

for (const verb of ["BEGIN", "COMMIT"] as const) {
  for (const code of ["SQLITE_BUSY", "BLOCKED", "TRANSACTION_TIMEOUT", "SQLITE_BUSY_SNAPSHOT"]) {
    Deno.test(`a ${verb} that the server refuses as ${code} is repeated, and told as that if it stays so`, async () => {
      let refusals = 0;
      const refuse = (asked: string) => asked === verb && refusals-- > 0 ? code : undefined;
      const server = await startHrana({ path: ":memory:", authToken: TOKEN, refuse });
      const registry = await Registry.open(await openServer(server.url, TOKEN), PROJECT);
      try {
        refusals = 2;
        const token = await held(registry, "alice");
        refusals = 3;
        await registry.fenced("alice", token, [statements.putEnvironment(environment("alice"))]);
        is((await registry.environments()).length, 1);
        refusals = Infinity;
        const work = () => registry.fenced("alice", token, [statements.putEnvironment(environment("bob"))]);
        const error = await work().then(() => undefined, (error) => error);
        equal([error.code, error.retryable], ["NOT_READY", true]);
        match(error.message, new RegExp(`refuses the transaction \\(${code}\\)`));
        ok(!/no answer|network/.test(`${error.message} ${error.hint}`));
        refusals = 0;
        is((await registry.environments()).length, 1);
      } finally {
        registry.close();
        await server.close();
      }
    });
  }
}

Deno.test("a takeover whose reply is lost is recognised as our own", async () => {
  await withServer(async (server, registry) => {
    await held(registry, "alice", "dead#0");
    const seen = await registry.acquire("alice", "us#1", "create");
    intercepted(server, ["drop-after"]);
    is(await registry.acquire("alice", "us#1", "create", seen as never), 2);
  });
});

Deno.test("a repetition that arrives after a later write changes nothing", async () => {
  await withServer(async (server, registry) => {
    const token = await held(registry, "alice");
    let repeat: Request | undefined;
    server.intercept = (request) => void (repeat ??= request);
    await registry.fenced("alice", token, [statements.putResource(row("alice", { state: "creating" }))]);
    server.intercept = undefined;
    await registry.fenced("alice", token, [statements.putResource(row("alice"))]);
    const late = await fetch(new URL(new URL(repeat!.url).pathname, server.url), {
      method: "POST",
      headers: repeat!.headers,
      body: await repeat!.text(),
    });
    match(await late.text(), /UNIQUE constraint failed: fence\.id/);
    is((await registry.resources("alice"))[0].state, "ready");
  });
});

Deno.test("what fetch sends again by itself, when a reused connection breaks, is done once", async () => {
  const handler = hranaHandler({ path: ":memory:" });
  let breaks = 0;
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const { method = "GET", url = "/" } = incoming;
    const body = method === "GET" ? undefined : new Blob(chunks as Uint8Array<ArrayBuffer>[]);
    const response = await handler.handle(new Request(new URL(url, "http://127.0.0.1"), { method, body }));
    const text = await response.text();
    if (breaks > 0 && breaks-- > 0) return void incoming.socket.destroy(); // it acted
    outgoing.writeHead(response.status, Object.fromEntries(response.headers)).end(text); // and keeps the connection
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const registry = await Registry.open(await openServer(url, undefined), PROJECT);
    const token = await held(registry, "alice");
    for (const step of ["a", "b", "c"]) {
      breaks = 1;
      await registry.fenced("alice", token, [statements.journal(line("alice", step))]);
    }
    equal((await registry.journal("alice")).map(({ step }) => step), ["a", "b", "c"]);
    registry.close();
  } finally {
    const stopped = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await stopped;
    await handler.close();
  }
});

Deno.test("a server that can't be reached is not taken for one that refuses the token", async () => {
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as AddressInfo;
  await new Promise((resolve) => listener.close(resolve)); // nobody listens there now
  for (const path of ["", "/401", "/auth"]) {
    const url = `http://127.0.0.1:${port}${path}`;
    const error = await failure(openServer(url, TOKEN).then((sql) => Registry.open(sql, PROJECT)));
    is(error.code, "REGISTRY_UNREACHABLE", path);
    ok(error.retryable);
    ok(!Deno.inspect(error).includes(TOKEN), "the token is shown");
  }
});

// ---- the command line

function runWith(place: Place, env: Record<string, string>, within: string[], ...args: string[]): Promise<Ended> {
  return runCommand(place.root, [...within, ...commandOf(args, "--allow-net=127.0.0.1")], { env });
}

Deno.test("a team's registry on a server: the right token works, a wrong one ends with 3, no server with 6", async () => {
  const server = await startHrana({ path: ":memory:", authToken: TOKEN });
  let isOpen = true;
  await using place = await Place.make({ registry: { url: server.url } });
  const run = (token: string, ...args: string[]) => runWith(place, { FORKSTACK_REGISTRY_TOKEN: token }, [], ...args);
  try {
    const made = await run(TOKEN, "new", "alice");
    is(made.code, 0, made.stderr);
    const wrong = await run("wrong", "list", "--json");
    is(wrong.code, 3, wrong.stderr);
    is(JSON.parse(wrong.stdout).error.code, "CREDENTIALS_REJECTED");
    match(JSON.parse(wrong.stdout).error.hint, /FORKSTACK_REGISTRY_TOKEN/);

    await server.close();
    isOpen = false;
    const list = await run(TOKEN, "list", "--json");
    is(list.code, 6, list.stderr);
    is(JSON.parse(list.stdout).error.code, "REGISTRY_UNREACHABLE");
    const status = await run(TOKEN, "status", "--json");
    is(status.code, 0, status.stderr);
    match(status.stderr, /Cannot reach the registry .*Shown is what this machine's files say/);
    const { data } = JSON.parse(status.stdout);
    equal(data.environment, { name: "alice", status: "unknown", current: true });
    ok(data.variables.includes("DATABASE_URL"));
    equal(data.resources.map((one: { title: string; state: string }) => `${one.title} ${one.state}`), [
      "shop-alice unknown",
      "shop.alice.db unknown",
      "alice unknown",
      "shop-bucket-alice unknown",
    ]);
    const bob = await run(TOKEN, "status", "bob");
    is(bob.code, 6, "of bob no file of this machine tells");
    // Without the network allowed, too.
    const denied = await runCommand(place.root, commandOf(["status"]));
    is(denied.code, 0, denied.stderr);
    match(denied.stdout, /^alice {2}unknown, current/);

    const stack = openStack({ cwd: place.root, read: () => undefined });
    is(stack.current(), "alice");
    is(stack.of("storage", "BUCKET_NAME"), "shop-bucket-alice");
  } finally {
    if (isOpen) await server.close();
  }
});

Deno.test("switch on another machine asks the providers for the variables", async () => {
  const server = await startHrana({ path: ":memory:" });
  const vendor = new Vendor();
  const open = () => openServer(server.url, undefined).then((sql) => Registry.open(sql, PROJECT));
  const [one, two] = [await open(), await open()];
  try {
    await using here = await bench({ vendor, registry: one });
    await using there = await bench({ vendor, registry: two });
    await createEnvironment(here.engine, "alice", {});
    const before = vendor.calls.filter((call) => call.startsWith("outputs")).length;
    const result = await switchEnvironment(there.engine, "alice");
    is(vendor.calls.filter((call) => call.startsWith("outputs")).length, before + 2);
    equal(result.resources.map(({ id }) => id), ["id-1", "id-2"]);
    const read = (root: string) => parseEnvFile(readFileSync(join(root, ".env.local"), "utf8"));
    const [mine, yours] = [read(here.root), read(there.root)];
    is(yours.FORKSTACK_ENV, "alice");
    match(yours.DATABASE_URL, /^fake:\/\/shop-alice\//);
    ok(yours.DATABASE_URL !== mine.DATABASE_URL, "minted for this machine");
    is(readFileSync(join(there.root, ".current-env"), "utf8"), "alice\n");
  } finally {
    one.close();
    two.close();
    await server.close();
  }
});

// ---- the local file, damaged

async function withRegistryFile(
  prepare: (path: string) => void,
  expect: (ended: Ended, place: Place) => void,
): Promise<void> {
  await using place = await Place.make();
  mkdirSync(place.path(".forkstack"));
  prepare(place.path(".forkstack", "registry.db"));
  // Root may write whatever the mode says, until it gives that up.
  const within = WHY_ROOT === undefined ? WITHOUT_RIGHTS : [];
  const ended = await runCommand(place.root, [...within, ...commandOf(["new", "alice", "--json"])]);
  expect(ended, place);
}

const errorOf = ({ stdout }: Ended) => JSON.parse(stdout).error;

Deno.test("a registry that is not SQLite is REGISTRY_DAMAGED, and left as it is", async () => {
  const text = "this is not a database, but long enough to be one ".repeat(100);
  await withRegistryFile((path) => writeFileSync(path, text), (ended, place) => {
    is(ended.code, 5, ended.stdout);
    is(errorOf(ended).code, "REGISTRY_DAMAGED");
    match(errorOf(ended).hint, /doctor --rebuild/);
    is(readFileSync(place.path(".forkstack", "registry.db"), "utf8"), text);
  });
});

Deno.test("a registry of a newer forkstack ends with 5", async () => {
  await withRegistryFile((path) => {
    const database = new DatabaseSync(path);
    database.exec("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT); INSERT INTO meta VALUES ('version', '99')");
    database.close();
  }, (ended) => {
    is(ended.code, 5, ended.stdout);
    is(errorOf(ended).code, "REGISTRY_NEWER");
  });
});

Deno.test("a registry that can't be written is NOT_PERMITTED", async () => {
  await withRegistryFile((path) => {
    new DatabaseSync(path).close();
    writeFileSync(path, "");
    chmodSync(path, 0o444);
  }, (ended) => {
    is(ended.code, 2, ended.stdout);
    is(errorOf(ended).code, "NOT_PERMITTED");
  });
});

testIf(WHY_ROOT, "a directory that can't be written is NOT_PERMITTED", async () => {
  await withRegistryFile((path) => chmodSync(join(path, ".."), 0o555), (ended) => {
    is(ended.code, 2, ended.stdout);
    is(errorOf(ended).code, "NOT_PERMITTED");
  });
});

Deno.test("openRegistry() with nothing there leaves nothing there, unless it is to begin one", async () => {
  using directory = temporaryDirectory();
  const project = {
    ...PROJECT,
    root: directory.path,
    stateRoot: directory.path,
    stack: "shop",
    config: PROJECT,
    isNew: false,
  };
  const empty = await openRegistry({ ...project, config: { project: "shop" } }, "empty");
  equal(await empty.environments(), []);
  empty.close();
  equal([...Deno.readDirSync(directory.path)], []);
  const begun = await openRegistry({ ...project, config: { project: "shop" } }, "create");
  begun.close();
  is(readFileSync(join(directory.path, ".forkstack", ".gitignore"), "utf8"), "*\n");
  is(Deno.statSync(join(directory.path, ".forkstack", "registry.db")).mode! & 0o777, 0o600);
});

Deno.test("a registry's log stays short, so that each command that opens it has little to read again", async () => {
  for (const survives of ["power loss", "process crash"] as const) {
    using directory = temporaryDirectory();
    const path = join(directory.path, "registry.db");
    const registry = await Registry.open(await openFile(path, { survives }), PROJECT);
    for (let at = 0; at < 400; at++) await registry.adopt(at.toString(16).padStart(16, "0"), "alice");
    const { size } = statSync(`${path}-wal`);
    is(size < 200 * 4_120, true, `${size} bytes`);
    const reader = await Registry.open(await openFile(path, { readOnly: true }), PROJECT);
    is(reader.owns({ registry: (399).toString(16).padStart(16, "0"), env: "alice" }), true);
    reader.close();
    registry.close();
  }
});
