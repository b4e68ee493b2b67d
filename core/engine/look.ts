/**
 * Comparison of the recorded resources of an environment with what exists at their vendors.
 *
 * @module
 */
import { ForkstackError, isForkstackError } from "../../mod.ts";
import type { Engine, Inspectable } from "./engine.ts";
import type { Held, Inspection } from "../provider.ts";
import type { Environment, ResourceRow } from "../state/records.ts";
import { BASE_ENVS, type Project, protectedEnvs } from "../project/project.ts";
import { mendingCommand } from "./resource_report.ts";
import { inspectResource, recordedResource } from "./context.ts";

/** The state of a recorded resource at its vendor. */
export type Standing =
  | { readonly state: "ready" | "pending"; readonly held: Held }
  /** The fork is gone. `hasRemains`: something of it is left, at least its marker. */
  | { readonly state: "gone"; readonly hasRemains: boolean }
  /** Another thing has the name of the fork. */
  | { readonly state: "other"; readonly reason: string; readonly isUnmarked: boolean };

/** The result of looking at one resource. */
export interface Looked {
  readonly row: ResourceRow;
  /** Absent if the look failed. */
  readonly standing?: Standing;
  /** The error of the look. */
  readonly error?: unknown;
}

/** Compares the result of `inspect` with a row: only the fork with the row's id counts as present. */
export function standingOf(seen: Inspection, row: ResourceRow): Standing {
  if (seen.state === "absent" || seen.state === "deleting") {
    return { state: "gone", hasRemains: seen.state === "deleting" };
  }
  if (seen.state === "foreign") {
    return { state: "other", reason: seen.reason, isUnmarked: seen.holder === undefined };
  }
  if (seen.fork.id !== row.id) return { state: "other", reason: "another fork has its name", isUnmarked: false };
  return { state: seen.state, held: { id: row.id, name: row.title } };
}

/**
 * Looks at recorded resources in parallel, one call each, for at most `waitMs` (no limit by default). A vendor that is
 * late or refuses affects its own resource only. `resourceOf` returns the resource of a row; by default it loads the
 * recorded provider.
 *
 * @throws {ForkstackError} INTERRUPTED on Ctrl-C; REGISTRY_DAMAGED, STATE_DAMAGED or ANSWER_INVALID for invalid data
 */
export async function lookAt(
  engine: Engine,
  rows: readonly ResourceRow[],
  waitMs: number | undefined,
  resourceOf: (engine: Engine, row: ResourceRow) => Promise<Inspectable> = recordedResource,
): Promise<Looked[]> {
  const look = (within: Engine, deadline?: Promise<never>) =>
    Promise.all(rows.map(async (row): Promise<Looked> => {
      try {
        const standing = standingAt(within, row, resourceOf);
        return { row, standing: await (deadline === undefined ? standing : Promise.race([standing, deadline])) };
      } catch (error) {
        const isUnsound = isForkstackError(error) && /_DAMAGED$|^ANSWER_INVALID$/.test(error.code);
        if (isUnsound || engine.signal.aborted) throw error;
        return { row, error };
      }
    }));
  if (rows.length === 0 || waitMs === undefined) return await look(engine);
  return await before(engine, waitMs, look);
}

async function standingAt(
  engine: Engine,
  row: ResourceRow,
  resourceOf: (engine: Engine, row: ResourceRow) => Promise<Inspectable>,
): Promise<Standing> {
  return standingOf(await inspectResource(engine, await resourceOf(engine, row), row, [row]), row);
}

