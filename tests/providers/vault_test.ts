import assert from "node:assert/strict";
import provider from "../../providers/secrets/vault.ts";
import { testProvider } from "../conformance.ts";
import { startVault, type VaultOptions } from "../emulators/vault.ts";
import { jsonRequest, Specification, testSpecification, withErrors } from "../emulators/specification.ts";
import { CANARY, refuses, Shop } from "./_secrets.ts";
import { vaultEmulator } from "./_vault.ts";

/** Durations are Go's ("1h0m0s"), not ISO 8601's; successes alone are known, and neither `/v1` nor slashes in a path. */
const SPECIFICATION = Specification.read("vault.json", {
  base: "/v1",
  correct(specification) {
    withErrors(specification);
    for (const one of ["WriteMetadataRequest", "ReadMetadataResponse"]) {
      delete specification.components.schemas[`KvV2${one}`].properties.delete_version_after.format;
    }
  },
  pathOf(path) {
    const [, kind, name, end] = /^\/secret\/(data|metadata)\/(.*?)(\/?)$/.exec(path) ?? [];
    return kind === undefined ? path : `/secret/${kind}/${name!.replaceAll("/", "%2F")}${end}`;
  },
});

testProvider({ provider, emulator: vaultEmulator(SPECIFICATION) });

// A policy that changes nothing, so that a whole fork still is like its parent.
const policy = { exclude: ["NO_SUCH_*"], override: { API_KEY: { from: "API_KEY" } } };
testProvider({ provider, emulator: vaultEmulator(SPECIFICATION), options: policy }, {
  as: "vault with a policy",
  only: /^(goes from|two creates)/,
});

testSpecification("vault", SPECIFICATION, {
  request: jsonRequest("http://vault.example/v1/secret/data/x", "POST"),
  sent: JSON.stringify({ data: {}, version: "one" }),
  is: /version: must be integer/,
});

const TOKEN = `hvs.${CANARY}`;

async function openShop(more: Partial<VaultOptions> = {}, options: object = {}, credentials?: Record<string, string>) {
  const vault = await startVault({ tokens: { [TOKEN]: Infinity }, ...more });
  const shop = new Shop(provider, { endpoint: vault.url, ...options }, credentials ?? { VAULT_TOKEN: TOKEN });
  vault.now = () => shop.now;
  return { vault, shop, [Symbol.asyncDispose]: () => vault[Symbol.asyncDispose]() };
}

Deno.test("vault: a fork of 1,000 secrets, eight calls at once, within a quota", async () => {
  await using at = await openShop({ quota: 2_000 });
  for (let i = 0; i < 1_000; i++) at.vault.put(`shop/prod/group-${i % 10}/KEY_${i}`, { value: `${CANARY} ${i}` });
  let [running, most] = [0, 0];
  const context = at.shop.context();
  const counted = async (request: Request) => {
    most = Math.max(most, ++running);
    return await context.fetch(request).finally(() => running--);
  };
  const fork = await at.shop.create(at.shop.target("alice"), { ...context, fetch: counted });
  assert(most <= 8, `${most} at once`);
  assert(at.shop.slept > 0 && at.vault.requests.some(({ status }) => status === 429), "the quota was met");
  const secrets = await at.shop.secretsOf(fork);
  assert.equal(Object.keys(secrets).length, 1_000);
  assert.deepEqual(at.vault.dataOf("shop/alice/group-7/KEY_997"), { value: `${CANARY} 997` });
  assert.deepEqual(at.vault.keys.get("shop/alice/group-7/KEY_997")!.custom?.forkstack, fork.id);
  assert.equal(await provider.delete(at.shop.context(), fork, at.shop.scope()), "deleted");
  assert.deepEqual([...at.vault.keys.keys()].filter((path) => path.startsWith("shop/alice/")), []);
});

