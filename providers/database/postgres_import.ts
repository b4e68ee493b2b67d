/**
 * Importing into a database of PostgreSQL: another database by its URL, or a dump of `pg_dump`. Both come as plain SQL,
 * which runs in one transaction, so that a failure leaves the database as it was. `psql` is not used: it would obey
 * commands in the dump, such as `\!`. Owners and grants are not imported: their roles may not exist here.
 *
 * - https://www.postgresql.org/docs/18/app-pgdump.html, .../app-pgrestore.html, .../sql-copy.html (text format)
 */
import type { Context, ImportSource, Target } from "../../core/provider.ts";
import { outputOf, type Piped } from "../../core/system/subprocess.ts";
import { ForkstackError } from "../../mod.ts";
import { holdsData, refused } from "../_shared/import_errors.ts";
import {
  type CopyRows,
  type PostgresLogin,
  postgresLoginOf,
  type Purpose,
  type Query,
  quotedIdentifier,
  withPostgres,
} from "../_shared/postgres.ts";
import { utf8Lines } from "../_shared/text_lines.ts";
import { fitStatements, postgresScriptError, type ScriptStatement } from "../_shared/postgres_script.ts";

/** Options of `importDatabase`. */
export interface ImportInto {
  readonly target: Target<unknown>;
  readonly source: ImportSource;
  /** The login of POSTGRES_URL. */
  readonly admin: PostgresLogin;
  readonly purpose: Purpose;
}

/** Fills a database, which is created if the server has none of its name. `query` holds the lock of that name. */
export async function importDatabase(context: Context, query: Query, wanted: ImportInto): Promise<void> {
  const { target, admin, purpose } = wanted;
  const name = quotedIdentifier(target.name);
  const [found] = await query("SELECT 1 FROM pg_database WHERE datname = $1", [target.name]);
  if (found === undefined) {
    await query(`CREATE DATABASE ${name} TEMPLATE template0`);
    await query(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`); // else it could not be forked
  }
  try {
    await withPostgres(context, { ...admin, database: target.name }, purpose, async (own, _, copyRows) => {
      await fill(context, own, copyRows, wanted);
    });
  } catch (error) {
    if (found === undefined) await query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`); // it was made above
    throw error;
  }
}

/** Counts what a person has made in a database; what belongs to an extension does not count. */
const CONTENTS = `SELECT (count(*) + (SELECT count(*) FROM pg_largeobject_metadata))::int AS n FROM (
  SELECT oid, 'pg_class'::regclass AS class, relnamespace AS schema FROM pg_class
  UNION ALL SELECT oid, 'pg_proc'::regclass, pronamespace FROM pg_proc
  UNION ALL SELECT oid, 'pg_type'::regclass, typnamespace FROM pg_type WHERE typtype IN ('e', 'd')) AS made
  JOIN pg_namespace n ON n.oid = made.schema
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = made.class AND d.objid = made.oid AND d.deptype = 'e')`;

/** Drops every schema with what is in it, and large objects, and makes `public` again, as a new database has it. */
const EMPTY = `SET LOCAL lock_timeout = '30s';
  DO $$ DECLARE own regnamespace; BEGIN
    FOR own IN SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
      EXECUTE 'DROP SCHEMA ' || own || ' CASCADE';
    END LOOP;
    PERFORM lo_unlink(oid) FROM pg_largeobject_metadata;
    CREATE SCHEMA public;
    GRANT USAGE ON SCHEMA public TO PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'pg_database_owner') THEN
      ALTER SCHEMA public OWNER TO pg_database_owner;
    ELSE
      GRANT CREATE ON SCHEMA public TO PUBLIC;
    END IF;
  END $$`;

async function fill(
  context: Context,
  query: Query,
  copyRows: CopyRows,
  { target, source, admin, purpose }: ImportInto,
): Promise<void> {
  await context.fence();
  await query("BEGIN");
  const [{ n }] = await query(CONTENTS);
  if (n > 0 && !source.replace) throw holdsData(target, target.name);
  if (n > 0) await query(EMPTY);
  const dump = await dumpOf(context, source, { target, admin });
  const run = async (work: Promise<unknown>, statement: ScriptStatement) => {
    await work.catch((error) => {
      throw postgresScriptError(error, statement, purpose);
    });
  };
  for await (const { text, line, rows } of partsOf(linesOf(dump))) {
    context.signal.throwIfAborted();
    if (rows !== undefined) {
      await run(copyRows(text, rows), { text: "", line });
      continue;
    }
    for (
      const statement of fitStatements(text.replaceAll(TRANSACTION, (all) => all.replace(/\S/g, " ")), line, purpose)
    ) {
      if (LEFT_OUT.test(statement.text.trim())) continue;
      if (OTHER_ENCODING.test(statement.text)) {
        throw refused(target, "the dump is not in UTF-8: dump with --encoding=UTF8");
      }
      const known = statement.text.replace(/^CREATE\s+SCHEMA\s+public\b/i, "CREATE SCHEMA IF NOT EXISTS public");
      await run(query(known), statement);
    }
  }
  await context.fence();
  await run(query("COMMIT"), { text: "", line: 1 }); // what is deferred is checked here
}

/** Transactions of a dump's own, around large objects: all of it is one transaction here. */
const TRANSACTION = /^(BEGIN|COMMIT);$/gm;

/** Statements of a dump that name roles, or a setting that an older server does not know. */
const LEFT_OUT =
  /^(?:(?:GRANT|REVOKE|ALTER\s+DEFAULT\s+PRIVILEGES|SET\s+(?:SESSION\s+AUTHORIZATION|transaction_timeout))\b|ALTER\s[^;]*\sOWNER\s+TO\s+(?:"(?:[^"]|"")+"|\S+)$)/i;

