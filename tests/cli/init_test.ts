/**
 * `init` in existing projects: each is left ready by one run, as it was by the next, and whole where it can't be made so.
 */
import assert from "node:assert/strict";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Io } from "../../core/cli/command_line.ts";
import { runInit } from "../../core/cli/commands/init.ts";
import { loadResources, openProject } from "../../core/project/open_project.ts";
import { planInit } from "../../core/setup/plan_setup.ts";
import type { Ask } from "../../core/system/prompts.ts";
import { optionProblem, requiredOptions, typedOption } from "../../core/project/schema.ts";
import { CATALOG, PROVIDERS } from "../../providers/mod.ts";
import { STACKS } from "../../providers/presets.ts";
import { QUESTIONS } from "../../providers/questions.ts";
import { origin as webOrigin } from "../emulators/origin.ts";
import { startTurso } from "../emulators/turso.ts";
import { seedFile } from "../providers/_turso.ts";
import { testIf, treeOf } from "../helpers.ts";
import { bun, pathWithBun, type Runtime, runtimeTest } from "../runtime_helpers.ts";
import { WHY_ROOT, WITHOUT_RIGHTS } from "../tools.ts";
import { refused } from "./refused.ts";
import { Place, run, runCommand, type RunOptions, whyNot } from "./run.ts";
import { survey } from "../../core/setup/survey.ts";

const CLI = fileURLToPath(new URL("../../cli.ts", import.meta.url));
/** The program under test where that is a binary or a package: tasks call it by its name. */
const PROGRAM = process.env.FORKSTACK_TEST_PROGRAM;
const COMMANDS = [
  "new",
  "switch",
  "delete",
  "reset",
  "extend",
  "prune",
  "secrets",
  "doctor",
  "list",
  "status",
  "serve",
];
const IGNORED = (name: string) => `/.forkstack/\n/.current-env\n/.env.local*\n/${name}.*.db*\n`;

/** What the task of a command says in a project; the way to a clone is relative where that makes sense. */
function taskOf(root: string, command: string): string {
  if (PROGRAM !== undefined) return `forkstack ${command}`;
  const set = command === "serve" ? "-P=serve" : command === "secrets" ? "-P=cli --allow-run" : "-P=cli";
  const way = relative(root, CLI);
  const isFar = way.split("..").length > root.split("/").length - 1;
  const cli = isFar ? CLI : way;
  const lock = `--lock=${cli.replace(/cli\.ts$/, "deno.lock")} --unstable-npm-lazy-caching`;
  return `deno run -q ${set} ${lock} ${cli} ${command}`;
}

/** The tasks that a manifest has got, by name. */
function tasksIn(text: string | undefined, section: "tasks" | "scripts"): Record<string, string> {
  const all = JSON.parse(text ?? "{}")[section] ?? {};
  return Object.fromEntries(Object.entries<string>(all).filter(([name]) => name.startsWith("envs:")));
}

function assertTasks(root: string, text: string | undefined, section: "tasks" | "scripts"): void {
  const tasks = tasksIn(text, section);
  for (const command of COMMANDS) {
    const line = tasks[`envs:${command}`]?.replace(/ "?--allow-net=[^\s"]+"?/, ""); // as the stack's providers have it
    assert.equal(line, taskOf(root, command));
  }
}

interface Made {
  readonly text: string;
  // deno-lint-ignore no-explicit-any -- the document of --json
  readonly data: any;
}

/** Runs `init`: first dry, which changes nothing; then really; then twice more, which changes nothing. */
async function made(place: Place, args: string[] = [], at = place.root, options: RunOptions = {}): Promise<Made> {
  const before = await place.digest();
  const dry = await run(at, ["init", ...args, "--dry-run", "--json"], options);
  assert.equal(dry.code, 0, dry.stdout);
  assert.equal(await place.digest(), before, "a dry run changed something");
  const real = await run(at, ["init", ...args], options);
  assert.equal(real.code, 0, real.stderr);
  assert.equal(real.stderr, "");
  const after = await place.digest();
  for (const more of [args, []]) {
    const again = await run(at, ["init", ...more], options);
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stdout, /^\w[\w-]* is already set up: /);
    assert.equal(await place.digest(), after, "a second run changed something");
  }
  const json = JSON.parse((await run(at, ["init", ...args, "--json"], options)).stdout);
  assert.deepEqual([json.ok, json.data.files], [true, []]);
  assert.equal(await place.digest(), after);
  const planned = JSON.parse(dry.stdout).data;
  for (const { name } of planned.files) assert(real.stdout.includes(name), `${name} was planned`);
  // Of the tasks it tells only as long as it is to write them.
  const warnings = planned.warnings.filter(({ problem }: { problem: string }) => !/the tasks do not/.test(problem));
  assert.deepEqual({ ...planned, files: [], warnings }, { ...json.data, dryRun: true });
  assert.doesNotMatch(after, /forkstack-[0-9a-f]{8}/);
  return { text: real.stdout, data: planned };
}

const namesOf = ({ data }: Made) => data.files.map(({ name }: { name: string }) => name);

