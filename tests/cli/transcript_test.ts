/**
 * What each command prints, where, and with which exit code.
 */
import { COMMANDS } from "../../core/cli/command_table.ts";
import assert from "node:assert/strict";
import { hostname } from "node:os";
import { openProject } from "../../core/project/open_project.ts";
import { withLock } from "../../core/state/lock.ts";
import { openRegistry } from "../../core/state/open_registry.ts";
import { IS_OTHER_PROGRAM, Place, run, transcript } from "./run.ts";
import { CATALOG } from "../../providers/mod.ts";

const EMPTY = { kinds: ["database", "local", "secrets", "storage"], fork: "empty" };

Deno.test("new, switch, list, status and delete say in one line what was done, and what comes next", async () => {
  await using place = await Place.make(null);
  await place.write("package.json", "{}\n"); // a project, so that `new` may begin
  const said = async (...args: string[]) => await transcript(place, args);
  assert.equal(
    await said("new", "alice"),
    `\
alice is ready: 4 resources, forked from dev in <time>
database, local, secrets, storage are empty, as in dev
Wrote .gitignore, forkstack.json
Next: restart the app to use alice; \`forkstack switch dev\` goes back
!   + database         shop-alice                   empty <time>
!   + local            shop.alice.db                empty <time>
!   + secrets          alice                        empty <time>
!   + storage          shop-bucket-alice            empty <time>
=> 0`,
  );
  assert.equal(
    await said("new", "alice"),
    `\
alice already exists: 4 resources, forked from dev
Next: restart the app to use alice; \`forkstack switch dev\` goes back
=> 0`,
  );
  assert.equal(
    await said("status"),
    `\
alice  ready, current
forked from dev, <time> old, by tester@host
  database  sqlite     empty  shop-alice
  local     directory  empty  shop.alice.db
  secrets   env-file   empty  alice
  storage   local      empty  shop-bucket-alice
Variables: FORKSTACK_ENV, FORKSTACK_PROJECT, DATABASE_URL, DATABASE_PATH, LOCAL_PATH, SECRETS_FILE, BUCKET_NAME, BUCKET_PATH, AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
=> 0`,
  );
  assert.equal(await said("switch", "dev"), "Now on dev\nNext: restart the app\n=> 0");
  assert.equal(
    (await said("list")).replace(/ +tester/, " tester").replace(/AGE +OWNER/, "AGE OWNER"),
    `\
   NAME   STATUS  PARENT  AGE OWNER
*  dev    base
   alice  ready   dev     <time> tester@host
=> 0`,
  );
  assert.equal(
    await said("delete", "alice", "--yes"),
    `\
Deleted alice: 4 resources in <time>
Next: \`forkstack list\`
!   - database         shop-alice                   deleted <time>
!   - local            shop.alice.db                deleted <time>
!   - secrets          alice                        deleted <time>
!   - storage          shop-bucket-alice            deleted <time>
=> 0`,
  );
  assert.equal(
    await said("list"),
    "No environments yet. Create one with `forkstack new alice`\nCurrent: dev\n=> 0",
  );
});

const COMMANDS_HINT = `Commands: ${Object.keys(COMMANDS).join(", ")}`;

