/** The suite on a real moto, and checks that hold on the emulator and on moto: the policy, and what a copy gets. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import provider from "../../providers/secrets/aws-secrets.ts";
import { testProvider, WITHOUT_FAULTS } from "../conformance.ts";
import { type Policy, startAws } from "../emulators/aws_secrets.ts";
import { Moto, WHY_NO_MOTO } from "../emulators/moto.ts";
import { FEW_FAULTS } from "../faults.ts";
import { testIf } from "../helpers.ts";
import { sized } from "../sizes.ts";
import { motoEmulator, motoPut, motoSecrets } from "./_aws_secrets.ts";
import { CANARY, refuses, Shop } from "./_secrets.ts";

const REGION = "eu-central-1";
const DOCS = readFileSync(new URL("../../docs/secrets.md", import.meta.url), "utf8");
const [, JSON_POLICY = "{}"] = /## AWS Secrets Manager[\s\S]+?```json\n([\s\S]+?)```/.exec(DOCS) ?? [];
const DOCUMENTED: Policy = JSON.parse(JSON_POLICY);
const ACTIONS = DOCUMENTED.Statement.flatMap(({ Action }) => Action);

const moto = WHY_NO_MOTO === undefined ? await Moto.start() : undefined;

if (moto !== undefined) {
  testProvider({ provider, emulator: motoEmulator(moto), options: { region: REGION }, faults: FEW_FAULTS }, {
    as: "aws-secrets on moto",
    only: sized({ gate: WITHOUT_FAULTS, full: /^/ }),
  });
}

interface Given {
  readonly value?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly description?: string;
}

/** A server of an account without secrets. */
interface Server extends AsyncDisposable {
  readonly url: string;
  /** Returns the credentials of an identity with this policy; requests are checked from then on. */
  keyOf(policy: Policy): Promise<Record<string, string>>;
  /** Makes a secret as somebody else does. */
  put(name: string, secret: Given): Promise<void>;
  secret(name: string): Promise<Required<Omit<Given, "value">> & Pick<Given, "value">>;
  names(): Promise<string[]>;
}

const ROOT = { AWS_ACCESS_KEY_ID: "AKIAROOT", AWS_SECRET_ACCESS_KEY: `root/${CANARY}` };

const SERVERS: Readonly<Record<string, { readonly why?: string | undefined; open(): Promise<Server> }>> = {
  "the emulator": {
    async open() {
      const keys: Record<string, { secret: string; policy?: Policy }> = {
        [ROOT.AWS_ACCESS_KEY_ID]: { secret: ROOT.AWS_SECRET_ACCESS_KEY },
      };
      const aws = await startAws({ region: REGION, keys, takenMs: 0 });
      return {
        url: aws.url,
        keyOf(policy) {
          const id = `AKIA${Object.keys(keys).length}`;
          keys[id] = { secret: CANARY, policy };
          return Promise.resolve({ AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: CANARY });
        },
        put(name, { value, tags, description }) {
          aws.put(name, value === undefined ? {} : { SecretString: value }, tags, description);
          return Promise.resolve();
        },
        secret(name) {
          const { tags, description } = aws.secrets.get(name)!;
          const value = aws.contentOf(name)?.SecretString;
          const given = { tags: Object.fromEntries(tags), description };
          return Promise.resolve(value === undefined ? given : { ...given, value });
        },
        names: () => Promise.resolve([...aws.secrets.keys()].sort()),
        [Symbol.asyncDispose]: () => aws[Symbol.asyncDispose](),
      };
    },
  },
  "moto": {
    why: WHY_NO_MOTO,
    async open() {
      const server = moto!;
      await server.reset();
      let isChecked = false;
      const unchecked = async <T>(work: () => Promise<T>): Promise<T> => {
        await server.check(false);
        return await work().finally(() => server.check(isChecked));
      };
      return {
        url: server.url,
        async keyOf(policy) {
          isChecked = true;
          // It checks these actions for all resources at once.
          const Statement = policy.Statement.map((one) => ({ ...one, Effect: "Allow", Resource: "*" }));
          const { id, secret } = await unchecked(() => server.keyOf({ Version: "2012-10-17", Statement }));
          return { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret };
        },
        put: (name, { value, tags, description }) =>
          unchecked(() => motoPut(server, name, value === undefined ? {} : { SecretString: value }, tags, description)),
        async secret(name) {
          const { content, tags, description } = (await unchecked(() => motoSecrets(server))).get(name)!;
          const value = content?.SecretString;
          return value === undefined ? { tags, description } : { tags, description, value };
        },
        names: async () => [...(await unchecked(() => motoSecrets(server))).keys()].sort(),
        [Symbol.asyncDispose]: () => server.check(false),
      };
    },
  },
};

