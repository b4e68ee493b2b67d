/**
 * A project with data in its parent, and the real command line on it, as a process that can be killed at any point.
 */
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { main } from "../../core/cli/main.ts";
import { CATALOG } from "../../providers/mod.ts";
import { baseVariables, temporaryDirectory } from "../helpers.ts";
import { SIZE } from "../sizes.ts";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
const POINTS = fileURLToPath(new URL("_points.ts", import.meta.url));

/** How a run ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A run under way. */
export interface Running {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** Resolves when stderr matches, with the match; rejects if the run ends before. */
  said(pattern: RegExp): Promise<RegExpExecArray>;
  kill(signal: NodeJS.Signals): void;
}

/** What a run is started with. */
export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Stand at this point; `0`: only count. */
  readonly point?: number;
  readonly at?: "stop" | "signal";
  /** In a process group of its own, as from a terminal; `kill` then reaches all of it. */
  readonly group?: boolean;
}

/** Runs the command line in this process. */
async function runHere(cwd: string, line: string[]): Promise<Ended> {
  const said = { stdout: "", stderr: "" };
  const write = (stream: "stdout" | "stderr", text: string) => void (said[stream] += text);
  return {
    code: await main(line, CATALOG, { cwd, variables: { ...baseVariables(), USER: "tester" }, write }),
    ...said,
  };
}

let turn: Promise<unknown> = Promise.resolve();

/** Runs work when all that was given before has ended. */
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const result = turn.then(work);
  turn = result.catch(() => {});
  return await result;
}

/** A directory with a project. */
export class Checkout {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  path(...names: string[]): string {
    return join(this.root, ...names);
  }

  start(args: readonly string[], options: StartOptions = {}): Running {
    const preload = options.point === undefined ? [] : [`--preload=${POINTS}`];
    const command = ["run", "-q", "--no-check", "-c", join(REPOSITORY, "deno.json"), "-P=cli", ...preload];
    const point = options.point === undefined ? {} : { TEST_POINT: `${options.point}`, TEST_AT: options.at ?? "stop" };
    const child = spawn(process.execPath, [...command, join(REPOSITORY, "cli.ts"), ...args], {
      cwd: this.root,
      env: { ...baseVariables(), USER: "tester", ...point, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: options.group === true,
    });
    let [stdout, stderr, isOver] = ["", "", false];
    let look = () => {};
    child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      look();
    });
    const ended = new Promise<Ended>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) => {
        isOver = true;
        look();
        resolve({ code, stdout, stderr });
      });
    });
    return {
      pid: child.pid!,
      ended,
      said: (pattern) =>
        new Promise((resolve, reject) => {
          look = () => {
            const match = pattern.exec(stderr);
            if (match !== null) resolve(match);
            else if (isOver) reject(new Error(`it ended before it said ${pattern}: ${stdout}${stderr}`));
          };
          look();
        }),
      kill: (signal) => process.kill(options.group ? -child.pid! : child.pid!, signal),
    };
  }

  async run(...args: string[]): Promise<Ended> {
    return await this.start(args).ended;
  }

  /** Runs with `--json`: in this process, one after the other, at full size in one of its own. */
  // deno-lint-ignore no-explicit-any -- its shape is what the tests look at
  async json(...args: string[]): Promise<any> {
    const line = [...args, "--json"];
    const { code, stdout, stderr } =
      await (SIZE === "full" ? this.run(...line) : inTurn(() => runHere(this.root, line)));
    try {
      return { ...JSON.parse(stdout), code };
    } catch {
      throw new Error(`${args.join(" ")} ended with ${code}: ${stdout}${stderr}`);
    }
  }

  /** Kills a run at a point; false if it ended before it came there. */
  async killedAt(point: number, ...args: string[]): Promise<string | undefined> {
    const run = this.start(args, { point });
    const reached = await run.said(/@point (.*)/).catch(() => undefined);
    if (reached !== undefined) run.kill("SIGKILL");
    await run.ended;
    return reached?.[1].replace(this.root, "");
  }

  /** How many points a run has. */
  async pointsOf(...args: string[]): Promise<number> {
    const { stderr } = await this.start(args, { point: 0 }).ended;
    return Math.max(...Array.from(stderr.matchAll(/@points (\d+)/g), ([, count]) => Number(count)));
  }

  /** Every path below the project, without directories. */
  paths(): string[] {
    const all = readdirSync(this.root, { recursive: true, withFileTypes: true });
    return all.filter((one) => !one.isDirectory()).map((one) =>
      join(one.parentPath, one.name).slice(this.root.length + 1)
    )
      .sort();
  }

  /**
   * What runs that died left: temporary files, signs of locks. But for what holds nothing of an environment and is swept
   * by the next run that writes there: of `.forkstack/.gitignore`, `.forkstack/checked.json` and the owners' files.
   */
  leftovers(): string[] {
    const left = this.paths().filter((path) => /\.forkstack-[0-9a-f]{8}|^\.forkstack\/locks\//.test(path));
    return left.filter((path) => !/^\.forkstack\/(\.gitignore\.|checked\.json\.|owners\/)/.test(path));
  }

  read(...names: string[]): string | undefined {
    return existsSync(this.path(...names)) ? readFileSync(this.path(...names), "utf8") : undefined;
  }

  /** What an environment of the project `shop` holds, as its application sees it. */
  dataOf(env: string): unknown {
    const database = new DatabaseSync(this.path(".forkstack", "sqlite", `shop-${env}.db`), { readOnly: true });
    try {
      return {
        rows: database.prepare("SELECT * FROM t ORDER BY id").all().map((row) => ({ ...row })),
        object: this.read(".forkstack", "buckets", `shop-bucket-${env}`, "deep", "object"),
        secret: this.read(".forkstack", "secrets", `${env}.env`),
        local: this.read(`shop.${env}.db`, "index"),
      };
    } finally {
      database.close();
    }
  }

  /** The same project once more, in a directory of its own. */
  copyTo(root: string): Checkout {
    cpSync(this.root, root, { recursive: true });
    return new Checkout(root);
  }
}

/** A directory for projects; the first, `shop`, has data in its parent `dev`. */
export function projects(): { readonly shop: Checkout; readonly path: string; [Symbol.dispose](): void } {
  const directory = temporaryDirectory("forkstack-reliability-");
  const shop = new Checkout(join(directory.path, "shop"));
  for (
    const at of [".forkstack/sqlite", ".forkstack/buckets/shop-bucket-dev/deep", ".forkstack/secrets", "shop.dev.db"]
  ) {
    mkdirSync(shop.path(at), { recursive: true });
  }
  writeFileSync(shop.path("forkstack.json"), '{"project": "shop"}\n');
  writeFileSync(shop.path(".forkstack", "buckets", "shop-bucket-dev", "deep", "object"), "bytes of an object");
  writeFileSync(shop.path(".forkstack", "secrets", "dev.env"), "API_KEY='k'\n");
  writeFileSync(shop.path("shop.dev.db", "index"), "an index");
  const database = new DatabaseSync(shop.path(".forkstack", "sqlite", "shop-dev.db"));
  database.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t (v) VALUES ('a'), ('b')");
  database.close();
  return { shop, path: directory.path, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}