Deno.test("a failure says what happened and what to do next, on stderr alone, with its exit code", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  const cases: [args: string[], stderr: string, code: number][] = [
    [
      ["nwe"],
      `Cannot run "nwe": unknown command; did you mean "new"?\n  hint: ${COMMANDS_HINT}`,
      2,
    ],
    [["fly"], `Cannot run "fly": unknown command\n  hint: ${COMMANDS_HINT}`, 2],
    [["new", "bob", "--form", "dev"], 'Cannot run "new": it has no option --form\n  hint: Did you mean --from?', 2],
    [
      ["new", "bob", "--from"],
      'Cannot run "new": --from needs a value\n  hint: Write --from <env>; `forkstack new --help` shows examples',
      2,
    ],
    [["list", "--json=yes"], 'Cannot run "list": --json takes no value\n  hint: Write --json alone', 2],
    [
      ["new", "bob", "carol"],
      'Cannot run "new": "carol" is one argument too many\n  hint: `forkstack new --help` shows examples',
      2,
    ],
    [
      ["list", "alice"],
      'Cannot run "list": "alice" is one argument too many\n  hint: `forkstack list --help` shows examples',
      2,
    ],
    [["switch"], 'Cannot run "switch": no environment was named\n  hint: `forkstack list` shows the environments', 2],
    [
      ["delete"],
      'Cannot run "delete": no environment was named\n  hint: `forkstack list` shows the environments',
      2,
    ],
    [["switch", "alcie"], 'Cannot switch to environment "alcie": it does not exist\n  hint: Did you mean "alice"?', 4],
    [
      ["status", "zoe"],
      'Cannot show environment "zoe": it does not exist\n  hint: `forkstack list` shows the environments; `forkstack new zoe` creates it',
      4,
    ],
    [
      ["delete", "zoe", "--yes"],
      'Cannot delete environment "zoe": it does not exist\n  hint: `forkstack list` shows the environments',
      4,
    ],
    [
      ["new", "dev"],
      'Cannot make environment "dev": it always exists\n  hint: Switch to it with `forkstack switch dev`',
      2,
    ],
    [
      ["new", "alice", "--from", "prod"],
      'Cannot fork environment "alice" from "prod": it already exists, forked from "dev"\n  hint: Delete it first with `forkstack delete alice`, or choose another name',
      5,
    ],
    [["new", "alice", "--from", "alice"], undefined as unknown as string, 5],
  ];
  const before = await place.digest();
  for (const [args, stderr, code] of cases) {
    const ended = await place.run(...args);
    if (stderr !== undefined) assert.equal(ended.stderr, `error: ${stderr}\n`, args.join(" "));
    assert.deepEqual([ended.code, ended.stdout], [code, ""], args.join(" "));
    if (args.some((arg) => arg.startsWith("--json"))) continue;
    const json = await place.json(...args);
    assert.equal(json.code, code);
    assert.deepEqual(Object.keys(json).sort(), ["code", "command", "data", "error", "ok", "schema"]);
    assert.deepEqual([json.schema, json.command, json.ok, json.data], [1, args[0], false, {}]);
    assert.equal(`error: ${json.error.message}\n  hint: ${json.error.hint}\n`, ended.stderr);
    assert.equal(json.error.retryable, false);
    assert.match(json.error.code, /^[A-Z][A-Z_]+$/);
  }
  assert.equal(await place.digest(), before);
});

function resourceOf(env: string, kind: string, state: string, fork?: string) {
  const [provider, title] = {
    database: ["sqlite", `shop-${env}`],
    local: ["directory", `shop.${env}.db`],
    secrets: ["env-file", env],
    storage: ["local", `shop-bucket-${env}`],
  }[kind]!;
  return { key: kind, kind, provider, id: "<id>", title, ...(fork === undefined ? {} : { fork }), state };
}

/** An environment that this directory is on, or `isUsed` was, if only until now. */
function environmentOf(place: Place, name: string, current: boolean, status = "ready", isUsed = current) {
  const made = { name, parent: "dev", status, owner: `tester@${hostname()}`, createdAt: "<instant>" };
  return { ...made, ...(isUsed ? { usedAt: "<instant>" } : {}), checkouts: current ? [here(place)] : [], current };
}

function here({ root }: Place) {
  return { path: root, usedAt: "<instant>", current: true };
}

/** A `--json` document whose ids, instants and durations are checked and then levelled. */
// deno-lint-ignore no-explicit-any -- a JSON document
async function document(place: Place, ...args: string[]): Promise<any> {
  const { code, stdout, stderr } = await place.run(...args, "--json");
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "", "with --json nothing needs saying beside the document");
  return JSON.parse(stdout, (key, value) => {
    if (key === "id") return assert.match(value, /^[0-9a-f-]{36}$/) ?? "<id>";
    if (key === "createdAt" || key === "usedAt") {
      return assert.match(value, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) ?? "<instant>";
    }
    if (key === "durationMs") return assert(typeof value === "number" && value >= 0) ?? 0;
    return value;
  });
}

