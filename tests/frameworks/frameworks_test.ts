/**
 * Real tools on a fork, each as its users write it: docs/frameworks.md shows these very lines. The project's directory
 * has a space and a `#` in its name. A tool writes to the fork alone, and makes no other file.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { debianBinaries, npmBinaries, type Server, startServer } from "../emulators/postgres_server.ts";
import { treeOf } from "../helpers.ts";
import { pythonPackages, pythonVariables, Shop } from "../languages/shop.ts";
import { bun, node22 } from "../runtime_helpers.ts";
import { SIZE } from "../sizes.ts";
import { whyMissing } from "../tools.ts";
import { NPM_PACKAGES } from "./javascript.ts";
import { USES } from "./languages.ts";
import { GO_PACKAGES } from "./others.ts";
import { goModules, type Installed, npmPackages } from "./packages.ts";
import { PYTHON_PACKAGES } from "./python.ts";
import type { Use } from "./use.ts";

interface Means {
  /** Installs the packages of a key. */
  readonly install?: (key: string) => Installed;
  /** Why Debian's packages of one tool are not here; `undefined`: they are. */
  readonly whyNot?: (use: Use) => string | undefined;
}

const MEANS: Readonly<Record<keyof typeof USES, Means>> = {
  JavaScript: { install: (key) => npmPackages(...NPM_PACKAGES[key]!) },
  Python: { install: (key) => pythonPackages(...PYTHON_PACKAGES[key]!) },
  Go: { install: (key) => goModules(...GO_PACKAGES[key]!) },
  Ruby: { whyNot: ({ files }) => whyFails("ruby", "-e", files["main.rb"]!.split("\n")[0]!) },
  PHP: {
    whyNot: ({ database }) =>
      whyFails(
        "php",
        "-r",
        `exit(in_array("${database === "SQLite" ? "sqlite" : "pgsql"}", PDO::getAvailableDrivers()) ? 0 : 1);`,
      ),
  },
};

function whyFails(program: string, ...args: string[]): string | undefined {
  const why = whyMissing(program);
  if (why !== undefined) return why;
  return spawnSync(program, args).status === 0 ? undefined : `${program} lacks ${args.at(-1)}`;
}

/** A database of `dev`, and its fork. */
interface Forked {
  readonly shop: Shop;
  /** The notes of an environment, in order. */
  notes(env: "dev" | "alice"): Promise<string[]>;
}

const TEMPLATES = (uses: readonly Use[]) =>
  Object.fromEntries(uses.flatMap(({ variable }) => variable ? [variable] : []));

function sqlite(uses: readonly Use[]): Forked & AsyncDisposable {
  const shop = new Shop({ variables: TEMPLATES(uses) });
  const pathOf = (env: string) => join(shop.root, ".forkstack/sqlite", `shop-${env}.db`);
  shop.run("forkstack", "switch", "dev");
  using dev = new DatabaseSync(pathOf("dev"));
  dev.exec(
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL); INSERT INTO notes (text) VALUES ('of dev')",
  );
  shop.run("forkstack", "new", "alice");
  return {
    shop,
    notes(env) {
      using database = new DatabaseSync(pathOf(env), { readOnly: true });
      return Promise.resolve(
        database.prepare("SELECT text FROM notes ORDER BY id").all().map((one) => String(one.text)),
      );
    },
    [Symbol.asyncDispose]: () => Promise.resolve(shop[Symbol.dispose]()),
  };
}

async function postgres(uses: readonly Use[], server: Server): Promise<Forked & AsyncDisposable> {
  await server.query('CREATE DATABASE "shop-dev"');
  await server.query('REVOKE CONNECT ON DATABASE "shop-dev" FROM PUBLIC');
  await server.query(
    "CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL); INSERT INTO notes (text) VALUES ('of dev')",
    "shop-dev",
  );
  const config = { database: { provider: "postgres" }, parent: "dev", variables: TEMPLATES(uses) };
  const shop = new Shop(config, { POSTGRES_URL: server.url() });
  shop.run("forkstack", "new", "alice");
  return {
    shop,
    notes: async (env) =>
      (await server.query("SELECT text FROM notes ORDER BY id", `shop-${env}`)).map(({ text }) => text),
    async [Symbol.asyncDispose]() {
      await server.query('DROP DATABASE "shop-alice" WITH (FORCE)');
      await server.query('DROP DATABASE "shop-dev" WITH (FORCE)');
      shop[Symbol.dispose]();
    },
  };
}

const RUNTIMES: Readonly<Record<string, ReturnType<typeof bun>>> = { node22: node22(), bun: bun() };

