/** What a stranger writes into a project's state: see _hostile.ts. */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Dice } from "../simulation/random.ts";

/** What of a project's state is a stranger's. */
export type Part = "row" | "registry" | "owner" | "files";

/** Writes a file, and makes its directory. */
export function put(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** Spoils a project; says how. */
export function spoil(part: Part, dice: Dice, above: string): string {
  const root = join(above, "shop");
  switch (part) {
    case "row":
      return spoilRow(dice, root, above);
    case "registry":
      return spoilRegistry(dice, join(root, ".forkstack/registry.db"));
    case "owner":
      return spoilOwner(dice, root, above);
    case "files":
      return spoilFiles(dice, root, above);
  }
}

const COLUMNS = {
  environments: "name parent status owner operation created_at expires_at used_at origin".split(" "),
  resources: "env key kind name provider title state operation id parent_id fork created_at options".split(" "),
  journal: "operation env resource step phase id at".split(" "),
  locks: "env owner purpose token beat".split(" "),
  meta: ["key", "value"],
  checkouts: "host path git_dir git_branch env used_at".split(" "),
} as const;

/** Texts that lead somewhere, or mean something to somebody. */
function texts(above: string): readonly string[] {
  return [
    ...["../victim/precious", "../../victim/precious", "../../../victim/precious", "../../../../victim/precious"],
    ...[`${above}/victim/precious`, `${above}/victim/precious.db`, `file://${above}/victim/precious.db`, "/etc/passwd"],
    ...["../home/.ssh", "..", ".", "/", "~", "./../victim/precious", "..\\victim\\precious", "%2e%2e/victim/precious"],
    ...["alice/../../../victim/precious", "x#../../../victim/precious.db", `x#${above}/victim/precious.db`],
    ...["link", "link/precious", "../shop-alice", "../../shop.env", "....//victim", "\u2024\u2024/victim/precious"],
    ...[
      "\x1b[2J",
      "\x1b]0;owned\x07",
      "a\nerror: forged",
      "a\rb",
      "\x9b31m",
      "\u202egnp",
      "a\u200bb",
      "\x7f",
      "\ufeffdev",
      "\ud800",
    ],
    ...["a\0b", "\0", "alice\0", "", " ", "a".repeat(300), "a".repeat(100_000), "é".repeat(64), "日本"],
    ...["'; DROP TABLE environments; --", "x' OR '1'='1", '"); DELETE FROM journal; --', "%", "_", "*"],
    ...[
      "$(touch victim/precious/pwned)",
      "`id`",
      "; rm -rf ..",
      "| cat",
      "&& true",
      "-rf",
      "--yes",
      "--",
      "-",
      "$HOME",
      '"',
      "\\",
    ],
    ...["alice", "bob", "dev", "prod", "production", "ALICE", "Alice", "shop", "shop-alice", "shop-bob", "shop-dev"],
    ...[
      "shop-bucket-dev",
      "shop-bucket-bob",
      "shop.dev.db",
      "shop.bob.db",
      "database",
      "storage.uploads",
      "storage.../x",
    ],
    ...[
      "__proto__",
      "constructor",
      "toString",
      "hasOwnProperty",
      "prototype",
      "null",
      "undefined",
      "true",
      "0",
      "NaN",
      "-1",
      "1e999",
    ],
    ...[
      "ready",
      "deleting",
      "undoing",
      "resetting",
      "creating",
      "READY",
      "broken",
      "copy-on-write",
      "sqlite",
      "postgres",
      "turso",
    ],
    ...[
      "1970-01-01",
      "2999-12-31T23:59:59Z",
      "2020-13-45T99:99:99Z",
      "now",
      "Invalid Date",
      "+275760-09-13T00:00:00.001Z",
    ],
    ...[
      "{}",
      "[]",
      "null",
      "{",
      '{"__proto__": {"x": 1}}',
      '{"endpoint": "http://127.0.0.1:1"}',
      '{"port": "x"}',
      "[".repeat(50_000),
    ],
    ...['{"port": 70000}', '{"override": {"K": {"from": 1}}}', '{"unknown": "option of an older version"}'],
  ];
}

/** A value of any type. */
function valueOf(dice: Dice, above: string): string | number | bigint | null | Uint8Array {
  const kind = dice.draw("type");
  if (kind < 0.84) return dice.pick("text", texts(above));
  if (kind < 0.9) return dice.pick("number", [0, -1, 1.5, 1e300, 2 ** 53, 9_007_199_254_740_993n, 42]);
  if (kind < 0.95) return new Uint8Array([0, 255, 27, 91, 50, 74, 47]);
  return null;
}

function spoilRow(dice: Dice, root: string, above: string): string {
  symlinkSync("../victim", join(root, "link"));
  const table = dice.weighted("table", { environments: 9, resources: 13, journal: 4, locks: 3, meta: 1, checkouts: 2 });
  const isAimed = table === "resources" && dice.chance("aimed", 0.25);
  const column = isAimed ? "title" : dice.pick<string>("column", COLUMNS[table]);
  const value = isAimed ? dice.pick("path", texts(above).slice(0, 12)) : valueOf(dice, above);
  const where = table === "resources" ? dice.pick("resource", ["database", "storage", "secrets", "local"]) : "";
  const env = dice.pick("env", ["alice", "alice", "bob"]);
  using registry = open(join(root, ".forkstack/registry.db"));
  if (table === "locks") registry.database.exec("UPDATE locks SET owner = 'x@y#00000000'");
  const filter = {
    environments: ["WHERE name = ?", env],
    resources: ["WHERE env = ? AND key = ?", env, where],
    journal: ["WHERE env = ? AND phase = 'done'", env],
    locks: ["WHERE env = ?", env],
    meta: ["WHERE key = ?", dice.pick("meta", ["project", "version", "id", "home"])],
    checkouts: ["WHERE env = ?", env],
  }[table];
  const [condition, ...args] = filter;
  const sql = `UPDATE OR IGNORE ${table} SET "${column}" = ? ${condition}`;
  try {
    registry.database.prepare(sql).run(value, ...args);
  } catch { /* a NULL where the schema takes none: as it was */ }
  // What s01 did: an owner's file that says the same.
  if (table === "resources" && column === "title" && typeof value === "string") ownerAs(root, where, env, value);
  return `${table}.${column} of ${env} ${where} = ${shortOf(value)}`;
}

/** An owner's file, where its name leads, for a resource that is called so. */
function ownerAs(root: string, kind: string, env: string, title: string): void {
  const of = { database: `shop-${env}`, storage: `shop-bucket-${env}`, secrets: env, local: `shop.${env}.db` }[kind];
  try {
    const owner = JSON.parse(readFileSync(join(root, `.forkstack/owners/${kind}.${of}.json`), "utf8"));
    put(
      `${root}/.forkstack/owners/${kind}.${title}.json`,
      JSON.stringify({ ...owner, name: title, marker: { ...owner.marker, name: title } }),
    );
  } catch { /* no file can be called so */ }
}

function shortOf(value: unknown): string {
  return (typeof value === "string" ? JSON.stringify(value) : String(value)).slice(0, 80);
}

function open(path: string): { readonly database: DatabaseSync; [Symbol.dispose](): void } {
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = DELETE");
  return { database, [Symbol.dispose]: () => database.close() };
}

const SCHEMAS = [
  "DROP TABLE resources",
  "DROP TABLE fence",
  "DROP TABLE meta",
  "ALTER TABLE environments DROP COLUMN owner",
  "ALTER TABLE resources RENAME COLUMN title TO name_",
  "ALTER TABLE environments RENAME TO other",
  "CREATE TABLE other (a)",
  "CREATE TRIGGER t AFTER UPDATE ON environments BEGIN DELETE FROM resources; END",
  "CREATE VIEW v AS SELECT 1",
  "DROP TABLE journal; CREATE VIEW journal AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
  "DROP TABLE locks; CREATE TABLE locks (env INTEGER PRIMARY KEY)",
  "DELETE FROM meta",
  "UPDATE meta SET value = '99' WHERE key = 'version'",
  "INSERT OR REPLACE INTO meta VALUES ('adopted:../x', '')",
  "UPDATE sqlite_sequence SET seq = 9223372036854775807",
  "PRAGMA user_version = 7; PRAGMA application_id = 7",
  "DELETE FROM environments",
  "DELETE FROM resources",
  "UPDATE resources SET options = NULL; UPDATE environments SET status = 'x'",
  "INSERT INTO environments SELECT 'prod', 'dev', 'ready', owner, operation, created_at, NULL, NULL, NULL FROM environments LIMIT 1",
  "INSERT INTO resources SELECT 'carol', key, kind, name, provider, title, state, operation, id, parent_id, fork, created_at, options FROM resources",
];

function spoilRegistry(dice: Dice, path: string): string {
  const how = dice.weighted("how", { schema: 5, page: 3, flip: 4, cut: 2, other: 2 });
  const bytes = readFileSync(path);
  switch (how) {
    case "schema": {
      const sql = dice.pick("schema", SCHEMAS);
      using registry = open(path);
      try {
        registry.database.exec(sql);
      } catch { /* this schema does not take it */ }
      return sql;
    }
    case "page": {
      const page = dice.int("page", 0, bytes.length / 4096 - 1);
      bytes.fill(0, page * 4096, (page + 1) * 4096);
      writeFileSync(path, bytes);
      return `page ${page} is zero`;
    }
    case "flip": {
      for (let at = 0; at < 20; at++) bytes[dice.int(`at ${at}`, 0, bytes.length - 1)] = dice.int(`byte ${at}`, 0, 255);
      writeFileSync(path, bytes);
      return "20 bytes are others";
    }
    case "cut": {
      const length = dice.pick("length", [0, 1, 15, 16, 99, 100, 512, 4095, 4096, 4097, 8192, bytes.length - 1]);
      truncateSync(path, length);
      return `cut to ${length}`;
    }
    case "other": {
      const text = dice.pick("other", [
        "not a database",
        "\0".repeat(8192),
        "SQLite format 3\0",
        "PK\x03\x04",
        `{"a": 1}`,
      ]);
      writeFileSync(path, text);
      return `is ${shortOf(text)}`;
    }
  }
}

const OWNER_FIELDS = ["id", "name", "parentId", "createdAt", "copy", "marker", "marker.stack", "marker.env"]
  .concat("marker.resource", "marker.operation", "marker.name", "marker.registry");

function spoilOwner(dice: Dice, root: string, above: string): string {
  const kind = dice.pick("kind", ["database", "storage", "secrets", "local"]);
  const env = dice.pick("env", ["alice", "bob"]);
  const of = { database: `shop-${env}`, storage: `shop-bucket-${env}`, secrets: env, local: `shop.${env}.db` }[kind]!;
  const path = join(root, `.forkstack/owners/${kind}.${of}.json`);
  if (dice.chance("whole", 0.2)) {
    const text = dice.pick("text", [
      "",
      "{",
      "null",
      "[]",
      "\0\0\0",
      '"x"',
      "{}",
      "[".repeat(50_000),
      '{"__proto__": null}',
    ]);
    writeFileSync(path, text);
    return `owner of ${of} is ${shortOf(text)}`;
  }
  const owner = JSON.parse(readFileSync(path, "utf8"));
  const field = dice.pick("field", OWNER_FIELDS);
  const drawn = valueOf(dice, above);
  const value = typeof drawn === "bigint" || drawn instanceof Uint8Array ? { a: [1] } : drawn;
  const [first, second] = field.split(".");
  if (second === undefined) owner[first!] = value;
  else owner[first!][second] = value;
  writeFileSync(path, JSON.stringify(owner));
  // Where a name is spoilt, the file may bear it, too.
  if (field === "name" && typeof value === "string" && dice.chance("moved", 0.5)) ownerAs(root, kind, env, value);
  return `owner of ${of}: ${field} = ${shortOf(value)}`;
}

function spoilFiles(dice: Dice, root: string, above: string): string {
  const name = dice.pick("file", [
    ...[".forkstack/envs/alice.env", ".forkstack/envs/alice.env", ".forkstack/envs/bob.env", ".forkstack/checked.json"],
    ...[
      ".forkstack/buckets.key",
      ".current-env",
      ".env.local",
      ".forkstack/registry-id",
      ".forkstack/secrets/alice.env",
    ],
  ]);
  const path = join(root, name);
  const value = String(valueOf(dice, above));
  const before = existsSync(path) ? readFileSync(path, "utf8") : "";
  switch (dice.weighted("how", { value: 5, line: 2, whole: 3, link: 1 })) {
    case "value": {
      const lines = before.split("\n");
      const at = dice.int("line", 0, Math.max(0, lines.length - 2));
      lines[at] = lines[at]!.replace(
        /=.*$|^[^=]*$/,
        (old) => old.startsWith("=") ? `='${value.replaceAll("'", "")}'` : value,
      );
      writeFileSync(path, lines.join("\n"));
      return `line ${at} of ${name} = ${shortOf(value)}`;
    }
    case "line":
      appendFileSync(path, `\n${value}=${value}\nNODE_OPTIONS=--import=/x\nFORKSTACK_ENV='${value}'\n`);
      return `${name} has more lines with ${shortOf(value)}`;
    case "whole":
      writeFileSync(path, value);
      return `${name} is ${shortOf(value)}`;
    case "link":
      rmSync(path, { force: true });
      symlinkSync(join(above, "victim/precious.env"), path);
      return `${name} is a link`;
  }
}
