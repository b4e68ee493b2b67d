/** `init` in projects of Make, Python, Go and others without tasks of their own: `make envs-new alice` works there. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { INCLUDE, targetsIn } from "../../core/setup/make_tasks.ts";
import { commandLine, localHint } from "../../core/cli/style.ts";
import { testIf } from "../helpers.ts";
import { type Ended, INSTALLED, Place, runCommand, whyNot } from "./run.ts";

const whyNoMake = await whyNot("make", "--version");

/** Makefiles that are there; `null`: none. */
const PROJECTS: Readonly<Record<string, { readonly files: Record<string, string>; readonly isHelpTheirs?: true }>> = {
  "Go, without a Makefile": { files: { "go.mod": "module example.com/shop\n" } },
  "Python, with its own help": {
    files: {
      "pyproject.toml": '[project]\nname = "shop"\n',
      Makefile: ".PHONY: help test\nhelp: ## what there is\n\t@grep -h '##' $(MAKEFILE_LIST)\ntest:\n\tpytest",
    },
    isHelpTheirs: true,
  },
  "Django, in requirements.txt": { files: { "manage.py": "import django\n", "requirements.txt": "Django\n" } },
  "C, with a GNUmakefile": {
    files: { GNUmakefile: "app: app.c\n\tcc -o app app.c\n", Makefile: "old:\n" },
  },
};

async function inPlace(place: Place): Promise<(...command: string[]) => Promise<Ended>> {
  const bin = join(place.above, "bin");
  await mkdir(bin);
  await writeFile(join(bin, "deno"), `#!/bin/sh\nexec "${process.execPath}" "$@"\n`, { mode: 0o755 });
  const env = { PATH: [bin, INSTALLED, process.env.PATH].join(":") };
  return async (...command) => await runCommand(place.root, command, { env });
}

for (const [what, { files, isHelpTheirs }] of Object.entries(PROJECTS)) {
  testIf(whyNoMake, `make envs-new alice: ${what}`, async () => {
    await using place = await Place.make(null);
    await place.git("init", "-q");
    for (const [name, text] of Object.entries(files)) await place.write(name, text);
    const { data } = await place.json("init");
    assert.deepEqual(data.next, ["make envs-new alice"]);
    assert.equal(await place.read("deno.json"), undefined);
    const before = await place.digest();
    assert.match((await place.ok("init")).stdout, /already set up/);
    assert.equal(await place.digest(), before, "a second run changed something");
    for (const [name, text] of Object.entries(files)) assert((await place.read(name))!.startsWith(text), name);

    const make = await inPlace(place);
    await mkdir(place.path("alice")); // a file of that name is not what is meant
    const made = await make("make", "envs-new", "alice");
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stdout, /alice is ready: .*`make envs-switch dev`/s);
    const ran = await make("make", "--", "envs-run", "alice", "--", "printenv", "FORKSTACK_ENV");
    assert.equal(ran.stdout, "alice\n", ran.stderr);
    const args = await make("make", "envs-run", `ARGS=alice -- sh -c 'echo "it is $$FORKSTACK_ENV"'`);
    assert.equal(args.stdout, "it is alice\n", args.stderr);
    const gone = await make("make", "--", "envs-delete", "alice", "--yes");
    assert.match(gone.stdout, /Deleted alice/, gone.stderr);
    const typed = await make("make", "envs-run", "--", "python", "manage.py", "shell"); // Make takes this --
    assert.match(typed.stderr, /Write it after --, as in `make -- envs-run alice -- npm start`/);
    const unknown = await make("make", "envs-switch", "nobody");
    assert.notEqual(unknown.code, 0);
    assert.match(unknown.stderr, /`make envs-list`|`make envs-new nobody`/);

    const help = await make("make", "help");
    assert.match(help.stdout, /envs-new/);
    assert.equal(help.stdout.includes("what there is"), isHelpTheirs === true);
    assert.doesNotMatch(help.stderr, /overriding|ignoring/);
  });
}

testIf(whyNoMake, "an environment named like a target of the Makefile: by ARGS", async () => {
  await using place = await Place.make(null);
  await place.write("Makefile", "test: app\n\tfalse\n");
  await place.ok("init");
  const made = await (await inPlace(place))("make", "envs-new", "ARGS=test");
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stdout, /test is ready/);
});

testIf(whyNoMake, "help and hints name lines that Make takes", async () => {
  await using place = await Place.make(null);
  await place.write("go.mod", "module shop\n");
  await place.ok("init");
  const make = await inPlace(place);
  assert.equal((await make("make", "--", "envs-new", "dave", "--from=dev")).code, 0);
  const page = await make("make", "--", "envs-run", "--help");
  assert.match(page.stdout, /Usage:\n {2}make -- envs-run \[env\] .*-- …/s, page.stderr);
  const short = await make("make", "--", "envs-delete", "-h");
  assert.match(short.stdout, /Example: {2}make -- envs-delete alice --yes\n[^]*More: make -- envs-delete --help/);
  const asked = await make("make", "envs-delete", "dave");
  assert.match(asked.stderr, /Pass --yes .*\(`make -- envs-… --yes`\)/);
});

