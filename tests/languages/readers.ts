/** The tests of readers in other languages: the vectors, and the same answers as mod.ts in any state. */
import assert from "node:assert/strict";
import { realpathSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import fc from "npm:fast-check@4.10.2";
import { findEnvBlock, ForkstackError, isForkstackError, type Kind, openStack, readEnvFile } from "../../mod.ts";
import { layDown, world } from "../guard_worlds.ts";
import { type Project, type Runtime, runtimeTest, temporaryProject } from "../runtime_helpers.ts";
import { sized } from "../sizes.ts";
import { laidDown } from "../vectors.ts";

/** A question to a reader. */
export type Question = Readonly<Record<string, unknown>> & {
  readonly is: "vector" | "world" | "env file" | "block";
};

/** Asks a reader, whose language a command starts; `sources` has another than its own. */
export type Ask = (command: readonly string[], questions: readonly Question[], sources?: string) => unknown[];

const byKey = ([one]: readonly unknown[], [other]: readonly unknown[]) => String(one) < String(other) ? -1 : 1;

/** The answer of mod.ts in the form of the readers. */
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

/** Registers the tests of a reader, e.g. of `"the Go reader"`. */
export function testReader(reader: string, runtime: Runtime, ask: Ask): void {
  runtimeTest(`vectors: ${reader} passes each on a disk`, runtime, (command) => {
    using at = temporaryProject();
    const laid = laidDown(at);
    const said = ask(command, laid.map(({ cwd, process, ask }) => ({ is: "vector", cwd, process, ask })));
    for (const [i, { name, answer }] of laid.entries()) assert.deepEqual(said[i], answer, name);
  });

  runtimeTest(
    `${reader} answers as mod.ts in ${MANY} states of checkout and process`,
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
        asks: [...asks, "secret API_KEY", "variable DATABASE_PATH", "variable SHAPED_URL"],
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
            await told(() => stack.variable("DATABASE_PATH")),
            await told(() => stack.variable("SHAPED_URL")),
          ];
        });
        assert.deepEqual(said[index], expected, JSON.stringify(questions[index]));
        if (Array.isArray(expected)) values += expected.filter((one) => typeof one === "string").length;
      }
      assert(values > MANY, `only ${values} values`);
    },
  );

  runtimeTest(`${reader} reads env files as mod.ts does`, runtime, (command) => {
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
      assert.deepEqual((said[index] as string[][]).sort(byKey), expected.sort(byKey), JSON.stringify(text));
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

/**
 * Registers the test that the vectors need each rule of a reader: `mutations` are texts in its one file, each with one
 * that lacks the rule, and `write` puts the file where the result says.
 */
export function testMutations({ reader, runtime, ask, source, mutations, write }: {
  readonly reader: string;
  readonly runtime: Runtime;
  readonly ask: Ask;
  readonly source: string;
  readonly mutations: Readonly<Record<string, readonly [text: string, without: string]>>;
  readonly write: (at: Project, text: string) => string;
}): void {
  runtimeTest(`a rule that ${reader} lacks fails a vector`, runtime, (command) => {
    using at = temporaryProject();
    const all = laidDown(at).map(({ answer, ...one }) => ({ answer, question: { is: "vector" as const, ...one } }));
    const unneeded = Object.entries(mutations).filter(([rule, [text, without]]) => {
      assert.equal(source.split(text).length, 2, `${rule}: the reader has its text once`);
      const said = ask(command, all.map(({ question }) => question), write(at, source.replace(text, without)));
      return all.every(({ answer }, i) => isDeepStrictEqual(said[i], answer));
    });
    assert.deepEqual(unneeded.map(([rule]) => rule), [], "rules that no vector needs");
  });
}
