/**
 * The registry: environments, their resources with the vendors' ids, the journal, locks and checkouts.
 *
 * Every write of a worker is fenced: it carries the token of its lock, and is refused as a whole once another worker
 * has taken over the environment.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";
import { isRegistryId, newRegistryId } from "../marker.ts";
import type { Marker } from "../provider.ts";
import {
  checkoutOf,
  checkSchema,
  damagedRegistry,
  environmentOf,
  journalLineOf,
  keptOf,
  lockOf,
  namedEnv,
  resourceOf,
  sound,
  statementError,
  unansweredOf,
} from "./rows.ts";
import { foreignRegistry } from "./registry_file.ts";
import { MIGRATIONS, SCHEMA, SCHEMA_VERSION, SHAPE } from "./registry_schema.ts";
import { byKey, byName, quoted } from "../text/printable.ts";
import type { Sql, SqlRow, Statement } from "./sql.ts";
import type {
  Checkout,
  DamagedRow,
  Environment,
  JournalLine,
  KeptFork,
  Lock,
  Original,
  ResourceRow,
} from "./records.ts";
import { ADOPTED, statements } from "./statements.ts";
import { isPath } from "../text/field_checks.ts";
import type { Project } from "../project/project.ts";

/** The journal line of a copy for which no last copied line is recorded yet: all lines count as copied. */
export const WHOLE_JOURNAL = Number.MAX_SAFE_INTEGER;

/** The journal step of a takeover: an empty thing that nothing proved to be ours became this run's. */
export const TAKEN_OVER = "taken over";
/** The journal step of a create that the vendor refused because the name is taken. */
export const REFUSED = "refused";

/** Brings a registry to a version; no error if another process did so first. */
async function migrate(sql: Sql, version: number): Promise<void> {
  try {
    await sql.write([...MIGRATIONS[version], ["UPDATE meta SET value = ? WHERE key = 'version'", String(version)]]);
  } catch (error) {
    const [now] = await sql.read(["SELECT value FROM meta WHERE key = 'version'"]);
    if (Number(now?.value) < version) throw error;
  }
}

/** Prefix of the `meta` keys that name directories whose registry this one is a copy of. */
const ORIGINAL = "original:";

/** Sets the registry's id unless it has one; returns the id that it has. */
async function identify(sql: Sql, id: string): Promise<unknown> {
  const [, [row]] = await sql.write([
    ["INSERT INTO meta (key, value) VALUES ('id', ?) ON CONFLICT (key) DO NOTHING", id],
    ["SELECT value FROM meta WHERE key = 'id'"],
  ]);
  return row!.value;
}

/** The parts of an opened registry, with its `meta`. */
interface Opened {
  readonly sql: Sql;
  readonly project: string;
  readonly lockDirectory: string | undefined;
  readonly id: string;
  readonly meta: ReadonlyMap<string, unknown>;
}

/** The registry of one project. */
export class Registry {
  readonly #sql: Sql;
  readonly #project: string;
  /** Directory of the lock files of live holders; absent for a registry that several machines share. */
  readonly lockDirectory: string | undefined;
  /**
   * Random id. Markers contain it, so that forks of another registry of the same stack are not mistaken for this one's.
   */
  readonly id: string;
  /** Ids of the registries whose forks `--adopt` gave to this one; `<id>/<env>` for one environment only. */
  readonly #adopted: Set<string>;
  /** The directory to which the registry was bound last; absent if it is on a server. */
  readonly home: string | undefined;
  /** The registries that it is a copy of; `open_registry.ts` keeps only those that still exist. */
  originals: readonly Original[];

  private constructor({ sql, project, lockDirectory, id, meta }: Opened) {
    this.#sql = sql;
    this.#project = project;
    this.lockDirectory = lockDirectory;
    this.id = id;
    const named = (prefix: string) =>
      [...meta].filter(([key]) => key.startsWith(prefix)).map(([key, value]) => [key.slice(prefix.length), value]);
    this.#adopted = new Set(named(ADOPTED).map(([of]) => String(of)));
    this.home = homeOf(meta.get("home"));
    this.originals = named(ORIGINAL).map(([of, seq]) => {
      if (!/^\d{1,15}$/.test(String(seq))) throw damagedRegistry(`a copy's line is ${quoted(seq)}`);
      return { directory: homeOf(of)!, seq: Number(seq) };
    });
  }

