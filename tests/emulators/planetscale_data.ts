/**
 * What the branches of PlanetScale's emulator hold: schemas of a real MariaDB, or databases of a real PostgreSQL.
 */
import { createHash } from "node:crypto";
import type { Connection } from "npm:mysql2@3.24.5/promise";
import { Edge, type MariaDb } from "./mariadb_server.ts";
import type { Server } from "./postgres_server.ts";

/** How much of another branch a new one takes over. */
export type Taken = "data" | "schema" | "nothing";

/** The databases of all branches of one kind. */
export interface Data {
  readonly kind: "mysql" | "postgresql";
  /** Makes the database of a branch. */
  make(branch: string, from?: string, taken?: Taken): Promise<void>;
  /** Takes it away, with everyone who could connect to it. */
  drop(branch: string): Promise<void>;
  /** Lets somebody in; `delay`: how many connections are refused until then. */
  addLogin(branch: string, user: string, password: string, role: "reader" | "admin", delay: number): Promise<Door>;
  /** Answers whether it is gone: of PostgreSQL it is not if something is its own and nobody is to have it. */
  dropLogin(branch: string, user: string, successor?: string): Promise<boolean>;
  run(branch: string, sql: string): Promise<void>;
  /** A digest of the schema, and of the rows if they are asked for. */
  digest(branch: string, withRows?: boolean): Promise<string>;
}

/** Where to connect. */
export interface Door {
  readonly host: string;
  readonly database: string;
}

/** Digests of what nobody can have changed: as long as no one has a login, none is asked for twice. */
class Digests {
  readonly #known = new Map<string, string>();

  forget(branch: string): void {
    for (const withRows of [true, false]) this.#known.delete(`${branch} ${withRows}`);
  }

  async of(branch: string, withRows: boolean, isOpen: boolean, work: () => Promise<string>): Promise<string> {
    const key = `${branch} ${withRows}`;
    const known = isOpen ? undefined : this.#known.get(key);
    const digest = known ?? await work();
    if (!isOpen) this.#known.set(key, digest);
    return digest;
  }
}

function digestOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}

/** One schema a branch, which all bear the database's name for those who come by the edge. */
export class VitessData implements Data, AsyncDisposable {
  readonly kind = "mysql";
  readonly #server: MariaDb;
  readonly #edge: Edge;
  readonly #digests = new Digests();

  private constructor(server: MariaDb, edge: Edge) {
    this.#server = server;
    this.#edge = edge;
  }

  static async open(server: MariaDb, database: string): Promise<VitessData> {
    return new VitessData(server, await Edge.open(database, server.port));
  }

  async make(branch: string, from?: string, taken: Taken = "data"): Promise<void> {
    await this.#server.as(async (root) => {
      await root.query(`CREATE DATABASE \`${branch}\`; USE \`${branch}\`; SET foreign_key_checks = 0`);
      if (from === undefined || taken === "nothing") return;
      for (const table of await tablesOf(root, from)) {
        const [[row]] = await root.query(`SHOW CREATE TABLE \`${from}\`.\`${table}\``) as never as [[string[]]];
        await root.query(Object.values(row)[1]!);
        if (taken === "data") await root.query(`INSERT INTO \`${table}\` SELECT * FROM \`${from}\`.\`${table}\``);
      }
    });
  }

  async drop(branch: string): Promise<void> {
    const users = [...this.#edge.routes].filter(([, { schema }]) => schema === branch).map(([user]) => user);
    for (const user of users) this.#edge.routes.delete(user);
    const all = users.map((user) => `DROP USER '${user}'@'%'; `);
    await this.#server.as((root) => root.query(`${all.join("")}DROP DATABASE IF EXISTS \`${branch}\``));
  }

  async addLogin(
    branch: string,
    user: string,
    password: string,
    role: "reader" | "admin",
    delay: number,
  ): Promise<Door> {
    const rights = role === "admin" ? "ALL" : "SELECT";
    this.#digests.forget(branch);
    await this.#server.as((root) =>
      root.query(`CREATE USER '${user}'@'%' IDENTIFIED BY ?; GRANT ${rights} ON \`${branch}\`.* TO '${user}'@'%'`, [
        password,
      ])
    );
    this.#edge.routes.set(user, { schema: branch, delay });
    return { host: this.#edge.host, database: this.#edge.database };
  }

  async dropLogin(_branch: string, user: string): Promise<boolean> {
    this.#edge.routes.delete(user);
    await this.#server.as((root) => root.query(`DROP USER '${user}'@'%'`));
    return true;
  }

  async run(branch: string, sql: string): Promise<void> {
    this.#digests.forget(branch);
    await this.#server.as((root) => root.query(`USE \`${branch}\`; ${sql}`));
  }

  async digest(branch: string, withRows = true): Promise<string> {
    const isOpen = [...this.#edge.routes.values()].some(({ schema }) => schema === branch);
    return await this.#digests.of(branch, withRows, isOpen, () => this.#read(branch, withRows));
  }

  async #read(branch: string, withRows: boolean): Promise<string> {
    return await this.#server.as(async (root) => {
      const found: unknown[] = [];
      for (const table of await tablesOf(root, branch)) {
        const name = `\`${branch}\`.\`${table}\``;
        const [[row]] = await root.query(`SHOW CREATE TABLE ${name}`) as never as [[string[]]];
        found.push(Object.values(row)[1]!.replace(/ AUTO_INCREMENT=\d+/, ""));
        if (withRows) found.push((await root.query(`SELECT * FROM ${name} ORDER BY 1`))[0]);
      }
      return digestOf(found);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#edge[Symbol.asyncDispose]();
  }
}