/** Runs `work` with an engine whose signal is aborted at the deadline; rejects at the deadline too. */
export async function before<T>(
  engine: Engine,
  waitMs: number,
  work: (engine: Engine, deadline: Promise<never>) => Promise<T>,
): Promise<T> {
  const [late, done] = [new AbortController(), new AbortController()];
  const deadline = engine.world.sleep(waitMs, AbortSignal.any([engine.signal, done.signal])).then(() => {
    const error = new ForkstackError("NOT_READY", `no answer within ${Math.round(waitMs / 1_000)} s`, {
      hint: "Check the network and the vendor's status page, then run the same command again",
      retryable: true,
    });
    late.abort(error);
    throw error;
  });
  deadline.catch(() => {}); // it is over once the work is done, too
  try {
    return await work({ ...engine, signal: AbortSignal.any([engine.signal, late.signal]) }, deadline);
  } finally {
    done.abort(OVER);
  }
}

/** One shared error: creating one each time takes longer than the look at an embedded resource. */
const OVER = new Error("the work is done");

/** Looks at one recorded resource; returns its state at the vendor. */
export async function standing(
  engine: Engine,
  resource: Inspectable,
  row: ResourceRow,
  verb: "fork" | "use",
): Promise<Held> {
  const standing = standingOf(await inspectResource(engine, resource, row, [row]), row);
  if ("held" in standing) return standing.held;
  throw await notStanding(
    engine,
    [{ row, standing }],
    `Cannot ${verb} ${row.key} "${row.title}" of environment "${row.env}": it ${stateText(row, standing)}`,
  );
}

/** Refuses a thing that bears the marker of another stack, environment or resource. */
export function assertOwn(
  { key, provider }: Pick<Inspectable, "key" | "provider">,
  title: string,
  seen: Inspection,
  verb: "fork" | "use",
): void {
  if (seen.state !== "foreign" || seen.holder === undefined) return;
  throw new ForkstackError("FOREIGN", `Cannot ${verb} ${key} "${title}": ${seen.reason}`, {
    hint: "Two projects give their resources the same name: change `project` in one forkstack.json, or set `bases`",
    details: { resource: key, provider: provider.name },
  });
}

/** Rejects if a resource of an environment is gone or was replaced by another thing. */
export async function assertStanding(engine: Engine, env: string, looked: readonly Looked[], verb: string) {
  const bad = looked.filter(({ standing }) => standing !== undefined && !("held" in standing));
  if (bad.length === 0) return;
  const told = bad.map(({ row, standing }) => `its ${row.key} "${row.title}" ${stateText(row, standing!)}`);
  throw await notStanding(engine, bad, `Cannot ${verb} environment "${env}": ${told.join("; ")}`);
}

function stateText({ provider }: ResourceRow, standing: Standing): string {
  if (standing.state === "gone") return `is gone: ${provider} has none`;
  return standing.state === "other" ? `is foreign: ${standing.reason}` : `is ${standing.state}`;
}

async function notStanding(engine: Engine, bad: readonly Looked[], message: string): Promise<ForkstackError> {
  const [{ row }] = bad as [Looked];
  const isOther = bad.some(({ standing }) => standing?.state === "other");
  const environment = await engine.registry.environment(row.env);
  return new ForkstackError(isOther ? "FOREIGN" : "NOT_FOUND", message, {
    hint: isOther || environment === undefined || BASE_ENVS.includes(row.env)
      ? "`forkstack doctor` shows what drifted and how to fix it"
      : goneFix(engine.project, environment, await engine.registry.environments()),
    details: { env: row.env, resource: row.key, provider: row.provider },
  });
}

/** The start of a hint for a command that is refused on a protected environment. */
export const UNPROTECT = 'take it out of "protected" in forkstack.json, then ';

/** Returns the command that repairs an environment with a missing resource. */
export function goneFix(project: Project, environment: Environment, environments: readonly Environment[]): string {
  const { name, parent } = environment;
  const first = protectedEnvs(project).includes(name) ? UNPROTECT : "";
  const command = mendingCommand({ ...environment, status: "creating" }, environments);
  if (!command.includes(" new ")) return `${first}${command}: its parent "${parent}" is gone, too`;
  return `${first}\`forkstack new ${name} --yes\` forks it again from ${parent}, and keeps the rest`;
}
