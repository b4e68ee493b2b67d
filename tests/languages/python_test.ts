/** The Python reader: the vectors, and the same answers as mod.ts in any state, by the oldest and the newest Python. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import fc from "npm:fast-check@4.10.2";
import { findEnvBlock, ForkstackError, isForkstackError, type Kind, openStack, readEnvFile } from "../../mod.ts";
import { layDown, world } from "../guard_worlds.ts";
import { baseVariables } from "../helpers.ts";
import { type Runtime, runtimeTest, temporaryProject } from "../runtime_helpers.ts";
import { sized } from "../sizes.ts";
import { laidDown } from "../vectors.ts";

const PACKAGE = fileURLToPath(new URL("../../languages/python/src", import.meta.url));
const DRIVER = fileURLToPath(new URL("answers.py", import.meta.url));

type Question = Readonly<Record<string, unknown>> & { readonly is: "vector" | "world" | "env file" | "block" };

/** A Python of one minor version, from PATH or as pyenv keeps it. */
function python(minor: number): Runtime {
  const versions = join(process.env.PYENV_ROOT ?? join(process.env.HOME ?? "/", ".pyenv"), "versions");
  const kept = existsSync(versions) ? readdirSync(versions).filter((one) => one.startsWith(`3.${minor}.`)) : [];
  for (const program of [`python3.${minor}`, ...kept.map((one) => join(versions, one, "bin", "python")), "python3"]) {
    const args = ["-c", "import sys; print(sys.version_info[1], sys.executable)"];
    const [found, path] = spawnSync(program, args, { encoding: "utf8" }).stdout?.trim().split(" ") ?? [];
    if (found === String(minor) && path !== undefined) return { command: [path] };
  }
  return { missing: `there is no Python 3.${minor}` };
}

/** The newest that is here. */
function newestPython(): Runtime {
  const all = [14, 13, 12, 11, 10].map(python);
  return all.find((one) => "command" in one) ?? { missing: "there is no Python of 3.10 to 3.14" };
}

