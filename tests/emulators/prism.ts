/**
 * Prism between a provider and an emulator, with the vendor's own specification: it reports each request and each answer
 * that breaks a rule.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { freePort } from "./ports.ts";

/**
 * A vendor's specification under ../shared/openapi; `missing` says why a test of it can't run. Prism takes no account of
 * the path of a server's URL: what it is goes before each path in a copy. `paths`: those of a large one that are used, as
 * each costs time with each request; of a JSON file alone.
 */
export function specification(
  file: string,
  base = "",
  paths = /^/,
): { readonly path: string; readonly missing?: string } {
  const path = fileURLToPath(new URL(`../../../shared/openapi/${file}`, import.meta.url));
  if (!existsSync(path)) return { path, missing: `there is no ${path}` };
  if (base === "" && paths.source === "^") return { path };
  const text = readFileSync(path, "utf8");
  const parsed = file.endsWith(".json") ? JSON.parse(text) : undefined;
  if (parsed) {
    const used = Object.entries(parsed.paths).filter(([at]) => paths.test(at));
    parsed.paths = Object.fromEntries(used.map(([at, one]) => [base + at, one]));
  }
  const based = parsed ? JSON.stringify(parsed) : text.replace(/^ {2}(?=\/\S*:$)/gm, `  ${base}`);
  const copy = join(mkdtempSync(join(tmpdir(), "forkstack-specification-")), file);
  writeFileSync(copy, based);
  globalThis.addEventListener("unload", () => rmSync(dirname(copy), { recursive: true, force: true }));
  return { path: copy };
}

/**
 * The one fault that the suite is run with through the proxy, at every call: what a provider makes of each fault, the
 * suite without the proxy shows; here it matters what it sends next.
 */
export const FAULTS: readonly string[] = ["lost reply"];

/** The proxy in front of a server. */
export interface Prism extends AsyncDisposable {
  readonly url: string;
  /** What broke the specification so far. */
  readonly violations: readonly string[];
  /** How many answers came through it. */
  readonly answers: number;
  /** How often each known error of the specification was met. */
  readonly excepted: ReadonlyMap<string, number>;
  /** To be told of each exchange, with a clone of the answer. */
  onAnswer(request: Request, response: Response): Promise<void>;
}

/**
 * Starts the proxy: it answers in the server's place where a request or an answer breaks the rules. `exceptions`: known
 * errors of the specification, reason -> what Prism says of them after method and path.
 */
export async function startPrism(
  path: string,
  upstream: string,
  exceptions: Readonly<Record<string, RegExp>> = {},
): Promise<Prism> {
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
  const excepted = new Map<string, number>();
  let answers = 0;
  const isExcepted = (call: string, found: string) => {
    const all: { message: string }[] = JSON.parse(found);
    const reasons = all.map(({ message }) =>
      Object.keys(exceptions).find((reason) => exceptions[reason]!.test(`${call}: ${message}`))
    );
    for (const reason of reasons) if (reason !== undefined) excepted.set(reason, (excepted.get(reason) ?? 0) + 1);
    return reasons.every((reason) => reason !== undefined);
  };
  return {
    url,
    violations,
    excepted,
    get answers() {
      return answers;
    },
    async onAnswer(request, response) {
      if (request.url.startsWith(url)) answers++;
      const found = response.headers.get("sl-violations");
      const { pathname } = new URL(request.url);
      const isViolation = (found !== null && !isExcepted(`${request.method} ${pathname}`, found)) ||
        response.headers.get("content-type")?.includes("problem+json");
      const text = await response.text(); // not cancel(): of a clone it waits for the other
      if (isViolation) violations.push(`${request.method} ${request.url}: ${found ?? ""} ${text}`);
    },
    async [Symbol.asyncDispose]() {
      process.kill(-child.pid!, "SIGKILL");
      await closed;
    },
  };
}
