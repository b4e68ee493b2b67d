/** `init` and `new` add to files of a person's in any encoding: each byte that was there stays, or nothing is written. */
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { bytesOfText, textOfBytes } from "../../core/workspace/env_block.ts";
import { Place, repository, run } from "./run.ts";

const utf16 = (text: string) => bytesOfText("\xFF\xFE" + text.replace(/./gs, "$&\0"));

/** Reads a file, one character a byte. */
async function bytesIn(place: Place, name: string): Promise<string> {
  return textOfBytes(await readFile(place.path(name)));
}

/** Texts of lines, one character a byte: Latin-1, Shift JIS, GB 18030, UTF-8 with its mark, a lone byte at the end. */
const TEXTS = [
  "# caf\xE9\nbuild-\xE9/\n",
  "\x83\x65\x83\x58\x83\x67/\r\nout/\r\n",
  "\xB2\xE2\xCA\xD4.txt",
  "\xEF\xBB\xBF# \xC3\xBC\r\n",
  "a\n\xFF",
];

for (const text of TEXTS) {
  Deno.test(`init keeps the bytes of .gitignore, .dockerignore and Makefile: ${JSON.stringify(text)}`, async () => {
    await using place = await Place.make(null);
    await place.git("init", "-q");
    const names = [".gitignore", ".dockerignore", "Makefile"];
    for (const name of names) await place.write(name, bytesOfText(text));
    await place.write("go.mod", "module example.com/shop\n");
    await place.ok("init", "--yes");
    const end = text.includes("\r\n") ? "\r\n" : "\n";
    const whole = text.endsWith("\n") ? text : text + end;
    for (const name of names) {
      const now = await bytesIn(place, name);
      assert(now.startsWith(whole) && now.length > whole.length, `${name}: ${JSON.stringify(now)}`);
      assert.equal(
        now.slice(whole.length).replaceAll(end, "").match(/[\r\n]/),
        null,
        `${name}: ${JSON.stringify(now)}`,
      );
    }
    const before = await place.digest();
    await place.ok("init", "--yes");
    assert.equal(await place.digest(), before, "a second run changed something");
  });
}

Deno.test("new keeps the bytes of .gitignore, of a project that no init has set up", async () => {
  await using place = await Place.make({ local: { provider: "directory" } });
  await place.git("init", "-q");
  await place.write(".git/info/exclude", "!/x\n"); // so that .gitignore gets the lines
  await place.write(".gitignore", bytesOfText("# na\xEFve\n"));
  await place.ok("new", "alice");
  assert((await bytesIn(place, ".gitignore")).startsWith("# na\xEFve\n/"));
});

Deno.test("init refuses UTF-16 and JSON that is not UTF-8 with the file's name, and writes nothing", async () => {
  const files: [name: string, content: Uint8Array, said: RegExp][] = [
    [".gitignore", utf16("build/\r\n"), /\.gitignore.* UTF-8/],
    [".dockerignore", bytesOfText("\xFE\xFF\0b\0u"), /\.dockerignore.* UTF-8/],
    ["Makefile", utf16("all:\n"), /Makefile.* UTF-8/],
    ["GNUmakefile", bytesOfText("\0a\0l\0l\0:"), /GNUmakefile.* UTF-8/],
    ["package.json", bytesOfText('{"author": "Jos\xE9"}'), /package\.json: it must be text in UTF-8/],
    ["deno.json", bytesOfText('{"name": "\x83\x65"}'), /deno\.json: it must be text in UTF-8/],
    ["deno.jsonc", utf16("{}"), /deno\.jsonc: it must be text in UTF-8/],
  ];
  for (const [name, content, said] of files) {
    await using place = await Place.make(null);
    await place.git("init", "-q");
    await place.write(name, content);
    if (/makefile/i.test(name)) await place.write("go.mod", "module example.com/shop\n");
    const before = await place.digest();
    const { code, stderr } = await run(place.root, ["init", "--yes"]);
    assert.equal(code, 2, `${name}: ${stderr}`);
    assert.match(stderr, said);
    assert.equal(await place.digest(), before, name);
  }
});

Deno.test("init keeps the mark and the line ends of a manifest in UTF-8", async () => {
  for (const name of ["package.json", "deno.json"]) {
    await using place = await Place.make(null);
    await place.git("init", "-q");
    await place.write(name, '\uFEFF{\r\n\t"description": "日本 é"\r\n}\r\n');
    await place.ok("init", "--yes");
    const now = (await bytesIn(place, name)).replace(/^\xEF\xBB\xBF/, "mark ");
    assert(now.startsWith('mark {\r\n\t"description": "'), now);
    assert.equal(now.replaceAll("\r\n", "").match(/\n/), null, now);
    assert.match((await place.read(name))!, /"日本 é",\r\n\t"(scripts|tasks)"[^]*envs:new/);
  }
});

Deno.test("git's exclude file has the lines of a project below a directory with letters beyond ASCII, once", async () => {
  for (const below of ["café/", "日本/"]) {
    await using place = await repository(below);
    await mkdir(place.path(".git/info"), { recursive: true });
    await place.write(".git/info/exclude", bytesOfText("# caf\xE9\n"));
    for (const env of ["alice", "bob"]) {
      const { code, stderr } = await run(place.path(below), ["new", env]);
      assert.equal(code, 0, stderr);
    }
    const now = await bytesIn(place, ".git/info/exclude");
    assert(now.startsWith("# caf\xE9\n"), now);
    const line = `/${below}.forkstack/`;
    assert.equal((await place.read(".git/info/exclude"))!.split("\n").filter((one) => one === line).length, 1, now);
  }
});

Deno.test("new leaves an exclude file in UTF-16 alone, and refuses a .gitignore in UTF-16 before anything is made", async () => {
  await using place = await repository();
  const exclude = utf16("*.log\r\n");
  await place.write(".git/info/exclude", exclude);
  await place.ok("new", "alice");
  assert.equal(await bytesIn(place, ".git/info/exclude"), textOfBytes(exclude));
  await place.write(".gitignore", utf16("/.env*\r\n"));
  const { code, stderr } = await run(place.root, ["new", "bob"]);
  assert.equal(code, 2, stderr);
  assert.match(stderr, /\.gitignore/);
  assert.equal(await place.read(".forkstack/envs/bob.env"), undefined);
});
