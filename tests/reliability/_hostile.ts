/**
 * Projects whose state a stranger has written: the real command line on each, and what must hold afterwards. Everything
 * is drawn from a seed, so that a case can be told again by its number.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { main } from "../../core/cli/main.ts";
import { commandOf, runCommand } from "../cli/run.ts";
import { temporaryDirectory, treeOf } from "../helpers.ts";
import { Dice } from "../simulation/random.ts";
import { type Part, put, spoil } from "./_hostile_state.ts";
import { CATALOG } from "../../providers/mod.ts";

/** How a run ended. */
interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line in a project. */
type Runner = (root: string, args: readonly string[]) => Promise<Ended>;

const VARIABLES = { USER: "tester", PATH: "/usr/bin:/bin", HOME: "/nowhere" };

/** In this process: a hundred times as fast. */
export async function inProcess(root: string, args: readonly string[]): Promise<Ended> {
  const said = { stdout: "", stderr: "" };
  const write = (stream: "stdout" | "stderr", text: string) => void (said[stream] += text);
  return { code: await main([...args], CATALOG, { cwd: root, variables: VARIABLES, write }), ...said };
}

/** As users run it. */
export async function asProcess(root: string, args: readonly string[]): Promise<Ended> {
  return await runCommand(root, commandOf(args));
}

