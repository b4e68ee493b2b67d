/**
 * Secrets at Doppler: from the command line to `getSecret()` in an application, against the emulator.
 */
import assert from "node:assert/strict";
import { parseEnv } from "node:util";
import { startDoppler } from "../emulators/doppler.ts";
import { origin } from "../emulators/origin.ts";
import { type Ended, NET, Place, run, runCommand } from "./run.ts";

const CANARY = "canary-0123456789";
const TOKEN = `dp.sa.${CANARY}`;

async function open() {
  const doppler = await startDoppler({ project: "shop", tokens: [TOKEN] });
  doppler.config("prd")!.secrets.set("API_KEY", `live ${CANARY}`).set("OTHER", `other ${CANARY}`);
  const secrets = { provider: "doppler", project: "shop", endpoint: doppler.url, exclude: ["LIVE_*"] };
  const place = await Place.make({ secrets });
  const shown: string[] = [];
  return {
    doppler,
    place,
    shown,
    async cli(args: string[], stdin?: string): Promise<Ended> {
      const env = { DOPPLER_TOKEN: TOKEN };
      const ended = await run(place.root, args, { env, stdin, allow: NET });
      shown.push(ended.stdout + ended.stderr);
      return ended;
    },
    async ok(args: string[], stdin?: string): Promise<string> {
      const { code, stdout, stderr } = await this.cli(args, stdin);
      assert.equal(code, 0, stdout + stderr);
      return stdout;
    },
    /** Runs an application; `mod` is where it imports mod.ts from. */
    async app(code: string, mod: string, env: Record<string, string> = {}): Promise<Ended> {
      await place.write(
        "app.ts",
        `import { getAllSecrets, getSecret, setSecret } from ${JSON.stringify(mod)};\n${code}`,
      );
      const permissions = ["--allow-read", "--allow-env", "--allow-net=127.0.0.1", "--allow-import=127.0.0.1"];
      const command = [
        Deno.execPath(),
        "run",
        "-q",
        "--no-config",
        "--no-lock",
        "--no-prompt",
        ...permissions,
        "app.ts",
      ];
      return await runCommand(place.root, command, { env });
    },
    async [Symbol.asyncDispose]() {
      await place[Symbol.asyncDispose]();
      await doppler[Symbol.asyncDispose]();
    },
  };
}

/** A Unix time that is not before an instant. */
function wholeSecond(at: string): string {
  return new Date(Math.ceil(Date.parse(at) / 1_000) * 1_000).toISOString();
}

