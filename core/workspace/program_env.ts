/**
 * The process environment of a program that `forkstack run` starts: the caller's, without variables of other
 * environments, and with those of this environment.
 *
 * @module
 */
import { declaredResources, envFileOf, ForkstackError, type Kind, parseEnvFile, templatesOf } from "../../mod.ts";
import { blockVariables, textOfBytes } from "./env_block.ts";
import { join } from "../system/host.ts";
import { kindNames, prefixed, RUN_VARIABLE } from "./variable_names.ts";
import type { Identities } from "../catalog.ts";
import type { Project } from "../project/project.ts";
import { shapedVariables } from "../engine/outputs.ts";
import type { Secrets } from "../secret.ts";
import type { Workspace } from "./workspace.ts";

/** Plain values by variable. */
export type Values = Readonly<Record<string, string>>;

/** Lists the variables from which a program could take its environment: the caller's values of these are removed. */
function readNames({ config }: Project, identities: Identities): string[] {
  const given = declaredResources(config).flatMap((one) => [
    ...kindNames(one),
    ...prefixed(one, AMBIENT[one.kind]),
    ...prefixed(one, identities[one.kind][one.provider]),
  ]);
  return [...given, ...templatesOf(config).keys()];
}

/** Further variables that clients read from the process: an AWS SDK prefers a profile to the key beside it. */
const AMBIENT: Readonly<Partial<Record<Kind, readonly string[]>>> = {
  storage: ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"],
};

/** The variables and secrets of one environment. */
export interface ProgramEnvironment {
  readonly project: Project;
  readonly env: string;
  /** Variables from its file, or from its providers if it has no file. */
  readonly variables: Values;
  /** Variables that differ from the file or are missing in it: endpoints of servers that run for this program only. */
  readonly unwritten: Values;
  readonly secrets: Secrets;
  /** A client that gets these variables in place of the environment's, and of the shell's none that is withheld. */
  readonly client?: { readonly env: Values; readonly withheld: RegExp } | undefined;
  /** Names of identity variables, from the catalog. */
  readonly identities: Identities;
}

/** Returns the complete process environment of a program; `others` are the variables of every other environment. */
export function programVariables(
  caller: Values,
  others: readonly Values[],
  known: ProgramEnvironment,
): Record<string, string> {
  const { project, env, variables, unwritten, secrets, client, identities } = known;
  const kept = { ...caller };
  const [, ...earlier] = caller[RUN_VARIABLE]?.split(" ") ?? []; // of the `run` that this one is in
  const left = [...earlier, ...readNames(project, identities), "FORKSTACK_EXPIRES_AT", RUN_VARIABLE];
  for (const name of left) delete kept[name];
  for (const other of others) {
    for (const [name, value] of Object.entries(other)) if (kept[name] === value) delete kept[name];
  }
  if (kept.ENV !== env) delete kept.ENV; // it names another environment, or what only a shell knows
  const which = { FORKSTACK_ENV: env, FORKSTACK_PROJECT: project.name };
  if (client !== undefined) {
    const ofShell = Object.entries(kept).filter(([name]) => !client.withheld.test(name));
    return { ...Object.fromEntries(ofShell), ...which, ...client.env };
  }
  const told = { ...variables, ...which, ...unwritten };
  const own = { ...told, ...shapedVariables(project, env, told) }; // again: the port of a bucket may be in one
  const secret = Object.keys(secrets).filter((name) => !Object.hasOwn(own, name) && checkSecret(env, name, secrets));
  for (const name of secret) kept[name] = secrets[name]!.reveal();
  return { ...kept, ...own, [RUN_VARIABLE]: [env, ...Object.keys(unwritten), ...secret].join(" ") };
}

/** Refuses a secret that a process environment cannot hold. */
function checkSecret(env: string, name: string, secrets: Secrets): true {
  if (/^[^\s=\0]+$/.test(name) && !secrets[name]!.reveal().includes("\0")) return true;
  const shown = JSON.stringify(name.slice(0, 40));
  throw new ForkstackError("VALUE_UNWRITABLE", `Cannot hand secret ${shown} to a program: no variable could hold it`, {
    hint:
      "A name cannot have spaces or =, a value cannot have NUL. Leave --secrets out: the program reads it with getSecret()",
    details: { env },
  });
}

/** Reads the variables of all environments of a project except one, from this machine's files. */
export async function othersVariables({ project, world: { files } }: Workspace, env: string): Promise<Values[]> {
  const envs = join(project.stateRoot, ".forkstack", "envs");
  const names = (await files.list(envs)).filter((name) => name.endsWith(".env") && name !== `${env}.env`);
  const kept = names.map(async (name) =>
    parseEnvFile(await files.read(join(envs, name)) ?? "", `"${join(envs, name)}"`)
  );
  const file = envFileOf(project.config);
  const local = file === undefined ? undefined : await files.readBytes(join(project.root, file));
  const all = [...await Promise.all(kept), local === undefined ? {} : blockVariables(textOfBytes(local))];
  return all.filter((one) => one.FORKSTACK_ENV !== env);
}
