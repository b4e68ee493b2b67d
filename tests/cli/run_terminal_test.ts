/** `run` on a terminal: it is the program's, with its keys. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { commandOf, Place } from "./run.ts";
import { onTerminal, terminalTest } from "./terminal.ts";

const PROGRAM = ["python3", fileURLToPath(new URL("program.py", import.meta.url))];
const running = (...args: string[]) => commandOf(["run", "alice", "--", ...args]);
const [CTRL_C, CTRL_BACKSLASH, CTRL_Z] = ["\x03", "\x1c", "\x1a"];

async function shop(): Promise<Place> {
  const place = await Place.make();
  await place.ok("new", "alice");
  return place;
}

terminalTest("run leaves the terminal to the program: it asks for a word unseen, and reads a line", async () => {
  await using place = await shop();
  const { shown, code } = await onTerminal(place.root, running(...PROGRAM, "ask"), [
    { until: "terminals True True True\r\nWord: ", type: "drow\n" },
    { until: "Name: ", type: "alice\n" },
  ]);
  assert.deepEqual([shown.slice(shown.indexOf("Word")), code], ["Word: \r\nName: alice\r\ngot word alice\r\n", 0]);
});

terminalTest(
  "run: Ctrl-C reaches the program once each time that it is typed, and does not end what goes on",
  async () => {
    await using place = await shop();
    const { shown, code } = await onTerminal(place.root, running(...PROGRAM, "hear", "SIGINT", "SIGQUIT", "SIGTERM"), [
      { until: "ready", type: CTRL_C },
      { until: "heard SIGINT", type: CTRL_C },
      { until: "heard SIGINT", type: CTRL_BACKSLASH },
      { until: "heard SIGQUIT", signal: "SIGTERM" }, // of no terminal: handed on
      { until: "heard SIGTERM", signal: "SIGUSR2" }, // after all that came before it
    ]);
    const heard = shown.match(/(?<=heard )\w+/g);
    assert.deepEqual([heard, code], [["SIGINT", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR2"], 5]);
  },
);

terminalTest("run: Ctrl-C ends what it would end without run", async () => {
  await using place = await shop();
  const steps = [{ until: "begun 1", type: CTRL_C }];
  const { code, shown } = await onTerminal(
    place.root,
    running("sh", "-c", "echo begun $((0 + 1)); exec sleep 60"),
    steps,
  );
  assert.equal(code, 130, shown);
});

terminalTest("run: Ctrl-Z stops it in a shell, and fg goes on", async () => {
  await using place = await shop();
  const line = running(...PROGRAM, "hear", "SIGINT", "SIGCONT").map((word) => `'${word}'`).join(" ");
  const shell = ["bash", "--norc", "--noprofile", "-i"];
  const { shown, code } = await onTerminal(place.root, shell, [
    { until: "[#$] ", type: `${line}\n` },
    { until: "ready \\d+", type: CTRL_Z },
    { until: "Stopped(?s:.*)[#$] ", type: "fg\n" },
    { until: "heard SIGCONT", type: CTRL_C },
    { until: "heard SIGINT", type: CTRL_Z },
    { until: "Stopped(?s:.*)[#$] ", type: "kill -USR2 $(jobs -p); fg; exit $?\n" },
  ], { env: { TERM: "dumb" } });
  assert.match(shown, /heard SIGUSR2/);
  assert.equal(code, 5);
});
