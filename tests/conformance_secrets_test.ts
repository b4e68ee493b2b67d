/** The suite's cases on secrets and backups catch providers that are broken on purpose: Doppler's, each with one fault. */
import assert from "node:assert/strict";
import doppler from "../providers/secrets/doppler.ts";
import { conformanceCases } from "./conformance.ts";
import { FAULTS } from "./faults.ts";
import { dopplerEmulator } from "./providers/_doppler.ts";

const { secrets, keep } = doppler;
const { secrets: _, ...withoutSecrets } = doppler;

const BROKEN: Record<string, { readonly provider: typeof doppler; readonly caughtBy: string }> = {
  "has no secrets": { provider: withoutSecrets, caughtBy: "what the kind or the marks need is claimed" },
  "reads one alone": {
    provider: broken({
      secrets: {
        ...secrets!,
        read: async (...args) => Object.fromEntries(Object.entries(await secrets!.read(...args)).slice(0, 1)),
      },
    }),
    caughtBy: "secrets.write() sets and removes, and read() tells",
  },
  "removes nothing": {
    provider: broken({
      secrets: {
        ...secrets!,
        write: (context, held, scope, changes) =>
          secrets!.write(
            context,
            held,
            scope,
            Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== null)),
          ),
      },
    }),
    caughtBy: "secrets.write() sets and removes, and read() tells",
  },
  "takes a failed write for done": {
    provider: broken({ secrets: { ...secrets!, write: (...args) => secrets!.write(...args).catch(() => {}) } }),
    caughtBy: "secrets.write() broken at any call can be repeated",
  },
  "takes what it can't read for empty": {
    provider: broken({ secrets: { ...secrets!, read: (...args) => secrets!.read(...args).catch(() => ({})) } }),
    caughtBy: "secrets.read() broken at any call tells the truth or throws",
  },
  "keeps nothing aside": {
    provider: broken({ keep: (_context, { id, name }) => Promise.resolve({ id, name }) }),
    caughtBy: "keep() puts a fork aside, its name free; delete() takes away what it kept",
  },
  "deletes what it says to keep": {
    provider: broken({
      async keep(context, fork, scope) {
        await doppler.delete(context, fork, scope);
        return { id: fork.id, name: fork.name };
      },
    }),
    caughtBy: "keep() broken at any call can be run again",
  },
  "does not know what it kept": {
    provider: broken({
      async keep(context, fork, scope) {
        const there = await doppler.inspect(context, { ...scope, ...fork, begunAt: fork.createdAt });
        return there.state === "absent" ? "absent" : await keep!(context, fork, scope);
      },
    }),
    caughtBy: "keep() broken at any call can be run again",
  },
};

function broken(fault: Partial<typeof doppler>): typeof doppler {
  return { ...doppler, ...fault };
}

for (const [what, { provider, caughtBy }] of Object.entries(BROKEN)) {
  Deno.test(`the suite catches a provider that ${what}`, async () => {
    const cases = conformanceCases({
      provider,
      emulator: dopplerEmulator(),
      options: { project: "myapp" },
      faults: FAULTS.map(({ name }) => name),
    });
    const found = cases.find(({ name }) => name === caughtBy);
    assert(found, `there is no case "${caughtBy}"`);
    await assert.rejects(found.run());
  });
}
