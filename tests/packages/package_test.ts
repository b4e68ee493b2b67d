/** The npm package of `deno task pack`: what it holds, and that projects of Node 20, Node 22 and Bun install and use it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { packCreate } from "../../tools/build/create.ts";
import { pack } from "../../tools/build/pack.ts";
import config from "../../deno.json" with { type: "json" };
import {
  bun,
  node,
  pathWithBun,
  type Project,
  type Ran,
  run,
  runtimeTest,
  temporaryProject,
} from "../runtime_helpers.ts";
import { specifiersIn } from "../../tools/gen/sources.ts";

const TYPESCRIPT = "typescript@7.0.2";

/** What npm fetches, as tools/bench/package.ts has it too, and what then lies in node_modules/forkstack. */
const MOST_PACKED_BYTES = 530 * 2 ** 10; // a tenth of it are the templates of `init`
const MOST_UNPACKED_BYTES = 1.8 * 2 ** 20;

const [NODE_20, NODE_22, BUN] = [node(20), node(22), bun()];

// One package, and one project that has it of npm's and of Bun's, for all tests: an installation takes seconds.
let tarball: string;
let ofNpm: Project, ofBun: Project, packed: Project;

Deno.test.beforeAll(async () => {
  packed = temporaryProject();
  tarball = await pack(packed.path);
  const manifest = { "package.json": '{"name": "myapp", "private": true, "type": "module"}', "app.js": APP };
  ofNpm = temporaryProject({ ...manifest, "app.ts": TYPED_APP, "tsconfig.json": JSON.stringify(TSCONFIG) });
  succeeds(run(["npm", "install", "--no-audit", "--no-fund", tarball, TYPESCRIPT], { cwd: ofNpm.path }));
  ofBun = temporaryProject(manifest);
  if ("command" in BUN) succeeds(run([...BUN.command, "add", tarball], { cwd: ofBun.path }));
});

Deno.test.afterAll(() => {
  for (const project of [packed, ofNpm, ofBun]) project?.[Symbol.dispose]();
});

function succeeds({ code, stdout, stderr }: Ran): string {
  assert.equal(code, 0, stdout + stderr);
  return stdout;
}

const APP = `import { getCurrentEnv, getDatabaseUrl, getSecret, isForkstackError, setSecret } from "forkstack";
  await setSecret("KEY", "value");
  const missing = await getSecret("NONE").catch((error) => isForkstackError(error) && error.code);
  console.log([getCurrentEnv(), getDatabaseUrl().split("/").at(-1), await getSecret("KEY"), missing].join(" "));`;

const SAYS = "alice myapp-alice.db value SECRET_MISSING\n";

const TYPED_APP =
  `import { ForkstackError, getBucketName, getDatabaseUrl, getSecret, type StorageConfig, getStorageConfig } from "forkstack";
  import type { Context, Provider } from "forkstack/provider";
  export const url: string = getDatabaseUrl();
  export const bucket: string = getBucketName("uploads");
  export const storage: StorageConfig = getStorageConfig();
  export const secret: Promise<string> = getSecret("KEY");
  export const error = new ForkstackError("CONFLICT", "x", { hint: "y" });
  export function name(provider: Provider, context: Context): string { return provider.name + context.now().toISOString(); }
  // @ts-expect-error: a number names no database
  getDatabaseUrl(1);`;

const TSCONFIG = {
  compilerOptions: {
    ...{ strict: true, noEmit: true, module: "NodeNext", target: "ES2022", lib: ["ES2023", "DOM"], types: [] },
    ...{ noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true, verbatimModuleSyntax: true },
  },
  files: ["app.ts"],
};

/** Every file of the installed package, by its path in it. */
function installed(): string[] {
  const root = join(ofNpm.path, "node_modules", "forkstack");
  return readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => statSync(join(root, file)).isFile());
}

function text(file: string): string {
  return readFileSync(join(ofNpm.path, "node_modules", "forkstack", file), "utf8");
}

/** What a file imports, statically or when needed. */
function importsOf(file: string): string[] {
  return specifiersIn(text(file));
}

