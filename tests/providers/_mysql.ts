/** Shared parts of the tests of `mysql`: a real MariaDB, its contents, contexts, targets and worlds for the suite. */
import { createHash } from "node:crypto";
import type { Connection } from "npm:mysql2@3.24.5/promise";
import { createConnection } from "npm:mysql2@3.24.5/promise";
import { formatMarker } from "../../core/marker.ts";
import type { Context, Fork, Target } from "../../core/provider.ts";
import { Secret } from "../../core/secret.ts";
import { files } from "../../core/system/files.ts";
import provider from "../../providers/database/mysql.ts";
import type { Emulator, World } from "../conformance.ts";
import { type MariaDb, startMariaDb, whyNoMariaDb } from "../emulators/mariadb_server.ts";
import { MYSQL } from "../emulators/mysql_protocol.ts";
import { TcpProxy } from "../emulators/tcp_proxy.ts";
import { testIf } from "../helpers.ts";
import { shopContext, shopTarget } from "./_shop.ts";

export type Options = Parameters<typeof provider.create>[1]["options"];

export const CANARY = "canary-in-the-parent-0123456789";
export const PASSWORD = `canary-admin-${crypto.randomUUID()}`;
export const whyNone: string | undefined = whyNoMariaDb();
export const shared: MariaDb | undefined = whyNone === undefined ? await startMariaDb() : undefined;
if (shared !== undefined) await prepare(shared);

/** Makes the user of MYSQL_URL. */
export async function prepare(server: MariaDb): Promise<void> {
  await server.as((root) =>
    root.query(`CREATE USER forks@'%' IDENTIFIED BY '${PASSWORD}'; GRANT ALL ON *.* TO forks@'%' WITH GRANT OPTION`)
  );
}

/** The URL of the user of MYSQL_URL; another port leads through a proxy. */
export function urlOf(port: number): string {
  return `mysql://forks:${PASSWORD}@127.0.0.1:${port}`;
}

/** A context whose providers reach the server by this URL. */
export function contextOf(url: string, changed: Partial<Context> = {}): Context {
  return shopContext("MYSQL_URL", url, changed);
}

/** A fork of `shop-dev`. */
export function targetOf(env: string, changed: Partial<Target<Options>> = {}): Target<Options> {
  return shopTarget<Options>("database", {}, env, changed);
}

export const NOTES = `CREATE TABLE notes (id INT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(99) NOT NULL);
  INSERT INTO notes (text) SELECT CONCAT('${CANARY} ', seq) FROM mysql.help_keyword, (SELECT @n := 0 AS seq) x LIMIT 20`;

/** Makes a database, and runs statements in it. */
export async function make(root: Connection, name: string, sql = ""): Promise<void> {
  await root.query(`CREATE DATABASE \`${name}\`; USE \`${name}\`; ${sql}`);
}

const INNER = "('information_schema', 'mysql', 'performance_schema', 'sys')";
type Rows = Record<string, string>[];

