/**
 * Comparison with similar packages, installed from npm in the same run: reading a value of the environment, and
 * commands. A reader is timed as a whole process, and by its own time for its import and its first value.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { unpack } from "../build/pack.ts";
import { type Benchmark, forkstack, inTurns, median, type Result, run, shown } from "./measure.ts";

/** Versions on npm in November 2026. */
const VERSIONS = {
  dotenv: "18.0.10",
  "@dotenvx/dotenvx": "2.38.2",
  "@t3-oss/env-core": "0.13.11",
  zod: "4.6.7", // env-core's documentation uses it
  "std-env": "4.3.0",
  node: "22.23.3",
  neonctl: "5.0.1",
  wrangler: "4.164.0",
};
type Package = keyof typeof VERSIONS;

const ROUNDS = Number(process.env.FORKSTACK_BENCH_ROUNDS ?? 21);
const VALUE = "file:///bench/alice.db";

/** Code that reads DATABASE_URL into `value`, as each package's documentation has it. */
const READERS: Readonly<Partial<Record<Package, string>>> = {
  dotenv: `const { config } = await import("dotenv"); config({ path: ".env.local", quiet: true });
const value = process.env.DATABASE_URL;`,
  "@dotenvx/dotenvx": `const { config } = await import("@dotenvx/dotenvx"); config({ path: ".env.local", quiet: true });
const value = process.env.DATABASE_URL;`,
  "@t3-oss/env-core": `const { createEnv } = await import("@t3-oss/env-core"); const { z } = await import("zod");
const env = createEnv({ server: { DATABASE_URL: z.string().min(1) }, runtimeEnv: process.env });
const value = env.DATABASE_URL;`,
  "std-env": `const { env } = await import("std-env"); const value = env.DATABASE_URL;`,
};
/** Packages that read no file: the runtime reads it for them. */
const WITH_ENV_FILE: readonly string[] = ["@t3-oss/env-core", "std-env"];

/** Creates a directory with packages from npm. */
function installed(work: string, packages: readonly Package[]): string {
  const root = mkdtempSync(join(work, "peers-"));
  writeFileSync(join(root, "package.json"), '{ "name": "bench", "private": true, "type": "module" }');
  const wanted = packages.map((name) => `${name}@${VERSIONS[name]}`);
  run("npm", ["install", "--silent", "--no-fund", "--no-audit", "--save-exact", ...wanted], root);
  return root;
}

/** Returns a program that reads one value, checks it, and prints the time. */
function script(root: string, name: string, reading: string): string {
  const path = join(root, `${name.replace(/\W+/g, "-")}.mjs`);
  const code = `const began = performance.now();
${reading}
const took = performance.now() - began;
if (value !== "${VALUE}") throw new Error(\`it read \${value}\`);
console.log(took);
`;
  writeFileSync(path, code);
  return path;
}

/** Writes the project that each of them reads: forkstack's files, as from `new alice`. */
function fillProject(root: string): void {
  const file = `FORKSTACK_ENV='alice'\nFORKSTACK_PROJECT='bench'\nDATABASE_URL='${VALUE}'\n`;
  mkdirSync(join(root, ".forkstack", "envs"), { recursive: true });
  for (const path of [".env.local", join(".forkstack", "envs", "alice.env")]) writeFileSync(join(root, path), file);
  writeFileSync(join(root, ".current-env"), "alice\n");
  writeFileSync(join(root, "forkstack.json"), '{"project": "bench"}');
}

/** Adds forkstack as its npm package has it: JavaScript. */
async function addPackage(root: string, work: string): Promise<void> {
  cpSync(await unpack(mkdtempSync(join(work, "package-"))), join(root, "node_modules", "forkstack"), {
    recursive: true,
  });
}

