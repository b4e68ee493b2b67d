/**
 * Findings: things unfinished, orphaned, drifted, expired or foreign, each with the command that mends it.
 *
 * @module
 */
import { isForkstackError } from "../../mod.ts";
import { recordedEnvironment } from "./find_environment.ts";
import { assertNotOriginals } from "../engine/copied.ts";
import { damagedRows } from "./damage.ts";
import { finishRemoval } from "./delete.ts";
import type { Engine } from "../engine/engine.ts";
import { examineAccess } from "./examine_access.ts";
import { examineCheckout, staleFinding } from "./examine_checkout.ts";
import { examineEnvFiles } from "./examine_env_files.ts";
import { examineData } from "./examine_data.ts";
import { examineOthers } from "./examine_others.ts";
import { goneFix, lookAt, type Standing, UNPROTECT } from "../engine/look.ts";
import type { Fork } from "../provider.ts";
import { compareNames, messageOf } from "../text/printable.ts";
import * as workspace from "../workspace/env_files.ts";
import type { DamagedRow, Environment, KeptFork, ResourceRow } from "../state/records.ts";
import { statements } from "../state/statements.ts";
import { answersTo, protectedEnvs, type Resource, titleOf } from "../project/project.ts";
import { mendingCommand, shownStatus } from "../engine/resource_report.ts";
import { contextOf, inspectResource, journalOf, scopeOf } from "../engine/context.ts";
import { underLock } from "../engine/under_lock.ts";
import type { Finding } from "./finding.ts";

/** Looks at everything, with `isDeep` at all data too; changes nothing. */
export async function examine(engine: Engine, isDeep = false): Promise<Finding[]> {
  const environments = await engine.registry.environments();
  const names = new Set(environments.map(({ name }) => name));
  const recorded = (await engine.registry.allResources()).filter(({ env }) => names.has(env));
  const rows = Map.groupBy(recorded, ({ env }) => env);
  const damaged = await damagedRows(engine);
  const found = await Promise.all([
    ...environments.map((one) => examineEnvironment(engine, one, environments, rows.get(one.name) ?? [])),
    ...engine.resources.map((resource) =>
      examineForks(engine, resource, rows).catch((error) => [unasked(engine, error, { resource: resource.key })])
    ),
    examineCheckout(engine, environments),
    examineEnvFiles(engine),
    examineAccess(engine.project),
    examineOthers(engine, environments),
    engine.registry.kept().then((kept) => kept.map(keptFinding)),
    damaged.map(damagedFinding),
    isDeep ? examineData(engine) : [],
  ]);
  const order = { error: 0, warning: 1, info: 2 };
  // What is damaged may be what an orphan is of: none is removed before that is settled.
  const first = "`forkstack doctor --rebuild` first, then look again";
  const told = damaged.length === 0 ? found.flat() : found.flat()
    .map(({ mend, ...finding }) => mend === undefined ? finding : { ...finding, fix: first });
  return told.sort((a, b) =>
    order[a.severity] - order[b.severity] || compareNames(a.environment ?? "", b.environment ?? "") ||
    compareNames(a.resource ?? "", b.resource ?? "")
  );
}

function damagedFinding({ error, env }: DamagedRow): Finding {
  return {
    severity: "error",
    environment: env,
    problem: `damaged: ${error.message}`,
    fix: "`forkstack doctor --rebuild`",
  };
}

function keptFinding({ env, resource, id, at }: KeptFork): Finding {
  return {
    severity: "info",
    environment: env,
    resource,
    problem: `kept: "${id}" is a backup since ${at}`,
    fix: `\`forkstack delete ${env} --purge\` deletes it`,
  };
}

/** Longest wait for the look at one resource, in milliseconds. */
const LOOK_MS = 30_000;