/** All that databases hold but their marks, by their names: definitions without who defined them, and rows. */
async function contentsOf(root: Connection, only = ""): Promise<Map<string, string>> {
  const of = (column: string) => only === "" ? `${column} NOT IN ${INNER}` : `${column} = '${only}'`;
  const [[schemas, tables, ...others]] = await root.query(`
    SELECT SCHEMA_NAME AS db, DEFAULT_COLLATION_NAME AS c FROM information_schema.SCHEMATA WHERE ${of("SCHEMA_NAME")};
    SELECT TABLE_SCHEMA AS db, TABLE_NAME AS name FROM information_schema.TABLES
      WHERE ${of("TABLE_SCHEMA")} AND TABLE_TYPE <> 'VIEW' ORDER BY 1, 2;
    SELECT TABLE_SCHEMA AS db, TABLE_NAME, VIEW_DEFINITION, SECURITY_TYPE FROM information_schema.VIEWS
      WHERE ${of("TABLE_SCHEMA")} ORDER BY 1, 2;
    SELECT TRIGGER_SCHEMA AS db, TRIGGER_NAME, EVENT_MANIPULATION, EVENT_OBJECT_TABLE, ACTION_ORDER, ACTION_STATEMENT,
      ACTION_TIMING, SQL_MODE FROM information_schema.TRIGGERS WHERE ${of("TRIGGER_SCHEMA")} ORDER BY 1, 2;
    SELECT ROUTINE_SCHEMA AS db, ROUTINE_NAME, ROUTINE_TYPE, DTD_IDENTIFIER, ROUTINE_DEFINITION, SQL_MODE, ROUTINE_COMMENT,
      COLLATION_CONNECTION FROM information_schema.ROUTINES WHERE ${of("ROUTINE_SCHEMA")} ORDER BY 1, 2;
    SELECT EVENT_SCHEMA AS db, EVENT_NAME, EVENT_DEFINITION, INTERVAL_VALUE, STATUS, TIME_ZONE
      FROM information_schema.EVENTS WHERE ${
    of("EVENT_SCHEMA")
  } AND EVENT_NAME <> 'forkstack_mark' ORDER BY 1, 2`) as unknown as [Rows[]];
  const places = tables!.map(({ db, name }) => `\`${db}\`.\`${name!.replaceAll("`", "``")}\``);
  const [shown] = places.length === 0 ? [[]] : await root.query(
    places.map((place) => `SHOW CREATE TABLE ${place}; SELECT * FROM ${place} ORDER BY 1`).join("; "),
  );
  const all = (shown as unknown as Rows[]).map((rows) => JSON.stringify(rows));
  return new Map(schemas!.map(({ db, c }) => {
    const own = tables!.flatMap((table, n) => table.db === db ? [all[2 * n], all[2 * n + 1]] : []);
    const text = JSON.stringify([c, own, others.map((rows) => rows.filter((row) => row.db === db))]);
    const plain = text.replaceAll(`\`${db}\`.`, "").replaceAll(`"db":"${db}"`, "");
    return [db!, createHash("sha256").update(plain).digest("hex")];
  }));
}

/** A digest of what a database holds. */
export async function contentOf(server: MariaDb, name: string): Promise<string> {
  const found = (await server.as((root) => contentsOf(root, name))).get(name);
  if (found === undefined) throw new Error(`there is no database "${name}"`);
  return found;
}

/** Every database with its content and mark, and every account with its rights. */
export async function thingsOf(server: MariaDb): Promise<Map<string, string>> {
  return await server.as(async (root) => {
    const things = new Map<string, string>();
    const [[marks, users]] = await root.query(
      `SELECT EVENT_SCHEMA AS db, EVENT_DEFINITION AS body FROM information_schema.EVENTS
        WHERE EVENT_NAME = 'forkstack_mark';
      SELECT User AS user, Host AS host FROM mysql.user WHERE User NOT IN ('root', 'mariadb.sys', 'PUBLIC', '')`,
    ) as unknown as [Rows[]];
    for (const [name, content] of await contentsOf(root)) {
      things.set(`database ${name}`, `${marks!.find(({ db }) => db === name)?.body} ${content}`);
    }
    const grants = users!.map(({ user, host }) => `SHOW GRANTS FOR '${user}'@'${host}'; SELECT 1`);
    const [shown] = await root.query(grants.join("; ")) as unknown as [unknown[]];
    for (const [n, { user }] of users!.entries()) {
      things.set(
        `user ${user}`,
        JSON.stringify(shown[2 * n]).replace(/\*[0-9A-F]{40}/g, "").replace(/ACCOUNT \w+/, ""),
      );
    }
    return things;
  });
}

/** Names of databases of tests. */
export async function databasesOf(server: MariaDb): Promise<string[]> {
  const names = [...(await thingsOf(server)).keys()].filter((thing) => thing.startsWith("database "));
  return names.map((thing) => thing.slice("database ".length)).sort();
}

/** Drops all that a test made. */
export async function wipe(server: MariaDb, isKept: (thing: string) => boolean = () => false): Promise<void> {
  const things = [...(await thingsOf(server)).keys()].filter((thing) => !isKept(thing) && thing !== "user forks");
  const drops = things.map((thing) => {
    const [kind, name] = thing.split(/ (.*)/);
    return kind === "database" ? `DROP DATABASE \`${name}\`` : `DROP USER '${name}'@'%'`;
  });
  if (drops.length > 0) await server.as((root) => root.query(`SET foreign_key_checks = 0; ${drops.join("; ")}`));
}

/** Runs a test on the shared server, which holds `shop-dev` alone. */
export function onServer(name: string, fn: (server: MariaDb, context: Context) => Promise<void>): void {
  testIf(whyNone, `mysql: ${name}`, async () => {
    await wipe(shared!);
    await shared!.as((root) => make(root, "shop-dev", NOTES));
    try {
      await fn(shared!, contextOf(urlOf(shared!.port)));
    } finally {
      await wipe(shared!);
    }
  });
}

/** Returns the URL that the application gets. */
export async function appUrl(context: Context, fork: Fork): Promise<string> {
  const { DATABASE_URL } = await provider.outputs(context, fork, targetOf("alice"));
  return (DATABASE_URL as Secret).reveal();
}

/** Sends statements as an application does, each after the other, and gives the rows of the last. */
export async function asApp(uri: string, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const connection = await createConnection({ uri });
  try {
    let rows: unknown = [];
    for (const statement of statements) [rows] = await connection.query(statement);
    return rows as Record<string, unknown>[];
  } finally {
    await connection.end();
  }
}

/** Worlds of the suite on one server. */
export function emulator(server: MariaDb, options: Options = {}): Emulator {
  const titleOf = (env: string) => `myapp-${env}`;
  let kept: Promise<Set<string>> | undefined;
  const fillOnce = async (resource: string, stack: string) => {
    await wipe(server);
    await server.as(async (root) => {
      await make(root, titleOf("dev"), NOTES);
      for (const near of ["alic", "alice_2"]) await make(root, titleOf(near), "CREATE TABLE near (x INT)");
      await root.query("CREATE USER 'myapp-alice'@'%'; CREATE USER 'fs_0123456789abcdef'@'%'");
    });
    for (
      const [env, of] of [["carol", { stack: "another-stack", resource }], ["dave", {
        stack,
        resource: "another.one",
      }]] as const
    ) {
      const marker = { ...of, env, operation: "long ago" };
      const target = targetOf(env, { ...of, options, name: titleOf(env), parent: titleOf("dev"), marker });
      await provider.create(contextOf(urlOf(server.port)), target);
    }
    return new Set((await thingsOf(server)).keys());
  };
  return {
    async open(given) {
      const stay = await (kept ??= fillOnce(given.resource, given.stack));
      const proxies: TcpProxy[] = [];
      const markOf = async (root: Connection, name: string) => {
        const sql = "SELECT EVENT_DEFINITION AS body FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ? AND " +
          "EVENT_NAME = 'forkstack_mark'";
        const [[row]] = await root.query(sql, [name]) as unknown as [[{ body: string }]];
        return row.body;
      };
      const world: World = {
        project: "myapp",
        root: "/",
        context: { // all else is the suite's own
          fetch: () => Promise.reject(new TypeError("nobody is called by HTTP")),
          files,
          credentials: { MYSQL_URL: new Secret(urlOf(server.port)) },
          sockets(pass) {
            const proxy = new TcpProxy(server.port, MYSQL, pass);
            proxies.push(proxy);
            return { credentials: { MYSQL_URL: new Secret(`${urlOf(proxy.port)}?ssl-mode=DISABLED`) } };
          },
        },
        parent: titleOf("dev"),
        absentParent: titleOf("no-such"),
        titleOf,
        things: () => thingsOf(server),
        contentOf: (name) => contentOf(server, name),
        change: (name) =>
          server.as(async (root) => {
            await root.query(`USE \`${name}\`; CREATE TABLE mine (x INT); INSERT INTO mine VALUES (1)`);
          }),
        placeForeign: (name, as) =>
          server.as(async (root) => {
            await make(root, name, as?.isEmpty ? "" : "CREATE TABLE theirs (x INT)");
            if (as?.markOf === undefined) return;
            const mark = await markOf(root, as.markOf);
            await root.query(`CREATE EVENT forkstack_mark ON SCHEDULE EVERY 1 YEAR DISABLE DO ${mark}`);
          }),
        rehand: (fork, marker) =>
          server.as(async (root) => {
            const [note] = / [^ ']*'$/.exec(await markOf(root, fork.name))!;
            const text = `SET @forkstack_mark = '${formatMarker(marker, fork.name)}${note}`;
            await root.query(`ALTER EVENT \`${fork.name}\`.forkstack_mark DO ${text}`);
          }),
        canaries: () => [CANARY, PASSWORD],
        async close() {
          for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
          await wipe(server, (thing) => stay.has(thing));
        },
      };
      return world;
    },
  };
}
