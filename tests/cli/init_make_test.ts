/** `init` in projects of Make, Python, Go and others without tasks of their own: `make envs-new alice` works there. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { targetsIn } from "../../core/setup/make_tasks.ts";
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
  assert.equal(await place.read("Makefile"), "all:\n\ninclude envs.mk\n");
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
