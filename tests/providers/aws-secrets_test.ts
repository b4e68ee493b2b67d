import assert from "node:assert/strict";
import provider from "../../providers/secrets/aws-secrets.ts";
import type { Context } from "../../core/provider.ts";
import { testProvider } from "../conformance.ts";
import { type AwsOptions, startAws } from "../emulators/aws_secrets.ts";
import { awsEmulator } from "./_aws_secrets.ts";
import { CANARY, refuses, Shop } from "./_secrets.ts";

testProvider({ provider, emulator: awsEmulator(), options: { region: "eu-central-1" } });

// A policy that changes nothing, so that a whole fork still is like its parent.
const policy = { region: "eu-central-1", exclude: ["NO_SUCH_*"], override: { API_KEY: { from: "API_KEY" } } };
testProvider({ provider, emulator: awsEmulator(), options: policy }, {
  as: "aws-secrets with a policy",
  only: /^(goes from|two creates)/,
});

const KEYS = { AWS_ACCESS_KEY_ID: "AKIAEXAMPLE", AWS_SECRET_ACCESS_KEY: `secret/${CANARY}+=` };
const REGION = "eu-central-1";

async function openShop(more: Partial<AwsOptions> = {}) {
  const key = { secret: KEYS.AWS_SECRET_ACCESS_KEY };
  const aws = await startAws({ region: REGION, keys: { [KEYS.AWS_ACCESS_KEY_ID]: key }, ...more });
  const shop = new Shop(provider, { region: REGION, endpoint: aws.url }, KEYS);
  aws.now = () => shop.now;
  const counts = () => {
    const counted: Record<string, number> = {};
    for (const { what } of aws.requests) counted[what] = (counted[what] ?? 0) + 1;
    return counted;
  };
  return { aws, shop, counts, [Symbol.asyncDispose]: () => aws[Symbol.asyncDispose]() };
}

Deno.test("aws-secrets: 1,000 secrets are 50 reads and 1,000 writes, and two writes of the mark; within AWS's rate", async () => {
  await using at = await openShop({ rate: 50 });
  for (let i = 0; i < 1_000; i++) at.aws.put(`shop/prod/KEY_${i}`, `${CANARY} ${i}`);
  let [running, most] = [0, 0];
  const context = at.shop.context();
  const counted = async (request: Request) => {
    most = Math.max(most, ++running);
    return await context.fetch(request).finally(() => running--);
  };
  const fork = await at.shop.create(at.shop.target("alice"), { ...context, fetch: counted });
  const sent = at.aws.requests.filter(({ status }) => status === 200);
  const of = (what: string) => sent.filter((one) => one.what === what).length;
  assert.deepEqual([of("BatchGetSecretValue"), of("CreateSecret"), of("TagResource")], [50, 1_001, 1]);
  assert.equal(of("ListSecrets"), 11, "descriptions and tags, and one look whether somebody else came before the mark");
  assert.equal(sent.length, 1_063);
  assert(at.aws.requests.length > sent.length && at.shop.slept > 1_000, "it was throttled, and waited");
  assert(most <= 8, `${most} at once`);
  assert.equal(Object.keys(await at.shop.secretsOf(fork)).length, 1_000);
  const { tags } = at.aws.secrets.get("shop/alice/KEY_7")!;
  assert.deepEqual([tags.get("forkstack:id"), tags.get("forkstack:env")], [fork.id, "alice"]);
});

Deno.test("aws-secrets: lists that lag five minutes hide nothing of a fork from reads, forks of it, and its deletion", async () => {
  await using at = await openShop({ lagMs: 300_000 });
  for (let i = 0; i < 45; i++) at.aws.put(`shop/prod/KEY_${i}`, `${CANARY} ${i}`);
  const alice = await at.shop.create(at.shop.target("alice"));
  assert.equal(Object.keys(await at.shop.secretsOf(alice)).length, 45);
  await at.shop.write(alice, { NEW: "1", KEY_0: null });
  const bob = await at.shop.create(at.shop.target("bob", { parent: "alice" }));
  const secrets = await at.shop.secretsOf(bob);
  assert.deepEqual([Object.keys(secrets).length, secrets.NEW, secrets.KEY_0], [45, "1", undefined]);
  assert.equal((await provider.inspect(at.shop.context(), at.shop.target("bob"))).state, "ready");
  for (const fork of [alice, bob]) {
    assert.equal(await provider.delete(at.shop.context(), fork, at.shop.scope()), "deleted");
  }
  assert.deepEqual([...at.aws.secrets.keys()].filter((name) => !name.startsWith("shop/prod/")), []);
  const again = await at.shop.create(at.shop.target("alice"));
  assert(at.shop.slept >= 2_000, "a name is free a while after its secret was deleted at once");
  assert.equal(Object.keys(await at.shop.secretsOf(again)).length, 45);
});

