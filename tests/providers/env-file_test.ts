import assert from "node:assert/strict";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { envFileSecrets } from "../../mod.ts";
import provider from "../../providers/secrets/env-file.ts";
import { testProvider } from "../conformance.ts";
import { temporaryDirectory } from "../helpers.ts";
import { embeddedEmulator } from "./_embedded.ts";
import { Place, type Seed, testEmbedded } from "./_special.ts";

const seed: Seed = (path, sizeBytes) => writeFileSync(path, `KEY='${"x".repeat(sizeBytes)}'\n`);

testProvider({ provider, emulator: embeddedEmulator(provider) });
await testEmbedded(provider, seed);

Deno.test("env-file: a fork has mode 0600 whatever its parent's is, and the same bytes", async () => {
  using directory = temporaryDirectory();
  const place = new Place(provider, directory.path);
  const text = "# a comment\r\nA='1'\nexport B=\"two\\nlines\"\n\nC=ünï ✓\nNO_NEWLINE=1";
  writeFileSync(place.pathOf("dev"), text);
  chmodSync(place.pathOf("dev"), 0o644);
  await place.create();
  assert.equal(readFileSync(place.pathOf("alice"), "utf8"), text);
  assert.equal(statSync(place.pathOf("alice")).mode & 0o777, 0o600);
  assert.equal(statSync(place.pathOf("dev")).mode & 0o777, 0o644);
});

Deno.test("env-file: delete() takes the lock of a setSecret that died along", async () => {
  using directory = temporaryDirectory();
  const place = new Place(provider, directory.path);
  seed(place.pathOf("dev"), 1);
  const fork = await place.create();
  writeFileSync(`${place.pathOf("alice")}.lock`, "");
  assert.equal(await place.delete(fork), "deleted");
  assert.throws(() => statSync(`${place.pathOf("alice")}.lock`), { code: "ENOENT" });
});

Deno.test("env-file: a forked file holds any value that setSecret can be given", async () => {
  using directory = temporaryDirectory();
  const place = new Place(provider, directory.path);
  const values = ["\0", "a\r\nb", "\n'\"`", "#$'\"`\\", "forkstack-uri:%41", "", " ", "日本語 😀", "x\\"];
  const all = Object.fromEntries(values.map((value, i) => [`KEY_${i}`, value]));
  writeFileSync(place.pathOf("dev"), "# first\n");
  await envFileSecrets(place.pathOf("dev")).write(all);
  await place.create();
  assert.deepEqual(await envFileSecrets(place.pathOf("alice")).all(), all);
  assert.match(readFileSync(place.pathOf("alice"), "utf8"), /^# first\n/);
  await envFileSecrets(place.pathOf("alice")).write({ KEY_0: null, KEY_1: "1", KEY_2: null });
  const rest = Object.entries({ ...all, KEY_1: "1" }).filter(([key]) => key !== "KEY_0" && key !== "KEY_2");
  assert.deepEqual(await envFileSecrets(place.pathOf("alice")).all(), Object.fromEntries(rest));
});
