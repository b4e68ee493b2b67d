/**
 * Help: each command has a page, and what it says is so.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import type { Arguments, Option } from "../../core/cli/command.ts";
import { COMMANDS, listedOptions, type OptionName, OPTIONS } from "../../core/cli/command_table.ts";
import { EXIT_CODES } from "../../core/cli/error_codes.ts";
import { DEFAULTS, PAGES } from "../../core/cli/help_pages.ts";
import { overview, page } from "../../core/cli/help.ts";
import { commandOf, IS_OTHER_PROGRAM, Place, run } from "./run.ts";
import { onTerminal, terminalTest } from "./terminal.ts";

const STYLE = { command: "forkstack " };
const NAMES = Object.keys(COMMANDS);
const ACTIONS = COMMANDS.secrets!.actions!;

Deno.test("each command has a page, and each page a command", () => {
  assert.deepEqual(Object.keys(PAGES).sort(), [...NAMES].sort());
});

Deno.test("a page names each argument, each option and, of one with a value, what holds without it", async () => {
  for (const name of NAMES) {
    const text = (await page(name, STYLE)).replace(/\s+/g, " ");
    const { arguments: takes } = COMMANDS[name]!;
    const labels = takes?.labels ?? [];
    assert.deepEqual(Object.keys(PAGES[name]!.meanings ?? {}).sort(), [...new Set(labels)].sort(), name);
    for (const option of listedOptions(COMMANDS[name]!)) {
      const { type }: Option = OPTIONS[option];
      assert(text.includes(`--${option} `), `${name} --${option}`);
      if (type === "string") assert(text.includes(`Default: ${DEFAULTS[option]}`), `${name} --${option}`);
    }
  }
  const withValue = (Object.keys(OPTIONS) as OptionName[]).filter((name) => OPTIONS[name].type === "string");
  assert.deepEqual(Object.keys(DEFAULTS).sort(), withValue.sort());
});

Deno.test("the overview fits 24 lines of 80 columns, names each command once, in its group, and the options of all once", () => {
  for (const command of ["forkstack ", "deno task envs:", "npm run envs:", "bunx forkstack "]) {
    const lines = overview({ command }).split("\n");
    assert(lines.length < 24, `${lines.length} lines and the prompt`);
    for (const line of lines) assert(line.length <= 80, line);
    for (const name of NAMES) {
      const own = lines.slice(3).filter((line) =>
        (line.slice(14, 34).match(/^[a-z, ]+/)?.[0].split(/[ ,]+/) ?? []).includes(name)
      );
      assert.equal(own.length, 1, name);
      const row = Object.entries(COMMANDS).find(([, one]) => one.row?.with.includes(name))?.[1].row;
      assert(own[0]!.endsWith(` ${(row ?? COMMANDS[name]!.row ?? COMMANDS[name]!).summary}`), name);
    }
    const heads = lines.slice(3).map((line) => line.slice(0, 14).trim()).filter((word) => /^[A-Z]\w+$/.test(word));
    assert.deepEqual(heads, ["Environments", "Data", "Team", "Project"]);
    assert.equal(lines.filter((line) => line.includes("--no-color")).length, 1);
  }
});

Deno.test("a page lists no option that does nothing for its command, and the command line takes it all the same", async () => {
  await using place = await Place.make();
  for (const name of ["list", "status", "switch", "extend", "permissions", "serve", "completions", "run"]) {
    assert.doesNotMatch(await page(name, STYLE), /--yes/, name);
  }
  for (const name of ["new", "delete", "reset", "prune", "doctor", "secrets", "trust", "init"]) {
    assert.match(await page(name, STYLE), /-y, --yes {2}/, name);
  }
  assert.doesNotMatch(await page("run", STYLE), /--json {2}/);
  await place.ok("list", "--yes");
});

Deno.test("other tools' words for a command lead to it, with the arguments that were given", async () => {
  await using place = await Place.make(null);
  const cases: [args: string[], meant: string, hint: string][] = [
    [["rm", "alice"], "delete", "forkstack delete alice"],
    [["create", "pr-42", "--from", "dev"], "new", "forkstack new pr-42 --from dev"],
    [["use", "alice"], "switch", "forkstack switch alice"],
    [["ls"], "list", "forkstack list"],
    [["checkout", "feature/my login"], "switch", 'forkstack switch "feature/my login"'],
    [["rm"], "delete", "forkstack delete --help"],
    [["use"], "switch", "forkstack switch --help"],
    [["exec"], "run", "forkstack run --help"],
    [["ls"], "list", "forkstack list"],
    [["gc", "--dry-run"], "prune", "forkstack prune --dry-run"],
    [["help", "rm"], "delete", "forkstack delete --help"],
  ];
  for (const [args, meant, hint] of cases) {
    const { code, stderr, stdout } = await place.run(...args);
    const word = args[0] === "help" ? args[1] : args[0];
    const said = `error: Cannot run "${word}": the command is called "${meant}"\n  hint: \`${hint}\`\n`;
    assert.deepEqual([code, stdout, stderr], [2, "", said]);
  }
  const { stdout } = await place.ok("version");
  assert.equal(stdout, (await place.ok("--version")).stdout);
  assert.match(stdout, /^\d+\.\d+\.\d+\S*\n$/);
});

Deno.test("what must be given stands in <>, what may be left out in [], and counts as such", () => {
  const all = NAMES.flatMap((name): Arguments[] => {
    const { arguments: takes, actions = {} } = COMMANDS[name]!;
    return [...takes === undefined ? [] : [takes], ...Object.values(actions)];
  });
  assert(all.length > 10);
  for (const { labels, min, max } of all) {
    assert.equal(labels.filter((label) => label.startsWith("<")).length, min, labels.join(" "));
    assert.equal(labels.length, max, labels.join(" "));
  }
});

Deno.test("each example of a page is a command line that the command takes", async () => {
  await using place = await Place.make();
  const lines = NAMES.flatMap((name) => {
    const examples = PAGES[name]!.examples.map(([line]) => line);
    assert(examples.length >= 2 && examples.length <= 4, name);
    assert(examples.every((line) => line.split(" ")[0] === name), name);
    return [...examples, COMMANDS[name]!.example];
  });
  for (const line of lines) {
    const words = line.replace(/ < .*/, "").replaceAll("'", "").split(" ");
    const own = words.includes("--") ? words.slice(0, words.indexOf("--")) : words;
    const { code, stderr } = await place.run(...own, "-h"); // parsed before the help is given
    assert.deepEqual([code, stderr], [0, ""], line);
    if (own[0] === "secrets") assert(Object.hasOwn(ACTIONS, own[1]!), line);
  }
  const { code } = await place.run("new", "alice", "--fro", "dev", "-h");
  assert.equal(code, 2, "a line that is not taken would be told");
});

