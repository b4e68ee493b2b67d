/** Guides are read as a person reads them: what a page cannot mean is an error, and what it shows must be printed. */
import assert from "node:assert/strict";
import { isShown, stepsOf } from "./page.ts";

function fenced(language: string, code: string): string {
  return `\`\`\`${language}\n${code}\n\`\`\`\n`;
}

Deno.test("stepsOf() reads files, commands, their output, what stays and what is not run", () => {
  const page = [
    "# A guide\n\nThe schema, `src/db.ts`:\n",
    fenced("ts", "export {};"),
    "Then:\n",
    fenced("sh", "one\n\ntwo"),
    "<!-- prints -->\n",
    fenced("text", "done"),
    "<!-- fails: 5 -->\n",
    fenced("sh", "three"),
    "<!-- server: 3000 -->\n",
    fenced("sh", "npm run dev"),
    "<!-- not run: it needs an engine -->\n",
    fenced("sh", "docker compose up"),
  ].join("\n");
  assert.deepEqual(stepsOf(page), [
    { kind: "file", path: "src/db.ts", line: 6, text: "export {};\n" },
    { kind: "commands", exit: 0, line: 12, text: "one\n\ntwo\n", output: "done\n" },
    { kind: "commands", exit: 5, line: 26, text: "three\n" },
    { kind: "server", port: 3000, line: 32, text: "npm run dev\n" },
    { kind: "not run", line: 38, text: "docker compose up\n" },
  ]);
});

const UNEXPLAINED: Readonly<Record<string, string>> = {
  "a file without a name": `Look:\n\n${fenced("ts", "export {};")}`,
  "a file whose name is not at the end": `\`a.ts\`: look\n\n${fenced("ts", "export {};")}`,
  "a block of no language": `Look:\n\n${fenced("", "one")}`,
  "output without its note": `${fenced("sh", "one")}\n${fenced("text", "done")}`,
  "output of nothing": `<!-- prints -->\n\n${fenced("text", "done")}`,
  "output with text in between": `${fenced("sh", "one")}\nText.\n\n<!-- prints -->\n\n${fenced("text", "done")}`,
  "output of a file": `\`a.ts\`:\n\n${fenced("ts", "1")}\n<!-- prints -->\n\n${fenced("text", "done")}`,
  "no reason why it is not run": `<!-- not run -->\n\n${fenced("yaml", "a: 1")}`,
  "an indented block of JSON": `Look:\n\n    {"a": 1}\n`,
};

for (const [what, page] of Object.entries(UNEXPLAINED)) {
  Deno.test(`stepsOf() refuses ${what}`, () => assert.throws(() => stepsOf(page), SyntaxError));
}

Deno.test("isShown() tells what was printed, whatever the times, the order of resources and the columns", () => {
  const printed = "  + database  shop-alice   full-copy  90 ms\n  + storage   shop-bucket-alice  empty  1.2 s\n" +
    "(node:12) ExperimentalWarning: SQLite\nalice is ready: 2 resources in 1.3 s\nNext: a\nNext: /home/alice/b\n";
  const same = [
    printed,
    "alice is ready: 2 resources in 20 ms\nNext: a\nNext: /home/alice/b\n",
    "+ storage shop-bucket-alice empty 7 ms\n+ database shop-alice copy-on-write 8 ms\n…\n",
    "…\nNext: a\n…\n",
    "alice is ready: 2 resources in 20 ms\n…\nNext: …/b\n",
    "…\n",
  ];
  for (const shown of same) assert.ok(isShown(shown, printed), shown);
  const other = [
    "",
    "alice is ready: 2 resources in 20 ms\n",
    "alice is ready: 3 resources in 20 ms\n…\n",
    "+ database shop-alice empty 8 ms\n…\n",
    "+ database shop-alice copy-on-write 8 ms\n…\n",
    "…\nNext: /home/alice/b\nNext: a\n",
    "…\nNext: …/c\n",
    "…\nNext: .\n…\n",
  ];
  for (const shown of other) assert.ok(!isShown(shown, printed), shown);
});
