/**
 * Plans from requests and recorded facts. Pure: calls nobody and changes nothing.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";
import type { Environment, ResourceRow } from "../state/records.ts";
import { answersTo, BASE_ENVS, type Resource } from "../project/project.ts";
import { mendingCommand, shownStatus } from "../engine/resource_report.ts";

/** One resource of a plan. */
export interface Step {
  readonly resource: Resource;
  readonly title: string;
  /** `keep`: it is there. `create`: to be made, or finished. */
  readonly action: "keep" | "create";
  readonly row?: ResourceRow;
}

/** The plan of a new environment. */
export interface Plan {
  readonly env: string;
  readonly parent: string;
  /** `"empty"`, or a point in the parent's past. */
  readonly origin?: string;
  /** The run: that of an unfinished earlier one, or a new one. */
  readonly operation: string;
  /** An earlier run was cut off: finish removing what it had begun to remove, before anything else. */
  readonly cleanUpFirst: boolean;
  /** Everything is there already. */
  readonly isDone: boolean;
  readonly steps: readonly Step[];
}

/** The input of `planNew`. */
export interface PlanInput {
  readonly env: string;
  readonly parent: string;
  /** `--from` was given, so that `parent` must be the parent. */
  readonly parentIsExplicit: boolean;
  /** `"empty"`, or a point in the parent's past. */
  readonly origin?: string;
  readonly resources: readonly Resource[];
  readonly titles: Readonly<Record<string, string>>;
  readonly environments: readonly Environment[];
  readonly rows: readonly ResourceRow[];
  readonly newOperation: string;
}

/** Plans `new`. */
export function planNew(known: PlanInput): Plan {
  const { env, environments, rows } = known;
  if (BASE_ENVS.includes(env)) {
    throw new ForkstackError("ENV_BASE", `Cannot make environment "${env}": it always exists`, {
      hint: env === "dev" ? "Switch to it with `forkstack switch dev`" : "Choose another name",
      details: { env },
    });
  }
  const existing = environments.find(({ name }) => name === env);
  if (existing?.status === "resetting") throw notReady(existing, "make");
  const cleanUpFirst = existing?.status === "deleting" || existing?.status === "undoing";
  const stays = cleanUpFirst ? undefined : existing;
  const parent = known.parentIsExplicit ? known.parent : stays?.parent ?? known.parent;
  if (stays !== undefined && stays.parent !== parent) {
    throw new ForkstackError(
      "CONFLICT",
      `Cannot fork environment "${env}" from "${parent}": it already exists, forked from "${stays.parent}"`,
      {
        hint: `Delete it first with \`forkstack delete ${env}\`, or choose another name`,
        details: { env },
      },
    );
  }
  const origin = known.origin ?? stays?.origin;
  if (stays !== undefined && stays.origin !== origin) {
    throw new ForkstackError(
      "CONFLICT",
      `Cannot make environment "${env}" ${originText(origin)}: it already exists, made ${originText(stays.origin)}`,
      { hint: `Delete it first with \`forkstack delete ${env}\`, or choose another name`, details: { env } },
    );
  }
  checkPoint(known.resources, origin);
  const steps = known.resources.map((resource): Step => {
    const row = cleanUpFirst ? undefined : rows.find(({ key }) => key === resource.key);
    const title = known.titles[resource.key];
    const isOther = row !== undefined && !answersTo(resource.provider, row.provider) && !resource.isUnread;
    if (row !== undefined && (isOther || row.title !== title)) {
      throw new ForkstackError(
        "CONFLICT",
        `Cannot complete environment "${env}": its ${resource.key} is ${row.provider} "${row.title}", ` +
          `but forkstack.json now says ${resource.provider.name} "${title}"`,
        {
          hint: `Delete the environment with \`forkstack delete ${env}\` and make it again`,
          details: { env, resource: resource.key },
        },
      );
    }
    return { resource, title, action: row?.state === "ready" ? "keep" : "create", row };
  });
  const isDone = stays?.status === "ready" && steps.every(({ action }) => action === "keep");
  if (!isDone) checkParent(env, parent, environments); // what is whole needs none
  const operation = stays?.status === "creating" ? stays.operation : known.newOperation;
  return { env, parent, origin, operation, cleanUpFirst, isDone, steps };
}

/** Describes the origin of an environment: `as of 2026-11-20T10:00:00.000Z`. */
function originText(origin: string | undefined): string {
  if (origin === undefined) return "with its parent's data of then";
  return origin === "empty" ? "empty" : `as of ${origin}`;
}

/** Throws if a point in the past is requested and no provider can fork it. */
function checkPoint(resources: readonly Resource[], origin: string | undefined): void {
  if (origin === undefined || origin === "empty" || resources.some(isPointInTime)) return;
  throw new ForkstackError(
    "AT_UNSUPPORTED",
    `Cannot fork the point in time ${origin}: no provider of this stack keeps earlier data`,
    {
      hint: "Leave out --at, or choose a provider that can: see docs/databases.md",
    },
  );
}

/** Returns true if `--at` applies to a resource; the others are forked as they are now. */
export function isPointInTime({ provider }: Pick<Resource, "provider">): boolean {
  return provider.capabilities.pointInTime;
}

/** The point in the past that a resource is forked of, where its provider can go there. */
export function pointOf(resource: Pick<Resource, "provider">, origin: string | undefined): string | undefined {
  return origin === "empty" || !isPointInTime(resource) ? undefined : origin;
}

function checkParent(env: string, parent: string, environments: readonly Environment[]): void {
  if (parent === env) {
    throw new ForkstackError("CONFLICT", `Cannot fork environment "${env}" from itself`, {
      hint: "Name another parent with --from",
    });
  }
  if (BASE_ENVS.includes(parent)) return;
  const found = environments.find(({ name }) => name === parent);
  if (found === undefined) throw noSuchEnvironment(parent, "fork from");
  if (found.status !== "ready") throw notReady(found, "fork from");
}

/** The error for an environment that an earlier run left unfinished. */
export function notReady(environment: Environment, verb: string): ForkstackError {
  const { name } = environment;
  return new ForkstackError("CONFLICT", `Cannot ${verb} environment "${name}": it is ${shownStatus(environment)}`, {
    hint: `Finish with ${mendingCommand(environment)}`,
    details: { env: name },
  });
}

/** The error for an environment that nobody made, or that is gone for a reason. */
export function noSuchEnvironment(
  env: string,
  verb: string,
  near: readonly string[] = [],
  gone?: string,
): ForkstackError {
  const make = verb === "delete" ? "" : `; \`forkstack new ${env}\` creates it${gone === undefined ? "" : " again"}`;
  return new ForkstackError("ENV_NOT_FOUND", `Cannot ${verb} environment "${env}": ${gone ?? "it does not exist"}`, {
    hint: near.length > 0
      ? `Did you mean ${near.map((name) => `"${name}"`).join(" or ")}?`
      : `\`forkstack list\` shows the environments${make}`,
    details: { env },
  });
}
