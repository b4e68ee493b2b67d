/** What a person at a terminal is asked, and how it looks there. */
import assert from "node:assert/strict";
import { commandOf, Place } from "./run.ts";
import { onTerminal, type Shown, type Step, terminalTest } from "./terminal.ts";

async function typed(
  place: Place,
  args: string[],
  steps: Step[],
  options?: Parameters<typeof onTerminal>[3],
): Promise<Shown> {
  return await onTerminal(place.root, commandOf(args), steps, options);
}

terminalTest("delete asks on a terminal, and does what it is told", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  const until = "Delete alice with database";
  const before = await place.digest();
  for (const type of ["n", "\r", "\x03", "\x1b"]) {
    const { code, shown } = await typed(place, ["delete", "alice"], [{ until, type }]);
    assert.equal(code, 130, shown);
    assert.match(shown, /nothing was changed/);
    assert.equal(await place.digest(), before, JSON.stringify(type));
  }
  const { code, shown } = await typed(place, ["delete", "alice"], [{ until, type: "y" }]);
  assert.equal(code, 0, shown);
  assert.match(shown, /Deleted .*alice.*: 4 resources/);
  assert.equal((await place.run("status", "alice")).code, 4);
});

terminalTest("delete asks in whole lines on a terminal that does not say how wide it is", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  const steps = [{ until: "This directory is on alice and will then be on dev. Delete alice", type: "n" }]; // whole, though the question has two lines
  assert.equal((await typed(place, ["delete", "alice"], steps, { columns: 0 })).code, 130);
});

terminalTest("on a terminal --yes is not asked, and --json never asks", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  const json = await typed(place, ["delete", "alice", "--json"], []);
  assert.deepEqual([json.code, JSON.parse(json.shown).error.code], [2, "CONFIRM_REQUIRED"]);
  const { code, shown } = await typed(place, ["delete", "alice", "--yes"], []);
  assert.equal(code, 0, shown);
  assert.doesNotMatch(shown, /\?/);
});

terminalTest("a terminal has colours, unless NO_COLOR or --no-color says otherwise", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  // deno-lint-ignore no-control-regex -- the escape is what is looked for
  const coloured = /\x1b\[\d+m/;
  const shown = async (args: string[], env?: Record<string, string>) => (await typed(place, args, [], { env })).shown;
  assert.match(await shown(["list"]), coloured);
  assert.match(await shown(["list"], { NO_COLOR: "" }), coloured, "empty counts as unset");
  assert.doesNotMatch(await shown(["list"], { NO_COLOR: "1" }), coloured);
  assert.doesNotMatch(await shown(["list", "--no-color"]), coloured);
  assert.doesNotMatch(await shown(["nwe", "--no-color"]), coloured);
});

terminalTest("on a terminal init asks, with what is there as the answer", async () => {
  await using place = await Place.make(null);
  await place.write("package.json", '{ "name": "@acme/web", "dependencies": { "@neondatabase/serverless": "1" } }\n');
  const { shown, code } = await typed(place, ["init"], [
    { until: "What is the project called", type: "\r" },
    { until: "Which stack", type: "\r" }, // Neon, as the package tells
    { until: "Neon: the id of the project", type: "Not An Id\r" },
    { until: "must be an id like", type: "\x7f".repeat(9) + "late-frost-12345\r" },
    { until: "S3: the region", type: "\r" },
    { until: "Vault: where it is", type: "\r" },
    { until: "Write .gitignore, forkstack.json, package.json\\?", type: "\r" },
  ]);
  assert.equal(code, 0, shown);
  const { $schema: _, ...config } = JSON.parse((await place.read("forkstack.json"))!);
  assert.deepEqual(config, {
    project: "web",
    database: { provider: "neon", projectId: "late-frost-12345" },
    storage: { provider: "s3", region: "us-east-1" },
    secrets: { provider: "vault", endpoint: "http://127.0.0.1:8200" },
  });
  assert.match((await place.read("package.json"))!, /"envs:new": /);
});

terminalTest("on a terminal Ctrl-C in any question leaves nothing", async () => {
  const steps: Step[] = [
    { until: "What is the project called", type: "\x7f".repeat(4) + "wine\r" },
    { until: "Which stack", type: "\x1b[B\r" },
    { until: "Turso: the organization", type: "acme\r" },
    { until: "Doppler: the project", type: "\r" },
    { until: "Write .gitignore, forkstack.json", type: "y" },
  ];
  await using place = await Place.make(null);
  const before = await place.digest();
  for (let at = 0; at < steps.length; at++) {
    for (const key of at === 0 ? ["\x03", "\x1b"] : ["\x03"]) {
      const { shown, code } = await typed(place, ["init"], [...steps.slice(0, at), { ...steps[at]!, type: key }]);
      assert.equal(code, 130, shown);
      assert.match(shown, /nothing was changed/);
      assert.equal(await place.digest(), before, `after ${steps[at]!.until}`);
    }
  }
  const { shown, code } = await typed(place, ["init"], steps);
  assert.equal(code, 0, shown);
  const { project, database } = JSON.parse((await place.read("forkstack.json"))!);
  assert.deepEqual([project, database], ["wine", { provider: "turso", organization: "acme" }]);
});

terminalTest("on a terminal only what is not given is asked, and nothing with --yes or --json", async () => {
  await using place = await Place.make(null);
  const given = ["--project", "shop", "--stack", "turso", "--set", "database.organization=acme"];
  const refusal = await typed(place, ["init", ...given], [{ until: "Write .gitignore", type: "n" }]);
  assert.equal(refusal.code, 130, refusal.shown);
  assert.doesNotMatch(refusal.shown, /Which stack|called|Turso:/);
  assert.equal(await place.read("forkstack.json"), undefined);
  const json = await typed(place, ["init", "--stack", "turso", "--json"], []);
  assert.equal(JSON.parse(json.shown).error.code, "USAGE");
  const yes = await typed(place, ["init", "--yes"], []);
  assert.equal(yes.code, 0, yes.shown);
  assert.doesNotMatch(yes.shown, /\?/);
  const again = await typed(place, ["init"], []);
  assert.match(again.shown, /shop.* is already set up/);
});

terminalTest("no command has Deno ask for a permission on a terminal", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  for (const line of ["list", "status", "doctor", "doctor --deep", "env", "url", "switch dev", "switch alice"]) {
    const { code, shown } = await typed(place, line.split(" "), []); // a question is never answered
    assert.doesNotMatch(shown, /Deno requests/, line);
    assert.equal(code, 0, `${line}: ${shown}`);
  }
});
