import { ForkstackError, parseEnvName } from "../../../mod.ts";
import type { CommandResult, Invocation, Io } from "../command_line.ts";
import { openProject } from "../../project/open_project.ts";
import type { Project } from "../../project/project.ts";
import { admit } from "../../project/trust.ts";
import { cwd } from "../../system/host.ts";
import { shellOf } from "../../system/shell.ts";
import { shown } from "../../text/printable.ts";
import { meantEnv } from "../../workspace/current.ts";
import type { CommandFile } from "../command_file.ts";
import { runProgram } from "./run.ts";

/** `seed [env]` */
export const command: CommandFile = {
  order: 19,
  group: "data",
  summary: "run your seed command in an environment",
  arguments: { labels: ["[env]"], min: 0, max: 1 },
  meanings: {
    "[env]": "the environment, not prod. Default: the current one",
  },
  example: "seed alice",
  options: { "dry-run": "shared" },
  about: [
    'Runs the command of "seed" in forkstack.json, e.g. "npm run seed", with the variables of an environment, as ' +
    "`forkstack run` does. A shell runs it in the directory of forkstack.json, and what it prints goes to stderr. " +
    "In dev, which others fork, it asks first.",
    "`forkstack new` runs it by itself in a new environment without data: with --empty, or if the parent's database " +
    "has none. Like all that a repository runs, the command needs trust first.",
  ],
  examples: [
    ["seed", "fills the current environment"],
    ["seed dev --yes", "fills dev without asking"],
    ["seed alice --dry-run", "prints the command and runs nothing"],
  ],
  exits: { 4: "", 5: "", 7: "the command failed" },
  files: {
    "forkstack.json": "`seed` is the command",
  },
  seeAlso: ["import", "run", "new", "docs/import.md"],
  task: { set: "run" },
  run: runSeed,
};

async function runSeed({ name, flags, io }: Invocation): Promise<CommandResult> {
  const project = await openProject(cwd(), { init: false, catalog: io.catalog });
  const env = name === undefined ? meantEnv(project) : parseEnvName(name);
  const { seed } = project.config;
  if (seed === undefined) {
    throw new ForkstackError(
      "CONFIG_MISSING",
      `Cannot seed environment "${env}": forkstack.json names no seed command`,
      {
        hint: 'Write it into forkstack.json, e.g. "seed": "npm run seed"',
      },
    );
  }
  if (env === "prod") {
    throw new ForkstackError("ENV_PROTECTED", 'Cannot seed environment "prod": it is protected', {
      hint: "Seed dev or a fork; forkstack never changes prod",
      details: { env },
    });
  }
  const data = { environment: { name: env }, command: seed };
  if (flags["dry-run"]) return { data: { ...data, dryRun: true }, text: () => `Would run in ${env}: ${shown(seed)}` };
  if (env === "dev") await io.confirm(`Run "${seed}" in dev? It may change the data there`);
  const error = await seedEnvironment(project, env, io);
  if (error !== undefined) throw error;
  return { data, text: () => `${env} is seeded` };
}

/** Runs the seed command in an environment; returns the error if it failed. */
export async function seedEnvironment(project: Project, env: string, io: Io): Promise<ForkstackError | undefined> {
  await admit(project, { catalog: io.catalog, reach: "all", person: io });
  const code = await runProgram({ name: env, flags: {}, io, program: shellOf(project.config.seed!) });
  if (code === 0) return undefined;
  return new ForkstackError("SEED_FAILED", `Cannot seed environment "${env}": the seed command ended with ${code}`, {
    hint: `Fix what it says, then run \`forkstack seed ${env}\`; the environment stands`,
    details: { env },
  });
}
