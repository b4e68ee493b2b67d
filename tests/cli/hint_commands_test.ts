/**
 * Every command line in a hint, a finding or a next step, brought about in a project of its own and run as it is printed.
 * The texts are read from the sources' syntax trees: one that is neither run here nor named below fails the test.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { commandTexts } from "../../tools/gen/error_texts.ts";
import { NOT_RUN, OTHER_PROGRAMS } from "./hints_not_run.ts";
import { IS_OTHER_PROGRAM, NET, Place, run, runCommand } from "./run.ts";
import { SCENARIOS, type Told, wordsOf } from "./hint_scenarios.ts";
import { AT_VENDORS, atTurso, OF_GIT } from "./hint_scenarios_apart.ts";

/** The command lines that a text names. */
function commandsOf(printed: string): string[] {
  const found = Array.from(printed.matchAll(/`((?:forkstack|git|find|deno run|unset) [^`]+)`/g), ([, line]) => line!);
  return [...new Set(found)];
}

/** Runs one as a person does, who says yes to a question. */
async function paste(place: Place, line: string, { cwd = place.root, options = {} }: Told): Promise<[number, string]> {
  const [program, ...args] = wordsOf(line);
  if (program !== "forkstack") {
    const { code, stderr } = await runCommand(cwd, ["sh", "-c", line], options);
    return [code ?? -1, stderr];
  }
  const isServer = args[0] === "serve";
  const stop = isServer ? { onStderr: (_: string, kill: (signal: Deno.Signal) => void) => kill("SIGTERM") } : {};
  const takesInput = args[0] === "secrets" && args[1] === "set";
  const { stdin, ...rest } = options;
  const given = takesInput ? { ...rest, stdin } : { ...rest, ...stop };
  const first = await run(cwd, args, given);
  if (isServer) return [0, first.stderr];
  if (!/there is no terminal\n|: not trusted yet/.test(first.stderr)) return [first.code ?? -1, first.stderr];
  const second = await run(cwd, [...args, "--yes"], given);
  return [second.code ?? -1, second.stderr];
}

const TEXTS = await commandTexts(fileURLToPath(new URL("../../", import.meta.url)));

/** Returns true if a text was printed: its variable parts are anything. */
function isIn(printed: string, { text }: { readonly text: string }): boolean {
  const pattern = text.split("{}").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("[^]{0,400}?");
  return new RegExp(pattern).test(printed);
}

const printed: string[] = [];

/** Pastes each command of what was printed. */
async function check(place: Place, told: Told): Promise<void> {
  const lines = commandsOf(told.text);
  assert(lines.length > 0, told.text);
  await told.mend?.();
  for (const line of lines) {
    const [code, stderr] = await paste(place, line, told);
    const isFinding = code === 1 && line.includes(" doctor");
    assert(
      code === 0 || isFinding || told.codes?.includes(code),
      `${line} ended with ${code}: ${stderr}\n${told.text}`,
    );
    assert.doesNotMatch(stderr, /unknown command|has no option|one argument too many|was named/, line);
  }
  printed.push(told.text);
}

function test(name: string, work: () => Promise<void>): void {
  Deno.test({ name: `hints work as they are pasted: ${name}`, ignore: IS_OTHER_PROGRAM, fn: work });
}

for (const [name, { config, run: bringAbout }] of Object.entries(SCENARIOS)) {
  test(name, async () => {
    await using place = await Place.make(config);
    await check(place, await bringAbout(place));
  });
}

for (const [name, bringAbout] of Object.entries(OF_GIT)) {
  test(name, async () => {
    const { place, told } = await bringAbout();
    await using _ = place;
    await check(place, told);
  });
}

for (const [name, { open = atTurso, run: bringAbout }] of Object.entries(AT_VENDORS)) {
  test(name, async () => {
    await using place = await Place.make();
    const { config, env, ends } = await open(place);
    await using _ = ends;
    await place.write("forkstack.json", JSON.stringify({ project: "shop", ...config }));
    await check(place, await bringAbout(place, { env, allow: NET }));
  });
}

Deno.test({
  name: "every text with a command is run above, or named with the reason why not",
  ignore: IS_OTHER_PROGRAM,
}, () => {
  const everything = printed.join("\n");
  const named = new Map(Object.entries(NOT_RUN).flatMap(([why, texts]) => texts.map((one) => [one, why] as const)));
  const isOthers = ({ text }: { text: string }) =>
    Array.from(text.matchAll(/`([a-z][a-z0-9]*) /g), ([, program]) => program!).some((one) =>
      Object.hasOwn(OTHER_PROGRAMS, one)
    );
  const left = TEXTS.filter((one) => !isIn(everything, one) && !named.has(one.text) && !isOthers(one));
  assert.deepEqual(left.map(({ text, at }) => `${JSON.stringify(text)} (${at.join(", ")})`), []);
  for (const text of named.keys()) assert(TEXTS.some((one) => one.text === text), `no text is ${JSON.stringify(text)}`);
  for (const program of Object.keys(OTHER_PROGRAMS)) {
    assert(TEXTS.some(({ text }) => text.includes(`\`${program} `)), `no text names ${program}`);
  }
});
