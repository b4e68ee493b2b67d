/**
 * The environment of a program that `forkstack run` runs: what the caller's shell has, without what is another
 * environment's, and with what is this one's.
 *
 * @module
 */
import { declaredResources, envFileOf, ForkstackError, type Kind, parseEnvFile, variablePrefix } from "../../mod.ts";
import { blockVariables, textOfBytes } from "./env_block.ts";
import { join } from "../system/host.ts";
import type { Tellable } from "../engine/engine.ts";
import type { Project } from "../project/project.ts";
import type { Secrets } from "../secret.ts";
import type { Place } from "./place.ts";

/** Plain values by variable. */
export type Values = Readonly<Record<string, string>>;

/** What the getters of `mod.ts` hand out, and so what its guard compares. */
export const GUARDED: Readonly<Record<Kind, readonly string[]>> = {
  database: ["DATABASE_URL", "DATABASE_AUTH_TOKEN"],
  storage: [
    ...["BUCKET_NAME", "BUCKET_PATH", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_ACCESS_KEY_ID"],
    ...["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
  ],
  secrets: [],
  cache: ["CACHE_URL"],
  queue: ["QUEUE_URL", "QUEUE_PREFIX"],
  local: ["LOCAL_PATH"],
};

/** What a program takes for its environment's besides: an AWS SDK prefers a profile to the key beside it. */
const ALSO_READ: Readonly<Partial<Record<Kind, readonly string[]>>> = {
  storage: ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"],
  secrets: ["SECRETS_FILE"],
};

/** Variables that providers of a kind give besides those that the getters hand out. */
const ALSO_GIVEN: Readonly<Record<Kind, readonly string[]>> = {
  database: ["DATABASE_PATH"],
  storage: [],
  secrets: ["SECRETS_FILE"],
  cache: ["REDIS_URL", "CACHE_PREFIX"],
  queue: [],
  local: [],
};

/** The variables that forkstack writes for these resources, and those that it writes for every environment. */
export function variableNames(resources: readonly Pick<Tellable, "kind" | "name" | "provider">[]): string[] {
  return [
    ...["FORKSTACK_ENV", "FORKSTACK_PROJECT", "FORKSTACK_EXPIRES_AT", RUN_VARIABLE],
    ...resources.flatMap(({ kind, name, provider }) =>
      [...GUARDED[kind], ...ALSO_GIVEN[kind], ...provider.variables ?? []].map((one) => variablePrefix(name) + one)
    ),
  ];
}

/** Says to `mod.ts` what of the process environment is the environment's own though no file says so. */
const RUN_VARIABLE = "FORKSTACK_RUN";

/** What is known of one environment. */
export interface Known {
  readonly project: Project;
  readonly env: string;
  /** What its file says, or its providers where there is no file. */
  readonly variables: Values;
  /** Of these, what the file says otherwise or not at all: the endpoints that are served for this program alone. */
  readonly unwritten: Values;
  readonly secrets: Secrets;
}

/** The whole environment of a program; `others` are the variables of every other environment. */
export function programVariables(caller: Values, others: readonly Values[], known: Known): Record<string, string> {
  const { project, env, variables, unwritten, secrets } = known;
  const kept = { ...caller };
  const [, ...earlier] = caller[RUN_VARIABLE]?.split(" ") ?? []; // of the `run` that this one is in
  const mine = declaredResources(project.config)
    .flatMap(({ kind, name }) =>
      [...GUARDED[kind], ...ALSO_READ[kind] ?? []].map((variable) => `${variablePrefix(name)}${variable}`)
    );
  for (const name of [...earlier, ...mine, "FORKSTACK_EXPIRES_AT", RUN_VARIABLE]) delete kept[name];
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
export async function othersVariables({ project, world: { files } }: Place, env: string): Promise<Values[]> {
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