Deno.test("vault: the policy reaches into entries; what is no text stays what it is", async () => {
  await using at = await openShop();
  at.vault.put("shop/prod/app", {
    STRIPE_LIVE_KEY: `live ${CANARY}`,
    STRIPE_KEY: `live ${CANARY}`,
    POOL: 5,
    FLAGS: { a: [1] },
  });
  at.vault.put("shop/prod/STRIPE_LIVE_HOOK", { value: `live ${CANARY}` });
  at.vault.put("shop/prod/nested/STRIPE_TEST_KEY", { value: "sk_test" });
  const override = { STRIPE_KEY: { from: "STRIPE_TEST_KEY" }, LOG: "debug" };
  const fork = await at.shop.create(at.shop.target("alice", {}, { exclude: ["STRIPE_LIVE_*"], override }));
  assert.deepEqual(at.vault.dataOf("shop/alice/app"), { STRIPE_KEY: "sk_test", POOL: 5, FLAGS: { a: [1] } });
  const all = { FLAGS: '{"a":[1]}', LOG: "debug", POOL: "5", STRIPE_KEY: "sk_test", STRIPE_TEST_KEY: "sk_test" };
  assert.deepEqual(await at.shop.secretsOf(fork), all);
  assert(
    ![...at.vault.keys].some(([path, key]) =>
      path.startsWith("shop/alice/") && JSON.stringify([...key.versions]).includes("live")
    ),
  );
  await at.shop.write(fork, { POOL: "7", NEW: "1", LOG: null, FLAGS: null });
  assert.deepEqual(at.vault.dataOf("shop/alice/app"), { STRIPE_KEY: "sk_test", POOL: 7 });
  assert.deepEqual(at.vault.keys.get("shop/alice/NEW")!.custom?.forkstack, fork.id);
});

Deno.test("vault: an AppRole logs in once a run; a bad one, and a missing token, are told", async () => {
  const appRole = { roleId: `role-${CANARY}`, secretId: `secret-${CANARY}` };
  const credentials = { VAULT_ROLE_ID: appRole.roleId, VAULT_SECRET_ID: appRole.secretId };
  await using at = await openShop({ appRole }, {}, credentials);
  at.vault.put("shop/prod/A", { value: CANARY });
  const context = at.shop.context();
  const fork = await at.shop.create(at.shop.target("alice"), context);
  await provider.probe(context, fork, at.shop.scope());
  assert.deepEqual(at.vault.requests.filter(({ what }) => what.endsWith("login")).length, 1);
  assert.equal(at.vault.minted.length, 1);
  const bad = at.shop.context({ ...credentials, VAULT_SECRET_ID: `wrong-${CANARY}` });
  await refuses(
    at.shop.create(at.shop.target("bob"), bad),
    "PROVIDER_REFUSED",
    /log in by AppRole.*invalid role or secret ID/s,
  );
  const none = at.shop.context({ VAULT_ROLE_ID: appRole.roleId });
  await refuses(
    at.shop.create(at.shop.target("bob"), none),
    "CREDENTIALS_MISSING",
    /VAULT_TOKEN is not set.*VAULT_ROLE_ID/s,
  );
});

Deno.test("vault: a namespace and a mount of one's own", async () => {
  await using at = await openShop({ namespace: "team-a", mount: "kv/apps" }, {
    namespace: "team-a/",
    mount: "kv/apps",
  });
  at.vault.put("shop/prod/A", { value: CANARY });
  const fork = await at.shop.create(at.shop.target("alice"));
  assert.deepEqual(await at.shop.secretsOf(fork), { A: CANARY });
  assert.deepEqual(await provider.outputs(at.shop.context(), fork, at.shop.scope()), {
    VAULT_ADDR: at.vault.url,
    VAULT_NAMESPACE: "team-a/",
    VAULT_SECRETS_PATH: "kv/apps/shop/alice",
  });
  const elsewhere = at.shop.target("bob", {}, { namespace: "team-b" });
  await refuses(at.shop.create(elsewhere), "NOT_FOUND", /no KV engine of version 2 at "kv\/apps".*404.*no handler/s);
});

Deno.test("vault: what somebody else put into a fork is left, and said; what was put beside it refuses a fork", async () => {
  await using at = await openShop();
  at.vault.put("shop/prod/A", { value: CANARY });
  const fork = await at.shop.create(at.shop.target("alice"));
  at.vault.put("shop/alice/THEIRS", { value: CANARY }, { team: "x" });
  assert.equal(await provider.delete(at.shop.context(), fork, at.shop.scope()), "deleted");
  assert.deepEqual([...at.vault.keys.keys()], ["shop/prod/A", "shop/alice/THEIRS"]);
  assert.match(at.shop.warned.join(), /Left in "secret\/shop\/alice\/": 1 secret is there/);
  await refuses(at.shop.create(at.shop.target("alice")), "FOREIGN", /1 secret is there that forkstack did not make/);
});

Deno.test("vault: an entry that appears in the middle of a copy is not overwritten, and stays without our mark", async () => {
  await using at = await openShop();
  at.vault.put("shop/prod/A", { value: CANARY });
  const context = at.shop.context();
  const raced = async (request: Request) => {
    if (request.method === "POST" && request.url.endsWith("/data/shop/alice/A")) {
      at.vault.put("shop/alice/A", { value: "theirs" }, at.vault.keys.get("shop/alice/A")!.custom);
    }
    return await context.fetch(request);
  };
  const target = at.shop.target("alice");
  await refuses(at.shop.create(target, { ...context, fetch: raced }), "FOREIGN", /somebody else put one there/);
  const seen = await provider.inspect(at.shop.context(), target);
  assert.equal(seen.state, "pending");
  if (seen.state === "pending") await provider.delete(at.shop.context(), seen.fork, at.shop.scope());
  assert.deepEqual(at.vault.dataOf("shop/alice/A"), { value: "theirs" });
});

