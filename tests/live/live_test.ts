/** The live run itself, against an emulator in the place of a vendor. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runCommand } from "../cli/run.ts";
import { startTurso } from "../emulators/turso.ts";
import { temporaryDirectory } from "../helpers.ts";
import { seedFile } from "../providers/_turso.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const live = (env: Record<string, string>) =>
  runCommand(ROOT, [Deno.execPath(), "task", "-q", "test:live", "--no-check"], { env: { ...env, NO_COLOR: "1" } });

Deno.test("test:live without credentials fails, and says what it needs", async () => {
  const named = await live({ FORKSTACK_LIVE: "turso" });
  assert.notEqual(named.code, 0);
  assert.match(named.stdout, /A live run of turso needs TURSO_API_TOKEN, FORKSTACK_LIVE_PARENT/);
  const unnamed = await live({});
  assert.notEqual(unnamed.code, 0);
  assert.match(unnamed.stdout, /FORKSTACK_LIVE must name a provider; it is ""/);
});

Deno.test("test:live runs the suite by the credentials and options of its variables, and leaves nothing behind", async () => {
  using directory = temporaryDirectory();
  const seed = join(directory.path, "seed.db");
  seedFile(seed);
  await using turso = await startTurso({ organization: "o", tokens: { "a.live.token": undefined }, settling: 0 });
  turso.add("shop", seed);
  const { code, stdout } = await live({
    FORKSTACK_LIVE: "turso",
    FORKSTACK_LIVE_PARENT: "shop",
    FORKSTACK_LIVE_OPTIONS: JSON.stringify({ organization: "o", endpoint: turso.url }),
    TURSO_API_TOKEN: "a.live.token",
  });
  assert.equal(code, 0, stdout.slice(0, 6_000));
  const [, passed] = /ok \| (\d+) passed \| 0 failed/.exec(stdout) ?? [];
  assert(Number(passed) >= 20, stdout.slice(-300));
  assert.deepEqual([...turso.databases.keys()], ["shop"]);
  assert(turso.requests.length > 500);
});
