import { isForkstackError, parseEnvName } from "../../../mod.ts";
import type { CommandResult, Invocation } from "../command_line.ts";
import { deleteEnvironment, type DeleteResult, keptForks, planDeletion, purgeKept } from "../../lifecycle/delete.ts";
import type { Engine } from "../../engine/engine.ts";
import { type Current, leavingText, withoutPointer } from "../../workspace/current.ts";
import { pointsTo } from "../../workspace/leave.ts";
import { load } from "../../system/lazy.ts";
import { assertUnprotected, notMade } from "../../lifecycle/find_environment.ts";
import * as output from "../output.ts";
import type { Other, Traces } from "../../lifecycle/rebuild.ts";
import { withEngine } from "../session.ts";
import { reportOf } from "../../engine/resource_report.ts";
import type { Style } from "../style.ts";
import type { CommandFile } from "../command_file.ts";

/** `delete <env>` */
export const command: CommandFile = {
  order: 3,
  group: "environments",
  summary: "delete an environment with all its resources",
  arguments: { labels: ["<env>"], min: 1, max: 1, withoutBases: true },
  meanings: {
    "<env>": "a name from `forkstack list`, whatever its status",
  },
  example: "delete alice --yes",
  options: {
    purge: { type: "boolean", help: "also delete backups" },
    "if-exists": { type: "boolean", help: "succeed if the environment does not exist" },
    adopt: "shared",
    "dry-run": "shared",
  },
  about: [
    "Deletes every resource that forkstack created for the environment (asks first). It reads the mark of " +
    "each resource again and deletes it by the vendor's id. Resources without our mark are kept and named.",
    "If this directory uses the environment, .current-env and the forkstack block in .env.local are removed; " +
    "your own lines never change. A main git worktree then uses dev, a linked worktree uses no environment. " +
    "Other directories that use it are named: their apps stop with ENV_UNKNOWN.",
    "Some secrets providers keep a backup; --purge deletes it too. dev, prod and the environments in " +
    '"protected" of forkstack.json are never deleted.',
    "An environment that is missing in the registry is searched for by its marks at the vendors. Resources of " +
    "this registry are deleted (asks first); those of another registry only with --adopt, if that registry is " +
    "lost.",
  ],
  examples: [
    ["delete alice", "asks, then deletes alice"],
    ["delete pr-42 --if-exists --yes", "for scripts: does not ask; succeeds if pr-42 does not exist"],
    ["delete alice --purge --yes", "deletes backups too"],
    ["delete alice --dry-run", "shows what would be deleted"],
  ],
  exits: { 3: "", 4: "", 5: "", 6: "", 7: "" },
  files: {
    ".forkstack/registry.db": "",
    ".current-env": "removed if it names the environment",
    ".env.local": "loses the forkstack block; deleted if nothing else is in it",
    credentials: "",
  },
  seeAlso: ["prune", "switch", "docs/ci.md", "docs/secrets.md"],
  run: runDelete,
};

async function runDelete(call: Invocation): Promise<CommandResult> {
  const env = parseEnvName(call.name!);
  try {
    const found = await deleteRecorded(call, env);
    return "data" in found ? found : await deleteMarked(call, env, found);
  } catch (error) {
    const isGone = isForkstackError(error) && error.code === "ENV_NOT_FOUND";
    if (!call.flags["if-exists"] || !isGone) throw error;
    const data = { environment: { name: env }, resources: [] };
    return { data, text: () => `No environment named "${env}": nothing to delete` };
  }
}

/** Whatever stands at the vendors of an environment without a row. */
interface Marked extends Traces {
  /** The environment of this directory after the deletion; absent if it does not point to the deleted one. */
  readonly after?: Current;
}