/** Runs a reader's program in an empty environment; returns its output. */
export function read(cwd: string, [program, ...args]: readonly string[]): string {
  const { PATH, HOME, DENO_DIR } = process.env;
  const { status, stdout, stderr } = spawnSync(program!, args, {
    cwd,
    env: { PATH, HOME, DENO_DIR },
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`${args.join(" ")}: ${stderr}`);
  return stdout;
}

const MODULE = new URL("../../mod.ts", import.meta.url).href;
const GETTER = (from: string) => `const { getDatabaseUrl } = await import("${from}"); const value = getDatabaseUrl();`;

export const peerBenchmarks: readonly Benchmark[] = [
  {
    name: "peers: import and one value",
    async run(work) {
      const names = Object.keys(READERS) as Package[];
      const root = installed(work, [...names, "zod", "node"]);
      fillProject(root);
      await addPackage(root, work);
      const empty = join(root, "empty.mjs");
      writeFileSync(empty, "");
      const node = join(root, "node_modules", ".bin", "node");
      const runtimes = [
        ["Deno", [process.execPath, "run", "-q", "-A"], MODULE],
        [`Node ${VERSIONS.node}`, [node], "forkstack"],
      ] as const;
      const results: Result[] = [];
      for (const [runtime, program, own] of runtimes) {
        const inside = new Map<string, number[]>();
        const reader = (name: string, reading: string) => {
          const path = script(root, `${name} in ${runtime}`, reading);
          const command = WITH_ENV_FILE.includes(name)
            ? [...program, "--env-file=.env.local", path]
            : [...program, path];
          return () => inside.set(name, [...inside.get(name) ?? [], Number(read(root, command))]);
        };
        const [bare, mine, ...theirs] = await inTurns(ROUNDS, [
          () => read(root, [...program, empty]),
          reader("forkstack", GETTER(own)),
          ...names.map((name) => reader(name, READERS[name]!)),
        ]);
        for (const [at, name] of names.entries()) {
          const peer = `${name} ${VERSIONS[name]}${WITH_ENV_FILE.includes(name) ? " and --env-file" : ""}`;
          const limit = { atMost: 1 }; // Node has read the file for std-env before its clock starts: that one is close
          results.push({
            name: `peers: ${runtime}, a process that reads one value, against ${name}`,
            ours: `${shown(mine)} (an empty one ${shown(bare)})`,
            against: `${peer} ${shown(theirs[at])}`,
            ratio: mine / theirs[at],
            limit,
          });
          const [own, other] = ["forkstack", name].map((one) => median(inside.get(one)!.slice(1)));
          results.push({
            name: `peers: ${runtime}, import and first value within it, against ${name}`,
            ours: shown(own),
            against: `${peer} ${shown(other)}`,
            ratio: own / other,
            limit,
          });
        }
      }
      // A copy of mod.ts instead of the package: Node itself then strips its types at each start.
      const emptyTs = join(root, "empty.ts");
      writeFileSync(emptyTs, "export {};\n");
      const stripped = script(root, "typescript", GETTER(MODULE));
      const [typed, plain] = await inTurns(ROUNDS, [
        () => read(root, [node, "--no-warnings", stripped]),
        () => read(root, [node, "--no-warnings", emptyTs]),
      ]);
      results.push({
        name: `peers: Node ${VERSIONS.node}, a process that reads one value by mod.ts itself, not the package`,
        ours: shown(typed),
        against: `an empty .ts file ${shown(plain)}`,
        ratio: typed / plain,
        limit: { atMost: 4 },
      });
      return results;
    },
  },
  {
    name: "peers: how long a command takes to start",
    async run(work) {
      const root = installed(work, ["neonctl", "wrangler", "node"]);
      fillProject(root);
      const who = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"];
      run("git", ["init", "-q"], root);
      run("git", [...who, "commit", "-q", "--allow-empty", "-m", "one"], root);
      forkstack(root, "new", "bob");
      const node = join(root, "node_modules", ".bin", "node");
      const npm = (name: Package, file: string) => () =>
        run(node, [join("node_modules", name, file), "--version"], root);
      const [version, list, neonctl, wrangler, branch] = await inTurns(Math.min(ROUNDS, 15), [
        () => forkstack(root, "--version"),
        () => forkstack(root, "list"),
        npm("neonctl", "bin/cli.js"),
        npm("wrangler", "bin/wrangler.js"),
        () => run("git", ["branch"], root),
      ]);
      type Measured = readonly [command: string, ms: number];
      const result = ([what, ours]: Measured, [against, other]: Measured, atMost: number) => ({
        name: `peers: \`${what}\` against \`${against.replace(/ \d[\d.]*/, "")}\``,
        ours: shown(ours),
        against: `${against} ${shown(other)}`,
        ratio: ours / other,
        limit: { atMost },
      });
      const [ofVersion, ofList] = [["forkstack --version", version], ["forkstack list", list]] as const;
      const ofNeon = [`neonctl ${VERSIONS.neonctl} --version`, neonctl] as const;
      return [
        result(ofVersion, ofNeon, 0.25),
        result(ofVersion, [`wrangler ${VERSIONS.wrangler} --version`, wrangler], 0.25),
        result(ofList, ofNeon, 0.25),
        result(ofList, ["git branch", branch], 40), // a C program without a runtime to start
      ];
    },
  },
];