Deno.test("--json gives the data that DESIGN.md promises of each command", async () => {
  await using place = await Place.make();
  const variables = [
    ..."FORKSTACK_ENV FORKSTACK_PROJECT DATABASE_URL DATABASE_PATH LOCAL_PATH SECRETS_FILE BUCKET_NAME BUCKET_PATH"
      .split(" "),
    ..."AWS_ENDPOINT_URL_S3 AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY".split(" "),
  ];
  const all = (env: string, state: string, fork?: string) =>
    EMPTY.kinds.map((kind) => resourceOf(env, kind, state, fork));
  const ready = {
    environment: environmentOf(place, "alice", true),
    resources: all("alice", "ready", "empty"),
    variables,
    durationMs: 0,
  };
  const whole = (command: string, data: unknown) => ({ schema: 1, command, ok: true, data });
  const planned = EMPTY.kinds.map((kind) => {
    const { id: _, ...rest } = resourceOf("alice", kind, "create");
    return rest;
  });
  assert.deepEqual(
    await document(place, "new", "alice", "--dry-run"),
    whole("new", { environment: { name: "alice", parent: "dev" }, resources: planned, dryRun: true }),
  );
  assert.deepEqual(
    await document(place, "new", "alice"),
    whole("new", { ...ready, unchanged: false, changedFiles: [".gitignore"] }),
  );
  assert.deepEqual(
    await document(place, "new", "alice"),
    whole("new", { ...ready, unchanged: true, changedFiles: [] }),
  );
  await document(place, "new", "bob", "--no-switch");
  assert.deepEqual(await document(place, "status"), whole("status", ready));
  assert.deepEqual(
    await document(place, "status", "bob"),
    whole("status", {
      ...ready,
      environment: environmentOf(place, "bob", false),
      resources: all("bob", "ready", "empty"),
    }),
  );
  assert.deepEqual(
    await document(place, "switch", "bob", "--dry-run"),
    whole("switch", {
      ...ready,
      environment: environmentOf(place, "bob", false),
      resources: all("bob", "ready", "empty"),
      dryRun: true,
    }),
  );
  assert.deepEqual(
    await document(place, "list"),
    whole("list", { environments: [environmentOf(place, "alice", true), environmentOf(place, "bob", false)] }),
  );
  assert.deepEqual(await document(place, "switch", "alice"), whole("switch", { ...ready, changedFiles: [] }));
  assert.deepEqual(
    await document(place, "delete", "alice", "--dry-run"),
    whole("delete", {
      environment: { name: "alice", parent: "dev", checkouts: [here(place)] },
      resources: all("alice", "ready", "empty"),
      left: true,
      current: { env: "dev", decidedBy: "default" },
      dryRun: true,
    }),
  );
  assert.deepEqual(
    await document(place, "delete", "alice", "--yes"),
    whole("delete", {
      environment: environmentOf(place, "alice", false, "deleting", true),
      resources: all("alice", "deleted", "empty"),
      durationMs: 0,
      left: true,
      current: { env: "dev", decidedBy: "default" },
    }),
  );
  assert.deepEqual(
    await document(place, "status", "dev"),
    whole("status", {
      environment: { name: "dev", status: "ready", checkouts: [], current: true },
      resources: EMPTY.kinds.map((kind) => {
        const { id: _, ...rest } = resourceOf("dev", kind, "base");
        return rest;
      }),
      variables: [], // nobody has switched to dev
      durationMs: 0,
    }),
  );
});

Deno.test("--dry-run says what would be done and changes nothing", async () => {
  await using fresh = await Place.make(null);
  await fresh.write("package.json", "{}\n");
  const untouched = await fresh.digest();
  assert.equal(
    await transcript(fresh, ["new", "alice", "--dry-run"]),
    `\
Would create alice from dev:
  create   database         sqlite       shop-alice
  create   local            directory    shop.alice.db
  create   secrets          env-file     alice
  create   storage          local        shop-bucket-alice
=> 0`,
  );
  assert.equal(await fresh.digest(), untouched, "not even the registry is made");
  await using place = await Place.make();
  await place.ok("new", "alice");
  await place.ok("new", "bob");
  const before = await place.digest();
  assert.match(await transcript(place, ["new", "carol", "--dry-run"]), /^Would create carol from dev:\n/);
  assert.match(await transcript(place, ["new", "--dry-run"]), /^Would create [a-z]+-[a-z]+ from dev:\n/);
  assert.equal(
    await transcript(place, ["new", "alice", "--dry-run"]),
    "alice is already complete in the registry: would check each resource and create nothing\n=> 0",
  );
  assert.equal(await transcript(place, ["switch", "alice", "--dry-run"]), "Would switch to alice\n=> 0");
  assert.equal(
    await transcript(place, ["delete", "bob", "--dry-run"]),
    'Would delete bob: database "shop-bob" (sqlite), local "shop.bob.db" (directory), secrets "bob" (env-file), ' +
      'storage "shop-bucket-bob" (local)\n' +
      "This directory is on bob and would then be on dev\n=> 0",
  );
  assert.equal(await place.digest(), before);
});

Deno.test("list and status change nothing, also where nothing is", async () => {
  await using place = await Place.make();
  const before = await place.digest();
  assert.match(await transcript(place, ["list"]), /^No environments yet.*\nCurrent: dev\n=> 0$/);
  assert.match(await transcript(place, ["status"]), /^dev {2}ready, current\n/);
  assert.equal(await place.digest(), before);
});