Deno.test("aws-secrets: keep() leaves a window of 30 days; a new fork takes the names back; purging ends all at once", async () => {
  await using at = await openShop();
  at.aws.put("shop/prod/API_KEY", CANARY);
  at.aws.put("shop/prod/OTHER", CANARY);
  const first = await at.shop.create(at.shop.target("alice"));
  await at.shop.write(first, { API_KEY: "mine", EXTRA: "1" });
  assert.notEqual(await provider.keep!(at.shop.context(), first, at.shop.scope()), "absent");
  const waiting = [...at.aws.secrets.values()].filter(({ deletedAt }) => deletedAt === at.shop.now + 30 * 86_400_000);
  assert.deepEqual(
    waiting.map(({ name }) => name),
    ["API_KEY", "OTHER", "EXTRA", ".forkstack"].map((one) => `shop/alice/${one}`).sort((a, b) =>
      waiting.findIndex(({ name }) => name === a) - waiting.findIndex(({ name }) => name === b)
    ),
  );
  assert.equal((await provider.inspect(at.shop.context(), at.shop.target("alice"))).state, "absent");
  const again = at.shop.target("alice", { marker: { ...first.marker, operation: "again" } });
  const second = await at.shop.create(again);
  assert.notEqual(second.id, first.id);
  assert.deepEqual(await at.shop.secretsOf(second), { API_KEY: CANARY, OTHER: CANARY });
  assert.deepEqual(
    [...at.aws.secrets.get("shop/alice/API_KEY")!.versions.values()].map(({ SecretString }) => SecretString),
    [CANARY, "mine", CANARY],
  );
  assert.equal(
    await provider.delete(at.shop.context(), first, at.shop.scope()),
    "absent",
    "its names are the second's",
  );
  await provider.keep!(at.shop.context(), second, at.shop.scope());
  assert.equal(await provider.delete(at.shop.context(), second, at.shop.scope()), "deleted");
  assert.deepEqual([...at.aws.secrets.keys()], ["shop/prod/API_KEY", "shop/prod/OTHER", "shop/alice/EXTRA"]);
  at.shop.now += 31 * 86_400_000;
  const third = await at.shop.create(at.shop.target("alice"));
  assert.equal(await provider.delete(at.shop.context(), third, at.shop.scope()), "deleted");
});

/** A kept fork of three secrets, one of which the parent lacks, and one that has no value there. */
async function keptShop() {
  const at = await openShop();
  for (const name of ["API_KEY", "OTHER"]) at.aws.put(`shop/prod/${name}`, CANARY, { team: name }, "Of Stripe");
  const first = await at.shop.create(at.shop.target("alice"));
  await at.shop.write(first, { API_KEY: "mine", EXTRA: "1" });
  await provider.keep!(at.shop.context(), first, at.shop.scope());
  const target = at.shop.target("alice", { marker: { ...first.marker, operation: "again" } });
  const own = () => [...at.aws.secrets.values()].filter(({ name }) => name.startsWith("shop/alice/"));
  return { ...at, target, first, own };
}

/** The context of a process that is killed at its call of this number among those that change something. */
function killedAt(context: Context, call: number, isDone: boolean): Context {
  let count = 0;
  return {
    ...context,
    async fetch(request) {
      const isRead = /\.(Describe|List|Get|BatchGet)/.test(request.headers.get("x-amz-target") ?? "");
      if (count >= call || (!isRead && ++count === call && !isDone)) throw new Error("killed");
      const response = await context.fetch(request);
      if (count < call) return response;
      await response.body?.cancel();
      throw new Error("killed");
    },
  };
}