Deno.test("a page tells the exit codes, the secrets' actions, and leads to what is there", async () => {
  for (const name of NAMES) {
    const { exits = {}, seeAlso } = PAGES[name]!;
    for (const [code, text] of Object.entries(exits)) {
      assert(text !== "" || Object.hasOwn(EXIT_CODES, code), `${name} ${code}`);
    }
    for (const one of seeAlso) {
      assert(
        Object.hasOwn(COMMANDS, one) || existsSync(new URL(`../../${one}`, import.meta.url)),
        `${name} leads to ${one}`,
      );
    }
    const text = await page(name, STYLE);
    for (const title of ["Usage", "Options", "Examples", "Exit codes", "See also"]) {
      assert(text.includes(`\n${title}:\n`), `${name}: ${title}`);
    }
    assert.doesNotMatch(text, /undefined|\u00a0/);
  }
  for (const action of Object.keys(ACTIONS)) assert(PAGES.secrets!.about.join(" ").includes(`${action} `), action);
});

Deno.test("--help and help tell all, -h stays short, a mistyped command is an error", async () => {
  await using place = await Place.make(null);
  const { stdout: full } = await place.ok("new", "--help");
  assert.equal((await place.ok("help", "new")).stdout, full);
  const { stdout: short } = await place.ok("new", "-h");
  assert(short.split("\n").length < 20 && full.split("\n").length > 40);
  assert.match(short, /\nMore: forkstack new --help\n$/);
  const mistyped = await place.run("help", "nwe");
  assert.equal(mistyped.code, 2);
  assert.match(mistyped.stderr, /unknown command; did you mean "new"\?/);
  const { stdout: task } = await run(place.root, ["list", "--help"], { env: { INIT_CWD: place.root } });
  const [called, other] = IS_OTHER_PROGRAM ? ["forkstack ", "deno task envs:"] : ["deno task envs:", "forkstack "];
  assert(task.startsWith(`Example:  ${called}list\n`), task);
  assert.doesNotMatch(task, new RegExp(`${other}(list|status|new)`));
  assert.equal(await place.digest(), "");
});

terminalTest("help is as wide as the terminal, at most 80, and never waits in a pager", async () => {
  await using place = await Place.make(null);
  const widest = (text: string) => Math.max(...text.split(/\r?\n/).map((line) => line.length));
  assert(widest((await place.ok("new", "--help")).stdout) <= 80);
  const env = { PAGER: "false", NO_COLOR: "1" };
  for (const [columns, least, most] of [[50, 40, 50], [200, 70, 80]] as const) {
    const command = ["sh", "-c", `stty cols ${columns}; exec "$@"`, "sh", ...commandOf(["new", "--help"])];
    const { shown, code } = await onTerminal(place.root, command, [], { env });
    assert.equal(code, 0);
    const prose = shown.split(/\r?\n/).filter((line) => /^[A-Z]/.test(line));
    assert(widest(prose.join("\n")) <= most && widest(prose.join("\n")) >= least, `${columns} columns`);
  }
});
