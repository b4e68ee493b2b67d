/**
 * forkstack by URL, from a server that gives the content types of a raw-file host, with nothing in the cache but npm
 * packages; and what of it each command asks for, which is all that it loads.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Ended, Place, runCommand } from "../cli/run.ts";
import { PROVIDERS } from "../../providers/mod.ts";
import { origin } from "../emulators/origin.ts";
import { bun, runtimeTest } from "../runtime_helpers.ts";

/** The README's own line, from `deno run` on up to the address: options and permissions. */
const README = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const OPTIONS = /^ {4}deno run (.+) <forkstack>\/cli\.ts new alice$/m.exec(README)![1]!.split(" ");
const IMPORT = "--allow-import=127.0.0.1"; // https of the usual hosts needs none

/** Where this Deno keeps its npm packages. */
function npmCache(): string {
  const { stdout } = new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).outputSync();
  return JSON.parse(new TextDecoder().decode(stdout)).npmCache;
}

const ALL = Object.entries(PROVIDERS).flatMap(([kind, of]) =>
  Object.keys(of).map((name) => `/providers/${kind}/${name}.ts`)
);
/** The providers of a stack that forkstack.json says nothing of. */
const EMBEDDED = ["database/sqlite", "local/directory", "secrets/env-file", "storage/local"].map((name) =>
  `/providers/${name}.ts`
);

function isProvider(path: string): boolean {
  return ALL.includes(path);
}

/** A place, a server, and a cache that holds no module of it. */
class ByUrl implements AsyncDisposable {
  readonly place: Place;
  readonly web: Awaited<ReturnType<typeof origin>>;
  #caches = 0;

  private constructor(place: Place, web: Awaited<ReturnType<typeof origin>>) {
    this.place = place;
    this.web = web;
  }

  static async make(config: unknown = null): Promise<ByUrl> {
    return new ByUrl(await Place.make(config), await origin());
  }

  /** A directory for Deno without a module. */
  emptyCache(): string {
    const path = join(this.place.above, `deno-${++this.#caches}`);
    mkdirSync(path);
    if (existsSync(npmCache())) symlinkSync(npmCache(), join(path, "npm"));
    return path;
  }

  async run(
    args: readonly string[],
    { more = [], cache = this.emptyCache() }: { more?: string[]; cache?: string } = {},
  ) {
    const command = [Deno.execPath(), "run", ...OPTIONS, IMPORT, ...more, `${this.web.url}/cli.ts`];
    return await runCommand(this.place.root, [...command, ...args], { env: { DENO_DIR: cache } });
  }

  async ok(args: readonly string[], options?: { more?: string[]; cache?: string }): Promise<Ended> {
    const ended = await this.run(args, options);
    assert.equal(ended.code, 0, ended.stdout + ended.stderr);
    return ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.web[Symbol.asyncDispose]();
    await this.place[Symbol.asyncDispose]();
  }
}

Deno.test("by URL: new, list, status, switch and delete in a project of another language", async () => {
  await using by = await ByUrl.make();
  await by.place.write("go.mod", "module shop\n");
  const cache = by.emptyCache();
  assert.match((await by.ok(["new", "alice"], { cache })).stdout, /^alice is ready: 4 resources, forked from dev/);
  assert.match((await by.ok(["list"], { cache })).stdout, /^\* {2}alice/m);
  assert.match((await by.ok(["status"], { cache })).stdout, /sqlite +empty +shop-alice/);
  await by.ok(["switch", "dev"], { cache });
  assert.match((await by.ok(["delete", "alice", "--yes"], { cache })).stdout, /^Deleted alice: 4 resources/);
  assert.equal(await by.place.read("deno.lock"), undefined);
  assert.deepEqual(new Set(by.web.asked.filter(isProvider)), new Set(EMBEDDED));
});

/** The task of docs/security.md, from `deno run` on up to the address. */
const PERMISSIONS = readFileSync(new URL("../../docs/security.md", import.meta.url), "utf8");
const TASK = /"deno run (.+) <forkstack>\/cli\.ts new"/.exec(PERMISSIONS)![1]!.split(" ");

Deno.test("by URL: a project of Deno with a frozen lock, of npm with node_modules, each stays as it was", async () => {
  const projects: Record<string, Record<string, string>> = {
    deno: {
      "deno.json": '{ "lock": { "frozen": true }, "imports": { "valibot": "npm:valibot@0.1.0" } }',
      "deno.lock": '{"version":"5"}',
    },
    npm: { "deno.json": "{}", "package.json": '{ "dependencies": { "valibot": "0.1.0" } }', "node_modules/.keep": "" },
    manual: { "deno.json": '{ "nodeModulesDir": "manual" }' },
  };
  for (const [name, files] of Object.entries(projects)) {
    for (const how of ["line", "task"]) {
      await using by = await ByUrl.make({});
      for (const [path, text] of Object.entries(files)) await by.place.write(path, text);
      if (how === "line") await by.ok(["new", "alice"]);
      else {
        const { stdout } = await by.ok(["permissions"]);
        const own = JSON.parse(files["deno.json"]!);
        files["deno.json"] = JSON.stringify({ ...own, ...JSON.parse(stdout) });
        await by.place.write("deno.json", files["deno.json"]);
        const command = [Deno.execPath(), "run", ...TASK, `${by.web.url}/cli.ts`, "new", "alice"];
        const { code, stderr } = await runCommand(by.place.root, command, { env: { DENO_DIR: by.emptyCache() } });
        assert.equal(code, 0, `${name}: ${stderr}`);
      }
      for (const [path, text] of Object.entries(files)) {
        assert.equal(await by.place.read(path), text, `${name}: ${path}`);
      }
      assert.equal(await by.place.read("deno.lock"), files["deno.lock"]);
    }
  }
});

