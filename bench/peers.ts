/**
 * What people would use instead, installed from npm in the same run: to read a value of the environment, and as
 * commands. A reader is timed as a whole process, and by what it says that its import and its first value took.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { type Benchmark, forkstack, inTurns, median, REPO, type Result, run, shown } from "./measure.ts";

/** npm's newest of November 2026. */
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

const ROUNDS = Number(process.env.FORKSTACK_BENCH_ROUNDS ?? 31);
const VALUE = "file:///bench/alice.db";

/** How each reads DATABASE_URL, as its own documentation has it, into `value`. */
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
/** These read no file: the value is in their process. */
const READ_THE_PROCESS: readonly string[] = ["@t3-oss/env-core", "std-env"];

/** A directory with packages from npm. */
function installed(work: string, packages: readonly Package[]): string {
  const root = mkdtempSync(join(work, "peers-"));
  writeFileSync(join(root, "package.json"), '{ "name": "bench", "private": true, "type": "module" }');
  const wanted = packages.map((name) => `${name}@${VERSIONS[name]}`);
  run("npm", ["install", "--silent", "--no-fund", "--no-audit", "--save-exact", ...wanted], root);
  return root;
}

/** A program that reads one value, checks it, and prints how long that took. */
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

/** The project that each of them reads: forkstack's files, as \`new alice\` writes them. */
function fillProject(root: string): void {
  const file = `FORKSTACK_ENV='alice'\nFORKSTACK_PROJECT='bench'\nDATABASE_URL='${VALUE}'\n`;
  mkdirSync(join(root, ".forkstack", "envs"), { recursive: true });
  for (const path of [".env.local", join(".forkstack", "envs", "alice.env")]) writeFileSync(join(root, path), file);
  writeFileSync(join(root, ".current-env"), "alice\n");
  writeFileSync(join(root, "forkstack.json"), '{"project": "bench"}');
}

/** forkstack as its npm package has it: JavaScript. */
function addPackage(root: string): void {
  const place = join(root, "node_modules", "forkstack");
  mkdirSync(place);
  run("deno", ["transpile", "-q", join(REPO, "mod.ts"), "-o", join(place, "mod.js")], REPO);
  writeFileSync(join(place, "package.json"), '{ "name": "forkstack", "type": "module", "exports": "./mod.js" }');
}

const GETTER = (from: string) => `const { getDatabaseUrl } = await import("${from}"); const value = getDatabaseUrl();`;

export const peerBenchmarks: readonly Benchmark[] = [
  {
    name: "peers: import and one value",
    async run(work) {
      const names = Object.keys(READERS) as Package[];
      const root = installed(work, [...names, "zod", "node"]);
      fillProject(root);
      addPackage(root);
      const empty = join(root, "empty.mjs");
      writeFileSync(empty, "");
      const runtimes = [
        ["Deno", [process.execPath, "run", "-q", "-A"], new URL("../mod.ts", import.meta.url).href],
        [`Node ${VERSIONS.node}`, [join(root, "node_modules", ".bin", "node")], "forkstack"],
      ] as const;
      const results: Result[] = [];
      for (const [runtime, [program, ...args], own] of runtimes) {
        const ours = script(root, `forkstack-in-${runtime}`, GETTER(own));
        const inside = new Map<string, number[]>();
        const reader = (path: string, name = "") => () => {
          const env = { PATH: process.env.PATH, HOME: process.env.HOME, DENO_DIR: process.env.DENO_DIR };
          const given = READ_THE_PROCESS.includes(name) ? { DATABASE_URL: VALUE } : {};
          const ended = spawnSync(program, [...args, path], { cwd: root, env: { ...env, ...given }, encoding: "utf8" });
          if (ended.status !== 0) throw new Error(`${name} in ${runtime}: ${ended.stderr}`);
          if (path !== empty) inside.set(name, [...inside.get(name) ?? [], Number(ended.stdout)]);
        };
        const peers = names.map((name) => reader(script(root, name, READERS[name]!), name));
        const [bare, mine, ...theirs] = await inTurns(ROUNDS, [reader(empty), reader(ours), ...peers]);
        for (const [at, name] of names.entries()) {
          const peer = `${name} ${VERSIONS[name]}`;
          results.push({
            name: `peers: ${runtime}, a process that reads one value, against ${name}`,
            ours: `${shown(mine)} (an empty one ${shown(bare)})`,
            against: `${peer} ${shown(theirs[at])}`,
            ratio: mine / theirs[at],
            limit: { atMost: 1 },
          });
          const [own, other] = ["", name].map((one) => median(inside.get(one)!.slice(1)));
          results.push({
            name: `peers: ${runtime}, import and the first value within it, against ${name}`,
            ours: shown(own),
            against: `${peer} ${shown(other)}`,
            ratio: own / other,
            limit: { atMost: 1 },
          });
        }
      }
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
      const result = (what: string, ours: number, against: string, other: number, atMost: number) => ({
        name: `peers: \`${what}\` against \`${against.replace(/ \d[\d.]*/, "")}\``,
        ours: shown(ours),
        against: `${against} ${shown(other)}`,
        ratio: ours / other,
        limit: { atMost },
      });
      return [
        result("forkstack --version", version, `neonctl ${VERSIONS.neonctl} --version`, neonctl, 0.25),
        result("forkstack --version", version, `wrangler ${VERSIONS.wrangler} --version`, wrangler, 0.25),
        result("forkstack list", list, `neonctl ${VERSIONS.neonctl} --version`, neonctl, 0.25),
        result("forkstack list", list, "git branch", branch, 25), // a C program without a runtime to start
      ];
    },
  },
];
