/** Tools of Go, Ruby and PHP. */
import type { Use } from "./use.ts";

const INSERT = "INSERT INTO notes (text) VALUES ('added')";

const ruby = (requires: string, line: string, rest: string) => ({
  files: { "main.rb": `require "${requires}"\n${line}\n${rest}\n` },
  command: ["ruby", "main.rb"],
});

/** Ruby's, as Debian has them. */
export const RUBY: readonly Use[] = [
  {
    tool: "sqlite3",
    database: "SQLite",
    line: 'db = SQLite3::Database.new(ENV.fetch("DATABASE_PATH"))',
    ...ruby("sqlite3", 'db = SQLite3::Database.new(ENV.fetch("DATABASE_PATH"))', `db.execute("${INSERT}")`),
  },
  {
    tool: "Sequel",
    database: "SQLite",
    line: 'db = Sequel.sqlite(ENV.fetch("DATABASE_PATH"))',
    wrong: [['db = Sequel.connect(ENV.fetch("DATABASE_URL"))', "an error"]],
    ...ruby("sequel", 'db = Sequel.sqlite(ENV.fetch("DATABASE_PATH"))', 'db[:notes].insert(text: "added")'),
  },
  {
    tool: "pg",
    database: "PostgreSQL",
    line: 'db = PG.connect(ENV.fetch("DATABASE_URL"))',
    ...ruby("pg", 'db = PG.connect(ENV.fetch("DATABASE_URL"))', `db.exec("${INSERT}")`),
  },
  {
    tool: "Sequel",
    database: "PostgreSQL",
    line: 'db = Sequel.connect(ENV.fetch("DATABASE_URL"))',
    ...ruby("sequel", 'db = Sequel.connect(ENV.fetch("DATABASE_URL"))', 'db[:notes].insert(text: "added")'),
  },
];

const php = (line: string) => ({
  files: {
    "main.php":
      `<?php\n${line}\n$db->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);\n$db->exec("${INSERT}");\n`,
  },
  command: ["php", "main.php"],
});

const PDO_PGSQL =
  `['host' => $host, 'port' => $port, 'user' => $user, 'pass' => $password, 'path' => $path] = parse_url(getenv('DATABASE_URL'));
$db = new PDO("pgsql:host=$host;port=$port;dbname=" . substr(urldecode($path), 1), urldecode($user), urldecode($password));`;

/** PHP's, as Debian has them. */
export const PHP: readonly Use[] = [
  {
    tool: "PDO",
    database: "SQLite",
    line: "$db = new PDO('sqlite:' . getenv('DATABASE_PATH'));",
    ...php("$db = new PDO('sqlite:' . getenv('DATABASE_PATH'));"),
  },
  {
    tool: "PDO",
    database: "PostgreSQL",
    line: PDO_PGSQL.split("\n")[1]!,
    ...php(PDO_PGSQL),
  },
];

/** Modules of Go with their versions, by the key that uses name. */
export const GO_PACKAGES: Readonly<Record<string, readonly string[]>> = {
  modernc: ["modernc.org/sqlite@v1.34.5"],
  mattn: ["github.com/mattn/go-sqlite3@v1.14.24"],
  pgx: ["github.com/jackc/pgx/v5@v5.7.2"],
};

const go = (driver: string, line: string) => ({
  files: {
    "main.go": `package main

import (
	"database/sql"
	"os"

	_ "${driver}"
)

func main() {
	${line}
	if err == nil {
		_, err = db.Exec("${INSERT}")
	}
	if err != nil {
		panic(err)
	}
}
`,
  },
  command: ["go", "run", "."],
  isLong: true,
});

/** Go's. */
export const GO: readonly Use[] = [
  {
    tool: "modernc.org/sqlite",
    database: "SQLite",
    line: 'db, err := sql.Open("sqlite", os.Getenv("DATABASE_URL"))',
    packages: "modernc",
    ...go("modernc.org/sqlite", 'db, err := sql.Open("sqlite", os.Getenv("DATABASE_URL"))'),
  },
  {
    tool: "mattn/go-sqlite3",
    database: "SQLite",
    line: 'db, err := sql.Open("sqlite3", os.Getenv("DATABASE_URL"))',
    packages: "mattn",
    ...go("github.com/mattn/go-sqlite3", 'db, err := sql.Open("sqlite3", os.Getenv("DATABASE_URL"))'),
  },
  {
    tool: "pgx",
    database: "PostgreSQL",
    line: 'db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))',
    packages: "pgx",
    ...go("github.com/jackc/pgx/v5/stdlib", 'db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))'),
  },
];
