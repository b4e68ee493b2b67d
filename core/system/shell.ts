/**
 * Command lines that a person wrote for a shell.
 *
 * @module
 */
import { system } from "./host.ts";

/** Returns the program and arguments that run a command line by the system's shell, with its output on stderr. */
export function shellOf(line: string): [command: string, ...args: string[]] {
  return system() === "windows" ? ["cmd", "/d", "/s", "/c", `(${line}) 1>&2`] : ["sh", "-c", `exec 1>&2\n${line}`];
}
