import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Marker, Target } from "../../core/provider.ts";
import provider from "../../providers/local/directory.ts";
import { type Emulator, testProvider } from "../conformance.ts";
import { realContext, temporaryDirectory } from "../helpers.ts";
import { embeddedEmulator } from "./_embedded.ts";
import { type Seed, testCopyOnWrite, testEmbedded, testTrees } from "./_special.ts";

const seed: Seed = (path, sizeBytes) => {
  mkdirSync(path);
  writeFileSync(join(path, "object"), new Uint8Array(sizeBytes));
};

testProvider({ provider, emulator: embeddedEmulator(provider) });
testTrees(provider);
await testEmbedded(provider, seed);
await testCopyOnWrite(provider, seed);

// ---- a directory that whoever uses it first makes

/** The same machine, for a stack that names no provider: what holds nothing may not be there. */
const lazily: Emulator = {
  worldsAtOnce: 4,
  async open(given) {
    const world = await embeddedEmulator(provider).open(given);
    const isThere = (name: string) => existsSync(join(world.root!, name));
    return {
      ...world,
      options: { make: "first use" },
      contentOf: (name) => isThere(name) ? world.contentOf!(name) : Promise.resolve("nothing"),
      change(name) {
        if (!isThere(name)) mkdirSync(join(world.root!, name));
        return world.change!(name);
      },
    };
  },
};
testProvider({ provider: { ...provider, name: "directory at first use" }, emulator: lazily }, { isVariant: true });

const MAKE = { make: "first use" } as const;

/** The fork of an environment, in a directory of its own. */
function alice(root: string, make: Target<typeof MAKE>["options"] = MAKE): Target<typeof MAKE> {
  const marker: Marker = { stack: "shop", env: "alice", resource: "local", operation: "run-1" };
  const begunAt = "2026-01-01T00:00:00.000Z";
  const name = "shop.alice.db";
  return { options: make, project: "shop", root, stack: "shop", resource: "local", name, marker, begunAt };
}

Deno.test("directory: a fork of nothing leaves nothing in the project until an application makes it, and is whole", async () => {
  using at = temporaryDirectory();
  const [context, target] = [realContext(), alice(at.path)];
  const path = join(at.path, target.name);
  const fork = await provider.create(context, target);
  assert.deepEqual(readdirSync(at.path), [".forkstack"]);
  assert.equal(fork.copy, "empty");
  assert.deepEqual(await provider.inspect(context, target), { state: "ready", fork });
  await provider.probe(context, fork, target);
  assert.deepEqual(await provider.usage!(context, fork, target), { sizeBytes: 0 });
  assert.deepEqual(await provider.outputs(context, fork, target), { LOCAL_PATH: path });
  mkdirSync(path);
  writeFileSync(join(path, "graph.bin"), "123");
  assert.deepEqual(await provider.inspect(context, target), { state: "ready", fork });
  assert.deepEqual(await provider.usage!(context, fork, target), { sizeBytes: 3 });
  const replacement = await provider.reset!(context, fork, target);
  assert.equal((await replacement.commit()).copy, "empty");
  assert.deepEqual(readdirSync(at.path), [".forkstack"], "as it began");
  mkdirSync(path);
  assert.equal(await provider.delete(context, fork, target), "deleted");
  assert.deepEqual([readdirSync(at.path), readdirSync(join(at.path, ".forkstack", "owners"))], [[".forkstack"], []]);
  assert.equal(await provider.delete(context, fork, target), "absent");
});

Deno.test("directory: a copy that is gone is no directory that nobody has used yet", async () => {
  using at = temporaryDirectory();
  const [context, target] = [realContext(), { ...alice(at.path), parent: "shop.dev.db" }];
  seed(join(at.path, "shop.dev.db"), 10);
  const fork = await provider.create(context, target);
  assert.notEqual(fork.copy, "empty");
  await Deno.remove(join(at.path, target.name), { recursive: true });
  assert.equal((await provider.inspect(context, target)).state, "deleting");
});

Deno.test("directory: what a stack names itself is made at once, and gone where it is gone", async () => {
  using at = temporaryDirectory();
  const [context, target] = [realContext(), { ...alice(at.path), options: { make: "at once" } as const }];
  const fork = await provider.create(context, target);
  assert.deepEqual(readdirSync(join(at.path, target.name)), []);
  await Deno.remove(join(at.path, target.name));
  assert.equal((await provider.inspect(context, target)).state, "deleting");
  await assert.rejects(() => provider.probe(context, fork, target), /there is no directory/);
});