Deno.test("aws-secrets: a create that takes a backup back, killed at any call, is completed by its rerun or undone to the backup", async () => {
  let calls = Infinity;
  for (let call = 1; call <= calls; call++) {
    for (const isDone of [false, true]) {
      for (const way of ["rerun", "undo"] as const) {
        await using at = await keptShop();
        const before = at.aws.requests.length;
        const isKilled = await at.shop.create(at.target, killedAt(at.shop.context(), call, isDone))
          .then(() => false, () => true);
        const where = `${way}, at call ${call}, ${isDone ? "after" : "before"} it: ${at.aws.requests.at(-1)?.what}`;
        if (!isKilled) {
          calls = call - 1;
          assert(calls > 8, `${calls} calls, ${at.aws.requests.length - before} requests`);
          continue;
        }
        const seen = await provider.inspect(at.shop.context(), { ...at.target, isResumed: true });
        assert(seen.state !== "foreign", where);
        if (way === "rerun") {
          const second = await at.shop.create({ ...at.target, isResumed: true });
          assert.deepEqual(await at.shop.secretsOf(second), { API_KEY: CANARY, OTHER: CANARY }, where);
          const { description, tags } = at.aws.secrets.get("shop/alice/OTHER")!;
          assert.deepEqual([description, tags.get("team"), tags.get("forkstack:id")], [
            "Of Stripe",
            "OTHER",
            second.id,
          ]);
          assert.equal(await provider.delete(at.shop.context(), second, at.shop.scope()), "deleted", where);
        } else if (seen.state !== "absent") {
          assert.equal(seen.fork.marker.operation, "again", where);
          await provider.delete(at.shop.context(), seen.fork, at.shop.scope());
        }
        const alive = at.own().filter(({ deletedAt }) => deletedAt === undefined).map(({ name }) => name);
        assert.deepEqual(alive, [], where);
        assert(at.aws.secrets.has("shop/alice/EXTRA"), "what was never taken back waits for its end");
      }
    }
  }
});

Deno.test("aws-secrets: a backup that somebody else restored meanwhile is not taken: only what this run restored is", async () => {
  for (const name of ["API_KEY", "OTHER", ".forkstack"]) {
    await using at = await keptShop();
    delete at.aws.secrets.get(`shop/alice/${name}`)!.deletedAt;
    await refuses(
      at.shop.create(at.target),
      "FOREIGN",
      /forkstack did not make|operation make alice|somebody else put one/,
    );
    assert.equal(at.aws.contentOf(`shop/alice/${name}`)?.SecretString?.includes("mine"), name === "API_KEY");
  }
});

Deno.test("aws-secrets: exclude and override; a stack's name with any characters in its tags", async () => {
  await using at = await openShop();
  at.aws.put("shop/prod/STRIPE_LIVE_KEY", `live ${CANARY}`);
  at.aws.put("shop/prod/STRIPE_KEY", `live ${CANARY}`);
  at.aws.put("shop/prod/STRIPE_TEST_KEY", "sk_test");
  const override = { STRIPE_KEY: { from: "STRIPE_TEST_KEY" }, LOG: "debug" };
  const target = at.shop.target("alice", {}, { exclude: ["STRIPE_LIVE_*"], override });
  const marker = { ...target.marker, stack: "läden & co, #1 @home" };
  const fork = await at.shop.create({ ...target, stack: marker.stack, marker });
  assert.deepEqual(fork.marker, marker);
  const seen = await provider.inspect(at.shop.context(), { ...target, stack: marker.stack, marker });
  assert.deepEqual(seen.state === "ready" && seen.fork.marker, marker);
  assert.deepEqual(await at.shop.secretsOf(fork), { LOG: "debug", STRIPE_KEY: "sk_test", STRIPE_TEST_KEY: "sk_test" });
  const versions = [...at.aws.secrets.values()].filter(({ name }) => name.startsWith("shop/alice/"));
  assert(!JSON.stringify(versions.map((one) => [...one.versions])).includes("live"));
});

Deno.test("aws-secrets: what somebody else put there, or left to be deleted, is not ours", async () => {
  await using at = await openShop();
  at.aws.put("shop/prod/API_KEY", CANARY);
  const theirs = at.aws.put("shop/alice/API_KEY", "theirs");
  theirs.deletedAt = at.shop.now + 86_400_000;
  await refuses(at.shop.create(at.shop.target("alice")), "FOREIGN", /one that is not ours waits for its deletion/);
  assert.equal(theirs.deletedAt, at.shop.now + 86_400_000);
  const bob = await at.shop.create(at.shop.target("bob"));
  at.aws.put("shop/bob/THEIRS", "theirs");
  assert.equal(await provider.delete(at.shop.context(), bob, at.shop.scope()), "deleted");
  assert.match(at.shop.warned.join(), /Left in "shop\/bob\/": 1 secret is there/);
});

const REFUSALS: Record<
  string,
  {
    code: string;
    says: RegExp;
    given?: Partial<AwsOptions>;
    secrets?: Record<string, string>;
    credentials?: Record<string, string>;
    options?: object;
    made?: number;
  }
