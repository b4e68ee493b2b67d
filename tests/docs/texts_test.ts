/** Every text that people read of the command line, as `deno task texts` prints it, held to STYLE.md's "Prose" and "Errors". */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { parse } from "../../core/cli/parse.ts";
import { COMMANDS, OPTIONS } from "../../core/cli/command_table.ts";
import { errorTexts } from "../../tools/gen/error_texts.ts";
import { hasWords, texts, vendorTexts } from "../../tools/gen/texts.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const ERRORS = await errorTexts(ROOT);
const COMMON = texts(ERRORS);
const ALL = `${COMMON}\n${vendorTexts(ERRORS, "providers")}`;

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

Deno.test("deno task texts has every command, option, error and finding, each once, in at most 430 lines", () => {
  for (const name of Object.keys(COMMANDS)) assert(ALL.includes(`\n${name}`), name);
  for (const name of Object.keys(OPTIONS)) assert.match(COMMON, new RegExp(`--${name}\\b`), name);
  assert(ERRORS.length > 300, `${ERRORS.length} errors`);
  for (const error of ERRORS.filter(hasWords)) {
    const line = ALL.split("\n").some((one) => one.includes(error.message) && one.includes(error.hint ?? ""));
    assert(line, `${error.message} (${error.at})`);
  }
  const shown = ERRORS.find(({ code }) => code === "ENV_NOT_FOUND");
  assert.match(shown!.message, /^Cannot \{verb\} environment "\{env\}": /);
  const lines = COMMON.split("\n").filter(Boolean);
  assert(lines.length <= 430, `${lines.length} lines`);
  assert.deepEqual(lines.filter((line, at) => lines.indexOf(line) !== at), []);
  const vendors = ["neon", "turso", "redis-cloud", "vault"];
  for (const vendor of vendors) assert(vendorTexts(ERRORS, vendor).split("\n").length > 2, vendor);
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
