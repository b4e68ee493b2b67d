/** Time for reading a value, for importing the runtime, and for starting a command. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStack } from "../../mod.ts";
import { type Benchmark, forkstack, inTurns, median, REPO, run, shown } from "./measure.ts";

/** The commit before core was divided into rooms, with which short commands are compared. */
const EARLIER = "4171213";

/** Returns the path of that commit's code; `undefined` if this clone's history is too short. */
function earlier(work: string): string | undefined {
  const directory = mkdtempSync(join(work, "earlier-"));
  try {
    const archive = join(directory, "archive.tar");
    run(
      "git",
      ["archive", "-o", archive, EARLIER, "mod.ts", "cli.ts", "core", "providers", "deno.json", "deno.lock"],
      REPO,
    );
    run("tar", ["-xf", archive], directory);
    return directory;
  } catch {
    return undefined;
  }
}

/** Returns the arguments of Deno that run a command from a directory of this code. */
function inDeno(code: string, ...args: string[]): string[] {
  const options = [`--lock=${join(code, "deno.lock")}`, "--unstable-npm-lazy-caching", "-c", join(code, "deno.json")];
  return ["run", "-q", "-P=cli", ...options, join(code, "cli.ts"), ...args];
}

/** Creates a project with one environment, which is current, in its own repository. */
function project(work: string, code = REPO): string {
  const root = mkdtempSync(join(work, "start-"));
  run("git", ["init", "-q"], root);
  writeFileSync(join(root, "forkstack.json"), '{"project": "bench"}');
  writeFileSync(join(root, "empty.ts"), "export {};\n");
  const command = (name: string) => ["deno", ...inDeno(code, name)].join(" ");
  const commands = { "envs:list": command("list"), "envs:switch": command("switch"), "envs:help": command("--help") };
  const tasks = { empty: "deno run -q empty.ts", ...commands };
  writeFileSync(join(root, "deno.json"), JSON.stringify({ tasks }));
  run("deno", inDeno(code, "new", "alice"), root);
  return root;
}

export const startBenchmarks: readonly Benchmark[] = [
  {
    name: "getter: a value after the first reading",
    run(work) {
      const root = project(work);
      const stack = openStack({ cwd: root, read: () => undefined });
      stack.of("database", "DATABASE_URL");
      const calls = 100_000;
      const rounds = Array.from({ length: 11 }, () => {
        const began = performance.now();
        for (let call = 0; call < calls; call++) stack.of("database", "DATABASE_URL");
        return (performance.now() - began) / calls;
      });
      const ours = median(rounds);
      return Promise.resolve([{
        name: this.name,
        ours: shown(ours),
        against: "1 us",
        ratio: ours / 0.001,
        limit: { atMost: 1 },
      }]);
    },
  },
  {
    name: "getter: a secret after the first reading",
    async run(work) {
      const root = project(work);
      const stack = openStack({ cwd: root, read: () => undefined });
      await stack.setSecret("API_KEY", "x");
      const calls = 100_000;
      const rounds: number[] = [];
      for (let round = 0; round < 11; round++) {
        const began = performance.now();
        for (let call = 0; call < calls; call++) await stack.secret("API_KEY");
        rounds.push((performance.now() - began) / calls);
      }
      const ours = median(rounds);
      return [{ name: this.name, ours: shown(ours), against: "1 us", ratio: ours / 0.001, limit: { atMost: 1 } }];
    },
  },
  {
    name: "import: mod.ts in an empty script",
    async run(work) {
      const root = project(work);
      writeFileSync(join(root, "imports.ts"), `import ${JSON.stringify(join(REPO, "mod.ts"))};\n`);
      const deno = (file: string) => () => run("deno", ["run", "-q", "--no-config", "-A", file], root);
      const [ours, empty] = await inTurns(41, [deno("imports.ts"), deno("empty.ts")]);
      return [{
        name: this.name,
        ours: `${shown(ours)}, ${shown(Math.max(0, ours - empty))} more`,
        against: `empty script ${shown(empty)} + 3 ms`,
        ratio: ours / (empty + 3),
        limit: { atMost: 1 },
      }];
    },
  },
  {
    name: "command: envs:list and envs:switch",
    async run(work) {
      const root = project(work);
      const task = (...args: string[]) => () => run("deno", ["task", "-q", ...args], root);
      const things = [
        task("envs:list"),
        task("envs:switch", "alice"),
        task("envs:switch", "dev"),
        task("envs:help"),
        task("empty"),
        () => run("deno", ["run", "-q", "empty.ts"], root),
      ];
      const times = await inTurns(31, things);
      const [emptyTask, empty] = times.slice(4);
      return ["envs:list", "envs:switch alice", "envs:switch dev", "envs:help"].map((name, at) => ({
        name: `command: deno task ${name}`,
        ours: shown(times[at]),
        against: `an empty task ${shown(emptyTask)} (of that the empty file ${shown(empty)})`,
        ratio: times[at] / emptyTask,
        limit: { atMost: 2 },
      }));
    },
  },
  {
    name: `command: against ${EARLIER}`,
    async run(work) {
      const then = earlier(work);
      if (then === undefined) return [{ name: this.name, reason: `this clone has no commit ${EARLIER}` }];
      const [root, rootThen] = [project(work), project(work, then)];
      const commands = [["list"], ["switch", "alice"], ["switch", "dev"]];
      const things = commands.flatMap((args) => [
        () => run("deno", inDeno(REPO, ...args), root),
        () => run("deno", inDeno(then, ...args), rootThen),
      ]);
      const times = await inTurns(30, things);
      return commands.map((args, at) => ({
        name: `command: ${args.join(" ")}, against ${EARLIER}`,
        ours: shown(times[2 * at]),
        against: `${EARLIER} ${shown(times[2 * at + 1])}`,
        ratio: times[2 * at] / times[2 * at + 1],
        limit: { atMost: 1.05 },
      }));
    },
  },
  {
    name: "crowd: with 1,000 environments",
    async run(work) {
      const few = project(work);
      const many = project(work);
      fillRegistry(join(many, ".forkstack", "registry.db"), 1_000);
      let next = 0;
      const make = (root: string) => () => forkstack(root, "new", `n${next++}`, "--no-switch");
      const pairs = [
        ["list", (root: string) => () => forkstack(root, "list", "--json")],
        ["switch", (root: string) => () => forkstack(root, "switch", "alice")],
        ["new", make],
      ] as const;
      const results = [];
      for (const [name, thing] of pairs) {
        const [ours, one] = await inTurns(15, [thing(many), thing(few)]);
        results.push({
          name: `crowd: ${name} with 1,000 environments`,
          ours: shown(ours),
          against: `with one ${shown(one)}`,
          ratio: ours / one,
          limit: { atMost: 2 },
        });
      }
      return results;
    },
  },
];

/** Writes environments into a registry as `new` does; making a thousand real stacks would measure the disk. */
function fillRegistry(path: string, count: number): void {
  mkdirSync(join(path, ".."), { recursive: true });
  run("sqlite3", [
    path,
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
     INSERT INTO environments SELECT 'env-' || i, parent, status, owner, operation || i, created_at, NULL, NULL, NULL
     FROM n, environments WHERE name = 'alice';
     INSERT INTO resources SELECT e.name, key, kind, r.name, provider, title || e.name, state, e.operation, id || e.name,
       parent_id, fork, r.created_at, options FROM resources r, environments e WHERE r.env = 'alice' AND e.name <> 'alice';`,
  ], REPO);
}
