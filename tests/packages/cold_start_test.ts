/**
 * The first command on a machine with nothing cached: how much it fetches, and what it says meanwhile. Packages come from
 * the registry of npm, as for everybody.
 */
import assert from "node:assert/strict";
import { cpSync, existsSync, lstatSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type Ended, runCommand } from "../cli/run.ts";
import { origin } from "../emulators/origin.ts";
import { freePort } from "../emulators/ports.ts";
import { type Project, temporaryProject } from "../runtime_helpers.ts";

const REPO = fileURLToPath(new URL("../../", import.meta.url));
/** The limit: 2.3 MiB are fetched, and Deno's own databases of translated code differ by 1 MiB from run to run. */
const MOST_MIB = 11;
const MOST_LINES = 5;

/** A copy of what is shipped, with an empty home and an empty cache. */
class Machine {
  readonly #at: Project = temporaryProject();
  readonly clone: string = join(this.#at.path, "clone");
  readonly cache: string = join(this.#at.path, "cache");

  constructor(config?: unknown) {
    for (const name of ["mod.ts", "cli.ts", "deno.json", "deno.lock", "core", "providers"]) {
      cpSync(join(REPO, name), join(this.clone, name), { recursive: true });
    }
    mkdirSync(join(this.#at.path, "home"));
    if (config !== undefined) this.#at.write("clone/forkstack.json", JSON.stringify(config));
  }

  async deno(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    return await runCommand(this.clone, [process.execPath, ...args], {
      env: { HOME: join(this.#at.path, "home"), DENO_DIR: this.cache, NO_COLOR: "1", ...env },
    });
  }

  /** What the cache takes on the disk, or what of it was fetched: the rest is Deno's, of code that it has translated. */
  mib(...parts: ("npm" | "remote")[]): number {
    const paths = parts.length === 0 ? [this.cache] : parts.map((part) => join(this.cache, part));
    return paths.reduce((sum, path) => sum + blocksOf(path), 0) * 512 / 2 ** 20;
  }

  has(name: string): boolean {
    const packages = join(this.cache, "npm");
    return existsSync(packages) && readdirSync(packages).some((registry) => existsSync(join(packages, registry, name)));
  }

  [Symbol.dispose](): void {
    this.#at[Symbol.dispose]();
  }
}

function blocksOf(path: string): number {
  const stat = lstatSync(path);
  const inside = stat.isDirectory() ? readdirSync(path) : [];
  return inside.reduce((sum, name) => sum + blocksOf(join(path, name)), stat.blocks);
}

Deno.test("cold start: `deno task envs:new alice` fetches little, and says little before its result", async () => {
  using machine = new Machine();
  const { code, stdout, stderr } = await machine.deno(["task", "envs:new", "alice"]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^alice is ready: 4 resources/);
  assert(machine.mib() <= MOST_MIB, `${machine.mib()} MiB`);
  assert(stderr.trimEnd().split("\n").length <= MOST_LINES, stderr);
  assert.doesNotMatch(stderr, /Download|Fetching/);
});

Deno.test("cold start: help, a list and the set of permissions fetch no package of a vendor", async () => {
  const stack = { database: { provider: "postgres" }, storage: { provider: "s3", region: "eu-west-1" } };
  for (const task of ["envs:list", "envs:new --help", "envs:permissions"]) {
    using machine = new Machine({ project: "shop", ...stack });
    const { code, stdout, stderr } = await machine.deno(["task", ...task.split(" ")]);
    assert.equal(code, 0, stderr);
    assert.notEqual(stdout, "");
    assert(machine.mib() <= MOST_MIB, `${task}: ${machine.mib()} MiB`);
    for (const name of ["postgres", "@aws-sdk", "@libsql"]) assert(!machine.has(name), `${task}: ${name}`);
    assert.doesNotMatch(stderr, /Download|Fetching/);
  }
});

Deno.test("cold start by URL: what the README says fetches as little", async () => {
  await using web = await origin();
  using machine = new Machine();
  const options = ["-q", "-RWE", "--allow-run=cp,git", "--allow-sys=hostname", "--allow-import=127.0.0.1"];
  const command = ["run", ...options, "--no-config", `${web.url}/cli.ts`, "new", "alice"];
  const { code, stdout, stderr } = await machine.deno(command);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^alice is ready/);
  const fetched = machine.mib("npm", "remote");
  assert(fetched > 1 && fetched <= MOST_MIB, `${fetched} MiB`);
  assert.doesNotMatch(stderr, /Download|Fetching/);
});

Deno.test("cold start: a provider's package is fetched when it is first used, with one line, and once", async () => {
  const env = {
    POSTGRES_URL: `postgresql://a:b@127.0.0.1:${freePort()}/shop`,
    VALKEY_URL: `redis://127.0.0.1:${freePort()}`,
  };
  using machine = new Machine({
    project: "shop",
    database: { provider: "postgres" },
    cache: { a: { provider: "valkey" }, b: { provider: "valkey" } },
  });
  const create = () => machine.deno(["task", "envs:new", "--from", "dev", "--empty", "alice"], env);
  const fetched = (stderr: string) => stderr.split("\n").filter((line) => /^Fetching/.test(line)).sort();
  const first = await create();
  assert.match(first.stderr, /NETWORK_DENIED/); // the set `cli` names no host
  assert.deepEqual(fetched(first.stderr), ["Fetching ioredis 6.0.0", "Fetching postgres 3.4.9"]);
  assert(machine.has("postgres") && machine.has("ioredis"));
  assert(!machine.has("@aws-sdk") && !machine.has("@libsql"));
  assert.deepEqual(fetched((await create()).stderr), []);
});