/** Lays down a use's program with one line in it, and runs it in the fork; gives its output, and what failed. */
function runUse({ shop }: Forked, use: Use, installed: Installed | undefined, line: string, at: string) {
  for (const [path, text] of Object.entries(use.files)) shop.write(join(at, path), text.replace(use.line, () => line));
  const path = installed !== undefined && "path" in installed ? installed.path : undefined;
  const to = join(shop.root, at);
  if (path !== undefined && use.files["main.go"] !== undefined) {
    for (const name of ["go.mod", "go.sum"]) cpSync(join(path, name), join(to, name));
  } else if (path !== undefined && use.command[0] !== "python3") {
    symlinkSync(join(path, "node_modules"), join(to, "node_modules"));
  }
  const own = RUNTIMES[use.command[0]!];
  const command = own !== undefined && "command" in own ? [...own.command, ...use.command.slice(1)] : use.command;
  const variables = use.command[0] === "python3" && path !== undefined ? pythonVariables(path) : {};
  const env = Object.entries({ GOFLAGS: "-mod=mod", ...variables }).map(([name, value]) => `${name}=${value}`);
  return () => shop.run("sh", "-c", 'cd "$0" && exec forkstack run alice -- env "$@"', at, ...env, ...command);
}

/** Files that a tool may make: SQLite's beside the fork, and what it generates or builds in the program's own directory. */
const EXPECTED = /\.forkstack\/(registry\.db|sqlite\/shop-alice\.db-|locks)|uses\/[^/]+\/(generated(\/|$)|go\.sum$)/;

function newPaths(before: ReadonlyMap<string, string>, top: string): string[] {
  return [...treeOf(top).keys()].filter((path) => !before.has(path) && !EXPECTED.test(path));
}

async function assertUse(forked: Forked, use: Use, installed: Installed | undefined, at: string): Promise<void> {
  assert(Object.values(use.files).some((text) => text.includes(use.line)), "its line is in its program");
  const top = dirname(forked.shop.root);
  for (const [index, [line, outcome]] of [[use.line, undefined] as const, ...use.wrong ?? []].entries()) {
    const run = runUse(forked, use, installed, line, `${at}-${index}`);
    const [before, notes, dev] = [treeOf(top), await forked.notes("alice"), await forked.notes("dev")];
    let failure: unknown;
    try {
      run();
    } catch (error) {
      failure = error;
    }
    const made = newPaths(before, top);
    assert.deepEqual(await forked.notes("dev"), dev, "dev is as it was");
    if (outcome === undefined) {
      if (failure !== undefined) throw failure;
      assert.deepEqual(made, [], "no other file is made");
      assert.deepEqual(await forked.notes("alice"), [...notes, "added"]);
      continue;
    }
    assert.deepEqual(await forked.notes("alice"), notes, `${line}: the fork is not written to`);
    assert.equal(made.length > 0 ? "another file" : "an error", outcome, `${line}: ${made.join()} ${failure}`);
    assert(made.length > 0 || failure !== undefined, line);
    for (const path of made) rmSync(join(top, path), { recursive: true, force: true });
  }
}

for (const database of ["SQLite", "PostgreSQL"] as const) {
  for (const [language, { install, whyNot }] of Object.entries(MEANS) as [keyof typeof USES, Means][]) {
    const all: readonly Use[] = USES[language];
    const uses = all.filter((use) => use.database === database && (SIZE === "full" || use.isLong !== true));
    if (uses.length === 0) continue;
    Deno.test(`${database} by ${language}'s tools, as docs/frameworks.md has them: the fork, and no other file`, async (t) => {
      const debian = database === "SQLite" ? undefined : debianBinaries();
      const found = debian !== undefined && "reason" in debian ? await npmBinaries() : debian;
      const noServer = found !== undefined && "reason" in found ? found.reason : undefined;
      await using server = found !== undefined && "bin" in found ? await startServer(found.bin) : undefined;
      await using forked = noServer !== undefined
        ? undefined
        : server === undefined
        ? sqlite(uses)
        : await postgres(uses, server);
      const done = new Map<string, Installed>();
      for (const [index, use] of uses.entries()) {
        const { packages: key } = use;
        if (key !== undefined && !done.has(key)) done.set(key, install!(key));
        const installed = key === undefined ? undefined : done.get(key)!;
        const own = RUNTIMES[use.command[0]!];
        const why = noServer ?? (own !== undefined && "missing" in own ? own.missing : undefined) ??
          (installed !== undefined && "reason" in installed ? installed.reason : undefined) ?? whyNot?.(use);
        const isRequired = Deno.env.get("FORKSTACK_TEST_FULL") === "1";
        await t.step({
          name: why === undefined ? use.tool : `${use.tool} (${why})`,
          ignore: why !== undefined && !isRequired,
          fn: async () => {
            assert.equal(why, undefined, "this machine must run every test");
            await assertUse(forked!, use, installed, `uses/${index}`);
          },
        });
      }
    });
  }
}
