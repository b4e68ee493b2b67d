/** A server that is a program of its own, on a free port of loopback, for as long as a test needs it. */
import { spawn } from "node:child_process";
import { temporaryDirectory } from "../helpers.ts";
import { freePort, untilUp } from "./ports.ts";

/** A running server; `await using` ends it. It ends with the process, if not before; what it held is removed. */
export class ProgramServer implements AsyncDisposable {
  readonly url: string;
  readonly #home = temporaryDirectory("forkstack-server-");
  readonly #child;
  readonly #closed: Promise<void>;
  readonly #end = () => {
    this.#child.kill("SIGKILL");
    this.#home[Symbol.dispose]();
  };

  private constructor(program: string, argsAt: ProgramArgs) {
    const port = freePort();
    this.url = `http://127.0.0.1:${port}`;
    this.#child = spawn(program, argsAt(port, this.#home.path), { cwd: this.#home.path, stdio: "ignore" });
    this.#closed = new Promise((resolve) => {
      this.#child.on("close", () => resolve());
      this.#child.on("error", () => resolve());
    });
    globalThis.addEventListener("unload", this.#end);
  }

  /** Starts a program in an empty directory, and waits until it answers without an error. */
  static async start(
    program: string,
    argsAt: ProgramArgs,
    ask: (url: string) => Promise<unknown>,
  ): Promise<ProgramServer> {
    const server = new ProgramServer(program, argsAt);
    await untilUp(server.#child, () => ask(server.url));
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    globalThis.removeEventListener("unload", this.#end);
    this.#child.kill("SIGKILL");
    await this.#closed;
    this.#home[Symbol.dispose]();
  }
}

/** Returns the arguments of a program that serves this port; what it holds is below the directory, where it runs. */
export type ProgramArgs = (port: number, directory: string) => readonly string[];
