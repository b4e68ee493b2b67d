/**
 * The databases behind Supabase's emulator: one of a real PostgreSQL server for each branch, and one for the project.
 */
import postgres from "npm:postgres@3.4.9";
import type { Server } from "./postgres_server.ts";

/** What a branch, or the project, is to its database. */
export interface Room {
  readonly ref: string;
  readonly withData: boolean;
  /** The password of its role. */
  readonly password: string;
  /** How many connections it still refuses. */
  refusing: number;
  /** Somebody was in it. */
  isTouched: boolean;
  /** Settled when it is there. */
  built?: Promise<void>;
}

/** A project's database that is there, and all that it holds. */
export interface Prepared {
  readonly database: string;
  readonly content: string;
}

/** Those of one project. */
export class Databases {
  readonly server: Server;
  readonly #admin: postgres.Sql;
  readonly #prepared: Prepared | undefined;
  /** What the project holds, as long as nobody was in it. */
  #content: string | undefined;

  constructor(server: Server, prepared?: Prepared) {
    this.server = server;
    this.#prepared = prepared;
    this.#content = prepared?.content;
    this.#admin = postgres(server.url(), { max: 1, fetch_types: false, onnotice: () => {} });
  }

  /** Makes the project's, with these tables and rows. */
  async fill(project: Room, sql: string): Promise<void> {
    await this.#build(project, "template0");
    await this.server.query(sql, nameOf(project));
  }

  /** The name of a branch's database. A clone is made when it is first needed. */
  async open(room: Room, project: Room): Promise<string> {
    room.isTouched = true;
    await this.#build(room, room.withData ? this.#prepared?.database ?? nameOf(project) : "template0");
    return nameOf(room);
  }

  /** The name of the project's; before it can change, all clones are made. */
  async openProject(project: Room, clones: Iterable<Room>): Promise<string> {
    if (this.#prepared) throw new Error("a prepared database is not to be changed");
    for (const one of clones) if (one.withData && !one.isTouched) await this.open(one, project);
    project.isTouched = true;
    return nameOf(project);
  }

  /** Runs migrations, on an empty database; what fails leaves a half-built one, and is told by `false`. */
  async replay(room: Room, project: Room, migrations: readonly string[]): Promise<boolean> {
    if (migrations.length === 0) return true;
    const database = await this.open(room, project);
    for (const sql of migrations) {
      try {
        await this.server.query(sql, database);
      } catch {
        return false;
      }
    }
    return true;
  }

  /** Every row of a branch's, or of the project's. */
  async contentOf(room: Room, project: Room): Promise<string> {
    if (room.isTouched) return await contentIn(this.server, nameOf(room));
    if (room !== project) return room.withData ? await this.contentOf(project, project) : "[]";
    return this.#content ??= await contentIn(this.server, nameOf(project));
  }

  async sizeOf(database: string): Promise<number> {
    const [row] = await this.#admin`SELECT pg_database_size(${database})::text AS size`;
    return Number(row!.size);
  }

  async drop(room: Room): Promise<void> {
    const { built } = room;
    delete room.built;
    if (built === undefined) return;
    await built;
    await this.#admin.unsafe(`DROP DATABASE ${nameOf(room)} WITH (FORCE)`);
    await this.#admin.unsafe(`DROP ROLE ${nameOf(room)}`);
  }

  async close(): Promise<void> {
    await this.#admin.end();
  }

  /** Once, however many ask at a time. */
  #build(room: Room, template: string): Promise<void> {
    return room.built ??= (async () => {
      await this.#admin.unsafe(`CREATE DATABASE ${nameOf(room)} TEMPLATE ${template} STRATEGY FILE_COPY`);
      await this.#admin.unsafe(`CREATE ROLE ${nameOf(room)} LOGIN SUPERUSER PASSWORD '${room.password}'`);
    })();
  }
}

/** Every row of a database. */
export async function contentIn(server: Server, database: string): Promise<string> {
  return await server.session(server.url(database), async (query) => {
    const tables = await query(
      "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    );
    const all = tables.map(({ relname }) => `SELECT '${relname}' AS t, to_jsonb(x)::text AS r FROM "${relname}" x`);
    return all.length === 0 ? "[]" : JSON.stringify(await query(`${all.join(" UNION ALL ")} ORDER BY 1, 2`));
  });
}

/** Of its database and of its role. */
function nameOf({ ref }: Room): string {
  return `branch_${ref}`;
}
