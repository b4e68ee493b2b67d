/** A server that is a program of its own, on a free port of loopback, for as long as a test needs it. */
import { spawn } from "node:child_process";
import { temporaryDirectory } from "../helpers.ts";
import { freePort, untilUp } from "./ports.ts";

/** A running server; `await using` ends it. */
export class ProgramServer implements AsyncDisposable {
  readonly url: string;
  readonly #home = temporaryDirectory("forkstack-server-");
  readonly #child;
  readonly #closed: Promise<void>;

  private constructor(program: string, port: number, args: readonly string[]) {
    this.url = `http://127.0.0.1:${port}`;
    this.#child = spawn(program, args, { cwd: this.#home.path, stdio: "ignore" });
    this.#closed = new Promise((resolve) => {
      this.#child.on("close", () => resolve());
      this.#child.on("error", () => resolve());
    });
    globalThis.addEventListener("unload", () => this.#child.kill("SIGKILL"));
  }

  /** Starts a program in an empty directory, and waits until it answers without an error. */
  static async start(
    program: string,
    argsAt: (port: number) => readonly string[],
    ask: (url: string) => Promise<unknown>,
  ): Promise<ProgramServer> {
    const port = freePort();
    const server = new ProgramServer(program, port, argsAt(port));
    await untilUp(server.#child, () => ask(server.url));
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
    this.#home[Symbol.dispose]();
  }
}
