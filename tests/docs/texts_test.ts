/** Every text that people read of the command line, as `deno task texts` prints it, held to STYLE.md's "Prose" and "Errors". */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { parse } from "../../core/cli/parse.ts";
import { COMMANDS } from "../../core/cli/command_table.ts";
import { ERROR_CODES } from "../../core/cli/error_codes.ts";
import { errorTexts, texts } from "../../tools/gen/texts.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const ALL = await texts(ROOT);
const ERRORS = await errorTexts(ROOT);

/** Riddles, and phrases that people whose first language is another read twice. */
const RIDDLES = [
  /\bnob(?:ody)? made\b/,
  /\bcounts? as there\b/,
  /\btakes? (?:it|an environment|them) away\b/,
  /\b[Mm]end(?:s|ed)?\b/,
  /\banew\b/,
  /\bas the parent was then\b/,
  /\bas it should be\b/,
  /\bno more\b/,
  /\bat work on\b/,
  /\b[Gg]o(?:es)? on with\b/,
  /\bWhoever\b|\bwhoever\b/,
  /\bbears?\b/,
  /\bis no (?:port|point|file|directory|name)\b/,
];

Deno.test("deno task texts has every command and every code, and more than 300 errors with their places", () => {
  for (const name of Object.keys(COMMANDS)) assert(ALL.includes(`\n${name}`), name);
  for (const code of Object.keys(ERROR_CODES)) assert(ALL.includes(`\n${code} (exit `), code);
  assert(ERRORS.length > 300, `${ERRORS.length} errors`);
  for (const { at } of ERRORS) assert(ALL.includes(`(${at})`), at);
  const shown = ERRORS.find(({ code }) => code === "ENV_NOT_FOUND");
  assert.match(shown!.message, /^Cannot \{verb\} environment "\{env\}": /);
});

Deno.test("no text is a riddle", () => {
  const found = ALL.split("\n").filter((line) => RIDDLES.some((riddle) => riddle.test(line)));
  assert.deepEqual(found, []);
});

Deno.test("a message is one sentence: no full stop, no contraction, no second Cannot, no other error's message in it", () => {
  // These tell what a server, SQLite or the system said, which is no error of ours.
  const ofOthers = /^(providers\/(_shared|database|cache)|core\/state\/open_registry|mod)\b/;
  for (const { message, at } of ERRORS) {
    assert.doesNotMatch(message, /\.$/, at);
    assert.doesNotMatch(message.replace(/"[^"]*"/g, ""), /\b(?:can|don|isn|doesn|won)'t\b/, at);
    assert.doesNotMatch(message, /Cannot .*\bCannot\b/, at);
    if (message.startsWith("Cannot ") && !ofOthers.test(at)) {
      assert.doesNotMatch(message, /\{[^}]*(?:messageOf|\bmessage\b)/, `${at}: use reasonOf()`);
    }
  }
});

Deno.test("each command in a hint is a command line that is understood", async () => {
  let count = 0;
  for (const { hint = "", at } of ERRORS) {
    for (const [, line] of hint.matchAll(/`forkstack ([^`]*)`/g)) {
      if (/[[|]/.test(line!)) continue; // two branches in one text
      const words = line!.replace(/\{[^}]*\}|<\w+>/g, "alice").split(" ").map((word) => word.replaceAll('"', ""));
      if (words[0] === "alice") continue; // the command itself is the place's
      const [args, program] = words.includes("--") ? [words.slice(0, words.indexOf("--")), ["true"]] : [words, []];
      if (args[0]!.startsWith("--")) continue;
      await assert.doesNotReject(parse(args, program), `${at}: ${line}`);
      count++;
    }
  }
  assert(count > 40, `${count} commands`);
});
