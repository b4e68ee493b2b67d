/**
 * Prism between a provider and an emulator, with the vendor's own specification: it reports each request and each answer
 * that breaks a rule.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { freePort } from "./ports.ts";

/** The proxy in front of a server. */
export interface Prism extends AsyncDisposable {
  readonly url: string;
  /** Violations of the specification so far. */
  readonly violations: readonly string[];
  /** Number of answers so far. */
  readonly answers: number;
  /** Sends a request, and records the proxy's complaints. */
  fetch(request: Request): Promise<Response>;
}

/** Starts the proxy: it answers instead of the server if a request or an answer breaks the rules. */
export async function startPrism(path: string, upstream: string): Promise<Prism> {
  const port = freePort();
  const args = ["-y", "@stoplight/prism-cli@5", "proxy", "--errors", "-h", "127.0.0.1", "-p", `${port}`];
  // A group of its own: npx starts node, and both must end.
  const child = spawn("npx", [...args, path, upstream], { detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const closed = once(child, "close");
  let said = "";
  await new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (data) => {
        said = (said + data).slice(-10_000);
        if (said.includes("Prism is listening")) resolve();
      });
    }
    closed.then(() => reject(new Error(`Prism did not start: ${said}`)));
  });
  const url = `http://127.0.0.1:${port}`;
  const violations: string[] = [];
  let answers = 0;
  return {
    url,
    violations,
    get answers() {
      return answers;
    },
    async fetch(request) {
      const response = await globalThis.fetch(request);
      if (!request.url.startsWith(url)) return response;
      answers++;
      const found = response.headers.get("sl-violations");
      const isProblem = response.headers.get("content-type")?.includes("problem+json");
      const text = await response.clone().text();
      if (found !== null || isProblem) violations.push(`${request.method} ${request.url}: ${found ?? ""} ${text}`);
      return response;
    },
    async [Symbol.asyncDispose]() {
      process.kill(-child.pid!, "SIGKILL");
      await closed;
    },
  };
}