Deno.test("init in an empty directory: a project of its name, with tasks that work", async () => {
  await using place = await Place.make(null);
  const result = await made(place);
  assert.equal(JSON.parse((await place.read("forkstack.json"))!).project, "shop");
  assert.equal(await place.read(".gitignore"), IGNORED("shop"));
  assert.deepEqual(result.data.credentials, []);
  if (PROGRAM !== undefined) {
    assert.deepEqual(namesOf(result), [".gitignore", "forkstack.json"]);
    return assert.match(result.text, /Next: `forkstack new alice`\n$/);
  }
  assert.deepEqual(namesOf(result), [".gitignore", "forkstack.json", "deno.json"]);
  assertTasks(place.root, await place.read("deno.json"), "tasks");
  assert.match(result.text, /Next: `deno task envs:new alice`\n$/);
});

/** The environment in which a project's own tasks find Deno, or the program under test by its name. */
async function shell(place: Place, path = process.env.PATH): Promise<Record<string, string>> {
  const bin = join(place.above, "bin");
  await mkdir(bin, { recursive: true });
  const script = `#!/bin/sh\nexec ${PROGRAM === undefined ? `"${process.execPath}"` : PROGRAM} "$@"\n`;
  await writeFile(join(bin, PROGRAM === undefined ? "deno" : "forkstack"), script, { mode: 0o755 });
  return { PATH: `${bin}:${path}` };
}

Deno.test("after init, the very task that it wrote makes alice", async () => {
  await using place = await Place.make(null);
  await place.write("deno.json", "{}\n");
  await place.ok("init");
  const env = await shell(place);
  const task = async (...args: string[]) => {
    const ended = await runCommand(place.root, [process.execPath, "task", "-q", ...args], { env });
    assert.equal(ended.code, 0, ended.stderr);
    return ended.stdout;
  };
  const program = PROGRAM === undefined ? "deno task envs:" : "forkstack ";
  assert.match(
    await task("envs:new", "alice"),
    new RegExp(`alice is ready: 4 resources.*\`${program}switch dev\``, "s"),
  );
  assert.match(await task("envs:list"), /\* +alice +ready +dev/);
  await task("envs:delete", "alice", "--yes");
});

const whyNoNpm = await whyNot("npm", "--version");
const MANAGERS: Readonly<Record<string, Runtime>> = {
  npm: whyNoNpm === undefined ? { command: ["npm"] } : { missing: whyNoNpm },
  bun: bun(),
};

for (const [manager, runtime] of Object.entries(MANAGERS)) {
  runtimeTest(
    `after init, ${manager} runs the scripts that it wrote, and commands are called as there`,
    runtime,
    async ([program]) => {
      using path = manager === "bun" ? pathWithBun(program) : undefined;
      await using place = await Place.make(null);
      await place.write("package.json", '{ "name": "shop", "private": true }\n');
      await place.ok("init");
      const made = await runCommand(place.root, [manager, "run", "envs:new", "alice"], {
        env: await shell(place, path?.value),
      });
      assert.equal(made.code, 0, made.stderr);
      assert.match(made.stdout, new RegExp(`alice is ready: 4 resources.*\`${manager} run envs:switch dev\``, "s"));
    },
  );
}

Deno.test("init in a Deno project: tasks beside those that are there, comments and layout stay", async () => {
  await using place = await Place.make(null);
  const before = `{
    // the shop
    "name": "@acme/web-shop",
    "tasks": {
        "start": "deno run main.ts", // mine
        "envs:list": { "description": "ours", "command": ${JSON.stringify(taskOf(place.root, "list"))} },
        "envs:new": "echo mine"
    },
    "imports": { "x": "./x.ts", },
}
`;
  await place.write("deno.jsonc", before);
  await place.write("package.json", '{"name": "other"}');
  const { text, data } = await made(place);
  if (PROGRAM !== undefined) return assertTasks(place.root, await place.read("package.json"), "scripts");
  const after = (await place.read("deno.jsonc"))!;
  for (const line of before.split("\n").filter((one) => !/"envs:new"|"tasks"/.test(one))) {
    assert(after.includes(line), line);
  }
  assert.match(after, /^ {8}"envs:new": "echo mine",\n {8}"envs:switch": /m);
  assert.deepEqual(data.kept, ["envs:new"]);
  assert.match(text, /^Not changed, although forkstack would write something else: envs:new$/m);
  assert.match(text, new RegExp(`Next: \`${taskOf(place.root, "new")} alice\``), "envs:new is not ours");
  assert.equal(data.project, "web-shop");
  assert.equal(await place.read("package.json"), '{"name": "other"}');
  assert.equal(await place.read("deno.json"), undefined);
});

Deno.test("init in an npm project: scripts in its own style", async () => {
  await using place = await Place.make(null);
  const before = '\uFEFF{\r\n\t"name": "@acme/site",\r\n\t"version": "1.0.0"\r\n}\r\n';
  await place.write("package.json", before);
  await chmod(place.path("package.json"), 0o600);
  const result = await made(place);
  const after = (await place.read("package.json"))!;
  assert(
    after.startsWith('\uFEFF{\r\n\t"name": "@acme/site",\r\n\t"version": "1.0.0",\r\n\t"scripts": {\r\n\t\t"envs:'),
  );
  assert.doesNotMatch(after, /[^\r]\n/);
  assertTasks(place.root, after.slice(1), "scripts");
  assert.match(await place.digest(), /^package\.json 600 /m);
  assert.equal(result.data.project, "site");
  assert.match(result.text, /Next: `npm run envs:new alice`/);
  assert.equal(await place.read("deno.json"), undefined);
});