Deno.test("outside a project, commands but new say where to begin", async () => {
  await using place = await Place.make(null);
  for (const args of [["list"], ["status"], ["switch", "dev"], ["delete", "alice", "--yes"]]) {
    const said = await transcript(place, args);
    assert.equal(
      said.replace(/`deno run .*cli\.ts init`/, "`forkstack init`"), // as it works where no task starts it yet
      `\
! error: Cannot find forkstack.json in "<root>" or above
!   hint: Change to your project directory, or set up a project here: \`forkstack init\`
=> 2`,
    );
  }
  assert.equal(await place.digest(), "");
});

Deno.test("--help, no command, and --version go to stdout, with an example first", async () => {
  await using place = await Place.make(null);
  const { stdout: help, stderr, code } = await place.run("--help");
  assert.deepEqual([stderr, code], ["", 0]);
  assert.match(help, /^Example: {2}forkstack new alice\n/);
  for (const args of [[], ["help"], ["-h"]]) assert.equal((await place.run(...args)).stdout, help);
  const commands = Array.from(help.matchAll(/^(?: {14}|[A-Z]\w+ {2,})([a-z]+) .*$/gm), ([, name]) => name);
  for (const name of ["new", "switch", "delete", "list", "status"]) assert(commands.includes(name), name);
  for (const name of commands) {
    const { stdout, stderr, code } = await place.run(name, "--help");
    assert.deepEqual([stderr, code], ["", 0], name);
    assert(stdout.startsWith(`Example:  forkstack ${name}`), name);
    assert.match(stdout, name === "run" ? /There is no --json/ : /^ {2}--json /m);
    assert.equal((await place.run("help", name)).stdout, stdout);
  }
  assert.equal(
    await transcript(place, ["new", "-h"]).then((text) => text.split("\n\n")[1]),
    "new [name]: create an environment and switch to it.",
  );
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  for (const flag of ["--version", "-V", "version"]) assert.equal(await transcript(place, [flag]), `${version}\n=> 0`);
  assert.equal(await place.digest(), "");
});

Deno.test("commands are called as they were here: deno task and npx set variables", async () => {
  await using place = await Place.make();
  const prefix = async (env: Record<string, string>) => {
    const { stdout } = await run(place.root, ["new", "alice"], { env });
    return /; `(.*)switch dev` goes back\n$/.exec(stdout)?.[1];
  };
  const npx = { npm_lifecycle_event: "npx" }; // it may well have started Deno: `npx deno task envs:new`
  assert.equal(await prefix({ INIT_CWD: place.root }), IS_OTHER_PROGRAM ? "forkstack " : "deno task envs:");
  assert.match(await prefix(npx) ?? "", IS_OTHER_PROGRAM ? /^(npx )?forkstack $/ : /^forkstack $/); // a package's alone
});

Deno.test("nothing is coloured off a terminal, whatever the environment says", async () => {
  await using place = await Place.make();
  const env = { FORCE_COLOR: "1", CLICOLOR_FORCE: "1", TERM: "xterm-256color", COLORTERM: "truecolor" };
  for (const args of [["new", "alice"], ["list"], ["status"], ["nwe"], ["--help"], ["delete", "alice", "--yes"]]) {
    const { stdout, stderr } = await run(place.root, args, { env });
    // deno-lint-ignore no-control-regex -- that is what must not be there
    assert.doesNotMatch(stdout + stderr, /[\x00-\x08\x0b-\x1f\x7f]/, args.join(" "));
  }
});

Deno.test("Ctrl-C while waiting for another's work ends with 130 and leaves nothing behind", async () => {
  await using place = await Place.make();
  const registry = await openRegistry(await openProject(place.root, { init: false, catalog: CATALOG }), "create");
  const clock = {
    monotonicMs: () => performance.now(),
    sleep: (ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        signal?.addEventListener("abort", () => [clearTimeout(timer), resolve()]);
      }),
  };
  const options = { owner: "bob@laptop", signal: new AbortController().signal, clock };
  try {
    await withLock(registry, { env: "alice", purpose: "create" }, options, async () => {
      const before = await place.digest(/registry\.db|locks\//);
      for (const json of [[], ["--json"]]) {
        const ended = await run(place.root, ["new", "alice", ...json], {
          onStderr: (text, kill) => text.includes("Waiting") && !text.includes("Stopping") && kill("SIGINT"),
        });
        assert.equal(ended.code, 130, ended.stderr);
        assert.match(ended.stderr, /^Waiting: bob@laptop is working on this environment \(create\)\nStopping /);
        if (json.length === 0) assert.match(ended.stderr, /\nerror: Stopped.*\n {2}hint: /);
        else assert.equal(JSON.parse(ended.stdout).error.code, "INTERRUPTED");
      }
      assert.equal(await place.digest(/registry\.db|locks\//), before);
    });
  } finally {
    registry.close();
  }
  assert.equal((await place.run("new", "alice")).code, 0);
});