function shopOf({ url }: Server, credentials: Readonly<Record<string, string>> = ROOT) {
  return new Shop(provider, { region: REGION, endpoint: url }, credentials);
}

/** The life of an environment; ends at the step that is refused, with its name. */
async function liveWith(server: Server, name: string, policy: Policy): Promise<string | undefined> {
  const shop = shopOf(server, await server.keyOf(policy));
  const target = shop.target(name);
  let step = "new";
  try {
    const fork = await shop.create(target);
    step = "list";
    await Array.fromAsync(provider.list(shop.context(), shop.scope()));
    step = "secrets set";
    await shop.write(fork, { A: "mine", NEW: "1", EMPTY: "now" });
    step = "reset";
    await server.put(`shop/prod/LATER-FOR-${name}`, { value: "1" });
    const other = shop.target(name, { parent: "other" });
    await (await provider.reset!(shop.context(), fork, other)).commit();
    step = "delete";
    await provider.keep!(shop.context(), fork, shop.scope());
    step = "delete --purge";
    await provider.delete(shop.context(), fork, shop.scope());
    assert.deepEqual((await server.names()).filter((one) => one.startsWith(`shop/${name}/`)), []);
    return undefined;
  } catch (error) {
    const { code, details } = error as { code?: string; details?: { status?: number } };
    assert(code === "CREDENTIALS_DENIED" || details?.status === 403, String(error)); // moto answers in another protocol
    return step;
  }
}

