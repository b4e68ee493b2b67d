/**
 * Results as people read them and as `--json` has them. Nothing here writes: `main.ts` does.
 *
 * @module
 */
import type { CheckoutReport } from "../workspace/checkouts.ts";
import type { DeleteResult } from "../lifecycle/delete.ts";
import type { Plan } from "../lifecycle/plan.ts";
import type { Recovered, Unregistered } from "../lifecycle/rebuild.ts";
import type { EnvironmentReport, EnvironmentResult } from "../lifecycle/report.ts";
import { shown } from "../text/printable.ts";
import type { KeptFork } from "../state/records.ts";
import type { ResourceReport } from "../engine/resource_report.ts";
import type { Finding } from "../lifecycle/finding.ts";
import { age, duration, timeLeft } from "../text/duration.ts";
import { counted, standingText, wrapped } from "../text/phrases.ts";
import { localCommands, paint, type Style } from "./style.ts";

/** A line for a resource that has changed: what, whose name, how, how long. */
export function resourceLine(one: ResourceReport, style: Style): string {
  const mark = one.state === "failed"
    ? paint(style, "red", "x")
    : paint(style, "green", one.state === "ready" ? "+" : "-");
  const how = one.state === "ready" ? one.fork ?? "" : one.error?.code ?? one.state;
  const time = one.durationMs === undefined ? "" : paint(style, "dim", duration(one.durationMs));
  return `  ${mark} ${one.key.padEnd(16)} ${one.title.padEnd(28)} ${how.padEnd(14)} ${time}`.trimEnd();
}

/** The outcome of a command in a sentence. */
function doneText(result: EnvironmentResult, verb: "new" | "switch" | "reset", name: string): string {
  const { environment: { parent }, resources } = result;
  const count = counted(resources.length, "resource");
  const took = `in ${duration(result.durationMs)}`;
  if (verb === "switch") return `Now on ${name}`;
  if (verb === "reset") return `${name} is reset: ${count}, forked again from ${parent} ${took}`;
  if (result.unchanged) return `${name} already exists: ${count}, forked from ${parent}`;
  return `${name} is ready: ${count}, forked from ${parent} ${took}`;
}

function nextStep({ name, current }: EnvironmentReport, verb: "new" | "switch" | "reset"): string {
  if (current && verb === "new") return `restart the app to use ${name}; \`forkstack switch dev\` goes back`;
  return current || verb === "switch" ? "restart the app" : `\`forkstack switch ${name}\``;
}

/** Returns the last lines of `new` and `switch`. */
export function readyText(result: EnvironmentResult, verb: "new" | "switch" | "reset", style: Style): string {
  const { environment, resources } = result;
  const empty = resources.filter(({ fork }) => fork === "empty").map(({ key }) => key);
  const lines = [doneText(result, verb, paint(style, "bold", environment.name))];
  if (!result.unchanged && verb === "new" && empty.length > 0) {
    lines.push(
      `${empty.join(", ")} ${empty.length === 1 ? "is" : "are"} empty, as in ${environment.parent}`,
    );
  }
  if (result.changedFiles?.length) lines.push(`Wrote ${result.changedFiles.join(", ")}`);
  if (verb === "new" && environment.expiresAt !== undefined) {
    lines.push(
      localCommands(`Expires ${environment.expiresAt}; \`forkstack extend ${environment.name} 2d\` adds time`, style),
    );
  }
  if (!environment.current && result.decidedBy !== undefined) {
    lines.push(
      paint(
        style,
        "yellow",
        `${result.decidedBy} is set in this shell and comes first: unset it to use ${environment.name}`,
      ),
    );
  }
  lines.push(paint(style, "dim", localCommands(`Next: ${nextStep(environment, verb)}`, style)));
  return lines.join("\n");
}

