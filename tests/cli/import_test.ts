/**
 * `import`: existing data becomes dev's, all of it or none; what is there stays unless --replace.
 */
import assert from "node:assert/strict";
import { mkdir, symlink } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { Place, run } from "./run.ts";

const DEV = ".forkstack/sqlite/shop-dev.db";

function titles(path: string): unknown[] {
  using database = new DatabaseSync(path, { readOnly: true });
  return database.prepare("SELECT title FROM posts ORDER BY title").all().map(({ title }) => title);
}

/** Makes a database with posts, and gives it back open. */
function withPosts(path: string, ...titles: string[]): DatabaseSync {
  const database = new DatabaseSync(path);
  database.exec("CREATE TABLE posts (title TEXT)");
  for (const title of titles) database.prepare("INSERT INTO posts VALUES (?)").run(title);
  return database;
}

/** The files of a directory but for the state that every command keeps. */
const dataOf = (place: Place) =>
  place.digest(/^\.forkstack\/(registry|locks|checked|envs|owners|\.gitignore)|^\.current-env|^\.env/);

Deno.test("import copies a SQLite file that is in use, its log included, changes nothing of it, and new forks it", async () => {
  await using place = await Place.make({ database: { provider: "sqlite" } });
  await mkdir(place.path("my data"));
  using source = withPosts(place.path("my data/it's 100%.db"), "a");
  source.exec(
    "PRAGMA journal_mode = WAL; INSERT INTO posts VALUES ('in the log'); BEGIN; INSERT INTO posts VALUES ('not yet')",
  );
  const before = await place.digest(/^\.forkstack|-shm /);
  const given = ["my data/it's 100%.db", place.path("my data/it's 100%.db"), "file:my data/it's 100%.db"];
  given.push(pathToFileURL(place.path("my data/it's 100%.db")).href);
  for (const text of given) {
    await place.ok("import", "dev", text, "--replace", "--yes");
    assert.deepEqual(titles(place.path(DEV)), ["a", "in the log"], text);
    assert.equal(await place.digest(/^\.forkstack|-shm /), before, text);
  }
  await place.ok("new", "alice", "--no-switch");
  assert.deepEqual(titles(place.path(".forkstack/sqlite/shop-alice.db")), ["a", "in the log"]);
});

Deno.test("import takes the name of a variable that holds the path, and tells where the data came from", async () => {
  await using place = await Place.make({ database: { provider: "sqlite" } });
  withPosts(place.path("old.db"), "a").close();
  const { code, stderr } = await run(place.root, ["import", "dev", "OLD"], { env: { OLD: "./old.db" } });
  assert.equal(code, 0, stderr);
  assert.deepEqual(titles(place.path(DEV)), ["a"]);
  const { data } = await place.json("import", "dev", "old.db", "--replace", "--yes");
  const resources = [{ key: "database", kind: "database", provider: "sqlite", title: "shop-dev" }];
  const { durationMs, ...told } = data;
  assert.equal(typeof durationMs, "number");
  assert.deepEqual(told, { environment: { name: "dev" }, resources, source: place.path("old.db"), replace: true });
});

Deno.test("import takes a SQL dump, with its own transaction or without", async () => {
  const table = "CREATE TABLE posts (title TEXT);\n";
  for (
    const [name, text] of [
      [
        "dump.sql",
        `PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n${table}INSERT INTO posts VALUES('it''s; COMMIT;');\nCOMMIT;\n`,
      ],
      ["lower.SQL", `begin;\n${table}INSERT INTO posts VALUES('it''s; COMMIT;');\ncommit;`],
      ["plain.sql", `${table}INSERT INTO posts VALUES('it''s; COMMIT;');`],
    ]
  ) {
    await using place = await Place.make({ database: { provider: "sqlite" } });
    await place.write(name!, text!);
    await place.ok("import", "dev", name!);
    assert.deepEqual(titles(place.path(DEV)), ["it's; COMMIT;"], name);
  }
});

Deno.test("import keeps what dev holds unless --replace, which asks first; an empty dev needs none", async () => {
  await using place = await Place.make();
  withPosts(place.path("old.db"), "old").close();
  await place.write("uploads/a/b.txt", "b");
  await place.ok("init", "--yes");
  new DatabaseSync(place.path(DEV)).close(); // empty
  for (const [source, resource] of [["old.db", "database"], ["uploads", "storage"], ["uploads", "local"]] as const) {
    await place.ok("import", "dev", source, resource);
    const before = await dataOf(place);
    const { error } = await place.json("import", "dev", source, resource);
    assert.equal(error.code, "CONFLICT");
    assert.match(error.hint, /--replace/);
    const unasked = await place.json("import", "dev", source, resource, "--replace");
    assert.equal(unasked.error.code, "CONFIRM_REQUIRED");
    assert.equal(await dataOf(place), before, resource);
  }
  assert.equal(await place.read(".forkstack/buckets/shop-bucket-dev/a/b.txt"), "b");
  assert.equal(await place.read("shop.dev.db/a/b.txt"), "b");
});