function ask([program]: readonly string[], questions: readonly Question[], sources = PACKAGE): unknown[] {
  const { status, stdout, stderr } = spawnSync(program!, ["-B", DRIVER], {
    input: JSON.stringify(questions),
    encoding: "utf8",
    env: { ...baseVariables(), PYTHONPATH: sources, PYTHONUTF8: "1" },
    maxBuffer: 64 * 1024 * 1024,
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

/** The answer of mod.ts in the form of `answers.py`. */
async function told(work: () => unknown): Promise<unknown> {
  try {
    return await work() ?? null;
  } catch (error) {
    if (isForkstackError(error)) return { error: error.code };
    throw error;
  }
}

const ASKS: readonly (readonly [kind: Kind, variable: string, name?: string])[] = [
  ["database", "DATABASE_URL"],
  ["database", "DATABASE_AUTH_TOKEN"],
  ["storage", "BUCKET_NAME", "uploads"],
  ["storage", "AWS_REGION", "uploads"],
  ["cache", "CACHE_URL"],
];

/** Texts of env files: lines of whatever decides how one is read. */
const envText = fc.array(
  fc.oneof(
    fc.tuple(
      fc.constantFrom("A", "B", "export A", " A", "A.B", "A "),
      fc.constantFrom("=", " = ", "=\t"),
      fc.array(
        fc.constantFrom(..."'\"`\\#$ n\n\ta=\r{}", "\ufffd", "é", "\u2028", "\\n", '\\"'),
        { maxLength: 9 },
      ),
    ).map(([name, sign, value]) => `${name}${sign}${value.join("")}`),
    fc.constantFrom("# a comment", "", "no assignment", '# >>> forkstack {"directory":"/a"}', "# <<< forkstack"),
  ),
  { maxLength: 5 },
).map((lines) => lines.join("\n"));

const blockText = fc.array(
  fc.constantFrom(
    ...[
      '# >>> forkstack {"directory":"/a"}',
      "# >>> forkstack {}",
      "# <<< forkstack",
      " # <<< forkstack",
      "#<<<forkstack",
    ],
    ...["A=1", "B='", "'", "FORKSTACK_ENV='a'", "FORKSTACK_PROJECT='b'", "# yours, kept", "", "x\r"],
  ),
  { maxLength: 6 },
).map((lines) => lines.join("\n"));

const MANY = sized({ quick: 100, gate: 300, full: 5_000 });

for (const [name, runtime] of Object.entries({ "Python 3.9": python(9), "the newest Python": newestPython() })) {
  runtimeTest(`vectors: the Python reader passes each on a disk, in ${name}`, runtime, (command) => {
    using at = temporaryProject();
    const laid = laidDown(at);
    const said = ask(command, laid.map(({ cwd, process, ask }) => ({ is: "vector", cwd, process, ask })));
    for (const [i, { name, answer }] of laid.entries()) assert.deepEqual(said[i], answer, name);
  });

  runtimeTest(
    `the Python reader answers as mod.ts in ${MANY} states of checkout and process, in ${name}`,
    runtime,
    async (command) => {
      using at = temporaryProject();
      const top = realpathSync(at.path);
      const asks = ASKS.map(([, variable, name]) => name === undefined ? variable : `${variable} ${name}`);
      const laid = fc.sample(world, { numRuns: MANY, seed: 1 }).map((one, index) =>
        layDown(one, join(top, String(index)))
      );
      const questions = laid.map(({ cwd, process }): Question => ({
        is: "world",
        cwd,
        process,
        asks: [...asks, "secret API_KEY"],
      }));
      const said = ask(command, questions);
      let values = 0;
      for (const [index, { cwd, process }] of laid.entries()) {
        const expected = await told(async () => {
          const stack = openStack({ cwd, read: (variable) => process[variable] });
          return [
            await told(() => stack.current()),
            ...await Promise.all(ASKS.map((one) => told(() => stack.optionalOf(...one)))),
            await told(() => stack.secret("API_KEY")),
          ];
        });
        assert.deepEqual(said[index], expected, JSON.stringify(questions[index]));
        if (Array.isArray(expected)) values += expected.filter((one) => typeof one === "string").length;
      }
      assert(values > MANY, `only ${values} values`);
    },
  );

  runtimeTest(`the Python reader reads env files as mod.ts does, in ${name}`, runtime, (command) => {
    const texts = fc.sample(envText, { numRuns: 10 * MANY, seed: 2 });
    const blocks = fc.sample(blockText, { numRuns: 10 * MANY, seed: 3 });
    const said = ask(command, [
      ...texts.map((text): Question => ({ is: "env file", text })),
      ...blocks.map((text): Question => ({ is: "block", text })),
    ]);
    for (const [index, text] of texts.entries()) {
      const expected = Array.from(readEnvFile(text, "x"), ([key, value]) => [
        key,
        value instanceof ForkstackError ? value.message : value,
      ]);
      assert.deepEqual(said[index], expected, JSON.stringify(text));
    }
    for (const [index, text] of blocks.entries()) {
      let expected: unknown;
      try {
        const found = findEnvBlock(text, "x");
        expected = found === undefined ? null : { own: found.own, directory: found.directory ?? null };
      } catch (error) {
        expected = { error: (error as ForkstackError).code };
      }
      assert.deepEqual(said[texts.length + index], expected, JSON.stringify(text));
    }
  });
}

/** Rules of the reader, each as its text and one that lacks it. */
const MUTATIONS: Readonly<Record<string, readonly [text: string, without: string]>> = {
  "long forms of names": ['"production": "prod"', '"production": "production"'],
  "ENV with a slash names none": ['None if value is None or "/" in value else value', "value"],
  "a linked worktree has no default": ['None if facts.get("isLinkedWorktree") else "dev"', '"dev"'],
  "FORKSTACK_ENV before ENV": ['("FORKSTACK_ENV", process.get("env")),', '("FORKSTACK_ENV", None),'],
  "the file's environment": ['file.get("env") != env or is_other(file)', "False"],
  "a pointer that came along": ['is_by_place and facts.get("isPointerCopied")', "False"],
  "a block without a pointer": ["block is not None and pointer is None", "False"],
  "the block's project": ['block.get("env") == env and is_other(block)', "False"],
  "a loaded file of another environment": ["way.is_file_loaded and _ALIASES.get(wanted, wanted) != env", "False"],
  "the process's project": ['process.get("project") is not None and is_other(process)', "False"],
  "was never made": ['is_made or not (is_by_place or facts.get("hasState"))', "True"],
  "a stale place in a file": ['None if all_.get("isPlace") else file', "file"],
  "a deployment has no state": ['not way.is_block_loaded and not facts.get("hasState")', "not way.is_block_loaded"],
  "a value of the process that differs": ["if is_deployed or", "if True or"],
  "run vouches": ['way.is_run and all_.get("isVouched")', "False"],
  "a person's line": ['("person", all_.get("person"))', '("person", None)'],
  "a line that a resource gives": [
    "None if self._is_given(name) else written.person.get(name)",
    "written.person.get(name)",
  ],
  "bare layouts": ["checkout.main is not None and not checkout.is_bare", "False"],
  "the repository's own list of worktrees": ["True, common if is_listed else None", "True, common"],
  "bases": ["path = _base_path(one, env, root) or _join", "path = _join"],
};

runtimeTest("a rule that the Python reader lacks fails a vector", newestPython(), (command) => {
  using at = temporaryProject();
  const questions = laidDown(at).map(({ answer, ...one }) => ({ answer, question: { is: "vector" as const, ...one } }));
  const unneeded: string[] = [];
  const source = readFileSync(join(PACKAGE, "forkstack", "__init__.py"), "utf8");
  for (const [rule, [text, without]] of Object.entries(MUTATIONS)) {
    assert.equal(source.split(text).length, 2, `${rule}: the reader has its text once`);
    at.write("mutated/forkstack/__init__.py", source.replace(text, without));
    const said = ask(command, questions.map(({ question }) => question), join(at.path, "mutated"));
    if (questions.every(({ answer }, i) => isDeepStrictEqual(said[i], answer))) unneeded.push(rule);
  }
  assert.deepEqual(unneeded, [], "rules that no vector needs");
});

Deno.test("the package has its own marker of types", () => {
  const files = readdirSync(join(PACKAGE, "forkstack"));
  assert(files.includes("py.typed"), files.join());
});
