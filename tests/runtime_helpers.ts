/** Temporary projects for the tests of mod.ts, and the runtimes that run them. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { formatEnvLine, openStack, type Stack } from "../mod.ts";
import { BUN } from "../tools/build/_tools.ts";
import { baseVariables } from "./helpers.ts";
import { linkedPrograms } from "./tools.ts";

/** A directory with these files in it, which is removed when the variable goes out of scope. */
export function temporaryProject(files: Readonly<Record<string, string | Uint8Array>> = {}): Project {
  return new Project(files);
}

/** See `temporaryProject`. */
export class Project {
  readonly path: string = mkdtempSync(join(tmpdir(), "forkstack-test-"));

  constructor(files: Readonly<Record<string, string | Uint8Array>>) {
    for (const [name, content] of Object.entries(files)) this.write(name, content);
  }

  write(name: string, content: string | Uint8Array): void {
    mkdirSync(dirname(join(this.path, name)), { recursive: true });
    writeFileSync(join(this.path, name), content);
  }

  remove(name: string): void {
    rmSync(join(this.path, name), { recursive: true });
  }

  /** The stack of this directory under these variables of the process, and no others. */
  open(variables: Readonly<Record<string, string>> = {}, cwd = "."): Stack {
    return openStack({ cwd: join(this.path, cwd), read: (name) => new Map(Object.entries(variables)).get(name) });
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** The text of an env file. */
export function envFile(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables).map(([name, value]) => `${formatEnvLine(name, value)}\n`).join("");
}

/** The text of an env file as 0.1.0 wrote it: each value in quotes. */
export function quotedFile(text: string): string {
  return text.replace(/^(\w+)=([^'"`\n]*)$/gm, "$1='$2'");
}

/** An `.env.local` with forkstack's block, and a person's lines below it. */
export function localFile(variables: Readonly<Record<string, string>>, person = ""): string {
  return `# >>> forkstack {"directory":"/somewhere"}\n${envFile(variables)}# <<< forkstack\n${person}`;
}

/** What a process of its own said. */
export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command under these variables and the few that every runtime needs to find itself and its cache. */
export function run(
  [command, ...args]: readonly [string, ...string[]],
  options: { cwd?: string; env?: Readonly<Record<string, string>>; timeoutMs?: number } = {},
): Ran {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: options.cwd,
    env: { ...baseVariables(), ...options.env },
    encoding: "utf8",
    timeout: options.timeoutMs ?? 120_000,
    maxBuffer: 16 * 1024 * 1024,
  });
  return { code: error === undefined ? status : null, stdout: stdout ?? "", stderr: stderr ?? String(error) };
}

/** A command that starts a runtime, or why there is none. */
export type Runtime = { readonly command: readonly [string, ...string[]] } | { readonly missing: string };

/** Node 22. */
export function node22(): Runtime {
  return node(22);
}

/** Node of a major version, by the path npx keeps it under: npx itself would cost half a second a start. */
export function node(major: number): Runtime {
  const print = "process.stdout.write(process.execPath)";
  for (const command of [["node"], ["npx", "-y", `node@${major}`]] as const) {
    const { code, stdout } = run([...command, "-e", `if (process.version.startsWith("v${major}.")) ${print}`]);
    if (code === 0 && stdout !== "") return { command: [stdout] };
  }
  return { missing: `neither node nor npx -y node@${major} is Node ${major}` };
}

/** Bun. */
export function bun(): Runtime {
  for (const command of [["bun"], ["npx", "-y", BUN]] as const) {
    const { code, stdout } = run([...command, "-e", "process.stdout.write(process.execPath)"]);
    if (code === 0 && stdout !== "") return { command: [stdout] };
  }
  return { missing: `neither bun nor npx -y ${BUN} runs` };
}

/** A value for PATH in which Bun goes by both of its names, wherever it came from; `using` removes what was made for it. */
export function pathWithBun(program: string): { readonly value: string; [Symbol.dispose](): void } {
  const links = linkedPrograms({ bun: program, bunx: program });
  return { value: `${links.path}${delimiter}${process.env.PATH}`, [Symbol.dispose]: () => links[Symbol.dispose]() };
}

/** The Deno that runs the tests. */
export function deno(): Runtime {
  return { command: [process.execPath] };
}

/**
 * Registers a test that needs a runtime. Without the runtime it is ignored, and its name says why; with
 * FORKSTACK_TEST_FULL=1 it fails.
 */
export function runtimeTest(
  name: string,
  runtime: Runtime,
  body: (command: readonly [string, ...string[]]) => unknown,
) {
  if ("command" in runtime) return Deno.test(name, async () => void await body(runtime.command));
  const fn = () => {
    throw new Error(runtime.missing);
  };
  Deno.test({ name: `${name} (skipped: ${runtime.missing})`, ignore: process.env.FORKSTACK_TEST_FULL !== "1", fn });
}

/** A project in a git repository. */
export type Repository = Project & { git(cwd: string, ...args: string[]): void };

/** A repository `main` with a linked worktree `linked`. */
export function linkedRepository(): Repository {
  const at = temporaryProject({ "main/app/forkstack.json": '{"project": "myapp"}' });
  const git = (cwd: string, ...args: string[]) => {
    const who = ["-c", "user.name=t", "-c", "user.email=t@example", "-c", "protocol.file.allow=always"];
    const { code, stderr } = run(["git", ...who, ...args], { cwd: join(at.path, cwd) });
    assert.equal(code, 0, stderr);
  };
  git("main", "init", "-q");
  git("main", "add", ".");
  git("main", "commit", "-q", "-m", "begin");
  git("main", "worktree", "add", "-q", "../linked");
  return Object.assign(at, { git });
}
