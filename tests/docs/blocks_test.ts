/** Each code block of README and docs is run or checked, as `deno task blocks` lists them, or says why not. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { load as readYaml } from "npm:js-yaml@5.5.0";
import { parseConfig } from "../../core/project/schema.ts";
import { CATALOG } from "../../providers/mod.ts";
import { allBlocks, type Block, blocksOf, treatmentOf } from "../../tools/docs/blocks.ts";
import { SIZE } from "../sizes.ts";
import { normalized, Place, runCommand } from "../cli/run.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BLOCKS = allBlocks();
const kindOf = (block: Block) => treatmentOf(block)?.kind;
const placeOf = ({ page, line }: Block) => `${page}:${line}`;

Deno.test("each code block says what becomes of it", () => {
  assert.deepEqual(BLOCKS.filter((block) => treatmentOf(block) === undefined).map(placeOf), []);
  assert(BLOCKS.length > 60, `${BLOCKS.length} blocks`);
});

Deno.test("a block without a way is found, and each note is read", () => {
  const page = [
    ...["# A", "", "<!-- not run: it is a drawing -->", "", "```text", "A --> B", "```", ""],
    ...["Text.", "", "```text", "C", "```", "", "    forkstack list", "", "    forkstack status", ""],
    ...["<!-- first: forkstack", "new alice -->", "<!-- run by: tests/a.ts -->", "", "```sh", "x", "```"],
  ].join("\n");
  const blocks = blocksOf("a.md", page);
  assert.deepEqual(blocks.map(kindOf), ["not run", undefined, "run", "elsewhere"]);
  assert.deepEqual(blocks.map(({ line }) => line), [6, 12, 15, 24]);
  assert.equal(blocks[2]!.code, "forkstack list\n\nforkstack status");
  assert.equal(blocks[3]!.notes.get("first"), "forkstack\nnew alice");
  for (const note of ["<!-- not run -->", "<!-- not run: -->", "<!-- generated: x -->", ""]) {
    assert.equal(kindOf(blocksOf("a.md", `${note}\n\n\`\`\`text\nx\n\`\`\`\n`)[0]!), undefined, note);
  }
});

Deno.test("the file that runs a block is there and names the page", () => {
  for (const block of BLOCKS.filter((one) => kindOf(one) === "elsewhere")) {
    const file = treatmentOf(block)!.about;
    assert(existsSync(join(ROOT, file)), `${placeOf(block)}: there is no ${file}`);
    const text = readFileSync(join(ROOT, file), "utf8");
    const names = [block.page.replace(/\.md$/, ""), `${dirname(block.page)}/`];
    assert(names.some((name) => name !== "./" && text.includes(name)), placeOf(block));
  }
});

for (const block of BLOCKS.filter((one) => kindOf(one) === "config")) {
  Deno.test(`${placeOf(block)}: it is a forkstack.json, or a part of one`, async () => {
    const text = JSON.stringify({ project: "shop", ...JSON.parse(block.code) });
    await parseConfig("forkstack.json", text, CATALOG);
  });
}

Deno.test("what is JSON or YAML can be read", () => {
  for (const block of BLOCKS) {
    const text = block.code.startsWith('"') ? `{${block.code}}` : block.code; // a field of a document
    if (kindOf(block) === "json") assert.doesNotThrow(() => JSON.parse(text), placeOf(block));
    if (kindOf(block) === "yaml") assert.doesNotThrow(() => readYaml(block.code), placeOf(block));
  }
});

/** Questions are answered with yes: there is no terminal. What follows is a line of the shell for each block. */
const PRELUDE = `set -euo pipefail
forkstack() {
  case " $* " in *" -- "* | " connect "* | " completions "* | *"--yes"*) command forkstack "$@" ;; *) command forkstack "$@" --yes ;; esac
}
`;

/** Programs of others that stand in lines of the pages: each needs the environment's variables, and is told to be there. */
const STANDING_IN = ["npx", "pbcopy", "pytest", "uvicorn"];