async function examineEnvironment(
  engine: Engine,
  environment: Environment,
  environments: readonly Environment[],
  rows: readonly ResourceRow[],
): Promise<Finding[]> {
  const { name, status, expiresAt } = environment;
  const found: Finding[] = [];
  const isProtected = protectedEnvs(engine.project).includes(name);
  if (status !== "ready") {
    const holder = await engine.registry.lock(name);
    const isGoing = status === "deleting" || status === "undoing";
    found.push({
      severity: "error",
      environment: name,
      problem: `unfinished: ${shownStatus(environment)}${holder === undefined ? "" : ", someone is working on it"}`,
      fix: `${isProtected && isGoing ? UNPROTECT : ""}${mendingCommand(environment, environments)}`,
      // A row alone does not say that a protected one is to go.
      mend: !isProtected && isGoing ? () => finish(engine, name) : undefined,
    });
  }
  if (expiresAt !== undefined && expiresAt <= engine.world.now().toISOString() && !isProtected) {
    found.push({
      severity: "warning",
      environment: name,
      problem: `expired at ${expiresAt}`,
      fix: "`forkstack prune`",
    });
  }
  const ready = rows.filter((row) => row.state === "ready");
  const fixOfGone = status === "ready"
    ? goneFix(engine.project, environment, environments)
    : mendingCommand(environment, environments);
  const drifted = (await lookAt(engine, ready, LOOK_MS)).flatMap(({ row, standing, error }) =>
    standing === undefined
      ? [unasked(engine, error, { environment: row.env, resource: row.key })]
      : standingFinding(row, standing, fixOfGone)
  );
  if (status === "ready") found.push(...outgrown(engine.resources, environment, rows));
  const written = status === "ready" ? await workspace.writtenVariables(engine, name) : undefined;
  if (written !== undefined) found.push(...staleFinding(engine, name, written));
  else if (status === "ready") {
    found.push({
      severity: "info",
      environment: name,
      problem: "this machine has no file of its variables",
      fix: protectedEnvs(engine.project).includes(name)
        ? "none is needed, unless you work on it here"
        : `\`forkstack switch ${name}\``,
    });
  }
  return [...found, ...drifted];
}

/** Findings where forkstack.json has outgrown an environment that was whole when it was made. */
function outgrown(
  resources: readonly Resource[],
  { name }: Environment,
  rows: readonly ResourceRow[],
): Finding[] {
  const lacking = resources.filter(({ key }) => !rows.some((row) => row.key === key)).map(({ key }): Finding => ({
    severity: "error",
    environment: name,
    resource: key,
    problem: "missing: forkstack.json declares it, but the environment was created without it",
    fix: `\`forkstack new ${name}\` adds it`,
  }));
  const changed = rows.flatMap(({ key, provider, title }): Finding[] => {
    const now = resources.find((one) => one.key === key && !one.isUnread)?.provider;
    return now === undefined || answersTo(now, provider) ? [] : [{
      severity: "error",
      environment: name,
      resource: key,
      problem: `changed: it is ${provider} "${title}", and forkstack.json says ${now.name}`,
      fix: `\`forkstack delete ${name}\`, then \`forkstack new ${name}\``,
    }];
  });
  return [...lacking, ...changed];
}

async function finish(engine: Engine, env: string): Promise<void> {
  await underLock(engine, env, "finish", async (worker) => {
    await finishRemoval(engine, worker, await recordedEnvironment(engine, env));
  });
}

/** A provider that can't be asked hides nothing of what the others say. */
function unasked(engine: Engine, error: unknown, about: Pick<Finding, "environment" | "resource">): Finding {
  if (engine.signal.aborted) throw error;
  const message = messageOf(error);
  const hint = isForkstackError(error) ? error.hint : undefined;
  const isAsWanted = isForkstackError(error) && error.code === "DRY_RUN_UNSUPPORTED"; // nothing of the repository ran
  return {
    severity: isAsWanted ? "info" : "error",
    ...about,
    problem: `not examined: ${message}`,
    fix: hint ?? "Fix the cause, then run `forkstack doctor`",
  };
}

/** The finding for a recorded resource that does not stand as it should. */
function standingFinding(row: ResourceRow, standing: Standing, fixOfGone: string): Finding[] {
  if (standing.state === "ready") return [];
  const about = { severity: "error", environment: row.env, resource: row.key } as const;
  const what = `${row.provider} "${row.title}"`;
  if (standing.state === "gone") return [{ ...about, problem: `gone: ${what} no longer exists`, fix: fixOfGone }];
  const isOther = standing.state === "other";
  return [{
    ...about,
    problem: `drifted: ${what} is ${isOther ? `foreign: ${standing.reason}` : standing.state}`,
    fix: `${
      isOther && standing.isUnmarked ? `if it is yours and lost its mark, delete it at ${row.provider}; ` : ""
    }\`forkstack delete ${row.env}\`, then \`forkstack new ${row.env}\``,
  }];
}

/** Forks of ours that are of no environment that the registry knows, and what runs without an answer may have left. */
async function examineForks(
  engine: Engine,
  resource: Resource,
  rows: ReadonlyMap<string, readonly ResourceRow[]>,
): Promise<Finding[]> {
  const found: Finding[] = [];
  const isLate = resource.provider.capabilities.ownership !== "marked";
  const unanswered = isLate ? await unansweredRows(engine, resource) : [];
  const context = contextOf(engine, resource.provider, { rows: [...rows.values()].flat().concat(unanswered) });
  const kept = new Set((await engine.registry.kept()).map(({ id }) => id));
  for await (const fork of resource.provider.list(context, scopeOf(engine, resource))) {
    const row = rows.get(fork.marker.env)?.find(({ key }) => key === resource.key);
    if (kept.has(fork.id) || (row !== undefined && isHome(row, fork))) continue;
    found.push(await forkFinding(engine, resource, fork));
  }
  for (const row of unanswered) {
    if (rows.get(row.env)?.some(({ key }) => key === resource.key)) continue;
    const seen = await inspectResource(engine, resource, row, [row]);
    if (seen.state !== "foreign" || seen.holder !== undefined) continue;
    found.push({
      severity: "warning",
      environment: row.env,
      resource: resource.key,
      problem: `unproven: ${resource.provider.name} "${row.title}" may come from a run that lost the vendor's answer`,
      fix: `look at it: if nobody else made it, delete it at ${resource.provider.name}`,
    });
  }
  return found;
}