const OTHER_ENCODING = /^SET\s+client_encoding\s*(?:=|TO)\s*'?(?![\s']|UTF-?8)/i;

/** A part of a plain dump: statements, or one `COPY` with its rows. */
interface Part {
  readonly text: string;
  /** The line where it begins, from 1. */
  readonly line: number;
  readonly rows?: AsyncIterable<string>;
}

const COPY = /^COPY .* FROM stdin;$/i;
/** The head that `pg_dump` writes before each object: nothing is open there. */
const HEAD = /^-- (?:Data for )?Name: .*; Type: /;
/** Keys of restricted mode, which later versions of `pg_dump` write for `psql`. */
const RESTRICT = /^\\(?:un)?restrict \w+$/;

/** Divides a plain dump at its `COPY` statements and at the heads of its objects, so that it need not be held whole. */
async function* partsOf(lines: AsyncGenerator<string, void>): AsyncGenerator<Part, void> {
  let [open, began, at]: [string[], number, number] = [[], 1, 0];
  const rows = async function* () {
    for (let held = "";; at++) {
      const { value, done } = await lines.next();
      if (done) {
        throw new ForkstackError("IMPORT_REFUSED", `Cannot read the data: line ${at}: it ends amid rows`, {
          hint: "Dump it again",
        });
      }
      const isEnd = value === "\\.";
      if (!isEnd) held += `${value}\n`;
      if (held.length > 65_536 || (isEnd && held !== "")) {
        yield held;
        held = "";
      }
      if (isEnd) return void at++;
    }
  };
  for (;;) {
    const { value, done } = await lines.next();
    const isEdge = done || HEAD.test(value) || COPY.test(value);
    if (isEdge && open.length > 0) {
      yield { text: open.join("\n"), line: began };
      open = [];
    }
    if (done) return;
    at++;
    if (COPY.test(value)) {
      const copied = rows();
      yield { text: value, line: at, rows: copied };
      for await (const _ of copied); // of a reader that stopped early
    } else if (!RESTRICT.test(value)) {
      if (open.length === 0) began = at;
      open.push(value);
    } else if (open.length > 0) open.push(""); // the lines keep their numbers
  }
}

/** Yields the lines of a dump, which comes one character a byte, decoded and without their ends. */
async function* linesOf(pieces: AsyncIterable<string>): AsyncGenerator<string, void> {
  for await (const lines of utf8Lines(pieces)) for (const line of lines) yield line.replace(/\r?\n$/, "");
}

/** Returns the plain SQL of a source, piece by piece, one character a byte; it rejects at the end if the program that wrote it failed. */
async function dumpOf(
  context: Context,
  { path, url }: ImportSource,
  { target, admin }: Pick<ImportInto, "target" | "admin">,
): Promise<AsyncIterable<string>> {
  const shared = ["--no-owner", "--no-privileges"];
  if (url !== undefined) {
    const login = postgresLoginOf(url.reveal());
    if (login === undefined) throw refused(target, "it is no URL like postgresql://user:…@host:5432/database");
    if (isSame(login, { ...admin, database: target.name })) throw refused(target, "the URL leads to dev itself");
    return byProgram(context, {
      command: "pg_dump",
      args: [
        ...shared,
        "--format=plain",
        "--encoding=UTF8",
        "--no-subscriptions",
        "--no-publications",
        "--no-password",
      ],
      env: {
        PGHOST: login.host,
        PGPORT: login.port,
        PGUSER: login.user,
        PGPASSWORD: login.password,
        PGDATABASE: login.database,
        PGSSLMODE: login.sslmode,
        PGAPPNAME: "forkstack",
        PGCONNECT_TIMEOUT: "10",
      },
    }, login.password);
  }
  if (await isArchive(path!)) {
    return byProgram(context, { command: "pg_restore", args: [...shared, "--file=-", path!], env: {} }, "");
  }
  const { createReadStream } = await import("node:fs");
  return createReadStream(path!, { encoding: "latin1" });
}

function isSame(one: PostgresLogin, other: PostgresLogin): boolean {
  const local = (host: string) => /^(localhost|127\.0\.0\.1|::1)$/.test(host) ? "localhost" : host;
  return local(one.host) === local(other.host) && one.port === other.port && one.database === other.database;
}

/** Returns true for the formats of `pg_dump` that `pg_restore` reads: custom, tar and directory. */
async function isArchive(path: string): Promise<boolean> {
  const { open, stat } = await import("node:fs/promises");
  if ((await stat(path)).isDirectory()) return true;
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(512), 0, 512, 0);
    const head = new TextDecoder("latin1").decode(buffer.subarray(0, bytesRead));
    return head.startsWith("PGDMP") || head.startsWith("toc.dat\0");
  } finally {
    await file.close();
  }
}

async function* byProgram(context: Context, program: Piped, password: string): AsyncGenerator<string, void> {
  const { command } = program;
  const failed = yield* outputOf(program, context.signal);
  if (failed === undefined) return;
  context.signal.throwIfAborted();
  if (failed.status === undefined) {
    throw new ForkstackError("TOOL_MISSING", `Cannot read the data: there is no ${command}`, {
      hint: "Install PostgreSQL's client programs and put them first in PATH",
    });
  }
  const said = failed.stderr.trim().split("\n").slice(0, 3).join("; ").slice(0, 300).replaceAll(password || "\0", "…");
  throw new ForkstackError("DUMP_FAILED", `Cannot read the data: ${command} failed: ${said}`, {
    hint: "Fix what it says, then run the same command again",
  });
}
