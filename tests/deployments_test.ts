/** Deployments as they are started: images, mounts, variables of a secret manager, and a bundle of `mod.ts` alone. */
import assert from "node:assert/strict";
import { chmodSync, chownSync, cpSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Place } from "./cli/run.ts";
import { testIf } from "./helpers.ts";
import {
  bun,
  deno,
  node22,
  type Project,
  run,
  type Runtime,
  runtimeTest,
  temporaryProject,
} from "./runtime_helpers.ts";
import { readableByAll, whyMissing } from "./tools.ts";

const MOD = fileURLToPath(new URL("../mod.ts", import.meta.url));

/** Prints the environment, the database and the bucket's name, each or the code of its error. */
const APP = `
import { getBucketName, getCurrentEnv, getDatabaseUrl } from "./mod.ts";
const said = [getCurrentEnv, getDatabaseUrl, getBucketName].map((get) => {
  try { return get(); } catch (error) { return error.code ?? String(error); }
});
console.log(said.join(" "));
`;

const RUNTIMES: Readonly<Record<string, Runtime>> = { Deno: deno(), Node: node22(), Bun: bun() };
const DENO = ["run", "-q", "--no-config", "--no-lock", "--no-prompt", "--allow-read=.", "--allow-env"];

/** The answer of the app in a directory under these variables alone. */
function said(
  name: string,
  command: readonly string[],
  at: string,
  env: Readonly<Record<string, string>> = {},
): string {
  const [program, ...args] = [...command, ...(name === "Deno" ? DENO : []), "main.ts"];
  const { stdout, stderr } = run([program!, ...args], { cwd: at, env });
  return (stdout + stderr).trim();
}

/** An image: a directory with the app, and of the project what its Dockerfile copies. */
function image(config: object = {}): Project {
  const at = temporaryProject({ "forkstack.json": JSON.stringify({ project: "shop", ...config }) });
  addApp(at.path);
  return at;
}

function addApp(at: string): void {
  cpSync(MOD, join(at, "mod.ts"));
  Deno.writeTextFileSync(join(at, "main.ts"), APP);
  Deno.writeTextFileSync(join(at, "package.json"), '{"type": "module"}');
}

const VENDOR = { database: { provider: "postgres" }, storage: { provider: "s3" } };

for (const [name, runtime] of Object.entries(RUNTIMES)) {
  runtimeTest(
    `deployment in ${name}: the variables of a secret manager count, under FORKSTACK_ENV or ENV`,
    runtime,
    (command) => {
      using at = image(VENDOR);
      for (const [by, env] of [["ENV", "prod"], ["ENV", "production"], ["FORKSTACK_ENV", "prod"], ["ENV", "staging"]]) {
        const short = env === "production" ? "prod" : env;
        const variables = { [by!]: env!, DATABASE_URL: "postgresql://db.example/shop" };
        const expected = `${short} postgresql://db.example/shop shop-bucket-${short}`;
        assert.equal(said(name, command, at.path, variables), expected);
      }
      assert.equal(said(name, command, at.path, { ENV: "prod" }), "prod VALUE_MISSING shop-bucket-prod");
    },
  );

  runtimeTest(`deployment in ${name}: the embedded stack with a database outside of the image`, runtime, (command) => {
    using at = image();
    const variables = { FORKSTACK_ENV: "prod", DATABASE_URL: "file:/data/app.db" };
    assert.equal(said(name, command, at.path, variables), "prod file:/data/app.db shop-bucket-prod");
    assert.deepEqual(readdirSync(at.path).sort(), ["forkstack.json", "main.ts", "mod.ts", "package.json"]);
  });
}

/** A copy of a project with the app in it, as an image has it. */
function copied(root: string, to: string): string {
  const app = join(to, "app");
  cpSync(root, app, { recursive: true });
  addApp(app);
  return app;
}

