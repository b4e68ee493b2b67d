/** The mistakes that people make first, each with what is said: one cause, and a next step that works as it is pasted. */
import assert from "node:assert/strict";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { COMMANDS } from "../../core/cli/command_table.ts";
import { commandOf, INSTALLED, IS_OTHER_PROGRAM, Place, run, runCommand } from "./run.ts";

/** The tasks of a project, as `init` writes them. */
const TASKS = Object.fromEntries(Object.keys(COMMANDS).map((name) => [`envs:${name}`, lineOf(name)]));

function lineOf(name: string): string {
  return commandOf([name]).map((word) => /[^\w./=-]/.test(word) ? JSON.stringify(word) : word).join(" ");
}

/** PATH as it is where nobody has installed the command line. */
function withoutForkstack(): string {
  return (process.env.PATH ?? "").split(":").filter((directory) => directory !== INSTALLED).join(":");
}

Deno.test("every missing credential of the stack is named at once, each with its provider", async () => {
  const all = {
    project: "shop",
    database: { provider: "turso", organization: "acme" },
    cache: { provider: "upstash-redis" },
    queue: { provider: "qstash" },
  };
  await using place = await Place.make(all);
  const one = await place.json("new", "alice");
  assert.equal(one.error.code, "CREDENTIALS_MISSING");
  const said = `${one.error.message} ${one.error.hint}`;
  const names = ["TURSO_API_TOKEN", "UPSTASH_EMAIL", "UPSTASH_API_KEY", "QSTASH_TOKEN"];
  for (const name of names) assert.match(said, new RegExp(`\\b${name}\\b`), said);
  for (const name of ["turso", "qstash"]) assert.match(said, new RegExp(`\\b${name}\\b`), said);
  assert.doesNotMatch(said, /Cannot .*Cannot/);
});

Deno.test("a secrets backend that takes a token or a role is named among the missing, wherever it is asked", async () => {
  const cases: [config: object, set: Record<string, string>, named: string[], not: RegExp][] = [
    [
      { database: { provider: "turso", organization: "acme" }, secrets: { provider: "vault" } },
      {},
      ["TURSO_API_TOKEN", "VAULT_TOKEN"],
      /VAULT_ROLE_ID is/,
    ],
    [
      { database: { provider: "postgres" }, secrets: { provider: "vault" }, queue: { provider: "qstash" } },
      {},
      ["POSTGRES_URL", "VAULT_TOKEN", "QSTASH_TOKEN"],
      /Cannot .*Cannot/,
    ],
    [
      { database: { provider: "mysql" }, secrets: { provider: "vault" } },
      { VAULT_ROLE_ID: "r", VAULT_SECRET_ID: "s" },
      ["MYSQL_URL"],
      /VAULT/,
    ],
    [{ secrets: { provider: "vault" }, storage: { provider: "s3" } }, {}, ["VAULT_TOKEN", "AWS_ACCESS_KEY_ID"], /$^/],
  ];
  for (const [config, env, named, not] of cases) {
    await using place = await Place.make(config);
    const { error } = JSON.parse((await run(place.root, ["new", "alice", "--json"], { env })).stdout);
    assert.equal(error.code, "CREDENTIALS_MISSING");
    const said = `${error.message} ${error.hint}`;
    for (const name of named) assert.match(said, new RegExp(`\\b${name}\\b`), said);
    assert.doesNotMatch(said, not);
  }
});

Deno.test("a credential that is set is not asked for; one is in the singular, two are in the plural", async () => {
  const cases: [config: object, env: Record<string, string>, message: string][] = [
    [{ queue: { provider: "qstash" } }, {}, "queue: QSTASH_TOKEN is not set"],
    [
      { cache: { provider: "upstash-redis" } },
      {},
      "cache: UPSTASH_EMAIL and UPSTASH_API_KEY are not set",
    ],
    [
      { cache: { provider: "upstash-redis" } },
      { UPSTASH_EMAIL: "a@example.com" },
      "cache: UPSTASH_API_KEY is not set",
    ],
  ];
  for (const [config, env, message] of cases) {
    await using place = await Place.make(config);
    const { error } = JSON.parse((await run(place.root, ["new", "alice", "--json"], { env })).stdout);
    assert.equal(error.message, `Cannot create environment "alice": ${message}`);
    assert.match(error.hint, new RegExp(`^Set ${message.match(/: (.*) (?:is|are) not set/)![1]} in the environment`));
    assert.doesNotMatch(error.hint, /UPSTASH_EMAIL.* needs|needs UPSTASH_EMAIL/);
  }
});

