/**
 * The files that point a directory at an environment, as `doctor` finds them: what they say against each other, and
 * paths that were written in another directory.
 *
 * @module
 */
import { standingText } from "../text/phrases.ts";
import { currentEnv, withoutPointer } from "../workspace/current.ts";
import type { Engine } from "../engine/engine.ts";
import * as block from "../workspace/env_block.ts";
import { leave } from "../workspace/leave.ts";
import { whyGone } from "./find_environment.ts";
import * as workspace from "../workspace/env_files.ts";
import type { Environment } from "../state/records.ts";
import { BASE_ENVS } from "../project/project.ts";
import type { Finding } from "./finding.ts";
import { fileText, localPath, variablesPath } from "../workspace/workspace.ts";

/** Findings on this directory's pointer and on the block in its env file. */
export async function examineCheckout(engine: Engine, environments: readonly Environment[]): Promise<Finding[]> {
  const { env, decidedBy, problem: problemHere } = currentEnv(engine.project);
  const isKnown = env === undefined || BASE_ENVS.includes(env) || environments.some(({ name }) => name === env);
  if (!isKnown) return [await unmade(engine, env, decidedBy)];
  const problem = problemHere?.();
  if (problem?.code === "ENV_UNSET") {
    return [{ severity: "info", problem: `on no environment: ${problem.message}`, fix: problem.hint! }];
  }
  const about = env === undefined ? {} : { environment: env };
  if (problem?.code === "ENV_CONFLICT") {
    return [{ severity: "error", ...about, problem: `in doubt: ${problem.message}`, fix: problem.hint! }];
  }
  return await examineBlock(engine, env);
}

async function unmade(engine: Engine, env: string, decidedBy: string): Promise<Finding> {
  const found: Finding = {
    severity: "error",
    environment: env,
    problem: `current by ${decidedBy}, but ${await whyGone(engine, env) ?? "it does not exist"}`,
    fix: `\`forkstack new ${env}\`, \`forkstack switch dev\`, or \`forkstack doctor --fix\`: it removes the pointer`,
  };
  if (decidedBy !== ".current-env") return found;
  return {
    ...found,
    effect: `this directory will be ${standingText(withoutPointer(engine.project), env)}`,
    mend: async () => {
      if (await engine.registry.environment(env) === undefined) await leave(engine, env); // else made meanwhile
    },
  };
}

/** The block in the env file: of another environment, or with paths of another directory. */
async function examineBlock(engine: Engine, env: string | undefined): Promise<Finding[]> {
  const path = localPath(engine.project);
  if (path === undefined) return [];
  const text = fileText(await engine.world.files.readBytes(path));
  const written = block.blockVariables(text, `"${path}"`);
  const { FORKSTACK_ENV: whose } = written;
  if (whose === undefined || env === undefined) return [];
  if (whose !== env) {
    return [{
      severity: "warning",
      environment: env,
      problem: `two answers: .current-env names "${env}", but the block in "${path}" is for "${whose}"`,
      fix: `\`forkstack switch ${env}\``,
    }];
  }
  const now = workspace.updatedVariables(engine.project, env, written);
  const stale = Object.keys(now).filter((name) => now[name] !== written[name]);
  const kept = block.hasMarkers(text) ? await workspace.readVariables(engine, env) : undefined;
  const left = kept === undefined ? [] : Object.keys(written).filter((name) => !Object.hasOwn(kept, name));
  const mend = async () => {
    await workspace.changeFiles(engine, { env, activate: true, anyway: true });
  };
  const found = [];
  if (stale.length > 0) found.push(staleTold(env, stale, path, mend));
  if (left.length > 0) found.push(leftTold(env, left, path, mend));
  return found;
}

/** Variables in the block that the environment has no more, as after their template went out of forkstack.json. */
function leftTold(env: string, left: readonly string[], path: string, mend: () => Promise<void>): Finding {
  return {
    severity: "warning",
    environment: env,
    problem: `left over: ${left.join(", ")} in "${path}": neither a resource nor forkstack.json gives ${
      left.length === 1 ? "it" : "them"
    } any more, and programs that load the file still get ${left.length === 1 ? "it" : "them"}`,
    fix: `\`forkstack switch ${env}\`, or \`forkstack doctor --fix\``,
    mend,
  };
}

/** Paths in an environment's own file that were written in another directory. */
export function staleFinding(engine: Engine, env: string, written: Readonly<Record<string, string>>): Finding[] {
  const stale = Object.keys(workspace.staleVariables(engine.project, env, written));
  if (stale.length === 0) return [];
  const mend = async () => {
    await workspace.changeFiles(engine, { env, activate: false });
  };
  return [staleTold(env, stale, variablesPath(engine.project, env), mend)];
}

function staleTold(env: string, stale: readonly string[], path: string, mend: () => Promise<void>): Finding {
  return {
    severity: "warning",
    environment: env,
    problem: `stale: ${stale.join(", ")} in "${path}" ${
      stale.length === 1 ? "was" : "were"
    } written in another directory, or before forkstack.json changed; mod.ts derives them again`,
    fix: `\`forkstack switch ${env}\`, or \`forkstack doctor --fix\``,
    mend,
  };
}