Deno.test("commandLine() for Make: options after --, and what Make can't hold in ARGS", () => {
  const lines: readonly (readonly [string, string])[] = [
    ["new alice", "make envs-new alice"],
    ["delete alice --yes", "make -- envs-delete alice --yes"],
    ["run alice -- npm start", "make -- envs-run alice -- npm start"],
    ['import dev "./my data.db"', `make envs-import ARGS='dev "./my data.db"'`],
    ['import dev "it\'s \\$5.db"', `make envs-import ARGS='dev "it'\\''s \\$$5.db"'`],
    ["run alice -- npm run dev --port=3000", "make envs-run ARGS='alice -- npm run dev --port=3000'"],
    ["run alice -- ./gradlew run", "make envs-run ARGS='alice -- ./gradlew run'"],
    ["import dev ./prisma/dev.db", "make envs-import dev ./prisma/dev.db"],
  ];
  for (const [line, told] of lines) assert.equal(commandLine(line, { command: "make envs-" }), told);
  const style = { command: "make envs-" };
  assert.equal(localHint("`forkstack prune --yes` ends it", style), "`make -- envs-prune --yes` ends it");
  assert.equal(localHint("Pass --replace to go on", style), "Pass --replace to go on (`make -- envs-… --replace`)");
  assert.equal(localHint("Pass --replace to go on", { command: "forkstack " }), "Pass --replace to go on");
});

/** Makefiles whose `help` stands in another file, or may. */
const INCLUDING: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "by a pattern": { Makefile: "include mk/*.mk\n", "mk/base.mk": "help:\n\t@echo theirs\nenvs-new: ; @echo theirs\n" },
  "by wildcard, and a second file": {
    Makefile: "all:\n-include $(wildcard tools/*.make) \\\n  absent.mk # and more\n",
    "tools/a.make": "sinclude other.mk",
    "other.mk": "ifndef X\n  help test:\n\t@echo theirs\nendif\nenvs-new:\n\t@echo theirs\n",
  },
  "by a pattern that is not followed": {
    Makefile: "include */x.mk\nenvs-new: ; @echo theirs\n",
    "mk/x.mk": "help:\n\t@echo theirs\n",
  },
  "by a variable": {
    Makefile: "DIR := mk\nenvs-new: ; @echo theirs\ninclude $(DIR)/x.mk\n",
    "mk/x.mk": "help:\n\t@echo theirs\n",
  },
};

for (const [what, files] of Object.entries(INCLUDING)) {
  testIf(whyNoMake, `targets of an included file stay: ${what}`, async () => {
    await using place = await Place.make(null);
    for (const [name, text] of Object.entries(files)) await place.write(name, text);
    const { data } = await place.json("init");
    assert.deepEqual(data.kept, ["envs-new"]);
    const make = await inPlace(place);
    for (const target of ["help", "envs-new"]) {
      const { stdout, stderr } = await make("make", target);
      assert.deepEqual([stdout, stderr], ["theirs\n", ""], target);
    }
    const listed = await make("make", "envs-list"); // beside the Makefile, not beside what it included last
    assert.equal(listed.code, 0, listed.stderr);
  });
}

Deno.test("a target of the Makefile's own that has our name stays, and so does a file envs.mk", async () => {
  await using place = await Place.make(null);
  await place.write("Makefile", "envs-new envs-list:\n\t@echo mine\n");
  const { data } = await place.json("init");
  assert.deepEqual(data.kept, ["envs-new", "envs-list"]);
  const ours = (await place.read("envs.mk"))!;
  assert(!targetsIn(ours).has("envs-new") && targetsIn(ours).has("envs-switch"));
  await place.write("envs.mk", "# mine\n");
  assert.deepEqual((await place.json("init")).data.kept, ["envs.mk", "envs-new", "envs-list"]);
  assert.equal(await place.read("envs.mk"), "# mine\n");
});

Deno.test("a Makefile beside a package.json gets the targets too; one that can't be a person's stays as it is", async () => {
  await using place = await Place.make(null);
  await place.write("package.json", "{}\n");
  await place.write("Makefile", "all:\n");
  assert.deepEqual((await place.json("init")).data.next, ["npm run envs:new alice"]);
  assert.equal(await place.read("Makefile"), `all:\n\n${INCLUDE}\n`);
  await using large = await Place.make(null);
  const text = `all:\n${"# filler\n".repeat(40_000)}`;
  await large.write("go.mod", "module shop\n");
  await large.write("Makefile", text);
  await large.ok("init");
  assert.equal(await large.read("Makefile"), text);
});

Deno.test("targetsIn() finds targets, and neither variables nor recipes", () => {
  const text = "A := x\nB::=y\nfirst second: third\n\trecipe: not\nlast::\n.PHONY: first\n# no: comment\n$(X): y\n";
  assert.deepEqual([...targetsIn(text)], ["first", "second", "last", ".PHONY"]);
});