Deno.test("import --replace leaves nothing of the old data, nor of what lay beside it", async () => {
  await using place = await Place.make();
  using held = (await place.ok("init", "--yes"), withPosts(place.path(DEV), "old"));
  held.exec("PRAGMA journal_mode = WAL; INSERT INTO posts VALUES ('old, in the log')");
  await place.write(".forkstack/buckets/shop-bucket-dev/old.txt", "old");
  withPosts(place.path("new.db"), "new").close();
  await place.write("uploads/new.txt", "new");
  await place.ok("import", "dev", "new.db", "--replace", "--yes");
  assert.deepEqual(titles(place.path(DEV)), ["new"]);
  await place.ok("import", "dev", "uploads", "storage", "--replace", "--yes");
  assert.equal(await place.read(".forkstack/buckets/shop-bucket-dev/old.txt"), undefined);
  assert.equal(await place.read(".forkstack/buckets/shop-bucket-dev/new.txt"), "new");
  assert.doesNotMatch(await place.digest(), /\.forkstack-[0-9a-f]{8}/);
});

Deno.test("an import that fails leaves dev as it was, byte for byte, and nothing beside it", async () => {
  await using place = await Place.make();
  await place.ok("init", "--yes");
  withPosts(place.path(DEV), "mine").close();
  await place.write(".forkstack/buckets/shop-bucket-dev/mine.txt", "mine");
  withPosts(place.path("half.db"), "x").close();
  const whole = await Deno.readFile(place.path("half.db"));
  await place.write("half.db", whole.slice(0, 5_000));
  await place.write("text.db", "no database at all, but long enough for a header of one hundred bytes".repeat(4));
  await place.write("wrong.sql", "CREATE TABLE posts (title TEXT); INSERT INTO nowhere VALUES (1);");
  await place.write("attach.sql", `ATTACH '${place.path("out.db")}' AS o; CREATE TABLE o.t (a);`);
  await place.write("out/a.txt", "a");
  await symlink("/etc/hostname", place.path("out/link"));
  await place.write("broken/a.txt", "a");
  await symlink("nowhere", place.path("broken/link"));
  await place.ok("list"); // what a first command writes is there
  const before = await dataOf(place);
  for (
    const [source, resource, code] of [
      ["text.db", "database", "IMPORT_REFUSED"],
      ["half.db", "database", "IMPORT_REFUSED"],
      ["wrong.sql", "database", "IMPORT_REFUSED"],
      ["attach.sql", "database", "IMPORT_REFUSED"],
      ["out", "storage", "IMPORT_REFUSED"],
      ["broken", "storage", "IMPORT_REFUSED"],
      [".", "storage", "IMPORT_REFUSED"],
      [".forkstack/buckets/shop-bucket-dev", "storage", "IMPORT_REFUSED"],
      ["nothing.db", "database", "NOT_FOUND"],
      ["/dev/null", "database", "IMPORT_REFUSED"],
      [DEV, "database", "IMPORT_REFUSED"],
      ["text.db", "storage", "IMPORT_UNSUPPORTED"],
      ["out", "database", "IMPORT_UNSUPPORTED"],
      ["text.db", "secrets", "IMPORT_UNSUPPORTED"],
      ["mongodb://h/x", undefined, "IMPORT_UNSUPPORTED"],
      ["out", undefined, "USAGE"],
      ["out", "storgae", "USAGE"],
    ] as const
  ) {
    const args = [source, ...resource === undefined ? [] : [resource], "--replace", "--yes"];
    const { error } = await place.json("import", "dev", ...args);
    assert.equal(error?.code, code, `${args.join(" ")}: ${error?.message}`);
    assert.equal(await dataOf(place), before, args.join(" "));
  }
});

Deno.test("only dev takes data: prod is protected, any other environment forks dev", async () => {
  await using place = await Place.make();
  withPosts(place.path("old.db"), "old").close();
  for (
    const [env, code] of [["prod", "ENV_PROTECTED"], ["production", "ENV_PROTECTED"], ["alice", "USAGE"], [
      "A b",
      "NAME_INVALID",
    ]] as const
  ) {
    assert.equal((await place.json("import", env, "old.db", "--replace", "--yes")).error.code, code, env);
  }
  await place.ok("import", "development", "old.db");
  assert.deepEqual(titles(place.path(DEV)), ["old"]);
});