/** Returns the finding about a fork that bears our mark and has no row. */
async function forkFinding(engine: Engine, resource: Resource, fork: Fork): Promise<Finding> {
  const { env, registry, operation } = fork.marker;
  const what = `${resource.provider.name} "${fork.name}"`;
  const about = { severity: "warning", environment: env, resource: resource.key } as const;
  if (!engine.registry.owns(fork.marker)) {
    return {
      ...about,
      problem: `of another registry: ${what} was made under registry ${registry}, not ${engine.registry.id}`,
      fix:
        "share that registry: see `registry` of forkstack.json; if it was lost, `forkstack doctor --rebuild --adopt`",
    };
  }
  if (!await engine.registry.knowsOperation(operation)) {
    return {
      ...about,
      problem: `unknown: ${what} has our mark, but this registry has no record of it`,
      fix: "`forkstack doctor --rebuild`, if this registry is new",
    };
  }
  if (!await isProvenOrphan(engine, resource, fork)) {
    return {
      ...about,
      problem: `unproven: ${what} has our mark, but nothing proves that this registry created it`,
      fix: `look at it: if nobody else made it, delete it at ${resource.provider.name}`,
    };
  }
  const isProtected = protectedEnvs(engine.project).includes(env);
  return {
    ...about,
    severity: "error",
    problem: `orphaned: ${what} was created by forkstack, but belongs to no environment`,
    fix: `${isProtected ? UNPROTECT : ""}\`forkstack doctor --fix\``,
    mend: isProtected ? undefined : () => removeOrphan(engine, resource, fork),
  };
}

/**
 * Returns true if a fork without a row may be deleted: its run created it, and did not take it over. A mark of 0.1.0
 * does not name its thing: it may have been copied from another thing.
 */
async function isProvenOrphan(engine: Engine, resource: Resource, { name, marker }: Fork): Promise<boolean> {
  if (await engine.registry.isTakenOver(resource.key, marker.operation)) return false;
  return marker.name === undefined ? name === titleOf(engine.project, resource, marker.env) : marker.name === name;
}

/** Returns true if a fork is the one of a row; until an answer has come, also if it is of the row's run. */
function isHome(row: ResourceRow, fork: Fork): boolean {
  return row.id === undefined ? row.operation === fork.marker.operation : row.id === fork.id;
}

/** Lists the runs whose create was never answered, for a vendor that stores a mark later or none, from the journal. */
async function unansweredRows(engine: Engine, resource: Resource): Promise<ResourceRow[]> {
  return (await engine.registry.unanswered(resource.key)).map(({ env, operation, at }) => ({
    env,
    key: resource.key,
    kind: resource.kind,
    provider: resource.provider.name,
    title: titleOf(engine.project, resource, env),
    state: "creating",
    operation,
    createdAt: at,
    options: resource.options,
  }));
}

async function removeOrphan(engine: Engine, resource: Resource, fork: Fork): Promise<void> {
  const { env } = fork.marker;
  await underLock(engine, env, "mend", async (worker) => {
    const environment = await engine.registry.environment(env);
    if (environment?.status === "resetting") return; // what waits to take an old one's place: `reset` finishes it
    const row = environment && (await engine.registry.resources(env)).find(({ key }) => key === resource.key);
    if (row !== undefined && isHome(row, fork)) return;
    if ((await engine.registry.kept()).some(({ id }) => id === fork.id)) return;
    const { key, kind, provider: { name: provider }, options } = resource;
    const made = { env, key, kind, provider, options, operation: fork.marker.operation, title: fork.name };
    await assertNotOriginals(engine, [made], "delete");
    const line = { ...journalOf(engine, fork.marker, "delete"), id: fork.id };
    // No row of it: the list may be behind, and once the fork is gone nothing would lead here again.
    await worker.write([statements.journal({ ...line, phase: "intent" })]);
    const context = contextOf(engine, resource.provider, { worker, marker: fork.marker });
    await resource.provider.delete(context, fork, scopeOf(engine, resource));
    const last = [statements.journal({ ...line, phase: "done" })];
    if (environment === undefined) last.unshift(statements.dropResource(env, resource.key));
    await worker.write(last);
  });
}