  /**
   * Opens a registry and updates its schema; rejects one of a newer forkstack. A new registry gets `id`, or a random
   * id.
   */
  static async open(
    sql: Sql,
    project: Pick<Project, "name">,
    lockDirectory?: string,
    id: string = newRegistryId(),
  ): Promise<Registry> {
    try {
      const schema = await sql.read(SHAPE);
      const tables = schema.filter(({ type }) => type === "table").map(({ name }) => name);
      const isThere = tables.includes("meta");
      if (!isThere) {
        const other = tables.find((name) => !/^(sqlite|libsql|_)/.test(String(name)));
        if (other !== undefined) throw foreignRegistry(`it holds a table ${quoted(other)} that is not forkstack's`);
        await sql.write([...SCHEMA, [
          "INSERT INTO meta (key, value) VALUES ('project', ?) ON CONFLICT (key) DO NOTHING",
          project.name,
        ]]);
      }
      const meta = new Map(
        (await sql.read(["SELECT key, value FROM meta"])).map((row) => [String(row.key), row.value]),
      );
      const version = String(meta.get("version"));
      if (!/^[1-9]\d{0,5}$/.test(version)) {
        throw damagedRegistry(`its version is ${quoted(meta.get("version") ?? null)}`);
      }
      if (Number(version) > SCHEMA_VERSION) {
        throw new ForkstackError(
          "REGISTRY_NEWER",
          `Cannot use the registry: its schema is version ${version}, this forkstack knows up to ${SCHEMA_VERSION}`,
          { hint: "Update forkstack" },
        );
      }
      // Another process may bring it up to date between the two looks.
      if (isThere) checkSchema(tables.includes("checkouts") ? schema : await sql.read(SHAPE), Number(version));
      if (meta.get("project") !== project.name) {
        throw foreignRegistry(`it is of project ${quoted(meta.get("project") ?? null)}, not "${project.name}"`);
      }
      for (let next = Number(version) + 1; next <= SCHEMA_VERSION; next++) await migrate(sql, next);
      const known: unknown = meta.get("id") ?? await identify(sql, id);
      if (!isRegistryId(known)) throw damagedRegistry(`its id is ${quoted(known)}`);
      return new Registry({ sql, project: project.name, lockDirectory, id: known, meta });
    } catch (error) {
      sql.close();
      throw statementError(error);
    }
  }

  close(): void {
    this.#sql.close();
  }

  /** Returns true if a marker is of this registry: it has its id, an adopted one, or none (as markers of 0.1.0). */
  owns({ registry: id, env }: Pick<Marker, "registry" | "env">): boolean {
    return id === undefined || id === this.id || this.#adopted.has(id) || this.#adopted.has(`${id}/${env}`);
  }

  /** Adopts the forks of another registry: all from now on, or those of `env` until it is deleted. */
  async adopt(id: string, env?: string): Promise<void> {
    const key = env === undefined ? id : `${id}/${env}`;
    await this.#write([["INSERT INTO meta (key, value) VALUES (?, '') ON CONFLICT (key) DO NOTHING", ADOPTED + key]]);
    this.#adopted.add(key);
  }

  /**
   * Binds the registry to a directory. `copiedFrom` is the directory of the original, if it is a copy; returns the
   * number of the last journal line, up to which the journal was copied.
   */
  async bind(directory: string, copiedFrom?: string): Promise<number> {
    const put = "ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    const home: Statement = [`INSERT INTO meta (key, value) VALUES ('home', ?) ${put}`, directory];
    const last: Statement = ["SELECT COALESCE(MAX(seq), 0) AS seq FROM journal"];
    const copied: Statement = [
      `INSERT INTO meta (key, value) SELECT ?, COALESCE(MAX(seq), 0) FROM journal WHERE true ${put}`,
      `${ORIGINAL}${copiedFrom}`,
    ];
    // Directories that were noted in the original are on its environments, not on this one's.
    const more = copiedFrom === undefined ? [] : [copied, ["DELETE FROM checkouts"] as const];
    const [[row]] = await this.#write([last, home, ...more]);
    return row!.seq as number;
  }

