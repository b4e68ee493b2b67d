import assert from "node:assert/strict";
import fc from "npm:fast-check@4.10.2";
import {
  blockVariables,
  bytesOfText,
  formatBlock,
  refuseDoubles,
  textOfBytes,
  type UnmarkedFormat,
  withBlock,
  withoutChange,
} from "../../../core/workspace/env_block.ts";
import { findEnvBlock, isForkstackError, parseEnvFile } from "../../../mod.ts";

const KNOWN: UnmarkedFormat = {
  name: ".env.local",
  given: new Set(["FORKSTACK_ENV", "FORKSTACK_PROJECT", "DATABASE_URL", "DATABASE_AUTH_TOKEN"]),
  of: () => undefined,
};
const utf8 = (text: string) => textOfBytes(new TextEncoder().encode(text));
const block = (variables: Record<string, string>, directory = "/a/shop") => formatBlock(variables, directory);
const ALICE = { FORKSTACK_ENV: "alice", FORKSTACK_PROJECT: "shop", DATABASE_URL: "postgres://alice/ünï" };
const DEV = { FORKSTACK_ENV: "dev", FORKSTACK_PROJECT: "shop", DATABASE_URL: "postgres://dev", TOKEN: "only dev's" };

function refusal(work: () => unknown): { message: string; hint: string } {
  try {
    work();
  } catch (error) {
    assert(isForkstackError(error) && error.code === "ENV_CONFLICT", String(error));
    return { message: error.message, hint: error.hint ?? "" };
  }
  throw new Error("it was not refused");
}

// ---- any person's file

const NAMES = ["MINE", "PORT", "NEXT_PUBLIC_X", "PEM", "export", "a.b-c"];
const personsLine = fc.oneof(
  fc.constantFrom(
    ...["", "  ", "# comment with 'one quote", "#", "export PORT=3001 # mine", "HASH=a#b", 'PEM="L1\\nL2"'],
    ...['QUOTED="say \\"hi\\""', "NEXT='kept'", "REF=${PORT}0", "BARE", "A = spaced  ", "É=é", "X=`b'q`", "set -e"],
    ...[
      "# >>> forkstacks of hay",
      "# <<<< forkstack",
      ">>> forkstack",
      "x # >>> forkstack",
      "TAB=\ta\t",
      "MULTI='a\nb'",
    ],
    ...['MULTI="a\n  b=c\n"', "MULTI=`a\r\n# >>>> fork`", "\u2028", "Z=\u0085"],
  ),
  fc.tuple(fc.constantFrom(...NAMES), fc.string({ unit: fc.constantFrom(..."aB =#$\\{}é🎉\t") })).map((pair) =>
    pair.join("=")
  ),
);
const end = fc.constantFrom("\n", "\n", "\r\n");
/** A person's file: text, or lines in Latin-1, with or without a byte order mark and a final newline. */
const personsFile = fc.tuple(
  fc.constantFrom("", "", "\uFEFF"),
  fc.array(fc.tuple(personsLine, end), { maxLength: 8 }),
  fc.option(personsLine, { nil: "" }),
  fc.constantFrom("", "", "\xE9\xFF"),
).map(([mark, lines, last, odd]) => utf8(mark) + odd.replace(/.+/, "# $&\n") + utf8(lines.flat().join("") + last));

/** A marker alone on a line, which the lines above may hold by accident, is another test's. */
const isPlain = (file: string) => !/^[ \t]*#[ \t]*(>>>|<<<)[ \t]*forkstack/m.test(file.replace(/^\xEF\xBB\xBF/, ""));