async function tablesOf(root: Connection, schema: string): Promise<string[]> {
  const [rows] = await root.query("SELECT table_name AS name FROM information_schema.tables WHERE table_schema = ?", [
    schema,
  ]);
  return (rows as { name: string }[]).map(({ name }) => name).sort();
}

/** What is called `postgres` at PlanetScale: it owns what a branch holds, and is no superuser. */
const OWNER = "branch_owner";
const TEMPLATE = "branch_template";

/** One database a branch, to which nobody may connect but who has a login of it. */
export class PostgresData implements Data {
  readonly kind = "postgresql";
  readonly #server: Server;
  readonly #logins = new Map<string, Set<string>>();
  readonly #digests = new Digests();
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(server: Server): Promise<PostgresData> {
    await server.query(`CREATE ROLE ${OWNER} NOLOGIN`);
    await server.query(`CREATE DATABASE ${TEMPLATE} TEMPLATE template0`);
    await server.query(`ALTER SCHEMA public OWNER TO ${OWNER}`, TEMPLATE);
    return new PostgresData(server);
  }

  /** One statement after the other: the server refuses some that meet. */
  #query(text: string, database?: string): ReturnType<Server["query"]> {
    return this.#inTurn(() => this.#server.query(text, database));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  async make(branch: string, from?: string, taken: Taken = "data"): Promise<void> {
    await this.#query(
      `CREATE DATABASE "${branch}" TEMPLATE "${taken === "data" && from || TEMPLATE}" STRATEGY FILE_COPY`,
    );
    await this.#query(`REVOKE CONNECT ON DATABASE "${branch}" FROM PUBLIC`);
  }

  async drop(branch: string): Promise<void> {
    await this.#query(`DROP DATABASE IF EXISTS "${branch}" WITH (FORCE)`);
    const roles = [...this.#logins.get(branch) ?? []].map((role) => `"${role}"`);
    this.#logins.delete(branch);
    if (roles.length > 0) await this.#query(`DROP ROLE ${roles.join(", ")}`);
  }

  async addLogin(branch: string, user: string, password: string, role: "reader" | "admin"): Promise<Door> {
    this.#digests.forget(branch);
    this.#logins.set(branch, (this.#logins.get(branch) ?? new Set()).add(user));
    await this.#query(
      `CREATE ROLE "${user}" LOGIN PASSWORD '${password}' IN ROLE ${role === "admin" ? OWNER : "pg_read_all_data"}; ` +
        `GRANT CONNECT ON DATABASE "${branch}" TO "${user}"`,
    );
    return { host: `127.0.0.1:${this.#server.port}`, database: branch };
  }

  async dropLogin(branch: string, user: string, successor?: string): Promise<boolean> {
    if (successor !== undefined) {
      const heir = successor === "postgres" ? OWNER : successor;
      await this.#query(`REASSIGN OWNED BY "${user}" TO "${heir}"`, branch);
    }
    const drop = `REVOKE CONNECT ON DATABASE "${branch}" FROM "${user}"; DROP ROLE "${user}"`;
    const isGone = await this.#query(drop).then(() => true, (error) => {
      if ((error as { code?: string }).code === "2BP01") return false; // dependent objects still exist
      throw error;
    });
    if (isGone) this.#logins.get(branch)?.delete(user);
    return isGone;
  }

  async run(branch: string, sql: string): Promise<void> {
    this.#digests.forget(branch);
    await this.#query(`SET ROLE ${OWNER}; ${sql}`, branch);
  }

  async digest(branch: string, withRows = true): Promise<string> {
    const isOpen = (this.#logins.get(branch)?.size ?? 0) > 0;
    return await this.#digests.of(branch, withRows, isOpen, () => this.#read(branch, withRows));
  }

  async #read(branch: string, withRows: boolean): Promise<string> {
    return await this.#inTurn(() =>
      this.#server.session(this.#server.url(branch), async (query) => {
        const tables = await query(
          "SELECT table_name AS name, string_agg(column_name || data_type, ',' ORDER BY ordinal_position) AS columns " +
            "FROM information_schema.columns WHERE table_schema = 'public' GROUP BY 1 ORDER BY 1",
        );
        const all = tables.map(({ name }) => `SELECT '${name}' AS table, to_jsonb(t)::text AS row FROM "${name}" AS t`);
        const rows = withRows && all.length > 0 ? await query(`${all.join(" UNION ALL ")} ORDER BY 1, 2`) : [];
        return digestOf([tables, rows]);
      })
    );
  }
}