> = {
  "a key that is none": {
    code: "CREDENTIALS_REJECTED",
    credentials: { ...KEYS, AWS_ACCESS_KEY_ID: "AKIANONE" },
    says: /refused.*UnrecognizedClientException \(request request-1\)/s,
  },
  "a secret key that is wrong": {
    code: "CREDENTIALS_REJECTED",
    credentials: { ...KEYS, AWS_SECRET_ACCESS_KEY: `x${CANARY}` },
    says: /InvalidSignature/,
  },
  "credentials that have expired": {
    code: "CREDENTIALS_REJECTED",
    given: { keys: { AKIAEXAMPLE: { secret: KEYS.AWS_SECRET_ACCESS_KEY, expired: true } } },
    says: /ExpiredTokenException.*Renew/s,
  },
  "another region": { code: "CREDENTIALS_REJECTED", options: { region: "us-east-1" }, says: /UnrecognizedClient/ },
  "a policy that forbids reading": {
    code: "CREDENTIALS_DENIED",
    given: { keys: { AKIAEXAMPLE: { secret: KEYS.AWS_SECRET_ACCESS_KEY, denied: ["BatchGetSecretValue"] } } },
    says: /BatchGetSecretValue/,
  },
  "a policy that forbids writing": {
    code: "CREDENTIALS_DENIED",
    given: { keys: { AKIAEXAMPLE: { secret: KEYS.AWS_SECRET_ACCESS_KEY, denied: ["CreateSecret"] } } },
    says: /AccessDenied/,
  },
  "a parent without secrets": { code: "NOT_FOUND", secrets: {}, says: /"shop\/prod\/": there are none/ },
  "an override with a name that AWS mistakes": {
    code: "NAME_INVALID",
    options: { override: { ABC: "x" } },
    secrets: { "x-AbCdEf": CANARY },
    says: /ending in a hyphen and six/,
  },
  "a quota that is used up": {
    code: "PLAN_LIMIT",
    given: { maxSecrets: 3 },
    secrets: { A: CANARY, B: CANARY },
    made: 1,
    says: /LimitExceeded.*prune/s,
  },
};

for (
  const [what, { code, says, given, secrets = { A: CANARY }, credentials = KEYS, options, made = 0 }] of Object.entries(
    REFUSALS,
  )
) {
  Deno.test(`aws-secrets: ${what} is ${code}, and nothing is left that is not marked`, async () => {
    await using at = await openShop(given);
    for (const [key, value] of Object.entries(secrets)) at.aws.put(`shop/prod/${key}`, value);
    const before = at.aws.secrets.size;
    const target = at.shop.target("alice", {}, options);
    await refuses(at.shop.create(target, at.shop.context(credentials)), code, says);
    assert.equal(at.aws.secrets.size, before + made);
    if (made === 0) return;
    const seen = await provider.inspect(at.shop.context(), target);
    assert.equal(seen.state, "pending");
    if (seen.state === "pending") await provider.delete(at.shop.context(), seen.fork, at.shop.scope());
    assert.equal(at.aws.secrets.size, before);
  });
}

Deno.test("aws-secrets: a value over AWS's size is refused before anything is written", async () => {
  await using at = await openShop();
  at.aws.put("shop/prod/A", CANARY);
  const fork = await at.shop.create(at.shop.target("alice"));
  const sent = at.aws.requests.length;
  await refuses(
    at.shop.write(fork, { A: "1", BIG: CANARY.repeat(4_000) }),
    "VALUE_TOO_LARGE",
    /"shop\/alice\/BIG": it has 68000 bytes/,
  );
  assert.equal(at.aws.requests.length, sent);
});

Deno.test("aws-secrets: the vendor's own client works at the emulator, its signatures checked", async () => {
  const { CreateSecretCommand, DeleteSecretCommand, GetSecretValueCommand, ListSecretsCommand, SecretsManagerClient } =
    await import("npm:@aws-sdk/client-secrets-manager@3.1162.0");
  await using at = await openShop();
  const of = (secretAccessKey: string) =>
    new SecretsManagerClient({
      region: REGION,
      endpoint: at.aws.url,
      credentials: { accessKeyId: KEYS.AWS_ACCESS_KEY_ID, secretAccessKey },
    });
  const client = of(KEYS.AWS_SECRET_ACCESS_KEY);
  at.aws.put("shop/prod/A", "1");
  await client.send(new CreateSecretCommand({ Name: "shop/x/B", SecretString: "2" }));
  const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: "shop/x/B" }));
  const { SecretList } = await client.send(new ListSecretsCommand({ Filters: [{ Key: "name", Values: ["shop/"] }] }));
  assert.deepEqual([SecretString, SecretList?.map(({ Name }) => Name)], ["2", ["shop/prod/A", "shop/x/B"]]);
  await client.send(new DeleteSecretCommand({ SecretId: "shop/x/B", ForceDeleteWithoutRecovery: true }));
  await assert.rejects(client.send(new GetSecretValueCommand({ SecretId: "shop/x/B" })), {
    name: "ResourceNotFoundException",
  });
  const wrong = of("wrong");
  await assert.rejects(wrong.send(new GetSecretValueCommand({ SecretId: "shop/prod/A" })), {
    name: "InvalidSignatureException",
  });
  client.destroy();
  wrong.destroy();
});

