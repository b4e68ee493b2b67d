/** mod.ts in Deno, Bun and Node 22: copied, installed from the tarball of `deno pack`, and imported by URL. */
import assert from "node:assert/strict";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  bun,
  deno,
  envFile,
  localFile,
  node22,
  type Project,
  run,
  runtimeTest,
  temporaryProject,
} from "./runtime_helpers.ts";

const MOD = fileURLToPath(new URL("../mod.ts", import.meta.url));
const TEST = fileURLToPath(new URL("./runtime/runtime_test.ts", import.meta.url));
const PLUGIN = fileURLToPath(new URL("./runtime/bun_http_plugin.ts", import.meta.url));
const PACKAGE = "@forkstack/forkstack";

/** The project in which runtime_test.ts runs. */
function application(): Project {
  const variables = {
    FORKSTACK_ENV: "alice",
    FORKSTACK_PROJECT: "myapp",
    UPLOADS_AWS_ENDPOINT_URL_S3: "https://s3.example",
    UPLOADS_AWS_REGION: "auto",
    UPLOADS_AWS_ACCESS_KEY_ID: "key",
    UPLOADS_AWS_SECRET_ACCESS_KEY: "it's $HOME",
    CACHE_URL: "redis://c",
    QUEUE_URL: "https://q",
    QUEUE_PREFIX: "alice:",
  };
  const at = temporaryProject({
    "forkstack.json": JSON.stringify({
      project: "myapp",
      database: { provider: "sqlite" },
      storage: { uploads: { provider: "s3" } },
      secrets: { provider: "env-file" },
      local: { provider: "directory" },
    }),
    "package.json": '{"name": "app", "private": true, "type": "module"}',
    ".current-env": "alice\n",
    ".forkstack/envs/alice.env": envFile(variables),
    ".env.local": localFile(variables),
  });
  copyFileSync(TEST, join(at.path, "app_test.ts"));
  return at;
}

/** How each runtime starts a file of tests, with options before it. */
const DENO = ["test", "--no-lock", "-R", "-W", "-E", "-I", "--allow-sys"];
const START = {
  deno: { runtime: deno(), args: [...DENO, "--no-check"] },
  bun: { runtime: bun(), args: ["test"] },
  "node 22": { runtime: node22(), args: ["--test", "--test-reporter=tap", "--disable-warning=ExperimentalWarning"] },
} as const;

/** Runs app_test.ts; async, because a server of this process may have to answer meanwhile. */
async function runTests(command: readonly string[], at: Project, specifier: string, env: Record<string, string> = {}) {
  const [program, ...args] = command;
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: [...args, "./app_test.ts"],
    cwd: at.path,
    env: { FORKSTACK_MOD: specifier, NO_COLOR: "1", ...env },
  }).output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assert.equal(code, 0, said);
  // That no test ran is no success either: each runtime says so in its own words.
  assert.match(said, /\b6 passed|^\s*6 pass$|^# pass 6$/m, said);
}

for (const [name, { runtime, args }] of Object.entries(START)) {
  runtimeTest(`mod.ts copied runs in ${name}`, runtime, async ([program]) => {
    using at = application();
    copyFileSync(MOD, join(at.path, "forkstack.ts"));
    await runTests([program, ...args], at, "./forkstack.ts");
  });

  runtimeTest(`mod.ts from the tarball of deno pack runs in ${name}`, runtime, async ([program]) => {
    using at = application();
    using packed = temporaryProject({
      "deno.json": JSON.stringify({ name: PACKAGE, version: "0.1.0", license: "Apache-2.0", exports: "./mod.ts" }),
    });
    copyFileSync(MOD, join(packed.path, "mod.ts"));
    const tarball = join(packed.path, "forkstack.tgz");
    const pack = run([Deno.execPath(), "pack", "--allow-dirty", "-o", tarball], { cwd: packed.path });
    assert.equal(pack.code, 0, pack.stderr);
    const install = name === "bun"
      ? run([program, "add", tarball], { cwd: at.path })
      : run(["npm", "install", "--offline", "--no-audit", "--no-fund", tarball], { cwd: at.path });
    assert.equal(install.code, 0, install.stderr);
    const manual = name === "deno" ? ["--node-modules-dir=manual"] : [];
    await runTests([program, ...args, ...manual], at, PACKAGE);
  });

  if (name === "node 22") continue; // it imports no URLs
  runtimeTest(`mod.ts by URL runs in ${name}, which asks for one file`, runtime, async ([program]) => {
    using at = application();
    const asked: string[] = [];
    await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
      asked.push(new URL(request.url).pathname);
      return new Response(readFileSync(MOD), { headers: { "content-type": "application/typescript" } });
    });
    const preload = name === "bun" ? ["--preload", PLUGIN] : [];
    const url = `http://127.0.0.1:${server.addr.port}/mod.ts`;
    await runTests([program, ...args, ...preload], at, url, { DENO_DIR: join(at.path, ".deno") }); // an empty cache
    assert.deepEqual(asked, ["/mod.ts"]);
  });
}