/** A project with two environments, among what is not its own. */
export class Template implements Disposable {
  readonly #directory: ReturnType<typeof temporaryDirectory> = temporaryDirectory("forkstack-hostile-");
  readonly path: string = join(this.#directory.path, "template");

  /** Makes it. */
  static async make(): Promise<Template> {
    const template = new Template();
    const root = join(template.path, "shop");
    const outside = {
      "victim/precious/thesis": "the only copy",
      "victim/precious.db": "a database of another program",
      "victim/precious.env": "KEY=value",
      "victim/precious.json": "{}",
      "victim/precious.forkstack-00000000": "looks like ours",
      "shop.env": "another's",
      "shop-alice.db": "another's",
      "home/.ssh/id_ed25519": "key",
    };
    for (const [name, text] of Object.entries(outside)) put(join(template.path, name), text);
    put(join(root, "forkstack.json"), '{"project": "shop"}\n');
    put(join(root, "src/main.ts"), "app\n");
    put(join(root, "shop.dev.db/index"), "an index");
    put(join(root, ".forkstack/buckets/shop-bucket-dev/object"), "bytes");
    put(join(root, ".forkstack/secrets/dev.env"), "API_KEY='k'\n");
    mkdirSync(join(root, ".forkstack/sqlite"));
    const database = new DatabaseSync(join(root, ".forkstack/sqlite/shop-dev.db"));
    database.exec("CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('a')");
    database.close();
    for (const args of [["new", "bob", "--no-switch", "--ttl", "1d"], ["new", "alice"]]) {
      const ended = await inProcess(root, args);
      if (ended.code !== 0) throw new Error(`${args.join(" ")}: ${ended.stderr}`);
    }
    const registry = new DatabaseSync(join(root, ".forkstack/registry.db"));
    registry.exec("UPDATE environments SET expires_at = '2020-01-01T00:00:00.000Z' WHERE name = 'bob'");
    registry.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    registry.close();
    for (const suffix of ["-wal", "-shm"]) rmSync(join(root, `.forkstack/registry.db${suffix}`), { force: true });
    return template;
  }

  /** A copy for one case. */
  copy(name: string): string {
    const path = join(this.#directory.path, name, "above");
    cpSync(this.path, path, { recursive: true, preserveTimestamps: true });
    return path;
  }

  drop(name: string): void {
    rmSync(join(this.#directory.path, name), { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }
}

/** Files of the base environment, which no command may change. */
const BASE = [
  "shop.dev.db/index",
  ".forkstack/buckets/shop-bucket-dev/object",
  ".forkstack/secrets/dev.env",
  "src/main.ts",
];

/** What must stay: everything outside the project, and within it what is a person's. */
function kept(above: string): string {
  const outside = [...treeOf(above)].filter(([path]) => path !== "shop" && !path.startsWith("shop/"));
  const base = BASE.map((name) => [name, readFileSync(join(above, "shop", name), "utf8")]);
  return JSON.stringify([outside, base, existsSync(join(above, "shop/.forkstack/sqlite/shop-dev.db"))]);
}

/** The command lines that follow, in this order; the last is the way out, tried in some cases. */
const COMMANDS: readonly (readonly string[])[] = [
  ["list"],
  ["status", "alice"],
  ["switch", "alice"],
  ["run", "alice", "--", "true"],
  ["prune", "--yes"],
  ["delete", "alice", "--yes"],
  ["doctor", "--fix", "--yes"],
  ["doctor", "--rebuild", "--yes"],
];

/** Runs one case; gives what is wrong with it. What was changed is looked at in the end, and if so once more after each. */
export async function violationsOf(
  template: Template,
  part: Part,
  seed: number,
  run: Runner,
  isCareful = false,
): Promise<string[]> {
  const dice = new Dice(seed);
  const name = `${part}-${seed}${isCareful ? "-careful" : ""}`;
  const above = template.copy(name);
  const root = join(above, "shop");
  const found: string[] = [];
  let what = "";
  try {
    what = spoil(part, dice, above);
    const before = kept(above);
    for (const args of COMMANDS.slice(0, dice.chance("rebuild", 0.25) ? undefined : -1)) {
      const isJson = args[0] !== "run" && dice.chance(`json ${args.join(" ")}`, 0.3);
      const line = isJson ? [...args, "--json"] : args;
      const ended = await run(root, line).catch((error) => ({ code: -1, stdout: "", stderr: `throws ${error.stack}` }));
      for (const problem of problemsOf(ended, isJson)) found.push(`${line.join(" ")}: ${problem}`);
      if (isCareful && kept(above) !== before) {
        found.push(`${line.join(" ")}: changed what is not the project's: ${differenceOf(before, kept(above))}`);
        break;
      }
    }
    const isChanged = !isCareful && kept(above) !== before;
    if (isChanged) {
      return [`${part} ${seed} (${what}): changes`, ...await violationsOf(template, part, seed, run, true)];
    }
  } finally {
    template.drop(name);
  }
  return found.map((problem) => `${part} ${seed} (${what}): ${problem}`);
}

function differenceOf(before: string, after: string): string {
  let at = 0;
  while (before[at] === after[at]) at++;
  return `${before.slice(Math.max(0, at - 60), at + 60)} / ${after.slice(Math.max(0, at - 60), at + 60)}`;
}

// deno-lint-ignore no-control-regex -- they are what must not be there
const MOVING = /[\0-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]/;

function problemsOf({ code, stdout, stderr }: Ended, isJson: boolean): string[] {
  const said = stdout + stderr;
  const problems: string[] = [];
  if (code === null || ![0, 1, 2, 3, 4, 5, 6, 7].includes(code)) {
    problems.push(`ends with ${code}: ${said.slice(0, 2_000)}`);
  }
  if (/\n\s+at .*[:(]\d+|should not happen|UNEXPECTED/.test(said)) {
    problems.push(`is unexpected: ${said.slice(0, 2_000)}`);
  }
  const moving = MOVING.exec(said);
  if (moving !== null) {
    problems.push(`prints a raw ${JSON.stringify(moving[0])}: ${JSON.stringify(said.slice(0, 400))}`);
  }
  if (said.length > 200_000) problems.push(`prints ${said.length} characters`);
  if (isJson) {
    try {
      const { error, data } = JSON.parse(stdout);
      const isFound = code === 1 && data?.findings?.some(({ severity }: { severity: string }) => severity === "error");
      if ((error === undefined) !== (code === 0) && !isFound) {
        problems.push(`ends with ${code} and error ${JSON.stringify(error)}`);
      }
    } catch {
      problems.push(`prints no JSON: ${stdout.slice(0, 200)}`);
    }
  } else if (code !== 0 && !/^error: /m.test(code === 1 ? said : stderr)) { // 1: an error among doctor's findings
    problems.push(`ends with ${code} and says no error: ${said.slice(0, 200)}`);
  }
  return problems;
}
