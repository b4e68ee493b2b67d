/** The vectors that readers in all languages pass: the table of docs/environments.md. */
import { mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Candidates, Facts } from "../mod.ts";
import type { Project } from "./runtime_helpers.ts";

/** An environment, its value and where that comes from, or the code of an error. */
export type Answer = { env: string; value?: string; from?: string } | { error: string };

/** One way to be on an environment, what is asked there, and the answer. */
export interface Vector {
  readonly name: string;
  readonly way: string;
  readonly state: string;
  /** Texts by path; `{root}` stands for the directory that they are laid down in. */
  readonly files: Readonly<Record<string, string>>;
  readonly process?: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** A variable, or `"env"`. */
  readonly ask: string;
  readonly answer: Answer;
  readonly facts: Facts;
  readonly candidates?: Candidates;
}

export const VECTORS_DIRECTORY = new URL("vectors/", import.meta.url);
/** All of them. */
export const VECTORS: readonly Vector[] = [
  "pointer",
  "process",
  "loaded",
  "worktrees",
  "copies",
  "deployments",
  "variables",
]
  .flatMap((name) => JSON.parse(readFileSync(new URL(`${name}.json`, VECTORS_DIRECTORY), "utf8")).vectors);

/** A vector whose files are on a disk, with the answer that a getter can give. */
export interface Laid extends Pick<Vector, "name" | "cwd" | "ask"> {
  readonly process: Readonly<Record<string, string>>;
  readonly answer: Omit<Answer, "from">;
}

/** Lays down the files of all vectors in a project, each in a directory of its own. */
export function laidDown(at: Project): Laid[] {
  const root = realpathSync(at.path);
  return VECTORS.map(({ name, files, process = {}, cwd, ask, answer }) => {
    const here = join(root, name);
    const filled = <T>(value: T): T => JSON.parse(JSON.stringify(value).replaceAll("{root}", here));
    for (const [path, text] of Object.entries(filled(files))) {
      mkdirSync(dirname(join(here, path)), { recursive: true });
      writeFileSync(join(here, path), text);
    }
    const { from: _, ...expected } = filled(answer) as { from?: string };
    return { name, ask, cwd: join(here, cwd), process: filled(process), answer: expected };
  });
}
