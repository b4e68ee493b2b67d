/** Commands on a terminal, as a person has one: a pseudo-terminal that Python opens, for Deno has none. */
import { fileURLToPath } from "node:url";
import { testIf } from "../helpers.ts";
import { whyMissing } from "../tools.ts";
import { runCommand, type RunOptions, whyNot } from "./run.ts";

/** What a person does. */
export interface Step {
  /** A regular expression that must match what is shown since the step before. */
  readonly until: string;
  /** Keys, e.g. `"\x03"` for Ctrl-C. */
  readonly type?: string;
  /** A file that somebody writes at that moment, before the keys, and its text. */
  readonly write?: readonly [path: string, text: string];
  /** Sent to the command alone, as `kill` does. */
  readonly signal?: string;
}

/** What a terminal showed, and how the command on it ended. */
export interface Shown {
  readonly shown: string;
  readonly code: number;
}

/** Runs a command on a terminal of its own, of so many columns (0: it doesn't say); fails if a step was not reached. */
export async function onTerminal(
  cwd: string,
  command: readonly string[],
  steps: readonly Step[],
  { columns, env }: Pick<RunOptions, "env"> & { readonly columns?: number } = {},
): Promise<Shown> {
  const script = fileURLToPath(new URL("terminal.py", import.meta.url));
  const stdin = JSON.stringify({ command, steps, columns });
  const { stdout, stderr, code } = await runCommand(cwd, ["python3", script], {
    env: { TERM: "xterm-256color", ...env },
    stdin,
  });
  if (code !== 0) throw new Error(`No terminal: ${stderr}`);
  const { left, ...shown } = JSON.parse(stdout);
  if (left.length > 0) throw new Error(`Never shown: ${left[0]}\n${shown.shown}`);
  return shown;
}

/** Why no terminal can be opened here; `undefined`: one can. */
export const whyNoTerminal: string | undefined = whyMissing("python3") ??
  await whyNot("python3", "-c", "import fcntl, pty");

/** Registers a test that needs a terminal; skipped, with the reason, where Python can open none. */
export function terminalTest(name: string, fn: () => Promise<void>): void {
  testIf(whyNoTerminal, name, fn);
}