Deno.test("init in a Bun project: its scripts, called by Bun", async () => {
  const locks: [name: string, says: string][] = [["bun.lock", "bun"], ["bun.lockb", "bun"], ["pnpm-lock.yaml", "pnpm"]];
  for (const [lock, says] of locks) {
    await using place = await Place.make(null);
    await place.write("package.json", '{ "name": "shop", "scripts": { "dev": "bun --hot x.ts" } }\n');
    await place.write(lock, "");
    const result = await made(place);
    assert.match(result.text, new RegExp(`Next: \`${says} run envs:new alice\``));
    const { scripts } = JSON.parse((await place.read("package.json"))!);
    assert.equal(scripts.dev, "bun --hot x.ts");
  }
});

Deno.test("init in a git repository: named by its remote, and .gitignore gets no line twice", async () => {
  for (const url of ["git@github.com:acme/Wine-Shop.git", "https://github.com/acme/wine-shop", "/srv/wine-shop.git/"]) {
    await using place = await Place.make(null);
    await place.git("init", "-q");
    await place.git("remote", "add", "origin", url);
    await place.write(".gitignore", "node_modules\n.env*\n");
    const result = await made(place);
    assert.equal(result.data.project, "wine-shop", url);
    const lines = "node_modules\n.env*\n/.forkstack/\n/.current-env\n/wine-shop.*.db*\n";
    assert.equal(await place.read(".gitignore"), lines);
    const manifest = PROGRAM === undefined ? "?? deno.json\n" : "";
    const status = async () => (await runCommand(place.root, ["git", "status", "--porcelain"])).stdout;
    assert.equal(await status(), `?? .gitignore\n${manifest}?? forkstack.json\n`);
    await place.ok("new", "alice");
    assert.equal(await status(), `?? .gitignore\n${manifest}?? forkstack.json\n`);
  }
});

testIf(WHY_ROOT, "init in a directory that can't be written: refused, and nothing is changed", async () => {
  await using place = await Place.make(null);
  await place.write("package.json", "{}\n");
  await chmod(place.root, 0o555);
  const wanted = {
    code: 2,
    error: "NOT_PERMITTED",
    says: /Cannot write ".*shop\/.*": permission denied/,
    hint: /owner and the permissions/,
  };
  await refused(place, ["init"], wanted, { within: WITHOUT_RIGHTS });
  assert.equal(
    (await run(place.root, ["init", "--dry-run"], { within: WITHOUT_RIGHTS })).code,
    0,
    "looking is allowed",
  );
  await chmod(place.root, 0o755);
});

Deno.test("init where one file can't be written: the others are as they were", async () => {
  await using place = await Place.make(null);
  await place.write("package.json", "{}\n");
  await mkdir(place.path(".gitignore")); // a directory: its text can't be read
  const before = await place.digest();
  const ended = await place.run("init");
  assert.notEqual(ended.code, 0);
  assert.equal(await place.digest(), before);
});

Deno.test("init where forkstack.json is there: it stays as it is, and what is lacking comes beside it", async () => {
  await using place = await Place.make(null);
  const text = '{"project":"shop",   "ttl": "3d"}';
  await place.write("forkstack.json", text);
  await place.write("package.json", "{}\n");
  const result = await made(place, ["--project", "shop", "--stack", "sqlite-local", "--set", "ttl=3d"]);
  assert.deepEqual(namesOf(result), [".gitignore", "package.json"]);
  assert.equal(await place.read("forkstack.json"), text);
  const wanted = {
    code: 5,
    error: "CONFLICT",
    hint: /^Edit the file, or run `deno task envs:init` without these options/,
  };
  const others: [args: string[], at: string][] = [
    [["--stack", "neon-s3-vault"], "database.provider"],
    [["--project", "other"], "project"],
    [["--set", "ttl=4d"], "ttl"],
    [["--set", "database.provider=turso"], "database.provider"],
  ];
  for (const [args, at] of others) {
    await refused(place, ["init", ...args], { ...wanted, says: new RegExp(`its "${at}" is different`) });
  }
  await place.ok("new", "alice");
  const after = await place.digest();
  assert.match((await place.ok("init")).stdout, /^shop is already set up/);
  assert.equal(await place.digest(), after);
});