for (const [what, { why, open }] of Object.entries(SERVERS)) {
  testIf(why, `aws-secrets at ${what}: the documented policy is enough, and each action of it needed`, async () => {
    assert.equal(ACTIONS.length, 11, "docs/secrets.md has the policy");
    await using server = await open();
    await server.put("shop/prod/A", { value: CANARY, tags: { team: "a" } });
    await server.put("shop/prod/EMPTY", {});
    await server.put("shop/other/A", { value: CANARY, description: "another" });
    await server.put("shop/other/EMPTY", {});
    assert.equal(await liveWith(server, "whole", DOCUMENTED), undefined);
    const failures: Record<string, string | undefined> = {};
    for (const [at, action] of ACTIONS.entries()) {
      const Statement = DOCUMENTED.Statement.map((one) => ({
        ...one,
        Action: one.Action.filter((other) => other !== action),
      }));
      failures[action.replace("secretsmanager:", "")] = await liveWith(server, `without-${at}`, { Statement });
    }
    assert.deepEqual(failures, {
      CreateSecret: "new",
      PutSecretValue: "secrets set",
      UpdateSecret: "reset",
      TagResource: "new",
      UntagResource: "reset",
      DescribeSecret: "new",
      GetSecretValue: "new",
      DeleteSecret: "reset",
      RestoreSecret: "delete --purge",
      BatchGetSecretValue: "new",
      ListSecrets: "new",
    });
  });

  testIf(why, `aws-secrets at ${what}: a fork and its reset get descriptions, tags and empty secrets`, async () => {
    await using server = await open();
    const given: Readonly<Record<string, Given>> = {
      "shop/prod/API_KEY": { value: CANARY, description: "Of Stripe", tags: { team: "payments", "cost center": "7" } },
      "shop/prod/LATER": { description: "Ann adds its value", tags: { owner: "Ann Łoś" } },
      "shop/prod/bare": {},
      "shop/prod/plain": { value: "1" },
    };
    for (const [name, secret] of Object.entries(given)) await server.put(name, secret);
    const isLike = async (name: string, parent: string) => {
      for (const path of Object.keys(given)) {
        const at = async (env: string) => {
          const { tags, ...rest } = await server.secret(path.replace("prod", env));
          const [own, others] = [/^forkstack:/, /^(?!forkstack:)/].map((pattern) =>
            Object.entries(tags).filter(([key]) => pattern.test(key)).sort()
          );
          assert.equal(own!.length, env === "prod" ? 0 : 7, path);
          return { ...rest, tags: others };
        };
        assert.deepEqual(await at(name), await at(parent), path);
      }
    };
    const shop = shopOf(server, await server.keyOf(DOCUMENTED));
    const fork = await shop.create(shop.target("alice"));
    assert.deepEqual(await shop.secretsOf(fork), { API_KEY: CANARY, plain: "1" });
    await isLike("alice", "prod");
    await shop.write(fork, { API_KEY: "mine", LATER: "mine", bare: "mine", plain: null });
    await (await provider.reset!(shop.context(), fork, shop.target("alice"))).commit();
    await isLike("alice", "prod");
    const bob = await shop.create(shop.target("bob", { parent: "alice" }));
    await isLike("bob", "alice");
    // Taken back from a backup: an empty one that had a value, and others' settings.
    await shop.write(bob, { bare: "mine" });
    await provider.keep!(shop.context(), bob, shop.scope());
    const again = await shop.create(shop.target("bob", { parent: "alice" }));
    await isLike("bob", "alice");
    assert.deepEqual(shop.warned.map((text) => /backup of secret "bare"/.test(text)), [true]);
    for (const one of [again, fork]) await provider.delete(shop.context(), one, shop.scope());
    assert.deepEqual(await server.names(), Object.keys(given).sort());
  });

  testIf(why, `aws-secrets at ${what}: the policy of secrets counts for empty ones too`, async () => {
    await using server = await open();
    await server.put("shop/prod/STRIPE_LIVE_KEY", { description: "live" });
    await server.put("shop/prod/STRIPE_LIVE_2", { value: CANARY });
    await server.put("shop/prod/LATER", { description: "Ann adds it", tags: { owner: "Ann" } });
    await server.put("shop/prod/A", { value: "1" });
    const shop = shopOf(server);
    const options = { exclude: ["STRIPE_LIVE_*"], override: { LATER: "now", B: { from: "A" } } };
    const fork = await shop.create(shop.target("alice", {}, options));
    assert.deepEqual(await shop.secretsOf(fork), { A: "1", B: "1", LATER: "now" });
    const { tags: { owner }, description } = await server.secret("shop/alice/LATER");
    assert.deepEqual([owner, description], ["Ann", "Ann adds it"]);
    assert(!(await server.names()).some((name) => name.startsWith("shop/alice/STRIPE")));
  });

  testIf(
    why,
    `aws-secrets at ${what}: more tags than a copy can have are told before anything is written`,
    async () => {
      await using server = await open();
      const tags = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`tag-${n}`, "x"]));
      await server.put("shop/prod/A", { value: CANARY, tags: tags(43) });
      const shop = shopOf(server);
      const fork = await shop.create(shop.target("alice"));
      await server.put("shop/prod/B", { value: CANARY, tags: tags(44) });
      await refuses(shop.create(shop.target("bob")), "CONFLICT", /"shop\/bob\/B": its parent has 44 tags.*50.*7/s);
      await provider.delete(shop.context(), fork, shop.scope());
      assert.deepEqual(await server.names(), ["shop/prod/A", "shop/prod/B"]);
    },
  );
}
