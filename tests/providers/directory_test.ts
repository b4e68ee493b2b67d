import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import provider from "../../providers/local/directory.ts";
import { testProvider } from "../conformance.ts";
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
