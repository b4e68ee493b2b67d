/** The targets for Make hand on every word, or refuse it before anything runs; a program that shows its words is called. */
import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { INCLUDE, makeText } from "../../core/setup/make_tasks.ts";
import { testIf } from "../helpers.ts";
import { type Ended, Place, runCommand, whyNot } from "./run.ts";

const whyNoMake = await whyNot("make", "--version");

/** A place with our targets, and Make in it. */
async function makePlace(
  place: Place,
  makefile = "up:\n\t@echo up\n",
): Promise<(directory: string, ...args: string[]) => Promise<Ended>> {
  const targets = ["new", "run", "serve"].map((name) => ({
    name: `envs-${name}`,
    line: `shows ${name}`,
    summary: name,
  }));
  await place.write("envs.mk", makeText(targets, { hasHelp: false }));
  await place.write("Makefile", `${makefile}\n${INCLUDE}\n`);
  const bin = join(place.above, "bin");
  await mkdir(bin, { recursive: true });
  const script = `#!/bin/sh\nfor one; do printf '<%s>' "$one"; done; echo "$MAKEFLAGS"\n`;
  await writeFile(join(bin, "shows"), script, { mode: 0o755 });
  const env = { PATH: `${bin}:${process.env.PATH}` };
  return async (directory, ...args) => await runCommand(place.path(directory), ["make", ...args], { env });
}

/** Words for Make, and those that the program gets. */
const HELD: readonly (readonly [args: readonly string[], told: string])[] = [
  [["envs-new", "alice"], "<new><alice>"],
  [["--", "envs-new", "dave", "--from=test"], "<new><--from=test><dave>"],
  [
    ["--", "envs-new", "dave", "--note=a  b$x\\y'q", "--at=(c,d)#;%*\t", "-e=3\\"], // the blanks of MAKEOVERRIDES
    "<new><--note=a  b$x\\y'q><--at=(c,d)#;%*\t><-e=3\\><dave>",
  ],
  [["V=1", "envs-new", "alice"], "<new><alice>"],
  [[
    "--",
    "envs-run",
    "a",
    "--",
    "it's",
    "(x)",
    "p(1)",
    "!",
    "`id`",
    "b<c",
    "pg://u:p@h:1/d",
    "a:",
    "é",
    "define",
    "{a,b}",
  ], "<run><a><--><it's><(x)><p(1)><!><`id`><b<c><pg://u:p@h:1/d><a:><é><define><{a,b}>"],
  [["--", "envs-run", "alice", "--", "npm", "start"], "<run><alice><--><npm><start>"],
  [
    ["envs-run", `ARGS=a -- 'print(1);print(2)' --port=3 'a b' '#%*'`],
    "<run><a><--><print(1);print(2)><--port=3><a b><#%*>",
  ],
  [["twice", "V=1", "W=a b"], "<new><--from=y><x>\n<run><a><--><b=1>"], // what the upper Make was given is not ours
];

/** Words that Make can't hold, or takes. */
const REFUSED: readonly (readonly string[])[] = [
  ...["print(1);print(2)", "c*", "it%s", "a#b", "x?y", "[ab]", "a\\b", "a|b", "a&", 'q"r', "$(shell touch BAD)", "a\nb"]
    .map((word) => ["--", "envs-run", "a", "--", "echo", word, "z"]),
  ["--", "envs-run", "alice", "--", "npm", "run", "dev", "--port=3000"],
  ["--", "envs-run", "alice", "--", "env", "X=1", "true"],
  ["--", "envs-new", "x", "--set", "a.b=c"],
  ["envs-run", "ARGS=alice -- true", "V=1"],
  ["envs-new", "alice", "envs-run"],
  ["envs-run", "alice", ".PHONY"],
];

testIf(whyNoMake, "words reach the program as they were typed, options with = too", async () => {
  await using place = await Place.make(null);
  const twice = "MAKEOVERRIDES =\ntwice:\n\t@$(MAKE) -s --no-print-directory -- envs-new x --from=y V=1\n" +
    "\t@$(MAKE) -s --no-print-directory envs-run ARGS='a -- b=1'\n";
  const make = await makePlace(place, twice);
  for (const [args, told] of HELD) {
    const { stdout, stderr, code } = await make(".", ...args);
    assert.deepEqual([sorted(stdout.trimEnd()), stderr, code], [sorted(told), "", 0], args.join(" "));
  }
});

/** The order of options with `=` is Make's. */
function sorted(told: string): string {
  return told.includes("--note") ? told.split("><").map((one) => one.replaceAll(/^<|>$/g, "")).sort().join() : told;
}

testIf(whyNoMake, "a word that Make can't hold or takes is refused before anything runs", async () => {
  await using place = await Place.make(null);
  const make = await makePlace(place);
  const before = await place.digest();
  for (const args of REFUSED) {
    const { stdout, stderr, code } = await make(".", ...args);
    assert.deepEqual([stdout, code], ["", 2], args.join(" "));
    assert.match(stderr, /Make (cannot hand on|takes|has a target) .*make envs-(run|new) ARGS='alice /, args.join(" "));
  }
  assert.equal(await place.digest(), before);
});

testIf(
  whyNoMake,
  "the Makefile goes on working: with its own .RECIPEPREFIX, from elsewhere, without envs.mk",
  async () => {
    await using place = await Place.make(null);
    const make = await makePlace(place, ".RECIPEPREFIX = >\nup:\n>@echo up\n");
    await mkdir(place.path("a b/c"), { recursive: true });
    for (
      const [directory, ...options] of [["."], ["a b/c", "-f", "../../Makefile"], ["a b", "-C", ".."], [
        "a b",
        "-sf../Makefile",
      ]]
    ) {
      assert.equal((await make(directory!, ...options, "up")).stdout.includes("up\n"), true, directory);
      const made = await make(directory!, ...options, "--", "envs-new", "x", "--from=y");
      assert.match(made.stdout, /^<new><--from=y><x>$/m, made.stderr);
    }
    const help = await make(".", "help");
    assert.deepEqual(help.stdout.trim().split(/\s{2,}/), [
      "help",
      "list the targets",
      "envs-new",
      "new",
      "envs-run",
      "run",
      "envs-serve",
      "serve",
    ]);
    await place.write(
      "envs.mk",
      makeText([{ name: "envs-new", line: "not-there-at-all new", summary: "new" }], { hasHelp: true }),
    );
    const lacking = await make(".", "envs-new", "x");
    assert.match(lacking.stderr, /^error: not-there-at-all is not in PATH: it runs forkstack/);
    await rm(place.path("envs.mk"));
    assert.equal((await make(".", "up")).stdout, "up\n");
  },
);
