/**
 * Secrets in Vault and in AWS Secrets Manager: from the command line to `getSecret()` in an application, on emulators.
 */
import assert from "node:assert/strict";
import { parseEnv } from "node:util";
import { fileURLToPath } from "node:url";
import { startAws } from "../emulators/aws_secrets.ts";
import { origin } from "../emulators/origin.ts";
import { startVault } from "../emulators/vault.ts";
import { type Ended, NET, Place, run, runCommand } from "./run.ts";

const CANARY = "canary-0123456789";
const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));

async function cli(place: Place, env: Record<string, string>, args: string[], stdin?: string): Promise<Ended> {
  const ended = await run(place.root, args, { env, stdin, allow: NET });
  for (const text of [ended.stdout, ended.stderr]) assert(!text.includes(CANARY), text);
  return ended;
}

async function ok(place: Place, env: Record<string, string>, args: string[], stdin?: string): Promise<string> {
  const { code, stdout, stderr } = await cli(place, env, args, stdin);
  assert.equal(code, 0, stdout + stderr);
  return stdout;
}

const APP = `
  const said = (work) => work.then(String, (error) => error.code + ": " + error.message);
  const values = await Promise.all(["A", "B", "NONE"].map((key) => said(getSecret(key))));
  await setSecret("A", "set by the app");
  console.log(JSON.stringify([...values, await getSecret("A"), Object.keys(await getAllSecrets()).sort()]));`;

/** An application, with the dependencies of this repository or, by URL, with none. */
async function app(place: Place, env: Record<string, string>, byUrl: boolean): Promise<unknown[]> {
  await using web = await origin();
  const mod = byUrl ? `${web.url}/mod.ts` : new URL("../../mod.ts", import.meta.url).href;
  await place.write("app.ts", `import { getAllSecrets, getSecret, setSecret } from ${JSON.stringify(mod)};\n${APP}`);
  const config = byUrl ? ["--no-config", "--no-lock", "--allow-import=127.0.0.1"] : ["-c", CONFIG];
  const permissions = ["--allow-read", "--allow-env", "--allow-net=127.0.0.1"];
  const command = [Deno.execPath(), "run", "-q", ...config, ...permissions, "app.ts"];
  const { code, stdout, stderr } = await runCommand(place.root, command, { env });
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

Deno.test("vault: new, secrets, an application by AppRole, and delete", async () => {
  const appRole = { roleId: "app-role", secretId: `app-secret-${CANARY}` };
  const token = `hvs.${CANARY}`;
  await using vault = await startVault({ tokens: { [token]: Infinity }, appRole });
  vault.put("shop/prod/A", { value: `live ${CANARY}` });
  vault.put("shop/prod/more", { B: `b ${CANARY}`, LIVE_KEY: CANARY });
  await using place = await Place.make({ secrets: { provider: "vault", endpoint: vault.url, exclude: ["LIVE_*"] } });
  const env = { VAULT_TOKEN: token };
  await ok(place, env, ["new", "alice"]);
  const variables = parseEnv((await place.read(".env.local"))!);
  assert.deepEqual([variables.VAULT_ADDR, variables.VAULT_SECRETS_PATH], [vault.url, "secret/shop/alice"]);
  assert.equal(await ok(place, env, ["secrets", "list"]), "A\nB\n");
  await ok(place, env, ["secrets", "set", "A"], `alice ${CANARY}\n`);
  assert.match(
    await ok(place, env, ["secrets", "diff", "alice", "prod"]),
    /^only in prod: LIVE_KEY\ndiffers: A\n1 are/,
  );
  const role = { VAULT_ROLE_ID: appRole.roleId, VAULT_SECRET_ID: appRole.secretId };
  const missing =
    'SECRET_MISSING: Cannot read secret "NONE" of environment "alice" (decided by .current-env): it is not set';
  assert.deepEqual(await app(place, role, true), [`alice ${CANARY}`, `b ${CANARY}`, missing, "set by the app", [
    "A",
    "B",
  ]]);
  assert.deepEqual(vault.dataOf("shop/prod/A"), { value: `live ${CANARY}` });
  assert.equal(await ok(place, env, ["doctor"]), "No problems found\n");
  await ok(place, env, ["reset", "alice", "--yes"]);
  assert.match(await ok(place, env, ["secrets", "diff", "alice", "prod"]), /^only in prod: LIVE_KEY\n2 are/);
  await ok(place, env, ["delete", "alice", "--yes"]);
  assert.deepEqual([...vault.keys.keys()], ["shop/prod/A", "shop/prod/more"]);
  for (const none of [{ VAULT_TOKEN: "hvs.none" }, {}] as Record<string, string>[]) {
    const denied = await cli(place, none, ["new", "bob"]);
    assert.equal(denied.code, 3, denied.stderr);
    assert.match(denied.stderr, /the token has expired, or may not do that|VAULT_TOKEN is not set/);
  }
  assert.match(await ok(place, env, ["list"]), /No environments yet/);
});

Deno.test("aws-secrets: new, secrets, an application, delete with a window, and purge", async () => {
  const keys = { AWS_ACCESS_KEY_ID: "AKIAEXAMPLE", AWS_SECRET_ACCESS_KEY: `secret-${CANARY}` };
  const region = "eu-central-1";
  await using aws = await startAws({
    region,
    keys: { AKIAEXAMPLE: { secret: keys.AWS_SECRET_ACCESS_KEY } },
    lagMs: 300_000,
    takenMs: 0,
  });
  aws.put("shop/prod/A", `live ${CANARY}`);
  aws.put("shop/prod/B", `b ${CANARY}`);
  await using place = await Place.make({ secrets: { provider: "aws-secrets", region, endpoint: aws.url } });
  await ok(place, keys, ["new", "alice"]);
  const variables = parseEnv((await place.read(".env.local"))!);
  assert.deepEqual([variables.SECRETS_PREFIX, variables.SECRETS_REGION], ["shop/alice/", region]);
  await ok(place, keys, ["secrets", "set", "A"], `alice ${CANARY}\n`);
  assert.match(await ok(place, keys, ["secrets", "diff", "alice", "prod"]), /^differs: A\n1 are/);
  const missing =
    'SECRET_MISSING: Cannot read secret "NONE" of environment "alice" (decided by .current-env): it is not set';
  assert.deepEqual(await app(place, keys, false), [`alice ${CANARY}`, `b ${CANARY}`, missing, "set by the app", [
    "A",
    "B",
  ]]);
  assert.match(await ok(place, keys, ["delete", "alice", "--yes"]), /Kept secrets as a backup/);
  assert(
    [...aws.secrets.values()].every(({ name, deletedAt }) =>
      name.startsWith("shop/prod/") === (deletedAt === undefined)
    ),
  );
  assert.match(await ok(place, keys, ["list"]), /Backup of alice: secrets/);
  await ok(place, keys, ["delete", "alice", "--purge", "--yes"]);
  assert.deepEqual([...aws.secrets.keys()], ["shop/prod/A", "shop/prod/B"]);
  const denied = await cli(place, { ...keys, AWS_ACCESS_KEY_ID: "AKIANONE" }, ["new", "bob"]);
  assert.equal(denied.code, 3, denied.stderr);
  assert.match(denied.stderr, /the credentials were refused/);
});