Deno.test("aws-secrets: tags count for their own environment, registry and secret, also of what waits for its deletion", async () => {
  await using at = await openShop();
  at.aws.put("shop/prod/API_KEY", CANARY);
  const alice = at.shop.target("alice");
  const fork = await at.shop.create(alice);
  const tagsOf = (name: string) => Object.fromEntries(at.aws.secrets.get(name)!.tags);
  const text = at.aws.contentOf("shop/alice/.forkstack")!;
  at.aws.put("shop/bob/.forkstack", text, tagsOf("shop/alice/.forkstack"));
  at.aws.put("shop/carol/.forkstack", "not JSON", { ...tagsOf("shop/alice/.forkstack"), "forkstack:name": "carol" });
  for (const name of ["bob", "carol"]) {
    assert.equal((await provider.inspect(at.shop.context(), at.shop.target(name))).state, "foreign");
    await refuses(at.shop.create(at.shop.target(name)), "FOREIGN", /not what forkstack wrote for it/);
    assert.equal(await provider.delete(at.shop.context(), { ...fork, name }, at.shop.scope()), "absent");
  }
  at.aws.put("shop/dora/API_KEY", CANARY, tagsOf("shop/alice/API_KEY")).deletedAt = at.shop.now + 86_400_000;
  await refuses(at.shop.create(at.shop.target("dora")), "FOREIGN", /one that is not ours waits for its deletion/);
  const marker = { ...alice.marker, registry: "fedcba9876543210" };
  const seen = await provider.inspect(at.shop.context(), { ...alice, marker });
  assert.deepEqual([seen.state, "holder" in seen && seen.holder], ["foreign", alice.marker]);
  at.aws.put("shop/alice/COPY", CANARY, tagsOf("shop/alice/API_KEY"));
  at.aws.put("shop/alice/COPY_OF_MARK", CANARY, tagsOf("shop/alice/.forkstack"));
  await provider.keep!(at.shop.context(), fork, at.shop.scope());
  await refuses(at.shop.create({ ...alice, marker }), "FOREIGN", /that forkstack did not make/);
  assert.equal(await provider.delete(at.shop.context(), fork, at.shop.scope()), "deleted");
  const left = [...at.aws.secrets.values()].filter(({ name }) => name.startsWith("shop/alice/"));
  assert.deepEqual(left.map(({ name, deletedAt }) => [name, deletedAt]), [
    ["shop/alice/COPY", undefined],
    ["shop/alice/COPY_OF_MARK", undefined],
  ]);
});

Deno.test("aws-secrets: a batch that fails as a whole is read one by one; what has no value, or goes, is no secret", async () => {
  for (const isBatchWhole of [true, false]) {
    await using at = await openShop({ isBatchWhole });
    for (let i = 0; i < 45; i++) at.aws.put(`shop/prod/KEY_${i}`, `${CANARY} ${i}`);
    const going = at.aws.put("shop/prod/GOING", "old");
    going.deletedAt = at.shop.now + 86_400_000;
    const singles = () => at.counts().GetSecretValue ?? 0;
    const alice = await at.shop.create(at.shop.target("alice"));
    assert.equal(Object.keys(await at.shop.secretsOf(alice)).length, 45);
    assert.equal(singles() >= 45, isBatchWhole);
    delete going.deletedAt;
    at.aws.putEmpty("shop/prod/EMPTY");
    at.aws.putEmpty("shop/alice/EMPTY");
    const bob = await at.shop.create(at.shop.target("bob"));
    assert.deepEqual((await at.shop.secretsOf(bob)).GOING, "old");
    assert.equal(Object.keys(await at.shop.secretsOf(alice)).length, 45, "with an empty one among them");
  }
});

Deno.test("aws-secrets: a batch that may not be sent is told, and not read one by one", async () => {
  const key = { secret: KEYS.AWS_SECRET_ACCESS_KEY, denied: ["GetSecretValue"] };
  await using at = await openShop({ keys: { [KEYS.AWS_ACCESS_KEY_ID]: key } });
  at.aws.put("shop/prod/A", CANARY);
  at.aws.putEmpty("shop/prod/EMPTY");
  await refuses(at.shop.create(at.shop.target("alice")), "CREDENTIALS_DENIED", /GetSecretValue/);
  assert.equal(at.aws.secrets.size, 2);
});
