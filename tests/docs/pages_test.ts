/** What the pages name is there: links and their anchors, files, tasks, the packages and their figures, CI's steps. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { BUN } from "../../tools/build/_tools.ts";
import { run, testIf } from "../helpers.ts";
import { whyMissing } from "../tools.ts";
import { anchorsOf, PAGES, readPage as read, withoutFences } from "../../tools/docs/pages.ts";
import { measure, namedIn, sizeText } from "../../tools/dependencies.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Pages for who changes the code: all that they name in code is held. */
const OF_DEVELOPERS = PAGES.filter((page) => /^(CONTRIBUTING|docs\/(architecture|contributing\/.*))\.md$/.test(page));

/** A page without its code. */
function proseOf(page: string): string {
  return withoutFences(page).replace(/^ {4,}\S.*$/gm, "").replace(/`[^`\n]+`/g, "");
}

/** What is wrong with the links of a page at this path. */
function brokenLinks(path: string, text: string): string[] {
  return Array.from(proseOf(text).matchAll(/\]\(([^)\s]+)\)/g), ([, target]) => target!)
    .filter((target) => !/^(https?:|mailto:)/.test(target)).flatMap((target) => {
      const [file, anchor] = target.split("#");
      const at = file === "" ? join(ROOT, path) : resolve(ROOT, dirname(path), file!);
      if (relative(ROOT, at).startsWith("..")) return [`${target} leads out of the repository`];
      if (!existsSync(at)) return [`${target} is not there`];
      if (anchor === undefined) return [];
      const there = anchorsOf(file === "" ? text : readFileSync(at, "utf8"));
      return there.has(anchor) ? [] : [`${target} has no such heading`];
    });
}

for (const page of PAGES) {
  Deno.test(`${page}: each link leads somewhere`, () => assert.deepEqual(brokenLinks(page, read(page)), []));
}

Deno.test("a link that leads nowhere is found", () => {
  const broken = [
    "[a](no-such-page.md)",
    "[a](environments.md#no-such-heading)",
    "[a](#nor-here)",
    "[a](../../elsewhere.md)",
  ];
  for (const one of broken) assert.equal(brokenLinks("docs/variables.md", `# Run\n\nSee ${one}.\n`).length, 1, one);
  const whole =
    "# Run it: `now`\n\n[a](environments.md#the-table) [b](#run-it-now) [c](https://example.com/x) `[d](e)`\n";
  assert.deepEqual(brokenLinks("docs/variables.md", whole), []);
});

const BASENAMES = new Set(
  ["core", "providers", "tests", "tools"].flatMap((room) =>
    readdirSync(join(ROOT, room), { recursive: true, encoding: "utf8" }).map((name) => basename(name))
  ),
);

/** Names of files and tasks in the code of a page that are not there. A name with a `<placeholder>` is a pattern. */
function missingNames(text: string): string[] {
  const spans = [...text.matchAll(/`([^`\n]+)`/g), ...text.matchAll(/^ {4,}(\S.*)$/gm)].map(([, code]) => code!);
  const tasks = spans.flatMap((code) =>
    [...code.matchAll(/\bdeno(?:@[\d.]+)? task ([\w:]+)/g)].map(([, name]) => name!)
  );
  const words = spans.flatMap((code) => code.split(/[\s"']+/)).filter((word) => !/[<*{]|^https?:/.test(word));
  const paths = words.filter((word) =>
    /^(?:core|providers|tests|tools|docs|examples|\.ci|\.github)\/[\w./-]+$/.test(word) ||
    /^(?:mod|cli)\.ts$/.test(word)
  );
  const bare = words.filter((word) => /^\w+\.ts$/.test(word) && !/^(?:mod|cli)\.ts$/.test(word));
  return [
    ...tasks.filter((name) => !Object.hasOwn(config.tasks, name)).map((name) => `deno task ${name}`),
    ...paths.filter((path) => !existsSync(join(ROOT, path))),
    ...bare.filter((name) => !BASENAMES.has(name)),
  ];
}

for (const page of OF_DEVELOPERS) {
  Deno.test(`${page}: each file and task that it names is there`, () => assert.deepEqual(missingNames(read(page)), []));
}

Deno.test("a file or a task that is not there is found", () => {
  const named = "`core/cli/no_such.ts` `no_such_file.ts` `deno task no-such` `core/cli/<name>.ts` `mod.ts` `.ci/no`";
  assert.deepEqual(missingNames(named).sort(), [".ci/no", "core/cli/no_such.ts", "deno task no", "no_such_file.ts"]);
});

/** Rows of a page's tables whose first cell is a package and its version. */
function packageRows(page: string): Map<string, string[]> {
  const rows = page.split("\n").map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()))
    .filter(([first]) => /^`[@\w/.-]+` \d/.test(first ?? ""));
  return new Map(rows.map(([first, ...rest]) => [first!, rest]));
}

Deno.test("docs/architecture.md has each package that a lock file names, and no other", () => {
  const page = read("docs/architecture.md");
  const [shipped, others] = page.slice(page.indexOf("### Shipped")).split("### Tests, benchmarks and builds alone");
  const named = (lockFile: string) =>
    namedIn(lockFile).map(({ name, key }) => `\`${name}\` ${key.slice(name.length + 1).split("_")[0]}`).sort();
  const ofShipped = named("deno.lock");
  assert(ofShipped.length >= 10);
  assert.deepEqual([...packageRows(shipped!).keys()].sort(), ofShipped);
  assert.deepEqual(
    [...packageRows(others!).keys()].sort(),
    named("dev.lock").filter((one) => !ofShipped.includes(one)),
  );
});

