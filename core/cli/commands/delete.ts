import { isForkstackError, parseEnvName } from "../../../mod.ts";
import type { CommandResult, Invocation } from "../command_line.ts";
import { deleteEnvironment, type DeleteResult, keptForks, planDeletion, purgeKept } from "../../lifecycle/delete.ts";
import type { Engine } from "../../engine/engine.ts";
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
  summary: "take an environment away, with everything it holds",
  arguments: { labels: ["<env>"], min: 1, max: 1, withoutBases: true },
  meanings: {
    "<env>": "an environment of `forkstack list`, in whatever state it is",
  },
  example: "delete alice --yes",
  options: {
    purge: { type: "boolean", help: "keep no backup, and take earlier ones away" },
    "if-exists": { type: "boolean", help: "it is no error that there is no such environment" },
    adopt: "shared",
    "dry-run": "shared",
  },
  about: [
    "Deletes every resource that forkstack made for the environment, after asking. Each is deleted by the vendor's " +
    "own id, once its mark was read again; what is not ours stays and is named. If this directory is on the " +
    "environment, it is on none from then on: .current-env and the block in .env.local go, your own lines stay. No " +
    "other environment takes its place, and nothing of the parent is needed. Other directories on it are named; " +
    "their pointers stay, and the app there stops with ENV_UNKNOWN.",
    "Some providers of secrets keep a backup; --purge takes it away, at once or later. Environments in `protected` " +
    "of forkstack.json, dev and prod are never deleted.",
    "An environment that the registry does not know is looked for by its marks at the vendors. Those of this " +
    "registry go, after asking; those of another one with --adopt alone, which says that it was lost. --if-exists " +
    "is for scripts: exit 0 where there is none.",
  ],
  examples: [
    ["delete alice", "asks, and deletes it"],
    ["delete pr-42 --if-exists --yes", "does not ask, and it may be gone: for scripts"],
    ["delete alice --purge --yes", "with its backups"],
    ["delete alice --dry-run", "says what would go"],
  ],
  exits: { 3: "", 4: "", 5: "", 6: "", 7: "" },
  files: {
    ".forkstack/registry.db": "",
    ".current-env": "removed where it names the environment",
    ".env.local": "loses forkstack's block then, and keeps every other line; removed if nothing is left",
    credentials: "",
  },
  seeAlso: ["prune", "switch", "docs/ci.md", "docs/secrets.md"],
  run: runDelete,
};

/** What becomes of the pointer. */
const leaves = (verb: "will" | "would") => `This directory is on it, and ${verb} be on no environment afterwards`;

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
  /** This directory points to it. */
  readonly isOn: boolean;
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
        await io.confirm(`Delete what was kept of ${env}: ${what}?`);
        await purgeKept(engine, env);
      }
      return {
        data: { environment: { name: env }, resources, ...(isDry ? { dryRun: true } : {}) },
        text: () => `${isDry ? "Would delete" : "Deleted"} what was kept of ${env}: ${what}`,
      };
    }
    if (!isRecorded) {
      assertUnprotected(engine.project, env, `delete environment "${env}"`);
      return isDry ? undefined : await tracesOf(engine, env);
    }
    const { environment, rows, checkouts } = await planDeletion(engine, env);
    const what = rows.map((row) => `${row.key} "${row.title}" (${row.provider})`).join(", ") || "no resources";
    const isOn = await pointsTo(engine, env);
    const others = output.othersText(checkouts);
    if (isDry) {
      return {
        data: {
          environment: { name: env, parent: environment.parent, checkouts },
          resources: rows.map((row) => reportOf(row, row.state)),
          ...(isOn ? { left: true } : {}),
          dryRun: true,
        },
        text: () =>
          [
            `Would delete ${env}: ${what}`,
            ...(isOn ? [leaves("would")] : []),
            ...(others === "" ? [] : [`On ${env}, too: ${others}`]),
          ].join("\n"),
      };
    }
    if (others !== "") io.say(`On ${env}, too: ${others}`); // also to whoever passed --yes, or can't be asked
    await io.confirm(`${isOn ? `${leaves("will")}. ` : ""}Delete ${env} with ${what}?`);
    const result = await deleteEnvironment(engine, env, { purge });
    return { data: result, text: (style: Style) => output.deletedText(result, style) };
  }, { reach: isDry ? "registry" : "all" });
  return found ?? await withEngine(io, "look", (engine) => tracesOf(engine, env), { reach: "vendors", isAgain: true });
}

/** Looks at the names of an environment without a row; `ENV_NOT_FOUND` where nothing bears its mark. */
async function tracesOf(engine: Engine, env: string): Promise<Marked> {
  const traces = await (await rebuilding()).lookFor(engine, env);
  if (traces.ours.length + traces.others.length > 0) return { ...traces, isOn: await pointsTo(engine, env) };
  const error = await notMade(engine, env, "delete");
  for (const { resource, title, reason } of traces.foreign) {
    engine.world.warn(`Left as it is: ${resource.provider.name} "${title}": ${reason}`);
  }
  throw error;
}

/** Deletes what bears the environment's marks, though no registry here knows it: those of others with `--adopt` alone. */
async function deleteMarked({ flags, io }: Invocation, env: string, marked: Marked): Promise<CommandResult> {
  const { ours, others, foreign, isOn } = marked;
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
        ...(isOn ? { left: true } : {}),
        dryRun: true,
      },
      text: () =>
        `Would delete ${env}, which this registry does not know, by its marks: ${what}${
          isOn ? `\n${leaves("would")}` : ""
        }`,
      error,
    };
  }
  await io.confirm(
    `${isOn ? `${leaves("will")}. ` : ""}Delete ${env}, which this registry does not know, by its marks: ${what}?`,
  );
  const result = await withEngine(io, "restore", async (engine): Promise<DeleteResult> => {
    for (const { resource, title, reason } of left) {
      engine.world.warn(`Left as it is: ${resource.provider.name} "${title}": ${reason}`);
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