Deno.test("vault: one key in two entries is an error, not a guess", async () => {
  await using at = await openShop();
  at.vault.put("shop/prod/a/KEY", { value: CANARY });
  at.vault.put("shop/prod/b", { KEY: CANARY, OTHER: "1" });
  await refuses(at.shop.create(at.shop.target("alice")), "CONFLICT", /"KEY".*in "b" and in "a\/KEY".*Rename/s);
  assert.equal(at.vault.keys.size, 2);
});

const REFUSALS: Record<
  string,
  {
    code: string;
    says: RegExp;
    break?: (at: Awaited<ReturnType<typeof openShop>>) => void;
    token?: string;
    options?: object;
  }
> = {
  "a token that is none": {
    code: "CREDENTIALS_DENIED",
    token: "hvs.none",
    says: /has expired, or may not.*403.*invalid token/s,
  },
  "an expired token": { code: "CREDENTIALS_DENIED", token: "hvs.old", says: /403/ },
  "a mount that is not there": {
    code: "NOT_FOUND",
    options: { mount: "kv" },
    says: /version 2 at "kv".*secrets\.mount/s,
  },
  "a sealed Vault": {
    code: "PROVIDER_UNAVAILABLE",
    break: ({ vault }) => void (vault.sealed = true),
    says: /503.*sealed/s,
  },
  "a parent without secrets": {
    code: "NOT_FOUND",
    break: ({ vault }) => vault.keys.clear(),
    says: /"secret\/shop\/prod\/": there are none.*--empty/s,
  },
  "a value that is too large": {
    code: "VALUE_TOO_LARGE",
    break: ({ vault }) => vault.put("shop/prod/BIG", { value: CANARY.repeat(70_000) }),
    says: /"BIG" of "alice": it has 1190003 bytes/,
  },
};

for (const [what, { code, says, token = TOKEN, options, break: breakIt }] of Object.entries(REFUSALS)) {
  Deno.test(`vault: ${what} is ${code}, and nothing is made`, async () => {
    await using at = await openShop({ tokens: { [TOKEN]: Infinity, "hvs.old": 1 } });
    at.vault.put("shop/prod/A", { value: CANARY });
    breakIt?.(at);
    const before = [...at.vault.keys.keys()];
    const context = at.shop.context({ VAULT_TOKEN: token });
    await refuses(at.shop.create(at.shop.target("alice", {}, options), context), code, says, [CANARY, token]);
    assert.deepEqual([...at.vault.keys.keys()], before);
  });
}

Deno.test("vault: a mark counts for its own environment and registry, an entry's for its own path", async () => {
  await using at = await openShop();
  at.vault.put("shop/prod/A", { value: CANARY });
  const alice = at.shop.target("alice");
  const fork = await at.shop.create(alice);
  const mark = at.vault.keys.get("shop/alice/.forkstack")!;
  at.vault.put("shop/bob/.forkstack", at.vault.dataOf("shop/alice/.forkstack")!, { ...mark.custom });
  at.vault.put("shop/carol/.forkstack", { value: "not a mark" });
  for (const name of ["bob", "carol"]) {
    const seen = await provider.inspect(at.shop.context(), at.shop.target(name));
    assert.deepEqual([seen.state, "holder" in seen], ["foreign", false], name);
    await refuses(at.shop.create(at.shop.target(name)), "FOREIGN", /not what forkstack wrote for it/);
    assert.equal(await provider.delete(at.shop.context(), { ...fork, name }, at.shop.scope()), "absent");
  }
  const listed = await Array.fromAsync(provider.list(at.shop.context(), at.shop.scope()));
  assert.deepEqual(listed.map(({ name }) => name), ["alice"]);
  const marker = { ...alice.marker, registry: "fedcba9876543210" };
  const seen = await provider.inspect(at.shop.context(), { ...alice, marker });
  assert.deepEqual([seen.state, "holder" in seen && seen.holder], ["foreign", alice.marker]);
  at.vault.put("shop/alice/COPY", { value: CANARY }, { ...at.vault.keys.get("shop/alice/A")!.custom });
  assert.equal(await provider.delete(at.shop.context(), fork, at.shop.scope()), "deleted");
  assert.deepEqual([...at.vault.keys.keys()].filter((path) => path.startsWith("shop/alice/")), ["shop/alice/COPY"]);
});