/** The environments as a table. */
export function listText(
  environments: readonly EnvironmentReport[],
  base: string | undefined,
  now: Date,
  style: Style,
): string {
  const rows = environments.map((one) => [
    one.current ? "*" : " ",
    one.name,
    one.status,
    one.parent ?? "",
    one.createdAt === undefined ? "" : age(one.createdAt, now),
    one.owner ?? "",
    one.expiresAt === undefined ? "" : timeLeft(one.expiresAt, now),
    othersText(one.checkouts ?? []),
  ]);
  if (base !== undefined) rows.unshift(["*", base, "base", "", "", "", "", ""]);
  if (environments.length === 0) {
    const hint = localCommands("No environments yet. Create one with `forkstack new alice`", style);
    return base === undefined ? hint : `${hint}\nCurrent: ${base}`;
  }
  const all = [[" ", "NAME", "STATUS", "PARENT", "AGE", "OWNER", "LEASE", "OTHER CHECKOUTS"], ...rows];
  const used = all[0].map((_, at) => at < 2 || rows.some((row) => row[at] !== ""));
  const widths = all[0].map((_, at) => Math.max(...all.map((row) => row[at].length)));
  return all.map((row, line) => {
    const text = row.map((cell, at) => cell.padEnd(widths[at])).filter((_, at) => used[at]).join("  ").trimEnd();
    if (line === 0) return paint(style, "dim", text);
    return row[0] === "*" ? paint(style, "bold", text) : text;
  }).join("\n");
}

/** A line for each backup of an environment that is gone. */
export function keptLines(kept: readonly KeptFork[], style: Style): string[] {
  return kept.map(({ env, resource, id }) =>
    localCommands(`Backup of ${env}: ${resource} "${id}"; \`forkstack delete ${env} --purge\` deletes it`, style)
  );
}

/** One environment in full. */
export function statusText(result: EnvironmentResult, now: Date, style: Style): string {
  const { environment, resources } = result;
  const others = othersText(environment.checkouts ?? []);
  const facts = [
    environment.parent && `forked from ${environment.parent}`,
    environment.createdAt && `${age(environment.createdAt, now)} old`,
    environment.owner && `by ${environment.owner}`,
    environment.expiresAt && timeLeft(environment.expiresAt, now),
  ].filter(Boolean);
  const lines = [
    `${paint(style, "bold", environment.name)}  ${environment.status}${environment.current ? ", current" : ""}`,
  ];
  if (facts.length > 0) lines.push(facts.join(", "));
  if (others !== "") lines.push(`also used in: ${others}`);
  lines.push(...resourceTable(resources));
  if (result.variables.length > 0) {
    lines.push(...wrapped(`Variables: ${result.variables.join(", ")}`, style.columns ?? Infinity, "  "));
  }
  if (result.finishWith !== undefined) lines.push(localCommands(`To finish: ${result.finishWith}`, style));
  return lines.join("\n");
}

/** Lists resources in columns as wide as what is in them; the title, which may be long, is the last. */
function resourceTable(resources: readonly ResourceReport[]): string[] {
  const rows = resources.map((one) => {
    const state = one.state === "ready" ? one.fork ?? "ready" : one.state;
    return [one.key, one.provider, state, one.title];
  });
  const widths = [0, 1, 2].map((at) => Math.max(...rows.map((row) => row[at].length)));
  return rows.map((row) => `  ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ")}`);
}

/** Returns the last lines of `delete`. */
export function deletedText(result: DeleteResult, style: Style): string {
  const gone = result.resources.filter(({ state }) => state === "deleted").length;
  const kept = result.resources.filter(({ state }) => state === "kept");
  const lines = [
    `Deleted ${paint(style, "bold", result.environment.name)}: ${counted(gone, "resource")} in ${
      duration(result.durationMs)
    }`,
  ];
  for (const { key, title, backup } of kept) {
    lines.push(
      backup === undefined
        ? `Kept ${key} "${title}": forkstack did not create it`
        : `Kept ${key} as a backup: "${backup}"`,
    );
  }
  const { current } = result;
  if (current) lines.push(`This directory is now ${standingText(current, result.environment.name)}`);
  const others = othersText(result.environment.checkouts ?? []);
  if (others !== "") {
    lines.push(localCommands(`Still used in: ${others}; run \`forkstack switch dev\` there`, style));
  }
  const next = current && current.env === undefined ? "`forkstack switch dev` or `forkstack new`" : "`forkstack list`";
  lines.push(paint(style, "dim", localCommands(`Next: ${next}`, style)));
  return lines.join("\n");
}

