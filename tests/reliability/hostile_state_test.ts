/**
 * A project whose registry, owners' files or other state a stranger has written: nothing outside the project changes,
 * nothing of the base environment, nothing is unexpected, and nothing moves a cursor. `FORKSTACK_TEST_SEED=row:17` tells
 * one case again.
 */
import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import process from "node:process";
import { sized } from "../sizes.ts";
import { asProcess, inProcess, Template, violationsOf } from "./_hostile.ts";
import type { Part } from "./_hostile_state.ts";
import type { Cases } from "./_hostile_worker.ts";

const AT_ONCE = 50;

/** Runs cases on all processors; what is wrong with any. */
async function runCases(part: Part, count: number, isReal = false): Promise<string[]> {
  const found: string[] = [];
  const size = Math.min(AT_ONCE, Math.ceil(count / availableParallelism()));
  let next = 0;
  async function runThread(): Promise<void> {
    const thread = new Worker(new URL("./_hostile_worker.ts", import.meta.url).href, { type: "module" });
    try {
      while (next < count && found.length === 0) {
        const first = next;
        next = Math.min(count, next + size);
        const seeds = Array.from({ length: next - first }, (_, at) => first + at);
        found.push(...await ask(thread, { part, seeds, isReal }));
      }
    } finally {
      thread.terminate();
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, runThread));
  return found;
}

function ask(thread: Worker, cases: Cases): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    thread.onmessage = ({ data }) => resolve(data);
    thread.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`${cases.part} ${cases.seeds[0]} and following: ${event.message}`));
    };
    thread.postMessage(cases);
  });
}

const one = process.env.FORKSTACK_TEST_SEED;
if (one !== undefined) {
  Deno.test(`the case ${one}`, async () => {
    const [part, seed] = one.split(":");
    using template = await Template.make();
    for (const run of [inProcess, asProcess]) {
      assert.deepEqual(await violationsOf(template, part as Part, Number(seed), run), []);
    }
  });
} else {
  const all: readonly (readonly [Part, number, string])[] = [
    ["row", sized({ gate: 120, full: 2_000 }), "registries with one field that a stranger has written"],
    ["registry", sized({ gate: 20, full: 120 }), "registries with another schema, or other bytes"],
    ["owner", sized({ gate: 20, full: 150 }), "owners' files with one field that a stranger has written"],
    ["files", sized({ gate: 20, full: 150 }), "files of variables, keys and pointers that a stranger has written"],
  ];
  for (const [part, count, name] of all) {
    Deno.test(`${count} ${name}: nothing but the project's own changes, and nothing is unexpected`, async () => {
      assert.deepEqual(await runCases(part, count), []);
    });
  }
  const real = sized({ gate: 4, full: 50 });
  Deno.test(`${real} of the registries, by real processes`, async () => {
    assert.deepEqual(await runCases("row", real, true), []);
  });
}
