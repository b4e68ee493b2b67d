/** Size and start-up of the npm package, and of the binary beside an empty program of the same compiler. */
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileWithBun } from "../build/compile.ts";
import { pack } from "../build/pack.ts";
import { type Benchmark, inTurns, percentile, REPO, run, shown, timesInTurns } from "./measure.ts";

/** The limit in tests/packages/package_test.ts. */
const MOST_PACKED_KIB = 380;

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** Returns the size of all files below a directory, in bytes. */
function bytesIn(directory: string): number {
  const paths = readdirSync(directory, { recursive: true, encoding: "utf8" }).map((path) => join(directory, path));
  return paths.map((path) => statSync(path)).filter((one) => one.isFile()).reduce((sum, { size }) => sum + size, 0);
}

export const packageBenchmarks: readonly Benchmark[] = [
  {
    name: "package: size of the npm tarball",
    async run(work) {
      const tarball = await pack(work);
      const project = join(work, "app");
      run("npm", ["install", "--no-audit", "--no-fund", "--prefix", project, tarball], work);
      const modules = join(project, "node_modules");
      const kib = statSync(tarball).size / 1024;
      const ours = `${kib.toFixed(0)} KiB, ${mebibytes(bytesIn(join(modules, "forkstack")))} unpacked`;
      return [{
        name: this.name,
        ours: `${ours}, ${mebibytes(bytesIn(modules))} with every package it needs`,
        against: `${MOST_PACKED_KIB} KiB`,
        ratio: kib / MOST_PACKED_KIB,
        limit: { atMost: 1 },
      }];
    },
  },
  {
    name: "binary: size, and forkstack --version",
    async run(work) {
      const [program] = await compileWithBun(undefined, work);
      const empty = join(work, "empty");
      writeFileSync(`${empty}.ts`, "");
      run("bun", ["build", "--compile", "--bytecode", "--format=esm", `--outfile=${empty}`, `${empty}.ts`], work);
      const [version, nothing] = await inTurns(101, [
        () => run(program, ["--version"], work),
        () => run(empty, [], work),
      ]);
      const [ours, theirs] = [statSync(program).size, statSync(empty).size];
      return [
        {
          name: "binary: forkstack --version",
          ours: shown(version),
          against: `an empty program, compiled by the same Bun, ${shown(nothing)}`,
          ratio: version / nothing,
          limit: { atMost: 1.3 },
        },
        {
          name: "binary: size",
          ours: mebibytes(ours),
          against: `that empty program ${mebibytes(theirs)}`,
          ratio: ours / theirs,
          limit: { atMost: 1.5 },
        },
      ];
    },
  },
  {
    name: "command: deno task envs:list, the 95th of 100",
    async run(work) {
      const root = join(work, "tasks");
      run("mkdir", [root], work);
      writeFileSync(join(root, "forkstack.json"), '{"project": "bench"}');
      writeFileSync(join(root, "empty.ts"), "export {};\n");
      const command = (name: string) => `deno run -q -c ${REPO}/deno.json -P=cli ${REPO}/cli.ts ${name}`;
      const tasks = { empty: "deno run -q empty.ts", "envs:new": command("new"), "envs:list": command("list") };
      writeFileSync(join(root, "deno.json"), JSON.stringify({ tasks }));
      const task = (...args: string[]) => () => run("deno", ["task", "-q", ...args], root);
      task("envs:new", "alice")();
      const [list, empty] = (await timesInTurns(100, [task("envs:list"), task("empty")])).map((times) =>
        percentile(times, 95)
      );
      return [{
        name: this.name,
        ours: shown(list!),
        against: `the 95th of 100 of an empty task ${shown(empty!)}`,
        ratio: list! / empty!,
        limit: { atMost: 2 },
      }];
    },
  },
];