Deno.test("the package holds built JavaScript, the types of what it exports, and nothing else", () => {
  const files = installed();
  const rest = files.filter((file) => !/^(core|providers)\/.*\.js$/.test(file)).sort();
  const system = ["disk", "files", "memory", "repeat"].map((name) => `core/system/${name}.d.ts`);
  const types = [...system, "core/provider.d.ts", "core/secret.d.ts", "mod.d.ts"];
  const expected = [
    ...types,
    "LICENSE",
    "README.md",
    "bin.js",
    "cli.js",
    "mod.js",
    "package.json",
    "tools/build/binary.js",
  ];
  assert.deepEqual(rest, expected.sort());
  for (const file of files) {
    const imported = text(file).replaceAll("npm:forkstack@", ""); // which tasks of Deno call
    if (!file.startsWith("core/setup/templates/")) {
      assert.doesNotMatch(imported, /sourceMappingURL|["'`]npm:@?[a-z]/, file);
    }
    if (/\.js$/.test(file)) assert.doesNotMatch(text(file), /^\s*(await )?using /m, `${file}: Node 22 has no "using"`);
    if (!/\.(js|d\.ts)$/.test(file)) continue;
    for (const one of importsOf(file).filter((specifier) => specifier.startsWith("."))) {
      assert(files.includes(join(dirname(file), /\.d\.ts$/.test(file) ? one.replace(/\.js$/, ".d.ts") : one)), one);
    }
  }
});

Deno.test("the package is small", () => {
  const unpacked = installed().reduce((bytes, file) => bytes + text(file).length, 0);
  assert(statSync(tarball).size <= MOST_PACKED_BYTES, `${statSync(tarball).size} bytes packed`);
  assert(unpacked <= MOST_UNPACKED_BYTES, `${unpacked} bytes unpacked`);
});

Deno.test("the package names what its code imports, no more, in the exact versions of deno.lock", () => {
  const { version, dependencies } = JSON.parse(text("package.json"));
  assert.equal(version, config.version);
  const packages = new Set(
    installed().filter((file) => file.endsWith(".js")).flatMap(importsOf)
      .filter((specifier) => !/^(\.|node:)/.test(specifier))
      .map((specifier) => /^(@[^/]+\/)?[^/]+/.exec(specifier)![0]),
  );
  assert.deepEqual(Object.keys(dependencies).sort(), [...packages].sort());
  const { specifiers } = JSON.parse(readFileSync(new URL("../../deno.lock", import.meta.url), "utf8"));
  for (const [name, one] of Object.entries(dependencies)) {
    assert(Object.hasOwn(specifiers, `npm:${name}@${one}`), `${name}@${one}`);
  }
});

runtimeTest("its types pass the strictest check of TypeScript, without Node's", NODE_22, ([program]) => {
  succeeds(run([program, join("node_modules", "typescript", "bin", "tsc")], { cwd: ofNpm.path }));
});

runtimeTest("every module of the package, and what it needs from others, loads in Node 22", NODE_22, ([program]) => {
  const modules = installed().filter((file) => /^(core|providers|mod).*\.js$/.test(file))
    .filter((file) => file !== "tools/build/binary.js"); // it runs the command line
  const others = new Set(modules.flatMap(importsOf).filter((specifier) => !specifier.startsWith(".")));
  const all = [...others, ...modules.map((file) => `./node_modules/forkstack/${file}`)];
  const script = `for (const one of ${JSON.stringify(all)}) await import(one);`;
  const said = run([program, "--no-warnings", "--input-type=module", "-e", script], { cwd: ofNpm.path });
  assert.deepEqual(said, { code: 0, stdout: "", stderr: "" });
});

runtimeTest("an app in Node 20 imports the package", NODE_20, ([program]) => {
  using at = linked(ofNpm);
  assert.equal(succeeds(run([program, "app.js"], { cwd: at.path, env: { FORKSTACK_ENV: "alice" } })), SAYS);
});

runtimeTest("the command line in Node 20 says what it needs, and leaves nothing", NODE_20, ([program]) => {
  using at = linked(ofNpm);
  const bin = join(at.path, "node_modules", "forkstack", "bin.js");
  const before = readdirSync(at.path);
  const { code, stdout, stderr } = run([program, bin, "new", "alice"], { cwd: at.path });
  assert.deepEqual([code, stdout], [2, ""]);
  assert.match(stderr, /^error: Cannot open the registry: this runtime has no SQLite.*\n.*\n {2}hint: .*Node 22\.16/);
  assert.doesNotMatch(stderr, /\n {4}at /);
  assert.deepEqual(readdirSync(at.path), before);
  assert.equal(succeeds(run([program, bin, "--version"], { cwd: at.path })), `${config.version}\n`);
});

runtimeTest("Node below 20.16 is told what it lacks, by the command line and by an app", NODE_20, ([program]) => {
  using at = linked(ofNpm);
  at.write("old.mjs", "delete process.getBuiltinModule; // came with 20.16");
  const old = (...args: string[]) => run([program, "--import", "./old.mjs", ...args], { cwd: at.path });
  const bin = join("node_modules", "forkstack", "bin.js");
  for (const args of [["new", "alice"], ["list", "--json"], []]) {
    const { code, stdout, stderr } = old(bin, ...args);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /^error: Cannot run forkstack in Node 20[\d.]+: it is too old\n {2}hint: .*Node 22\.16/);
  }
  assert.equal(succeeds(old(bin, "-V")), `${config.version}\n`);
  const call = `import { getDatabaseUrl } from "forkstack";
    try { getDatabaseUrl(); } catch (error) { console.log(error.code, error.hint); }`;
  assert.match(succeeds(old("--input-type=module", "-e", call)), /^TOOL_OUTDATED .*Node 20\.16/);
});

/** An environment from its beginning to its end, by whatever stands before `new`. */
function lifecycle(at: Project, forkstack: readonly [string, ...string[]], app: string, env: Record<string, string>) {
  const cli = (...args: string[]) => run([...forkstack, ...args], { cwd: at.path, env });
  const first = cli("new", "alice");
  assert.match(succeeds(first), /^alice is ready: 4 resources.*\n/);
  assert.match(first.stdout, new RegExp(`\`${forkstack[0]} forkstack switch dev\` goes back`)); // as it was called
  assert.doesNotMatch(first.stderr, /Warning/); // of Node's SQLite
  assert.equal(succeeds(run([app, "app.js"], { cwd: at.path })), SAYS);
  succeeds(cli("new", "bob"));
  const { data } = JSON.parse(succeeds(cli("list", "--json")));
  // deno-lint-ignore no-explicit-any -- as --json has it
  const named = data.environments.map(({ name, current }: any) => [name, current]);
  assert.deepEqual(named, [["alice", false], ["bob", true]]);
  assert.match(succeeds(cli("switch", "alice")), /^Now on alice\n/);
  assert.match(succeeds(cli("secrets", "list")), /^KEY$/m);
  for (const name of ["alice", "bob"]) assert.match(succeeds(cli("delete", name, "--yes")), /^Deleted/);
  assert.deepEqual(JSON.parse(succeeds(cli("list", "--json"))).data.environments, []);
}

runtimeTest("a project of Node 22: npx forkstack new alice, list, switch, delete", NODE_22, ([program]) => {
  using at = linked(ofNpm);
  const PATH = `${dirname(program)}:${process.env.PATH}`;
  lifecycle(at, ["npx", "forkstack"], program, { PATH });
});

runtimeTest("a project of Bun: bunx --bun forkstack new alice, list, switch, delete", BUN, ([program]) => {
  using at = linked(ofBun);
  using path = pathWithBun(program);
  lifecycle(at, ["bunx", "--bun", "forkstack"], program, { PATH: path.value });
});

for (const [name, runtime] of [["Node 22", NODE_22], ["Bun", BUN]] as const) {
  runtimeTest(`a provider of one's own in TypeScript, in ${name}`, runtime, ([program]) => {
    using at = linked(name === "Bun" ? ofBun : ofNpm);
    at.write("forkstack.json", '{"project": "myapp", "database": {"provider": "./mine.ts"}}');
    at.write("mine.ts", "export default async <T>(tools: T): Promise<T> => await tools;\n");
    const bin = join("node_modules", "forkstack", "bin.js");
    const env = { XDG_STATE_HOME: join(at.path, "state") };
    const cli = (...args: string[]) => run([program, bin, ...args, "--json"], { cwd: at.path, env });
    succeeds(cli("trust", "--yes"));
    const { error } = JSON.parse(cli("new", "alice").stdout);
    assert.match(error.message, /"name" must be like "my-db"/); // it was read, it ran, and gave no provider
  });
}

runtimeTest("what Bun loads from the directory's .env files is no choice of the person's", BUN, ([program]) => {
  using at = linked(ofBun);
  using path = pathWithBun(program);
  at.write("forkstack.json", '{"project": "myapp", "registry": {"url": "libsql://registry.evil.example"}}');
  const cli = (...args: string[]) =>
    run(["bunx", "--bun", "forkstack", ...args, "--json"], {
      cwd: at.path,
      env: { PATH: path.value, XDG_STATE_HOME: join(at.path, "state") },
    });
  const { hash } = JSON.parse(succeeds(cli("trust", "--dry-run"))).data;
  at.write(".env", `FORKSTACK_TRUST=${hash}\n`);
  assert.equal(JSON.parse(cli("list").stdout).error.code, "NOT_TRUSTED");
  at.write(".env", `A=${hash.slice(0, 10)}\nFORKSTACK_TRUST="\${A}${hash.slice(10)}"\n`);
  assert.equal(JSON.parse(cli("list").stdout).error.code, "NOT_TRUSTED");
});

const COMMON_JS: readonly string[] = [
  'module.exports = module.require("LOADED");',
  'exports.name = module["req" + "uire"]("LOADED");',
  'globalThis.at = __dirname; arguments[1]("LOADED");',
  '// @bun @bun-cjs\n(function (exports, load) { load("LOADED"); })',
  '#!/usr/bin/env bun\n// @bun @bun-cjs\n(function (exports, load) { load("LOADED"); })',
];

runtimeTest("no form of CommonJS takes code into a provider that its hash does not cover", BUN, ([program]) => {
  using at = linked(ofBun);
  using bins = pathWithBun(program);
  const [loaded, mark] = ["loaded.cjs", "ran"].map((name) => join(at.path, name));
  at.write("loaded.cjs", `require("node:fs").writeFileSync(${JSON.stringify(mark)}, "");`);
  for (const text of COMMON_JS) {
    const provider = text.replace('"LOADED"', JSON.stringify(loaded));
    const hash = createHash("sha256").update(provider).digest("base64");
    at.write("mine.js", provider);
    at.write(
      "forkstack.json",
      JSON.stringify({ project: "myapp", database: { provider: `./mine.js#sha256-${hash}` } }),
    );
    const cli = (args: string[], env: Record<string, string> = {}) =>
      run(["bunx", "--bun", "forkstack", ...args, "--json"], {
        cwd: at.path,
        env: { PATH: bins.value, XDG_STATE_HOME: at.path, ...env },
      });
    const trusted = JSON.parse(succeeds(cli(["trust", "--dry-run"]))).data.hash;
    const { error } = JSON.parse(cli(["new", "alice"], { FORKSTACK_TRUST: trusted }).stdout);
    assert.equal(error.code, "PROVIDER_INVALID", text);
    assert.match(error.message, /does not load|default export must be/, text);
    assert.ok(!existsSync(mark), text);
  }
});

/** A project that has the package, for one test. */
function linked(project: Project): Project {
  const at = temporaryProject({ "app.js": APP, "package.json": readFileSync(join(project.path, "package.json")) });
  symlinkSync(join(project.path, "node_modules"), join(at.path, "node_modules"));
  at.write("forkstack.json", '{"project": "myapp"}');
  return at;
}

runtimeTest("npm create forkstack begins a project in a directory of its own, or here", NODE_22, async ([program]) => {
  // As npm has it: both packages in a directory of their own, and the program started in the user's.
  using tool = temporaryProject({ "package.json": '{"name": "tool", "private": true}' });
  const tarballs = [tarball, await packCreate(packed.path)];
  succeeds(run(["npm", "install", "--no-audit", "--no-fund", ...tarballs], { cwd: tool.path }));
  const create = join(tool.path, "node_modules", "create-forkstack", "create.js");
  using user = temporaryProject();
  succeeds(run([program!, create, "my shop", "--template", "python", "--yes"], { cwd: user.path }));
  const begun = join(user.path, "my shop");
  assert.equal(JSON.parse(readFileSync(join(begun, "forkstack.json"), "utf8")).project, "my-shop");
  assert(existsSync(join(begun, "main.py")));
  using here = temporaryProject();
  const refused = run([program!, create, "--template", "pyton", "--yes"], { cwd: here.path });
  assert.equal(refused.code, 2, refused.stdout);
  assert.match(refused.stderr, /did you mean "python"/);
});