const VALIBOT = namedIn("deno.lock").find(({ name }) => name === "valibot")!;
const noPackages = measure("deno.lock", VALIBOT) === undefined ? "no package is in Deno's cache yet" : undefined;

testIf(noPackages, "docs/architecture.md has sizes and licences as tools/dependencies.ts measures them", () => {
  const rows = packageRows(read("docs/architecture.md"));
  const shipped = new Set(namedIn("deno.lock").map(({ name }) => name)); // by their own lock file: peers differ
  for (const lockFile of ["deno.lock", "dev.lock"]) {
    for (const one of namedIn(lockFile)) {
      if (lockFile === "dev.lock" && shipped.has(one.name)) continue;
      const found = measure(lockFile, one);
      if (found === undefined) continue;
      const { name, version, sizeBytes, totalBytes, packages, licence, licences } = found;
      assert.deepEqual(rows.get(`\`${name}\` ${version}`)?.slice(2), [
        sizeText(sizeBytes),
        `${sizeText(totalBytes)}, ${packages}`,
        [licence, ...licences.filter((other) => other !== licence)].join(", "),
      ], name);
    }
  }
});

const WORKFLOWS = readdirSync(join(ROOT, ".github/workflows")).map((name) => `.github/workflows/${name}`);

for (const path of WORKFLOWS) {
  Deno.test(`${path}: actions are pinned, it may only read, and its programs and files are those of everywhere else`, () => {
    const text = read(path);
    for (const [, action] of text.matchAll(/uses: (\S+.*)$/gm)) {
      assert.match(action!, /^[\w.-]+\/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/, "a commit, and its tag beside it");
    }
    assert.match(text, /^permissions:\n {2}contents: read\n(?! )/m);
    for (const [line] of text.matchAll(/run: .*\$\{\{.*/g)) assert.fail(`what others write reaches a shell: ${line}`);
    for (const [, version] of text.matchAll(/\bdeno@([\d.]+)/g)) assert.equal(version, Deno.version.deno);
    for (const [bun] of text.matchAll(/\bbun@[\d.]+/g)) assert.equal(bun, BUN);
    const named = [...text.matchAll(/(?<![\w/])((?:tests|core|tools|\.ci)\/[\w./-]+)/g)].map(([, name]) => name!);
    for (const name of named) assert(existsSync(join(ROOT, name)), `${name} is not there`);
    for (const name of named.filter((one) => one.startsWith(".ci/") && existsSync(join(ROOT, one)))) {
      assert(statSync(join(ROOT, name)).mode & 0o100, `${name} can be run`);
    }
    for (const [, task] of text.matchAll(/deno task ([\w:]+)/g)) assert(Object.hasOwn(config.tasks, task!), task);
  });
}

// Not in Debian, so that the gate has it only by chance; on GitHub it is a job of its own.
const noActionlint = whyMissing("actionlint");
Deno.test({
  name: `actionlint finds nothing in .github/workflows${noActionlint === undefined ? "" : ` (${noActionlint})`}`,
  ignore: noActionlint !== undefined,
  fn: async () => assert.equal((await run("actionlint", ["-no-color", ...WORKFLOWS], { cwd: ROOT })).stdout, ""),
});