Deno.test("by URL: the set of permissions that is printed is enough, from that host and no other", async () => {
  await using by = await ByUrl.make({});
  const { stdout } = await by.ok(["permissions"]);
  const printed = JSON.parse(stdout);
  const host = new URL(by.web.url).host;
  assert.deepEqual(printed.permissions.forkstack.import, [host]);
  const run = async (set: string) => {
    await by.place.write("deno.json", set);
    const command = [Deno.execPath(), "run", "--no-prompt", ...TASK, `${by.web.url}/cli.ts`, "new", "alice"];
    return await runCommand(by.place.root, command, { env: { DENO_DIR: by.emptyCache() } });
  };
  const without = await run(stdout.replace(host, "other.example"));
  assert.notEqual(without.code, 0);
  assert.match(without.stderr, /Requires import access to|--allow-import/);
  const { code, stderr } = await run(stdout);
  assert.equal(code, 0, stderr);
});

/** Modules that no short command may load: providers, what they share but a look at what is embedded, the schema, and what has a package. */
const HEAVY =
  /^\/providers\/(?!mod\.ts$|_shared\/(embedded_look|embedded_outputs|ownership)\.ts$)|^\/core\/(project\/schema|state\/libsql|http\/client|system\/git|system\/subprocess|text\/edit_distance|system\/prompts|s3\/.*)\.ts$/;
const SHORT: Readonly<Record<string, readonly string[]>> = {
  "--version": ["--version"],
  "--help": ["--help"],
  "new --help": ["new", "--help"],
  "list": ["list"],
  "list --json": ["list", "--json"],
  "status": ["status"],
  "status of another": ["status", "bob"],
  "switch": ["switch", "bob"],
  "switch to a base": ["switch", "dev"],
};
/** Modules that a command may ask for, by its name; any other that is short as many as `list`. */
const MOST: Readonly<Record<string, number>> = {
  "--version": 23,
  "--help": 27,
  "new --help": 27,
  "switch": 61,
  "switch to a base": 63,
};
const MOST_OF_OTHERS = 53;

Deno.test("no provider, SDK or schema library is loaded by a command that does not need it", async (t) => {
  await using by = await ByUrl.make({});
  for (const env of ["alice", "bob"]) await by.place.ok("new", env);
  await by.place.ok("switch", "alice"); // forkstack.json is sealed by then
  for (const [name, args] of Object.entries(SHORT)) {
    await t.step(name, async () => {
      by.web.asked.length = 0;
      await by.ok(args, { more: ["--no-npm"] }); // a package would be an error
      assert(by.web.asked.includes("/core/cli/command_table.ts"));
      assert.deepEqual(by.web.asked.filter((path) => HEAVY.test(path)), []);
      const most = MOST[name] ?? MOST_OF_OTHERS;
      assert(by.web.asked.length <= most, `${by.web.asked.length} of ${most}: ${by.web.asked.join("\n")}`);
    });
  }
  await t.step("a typo, whose answer needs a package, shows that none is there", async () => {
    const { code, stderr } = await by.run(["lits"], { more: ["--no-npm"] });
    assert.equal(code, 70);
    assert.match(stderr, /npm/);
  });
  await t.step("new, which loads those of its stack and no others", async () => {
    by.web.asked.length = 0;
    await by.ok(["new", "carol"]);
    assert.deepEqual(by.web.asked.filter(isProvider).sort(), EMBEDDED);
  });
});

Deno.test("mod.ts and a provider by URL: the contract and the runtime alone are fetched", async () => {
  await using by = await ByUrl.make();
  await by.place.write(
    "app.ts",
    `
    import { getDatabaseUrl } from "${by.web.url}/mod.ts";
    import type { Provider } from "${by.web.url}/core/provider.ts";
    const none: Provider | undefined = undefined;
    console.log(getDatabaseUrl(), none);
  `,
  );
  await by.place.write("forkstack.json", '{ "project": "shop" }');
  const command = [Deno.execPath(), "run", "-q", "--no-lock", "--allow-read", "--allow-env", IMPORT, "app.ts"];
  const { code, stdout, stderr } = await runCommand(by.place.root, command, { env: { DENO_DIR: by.emptyCache() } });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^file:.*shop-dev\.db undefined\n$/);
  assert.deepEqual(by.web.asked, ["/mod.ts"]);
});

runtimeTest("Bun by URL, by the plugin of the documentation", bun(), async ([program]) => {
  await using by = await ByUrl.make({});
  await by.place.write("app.ts", `import { getBucketName } from "${by.web.url}/mod.ts"; console.log(getBucketName());`);
  const plugin = fileURLToPath(new URL("./bun_http_plugin.ts", import.meta.url));
  const { code, stdout, stderr } = await runCommand(by.place.root, [program, "--preload", plugin, "app.ts"]);
  assert.equal(code, 0, stderr);
  assert.deepEqual([stdout, by.web.asked], ["shop-bucket-dev\n", ["/mod.ts"]]);
});
