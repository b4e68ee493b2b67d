/**
 * What must always hold, and what must hold in the end, judged by what vendors and registry really hold.
 *
 * The one exception to "never two workers": a process that stood still for so long that its lock was taken over may,
 * when it wakes, send the one change of each resource that it had already announced under its lock. A second one, or
 * any once the registry has told it of the takeover, is a violation; what the one leaves behind must be found and mended.
 */
import { parseEnvFile, resourceTitle } from "../../mod.ts";
import type { Marker } from "../../core/provider.ts";
import type { SqlRow, Statement } from "../../core/state/sql.ts";
import type { Process } from "./process.ts";
import { SECRET } from "./provider.ts";
import { PROJECT, PROTECTED } from "./scenario.ts";
import type { Simulation } from "./simulation.ts";
import type { Item, Request, Vendor } from "./vendor.ts";
import type { Finding } from "../../core/lifecycle/finding.ts";

/** Statements that change what is known, by how they begin, and where their environment's name stands. */
const KNOWLEDGE: readonly (readonly [begins: string, env: number])[] = [
  ["INSERT INTO environments", 1],
  ["DELETE FROM environments", 1],
  ["INSERT OR REPLACE INTO resources", 1],
  ["DELETE FROM resources", 1],
  ["INSERT INTO journal", 2],
];

/** Watches one run. */
export class Watch {
  readonly violations: string[] = [];
  readonly #simulation: Simulation;
  readonly #holders = new Map<string, Process>();
  /** `process env resource step` of every intent that is durable. */
  readonly #intents = new Set<string>();
  /** The resource whose removal a process has last announced, by `process env operation`. */
  readonly #removed = new Map<string, string>();
  /** Processes that have sent the change which puts new data in the place of old. */
  readonly #swappers = new Set<Process>();
  readonly #stale = new Map<string, number>();
  #others: readonly (readonly [Vendor, Item, string])[] = [];

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  violate(what: string): void {
    if (!this.violations.includes(what)) this.violations.push(what);
  }

