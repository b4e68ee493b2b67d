/**
 * Comparison of the Python and Go readers with packages that read env files, installed in the same run: a process that
 * reads one value, and in Python the import and the first value within it. Each reads what `forkstack new` wrote.
 */
import { cpSync, mkdirSync, mkdtempSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { type Benchmark, forkstack, inTurns, median, REPO, type Result, run, shown } from "./measure.ts";
import { read } from "./peers.ts";

const ROUNDS = Number(process.env.FORKSTACK_BENCH_ROUNDS ?? 101);

/** A package in a version of November 2026, with code that reads DATABASE_URL into `value`, as its documentation has it. */
interface Peer {
  readonly name: string;
  readonly version: string;
  readonly reading: string;
}

const PYTHON: readonly Peer[] = [
  {
    name: "python-dotenv",
    version: "1.2.4",
    reading: `import os
from dotenv import load_dotenv
load_dotenv(".env.local")
value = os.environ["DATABASE_URL"]`,
  },
  {
    name: "pydantic-settings",
    version: "2.16.3",
    reading: `from pydantic_settings import BaseSettings, SettingsConfigDict
class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env.local", extra="ignore")
    database_url: str
value = Settings().database_url`,
  },
  {
    name: "environs",
    version: "15.2.0",
    reading: `from environs import env
env.read_env(".env.local")
value = env.str("DATABASE_URL")`,
  },
  {
    name: "dynaconf",
    version: "3.3.5",
    reading: `from dynaconf import Dynaconf
value = Dynaconf(envvar_prefix=False, load_dotenv=True, dotenv_path=".env.local").DATABASE_URL`,
  },
];

const PYTHON_READER = "from forkstack import database_url\nvalue = database_url()";

const GO: readonly Peer[] = [
  {
    name: "github.com/joho/godotenv",
    version: "1.5.1",
    reading: `err := godotenv.Load(".env.local")
	value := os.Getenv("DATABASE_URL")`,
  },
  {
    name: "github.com/spf13/viper",
    version: "1.21.0",
    reading: `viper.SetConfigFile(".env.local")
	viper.SetConfigType("env")
	err := viper.ReadInConfig()
	value := viper.GetString("DATABASE_URL")`,
  },
];

const GO_READER = "value, err := forkstack.DatabaseURL()";

/** Creates a project on environment alice; returns its path and the URL of alice's database. */
function project(work: string): { root: string; url: string } {
  const root = mkdtempSync(join(realpathSync(work), "languages-"));
  writeFileSync(join(root, "forkstack.json"), '{"project": "bench"}');
  forkstack(root, "new", "alice");
  return { root, url: `file://${root}/.forkstack/sqlite/bench-alice.db` };
}

/** Times processes in turns: an empty one, forkstack's reader, and those of peers. */
async function compareProcesses(
  language: string,
  peers: readonly Peer[],
  empty: () => unknown,
  readers: readonly (() => unknown)[],
): Promise<Result[]> {
  const [bare, mine, ...theirs] = await inTurns(ROUNDS, [empty, ...readers]);
  return peers.map(({ name, version }, at) => ({
    name: `peers: ${language}, a process that reads one value, against ${name}`,
    ours: `${shown(mine!)} (an empty one ${shown(bare!)})`,
    against: `${name} ${version} ${shown(theirs[at]!)}`,
    ratio: mine! / theirs[at]!,
    limit: { atMost: 1 },
  }));
}

function assertRead(value: string | undefined, url: string): void {
  if (value !== url) throw new Error(`it read ${value}`);
}

export const languageBenchmarks: readonly Benchmark[] = [
  {
    name: "peers: Python",
    async run(work) {
      const { root, url } = project(work);
      const venv = join(root, ".venv"); // as users have it: without what else the system's Python loads at its start
      run("python3", ["-m", "venv", venv], root);
      const wanted = PYTHON.map(({ name, version }) => `${name}==${version}`);
      run(join(venv, "bin", "pip"), ["install", "-q", ...wanted, join(REPO, "languages", "python")], root);
      const python = join(venv, "bin", "python");
      const inside = [undefined, ...PYTHON].map(() => [] as number[]);
      const readers = [PYTHON_READER, ...PYTHON.map(({ reading }) => reading)].map((reading, at) => {
        const file = join(root, `read_${at}.py`);
        writeFileSync(
          file,
          `import time\nbegan = time.perf_counter()\n${reading}\n` +
            "print((time.perf_counter() - began) * 1000, value)\n",
        );
        return () => {
          const [ms, value] = read(root, [python, file]).trim().split(" ");
          assertRead(value, url);
          inside[at]!.push(Number(ms));
        };
      });
      const language = run(python, ["--version"], root).trim();
      const processes = await compareProcesses(language, PYTHON, () => read(root, [python, "-c", ""]), readers);
      const [own, ...others] = inside.map((times) => median(times.slice(1)));
      const within = PYTHON.map(({ name, version }, at): Result => ({
        name: `peers: ${language}, import and first value within it, against ${name}`,
        ours: shown(own!),
        against: `${name} ${version} ${shown(others[at]!)}`,
        ratio: own! / others[at]!,
        limit: { atMost: 1 },
      }));
      return [...processes, ...within];
    },
  },
  {
    name: "peers: Go",
    async run(work) {
      const { root, url } = project(work);
      const sources = join(root, "sources");
      mkdirSync(join(sources, "forkstack"), { recursive: true });
      cpSync(join(REPO, "languages", "go", "forkstack.go"), join(sources, "forkstack", "forkstack.go"));
      writeFileSync(join(sources, "go.mod"), "module bench\n\ngo 1.21\n");
      run("go", ["get", ...GO.map(({ name, version }) => `${name}@v${version}`)], sources);
      const compiled = (name: string, text: string) => {
        mkdirSync(join(sources, name));
        writeFileSync(join(sources, name, "main.go"), text);
        const program = join(root, `${name}.program`);
        run("go", ["build", "-mod=mod", "-o", program, `./${name}`], sources);
        return program;
      };
      const nothing = compiled("nothing", "package main\n\nfunc main() {}\n");
      const readers = [GO_READER, ...GO.map(({ reading }) => reading)].map((reading, at) => {
        const imports = ["fmt", GO[at - 1]?.name ?? "bench/forkstack"];
        if (reading.includes("os.")) imports.push("os");
        const program = compiled(
          `read_${at}`,
          `package main

import (
${imports.map((one) => `\t"${one}"`).join("\n")}
)

func main() {
	${reading}
	if err != nil {
		panic(err)
	}
	fmt.Print(value)
}
`,
        );
        return () => assertRead(read(root, [program]), url);
      });
      const language = run("go", ["env", "GOVERSION"], sources).trim().replace("go", "Go ");
      return await compareProcesses(language, GO, () => read(root, [nothing]), readers);
    },
  },
];
