/** `init --template`: a new project from an example, which stands alone and has a name of its own. */
import assert from "node:assert/strict";
import { mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { TEMPLATES } from "../../core/setup/template_names.ts";
import { refused } from "./refused.ts";
import { Place, run } from "./run.ts";

for (const name of Object.keys(TEMPLATES)) {
  Deno.test(`init --template ${name}: a project that stands alone, and new forks it`, async () => {
    await using place = await Place.make(null);
    const before = await place.digest();
    const dry = await place.json("init", "--template", name, "--dry-run");
    assert.equal(await place.digest(), before, "a dry run changed something");
    await place.ok("init", "--template", name);
    const config = JSON.parse((await place.read("forkstack.json"))!);
    assert.equal(config.project, "shop");
    for (const { name: path } of dry.data.files) {
      const text = (await place.read(path))!;
      assert.notEqual(text, undefined, path);
      assert.doesNotMatch(text, /(from "|\]\()\.\.\/\.\.\/(?!.*mod\.ts")|cd examples|notes\.\*\.db/, path);
    }
    assert.match((await place.read("README.md"))!, /^# /);
    const after = await place.digest();
    assert.match((await place.ok("init")).stdout, /already set up/);
    assert.equal(await place.digest(), after);
    if (config.database === undefined) await place.ok("new", "alice");
  });
}

Deno.test("a template takes no file's place, and begins nothing inside of a project", async () => {
  const there: readonly ((place: Place) => Promise<unknown>)[] = [
    (place) => place.write("main.py", "mine\n"),
    (place) => mkdir(place.path("models.py")),
    (place) => symlink("/tmp", place.path("migrations")),
    (place) => symlink("nowhere", place.path("README.md")),
  ];
  for (const make of there) {
    await using place = await Place.make(null);
    await make(place);
    const says = /Cannot begin from template "python" in ".*": \S+ is there/;
    await refused(place, ["init", "--template", "python"], { code: 5, error: "CONFLICT", says, hint: /new directory/ });
  }
  await using place = await Place.make({});
  await mkdir(place.path("below"));
  const { code, stderr } = await run(place.path("below"), ["init", "--template", "go"]);
  assert.equal(code, 5);
  assert.match(stderr, /Cannot begin a project in ".*below": it is inside of "/);
  assert.deepEqual(await readdir(join(place.root, "below")), []);
});

Deno.test("a template that there is none of is named, with what was meant", async () => {
  for (
    const [name, says] of [["pyton", /did you mean "python"\?/], ["constructor", /no such template/], [
      "../x",
      /no such template/,
    ]] as const
  ) {
    await using place = await Place.make(null);
    await refused(place, ["init", "--template", name], {
      code: 2,
      error: "USAGE",
      says,
      hint: /^The templates: django, go, /,
    });
  }
});

Deno.test("a template gets the name that is told", async () => {
  await using place = await Place.make(null);
  await place.ok("init", "--template", "go", "--project", "cellar");
  assert.equal(JSON.parse((await place.read("forkstack.json"))!).project, "cellar");
});
