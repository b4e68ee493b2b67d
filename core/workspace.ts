/**
 * The files that point a working directory at an environment: `.current-env`, `.env.local`, `.forkstack/envs/<env>.env`.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { rename, stat } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { findUpwards, ForkstackError, formatEnvLine, openStack, parseEnvFile } from "../mod.ts";
import type { Project } from "./config.ts";
import { fileError, files, sweepTemporary, temporaryPath } from "./files.ts";
import { Secret } from "./secret.ts";

/** The variables of an environment, in the order in which they are written. */
export type Variables = Readonly<Record<string, string | Secret>>;

const POINTERS = [".current-env", ".env.local"] as const;

/** The environment that this directory points to, and what decided it. */
export function currentEnv(project: Project): { env: string; decidedBy: string } {
  const { env, decidedBy } = openStack({ cwd: project.root });
  return { env, decidedBy };
}

/** Where an environment's variables are kept. */
export function variablesPath(project: Project, env: string): string {
  return join(project.stateRoot, ".forkstack", "envs", `${env}.env`);
}

/** The variables of an environment's own file, or `undefined` if there is none. */
export async function readVariables(project: Project, env: string): Promise<Record<string, string> | undefined> {
  const text = await files.read(variablesPath(project, env));
  return text === undefined ? undefined : parseEnvFile(text);
}

/** Writes an environment's own file. */
export async function writeVariables(project: Project, env: string, variables: Variables): Promise<void> {
  const all: Variables = { FORKSTACK_ENV: env, FORKSTACK_PROJECT: project.name, ...variables };
  const lines = Object.entries(all)
    .map(([name, value]) => formatEnvLine(name, value instanceof Secret ? value.reveal() : value));
  await files.write(variablesPath(project, env), `${lines.join("\n")}\n`);
}

/** Removes an environment's own file. */
export async function removeVariables(project: Project, env: string): Promise<void> {
  await files.remove(variablesPath(project, env));
}

/**
 * Refuses to go on where a pointer file is not ours to write: git tracks it (a credential would be committed), or a
 * person wrote `.env.local`.
 */
export async function checkPointers(project: Project): Promise<void> {
  const local = await files.read(join(project.root, ".env.local"));
  if (local !== undefined && parseEnvFile(local).FORKSTACK_ENV === undefined) {
    throw new ForkstackError(
      "FOREIGN",
      `Cannot write "${join(project.root, ".env.local")}": forkstack did not make it`,
      {
        hint: "Rename it to .env, which forkstack never writes, and run the same command again",
      },
    );
  }
  const tracked = await trackedByGit(project);
  if (tracked.length > 0) {
    throw new ForkstackError(
      "GIT_TRACKED",
      `Cannot write ${tracked.join(", ")}: git tracks ${tracked.length === 1 ? "it" : "them"}`,
      {
        hint: `Credentials would be committed. Run \`git rm --cached ${tracked.join(" ")}\` and commit`,
      },
    );
  }
}

async function trackedByGit(project: Project): Promise<string[]> {
  if (findUpwards(project.root, ".git") === undefined) return [];
  const listed = await run("git", ["-C", project.root, "ls-files", "-z", "--", ...POINTERS, ".forkstack"]);
  return listed.split("\0").filter(Boolean).map((path) => JSON.stringify(path));
}

function run(command: string, args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const env = { PATH: process.env.PATH ?? "/usr/bin:/bin", HOME: process.env.HOME ?? "/", LC_ALL: "C" };
    const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let [output, complaint] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => output += text);
    child.stderr.setEncoding("utf8").on("data", (text: string) => complaint += text);
    child.on("error", (error: { code?: string }) => error.code === "ENOENT" ? resolve("") : reject(error)); // no git, no index
    child.on("close", (status) => {
      if (status === 0) return resolve(output);
      reject(
        new ForkstackError("GIT_FAILED", `Cannot ask git what it tracks: ${complaint.split("\n")[0].slice(0, 200)}`),
      );
    });
  });
}

/** Files written beside their places, with all their bytes on the disk, so that `commit` has only names to change. */
export interface Activation {
  commit(): Promise<void>;
  discard(): Promise<void>;
}

/** Prepares to point this directory at an environment whose own file is written. */
export async function prepareActivation(project: Project, env: string): Promise<Activation> {
  const text = await files.read(variablesPath(project, env)) ?? "";
  const staged: [temporary: string, path: string][] = [];
  const activation: Activation = {
    async commit() {
      for (const [temporary, path] of staged) await rename(temporary, path);
    },
    async discard() {
      for (const [temporary] of staged) await files.remove(temporary);
    },
  };
  try {
    // .env.local first: with .current-env still the old one, the runtime stops in between rather than mix the two.
    for (const [name, content] of [[".env.local", text + await keptLines(project)], [".current-env", `${env}\n`]]) {
      const path = join(project.root, name);
      await sweepTemporary(files, path);
      const temporary = temporaryPath(path);
      staged.push([temporary, path]);
      await files.write(temporary, content);
    }
    return activation;
  } catch (error) {
    await activation.discard();
    throw fileError(error, `write "${join(project.root, ".env.local")}"`);
  }
}

/** What a person added to `.env.local`: variables that are not of the environment it is of. */
async function keptLines(project: Project): Promise<string> {
  const local = parseEnvFile(await files.read(join(project.root, ".env.local")) ?? "");
  const own = local.FORKSTACK_ENV === undefined ? undefined : await readVariables(project, local.FORKSTACK_ENV);
  if (own === undefined) return "";
  const added = Object.entries(local).filter(([name]) => own[name] === undefined);
  return added.length === 0
    ? ""
    : `# yours, kept\n${added.map(([name, value]) => `${formatEnvLine(name, value)}\n`).join("")}`;
}

/** Writes the first forkstack.json, and adds the lines that .gitignore lacks. Says which files it changed. */
export async function completeProject(project: Project): Promise<string[]> {
  const changed: string[] = [];
  if (project.isNew) {
    await files.write(join(project.root, "forkstack.json"), `${JSON.stringify(project.config, null, 2)}\n`, {
      mode: 0o644,
    });
    changed.push("forkstack.json");
  }
  const path = join(project.root, ".gitignore");
  const text = await files.read(path) ?? "";
  const wanted = ["/.forkstack/", "/.current-env", "/.env.local", `/${project.name}.*.db*`];
  const has = new Set(text.split(/\r?\n/).map((line) => line.trim().replace(/^\//, "").replace(/\/$/, "")));
  const lacking = wanted.filter((line) => !has.has(line.replace(/^\//, "").replace(/\/$/, "")));
  if (lacking.length > 0) {
    await files.write(path, `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${lacking.join("\n")}\n`, {
      mode: await modeOf(path),
    });
    changed.push(".gitignore");
  }
  return changed;
}

async function modeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).mode & 0o777;
  } catch {
    return 0o644;
  }
}
