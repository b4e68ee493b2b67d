/**
 * The Go reader in drivers of database/sql (docs/languages/go.md): real forks, in a path with a space. At full size: they
 * are compiled.
 */
import assert from "node:assert/strict";
import { cpSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { REPO } from "../../tools/build/_tools.ts";
import { debianBinaries, startServer } from "../emulators/postgres_server.ts";
import { temporaryDirectory, testIf } from "../helpers.ts";
import { run } from "../runtime_helpers.ts";
import { SIZE } from "../sizes.ts";
import { whyMissing } from "../tools.ts";
import { Shop } from "./shop.ts";

const PROGRAM = `package main

import (
	"database/sql"
	"log"
	"os"

	"drivers/forkstack"
)

func main() {
	driver, text := os.Args[1], os.Args[2]
	dsn, err := forkstack.DatabaseDSN(driver)
	if err != nil {
		log.Fatal(err)
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("INSERT INTO notes (text) VALUES ('" + text + "')"); err != nil {
		log.Fatal(err)
	}
}
`;

/** Compiles a program that adds a note by any of these drivers; `packages` are import paths with their module's version. */
function compiled(directory: string, packages: readonly (readonly [path: string, module: string])[]): string {
  const { HOME = directory, GOCACHE = join(HOME, ".cache", "go-build") } = process.env;
  const go = (...args: string[]) => {
    const { code, stderr } = run(["go", ...args], { cwd: directory, env: { GOCACHE }, timeoutMs: 900_000 });
    assert.equal(code, 0, stderr);
  };
  cpSync(join(REPO, "languages", "go", "forkstack.go"), join(directory, "forkstack", "forkstack.go"));
  writeFileSync(join(directory, "go.mod"), "module drivers\n\ngo 1.21\n");
  writeFileSync(join(directory, "main.go"), PROGRAM);
  const imports = packages.map(([path]) => `import _ "${path}"\n`).join("");
  writeFileSync(join(directory, "drivers.go"), `package main\n\n${imports}`);
  go("get", ...packages.map(([, module]) => module));
  go("mod", "tidy");
  go("build", "-o", "program", ".");
  return join(directory, "program");
}

/** Names of all files of a project but those that SQLite keeps beside an open database. */
function filesIn(root: string): string[] {
  const all = readdirSync(root, { recursive: true, encoding: "utf8" });
  return all.filter((name) => !/-(wal|shm|journal)$/.test(name)).sort();
}

const SQLITE = {
  sqlite: ["modernc.org/sqlite", "modernc.org/sqlite@v1.62.0"],
  sqlite3: ["github.com/mattn/go-sqlite3", "github.com/mattn/go-sqlite3@v1.14.53"],
  libsql: [
    "github.com/tursodatabase/go-libsql",
    "github.com/tursodatabase/go-libsql@v0.0.0-20251219133454-43644db490ff",
  ],
} as const;

if (SIZE === "full") {
  for (const [driver, module] of Object.entries(SQLITE)) {
    const why = whyMissing(...driver === "sqlite" ? ["go"] : ["go", "gcc"]);
    testIf(why, `the Go driver "${driver}" (${module[0]}) opens the fork's database, and makes no other file`, () => {
      using directory = temporaryDirectory();
      const program = compiled(directory.path, [module]);
      using shop = new Shop({});
      const fileOf = (env: string) => join(shop.root, ".forkstack", "sqlite", `shop-${env}.db`);
      const notesOf = (env: string) => {
        using db = new DatabaseSync(fileOf(env));
        return db.prepare("SELECT text FROM notes ORDER BY id").all().map(({ text }) => text);
      };
      shop.run("forkstack", "switch", "dev");
      {
        using db = new DatabaseSync(fileOf("dev"));
        db.exec("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)");
      }
      shop.run("forkstack", "new", "bob");
      shop.run("forkstack", "new", "alice");
      const before = filesIn(shop.root);
      shop.run(program, driver, "of alice");
      shop.run("forkstack", "run", "bob", "--", program, driver, "of bob");
      assert.deepEqual(["dev", "alice", "bob"].map(notesOf), [[], ["of alice"], ["of bob"]]);
      assert.deepEqual(filesIn(shop.root), before);
    });
  }

  const debian = debianBinaries();
  const why = whyMissing("go") ?? ("reason" in debian ? debian.reason : undefined);
  testIf(why, 'the Go drivers "pgx" and "postgres" (lib/pq) open the fork\'s database', async () => {
    assert("bin" in debian);
    using directory = temporaryDirectory();
    const program = compiled(directory.path, [
      ["github.com/jackc/pgx/v5/stdlib", "github.com/jackc/pgx/v5@v5.13.0"],
      ["github.com/lib/pq", "github.com/lib/pq@v1.10.9"],
    ]);
    await using server = await startServer(debian.bin);
    await server.query('CREATE DATABASE "shop-dev"');
    await server.query('REVOKE CONNECT ON DATABASE "shop-dev" FROM PUBLIC');
    await server.query("CREATE TABLE notes (id serial PRIMARY KEY, text text)", "shop-dev");
    const variables = { POSTGRES_URL: `${server.url()}?sslmode=disable` };
    using shop = new Shop({ parent: "dev", database: { provider: "postgres" } }, variables);
    shop.run("forkstack", "new", "alice");
    for (const driver of ["pgx", "postgres"]) shop.run(program, driver, `by ${driver}`);
    const notesOf = async (env: string) =>
      (await server.query("SELECT text FROM notes ORDER BY id", `shop-${env}`)).map(({ text }) => text);
    assert.deepEqual([await notesOf("dev"), await notesOf("alice")], [[], ["by pgx", "by postgres"]]);
  });
}