/** Deletes what the registry knows; for an environment without a row it tells what stands at the vendors. */
async function deleteRecorded({ flags, io }: Invocation, env: string): Promise<CommandResult | Marked> {
  const purge = flags.purge === true;
  const isDry = flags["dry-run"] === true;
  const found = await withEngine(io, isDry ? "look" : "work", async (engine) => {
    const kept = purge ? await keptForks(engine, env) : [];
    const isRecorded = await engine.registry.environment(env) !== undefined;
    if (kept.length > 0 && !isRecorded) {
      const what = kept.map((one) => `${one.resource} "${one.id}"`).join(", ");
      const resources = kept.map(({ resource: key, id }) => ({
        key,
        id,
        state: isDry ? "kept" : "deleted",
      }));
      if (!isDry) {
        await io.confirm(`Delete the backups of ${env}: ${what}?`);
        await purgeKept(engine, env);
      }
      return {
        data: { environment: { name: env }, resources, dryRun: isDry ? true : undefined },
        text: () => `${isDry ? "Would delete" : "Deleted"} the backups of ${env}: ${what}`,
      };
    }
    if (!isRecorded) {
      assertUnprotected(engine.project, env, `delete environment "${env}"`);
      return isDry ? undefined : await tracesOf(engine, env);
    }
    const { environment, rows, checkouts } = await planDeletion(engine, env);
    const what = rows.map((row) => `${row.key} "${row.title}" (${row.provider})`).join(", ") || "no resources";
    const after = await afterDeletion(engine, env);
    const others = output.othersText(checkouts);
    if (isDry) {
      const lines = [`Would delete ${env}: ${what}`];
      if (after) lines.push(leavingText(env, after, "would"));
      if (others !== "") lines.push(`${env} is also used in: ${others}`);
      return {
        data: {
          environment: { name: env, parent: environment.parent, checkouts },
          resources: rows.map((row) => reportOf(row, row.state)),
          left: after ? true : undefined,
          current: after,
          dryRun: true,
        },
        text: () => lines.join("\n"),
      };
    }
    if (others !== "") io.say(`${env} is also used in: ${others}`); // also to whoever passed --yes, or can't be asked
    await io.confirm(`${after ? `${leavingText(env, after, "will")}. ` : ""}Delete ${env} with ${what}?`);
    const result = await deleteEnvironment(engine, env, { purge });
    return { data: result, text: (style: Style) => output.deletedText(result, style) };
  }, { reach: isDry ? "registry" : "all" });
  return found ?? await withEngine(io, "look", (engine) => tracesOf(engine, env), { reach: "vendors", isAgain: true });
}

/** Returns the environment of this directory after a deletion; `undefined` if it does not point to the deleted one. */
async function afterDeletion(engine: Engine, env: string): Promise<Current | undefined> {
  return await pointsTo(engine, env) ? withoutPointer(engine.project) : undefined;
}

/** Looks at the names of an environment without a row; `ENV_NOT_FOUND` where nothing bears its mark. */
async function tracesOf(engine: Engine, env: string): Promise<Marked> {
  const traces = await (await rebuilding()).lookFor(engine, env);
  if (traces.ours.length + traces.others.length > 0) {
    return { ...traces, after: await afterDeletion(engine, env) };
  }
  const error = await notMade(engine, env, "delete");
  for (const { resource, title, reason } of traces.foreign) {
    engine.world.warn(`Not touched: ${resource.provider.name} "${title}": ${reason}`);
  }
  throw error;
}

/** Deletes what bears the environment's marks, though no registry here knows it: those of others with `--adopt` alone. */
async function deleteMarked({ flags, io }: Invocation, env: string, marked: Marked): Promise<CommandResult> {
  const { ours, others, foreign, after } = marked;
  const { otherRegistrys, takeUp } = await rebuilding();
  const adopted = flags.adopt ? others : [];
  const left = flags.adopt ? foreign : [...others, ...foreign];
  const error = flags.adopt || others.length === 0 ? undefined : otherRegistrys(env, others, "delete all of");
  if (ours.length + adopted.length === 0) throw otherRegistrys(env, others, "delete");
  const going = [
    ...ours.map(({ resource, fork }) => ({ resource, title: fork.name, id: fork.id })),
    ...adopted.map(({ resource, title }) => ({ resource, title })),
  ];
  const what = going.map(({ resource, title }) => `${resource.key} "${title}" (${resource.provider.name})`).join(", ");
  const kept = left.map((one) => keptReport(one));
  if (flags["dry-run"]) {
    const resources = going.map(({ resource, ...rest }) => ({
      ...output.resourceIdentity(resource),
      provider: resource.provider.name,
      ...rest,
      state: "ready",
    }));
    return {
      data: {
        environment: { name: env },
        resources: [...resources, ...kept],
        left: after ? true : undefined,
        current: after,
        dryRun: true,
      },
      text: () =>
        `Would delete ${env}, which this registry does not know, by its marks: ${what}${
          after ? `\n${leavingText(env, after, "would")}` : ""
        }`,
      error,
    };
  }
  await io.confirm(
    `${
      after ? `${leavingText(env, after, "will")}. ` : ""
    }Delete ${env}, which this registry does not know, by its marks: ${what}?`,
  );
  const result = await withEngine(io, "restore", async (engine): Promise<DeleteResult> => {
    for (const { resource, title, reason } of left) {
      engine.world.warn(`Not touched: ${resource.provider.name} "${title}": ${reason}`);
    }
    await takeUp(engine, env, { adopt: adopted, isGoing: true });
    return await deleteEnvironment(engine, env, { purge: flags.purge === true });
  }, { isAgain: true });
  const data = { ...result, resources: [...result.resources, ...kept] };
  return { data, text: (style) => output.deletedText(data, style), error };
}

function keptReport({ resource, title }: Other) {
  return { ...output.resourceIdentity(resource), provider: resource.provider.name, title, state: "kept" };
}

async function rebuilding() {
  return await load<typeof import("../../lifecycle/rebuild.ts")>("core/lifecycle/rebuild.ts");
}
