/** Damage to a parent that a few pages tell: an error before the copy, and the parent stays as it is. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import provider from "../../providers/database/sqlite.ts";
import { damageIn, openPages } from "../../providers/database/sqlite_pages.ts";
import { temporaryDirectory, treeOf } from "../helpers.ts";
import { hasCode, Place } from "./_special.ts";

const PAGE = 4_096;

/** A database of 4 KiB pages: a table and its index, one without row ids, and a free list of several trunks. */
function seed(path: string): void {
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA page_size = ${PAGE}; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; BEGIN;
    CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); CREATE INDEX by_name ON users (name);
    CREATE TABLE words (word TEXT PRIMARY KEY) WITHOUT ROWID; CREATE VIEW names AS SELECT name FROM users;
    CREATE TABLE old (data BLOB); INSERT INTO old VALUES (zeroblob(${PAGE * 2_500}))`);
  const insert = database.prepare("INSERT INTO users (name) VALUES (?)");
  for (let n = 0; n < 3_000; n++) insert.run(`${n} `.repeat(30));
  database.exec("INSERT INTO words SELECT name FROM users; DROP TABLE old; COMMIT");
  database.close();
}

function rootOf(path: string, name: string): number {
  const database = new DatabaseSync(path);
  const { rootpage } = database.prepare("SELECT rootpage FROM sqlite_schema WHERE name = ?").get(name)!;
  database.close();
  return rootpage as number;
}

function patch(path: string, at: number, bytes: Uint8Array): void {
  const file = fs.openSync(path, "r+");
  fs.writeSync(file, bytes, 0, bytes.length, at);
  fs.closeSync(file);
}

const uint32 = (value: number) => new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
const uint16 = (value: number) => new Uint8Array([value >>> 8, value]);
const read32 = (path: string, at: number) => fs.readFileSync(path).readUInt32BE(at);
const inPage = (page: number, offset: number) => (page - 1) * PAGE + offset;

/** Damages a parent; the error must say this. */
const DAMAGES: Readonly<Record<string, readonly [(path: string) => void, RegExp]>> = {
  "it was cut off": [(path) => fs.truncateSync(path, fs.statSync(path).size / 2), /malformed|should have/],
  "its last bytes are missing": [(path) => fs.truncateSync(path, fs.statSync(path).size - 1), /malformed|should have/],
  "it was cut off by a program that keeps no count": [(path) => {
    patch(path, 92, uint32(0));
    fs.truncateSync(path, PAGE * 200);
  }, /free list (leads to|has) page \d+ of 200|root of .* is page \d+ of 200/],
  "only its header is left": [(path) => fs.truncateSync(path, 100), /not a database|malformed/],
  "its header was overwritten": [(path) => patch(path, 0, new Uint8Array(100)), /not a database/],
  "it is encrypted": [(path) => {
    const bytes = fs.readFileSync(path);
    for (let at = 0; at < bytes.length; at++) bytes[at]! ^= (at * 131 + 7) & 255;
    fs.writeFileSync(path, bytes);
  }, /not a database.*encrypted/s],
  "its page size is another": [(path) => patch(path, 16, uint16(1_024)), /malformed|damaged/],
  "its page size is larger than it is": [(path) => patch(path, 16, uint16(1)), /malformed|damaged/],
  "its page size is none": [(path) => patch(path, 16, uint16(1_000)), /not a database/],
  "its schema is of zeros": [(path) => patch(path, 100, new Uint8Array(PAGE - 100)), /malformed/],
  "a table's root is of zeros": [
    (path) => patch(path, inPage(rootOf(path, "users"), 0), new Uint8Array(PAGE)),
    /root of table "users" is page \d+, which is no page of a tree/,
  ],
  "an index's root is of zeros": [
    (path) => patch(path, inPage(rootOf(path, "by_name"), 0), new Uint8Array(PAGE)),
    /root of index "by_name" is page \d+, which is no page of a tree/,
  ],
  "an index's root is a table's page": [
    (path) => patch(path, inPage(rootOf(path, "by_name"), 0), new Uint8Array([13])),
    /root of index "by_name"/,
  ],
  "a table without row ids has a root of text": [
    (path) => patch(path, inPage(rootOf(path, "words"), 0), new TextEncoder().encode("not a page")),
    /root of table "words"/,
  ],
  "its free list loops": [(path) => {
    const first = read32(path, 32);
    patch(path, inPage(first, 0), uint32(first));
  }, /free list leads back to page|free list has \d+ or more pages/],
  "its free list loops later": [(path) => {
    const first = read32(path, 32);
    const second = read32(path, inPage(first, 0));
    assert(second !== 0, "there must be two trunks");
    patch(path, inPage(second, 0), uint32(first));
    patch(path, 36, uint32(1_000_000));
  }, /free list leads back to page|malformed/],
  "its free list leads out of it": [(path) => patch(path, 32, uint32(1_000_000)), /free list leads to page 1000000/],
  "its free list names page 1": [
    (path) => patch(path, inPage(read32(path, 32), 8), uint32(1)),
    /free list has page 1 of/,
  ],
  "its free list has too many entries": [
    (path) => patch(path, inPage(read32(path, 32), 4), uint32(5_000)),
    /free list has a page \d+ with 5000 entries/,
  ],
  "its free list is shorter than it says": [
    (path) => patch(path, 36, uint32(read32(path, 36) + 3)),
    /free list has \d+ pages, not \d+/,
  ],
  "it is a picture": [
    (path) => fs.writeFileSync(path, new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10, ...new Array(5_000).fill(9)])),
    /not a database/,
  ],
  "its log is there, but not it": [(path) => {
    fs.writeFileSync(`${path}-wal`, new Uint8Array(5_000));
    fs.rmSync(path);
  }, /it is missing, but its log .*-wal" is not/],
  "its log is there, and it is empty": [(path) => {
    fs.writeFileSync(`${path}-wal`, new Uint8Array(5_000));
    fs.writeFileSync(path, "");
  }, /it is empty, but its log .*-wal" is not/],
};

for (const [what, [damage, says]] of Object.entries(DAMAGES)) {
  Deno.test(`sqlite: a parent is told as damaged before it is copied: ${what}`, async () => {
    using directory = temporaryDirectory();
    const place = new Place(provider, directory.path);
    const parent = place.pathOf("dev");
    fs.mkdirSync(dirname(parent), { recursive: true });
    seed(parent);
    damage(parent);
    const earlier = treeOf(place.root);
    await assert.rejects(place.create(), (error: Error & { hint?: string }) => {
      hasCode("PARENT_UNUSABLE")(error);
      assert.match(`${error.message}\n${error.hint}`, says);
      assert(error.hint);
      return true;
    });
    await place.undo();
    for (const [path, digest] of earlier) assert.equal(treeOf(place.root).get(path), digest, path);
    const beside = fs.readdirSync(dirname(parent)).filter((name) => !name.startsWith("myapp-dev.db"));
    assert.deepEqual(beside, [], "nothing is left of the fork");
  });
}

for (const mode of ["WAL", "DELETE", "PERSIST"]) {
  Deno.test(`sqlite: no sound parent is told as damaged, journal mode ${mode}`, async () => {
    using directory = temporaryDirectory();
    const place = new Place(provider, directory.path);
    const parent = place.pathOf("dev");
    for (const [at, pageBytes] of [512, 4_096, 65_536].entries()) {
      fs.rmSync(parent, { force: true });
      const database = new DatabaseSync(parent);
      database.exec(`PRAGMA page_size = ${pageBytes}; PRAGMA auto_vacuum = ${at}; PRAGMA journal_mode = ${mode};
        CREATE TABLE t (x); CREATE TABLE gone (x); CREATE TABLE w (x PRIMARY KEY) WITHOUT ROWID;
        CREATE VIRTUAL TABLE texts USING fts5 (body); INSERT INTO texts VALUES ('some words');
        INSERT INTO t VALUES (zeroblob(200000)); INSERT INTO gone VALUES (zeroblob(300000)); CREATE INDEX i ON t (x);
        DELETE FROM t; DROP TABLE gone; INSERT INTO w VALUES ('a')`);
      await place.create(`open-${at}`);
      database.close();
      await place.create(`closed-${at}`);
      for (const env of [`open-${at}`, `closed-${at}`]) {
        const copy = new DatabaseSync(place.pathOf(env));
        assert.deepEqual(copy.prepare("PRAGMA integrity_check").all().map((row) => row.integrity_check), ["ok"]);
        copy.close();
      }
    }
    assert(fs.existsSync(join(dirname(parent), "myapp-closed-2.db")));
  });
}

Deno.test("damageIn() tells a root outside of the file, and one that two have", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "a.db");
  seed(path);
  using pages = await openPages(path);
  const sound = ["users", "words"].map((name) => ({ type: "table", name, rootpage: rootOf(path, name) }));
  assert.equal(damageIn(pages, sound), undefined);
  for (const rootpage of [0, 1, 999_999, -3]) {
    const damage = damageIn(pages, [...sound, { type: "index", name: "i", rootpage }]);
    assert.match(damage!, new RegExp(`^the root of index "i" is page ${rootpage} of \\d+$`));
  }
  const twice = { type: "table", name: "other", rootpage: sound[1]!.rootpage };
  assert.match(
    damageIn(pages, [...sound, twice])!,
    /^the root of table "other" is page \d+, and so is that of "words"$/,
  );
});