Deno.test("init where a manifest is broken: named with its line, and nothing is changed", async () => {
  const cases: [name: string, text: string, says: RegExp][] = [
    ["package.json", '{\n  "name": "shop"\n  "version": "1"\n}', /package\.json: line 3, column 3: comma expected/],
    ["package.json", '{\n  // mine\n  "name": "shop"\n}', /package\.json: line 2, column 3: /],
    ["package.json", "", /package\.json: line 1, column 1: /],
    ["package.json", "[]", /package\.json: it must be an object/],
    ["package.json", '{"scripts": ["build"]}', /package\.json: "scripts" must be an object/],
    ["deno.json", '{"tasks": "build"}', /deno\.json: "tasks" must be an object/],
    ["deno.jsonc", '{"tasks": {', /deno\.jsonc: line 1, column 12: close brace expected/],
  ];
  for (const [name, text, says] of cases) {
    await using place = await Place.make(null);
    await place.write(name, text);
    await refused(place, ["init"], { code: 2, error: "CONFIG_INVALID", says, hint: /plain JSON|Fix it/ });
  }
  await using place = await Place.make('{"project": "shop",}');
  const wanted = { code: 2, error: "CONFIG_INVALID", says: /forkstack\.json: line 1, column 20/, hint: /plain JSON/ };
  await refused(place, ["init"], wanted);
});

Deno.test("init in a folder of a monorepo: its own files, and none above", async () => {
  await using place = await Place.make(null);
  await place.git("init", "-q");
  await place.git("remote", "add", "origin", "git@github.com:acme/everything.git");
  await place.write("package.json", '{ "name": "everything", "workspaces": ["apps/*"] }\n');
  await place.write("pnpm-lock.yaml", "");
  await place.write("apps/web/package.json", '{ "name": "@acme/web" }\n');
  const result = await made(place, [], place.path("apps/web"));
  assert.equal(result.data.project, "web");
  assert.match(result.text, /Next: `pnpm run envs:new alice`/);
  assertTasks(place.path("apps/web"), await place.read("apps/web/package.json"), "scripts");
  const changed = (await runCommand(place.root, ["git", "status", "--porcelain", "-uall"])).stdout.split("\n");
  const above = changed.filter((line) => line !== "" && !line.startsWith("?? apps/web/"));
  assert.deepEqual(above, ["?? package.json", "?? pnpm-lock.yaml"]);
  // A directory below works on the project above it, and says where that is.
  await place.write("apps/web/src/x.ts", "");
  const below = await run(place.path("apps/web/src"), ["init", "--json"]);
  assert.equal(JSON.parse(below.stdout).data.root, place.path("apps/web"));
});

Deno.test("init below a deno.json: no second one, which would hide the first", async () => {
  await using place = await Place.make(null);
  await place.write("deno.json", '{ "workspace": ["./lib"] }\n');
  await mkdir(place.path("app"));
  const result = await made(place, [], place.path("app"));
  assert.deepEqual(namesOf(result), [".gitignore", "forkstack.json"]);
  const line = taskOf(place.path("app"), "new").replaceAll(".", "\\.");
  assert.match(result.text, new RegExp(`Next: \`${line} alice\``));
  assert.equal(await place.read("deno.json"), '{ "workspace": ["./lib"] }\n');
});

const PASSWORD = "s3cr3t/p@ss";
const STACK = ["--stack", "sqlite-local"];