  /** Notes what must not change: whatever stands there before the first command. */
  remember(): void {
    this.#others = this.#simulation.vendors.flatMap((vendor) =>
      vendor.items().map((item) => [vendor, item, JSON.stringify(item)] as const)
    );
  }

  /** Notes what somebody else has made: it must not change either. */
  intruded(vendor: Vendor, item: Item): void {
    this.#others = [...this.#others, [vendor, item, JSON.stringify(item)]];
  }

  /** A command begins; gives what judges its end: without a code it says that it has done what it was asked. */
  begun(process: Process): (failedWith: string | undefined) => void {
    const { verb, env } = process.command;
    const { database, vendors } = this.#simulation;
    const known = () =>
      database.rows(["SELECT provider, id FROM resources WHERE env = ? AND id IS NOT NULL", env]).map((row) => ({
        id: row.id,
        item: vendors.find(({ traits }) => traits.name === row.provider)?.byId(String(row.id)),
      }));
    const before = known();
    const generations = new Map(before.map(({ item }) => [item, item?.generation ?? 0]));
    return (failedWith) => {
      const [lock] = database.rows(["SELECT 1 FROM locks WHERE env = ? AND owner <> ''", env]);
      if (failedWith !== undefined) {
        const mayBeHalf = /^(RESET_INCOMPLETE|LOCK_LOST|REGISTRY_UNREACHABLE|INTERRUPTED|)$/.test(failedWith);
        if (verb === "reset" && !mayBeHalf && this.#swappers.has(process)) {
          this.violate(`${process.name} fails with ${failedWith} after it has replaced data`);
        }
      } else if (verb === "delete") {
        for (const { id, item } of before) {
          if (item !== undefined && item.goneMs === undefined) {
            this.violate(`${process.name} is done, but ${id} is there`);
          }
        }
      } else if (lock === undefined && (verb === "new" || verb === "reset")) {
        const [row] = database.rows(["SELECT status, parent FROM environments WHERE name = ?", env]);
        if (row?.status !== "ready") return; // another has come meanwhile
        const rows = database.rows(["SELECT * FROM resources WHERE env = ?", env]);
        for (const vendor of vendors) this.#checkUsable(env, String(row.parent), vendor, rows);
        if (verb === "new") return;
        for (const { id, item } of known()) {
          if (item?.generation === generations.get(item)) {
            this.violate(`${process.name} is done, but ${id} is as it was`);
          }
        }
      }
    };
  }

  /** A transaction was done. */
  written(process: Process, statements: readonly Statement[]): void {
    for (const [at, [sql, ...args]] of statements.entries()) {
      if (sql.startsWith("INSERT INTO locks")) {
        this.#asked(process, String(args[0]), String(args[1]));
      } else if (sql.startsWith("UPDATE locks SET beat") && !this.#holds(process, String(args[0]))) {
        process.learning.add(String(args[0]));
      }
      const known = KNOWLEDGE.find(([begins]) => sql.startsWith(begins));
      if (known === undefined) continue;
      const env = String(statements[at][known[1]]);
      if (!this.#holds(process, env)) this.violate(`${process.name} writes of ${env}, whose lock it does not hold`);
      if (sql.startsWith("INSERT INTO journal") && args[4] === "intent") {
        this.#announced(process, env, String(args[2]), String(args[3]), String(args[0]));
      }
    }
  }

  /** A transaction was refused: by the fence, if it has one. */
  refused(process: Process, statements: readonly Statement[]): void {
    if (!statements.some(([sql]) => sql.startsWith("INSERT INTO fence"))) return;
    this.#simulation.count("writes refused by the fence");
    for (const env of process.tokens.keys()) if (!this.#holds(process, env)) process.learning.add(env);
  }

  #asked(process: Process, env: string, owner: string): void {
    const [lock] = this.#simulation.database.rows(["SELECT token FROM locks WHERE env = ? AND owner = ?", env, owner]);
    if (lock === undefined) return;
    const key = `${env} ${lock.token}`;
    const other = this.#holders.get(key);
    if (other !== undefined && other !== process) this.violate(`${process.name} and ${other.name} hold token ${key}`);
    this.#holders.set(key, process);
    process.tokens.set(env, Number(lock.token));
    if (other === undefined) this.#simulation.count("locks taken");
    process.lost.delete(env);
  }

  #holds(process: Process, env: string): boolean {
    const [lock] = this.#simulation.database.rows(["SELECT token, owner FROM locks WHERE env = ?", env]);
    return lock !== undefined && lock.owner !== "" && lock.token === process.tokens.get(env);
  }

  #announced(process: Process, env: string, resource: string, step: string, operation: string): void {
    this.#intents.add(`${process.name} ${env} ${resource} ${step}`);
    if (step !== "delete" || process.command.verb === "doctor") return; // orphans go in any order
    const run = `${process.name} ${env} ${operation}`;
    const before = this.#removed.get(run);
    this.#removed.set(run, resource);
    const [row] = this.#simulation.database.rows(["SELECT status FROM environments WHERE name = ?", env]);
    const isUndoing = row?.status === "undoing" || row?.status === "deleting";
    if (!isUndoing || before === undefined || before > resource) return;
    this.violate(
      `${process.name} removes ${before} of ${env} before ${resource}, though they were begun in that order`,
    );
  }

  /** A process sends a change. */
  sent(process: Process, vendor: Vendor, request: Request, of: Pick<Marker, "env" | "resource">): void {
    const { env, resource } = of;
    const what = `${process.name} sends ${request.op} for ${resource} of ${env}`;
    if (process.tokens.get(env) === undefined) return this.violate(`${what} without its lock`);
    if (process.lost.has(env)) this.violate(`${what} though it knows that another has taken over`);
    if (!this.#holds(process, env)) {
      const key = `${process.name} ${env} ${resource}`;
      const count = (this.#stale.get(key) ?? 0) + 1;
      this.#stale.set(key, count);
      this.#simulation.count("changes sent by a worker that was taken over");
      this.#simulation.tell(`${process.name}: its lock on ${env} is another's by now`);
      if (count > 1) this.violate(`${what}: the second after its lock was taken over`);
    }
    const item = "id" in request ? vendor.byId(request.id) : undefined;
    const steps = stepsOf(request, item);
    if (!steps.some((step) => this.#intents.has(`${process.name} ${env} ${resource} ${step}`))) {
      this.violate(`${what} before its intent is durable`);
    }
    if (request.op === "swap") {
      this.#swappers.add(process);
      const [row] = this.#simulation.database.rows(["SELECT status FROM environments WHERE name = ?", env]);
      if (row?.status !== "resetting" && this.#holds(process, env)) this.violate(`${what} while it is ${row?.status}`);
    }
    if (request.op === "delete" && process.command.verb === "reset" && item?.isStaged === false) {
      this.violate(`${what}: a reset removes the old data`);
    }
  }

  /** A vendor does a change, perhaps long after it was sent. */
  acting(process: Process, vendor: Vendor, request: Request): void {
    if (!("id" in request) || request.op === "get") return;
    const item = vendor.byId(request.id);
    if (item === undefined) return;
    const what = `${process.name}: ${request.op} of ${item.name}`;
    if (item.maker === "outside") return this.violate(`${what}, which forkstack did not make`);
    if (item.maker.env === PROTECTED) this.violate(`${what}, which is protected`);
    if (request.op !== "delete") return;
    const [row] = this.#simulation.database.rows([
      "SELECT 1 FROM resources JOIN environments ON environments.name = env WHERE id = ? AND env = ? AND status = 'ready'",
      item.id,
      item.maker.env,
    ]);
    if (row !== undefined) this.violate(`${what}, which a ready environment uses`);
  }

  /** Whatever stood there before the first command stands there as it was. */
  checkOthers(): void {
    for (const [vendor, item, before] of this.#others) {
      const now = vendor.byId(item.id);
      if (now === undefined || JSON.stringify(now) !== before) this.violate(`${item.name} was changed or deleted`);
    }
  }

  /** Everything that must hold once all is mended. */
  async checkEnd(findings: readonly Finding[]): Promise<void> {
    const { database, vendors, files, project } = this.#simulation;
    this.checkOthers();
    const environments = new Map(database.rows(["SELECT * FROM environments"]).map((row) => [String(row.name), row]));
    const rows = database.rows(["SELECT * FROM resources"]);
    const others = new Set(this.#others.map(([, item]) => item));
    for (const vendor of vendors) {
      for (const item of vendor.items()) {
        if (others.has(item) || item.goneMs !== undefined) continue;
        const row = rows.find((one) => one.id === item.id && one.provider === vendor.traits.name);
        // Where a vendor stores no mark, what came late is shown, not deleted: it might be a person's.
        const isShown = vendor.traits.ownership !== "marked" &&
          findings.some((one) => one.problem.includes(item.name));
        if (row === undefined && !isShown) {
          this.violate(`${item.name} (${item.id}) was left behind: the registry has no such id`);
        }
      }
    }
    for (const row of rows) {
      if (!environments.has(String(row.env))) {
        this.violate(`the registry keeps ${row.key} of ${row.env}, which is gone`);
      }
    }
    for (const [env, environment] of environments) {
      if (environment.status !== "ready") this.violate(`${env} is still ${environment.status}`);
      else for (const vendor of vendors) this.#checkUsable(env, String(environment.parent), vendor, rows);
    }
    for (const env of ["alice", "bob", "carol"]) {
      const text = await files.read(`${project.stateRoot}/.forkstack/envs/${env}.env`);
      if (text === undefined) continue;
      const ids = rows.filter((row) => row.env === env).map((row) => `sim:${row.id}`);
      const { URL: url } = parseEnvFile(text);
      if (!environments.has(env)) this.violate(`the variables of ${env} are still there`);
      else if (!ids.includes(url)) this.violate(`the variables of ${env} name ${url}, which it does not have`);
    }
    const known = JSON.stringify([rows, [...environments], database.rows(["SELECT * FROM journal"])]);
    if (known.includes(SECRET)) this.violate("the registry holds a secret");
  }

  #checkUsable(env: string, parent: string, vendor: Vendor, rows: readonly SqlRow[]): void {
    const { kind } = vendor.traits;
    const row = rows.find((one) => one.env === env && one.key === kind);
    const what = `${env} is ready, but its ${kind}`;
    if (row?.state !== "ready") return this.violate(`${what} is ${row?.state}`);
    const item = vendor.byId(String(row.id));
    if (item === undefined || item.goneMs !== undefined) return this.violate(`${what} is gone`);
    if (item.maker === "outside" || item.maker.env !== env || item.maker.resource !== kind) {
      return this.violate(`${what} is another's: ${item.name}`);
    }
    const source = resourceTitle(kind, PROJECT, parent);
    if (env !== PROTECTED && item.data !== source) this.violate(`${what} is a fork of ${item.data}, not of ${source}`);
  }
}

/** The steps of the journal one of which announces a change. */
function stepsOf(request: Request, item: Item | undefined): readonly string[] {
  if (request.op === "create") return request.isStaged ? ["reset"] : ["create"];
  if (request.op === "mark") return ["create"];
  if (request.op === "delete") return item?.isStaged === false ? ["delete"] : ["delete", "reset"];
  return [request.op === "swap" ? "reset" : "extend"];
}