Deno.test("deployment: an image with COPY . . works on the copy of the data in it, moved from where it was made", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  using at = temporaryProject();
  const app = copied(place.root, at.path);
  const [, command] = ["Deno", [process.execPath]] as const;
  const own = `alice file://${app}/.forkstack/sqlite/shop-alice.db shop-bucket-alice`;
  const loaded = Object.fromEntries(
    (await place.read(".env.local"))!.split("\n").filter((line) => /^\w+=/.test(line)).map((line) =>
      line.split(/=(.*)/s)
    ),
  );
  assert.match(loaded.DATABASE_URL!, new RegExp(`^file://${place.root}/`));
  // While the project still stands on this machine, and where it is another machine.
  for (const isThere of [true, false]) {
    if (!isThere) rmSync(place.root, { recursive: true });
    assert.equal(said("Deno", command, app), own);
    assert.equal(said("Deno", command, app, loaded), own, "docker run --env-file .env.local");
    const prod = { FORKSTACK_ENV: "prod", DATABASE_URL: "postgresql://db.example/shop" };
    assert.match(said("Deno", command, app, prod), /^prod ENV_CONFLICT /, "state in an image takes no other values");
  }
});

const notRoot = process.getuid?.() === 0 ? whyMissing("setpriv") : "needs root, to run as another user";

for (const [name, runtime] of Object.entries(RUNTIMES)) {
  if ("missing" in runtime) continue;
  testIf(
    notRoot,
    `deployment in ${name}: USER node over an image that root built, and root over a bind mount`,
    async () => {
      await using place = await Place.make();
      await place.ok("new", "alice");
      using at = temporaryProject();
      const app = copied(place.root, at.path);
      chmodSync(at.path, 0o755);
      // COPY --chown=node, so that the app can read what forkstack keeps for its owner alone.
      const give = (uid: number) => run(["chown", "-R", `${uid}:${uid}`, app]);
      const program = readableByAll(runtime.command[0], join(at.path, name));
      const as = (uid: number) => ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", program];
      const home = join(at.path, "home");
      mkdirSync(home);
      chmodSync(home, 0o777);
      const variables = { HOME: home, DENO_DIR: join(home, "deno"), DENO_NO_UPDATE_CHECK: "1" };
      const own = `alice file://${app}/.forkstack/sqlite/shop-alice.db shop-bucket-alice`;
      give(1000);
      assert.equal(said(name, as(1000), app, variables), own, "USER node");
      assert.equal(said(name, as(0), app, variables), own, "root over a bind mount of the user's");
      give(0);
      const refused = said(name, as(1000), app, variables).split(" ");
      assert.equal(
        refused[0],
        "FILE_UNREADABLE",
        "root's own files, mode 600, read by another: told, and no other value",
      );
      chownSync(app, 0, 0);
      using bare = image(VENDOR);
      chmodSync(bare.path, 0o755);
      const deployed = { ...variables, ENV: "prod", DATABASE_URL: "postgresql://db.example/shop" };
      const expected = "prod postgresql://db.example/shop shop-bucket-prod";
      assert.equal(said(name, as(1000), bare.path, deployed), expected, "without state, by variables");
    },
  );
}

for (const [name, runtime] of Object.entries(RUNTIMES)) {
  runtimeTest(
    `deployment in ${name}: a serverless bundle of mod.ts alone, without a file or a permission to read`,
    runtime,
    (command) => {
      const builder = bun();
      if ("missing" in builder) return;
      using at = temporaryProject();
      addApp(at.path);
      const out = join(at.path, "out");
      const built = run([...builder.command, "build", "main.ts", "--target=node", "--outfile=out/main.ts"], {
        cwd: at.path,
      });
      assert.equal(built.code, 0, built.stderr);
      Deno.writeTextFileSync(join(out, "package.json"), '{"type": "module"}');
      assert.deepEqual(readdirSync(out).sort(), ["main.ts", "package.json"]);
      const variables = {
        FORKSTACK_ENV: "prod",
        FORKSTACK_PROJECT: "shop",
        DATABASE_URL: "postgresql://db.example/shop",
      };
      const expected = "prod postgresql://db.example/shop shop-bucket-prod";
      const own = name === "Deno"
        ? ["run", "-q", "--no-config", "--no-lock", "--no-prompt", "--no-check", "--allow-env"]
        : [];
      const { stdout, stderr } = run([...command, ...own, "main.ts"], { cwd: out, env: variables });
      assert.equal((stdout + stderr).trim(), expected);
    },
  );
}