Deno.test("import fills what `bases` names, through a link to it, and never what another environment owns", async () => {
  await using place = await Place.make({ database: { provider: "sqlite", bases: { dev: "./dev.db" } } });
  withPosts(place.path("old.db"), "old").close();
  await place.write("data/real.db", "");
  await symlink("data/real.db", place.path("dev.db"));
  await place.ok("import", "dev", "old.db");
  assert.deepEqual(titles(place.path("data/real.db")), ["old"]);
  assert.match(await place.digest(), /^dev\.db -> data\/real\.db$/m);
  await place.ok("new", "alice", "--no-switch");
  await place.ok("new", "bob", "--no-switch");
  const fork = await Deno.readFile(place.path(".forkstack/sqlite/shop-bob.db"));
  await Deno.remove(place.path("dev.db"));
  await symlink(".forkstack/sqlite/shop-bob.db", place.path("dev.db"));
  const { error } = await place.json("import", "dev", "old.db", "--replace", "--yes");
  assert.match(error.code, /^(FOREIGN|NOT_TRUSTED)$/);
  assert.deepEqual(await Deno.readFile(place.path(".forkstack/sqlite/shop-bob.db")), fork);
});

Deno.test("import --dry-run says what it would do, and changes nothing", async () => {
  await using place = await Place.make({ storage: { uploads: { provider: "local" }, assets: { provider: "local" } } });
  await place.write("files/a.txt", "a");
  await place.ok("list");
  const before = await place.digest();
  const { stdout } = await place.ok("import", "dev", "files", "storage.assets", "--dry-run");
  assert.match(stdout, /^Would copy .*files to storage\.assets "shop-assets-bucket-dev" of dev\n$/);
  assert.equal((await place.json("import", "dev", "files", "--dry-run")).error.code, "USAGE");
  assert.equal(await place.digest(), before);
});

Deno.test("import runs under the permissions of its task", async () => {
  await using place = await Place.make();
  withPosts(place.path("old.db"), "old").close();
  await place.write("uploads/a.txt", "a");
  for (const args of [["old.db"], ["uploads", "storage"]]) {
    const { code, stderr } = await run(place.root, ["import", "dev", ...args], { isProcess: true });
    assert.equal(code, 0, stderr);
  }
});

Deno.test("import of an empty source is USAGE, and copies nothing of the present directory", async () => {
  await using place = await Place.make({ local: { provider: "directory" } });
  await place.write(".forkstack/local/shop-dev/mine", "1");
  const before = await dataOf(place);
  for (const source of ["", " ", "\t\n", "file:", "FILE: ", "file://", "EMPTY"]) {
    const { code, stdout } = await run(
      place.root,
      ["import", "dev", source, "local", "--replace", "--yes", "--json"],
      { env: { EMPTY: "  " } },
    );
    assert.equal(code, 2, `${JSON.stringify(source)}: ${stdout}`);
    assert.equal(JSON.parse(stdout).error.code, "USAGE");
    assert.equal(await dataOf(place), before);
  }
});

Deno.test("a SQL dump in another encoding is refused with its line, and one in UTF-8 keeps each character", async () => {
  await using place = await Place.make({ database: { provider: "sqlite" } });
  await place.ok(
    "import",
    "dev",
    await written(place, "CREATE TABLE posts (title TEXT);INSERT INTO posts VALUES ('a');"),
  );
  const head = "\xEF\xBB\xBFBEGIN TRANSACTION;\nCREATE TABLE posts (title TEXT);\r\n";
  const cases = [
    [`${head}INSERT INTO posts VALUES ('caf\xE9');\nCOMMIT;\n`, 3],
    [`${head}-- \xC3\xA9\n\n-- \x83\x65\x83\x58\x83\x67\nCOMMIT;`, 5],
    [`${head}INSERT INTO posts VALUES ('\xED\xA0\x80');COMMIT;`, 3], // half of a pair
    ["\xFF\xFEC\0R\0", 1],
  ] as const;
  for (const [text, line] of cases) {
    const { code, stdout } = await place.run(
      "import",
      "dev",
      await written(place, text),
      "--replace",
      "--yes",
      "--json",
    );
    const { error } = JSON.parse(stdout);
    assert.deepEqual([code, error.code], [2, "IMPORT_REFUSED"], stdout);
    assert.match(error.message, new RegExp(`line ${line} is not in UTF-8\\b`));
    assert.deepEqual(titles(place.path(DEV)), ["a"]);
  }
  const kept = `${head}INSERT INTO posts VALUES ('\xC3\xA9'),('\xF0\x9F\x98\x80'),('\xEF\xBF\xBD'),(X'ff00');COMMIT;`;
  await place.ok("import", "dev", await written(place, kept), "--replace", "--yes");
  assert.deepEqual(titles(place.path(DEV)), ["é", "\uFFFD", "😀", Uint8Array.of(255, 0)]);
});

/** Writes a dump of one character a byte; returns its name. */
async function written(place: Place, text: string): Promise<string> {
  await place.write("dump.sql", Uint8Array.from(text, (one) => one.charCodeAt(0)));
  return "dump.sql";
}
