import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { environmentOf, lockOf, resourceOf } from "../../../core/state/rows.ts";
import { quoted, shown } from "../../../core/text/printable.ts";
import { Place } from "../../cli/run.ts";
import { isEnvName, isInstant } from "../../../core/text/field_checks.ts";

const AT = "2026-05-01T12:00:00.000Z";
const ENVIRONMENT = {
  ...{ name: "alice", parent: "dev", status: "ready", owner: "a@b", operation: "op-1", created_at: AT },
  ...{ expires_at: null, used_at: null, origin: null },
};
const RESOURCE = {
  ...{ env: "alice", key: "storage.uploads", kind: "storage", name: "uploads", provider: "s3", state: "ready" },
  ...{ title: "shop-uploads-bucket-alice", operation: "op-1", id: "i", parent_id: null, fork: "empty", created_at: AT },
  options: "{}",
};

Deno.test("a row of forkstack's own passes, and each column of a stranger's is refused by its name", () => {
  assert.equal(environmentOf(ENVIRONMENT).name, "alice");
  assert.equal(resourceOf(RESOURCE, "shop").title, "shop-uploads-bucket-alice");
  const refused: readonly [string, Record<string, unknown>][] = [
    ["name", { name: "prod" }],
    ["name", { name: "production" }],
    ["name", { name: "__proto__" }],
    ["parent", { parent: "../dev" }],
    ["status", { status: "READY" }],
    ["owner", { owner: "a\u202eb" }],
    ["operation", { operation: "a b" }],
    ["created_at", { created_at: "2020-13-45T99:99:99Z" }],
    ["expires_at", { expires_at: 0 }],
    ["origin", { origin: "0/XYZ" }],
    ["env", { env: "dev" }],
    ["kind", { kind: "constructor" }],
    ["name", { name: "Up Loads" }],
    ["key", { key: "storage" }],
    ["provider", { provider: "./mine.ts" }],
    ["title", { title: "shop-bucket-alice" }],
    ["title", { title: "shop-uploads-bucket-bob" }],
    ["state", { state: "undoing" }],
    ["id", { id: "x".repeat(2_000) }],
    ["id", { id: new Uint8Array([1]) }],
    ["fork", { fork: "copy" }],
    ["options", { options: "[]" }],
    ["options", { options: '{"a":' }],
  ];
  for (const [column, changed] of refused) {
    const isResource = Object.keys(changed).some((key) => !(key in ENVIRONMENT)) || changed.name === "Up Loads";
    const work = () =>
      isResource
        ? resourceOf({ ...RESOURCE, ...changed } as typeof RESOURCE, "shop")
        : environmentOf({ ...ENVIRONMENT, ...changed } as typeof ENVIRONMENT);
    assert.throws(work, (error: Error & { code: string }) => {
      assert.equal(error.code, "REGISTRY_DAMAGED");
      assert.match(error.message, new RegExp(`its "${column}"`));
      assert.equal(error.message, shown(error.message));
      return true;
    });
  }
  assert.throws(() => environmentOf({ ...ENVIRONMENT, parent: "alice" }), { code: "REGISTRY_DAMAGED" });
});

Deno.test("a lock's holder names no file but a sign", () => {
  const lock = { env: "alice", owner: "a@b#0f1e2d3c", purpose: "create", token: 1, beat: 0 };
  assert.deepEqual(lockOf(lock), lock);
  for (const owner of ["a@b", "x#../../victim", "x#/etc/passwd", "x#a\n", "x#a/b", "x#", "#.."]) {
    assert.throws(() => lockOf({ ...lock, owner }), { code: "REGISTRY_DAMAGED" });
  }
  assert.throws(() => lockOf({ ...lock, token: 1.5 }), { code: "REGISTRY_DAMAGED" });
});

Deno.test("names, instants and what is shown of others' text", () => {
  for (const name of ["constructor", "a", "0-0"]) assert(isEnvName(name));
  for (const name of ["development", "-a", "a".repeat(64), "a\n", 1, null]) assert(!isEnvName(name));
  for (const at of [AT, "2026-05-01T12:00:00Z", "2026-05-01T12:00:00+02:00"]) assert(isInstant(at));
  for (const at of ["2026-05-01", "now", "+275760-09-13T00:00:00.001Z", 5, `${AT}\n`]) assert(!isInstant(at));
  assert.equal(shown("a\x1b[2J\n\u202e\u{e0001}ü日"), "a\\u{1b}[2J\\n\\u{202e}\\u{e0001}ü日");
  assert.equal(quoted("a".repeat(100)).length, 62);
});

Deno.test("one damaged row leaves the others usable, and doctor --rebuild is the way out", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  await place.ok("new", "bob", "--no-switch");
  const change = (sql: string) => {
    using database = new DatabaseSync(place.path(".forkstack/registry.db"));
    database.exec(sql);
  };
  change("UPDATE environments SET status = '\x1b[2J' WHERE name = 'bob'");
  change("UPDATE resources SET title = '../victim' WHERE env = 'alice' AND kind = 'database'");
  const list = await place.json("list");
  assert.deepEqual([list.code, list.ok, list.error.code], [5, false, "REGISTRY_DAMAGED"]);
  assert.deepEqual(list.data.environments.map(({ name }: { name: string }) => name), ["alice"]);
  for (const args of [["status", "alice"], ["switch", "bob"], ["delete", "alice", "--yes"], ["new", "bob"]]) {
    const { code, stderr } = await place.run(...args);
    assert.deepEqual([code, /hint: .*doctor --rebuild/.test(stderr)], [5, true], `${args.join(" ")}: ${stderr}`);
  }
  const before = await stat(place.path(".forkstack/sqlite/shop-alice.db"));
  const fix = await place.run("doctor", "--fix", "--yes");
  assert.match(fix.stdout, /damaged: .*"title" is "\.\.\/victim"/);
  assert.doesNotMatch(fix.stdout, /doctor --fix/, "it mends nothing before the rows are settled");
  await place.run("doctor", "--rebuild", "--yes");
  const after = await place.json("list");
  assert.deepEqual([
    after.code,
    after.data.environments.map(({ name, status }: { name: string; status: string }) => `${name} ${status}`),
  ], [
    0,
    ["alice ready", "bob ready"],
  ]);
  assert.equal((await stat(place.path(".forkstack/sqlite/shop-alice.db"))).ino, before.ino, "nothing was made anew");
  await place.ok("delete", "alice", "--yes");
  await place.ok("delete", "bob", "--yes");
});

Deno.test("options of an older version do nothing; a value that the provider refuses is told, with the way out", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice", "--no-switch");
  const change = (options: string) => {
    using database = new DatabaseSync(place.path(".forkstack/registry.db"));
    database.prepare("UPDATE resources SET options = ? WHERE kind = 'storage'").run(options);
  };
  change('{"port": "seven"}');
  const { code, stderr } = await place.run("delete", "alice", "--yes");
  assert.equal(code, 7);
  assert.match(stderr, /storage.*its row in the registry is damaged: option "port"/);
  change('{"acceleration": true}');
  await place.ok("delete", "alice", "--yes");
});