// ---- what a runtime loads before the start

const PRINT = `import * as m from "./forkstack.ts";
  const said = [];
  for (const get of [m.getCurrentEnv, m.getDatabaseUrl]) {
    try { said.push(get()); } catch (error) { said.push(error.code); }
  }
  console.log(JSON.stringify([...said, process.env.DATABASE_URL]));`;

/** A project with mod.ts in it, and the file and .env.local of alice; the program prints two getters and DATABASE_URL itself. */
function loaded(url: string, pointer: string): Project {
  const alice = { FORKSTACK_ENV: "alice", FORKSTACK_PROJECT: "myapp", DATABASE_URL: url, HOME_TOWN: "x" };
  const at = temporaryProject({
    "forkstack.json": '{"project": "myapp", "database": {"provider": "postgres"}}',
    ".forkstack/envs/alice.env": envFile(alice),
    "print.ts": `import process from "node:process";\n${PRINT}`,
    ".current-env": pointer,
    ".env.local": localFile(alice),
  });
  copyFileSync(MOD, join(at.path, "forkstack.ts"));
  return at;
}

const FRAGILE = ["postgres://a:p$HOME_TOWN@h/db", "postgres://a:p${HOME_TOWN}@h/db", "a b\\", "it's \\$x"];

/** How each runtime has `.env.local` in its process: Bun unasked. */
const LOAD: Record<keyof typeof START, string[]> = {
  deno: ["run", "--no-check", "-R", "-E", "--env-file=.env.local"],
  bun: [],
  "node 22": ["--disable-warning=ExperimentalWarning", "--env-file=.env.local"],
};

for (const [name, { runtime }] of Object.entries(START)) {
  const load = LOAD[name as keyof typeof START];
  const print = (at: Project, program: string, env: Record<string, string> = {}) => {
    const { code, stdout, stderr } = run([program, ...load, "print.ts"], { cwd: at.path, env });
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };

  for (const url of ["postgres://plain", ...FRAGILE]) {
    runtimeTest(
      `.env.local loaded by ${name} with ${JSON.stringify(url)}: the getter gives the true value`,
      runtime,
      ([program]) => {
        using at = loaded(url, "alice\n");
        assert.deepEqual(print(at, program).slice(0, 2), ["alice", url]);
      },
    );
  }

  runtimeTest(`.env.local loaded by ${name} and stale is ENV_CONFLICT`, runtime, ([program]) => {
    using at = loaded("postgres://alice", "bob\n");
    assert.deepEqual(print(at, program), ["ENV_CONFLICT", "ENV_CONFLICT", "postgres://alice"]);
  });

  runtimeTest(`.env.local loaded by ${name} over an inherited DATABASE_URL is ENV_CONFLICT`, runtime, ([program]) => {
    using at = loaded("postgres://alice", "alice\n");
    const inherited = { DATABASE_URL: "postgres://bob" };
    assert.deepEqual(print(at, program, inherited), ["alice", "ENV_CONFLICT", "postgres://bob"]);
  });

  runtimeTest(
    `.env.local of alice loaded by ${name} under FORKSTACK_ENV=bob is ENV_CONFLICT for what it holds`,
    runtime,
    ([program]) => {
      using at = loaded("postgres://alice", "alice\n");
      const bob = { FORKSTACK_ENV: "bob", FORKSTACK_PROJECT: "myapp", DATABASE_URL: "postgres://bob" };
      at.write(".forkstack/envs/bob.env", envFile(bob));
      assert.deepEqual(print(at, program, { FORKSTACK_ENV: "bob" }), ["bob", "ENV_CONFLICT", "postgres://alice"]);
    },
  );
}

runtimeTest("Bun does change $ in .env.local, or there is nothing to guard against", bun(), ([program]) => {
  using at = loaded(FRAGILE[0], "alice\n");
  const [, , raw] = JSON.parse(run([program, "print.ts"], { cwd: at.path }).stdout);
  assert.notEqual(raw, FRAGILE[0]);
});
