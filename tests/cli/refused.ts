/** What the command line refuses, and how. */
import assert from "node:assert/strict";
import { type Place, run, type RunOptions } from "./run.ts";

/** How it is refused: the exit code, the error's code, and what the person reads. */
export interface Refusal {
  readonly code: number;
  readonly error: string;
  readonly says: RegExp;
  readonly hint: RegExp;
}

/** Runs what must be refused, as text and with `--json`, and compares the directory before and after. */
export async function refused(place: Place, args: string[], wanted: Refusal, options?: RunOptions): Promise<void> {
  const before = await place.digest();
  const [human, json] = [await run(place.root, args, options), await run(place.root, [...args, "--json"], options)];
  const what = `${args.join(" ")}: ${human.stderr}`;
  assert.equal(human.stdout, "", what);
  assert.equal(human.stderr.match(/^error: /gm)?.length, 1, what);
  assert.match(human.stderr, wanted.says, what);
  assert.match(/^ {2}hint: (.*)/m.exec(human.stderr)?.[1] ?? "", wanted.hint, what);
  assert.doesNotMatch(human.stderr, /This should not happen| {4}at /, what);
  const { error, ok } = JSON.parse(json.stdout);
  assert.deepEqual([ok, error.code, human.code, json.code], [false, wanted.error, wanted.code, wanted.code], what);
  assert(human.stderr.startsWith(`error: ${error.message}\n`), what);
  assert.equal(await place.digest(), before, `${args.join(" ")} changed something`);
}
