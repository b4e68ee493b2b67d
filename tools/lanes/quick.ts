/**
 * The quick lane, `deno task quick`: format, lint, types, the pure parts, and the suites of the providers that differ
 * from main. Meant for every save: at most 30 seconds on two cores. `.ci/run` runs the rest.
 */
import { spawn } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Paths of tests that start no process, open no port and wait for no disk, or hardly. */
const PURE = [
  ...["cli", "engine", "http", "lifecycle", "project", "text"].map((room) => `tests/core/${room}`),
  ...["core/marker", "mod", "mod_property", "mod_process", "vectors", "conformance"].map((name) =>
    `tests/${name}_test.ts`
  ),
  "tests/simulation",
];

/** Tests among them that start programs, or work on a disk for long; only the gate runs them. */
const IMPURE = [
  ...["copied", "sanitize"].map((name) => `engine/${name}`),
  ...["default_name", "lease", "offline", "overtaken", "rebuild"].map((name) => `lifecycle/${name}`),
  "project/state_ownership",
].map((name) => `tests/core/${name}_test.ts`);

/**
 * Shipped paths, whose types are checked; a change of a type shows in these, in the tests above or in the difference
 * from main.
 */
const SHIPPED = ["mod.ts", "cli.ts", "core", "providers", "tools"];

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly said: string;
}

/** Runs a program in the repository. */
async function run(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const child = spawn(command, args, { cwd: ROOT, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, said] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    said += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => said += text);
  const code = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 1));
  });
  return { code, stdout, said };
}

/** Lists the files of tests below these paths, without the impure ones. */
async function pureTests(): Promise<string[]> {
  const { stdout } = await run("git", ["ls-files", "-co", "--exclude-standard", "--", ...PURE]);
  return stdout.split("\n").filter((path) => path.endsWith("_test.ts") && !IMPURE.includes(path));
}

/** Lists the files that differ from main's, committed or not. */
async function changedFiles(): Promise<string[]> {
  const git = async (...args: string[]) => (await run("git", args)).stdout.split("\n").filter(Boolean);
  const [base] = [...await git("merge-base", "HEAD", "origin/main"), ...await git("merge-base", "HEAD", "main")];
  const committed = base === undefined ? [] : await git("diff", "--name-only", base);
  return [...committed, ...await git("ls-files", "--others", "--exclude-standard")];
}

interface Graph {
  readonly modules: readonly { readonly specifier: string; readonly dependencies?: readonly Dependency[] }[];
}

interface Dependency {
  readonly code?: { readonly specifier?: string };
}

/** Lists the tests of providers that load a changed file of providers, of their emulators or of these tests. */
async function suitesOf(changed: readonly string[]): Promise<string[]> {
  const own = changed.filter((path) => /^(providers|tests\/(providers|emulators))\/.*\.ts$/.test(path));
  if (own.length === 0) return [];
  const suites = (await run("git", ["ls-files", "tests/providers/*_test.ts"])).stdout.split("\n").filter(Boolean);
  const entry = join(ROOT, `.quick-${process.pid}.ts`); // in the repository, whose deno.json holds for it
  writeFileSync(entry, suites.map((path) => `import "./${path}";\n`).join(""));
  const { stdout } = await run("deno", ["info", "--json", "--lock=dev.lock", entry]);
  rmSync(entry);
  const graph = JSON.parse(stdout) as Graph;
  const loads = new Map(graph.modules.map(({ specifier, dependencies = [] }) => [
    specifier,
    dependencies.map(({ code }) => code?.specifier).filter((one) => one !== undefined),
  ]));
  const wanted = new Set(own.map((path) => pathToFileURL(join(ROOT, path)).href));
  return suites.filter((suite) => {
    const seen = new Set([pathToFileURL(join(ROOT, suite)).href]);
    for (const module of seen) for (const other of loads.get(module) ?? []) seen.add(other);
    return [...seen].some((module) => wanted.has(module));
  });
}

/** Runs one step, and prints its time and, if it failed, its output. */
async function step(name: string, args: readonly string[], env?: Record<string, string>): Promise<boolean> {
  const began = performance.now();
  const { code, said } = await run("deno", args, env);
  const counts = /^(?:ok|FAILED) \| (.*?) \(/m.exec(said)?.[1];
  const seconds = ((performance.now() - began) / 1_000).toFixed(1);
  console.log(`${code === 0 ? "ok" : "FAILED"}  ${name}${counts ? `: ${counts}` : ""} (${seconds} s)`);
  if (code !== 0) console.log(said);
  return code === 0 && (args[0] !== "test" || counts !== undefined);
}

const TEST = ["test", "-q", "-P=test", "--lock=dev.lock", "--no-check", "--parallel"];
const SIZES = { FORKSTACK_TEST_SIZE: "quick", NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" };

const [pure, changed] = await Promise.all([pureTests(), changedFiles()]);
const suites = await suitesOf(changed);
const typed = changed.filter((path) => /^tests\/.*\.ts$/.test(path) && existsSync(join(ROOT, path)));
const results = await Promise.all([
  step("types", ["check", "-q", "--lock=dev.lock", ...SHIPPED, ...pure, ...suites, ...typed]), // alone as long as all others together, on a processor of its own
  (async () => [
    await step("format", ["fmt", "-q", "--check"]),
    await step("lint", ["lint", "-q"]),
    await step("pure parts", [...TEST, ...pure], SIZES),
    suites.length === 0 || await step(`suites of ${suites.length} files`, [...TEST, ...suites], SIZES),
  ])(),
]);
process.exitCode = results.flat().every(Boolean) ? 0 : 1;
