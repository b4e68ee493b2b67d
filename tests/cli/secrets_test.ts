/**
 * `secrets` on the command line: values are shown where they were asked for, and nowhere else.
 */
import assert from "node:assert/strict";
import { chmod, readdir } from "node:fs/promises";
import { join } from "node:path";
import { commandOf, type Ended, Place, run, runCommand } from "./run.ts";

const CANARY = "canary-0123456789";
const LIVE = `sk_live_${CANARY}`;
const PARENT = `# keys of the shop\nSTRIPE_LIVE_KEY='${LIVE}'\n\nSTRIPE_TEST_KEY='sk_test_${CANARY}' # not for sale\n` +
  `STRIPE_KEY='${LIVE}'\nLOG_LEVEL='warn'\nPEM='a\n${CANARY}\nb'\n`;

/** A shop whose dev has secrets; `shown` collects what every run printed. */
async function shop(secrets: object = {}) {
  const place = await Place.make({ secrets: { provider: "env-file", ...secrets }, database: { provider: "sqlite" } });
  await place.write(".forkstack/secrets/dev.env", PARENT);
  const shown: string[] = [];
  const seen = (ended: Ended) => {
    shown.push(ended.stdout + ended.stderr);
    return ended;
  };
  const ok = async (...args: string[]) => {
    const ended = seen(await place.run(...args));
    assert.equal(ended.code, 0, ended.stderr);
    return ended.stdout;
  };
  const secretsOf = (env: string) => place.read(`.forkstack/secrets/${env}.env`);
  return { place, ok, seen, shown, secretsOf, [Symbol.asyncDispose]: () => place[Symbol.asyncDispose]() };
}

Deno.test("secrets: exclude and override are applied before a fork is there, and again at its reset", async () => {
  await using at = await shop({
    exclude: ["*_LIVE_*"],
    override: { STRIPE_KEY: { from: "STRIPE_TEST_KEY" }, LOG_LEVEL: "debug", NEW: "x" },
  });
  const wanted = `# keys of the shop\n\nSTRIPE_TEST_KEY='sk_test_${CANARY}' # not for sale\n` +
    `STRIPE_KEY=sk_test_${CANARY}\nLOG_LEVEL=debug\nPEM='a\n${CANARY}\nb'\nNEW=x\n`;
  await at.ok("new", "alice");
  assert.equal(await at.secretsOf("alice"), wanted);
  await at.place.write(".forkstack/secrets/alice.env", "MINE='1'\n");
  await at.ok("reset", "alice", "--yes");
  assert.equal(await at.secretsOf("alice"), wanted);
  assert.equal(await at.secretsOf("dev"), PARENT);
  assert(!at.shown.join().includes(CANARY));
});

Deno.test("secrets: an override from a key that the parent has not makes nothing", async () => {
  await using at = await shop({ override: { A: { from: "NO_SUCH" } } });
  const { code, stderr } = await at.place.run("new", "alice");
  assert.equal(code, 4, stderr);
  assert.match(stderr, /"A" cannot be overridden \(the parent has no secret "NO_SUCH"\)/);
  assert.equal(await at.secretsOf("alice"), undefined);
  await at.ok("new", "bob", "--empty");
  assert.equal(await at.secretsOf("bob"), "");
});