Deno.test("withBlock() keeps every byte of a person's file, over any sequence of blocks", () => {
  const variables = fc.constantFrom<Record<string, string>>(
    ALICE,
    DEV,
    { FORKSTACK_ENV: "bob", LINES: "a\n# b\nc='" },
    {},
  );
  fc.assert(
    fc.property(personsFile.filter(isPlain), fc.array(variables, { minLength: 1, maxLength: 5 }), (file, sequence) => {
      let now = file;
      for (const one of sequence) {
        const lines = block(one);
        now = withBlock(now, lines, KNOWN);
        const at = now.indexOf(lines);
        assert.equal(now.slice(0, at) + now.slice(at + lines.length), file);
        assert.deepEqual(blockVariables(now), one);
        assert.equal(now.indexOf("# >>> forkstack {"), now.lastIndexOf("# >>> forkstack {"), "there is one block");
        assert.equal(withBlock(now, lines, KNOWN), now, "the same block again changes nothing");
      }
      assert.equal(withoutChange(now, now, file), file);
      assert.deepEqual(bytesOfText(textOfBytes(bytesOfText(now))), bytesOfText(now));
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("a person's edits above and below the block stay, whichever block comes next and also when it is taken back", () => {
  const above = fc.array(fc.constantFrom("# mine\n", "A='1'\r\n", "export B=2 # b\n", "\n"), { maxLength: 3 });
  fc.assert(
    fc.property(above, personsFile.filter(isPlain), (lines, below) => {
      if (below.startsWith("\xEF\xBB\xBF")) return;
      const first = withBlock(below, block(ALICE), KNOWN);
      const edited = lines.join("") + first + "\nLATE=1";
      const next = withBlock(edited, block(DEV), KNOWN);
      assert.equal(next, lines.join("") + block(DEV) + below + "\nLATE=1");
      assert.equal(withoutChange(next + "#", next, edited), `${edited}#`, "the edit after the last write stays too");
      assert.equal(withoutChange(edited, first, below), `${lines.join("")}${below}\nLATE=1`);
      assert.equal(withoutChange(next, first, below), undefined, "another block is another command's");
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("the first marker says for which directory, whatever its name, and stays one line of ASCII", () => {
  for (
    const directory of ["/a b/c", "C:\\x\\y", "/q\"uo'te`", "/line\nbreak\r", "/ünï/🎉", "/\u2028\u0085\x7f", "/x}"]
  ) {
    const text = `A=1\n${block(ALICE, directory)}`;
    const found = findEnvBlock(text)!;
    assert.equal(found.directory, directory);
    assert.match(text.split("\n")[1], /^# >>> forkstack \{[ -~]*\}$/);
    assert.deepEqual(parseEnvFile(found.own), parseEnvFile(text.slice(4)));
  }
});

Deno.test("findEnvBlock() is ENV_CONFLICT, naming the line, for every pair of markers that is not one whole block", () => {
  const marker = fc.constantFrom(
    ...[
      '# >>> forkstack {"directory":"/a"}',
      "# <<< forkstack",
      "# >>> forkstack",
      "#<<<forkstack",
      "# <<< forkstack x",
    ],
    ...['# >>> forkstack {"directory":"/a"', '  # >>> forkstack {"directory":"/a"}', "A=1", "# c", "B='"],
  );
  fc.assert(
    fc.property(fc.array(marker, { minLength: 1, maxLength: 6 }), (lines) => {
      const text = lines.map((line) => `${line}\n`).join("");
      const [begin, end] = ['# >>> forkstack {"directory":"/a"}', "# <<< forkstack"].map((one) => lines.indexOf(one));
      const count = lines.filter((line) => /(>>>|<<<) ?forkstack/.test(line)).length;
      const isOpen = lines.slice(0, end).filter((line) => line === "B='").length > 0;
      const isWhole = count === 0 || (count === 2 && begin >= 0 && end > begin);
      try {
        const found = findEnvBlock(text);
        assert(isWhole, text);
        if (count === 0) assert.equal(found, undefined);
        else assert.equal(found!.own, lines.slice(begin + 1, end).map((line) => `${line}\n`).join(""));
      } catch (error) {
        if (!isForkstackError(error)) throw error;
        assert(!isWhole || isOpen, text);
        const line = Number(/line (\d+), a marker/.exec(error.message)?.[1]);
        assert.match(lines[line - 1], /forkstack/);
      }
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("refuseDoubles() names each line that sets one of ours, in the forms that any reader takes", () => {
  const names = new Set(["DATABASE_URL", "FORKSTACK_ENV"]);
  const said = (file: string) => refusal(() => refuseDoubles(utf8(file), names, KNOWN)).message;
  assert.match(said("A=1\n\nexport  DATABASE_URL=x"), /line 3 sets DATABASE_URL,/);
  assert.match(
    said("\uFEFFDATABASE_URL=\r\nB=2\r\n FORKSTACK_ENV = 'x'"),
    /line 1 sets DATABASE_URL, line 3 sets FORKSTACK_ENV,/,
  );
  assert.match(said("A='1\n2'\nDATABASE_URL: x\n"), /line 3 sets DATABASE_URL,/);
  assert.match(said(`A=1\n${block(ALICE)}B=1\nDATABASE_URL=x\n`), /line 9 sets DATABASE_URL,/);
  for (
    const file of [
      "# DATABASE_URL=x",
      "MY_DATABASE_URL=x",
      "A='\nDATABASE_URL=x\n'",
      "echo DATABASE_URL=x",
      block(ALICE),
      "",
    ]
  ) {
    refuseDoubles(utf8(file), names, KNOWN);
  }
});

// ---- the format of 0.1.0

const OLD = "FORKSTACK_ENV='dev'\nFORKSTACK_PROJECT='shop'\nDATABASE_URL='postgres://dev'\nTOKEN='of dev'\n";
const dev = (variables: Record<string, string>): UnmarkedFormat => ({
  ...KNOWN,
  of: (env) => env === "dev" ? variables : undefined,
});

Deno.test("a file of 0.1.0 becomes a block, and keeps each line of a person", () => {
  const known = dev(DEV);
  const lines = block(ALICE);
  const cases: [text: string, persons: string][] = [
    [OLD, ""],
    [`${OLD}# yours, kept\nMINE='1'\nQ="it's"\n`, `MINE='1'\nQ="it's"\n`],
    [`${OLD}export MINE=1 # a\nMINE2='quoted'\n\n# c`, `export MINE=1 # a\nMINE2='quoted'\n\n# c`],
    [`${OLD}# yours, kept\n# yours, kept\nTOKEN='mine'\n`, `# yours, kept\nTOKEN='mine'\n`],
    [OLD.replaceAll("\n", "\r\n") + "# yours, kept\r\nA=1\r\n", "A=1\r\n"],
    [OLD.replace("TOKEN", "# why\nTOKEN") + "A=1", "# why\nA=1"],
    [`\uFEFF${OLD}A=1\n`, "A=1\n"],
    [`${OLD}GONE_CREDENTIAL=bare\n`, "GONE_CREDENTIAL=bare\n"],
  ];
  for (const [text, persons] of cases) {
    const mark = text.startsWith("\uFEFF") ? "\uFEFF" : "";
    assert.equal(withBlock(utf8(text), lines, known), utf8(mark) + lines + utf8(persons), text);
  }
});

Deno.test("a credential in a file of 0.1.0 that is gone at the parent is nowhere afterwards", () => {
  const old = `${OLD}DATABASE_AUTH_TOKEN='gone'\n# yours, kept\nMINE='1'\n`;
  for (const kept of [DEV, { ...DEV, DATABASE_AUTH_TOKEN: "another" }]) {
    assert.equal(withBlock(old, block(ALICE), dev(kept)), `${block(ALICE)}MINE='1'\n`);
  }
});

Deno.test("a line of 0.1.0's form that may be either's is ENV_CONFLICT, and so is a second line of ours", () => {
  const { message, hint } = refusal(() => withBlock(OLD, block(ALICE), KNOWN));
  assert.match(message, /line 4 sets TOKEN, and may be yours or forkstack's/);
  assert.match(hint, /# yours, kept/);
  const moved = OLD.replace("TOKEN", "# yours, kept\nTOKEN");
  assert.equal(withBlock(moved, block(ALICE), KNOWN), `${block(ALICE)}TOKEN='of dev'\n`);
  for (const more of ["DATABASE_URL='mine'\n", "# yours, kept\nDATABASE_URL='mine'\n", "DATABASE_URL=mine\n"]) {
    const refused = refusal(() => refuseDoubles(OLD + more, new Set(["DATABASE_URL"]), dev(DEV)));
    assert.match(refused.message, more.startsWith("#") ? /line 6 sets/ : /line 5 sets/);
  }
});

Deno.test("a file by hand that names FORKSTACK_ENV is not of 0.1.0", () => {
  for (
    const file of [
      ...[
        "# by hand\nFORKSTACK_ENV='prod'\nFORKSTACK_PROJECT='shop'\n",
        "FORKSTACK_ENV=prod\nFORKSTACK_PROJECT=shop\n",
      ],
      ...["FORKSTACK_ENV='prod'\n", "FORKSTACK_ENV='prod'\nA=1\nFORKSTACK_PROJECT='shop'\n", " FORKSTACK_ENV='prod'\n"],
      ...[
        "export FORKSTACK_ENV='prod'\nFORKSTACK_PROJECT='shop'\n",
        "FORKSTACK_ENV='prod' # x\nFORKSTACK_PROJECT='shop'\n",
      ],
    ]
  ) {
    assert.equal(findEnvBlock(file), undefined, file);
    refusal(() => refuseDoubles(file, KNOWN.given, KNOWN));
    assert.equal(withBlock(file, block(ALICE), KNOWN), block(ALICE) + file);
  }
});