const CLI = fileURLToPath(new URL("../../cli.ts", import.meta.url));

/** A way in which a project calls the command line. */
interface Way {
  readonly files?: Record<string, string>;
  readonly env: Record<string, string>;
  /** How hints call it then. */
  readonly called: RegExp;
  /** The beginning of the command line. @default {as the tests run it} */
  readonly by?: readonly string[];
}

/** Ways in which a project calls the command line, by name. */
const WAYS: Readonly<Record<string, Way>> = {
  "a Deno project with the tasks": {
    files: { "deno.json": JSON.stringify({ tasks: TASKS }) },
    env: { INIT_CWD: "/" },
    called: /^deno task envs:\w+/,
  },
  "the same, started without a task": {
    files: { "deno.json": JSON.stringify({ tasks: TASKS }) },
    env: {},
    called: /^deno task envs:\w+/,
  },
  "a package with the scripts, by Deno": {
    files: { "package.json": JSON.stringify({ name: "shop", scripts: TASKS }) },
    env: {},
    called: /^deno task envs:\w+/,
  },
  "another task of a Deno project without ours": {
    files: { "deno.json": JSON.stringify({ tasks: { dev: "deno run main.ts" } }) },
    env: { INIT_CWD: "/" },
    called: /^forkstack \w+/,
  },
  "installed": { env: {}, called: /^forkstack \w+/ },
  "by its path, and in no PATH": {
    env: { PATH: withoutForkstack() },
    called: /^deno run (-P=cli|-P=cli --allow-run) \S+\/cli\.ts \w+/,
  },
  "the same, with all permissions": {
    env: { PATH: withoutForkstack() },
    called: /^deno run -A \S+\/cli\.ts \w+/,
    by: [process.execPath, "run", "-A", CLI],
  },
};

/** Mistakes whose hint is a command; each pasted one may make what it names. */
const MISTAKES: readonly (readonly string[])[] = [
  ["switch", "nobody"],
  ["status", "noone"],
  ["rm", "alice"],
  ["new", "dev"],
  ["list", "--frobnicate"],
  ["secrets", "get", "NONE"],
  ["switch"],
];

for (const [way, { files = {}, env, called, by }] of Object.entries(WAYS)) {
  Deno.test({ name: `each command in a hint works as it is pasted: ${way}`, ignore: IS_OTHER_PROGRAM }, async () => {
    await using place = await Place.make();
    for (const [name, text] of Object.entries(files)) await place.write(name, text);
    await place.ok("new", "alice");
    for (const args of MISTAKES) {
      const ended = by === undefined
        ? run(place.root, args, { env })
        : runCommand(place.root, [...by, ...args], { env });
      const { stderr, code } = await ended;
      assert(code !== 0 && code !== null, args.join(" "));
      const commands = Array.from(stderr.split("hint:")[1]?.matchAll(/`([^`]+)`/g) ?? [], ([, line]) => line!);
      assert(commands.length > 0, stderr);
      for (const command of commands) {
        assert.match(command, called, stderr);
        const pasted = await runCommand(place.root, ["sh", "-c", `${command} < /dev/null`], { env });
        assert.doesNotMatch(
          pasted.stderr,
          /unknown command|not found|Cannot run "|has no option|Task not found/,
          command,
        );
        assert([0, 2, 4, 5].includes(pasted.code!), `${command}: ${pasted.code} ${pasted.stderr}`);
      }
    }
  });
}
