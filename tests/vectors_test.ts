/**
 * The guard against its vectors, which are the table of docs/environments.md: as a pure function, and on a disk in each
 * runtime. A reader in another language passes the same files: docs/environments.md says how they are read.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { guard, isForkstackError } from "../mod.ts";
import { bun, deno, node22, run, runtimeTest, temporaryProject } from "./runtime_helpers.ts";
import { SIZE } from "./sizes.ts";
import { type Answer, laidDown, type Vector, VECTORS, VECTORS_DIRECTORY } from "./vectors.ts";

Deno.test("vectors: each file is read, and each name is there once", () => {
  assert.equal(readdirSync(VECTORS_DIRECTORY).length, 7);
  assert.equal(new Set(VECTORS.map(({ name }) => name)).size, VECTORS.length);
});

for (const { name, ask, answer, facts, candidates } of VECTORS) {
  Deno.test(`guard(): ${name}`, () => {
    let said: Answer;
    try {
      const { env, value, from } = guard(facts, ask, candidates);
      if (ask === "env") said = { env };
      else said = value === undefined ? { error: "VALUE_MISSING" } : { env, value: String(value), from };
    } catch (error) {
      assert(isForkstackError(error) && error.hint, String(error));
      said = { error: error.code };
    }
    assert.deepEqual(said, answer);
  });
}

/** The answer of a program in a directory: how each variable is asked for is the table of docs/environments.md. */
const PROGRAM = `
  import { openStack } from ${JSON.stringify(new URL("../mod.ts", import.meta.url).href)};
  import { readFileSync } from "node:fs";
  const said = JSON.parse(readFileSync("vectors.json", "utf8")).map(({ cwd, process, ask }) => {
    try {
      const stack = openStack({ cwd, read: (name) => Object.hasOwn(process, name) ? process[name] : undefined });
      const env = stack.current();
      return ask === "env" ? { env } : { env, value: stack.variable(ask) };
    } catch (error) {
      return { error: error.code ?? String(error) };
    }
  });
  console.log(JSON.stringify(said));`;

const RUNTIMES = { Deno: deno(), ...(SIZE === "quick" ? {} : { Node: node22(), Bun: bun() }) };

for (const [name, runtime] of Object.entries(RUNTIMES)) {
  runtimeTest(`vectors: mod.ts passes each on a disk, in ${name}`, runtime, (command) => {
    using at = temporaryProject({ "package.json": '{"type": "module"}' });
    const laid = laidDown(at);
    at.write("vectors.json", JSON.stringify(laid));
    at.write("main.ts", PROGRAM);
    const own = name === "Deno" ? ["run", "-q", "--no-config", "--no-lock", "--allow-read"] : [];
    const { stdout, stderr } = run([...command, ...own, "main.ts"], { cwd: at.path });
    const said: Answer[] = JSON.parse(stdout || JSON.stringify(stderr));
    for (const [i, { name, answer }] of laid.entries()) assert.deepEqual(said[i], answer, name);
  });
}

// ---- the page

const SOURCES: Readonly<Record<string, string>> = {
  process: "the process",
  file: "its own file",
  derived: "derived",
  person: "your line",
};

function shown({ ask, answer }: Vector): string {
  if ("error" in answer) return `\`${answer.error}\``;
  return ask === "env" ? `\`${answer.env}\`` : `\`${answer.env}\`, ${SOURCES[answer.from!]}`;
}

Deno.test("docs/environments.md has a row for each vector, and no other", () => {
  const page = readFileSync(new URL("../docs/environments.md", import.meta.url), "utf8");
  const lines = page.split("\n").filter((line) => line.startsWith("|"));
  const rows = lines.map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()))
    .filter(([way], at, all) => way !== "way" && all[at]!.length === 4 && !/^-+$/.test(way!));
  const expected = VECTORS.map((one) => [
    one.way,
    one.state,
    one.ask === "env" ? "environment" : `\`${one.ask}\``,
    shown(one),
  ]);
  assert.deepEqual(rows, expected);
});
