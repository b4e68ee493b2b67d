/** Our server in a process of its own, in any runtime, and requests to it byte by byte. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { stop, transform } from "npm:esbuild@0.28.0";
import { bun, deno, node22, run, type Runtime, temporaryProject } from "../../runtime_helpers.ts";
import { authorizationOf } from "../../../core/s3/sigv4.ts";

export const ORIGIN = "http://localhost:5173";
export const RUNTIMES: readonly (readonly [name: string, runtime: Runtime])[] = [
  ["Deno", deno()],
  ["Node 22", node22()],
  ["Bun", bun()],
];

let bundle: string | undefined;

/** The server and what it imports as one file that every runtime runs. */
async function bundled(): Promise<string> {
  if (bundle !== undefined) return bundle;
  const repository = fileURLToPath(new URL("../../../", import.meta.url));
  const file = fileURLToPath(new URL("./_server_child.ts", import.meta.url));
  using at = temporaryProject();
  const out = join(at.path, "server.mjs");
  const args = ["bundle", "-q", "-c", join(repository, "deno.json"), "--platform=browser", "-o", out, file];
  const { code, stderr } = run([process.execPath, ...args], { cwd: repository });
  assert.equal(code, 0, stderr);
  const options = { loader: "js", target: "node20", format: "esm" } as const;
  bundle = (await transform(readFileSync(out, "utf8"), options)).code;
  await stop(); // its process would go on
  return bundle;
}

/** A server that runs. */
export interface Served extends AsyncDisposable {
  readonly port: number;
  /** Where the bucket `shop` is, and what it must not reach is beside it. */
  readonly root: string;
  readonly child: ChildProcess;
}

/** Starts it, over a directory with the empty bucket `shop`. */
export async function serveIn(command: readonly [string, ...string[]]): Promise<Served> {
  const at = temporaryProject({ "server.mjs": await bundled() });
  const root = join(at.path, "root");
  for (const path of [root, join(root, "shop"), join(at.path, "outside")]) mkdirSync(path);
  const isDeno = command[0] === process.execPath;
  const [program, ...args] = [
    ...command,
    ...(isDeno ? ["run", "-q", "-A"] : []),
    join(at.path, "server.mjs"),
    root,
    ORIGIN,
  ];
  const child = spawn(program!, args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stderr!.on("data", (data) => said += data);
  const [line] = await Promise.race([once(child.stdout!, "data"), once(child, "close")]);
  assert.match(String(line), /^\d+\n$/, said);
  return {
    port: Number(line),
    root,
    child,
    async [Symbol.asyncDispose]() {
      assert.equal(child.exitCode, null, `the server died: ${said}`);
      child.kill("SIGKILL");
      await once(child, "close");
      at[Symbol.dispose]();
      assert.equal(said, "", "the server failed by itself");
    },
  };
}

/** What is sent. */
export interface Asked {
  readonly method?: string;
  /** Path and query, as they are sent. */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Of the signature, otherwise than it would be. */
  readonly date?: string;
  readonly day?: string;
}

/** A signed request, as bytes. */
export function signed({ port }: Pick<Served, "port">, asked: Asked): Uint8Array {
  const { method = "GET", target, body = "" } = asked;
  const date = asked.date ?? new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const hash = createHash("sha256").update(bytes).digest("hex");
  const headers: Record<string, string> = {
    host: `127.0.0.1:${port}`,
    "x-amz-date": date,
    "x-amz-content-sha256": hash,
    ...(bytes.length > 0 && { "content-length": String(bytes.length) }),
    ...asked.headers,
  };
  const names = Object.keys(headers).map((name) => name.toLowerCase()).sort();
  const [path, search = ""] = target.split("?") as [string, string?];
  const query = search === "" ? [] : search.split("&").map((pair) => {
    const [name, ...value] = pair.split("=");
    return [decodeURIComponent(name!), decodeURIComponent(value.join("="))] as const;
  });
  const scope = `${asked.day ?? date.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const authorization = authorizationOf({ method, path, query, headers: new Headers(headers) }, {
    accessKeyId: "test-key",
    secret: "test-secret",
    date,
    scope,
    signed: names,
    payloadHash: headers["x-amz-content-sha256"]!,
  });
  const lines = Object.entries({ ...headers, authorization }).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = new TextEncoder().encode(`${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n`);
  const all = new Uint8Array(head.length + bytes.length);
  all.set(head);
  all.set(bytes, head.length);
  return all;
}

/** What came back. */
export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
  /** S3's, of an error. */
  readonly code: string | undefined;
  /** How long the connection stayed open. */
  readonly tookMs: number;
}

/** Sends bytes on a connection of their own, and reads until it is closed, or one answer is whole. */
export async function send(
  { port }: Pick<Served, "port">,
  bytes: Uint8Array | string,
  untilClosed = false,
): Promise<Answered> {
  const began = performance.now();
  const socket = connect(port, "127.0.0.1");
  let text = "";
  const isHead = bytes.slice(0, 5).toString() === new TextEncoder().encode("HEAD ").toString();
  const isWhole = () => {
    const at = text.indexOf("\r\n\r\n");
    if (/^HTTP\/1.1 (204|304)/.test(text) || isHead) return at >= 0;
    const length = /^content-length: (\d+)/im.exec(text)?.[1];
    return at >= 0 && length !== undefined && text.length >= at + 4 + Number(length);
  };
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, 15_000);
    const end = () => (clearTimeout(timer), resolve());
    socket.on("error", end).on("close", end);
    socket.on("data", (data) => {
      text += data.toString("latin1");
      if (!untilClosed && isWhole()) end();
    });
    socket.write(bytes);
  });
  socket.destroy();
  const [head = "", ...rest] = text.split("\r\n\r\n");
  const [first = "", ...lines] = head.split("\r\n");
  const body = rest.join("\r\n\r\n");
  const headers = new Headers(lines.map((line): [string, string] => {
    const [name, ...value] = line.split(":");
    return [name!, value.join(":").trim()];
  }));
  return {
    status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1] ?? 0),
    headers,
    body,
    code: /<Code>(\w+)<\/Code>/.exec(body)?.[1],
    tookMs: performance.now() - began,
  };
}

/** A signed request, sent. */
export async function ask(served: Served, asked: Asked): Promise<Answered> {
  return await send(served, signed(served, asked));
}

/** Writes an object, past the server. */
export function plant({ root }: Served, path: string, text = "secret"): void {
  writeFileSync(join(root, "..", path), text);
}