Deno.test("secrets: list, get, set, unset, diff and copy", async () => {
  await using at = await shop();
  await at.ok("new", "alice");
  assert.equal(await at.ok("secrets", "list"), "LOG_LEVEL\nPEM\nSTRIPE_KEY\nSTRIPE_LIVE_KEY\nSTRIPE_TEST_KEY\n");
  const set = at.seen(await run(at.place.root, ["secrets", "set", "API_KEY"], { stdin: `new-${CANARY}\n` }));
  assert.deepEqual([set.code, set.stdout], [0, "Changed alice: set API_KEY\n"]);
  await at.ok("secrets", "unset", "STRIPE_LIVE_KEY");
  await run(at.place.root, ["secrets", "set", "LOG_LEVEL", "alice"], { stdin: `it's "\`${CANARY}\r\n\u0000#$ ` });
  assert.equal(
    await at.ok("secrets", "diff", "alice", "dev"),
    "only in alice: API_KEY\nonly in dev: STRIPE_LIVE_KEY\ndiffers: LOG_LEVEL\n3 are the same in alice and dev\n",
  );
  const diff = JSON.parse(await at.ok("secrets", "diff", "alice", "dev", "--json")).data;
  assert.deepEqual(diff, {
    environments: ["alice", "dev"],
    onlyIn: { alice: ["API_KEY"], dev: ["STRIPE_LIVE_KEY"] },
    different: ["LOG_LEVEL"],
    same: 3,
  });
  await at.ok("secrets", "list", "--json");
  await at.ok("secrets", "get", "API_KEY", "--json");
  await at.ok("secrets", "copy", "STRIPE_*", "dev", "alice");
  assert.match(await at.ok("secrets", "diff", "alice", "dev"), /^only in alice: API_KEY\ndiffers: LOG_LEVEL\n4 are/);
  for (const shown of [...at.shown, await at.place.read(".forkstack/registry.db")]) assert(!shown?.includes(CANARY));

  const { stdout: piped } = await at.place.run("secrets", "get", "LOG_LEVEL", "alice");
  assert.equal(piped, `it's "\`${CANARY}\r\n\u0000#$ \n`);
  assert.equal(JSON.parse(await at.ok("secrets", "get", "API_KEY", "--json", "--reveal")).data.value, `new-${CANARY}`);
  assert.match(await at.ok("secrets", "list", "dev", "--reveal"), /^LOG_LEVEL=warn\nPEM='a\n/);
  const modes = (await at.place.digest()).split("\n").filter((line) => /secrets\/\w+\.env /.test(line));
  assert.deepEqual(modes.map((line) => line.split(" ")[1]), ["600", "644"], "dev.env is as its maker left it");
});

Deno.test("secrets: what can't be is said well, and nothing changes", async () => {
  await using at = await shop();
  await at.ok("new", "alice");
  const before = await at.place.digest();
  const cases: [args: string[], stdin: string | undefined, code: number, says: RegExp][] = [
    [["lst"], undefined, 2, /unknown action; did you mean "list"/],
    [[], undefined, 2, /no action was named/],
    [["get"], undefined, 2, /it takes <key> \[env\]\n {2}hint: `forkstack secrets --help`/],
    [["edit"], undefined, 2, /no terminal for an editor\n {2}hint: .*`forkstack secrets --help`/],
    [["edit", "alice"], undefined, 2, /no terminal for an editor/],
    [["list", "a", "b"], undefined, 2, /it takes \[env\]/],
    [["get", "NO_SUCH"], undefined, 4, /environment "alice" has none/],
    [["unset", "NO_SUCH"], undefined, 4, /environment "alice" has none/],
    [["copy", "NO_*", "dev"], undefined, 4, /"NO_\*"/],
    [["list", "nobody"], undefined, 4, /nobody/],
    [["set", "a b"], "x", 2, /must be like "API_KEY"/],
    [["set", "A"], "", 2, /no value came on stdin/],
    [["set", "A", "dev"], CANARY, 2, /--yes/],
    [["list", "--resource", "app"], undefined, 2, /declares one without a name\n {2}hint: Leave --resource out/],
  ];
  for (const [args, stdin, code, says] of cases) {
    const ended = at.seen(await run(at.place.root, ["secrets", ...args], stdin === undefined ? {} : { stdin }));
    assert.equal(ended.code, code, ended.stderr);
    assert.match(ended.stderr, says);
  }
  assert.equal(await at.place.digest(), before);
  assert(!at.shown.join().includes(CANARY));
});

/** The command line with an editor, a shell script whose `$1` is the file. */
async function edit(place: Place, script: string, ...args: string[]): Promise<Ended> {
  await place.write("../editor.sh", `#!/bin/sh\n${script}\n`);
  const editor = join(place.above, "editor.sh");
  await chmod(editor, 0o700);
  const command = commandOf(["secrets", "edit", ...args], "--allow-run");
  return await runCommand(place.root, command, { env: { EDITOR: editor } });
}

Deno.test("secrets: edit opens a 0600 file in a 0700 directory, saves what changed, and leaves nothing", async () => {
  await using at = await shop();
  await at.ok("new", "alice");
  const look = join(at.place.above, "look");
  const ended = at.seen(
    await edit(
      at.place,
      `stat -c '%a' "$1" "$(dirname "$1")" > ${look}; cp "$1" ${look}.text; touch "$1.swp"
       sed -i -e "s/^LOG_LEVEL=.*/LOG_LEVEL='info'/" -e '/^STRIPE_LIVE/d' "$1"; echo "ADDED=${CANARY}" >> "$1"`,
    ),
  );
  assert.deepEqual([ended.code, ended.stdout], [0, "Changed alice: set ADDED, LOG_LEVEL; unset STRIPE_LIVE_KEY\n"]);
  assert.equal(await at.place.read("../look"), "600\n700\n");
  assert.match((await at.place.read("../look.text"))!, new RegExp(`STRIPE_LIVE_KEY=${LIVE}`));
  assert.equal(
    await at.secretsOf("alice"),
    PARENT.replace(`STRIPE_LIVE_KEY='${LIVE}'\n`, "").replace("'warn'", "info") + `ADDED=${CANARY}\n`,
  );
  const failures: [script: string, says: RegExp][] = [
    ["exit 3", /ended with 3/],
    ["kill -TERM $PPID; sleep 0.2; exit 1", /ended with|Stopping/],
    ["kill -HUP $PPID; sleep 0.2; exit 1", /^/],
    ["kill -TERM $PPID; sleep 0.1; kill -TERM $PPID; sleep 0.2; exit 1", /Stopping/],
    ['echo "API KEY = x" >> "$1"', /a line is not KEY=value/],
    ['echo "A.B=1" >> "$1"', /must be like "API_KEY"/],
  ];
  const text = await at.secretsOf("alice");
  for (const [script, says] of failures) {
    const failed = at.seen(await edit(at.place, script));
    assert.notEqual(failed.code, 0);
    assert.match(failed.stderr, says);
    assert.deepEqual(await readdir(at.place.path(".forkstack/edit")), []);
  }
  assert.equal(await at.secretsOf("alice"), text);
  assert(!at.shown.join().includes(CANARY));
});

Deno.test("secrets: an edit that was killed is swept by the next; a change meanwhile is not overwritten", async () => {
  await using at = await shop();
  await at.ok("new", "alice");
  await edit(at.place, "kill -KILL $PPID; sleep 0.1");
  assert.equal((await readdir(at.place.path(".forkstack/edit"))).length, 1);
  const file = at.place.path(".forkstack/secrets/alice.env");
  const raced = at.seen(await edit(at.place, `echo "RACED='1'" >> ${file}; echo "RACED='2'" >> "$1"`));
  assert.equal(raced.code, 5, raced.stderr);
  assert.match(raced.stderr, /Cannot save RACED: someone else changed it/);
  assert.deepEqual(await readdir(at.place.path(".forkstack/edit")), []);
});
