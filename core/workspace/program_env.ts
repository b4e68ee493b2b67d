/**
 * The environment of a program that `forkstack run` runs: what the caller's shell has, without what is another
 * environment's, and with what is this one's.
 *
 * @module
 */
import {
  type Declared,
  declaredResources,
  envFileOf,
  ForkstackError,
  type Kind,
  KINDS,
  parseEnvFile,
  variablePrefix,
} from "../../mod.ts";
import { blockVariables, textOfBytes } from "./env_block.ts";
import { join } from "../system/host.ts";
import type { Tellable } from "../engine/engine.ts";
import type { Identities } from "../provider.ts";
import type { Project } from "../project/project.ts";
import type { Secrets } from "../secret.ts";
import type { Workspace } from "./place.ts";

/** Plain values by variable. */
export type Values = Readonly<Record<string, string>>;

/** Variables of a resource that the getters of `mod.ts` read, and so those that its guard compares. */
export function guardedNames(resource: Pick<Declared, "kind" | "name">): string[] {
  return named(resource, Object.values(KINDS[resource.kind].variables));
}

function named({ name }: Pick<Declared, "name">, variables: readonly string[] = []): string[] {
  return variables.map((variable) => variablePrefix(name) + variable);
}

/**
 * The variables that forkstack writes for these resources, and those that it writes for every environment. Left out are
 * those that a person may set in a provider's place.
 */
export function variableNames(resources: readonly Pick<Tellable, "kind" | "name" | "provider">[]): string[] {
  const all = resources.flatMap((one) => {
    const declared = Object.entries(one.provider.variables).filter(([, { isPersonal }]) => !isPersonal);
    return [...kindNames(one), ...named(one, declared.map(([variable]) => variable))];
  });
  return [...new Set(["FORKSTACK_ENV", "FORKSTACK_PROJECT", "FORKSTACK_EXPIRES_AT", RUN_VARIABLE, ...all])];
}

/** Variables of every provider of a resource's kind. */
function kindNames(resource: Pick<Declared, "kind" | "name">): string[] {
  return [...guardedNames(resource), ...named(resource, KINDS[resource.kind].given)];
}

/** The variables that a program takes for its environment's: none that the caller's shell still has may be among them. */
function readNames({ config }: Project, identities: Identities): string[] {
  return declaredResources(config).flatMap((one) => [
    ...kindNames(one),
    ...named(one, AMBIENT[one.kind]),
    ...named(one, identities[one.kind][one.provider]),
  ]);
}

/** Further variables that clients read in a process: an AWS SDK prefers a profile to the key beside it. */
const AMBIENT: Readonly<Partial<Record<Kind, readonly string[]>>> = {
  storage: ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"],
};

/** Says to `mod.ts` what of the process environment is the environment's own though no file says so. */
const RUN_VARIABLE = "FORKSTACK_RUN";

/** The variables and secrets of one environment. */
export interface ProgramEnvironment {
  readonly project: Project;
  readonly env: string;
  /** Variables by its file, or by its providers if it has no file. */
  readonly variables: Values;
  /** Variables that differ from the file or are missing in it: endpoints that are served for this program alone. */
  readonly unwritten: Values;
  readonly secrets: Secrets;
  /** As the catalog has them. */
  readonly identities: Identities;
}

/** The whole environment of a program; `others` are the variables of every other environment. */
export function programVariables(
  caller: Values,
  others: readonly Values[],
  known: ProgramEnvironment,
): Record<string, string> {
  const { project, env, variables, unwritten, secrets, identities } = known;
  const kept = { ...caller };
  const [, ...earlier] = caller[RUN_VARIABLE]?.split(" ") ?? []; // of the `run` that this one is in
  const left = [...earlier, ...readNames(project, identities), "FORKSTACK_EXPIRES_AT", RUN_VARIABLE];
  for (const name of left) delete kept[name];
  for (const other of others) {
    for (const [name, value] of Object.entries(other)) if (kept[name] === value) delete kept[name];
  }
  if (kept.ENV !== env) delete kept.ENV; // it names another environment, or what only a shell knows
  const own = { ...variables, FORKSTACK_ENV: env, FORKSTACK_PROJECT: project.name, ...unwritten };
  const told = Object.keys(secrets).filter((name) => !Object.hasOwn(own, name) && checkSecret(env, name, secrets));
  for (const name of told) kept[name] = secrets[name]!.reveal();
  return { ...kept, ...own, [RUN_VARIABLE]: [env, ...Object.keys(unwritten), ...told].join(" ") };
}

/** Refuses a secret that a process environment can't hold. */
function checkSecret(env: string, name: string, secrets: Secrets): true {
  if (/^[^\s=\0]+$/.test(name) && !secrets[name]!.reveal().includes("\0")) return true;
  const shown = JSON.stringify(name.slice(0, 40));
  throw new ForkstackError("VALUE_UNWRITABLE", `Cannot hand secret ${shown} to a program: no variable could hold it`, {
    hint: "A name is free of spaces and =, a value of NUL. Without --secrets the program reads it with getSecret()",
    details: { env },
  });
}

/** The variables of every environment of a project but one, as this machine's files have them. */
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
