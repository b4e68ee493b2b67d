/** Helpers of tests with files: temporary directories, digests of trees, mounted file systems. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { memory } from "../core/system/memory.ts";
import { files } from "../core/system/files.ts";
import { parseMarker } from "../core/marker.ts";
import type { Context, Marker, Recorded } from "../core/provider.ts";

/** Runs a program to its end; throws if it fails. */
export const run = promisify(execFile);

/** Creates a directory, with a path free of links; `using` removes it. */
export function temporaryDirectory(prefix = "forkstack-test-"): { readonly path: string; [Symbol.dispose](): void } {
  const path = fs.mkdtempSync(join(fs.realpathSync(tmpdir()), prefix));
  return { path, [Symbol.dispose]: () => fs.rmSync(path, { recursive: true, force: true }) };
}

/**
 * Returns every file, directory and link under a directory, by relative path: type, mode and a digest of the content.
 */
export function treeOf(root: string, at = ""): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of fs.readdirSync(join(root, at)).sort()) {
    const path = join(at, name);
    const stat = fs.lstatSync(join(root, path));
    const mode = (stat.mode & 0o7777).toString(8);
    if (stat.isDirectory()) {
      found.set(path, `directory ${mode}`);
      for (const [inner, digest] of treeOf(root, path)) found.set(inner, digest);
    } else if (stat.isSymbolicLink()) {
      found.set(path, `link to ${fs.readlinkSync(join(root, path))}`);
    } else {
      found.set(path, `file ${mode} ${createHash("sha256").update(fs.readFileSync(join(root, path))).digest("hex")}`);
    }
  }
  return found;
}

/**
 * Returns the record of a vendor's own answers, as the engine has it in its journal: newest first, by name of the row.
 */
export function ledgerOf(journal: Pick<ReadonlyMap<string, Marker>, "get">) {
  const lines: { step: string; id: string }[] = [];
  const takenOver: string[] = [];
  const refused = new Set<string>();
  const runOf = (name: string) => `${name} of ${journal.get(name)?.operation}`;
  return {
    takenOver,
    fence: () => Promise.resolve(),
    record(step: string, id: string): Promise<void> {
      lines.unshift({ step, id });
      return Promise.resolve();
    },
    recorded(name: string): Promise<readonly Recorded[]> {
      const marker = journal.get(name);
      return Promise.resolve(marker === undefined ? [] : lines.map((line) => ({ ...line, marker })));
    },
    refused(name: string): Promise<void> {
      refused.add(runOf(name));
      return Promise.resolve();
    },
    async takeOver(name: string, _id: string, isEmpty: () => Promise<boolean>): Promise<boolean> {
      if (refused.has(runOf(name)) || !await isEmpty()) return false;
      takenOver.push(name);
      return true;
    },
  };
}

/** Returns a context for a provider of files on the real file system and the real clock. */
export function realContext(changed: Partial<Context> = {}): Context {
  return {
    fetch: () => Promise.reject(new TypeError("an embedded provider calls nobody")),
    files,
    credentials: {},
    signal: new AbortController().signal,
    now: () => new Date(),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    markerOf: (name, note) => parseMarker(note, name),
    ...ledgerOf(new Map()),
    once: memory(),
    warn: () => {},
    progress: () => {},
    confirm: () => Promise.resolve(),
    ...changed,
  };
}

/** A mounted file system; `await using` unmounts it. */
export interface Mount extends AsyncDisposable {
  readonly path: string;
}

/** Creates and mounts a file system of this type and size. Needs root, a kernel that supports it, and mkfs. */
export async function mountImage(type: "btrfs" | "ext4" | "xfs" | "tmpfs", sizeMiB: number): Promise<Mount> {
  const directory = temporaryDirectory("forkstack-mount-");
  const path = join(directory.path, "mounted");
  fs.mkdirSync(path);
  try {
    if (type === "tmpfs") {
      await run("mount", ["-t", "tmpfs", "-o", `size=${sizeMiB}m`, "forkstack-test", path]);
    } else {
      const image = join(directory.path, "image");
      fs.closeSync(fs.openSync(image, "w"));
      fs.truncateSync(image, sizeMiB * 2 ** 20);
      await run(`mkfs.${type}`, ["-q", image]);
      await run("mount", ["-o", "loop", image, path]);
    }
  } catch (error) {
    directory[Symbol.dispose]();
    throw error;
  }
  return {
    path,
    async [Symbol.asyncDispose]() {
      await run("umount", [path]);
      directory[Symbol.dispose]();
    },
  };
}

/** Returns the reason why this machine cannot mount such a file system, found by trying; `undefined` if it can. */
export async function whyNoMount(type: Parameters<typeof mountImage>[0], sizeMiB: number): Promise<string | undefined> {
  if (process.platform !== "linux") return `${process.platform} has no loop mounts`;
  try {
    await using _mount = await mountImage(type, sizeMiB);
    return undefined;
  } catch (error) {
    const complaint = (error as { stderr?: string }).stderr || (error as Error).message;
    return `cannot mount ${type}: ${complaint.trim().split("\n")[0]}`;
  }
}

/**
 * Registers a test that some machines cannot run: there it is ignored and its name says why, or with
 * `FORKSTACK_TEST_FULL=1` it fails.
 */
export function testIf(
  reason: string | undefined,
  name: string,
  fn: Deno.TestDefinition["fn"],
  options: Omit<Deno.TestDefinition, "name" | "fn"> = {},
): void {
  if (reason === undefined) return Deno.test({ ...options, name, fn });
  const isRequired = process.env.FORKSTACK_TEST_FULL === "1";
  Deno.test({
    name: `${name} (${reason})`,
    ignore: !isRequired,
    fn: () => {
      throw new Error(`this machine must run every test, but: ${reason}`);
    },
  });
}

/**
 * Names of variables that a runtime needs, none of them forkstack's: paths of programs and fetched packages, and access
 * to others: a registry, a proxy, certificates.
 */
const BASE_VARIABLES = [
  ...["PATH", "HOME", "TMPDIR", "DENO_DIR", "XDG_CACHE_HOME", "npm_config_cache", "npm_config_registry"],
  ...["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "DENO_CERT", "DENO_TLS_CA_STORE"],
  ...["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"],
];

/** Returns those variables that are set. */
export function baseVariables(): Record<string, string> {
  return Object.fromEntries(BASE_VARIABLES.flatMap((name) => process.env[name] ? [[name, process.env[name]]] : []));
}

/** Runs work for each item, this many at once; throws the failures after all are done. */
export async function forEach<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
  atOnce = navigator.hardwareConcurrency + 1,
): Promise<void> {
  const waiting = [...items];
  const failures: unknown[] = [];
  const lane = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
      await work(item).catch((error) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) {
    const messages = failures.map((error) => error instanceof Error ? error.message : String(error));
    throw new AggregateError(failures, `${failures.length} of ${items.length} failed:\n${messages.join("\n")}`);
  }
}