Deno.test("doppler: new, secrets, extend, delete, list, doctor and purge", async () => {
  await using at = await open();
  const made = JSON.parse(await at.ok(["new", "alice", "--ttl", "1d", "--json"])).data;
  const [resource] = made.resources;
  assert.deepEqual([resource.title, resource.id], ["alice", `prd_alice:${at.doppler.config("prd_alice")!.slug}`]);
  const variables = parseEnv((await at.place.read(".env.local"))!);
  assert.deepEqual([variables.DOPPLER_PROJECT, variables.DOPPLER_CONFIG], ["shop", "prd_alice"]);
  const [token] = at.doppler.tokens;
  assert.deepEqual([variables.DOPPLER_TOKEN, token!.expires_at], [
    token!.key,
    wholeSecond(made.environment.expiresAt),
  ]);
  assert.deepEqual(at.doppler.requests.map(({ what }) => what), [
    "GET configs", // nothing stands at the name
    "POST configs/config/clone",
    "GET configs/config/secrets", // all that its parent shows
    "POST configs/config/secrets", // is its own now, but for what `exclude` matches
    "POST configs/config", // it is whole, and gets its name
    "GET configs", // it is there
    "POST configs/config/tokens",
  ]);
  assert.equal(await at.ok(["secrets", "list"]), "API_KEY\nOTHER\n");
  await at.ok(["secrets", "set", "API_KEY"], `mine ${CANARY}\n`);
  assert.match(await at.ok(["secrets", "diff", "alice", "prod"]), /^differs: API_KEY\n1 are the same/);
  assert.equal((await at.cli(["secrets", "set", "API_KEY", "prod"], "x")).code, 2, "prod is protected");
  await at.ok(["extend", "alice", "1d"]);
  const extended = parseEnv((await at.place.read(".env.local"))!);
  const newest = at.doppler.tokens.at(-1)!;
  assert.deepEqual([extended.DOPPLER_TOKEN, newest.expires_at], [
    newest.key,
    wholeSecond(extended.FORKSTACK_EXPIRES_AT!),
  ]);
  assert.notEqual(newest.expires_at, token!.expires_at);
  assert.equal(await at.ok(["doctor"]), "No problems found\n");

  const deleted = JSON.parse(await at.ok(["delete", "alice", "--yes", "--json"])).data;
  const { state, backup } = deleted.resources[0];
  assert.deepEqual([state, at.doppler.config(backup)?.environment], ["kept", "prd"]);
  assert.match(await at.ok(["list"]), new RegExp(`Backup of alice: secrets "${backup}:.*delete alice --purge`));
  assert.match(await at.ok(["doctor"]), /info: alice secrets: kept: .*\n.*delete alice --purge/);
  await at.ok(["new", "alice"]);
  assert.match(await at.ok(["delete", "alice", "--yes"]), /Kept secrets as a backup: "prd_kept-alice-/);
  assert.equal(at.doppler.configs.length, 5);
  assert.match(await at.ok(["delete", "alice", "--purge", "--dry-run"]), /Would delete the backups of alice/);
  assert.equal((await at.cli(["delete", "alice", "--purge"])).code, 2, "it asks");
  assert.match(await at.ok(["delete", "alice", "--purge", "--yes"]), /Deleted the backups of alice/);
  await at.ok(["new", "bob"]);
  assert.match(await at.ok(["delete", "bob", "--purge", "--yes"]), /^Deleted bob: 1 resource in/);
  assert.deepEqual(at.doppler.configs.map(({ name }) => name), ["dev", "stg", "prd"]);
  assert(!(await at.ok(["list"])).includes("Kept"));
  assert.equal((await at.cli(["delete", "alice", "--purge", "--yes"])).code, 4);

  for (const text of at.shown) {
    assert(!text.includes(CANARY), text);
    assert(!text.includes("dp.st."), text);
  }
  const leaked = ["registry.db", "registry.db-wal"].map((name) => at.place.read(`.forkstack/${name}`));
  for (const text of await Promise.all(leaked)) assert(!text?.includes(CANARY) && !text?.includes("dp.st."));
});

const LAST = `.then(String, (error) => error.code + ": " + error.message)`;

Deno.test("doppler: an application by URL gets every secret in one call, and its own environment's alone", async () => {
  await using at = await open();
  await using web = await origin();
  await at.ok(["new", "alice"]);
  await at.ok(["secrets", "set", "API_KEY"], `alice ${CANARY}`);
  at.doppler.requests.length = 0;
  const code = `
    const first = await getSecret("API_KEY");
    const again = await Promise.all([getSecret("OTHER"), getSecret("NONE", { default: "x" }), getSecret("API_KEY")]);
    const missing = await getSecret("NONE")${LAST};
    await setSecret("NEW", "it's new");
    console.log(JSON.stringify([first, again, missing, await getAllSecrets()]));`;
  const { stdout, stderr, code: status } = await at.app(code, `${web.url}/mod.ts`);
  assert.equal(status, 0, stderr);
  const [first, again, missing, all] = JSON.parse(stdout);
  assert.deepEqual([first, again], [`alice ${CANARY}`, [`other ${CANARY}`, "x", `alice ${CANARY}`]]);
  assert.match(missing, /^SECRET_MISSING: .*"NONE" of environment "alice"/);
  assert.deepEqual(all, { API_KEY: `alice ${CANARY}`, OTHER: `other ${CANARY}`, NEW: "it's new" });
  const asked = at.doppler.requests.map(({ what }) => what);
  assert.deepEqual(asked, [
    "GET configs/config/secrets/download",
    "POST configs/config/secrets",
    "GET configs/config/secrets/download",
  ]);
  assert(
    web.asked.includes("/providers/secrets/runtime/doppler.ts") && !web.asked.includes("/providers/secrets/doppler.ts"),
  );
});

Deno.test("doppler: an application is told of a token that is refused, or of another environment", async () => {
  await using at = await open();
  await at.ok(["new", "alice"]);
  await at.ok(["new", "bob", "--no-switch"]);
  const mod = new URL("../../mod.ts", import.meta.url).href;
  const code = `console.log(await getSecret("API_KEY")${LAST})`;
  const [alices, bobs] = ["alice", "bob"].map((env) =>
    at.doppler.tokens.find(({ config }) => config.name === `prd_${env}`)!
  );
  // The token alone, as a deployment has it, where no state is.
  await Deno.remove(at.place.path(".forkstack/envs/alice.env"));
  await Deno.remove(at.place.path(".env.local"));
  const aside = `${at.place.above}/state`;
  await Deno.rename(at.place.path(".forkstack"), aside);
  const cases: [env: Record<string, string>, says: RegExp][] = [
    [{ FORKSTACK_ENV: "alice", DOPPLER_TOKEN: alices!.key }, new RegExp(`^live ${CANARY}`)],
    [{ FORKSTACK_ENV: "alice", DOPPLER_TOKEN: bobs!.key }, /^ENV_CONFLICT: .*the token is for config "prd_bob"/],
    [{ FORKSTACK_ENV: "alice", DOPPLER_TOKEN: "dp.st.none" }, /^CREDENTIALS_REJECTED: .*refused/],
    [{ FORKSTACK_ENV: "alice" }, /^CREDENTIALS_MISSING: .*DOPPLER_TOKEN/],
    [{ FORKSTACK_ENV: "prod", DOPPLER_TOKEN: bobs!.key }, /^PROVIDER_REFUSED: .*400/],
    [{ FORKSTACK_ENV: "nobody", DOPPLER_TOKEN: TOKEN, DOPPLER_CONFIG: "prd_nobody" }, /^NOT_FOUND: .*"prd_nobody"/],
    [{ FORKSTACK_ENV: "alice", API_KEY: "from the process" }, /^from the process/],
  ];
  for (const [env, says] of cases) {
    const { stdout, stderr } = await at.app(code, mod, env);
    assert.match(stdout, says, stderr);
    if (!/live/.test(says.source)) assert(!(stdout + stderr).includes(CANARY));
  }
  await Deno.rename(aside, at.place.path(".forkstack"));
  // Where alice's own token is written, the person's own in the shell does not stand in the way.
  await at.ok(["switch", "alice"]);
  const { stdout, stderr } = await at.app(code, mod, { DOPPLER_TOKEN: TOKEN });
  assert.match(stdout, new RegExp(`^live ${CANARY}`), stderr);
});
