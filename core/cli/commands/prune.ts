/**
 * The command `prune`.
 *
 * @module
 */
import * as output from "../output.ts";
import { ForkstackError, isForkstackError } from "../../../mod.ts";
import type { CommandResult, Invocation } from "../command_line.ts";
import { checkoutReports } from "../../workspace/checkouts.ts";
import { assertNotOriginals } from "../../engine/copied.ts";
import type { DeleteResult } from "../../lifecycle/delete.ts";
import { prunable, pruneEnvironment } from "../../lifecycle/lease.ts";
import { leavingText, withoutPointer } from "../../workspace/current.ts";
import { pointsTo } from "../../workspace/leave.ts";
import { load } from "../../system/lazy.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Unregistered } from "../../lifecycle/rebuild.ts";
import { environmentReport } from "../../lifecycle/report.ts";
import { messageOf, shown } from "../../text/printable.ts";
import { text, withEngine } from "../session.ts";
import { parseDuration } from "../../text/duration.ts";
import type { Style } from "../style.ts";
import type { CommandFile } from "../command_file.ts";

/** `prune` */
export const command: CommandFile = {
  order: 7,
  group: "environments",
  summary: "delete the environments that have expired",
  example: "prune --dry-run",
  options: {
    idle: {
      type: "string",
      help: "delete those not switched to for this time instead",
      value: "<time>",
      default: "delete the expired ones",
    },
    "dry-run": "shared",
  },
  about: [
    "Deletes every environment whose lease has ended, or with --idle every environment that nobody switched " +
    "to for that time (asks first). Each is deleted as with `forkstack delete`. One failure does not stop the " +
    "others. Protected environments are kept.",
    "Environments that only marks at the vendors show are listed and never deleted.",
  ],
  examples: [
    ["prune --dry-run", "shows what would be deleted"],
    ["prune --yes", "for a nightly job"],
    ["prune --idle 7d", "deletes those not used for a week"],
  ],
  exits: { 3: "", 5: "", 6: "", 7: "" },
  files: {
    ".forkstack/registry.db": "",
    credentials: "",
  },
  seeAlso: ["extend", "delete", "list"],
  run: runPrune,
};

async function runPrune({ flags, io }: Invocation): Promise<CommandResult> {
  const idleMs = text(flags.idle) === undefined ? undefined : parseDuration(text(flags.idle)!, "--idle");
  const isDry = flags["dry-run"] === true;
  const answer = await withEngine(io, isDry ? "look" : "work", async (engine) => {
    const found = await prunable(engine, idleMs);
    const refusals = new Map<string, ForkstackError>();
    for (const { name } of found) {
      const refusal = await assertNotOriginals(engine, await engine.registry.resources(name), "delete").catch(foreign);
      if (refusal) refusals.set(name, refusal);
    }
    const environments = found.filter(({ name }) => !refusals.has(name));
    const [refusal] = refusals.values();
    const unregistered = isDry ? [] : await markedAlone(engine, io);
    const error = refusal ?? await engine.registry.environmentsError(); // what it is of may have expired, too
    const names = environments.map(({ name }) => name);
    const on: string[] = [];
    for (const name of names) if (await pointsTo(engine, name)) on.push(name);
    const checkouts = await checkoutReports(engine);
    const others = names.map((name) => [name, output.othersText(checkouts(name))]).filter(([, text]) => text !== "")
      .map(([name, text]) => `${name} is also used in: ${text}`);
    const after = withoutPointer(engine.project);
    const leaving = (verb: "will" | "would") => on.map((env) => leavingText(env, after, verb));
    if (names.length === 0 || isDry) {
      const data = {
        environments: environments.map((one) => environmentReport(engine, one, checkouts(one.name))),
        left: on.length > 0 ? true : undefined,
        current: on.length > 0 ? after : undefined,
        dryRun: isDry ? true : undefined,
      };
      const told = [`Would delete ${names.join(", ")}`, ...leaving("would"), ...others].join("\n");
      return { data, text: () => names.length === 0 ? "Nothing to prune" : told, error, unregistered };
    }
    others.forEach(io.say);
    await io.confirm([...leaving("will"), `Delete ${names.join(", ")}?`].join(". "));
    const deleted: DeleteResult[] = [];
    const failures: unknown[] = [];
    for (const name of names) {
      try {
        const result = await pruneEnvironment(engine, name, idleMs);
        if (result !== undefined) deleted.push(result);
        else io.say(`Not touched: ${name} is no longer one to prune`);
      } catch (error) {
        if (io.signal.aborted) throw error;
        failures.push(error);
      }
    }
    if (failures.length > 0) throw pruneIncomplete(failures);
    const isLeft = deleted.some(({ left }) => left);
    return {
      data: {
        environments: deleted.map(({ environment }) => environment),
        left: isLeft ? true : undefined,
        current: isLeft ? after : undefined,
      },
      text: (style: Style) => deleted.map((one) => output.deletedText(one, style)).join("\n") || "Nothing to prune",
      error,
      unregistered,
    };
  }, { reach: isDry ? "registry" : "all" });
  const unregistered = isDry ? await markedInPlan(io) : answer.unregistered;
  return {
    data: { ...answer.data, unregistered: unregistered.length === 0 ? undefined : unregistered },
    text: (style) => [answer.text(style), ...output.unregisteredLines(unregistered, style)].join("\n"),
    error: answer.error,
  };
}

/** Environments that marks alone tell of: they are listed, and never deleted. */
async function markedAlone(engine: Engine, io: Invocation["io"]): Promise<Unregistered[]> {
  const { unregistered } = await load<typeof import("../../lifecycle/rebuild.ts")>("core/lifecycle/rebuild.ts");
  return await unregistered(engine, (error) => notLooked(io, error));
}

/** The same without running anything of the repository; what that needs and lacks hides nothing of the plan. */
async function markedInPlan(io: Invocation["io"]): Promise<Unregistered[]> {
  try {
    return await withEngine(io, "look", (engine) => markedAlone(engine, io), { reach: "vendors", isAgain: true });
  } catch (error) {
    if (io.signal.aborted) throw error;
    notLooked(io, error);
    return [];
  }
}

function notLooked(io: Invocation["io"], error: unknown): void {
  const message = messageOf(error);
  io.say(`warning: Not looked for environments that this registry does not know: ${shown(message)}`);
}

/** The error of what another directory's registry made; any other is thrown. */
function foreign(error: unknown): ForkstackError {
  if (isForkstackError(error) && error.code === "FOREIGN") return error;
  throw error;
}

function pruneIncomplete(failures: readonly unknown[]): ForkstackError {
  const messages = failures.map(messageOf);
  const hints = new Set(failures.flatMap((error) => isForkstackError(error) && error.hint ? [error.hint] : []));
  return new ForkstackError("PRUNE_INCOMPLETE", messages.join("; "), {
    hint: [...hints, "Run `forkstack prune` again, or look with `forkstack doctor`"].join(". "),
    retryable: true,
    cause: failures.length === 1 ? failures[0] : new AggregateError(failures),
  });
}