Deno.test("init beside an .env with production's URL: it warns of the guard, and tells no value", async () => {
  const cases: [text: string, says: RegExp | undefined][] = [
    [
      `DATABASE_URL="postgres://admin:${PASSWORD}@db.prod.example.com:5432/shop"`,
      /\.env sets DATABASE_URL \(another m/,
    ],
    [`export DATABASE_URL=libsql://shop-acme.turso.io?authToken=${PASSWORD}`, /\.env sets DATABASE_URL \(another mach/],
    ["DATABASE_URL=postgres://10.0.0.5/shop", /\.env sets DATABASE_URL \(another machine's\): .* ENV_CONFLICT/],
    ["DATABASE_URL=postgres://localhost/shop", /\.env sets DATABASE_URL: a program that loads it uses that in every/],
    ["BUCKET_NAME=shop-prod\nAWS_REGION=eu-west-1", /\.env sets BUCKET_NAME, AWS_REGION: .*ENV_CONFLICT/],
    [
      `PROD_DB=postgres://a:${PASSWORD}@db.example.com/x`,
      /\.env sets PROD_DB \(another machine's\), which the guard doe/,
    ],
    [
      `CACHE=rediss://:${PASSWORD}@[2001:db8::1]:6379`,
      /\.env sets CACHE \(another machine's\), which the guard does n/,
    ],
    ["PG=postgres://db:5432/x\nMY=mysql://127.0.0.1/x\nR=redis://[::1]:6379\nHOME_PAGE=https://example.com", undefined],
    ["DATABASE_URL=\nPORT=8000", undefined],
  ];
  for (const [text, says] of cases) {
    await using place = await Place.make(null);
    await place.write(".env", `${text}\n`);
    await place.write(".env.example", "DATABASE_URL=postgres://db.example.com/x\n");
    await place.write(".env.production", "DATABASE_URL=postgres://db.example.com/x\n");
    const isFirst = text === cases[0]![0]; // the others are looked at alone
    const result = isFirst ? await made(place, STACK) : {
      text: (await place.ok("init", ...STACK, "--dry-run")).stdout,
      data: (await place.json("init", ...STACK, "--dry-run")).data,
    };
    assert.equal(/^warning: /m.test(result.text), says !== undefined, `${text}: ${result.text}`);
    if (says !== undefined) {
      assert.match(result.text, says);
      assert.match(result.text, /^ {2}fix: (Take (it|them) out|Read the database)/m);
    }
    assert.equal(result.data.warnings.length, says === undefined ? 0 : 1);
    const told = result.text + JSON.stringify(result.data);
    assert.doesNotMatch(told, /s3cr3t|p@ss|example\.com|turso\.io|10\.0\.0\.5|shop-prod/, text);
    assert.equal(await place.read(".env"), `${text}\n`);
  }
});

Deno.test("the guard does stop on what init warns of", async () => {
  await using place = await Place.make(null);
  await place.write(".env", "DATABASE_URL=postgres://db.example.com/x\n");
  await place.ok("init", ...STACK);
  await place.ok("new", "alice");
  const mod = new URL("../../mod.ts", import.meta.url).href;
  await place.write("app.ts", `import { getDatabaseUrl } from "${mod}";\nconsole.log(getDatabaseUrl());\n`);
  const command = [process.execPath, "run", "-q", "--no-config", "-R", "-E", "--env-file=.env", "app.ts"];
  const { code, stderr } = await runCommand(place.root, command);
  assert.equal(code, 1);
  assert.match(stderr, /ENV_CONFLICT|the process environment holds a different value/);
});

Deno.test("init says what `new` would stop on: a line of .env.local that sets our variable, a file that git tracks", async () => {
  await using place = await Place.make(null);
  await place.write(".env.local", "API_KEY=mine\nDATABASE_URL=mine\n");
  const foreign = await made(place);
  assert.match(
    foreign.text,
    /^warning: Cannot write ".*\.env\.local": line 2 sets DATABASE_URL, as forkstack does; .* will stop on it$/m,
  );
  assert.match(foreign.text, /^ {2}fix: Remove that line/m);
  await using tracked = await Place.make(null);
  await tracked.git("init", "-q");
  await tracked.write(".current-env", "dev\n");
  await tracked.git("add", "-f", ".current-env");
  assert.match((await made(tracked)).text, /^warning: Cannot use "\.current-env": git tracks it; /m);
});

/** What each stack has to be told. */
const ANSWERS: Readonly<Record<string, Record<string, string>>> = {
  "sqlite-local": {},
  "turso-tigris-doppler": { "database.organization": "acme" },
  "neon-s3-vault": { "database.projectId": "late-frost-12345" },
  "planetscale-r2-doppler": { "database.organization": "acme", "storage.account": "0123456789abcdef0123456789abcdef" },
  "supabase-tigris": { "database.projectRef": "abcdefghijklmnopqrst" },
  "postgres-s3-aws-secrets": { "secrets.region": "eu-central-1" },
  "neon-redis-cloud": { "database.projectId": "late-frost-12345", "cache.subscription": "154714" },
};
const CREDENTIALS: Readonly<Record<string, string[]>> = {
  "sqlite-local": [],
  "turso-tigris-doppler": ["TURSO_API_TOKEN", "DOPPLER_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
  "neon-s3-vault": ["NEON_API_KEY", "VAULT_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
  "planetscale-r2-doppler": [
    "PLANETSCALE_SERVICE_TOKEN_ID",
    "PLANETSCALE_SERVICE_TOKEN",
    "DOPPLER_TOKEN",
    "CLOUDFLARE_API_TOKEN",
    "R2_ACCESS_KEY_ID",
  ],
  "supabase-tigris": ["SUPABASE_ACCESS_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
  "postgres-s3-aws-secrets": ["POSTGRES_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
  "neon-redis-cloud": ["NEON_API_KEY", "REDISCLOUD_ACCESS_KEY", "REDISCLOUD_SECRET_KEY"],
};

Deno.test("every stack that init knows has its answers here", () => {
  for (const stack of Object.keys(STACKS)) assert(stack in ANSWERS, stack);
});

Deno.test("init asks for each option that a provider can't do without, and for none that there is not", async () => {
  const seen = new Set<string>();
  for (const provider of Object.values(PROVIDERS).flatMap((all) => Object.entries(all))) {
    const [name, load] = provider;
    const { options, credentials, credentialsHint } = (await load()).default;
    const questions = Object.keys(QUESTIONS[name] ?? {});
    assert.deepEqual(requiredOptions(options).filter((one) => !questions.includes(one)), [], name);
    for (const [option, { example }] of Object.entries(QUESTIONS[name] ?? {})) {
      assert.equal(
        optionProblem(options, option, typedOption(options, option, example)),
        undefined,
        `${name}.${option}`,
      );
      assert.notEqual(optionProblem(options, option, {}), undefined, `${name} has an option ${option}`);
    }
    assert.equal(credentials.length > 0, credentialsHint !== undefined, `${name}: how to come by its credentials`);
    seen.add(name);
  }
  assert.deepEqual(Object.keys(QUESTIONS).filter((name) => !seen.has(name)), []);
});

for (const [stack, answers] of Object.entries(ANSWERS)) {
  Deno.test(`init --stack ${stack}: what it writes is accepted; what is missing is named, and where to get it`, async () => {
    await using place = await Place.make(null);
    const lacking = Object.keys(answers);
    for (const left of lacking) {
      const given = lacking.filter((one) => one !== left).flatMap((one) => ["--set", `${one}=${answers[one]}`]);
      await refused(place, ["init", "--stack", stack, ...given], {
        code: 2,
        error: "USAGE",
        says: new RegExp(`Cannot set up ${stack}: ${left} is not given\n`),
        hint: new RegExp(`^Add --set ${left}=\\S+ \\(`),
      });
    }
    const set = lacking.flatMap((one) => ["--set", `${one}=${answers[one]}`]);
    const result = await made(place, ["--stack", stack, ...set]);
    const resources = (await loadResources(await openProject(place.root, { init: false, catalog: CATALOG }), {
      catalog: CATALOG,
      reach: "nothing",
    })).resources;
    const providers = new Set(resources.map(({ provider }) => provider.name));
    if (stack !== "sqlite-local") {
      for (const one of Object.values(STACKS[stack]?.providers ?? {})) assert(providers.has(one));
    }
    const config = JSON.parse((await place.read("forkstack.json"))!);
    for (const [path, value] of Object.entries(answers)) {
      const [kind, option] = path.split(".");
      assert.equal(String(config[kind!][option!]), value);
    }
    const variables: { variable: string; state: string }[] = result.data.credentials.flatMap(
      (one: { variables: { variable: string; state: string }[] }) => one.variables,
    );
    const missing = new Set(variables.filter(({ state }) => state === "missing").map(({ variable }) => variable));
    assert.deepEqual([...missing].sort(), [...CREDENTIALS[stack]!].sort());
    for (const one of result.data.credentials) assert.match(one.hint, /\S/, `${one.provider}: where to get them`);
    const env = Object.fromEntries([...missing].map((name) => [name, `canary-${name}`]));
    const ready = await run(place.root, ["init"], { env });
    assert.doesNotMatch(ready.stdout, /missing|canary/);
    assert.match(ready.stdout, /Next: `[^`]* alice`/);
  });
}

Deno.test("a credential that only an env file has is not set: forkstack reads none, and init says so", async () => {
  await using place = await Place.make(null);
  await place.write(".env", "NEON_API_KEY=canary\n");
  const result = await made(place, ["--stack", "neon", "--set", "database.projectId=late-frost-12345"]);
  assert.match(
    result.text,
    /neon needs NEON_API_KEY: missing; \.env has it, which forkstack does not read: export it; or /,
  );
  assert.doesNotMatch(result.text, /canary/);
});

Deno.test("what init can't understand is named, with what was meant", async () => {
  const cases: [args: string[], code: string, says: RegExp, hint: RegExp][] = [
    [
      ["--stack", "neon-s3-valt"],
      "USAGE",
      /"neon-s3-valt": there is no such stack; did you mean "neon-s3-vault"\?/,
      /sqlite-local, t/,
    ],
    [["--stack", "mongo"], "USAGE", /stack "mongo": there is no such stack/, /neon-s3-vault, .*postgres-s3-vault/],
    [["--stack", "constructor"], "USAGE", /there is no such stack/, /sqlite-local/],
    [["--stack", "neon-turso"], "USAGE", /there is no such stack/, /sqlite-local/],
    [["--project", "My Shop"], "NAME_INVALID", /Cannot use "My Shop" as project name/, /^Use "my-shop"$/],
    [["--set", "nonsense"], "USAGE", /Cannot use --set "nonsense"/, /--set database\.organization=acme/],
    [["--set", "a.b.c=1"], "USAGE", /Cannot use --set "a\.b\.c=…"/, /acme/],
    [["--set", "database=turso"], "USAGE", /Cannot use --set "database=…"/, /acme/],
    [["--set", "constructor.x=1"], "USAGE", /Cannot use --set/, /acme/],
    [
      ["--set", "storage.prot=7900"],
      "CONFIG_INVALID",
      /unknown key "storage\.prot"; did you mean "(storage\.)?port"\?/,
      /./,
    ],
    [["--set", "storage.port=http"], "CONFIG_INVALID", /"storage\.port" must be number/, /./],
    [["--set", "databse=x"], "CONFIG_INVALID", /unknown key "databse"; did you mean "database"\?/, /./],
    [
      ["--set", "database.provider=tursso"],
      "CONFIG_INVALID",
      /no database provider: "tursso"; did you mean "turso"/,
      /./,
    ],
    [
      ["--stack", "neon", "--set", "database.projectId=A B"],
      "CONFIG_INVALID",
      /"database\.projectId" must be an id/,
      /./,
    ],
    [["shop"], "USAGE", /"shop" is one argument too many/, /init --help/],
  ];
  for (const [args, error, says, hint] of cases) {
    await using place = await Place.make(null);
    await refused(place, ["init", ...args], { code: 2, error, says, hint });
  }
});

Deno.test("--set names the rest of an embedded stack, which would else no longer be there", async () => {
  await using place = await Place.make(null);
  await made(place, ["--set", "storage.port=7900", "--set", "ttl=3d", "--project", "development"]);
  const { $schema: _, ...config } = JSON.parse((await place.read("forkstack.json"))!);
  assert.deepEqual(config, {
    project: "development",
    database: { provider: "sqlite" },
    storage: { provider: "local", port: 7900 },
    secrets: { provider: "env-file" },
    local: { provider: "directory" },
    ttl: "3d",
  });
});

Deno.test("the tasks may reach the hosts of the stack; what the tasks would lack is told", async () => {
  await using place = await Place.make({});
  const found = await survey(place.root, CATALOG);
  const [resource] = (await loadResources(found.project, { catalog: CATALOG, reach: "nothing" })).resources;
  const reaching = (net?: string[]) => {
    const provider = { ...resource!.provider, credentials: [{ variable: "NO_URL", required: true }] };
    return [{
      ...resource!,
      provider: Object.assign(provider, { permissions: () => net === undefined ? {} : { net } }),
    }];
  };
  const clone = { origin: { kind: "clone" as const, path: CLI }, commands: ["new"] };
  const known = await planInit(found, reaching(["b.example", "a.example"]), clone);
  assert.match(
    known.files.at(-1)!.added[0]!,
    /^envs:new: deno run -q -P=cli --allow-net=a\.example,b\.example --lock=\S+ --unstable-npm-lazy-caching \S+ new$/,
  );
  assert.deepEqual(known.warnings, []);
  const unknown = await planInit(found, reaching(), clone);
  assert.match(unknown.warnings[0]!.problem, /^NO_URL is not set: the tasks do not allow the host in it$/);
  const binary = await planInit(found, reaching(), { origin: { kind: "binary" }, commands: ["new"] });
  assert.deepEqual(binary.warnings, []);
  const installed = { origin: { kind: "package" as const }, commands: ["new"] };
  await place.write("package.json", "{}");
  const [stranger] = (await planInit(await survey(place.root, CATALOG), [], installed)).warnings;
  assert.match(stranger!.problem, /forkstack is not installed here/);
  await place.write("node_modules/.bin/forkstack", "");
  assert.deepEqual((await planInit(await survey(place.root, CATALOG), [], installed)).warnings, []);
});

Deno.test("after init --stack turso, its task makes alice there: it may reach that host, and needs nothing more", async () => {
  await using turso = await startTurso({ organization: "acme", tokens: { canary: undefined } });
  await using place = await Place.make(null);
  seedFile(join(place.above, "seed.db"));
  turso.add("shop", join(place.above, "seed.db"));
  await place.write("deno.json", "{}\n");
  const options = { "database.organization": "acme", "database.endpoint": turso.url };
  const set = Object.entries(options).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  const { text } = await made(place, ["--stack", "turso", ...set]);
  assert.match(text, /turso needs TURSO_API_TOKEN: missing; `turso auth api-tokens mint forkstack` makes one\n/);
  if (PROGRAM === undefined) {
    assert.match((await place.read("deno.json"))!, /envs:new": "deno run -q -P=cli --allow-net=127\.0\.0\.1 /);
  }
  const env = { ...await shell(place), TURSO_API_TOKEN: "canary" };
  const task = await runCommand(place.root, [process.execPath, "task", "-q", "envs:new", "alice"], { env });
  assert.equal(task.code, 0, task.stderr);
  assert(turso.databases.has("shop-alice"));
});

const whyNotByUrl = PROGRAM === undefined ? "" : " (skipped: the program under test has no URL)";
Deno.test({ name: `init by URL: tasks that run it from there${whyNotByUrl}`, ignore: whyNotByUrl !== "", fn: byUrl });
async function byUrl(): Promise<void> {
  await using place = await Place.make(null);
  await using web = await webOrigin();
  await place.write("deno.json", '{ "nodeModulesDir": "manual" }\n');
  const cache = join(place.above, "cache"); // with the packages that are there, and no module of this server
  await mkdir(cache);
  const { stdout } = await runCommand(place.root, [process.execPath, "info", "--json"]);
  await symlink(JSON.parse(stdout).npmCache, join(cache, "npm"));
  const env = { ...await shell(place), DENO_DIR: cache };
  const allowed = "--allow-read --allow-write --allow-env --allow-run=cp,git --allow-sys=hostname".split(" ");
  const by = [
    "run",
    "-q",
    "--no-lock",
    "--node-modules-dir=none",
    `--allow-import=${new URL(web.url).host}`,
    ...allowed,
  ];
  const init = await runCommand(place.root, [process.execPath, ...by, `${web.url}/cli.ts`, "init"], { env });
  assert.equal(init.code, 0, init.stderr);
  const config = JSON.parse((await place.read("forkstack.json"))!);
  assert.deepEqual(config, { $schema: `${web.url}/forkstack.schema.json`, project: "shop" });
  const tasks = Object.values(tasksIn(await place.read("deno.json"), "tasks"));
  for (const line of tasks) assert(line.length <= 80 && !line.includes(web.url), line);
  const { imports, permissions } = JSON.parse((await place.read("forkstack.deno.json"))!);
  assert.deepEqual(imports, { forkstack: `${web.url}/cli.ts` });
  assert.deepEqual([permissions.cli.net, permissions.cli.import], [undefined, [new URL(web.url).host]]);
  const before = await place.digest();
  const again = await runCommand(place.root, [process.execPath, ...by, `${web.url}/cli.ts`, "init"], { env });
  assert.match(again.stdout, /already set up.*\nNext: `deno task envs:new alice`\n$/s, again.stderr);
  assert.equal(await place.digest(), before);
  const task = await runCommand(place.root, [process.execPath, "task", "-q", "envs:new", "alice"], { env });
  assert.equal(task.code, 0, task.stderr);
  assert.match(task.stdout, /^alice is ready: 4 resources/);
  const ran = await runCommand(place.root, [
    process.execPath,
    "task",
    "-q",
    "envs:run",
    "alice",
    "--",
    "printenv",
    "FORKSTACK_ENV",
  ], { env });
  assert.equal(ran.stdout, "alice\n", ran.stderr);
  assert.equal(await place.read("deno.lock"), undefined);
}

Deno.test("what is changed while init waits for an answer is not overwritten", async () => {
  const here = process.cwd();
  for (const [file, text] of [["package.json", '{ "name": "new" }'], ["forkstack.json", '{ "project": "theirs" }']]) {
    await using place = await Place.make(null);
    await place.write("package.json", '{ "name": "shop" }');
    const answer = () => Promise.reject(new Error("not asked"));
    const ask: Ask = { text: answer, choose: answer, agree: async () => await place.write(file!, text!) };
    const io: Io = {
      catalog: CATALOG,
      say: () => {},
      onProgress: () => {},
      signal: new AbortController().signal,
      now: () => new Date(),
      confirm: answer,
      readSecret: answer,
      mayAsk: () => true,
      atEnd: () => {},
    };
    const flags = { project: "shop", stack: "sqlite-local" };
    process.chdir(place.root);
    try {
      const call = { name: undefined, more: undefined, rest: [], program: [], flags, io };
      await assert.rejects(runInit(call, ask), { code: "CONFLICT", message: /its files changed during the run/ });
    } finally {
      process.chdir(here);
    }
    assert.equal(await place.read(file!), text);
    assert.equal(await place.read(".gitignore"), undefined);
  }
});

Deno.test("a manifest that is a link stays one", async () => {
  await using place = await Place.make(null);
  await mkdir(join(place.above, ".git")); // of the repository that both are in
  await writeFile(join(place.above, "package.json"), '{ "name": "shop" }\n');
  await symlink("../package.json", place.path("package.json"));
  await made(place);
  assert.match(await place.digest(), /^package\.json -> \.\.\/package\.json$/m);
  assertTasks(place.root, await place.read("package.json"), "scripts");
});

/** What a repository may hold at the place of a file that `init` or `new` writes, and what it would change or read out. */
const LED_OUT: Readonly<Record<string, (place: Place) => Promise<unknown>>> = {
  "package.json, a link to another project's": async (place) =>
    await symlink("../outside/package.json", place.path("package.json")),
  "deno.json, an absolute link": async (place) =>
    await symlink(join(place.above, "outside", "package.json"), place.path("deno.json")),
  "deno.jsonc, a link by a directory that is one": async (place) => {
    await symlink("../outside", place.path("config"));
    await symlink("config/package.json", place.path("deno.jsonc"));
  },
  "package.json, a link that leads nowhere yet": async (place) =>
    await symlink("../outside/new.json", place.path("package.json")),
  "deno.json, a link to a device": async (place) => await symlink("/dev/zero", place.path("deno.json")),
  ".gitignore, a link to a secret": async (place) => await symlink("../outside/secret", place.path(".gitignore")),
  ".gitignore, a link inside, which git does not follow": async (place) => {
    await place.write("ignored", "dist\n");
    await symlink("ignored", place.path(".gitignore"));
  },
};

Deno.test("a hint that names a command reads no device for it", async () => {
  await using place = await Place.make(null);
  await symlink("/dev/zero", place.path("deno.json"));
  for (const args of [["switch"], ["frobnicate"], ["run"]]) {
    assert.equal((await place.json(...args)).error?.code, "USAGE", args.join(" "));
  }
});

for (const [what, make] of Object.entries(LED_OUT)) {
  Deno.test(`init and new change and read out nothing by a link: ${what}`, async () => {
    await using place = await Place.make(null);
    await place.git("init", "-q");
    await mkdir(join(place.above, "outside"));
    await writeFile(join(place.above, "outside", "package.json"), "{}\n");
    await writeFile(join(place.above, "outside", "secret"), "password = 1\n");
    await make(place);
    const before = treeOf(place.above);
    const commands = [["init", "--yes"], ["init", "--yes", "--dry-run"]];
    for (const args of what.startsWith(".gitignore") ? [...commands, ["new", "alice"]] : commands) {
      const { exitCode, error } = await place.json(...args);
      assert.match(error?.code ?? "", /^(NOT_PERMITTED|FOREIGN)$/, args.join(" "));
      assert([2, 5].includes(exitCode ?? 2));
      assert.deepEqual(treeOf(place.above), before, args.join(" "));
    }
  });
}