const STAND_IN = `#!/bin/sh
[ "\${0##*/}" = pbcopy ] && exec cat >/dev/null
: "\${FORKSTACK_ENV:?}" "\${DATABASE_URL:?}"
`;

/** The project in which the blocks of a page are run: of npm and of git, without forkstack. */
async function projectOf(): Promise<Place> {
  const place = await Place.make(null);
  const scripts = Object.fromEntries(["start", "test", "seed"].map((name) => [name, 'test -n "$DATABASE_URL"']));
  await place.write("package.json", JSON.stringify({ name: "shop", private: true, scripts }));
  for (const name of STANDING_IN) await place.write(`../bin/${name}`, STAND_IN);
  await Deno.symlink(ROOT, place.path("..", "forkstack")); // the clone beside the project
  await place.git("init", "-q", "-b", "main");
  await place.git("add", ".");
  await place.git("commit", "-qm", "begin");
  await Promise.all(STANDING_IN.map((name) => Deno.chmod(place.path("..", "bin", name), 0o755)));
  return place;
}

const LOCK = JSON.parse(readFileSync(join(ROOT, "dev.lock"), "utf8")) as {
  readonly specifiers: Record<string, string>;
};

/** A program's imports, where this clone has them. */
function linked(code: string): string {
  return code.replace(/(from "|import\(")([^"]+)"/g, (whole, before, name) => {
    if (/^(\.\/|<forkstack>\/)/.test(name)) {
      return `${before}${pathToFileURL(join(ROOT, name.replace(/^(\.|<forkstack>)\//, "")))}"`;
    }
    const key = Object.keys(LOCK.specifiers).find((one) => one.startsWith(`npm:${name}@`));
    return key === undefined ? whole : `${before}${key}"`;
  });
}

/** The command that runs a block, which may need a file of the project. */
async function commandOf({ language, code, notes }: Block, place: Place): Promise<string[]> {
  const bash = (text: string) => ["bash", "-c", `${PRELUDE}${notes.get("first") ?? ""}\n${text}`];
  if (language === "sh") return bash(code);
  const name = language === "ts" ? "block.ts" : "block.py";
  await place.write(name, language === "ts" ? linked(code) : code);
  // The AWS SDK's types take longer than all else.
  const check = SIZE === "full" ? "--check" : "--no-check";
  const program = language === "ts"
    ? `"${Deno.execPath()}" run -q ${check} -A --no-config --no-lock`
    : `PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="${join(ROOT, "languages/python/src")}:\${PYTHONPATH:-}" python3`;
  return bash(`forkstack run -- sh -c '${program} ${name}'`);
}

/** The content of a text: the data of JSON, else the lines without what differs each time. */
function shownIn(text: string, { language }: Block, place: Place): unknown {
  return language === "json" ? JSON.parse(text) : normalized(text, place).trim();
}

for (const [page, all] of Map.groupBy(BLOCKS, ({ page }) => page)) {
  const blocks = all.filter((block) => ["run", "printed"].includes(kindOf(block)!));
  if (blocks.length === 0) continue;
  Deno.test(`${page}: its code does what it says, in order`, async () => {
    await using place = await projectOf();
    let printed = "";
    for (const block of blocks) {
      const env = { PATH: `${place.path("..", "bin")}:${join(ROOT, "tests/cli/path")}:${Deno.env.get("PATH")}` };
      const first = block.notes.get("first");
      if (kindOf(block) === "printed") {
        if (first !== undefined) printed = (await runCommand(place.root, ["bash", "-c", first], { env })).stdout;
        assert.deepEqual(shownIn(block.code, block, place), shownIn(printed, block, place), placeOf(block));
      } else {
        const { code, stdout, stderr } = await runCommand(place.root, await commandOf(block, place), { env });
        assert.equal(code, 0, `${placeOf(block)} ended with ${code}\n${stdout}${stderr}`);
        printed = `${stderr}${stdout}`;
      }
    }
  });
}
