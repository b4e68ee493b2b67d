/** A first command that cannot fetch what it needs. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { IS_OTHER_PROGRAM, Place, run, useProcesses } from "./run.ts";

useProcesses();

const NOWHERE = { NPM_CONFIG_REGISTRY: "http://127.0.0.1:1" };

Deno.test("a package that cannot be fetched is told as that, and nothing is made", {
  ignore: IS_OTHER_PROGRAM, // holds its packages
}, async () => {
  await using place = await Place.make();
  const before = await place.digest();
  const cache = `${place.above}/cache`;
  await mkdir(cache);
  const env = { ...NOWHERE, DENO_DIR: cache };
  const { code, stderr } = await run(place.root, ["new", "alice"], { env });
  assert.equal(code, 6, stderr);
  assert.match(
    stderr,
    /^error: Cannot fetch "valibot(@[\d.]+)?": error sending request for url \(http:\/\/127\.0\.0\.1:1\/.*\n/,
  );
  assert.match(stderr, /\n {2}hint: .*DENO_TLS_CA_STORE=system/);
  assert.doesNotMatch(stderr, /This should not happen|\\n|\\u\{/);
  assert.equal(await place.digest(), before);
  const json = await run(place.root, ["new", "alice", "--json"], { env });
  const { error: { code: name, retryable } } = JSON.parse(json.stdout);
  assert.deepEqual([json.code, name, retryable], [6, "PACKAGE_UNAVAILABLE", true]);
});