/** Lines for what `prune` leaves: environments that marks alone tell of. */
export function unregisteredLines(found: readonly Unregistered[], style: Style): string[] {
  if (found.length === 0) return [];
  const lines = found.map(({ environment, resources, registry }) =>
    `Not in this registry, not deleted: ${environment} (${resources.join(", ")})${
      registry === undefined ? "" : `, created under registry ${registry}`
    }`
  );
  const own = found.some(({ registry }) => registry === undefined)
    ? ["`forkstack doctor --rebuild` records them here"]
    : [];
  const others = found.some(({ registry }) => registry !== undefined)
    ? ["for those of another registry: share that registry, or if it is lost run `forkstack doctor --rebuild --adopt`"]
    : [];
  return [...lines, paint(style, "dim", localCommands(`Next: ${[...own, ...others].join("; ")}`, style))];
}

const COLORS = { error: "red", warning: "yellow", info: "dim" } as const;

/** Returns the findings of `doctor` as text. */
export function doctorText(findings: readonly Finding[], rebuilt: readonly Recovered[], style: Style): string {
  const lines = rebuilt.flatMap((one) => recoveredLines(one, style));
  if (findings.length === 0) lines.push("No problems found");
  for (const finding of findings) {
    lines.push(`${paint(style, COLORS[finding.severity], `${finding.severity}:`)} ${shown(findingTitle(finding))}`);
    lines.push(`  ${paint(style, "cyan", "fix:")} ${localCommands(finding.fix, style)}`);
  }
  const mendable = findings.filter(({ mend }) => mend !== undefined).length;
  if (mendable > 0) {
    lines.push(paint(style, "dim", localCommands(`Next: \`forkstack doctor --fix\` fixes ${mendable} of them`, style)));
  }
  return lines.join("\n");
}

function recoveredLines({ environment, unknown, resources }: Recovered, style: Style): string[] {
  const { name, parent, origin, expiresAt } = environment;
  const facts = [
    unknown.includes("parent") ? `parent unknown, assumed "${parent}"` : `forked from ${parent}`,
    unknown.includes("origin") ? "origin unknown" : originFact(origin),
    unknown.includes("lease")
      ? localCommands(`lease unknown: it never expires unless you run \`forkstack extend ${name} 3d\``, style)
      : expiresAt && `expires ${expiresAt}`,
  ];
  return [
    ...resources.map((one) => `Restored: ${one.key} ${one.provider} "${one.title}"`),
    `Restored: ${name}, ${facts.filter(Boolean).join("; ")}`,
  ];
}

function originFact(origin: string | undefined): string | undefined {
  return origin === undefined || origin === "empty" ? origin : `as of ${origin}`;
}

/** A finding in one line. */
export function findingTitle({ environment, resource, problem }: Finding): string {
  const about = [environment, resource].filter(Boolean).join(" ");
  return about === "" ? problem : `${about}: ${problem}`;
}

/** Other checkouts on an environment in one text, e.g. `"/app/w" (git branch "topic")`; `""` if there are none. */
export function othersText(checkouts: readonly CheckoutReport[]): string {
  return checkouts.filter(({ current }) => !current).map(({ path, host, branch }) => {
    const about = [branch && `git branch "${branch}"`, host && `on ${host}`].filter(Boolean).join(", ");
    return `"${path}"${about === "" ? "" : ` (${about})`}`;
  }).join(", ");
}

/** A plan of `new`, for `--dry-run`. */
export function planText(plan: Plan, style: Style): string {
  if (plan.isDone) {
    return `${plan.env} is already complete in the registry: would check each resource and create nothing`;
  }
  const lines = [`Would create ${paint(style, "bold", plan.env)} from ${plan.parent}:`];
  if (plan.cleanUpFirst) lines.push("  first removes what an earlier run left behind");
  for (const { resource, title, action } of plan.steps) {
    lines.push(`  ${action.padEnd(8)} ${resource.key.padEnd(16)} ${resource.provider.name.padEnd(12)} ${title}`);
  }
  return lines.join("\n");
}

/** The identifying part of a resource's report. */
export function resourceIdentity(
  resource: { key: string; kind: string; name?: string },
): { key: string; kind: string; name?: string } {
  const { key, kind, name } = resource;
  return { key, kind, name };
}