  /** Removes the record that the registry is a copy of the one in this directory. */
  async forgetOriginal(directory: string): Promise<void> {
    await this.#write([["DELETE FROM meta WHERE key = ?", ORIGINAL + directory]]);
  }

  /** Returns true if the journal, up to line `seq`, has a line of this run. */
  async knewOperation(operation: string, seq: number): Promise<boolean> {
    const statement = "SELECT 1 AS known FROM journal WHERE operation = ? AND seq <= ? LIMIT 1";
    return (await this.#read([statement, operation, seq])).length > 0;
  }

  async #read(statement: Statement): Promise<SqlRow[]> {
    return await this.#sql.read(statement).catch((error) => {
      throw statementError(error);
    });
  }

  async #write(statements: readonly Statement[]): Promise<SqlRow[][]> {
    return await this.#sql.write(statements).catch((error) => {
      throw statementError(error);
    });
  }

  /** Lists all environments with a valid row, by name; `damaged` returns the others. */
  async environments(): Promise<Environment[]> {
    return byName(sound(await this.#read(["SELECT * FROM environments"]), environmentOf).rows);
  }

  async environment(name: string): Promise<Environment | undefined> {
    const [row] = await this.#read(["SELECT * FROM environments WHERE name = ?", name]);
    return row && environmentOf(row);
  }

  /** Lists the resources of an environment, by key. */
  async resources(env: string): Promise<ResourceRow[]> {
    const rows = await this.#read(["SELECT * FROM resources WHERE env = ?", env]);
    return rows.map((row) => resourceOf(row, this.#project)).sort(byKey);
  }

  /** Lists the resources of all environments, valid rows only. */
  async allResources(): Promise<ResourceRow[]> {
    const rows = await this.#read(["SELECT * FROM resources ORDER BY env, key"]);
    return sound(rows, (row) => resourceOf(row, this.#project)).rows;
  }

  /** Lists the journal of an environment, oldest line first. */
  async journal(env: string): Promise<JournalLine[]> {
    return (await this.#read(["SELECT * FROM journal WHERE env = ? ORDER BY seq", env])).map(journalLineOf);
  }

  async lock(env: string): Promise<Lock | undefined> {
    const [row] = await this.#read(["SELECT * FROM locks WHERE env = ? AND owner <> ''", env]);
    return row && lockOf(row);
  }

  /**
   * Takes the lock if it is free, or still held as in `seen`, by a holder that has stopped. Returns the token, or the
   * lock of the present holder. `owner` is unique for each holder: called again after a lost reply, it returns the same
   * token.
   */
  async acquire(env: string, owner: string, purpose: string, seen?: Lock): Promise<number | Lock> {
    const [, [holder]] = await this.#write([
      [
        `INSERT INTO locks (env, owner, purpose, token, beat) VALUES (?, ?, ?, 1, 0) ON CONFLICT (env) DO UPDATE
         SET owner = excluded.owner, purpose = excluded.purpose, token = token + 1, beat = beat + 1
         WHERE owner = '' OR (token = ? AND beat = ?)`,
        env,
        owner,
        purpose,
        seen?.token ?? -1,
        seen?.beat ?? -1,
      ],
      ["SELECT * FROM locks WHERE env = ?", env],
      ["DELETE FROM fence WHERE env = ? AND token < (SELECT token FROM locks WHERE env = ?)", env, env],
    ]);
    const lock = lockOf(holder);
    return lock.owner === owner ? lock.token : lock;
  }

  /** Raises the holder's beat; returns false once another worker has taken over. */
  async beat(env: string, token: number): Promise<boolean> {
    const [rows] = await this.#write([
      ["UPDATE locks SET beat = beat + 1 WHERE env = ? AND token = ? AND owner <> '' RETURNING beat", env, token],
    ]);
    return rows.length > 0;
  }

  async release(env: string, token: number): Promise<void> {
    await this.#write([
      ["UPDATE locks SET owner = '' WHERE env = ? AND token = ?", env, token],
      ["DELETE FROM fence WHERE env = ? AND token = ?", env, token],
    ]);
  }

  /** Lists the environments whose lease has ended, valid rows only. */
  async expired(now: string): Promise<Environment[]> {
    const rows = await this.#read(["SELECT * FROM environments WHERE expires_at <= ?", now]);
    return byName(sound(rows, environmentOf).rows);
  }

  /** Returns the error of the damaged rows of environments; `undefined` if all rows are valid. */
  async environmentsError(): Promise<ForkstackError | undefined> {
    const [first, ...more] =
      sound(await this.#read(["SELECT * FROM environments ORDER BY name"]), environmentOf).damaged;
    if (first === undefined || more.length === 0) return first?.error;
    const { code, message, hint } = first.error;
    return new ForkstackError(
      code,
      `${message}; ${more.length} more ${more.length === 1 ? "row is" : "rows are"} damaged`,
      { hint },
    );
  }

  /** Lists the rows that fail their check, each with the statement that removes it. */
  async damaged(): Promise<DamagedRow[]> {
    const all = await Promise.all(
      Object.entries(this.#checks()).map(async ([table, check]) => {
        const rows = await this.#read([`SELECT rowid AS forkstack_row, * FROM ${table}`]);
        return sound(rows, check).damaged.map(({ row, error }): DamagedRow => ({
          table,
          error,
          env: namedEnv(row),
          forget: [`DELETE FROM ${table} WHERE rowid = ?`, row.forkstack_row],
        }));
      }),
    );
    return all.flat();
  }

  /** Removes damaged rows. An environment that lost the row of a resource is no longer `ready`. */
  async forget(rows: readonly DamagedRow[]): Promise<void> {
    const envs = rows.flatMap(({ table, env }) => table === "resources" && env !== undefined ? [env] : []);
    await this.#write([
      ...rows.map(({ forget }) => forget),
      ...envs.map((env): Statement => [
        "UPDATE environments SET status = 'creating' WHERE name = ? AND status = 'ready'",
        env,
      ]),
    ]);
  }

  #checks(): Readonly<Record<string, (row: SqlRow) => unknown>> {
    return {
      environments: environmentOf,
      resources: (row) => resourceOf(row, this.#project),
      journal: journalLineOf,
      locks: (row) => row.owner === "" ? undefined : lockOf(row),
      checkouts: checkoutOf,
    };
  }

  /** Lists the backups of deleted environments that were not purged since; valid lines of the journal only. */
  async kept(): Promise<KeptFork[]> {
    const rows = await this.#read([
      `SELECT env, resource, operation, id, max(at) AS at FROM journal AS kept
        WHERE step = 'keep' AND phase = 'done' AND id IS NOT NULL AND NOT EXISTS (
          SELECT 1 FROM journal WHERE env = kept.env AND step = 'purge' AND phase = 'done' AND id = kept.id)
        GROUP BY env, resource, id ORDER BY env, at`,
    ]);
    return sound(rows, keptOf).rows;
  }

  /** Lists the ids from the vendor's answers about things that a run created, newest first. */
  async recorded(env: string, resource: string, operation: string): Promise<{ step: string; id: string }[]> {
    const rows = await this.#read([
      `SELECT step, id FROM journal WHERE env = ? AND resource = ? AND operation = ? AND id IS NOT NULL
        AND phase = 'record' AND step NOT IN ('${TAKEN_OVER}', '${REFUSED}') ORDER BY seq DESC`,
      env,
      resource,
      operation,
    ]);
    return rows as unknown as { step: string; id: string }[];
  }

  /** Returns true if a run took over a thing without proof of ownership: no undo deletes it then. */
  async isTakenOver(resource: string, operation: string): Promise<boolean> {
    return await this.#isNoted(TAKEN_OVER, resource, operation);
  }

  /**
   * Returns true if the vendor refused a create of the run because the name is taken: the run takes nothing over then.
   */
  async isRefused(resource: string, operation: string): Promise<boolean> {
    return await this.#isNoted(REFUSED, resource, operation);
  }

  async #isNoted(step: string, resource: string, operation: string): Promise<boolean> {
    const rows = await this.#read([
      "SELECT 1 AS found FROM journal WHERE resource = ? AND operation = ? AND step = ? AND phase = 'record' LIMIT 1",
      resource,
      operation,
      step,
    ]);
    return rows.length > 0;
  }

  /** Returns true if the journal has a line of this run; the run of another registry has none. */
  async knowsOperation(operation: string): Promise<boolean> {
    return (await this.#read(["SELECT 1 AS known FROM journal WHERE operation = ? LIMIT 1", operation])).length > 0;
  }

  /** Returns true if any resource of an environment was ever created under this registry. */
  async wasMade(env: string): Promise<boolean> {
    const statement = "SELECT 1 AS made FROM journal WHERE env = ? AND step = 'create' AND phase = 'done' LIMIT 1";
    return (await this.#read([statement, env])).length > 0;
  }

  /**
   * Lists the runs that began to create a resource and have no answer of the vendor on record: not that it is made, not
   * that it was refused or never asked for.
   */
  async unanswered(resource: string): Promise<Pick<JournalLine, "env" | "operation" | "at">[]> {
    const rows = await this.#read([
      `SELECT env, operation, max(at) AS at FROM (
         SELECT *, lead(phase) OVER (PARTITION BY env, operation ORDER BY seq) AS next FROM journal
         WHERE resource = ? AND step IN ('create', '${REFUSED}'))
       WHERE phase = 'intent' AND coalesce(next, 'intent') = 'intent'
       GROUP BY env, operation ORDER BY max(seq) DESC`,
      resource,
    ]);
    return sound(rows, unansweredOf).rows;
  }

  /** Records that an environment was used, together with further statements. */
  async touch(env: string, at: string, more: readonly Statement[] = []): Promise<void> {
    await this.#write([statements.touch(env, at), ...more]);
  }

  /** Lists all checkouts with a valid row, by path. */
  async checkouts(): Promise<Checkout[]> {
    if (this.originals.some(({ seq }) => seq === WHOLE_JOURNAL)) return []; // still the original's: see `bind`
    return sound(await this.#read(["SELECT * FROM checkouts ORDER BY path, host"]), checkoutOf).rows;
  }

  /** Removes checkouts whose directory is gone or on another environment. */
  async forgetCheckouts(all: readonly Checkout[]): Promise<void> {
    if (all.length > 0) await this.#write(all.map(statements.dropCheckout));
  }

  /**
   * Runs the statements of a lock's holder, all or none; throws `LOCK_LOST` if it no longer holds the lock. They take
   * effect once even if the database gets them twice: the row in `fence` is refused without a valid token, and a second
   * time by its id.
   */
  async fenced(env: string, token: number, statements: readonly Statement[]): Promise<void> {
    const guard: Statement = [
      `INSERT INTO fence (id, env, token)
       VALUES (?, ?, (SELECT token FROM locks WHERE env = ? AND token = ? AND owner <> ''))`,
      crypto.randomUUID(),
      env,
      env,
      token,
    ];
    try {
      await this.#sql.write([guard, ...statements]);
    } catch (error) {
      const { message } = error as Error;
      if (/UNIQUE constraint failed: fence\.id/.test(message)) return; // the reply of the first time was lost
      if (!/NOT NULL constraint failed: fence\.token/.test(message)) throw statementError(error);
      throw new ForkstackError(
        "LOCK_LOST",
        `Cannot continue with environment "${env}": another worker has taken it over`,
        {
          hint: "Run `forkstack status` to see what it did",
          retryable: true,
          details: { env },
          cause: error,
        },
      );
    }
  }
}

/** Returns the directory that a row of `meta` names. */
function homeOf(value: unknown): string | undefined {
  if (value === undefined || isPath(value)) return value;
  throw damagedRegistry(`its home is ${quoted(value)}`);
}
