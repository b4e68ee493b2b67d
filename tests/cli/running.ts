/** A command that goes on while the test does something. */
import assert from "node:assert/strict";
import { commandOf, type Place } from "./run.ts";

/** A session without a terminal: on one, Ctrl-C is the terminal's to send, and `run` hands no SIGINT on. */
export const DETACHED: readonly string[] = ["env", "--default-signal", "setsid"];

/** Begins `run` with these arguments. */
export function beginRun(place: Place, ...args: string[]): Running {
  return new Running(place.root, [...DETACHED, ...commandOf(["run", ...args])]);
}

/** A command that has been begun. */
export class Running {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(cwd: string, command: readonly string[], env: Record<string, string> = {}) {
    const options = { args: command.slice(1), cwd, env, stdin: "piped", stdout: "piped", stderr: "inherit" } as const;
    this.#child = new Deno.Command(command[0], options).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
      .getReader();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The words of the next line. */
  async line(): Promise<string[]> {
    while (!this.#text.includes("\n")) {
      const { done, value } = await this.#lines.read();
      assert(!done, `it ended after ${this.#text}`);
      this.#text += value;
    }
    const at = this.#text.indexOf("\n");
    const line = this.#text.slice(0, at);
    this.#text = this.#text.slice(at + 1);
    return line.split(" ");
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async type(text: string): Promise<void> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(text));
    writer.releaseLock();
  }

  /** The exit code; a number below zero is the signal that ended forkstack itself. */
  async ended(): Promise<number> {
    const { code, signal } = await this.#child.status;
    await this.#child.stdin.close().catch(() => {});
    await this.#lines.cancel();
    return signal === null ? code : -code;
  }
}
