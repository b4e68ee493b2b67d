/** The suite on a real OpenBao, and checks that hold on the emulator and on a real OpenBao: policies, metadata, an engine of version 1. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import provider from "../../providers/secrets/vault.ts";
import { testProvider, WITHOUT_FAULTS } from "../conformance.ts";
import { OpenBao, WHY_NO_OPENBAO } from "../emulators/openbao.ts";
import { startVault } from "../emulators/vault.ts";
import { FEW_FAULTS } from "../faults.ts";
import { testIf } from "../helpers.ts";
import { sized } from "../sizes.ts";
import { CANARY, refuses, Shop } from "./_secrets.ts";
import { baoEmulator } from "./_vault.ts";

const shared = WHY_NO_OPENBAO === undefined ? await OpenBao.start() : undefined;

if (shared !== undefined) {
  testProvider({ provider, emulator: baoEmulator(shared), faults: FEW_FAULTS }, {
    as: "vault on OpenBao",
    only: sized({ gate: WITHOUT_FAULTS, full: /^/ }),
  });
}

const DOCS = readFileSync(new URL("../../docs/secrets.md", import.meta.url), "utf8");
const DOCUMENTED: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  [...DOCS.matchAll(/path "(.+?)" \{ capabilities = (\[.+?\]) \}/g)].map((
    [, path, list],
  ) => [path!, JSON.parse(list!)]),
);

interface Settings {
  readonly custom_metadata?: Record<string, string>;
  readonly max_versions?: number;
  readonly cas_required?: boolean;
  readonly delete_version_after?: string;
}

/** A server with an empty engine at `secret`. */
interface Server extends AsyncDisposable {
  readonly url: string;
  readonly root: string;
  tokenOf(policy: Readonly<Record<string, readonly string[]>>): Promise<string>;
  /** Writes as somebody else does; without data, metadata alone. */
  put(path: string, data: object | undefined, settings?: Settings): Promise<void>;
  paths(): Promise<string[]>;
  /** Data and metadata of an entry. */
  entry(path: string): Promise<{ readonly data: unknown; readonly settings: Settings }>;
}

const SERVERS: Readonly<
  Record<string, { readonly why?: string | undefined; open(version: "1" | "2"): Promise<Server> }>
> = {
  "the emulator": {
    async open(version) {
      const root = `hvs.${CANARY}`;
      const vault = await startVault({ tokens: { [root]: Infinity }, version });
      return {
        url: vault.url,
        root,
        tokenOf: (policy) => Promise.resolve(vault.grant(policy)),
        put(path, data, { custom_metadata = {}, ...settings } = {}) {
          vault.note(path, custom_metadata, settings);
          if (data !== undefined) vault.put(path, { ...data }, custom_metadata);
          return Promise.resolve();
        },
        paths: () => Promise.resolve([...vault.keys.keys()].sort()),
        entry(path) {
          const { custom, settings } = vault.keys.get(path)!;
          const custom_metadata = Object.keys(custom ?? {}).length === 0 ? {} : { custom_metadata: custom! };
          return Promise.resolve({ data: vault.dataOf(path), settings: { ...settings, ...custom_metadata } });
        },
        [Symbol.asyncDispose]: () => vault[Symbol.asyncDispose](),
      };
    },
  },
  "OpenBao": {
    why: WHY_NO_OPENBAO,
    async open(version) {
      const bao = await OpenBao.start();
      if (version === "1") {
        await bao.ask("DELETE", "sys/mounts/secret");
        await bao.ask("POST", "sys/mounts/secret", { type: "kv" });
      }
      return {
        url: bao.url,
        root: bao.root,
        tokenOf: (policy) =>
          bao.tokenOf(
            Object.entries(policy).map(([path, has]) => `path "${path}" { capabilities = ${JSON.stringify(has)} }`)
              .join("\n"),
          ),
        async put(path, data, settings) {
          if (version === "1") return await bao.ask("POST", `secret/${path}`, data);
          await bao.ask("POST", `secret/metadata/${path}`, settings ?? {});
          if (data !== undefined) await bao.ask("POST", `secret/data/${path}`, { data, options: { cas: 0 } });
        },
        paths: async () => (await bao.paths("", version === "1" ? "" : "metadata/")).sort(),
        async entry(path) {
          const { data: metadata } = await bao.ask("GET", `secret/metadata/${path}`);
          const { max_versions, cas_required, delete_version_after, custom_metadata } = metadata;
          const settings = { max_versions, cas_required, delete_version_after };
          const data = (await bao.ask("GET", `secret/data/${path}`))?.data.data;
          return { data, settings: custom_metadata === null ? settings : { ...settings, custom_metadata } };
        },
        [Symbol.asyncDispose]: () => bao[Symbol.asyncDispose](),
      };
    },
  },
};

function shopOf({ url }: Server, token: string) {
  return new Shop(provider, { endpoint: url }, { VAULT_TOKEN: token });
}

/** The life of a fork, step by step; ends at the step that fails, with its name, and what the fork left then. */
async function liveWith(server: Server, token: string): Promise<{ failed?: string; left?: string[] }> {
  const [shop, admin] = [shopOf(server, token), shopOf(server, server.root)];
  const target = shop.target("alice");
  let step = "new";
  try {
    const fork = await shop.create(target);
    step = "list";
    assert.equal((await Array.fromAsync(provider.list(shop.context(), shop.scope()))).length, 1);
    step = "reset";
    await server.put(`shop/prod/LATER-${crypto.randomUUID()}`, { value: "1" });
    await (await provider.reset!(shop.context(), fork, target)).commit();
    step = "delete";
    await provider.delete(shop.context(), fork, shop.scope());
    assert.deepEqual((await server.paths()).filter((path) => path.startsWith("shop/alice/")), []);
    return {};
  } catch (error) {
    assert.equal((error as { code?: string }).code, "CREDENTIALS_DENIED", String(error));
    const left = (await server.paths()).filter((path) => path.startsWith("shop/alice/"));
    const seen = await provider.inspect(admin.context(), target);
    if (seen.state === "pending" || seen.state === "ready") {
      await provider.delete(admin.context(), seen.fork, admin.scope());
    }
    return { failed: step, left };
  }
}

for (const [what, { why, open }] of Object.entries(SERVERS)) {
  testIf(why, `vault at ${what}: the documented policy is enough, and each capability of it needed`, async () => {
    assert.equal(Object.values(DOCUMENTED).flat().length, 8, "docs/secrets.md has the policy");
    await using server = await open("2");
    await server.put("shop/prod/app", { A: CANARY });
    assert.deepEqual(await liveWith(server, await server.tokenOf(DOCUMENTED)), {});
    const failures: Record<string, string | undefined> = {};
    for (const [path, list] of Object.entries(DOCUMENTED)) {
      for (const capability of list) {
        const policy = { ...DOCUMENTED, [path]: list.filter((one) => one !== capability) };
        const { failed, left } = await liveWith(server, await server.tokenOf(policy));
        const name = `${capability} ${path.replace("secret/", "").replace("/shop/*", "")}`;
        failures[name] = failed;
        if (/^(create|read|list) |^update metadata/.test(name)) assert.deepEqual(left, [], `without ${name}`);
      }
    }
    assert.deepEqual(failures, {
      "create data": "new",
      "read data": "new",
      "update data": "new",
      "create metadata": "new",
      "read metadata": "new",
      "update metadata": "new",
      "delete metadata": "delete",
      "list metadata": "new",
    });
  });

  testIf(why, `vault at ${what}: a fork and its reset get metadata, settings and empty entries`, async () => {
    await using server = await open("2");
    const given: Readonly<Record<string, { readonly data?: object; readonly settings: Settings }>> = {
      "shop/prod/app": {
        data: { A: CANARY, POOL: 5 },
        settings: { custom_metadata: { team: "payments", "owner mail": "a@b.example" }, max_versions: 3 },
      },
      "shop/prod/db/URL": {
        data: { value: CANARY },
        settings: { cas_required: true, delete_version_after: "1h30m0s" },
      },
      "shop/prod/empty": { data: {}, settings: { max_versions: 25 } },
      "shop/prod/bare": { settings: { custom_metadata: { todo: "ask Ann" } } },
      "shop/prod/plain": { data: { B: "1" }, settings: {} },
    };
    for (const [path, { data, settings }] of Object.entries(given)) await server.put(path, data, settings);
    const isLike = async (name: string, parent: string) => {
      for (const path of Object.keys(given)) {
        const at = async (env: string) => {
          const { data, settings } = await server.entry(path.replace("prod", env));
          const { forkstack: id, "forkstack-path": hash, ...custom_metadata } = settings.custom_metadata ?? {};
          assert.equal(Boolean(id && hash), env !== "prod", path);
          return { data, settings: { ...settings, custom_metadata } };
        };
        assert.deepEqual(await at(name), await at(parent), path);
      }
    };
    const shop = shopOf(server, await server.tokenOf(DOCUMENTED));
    const target = shop.target("alice");
    const fork = await shop.create(target);
    assert.deepEqual(await shop.secretsOf(fork), { A: CANARY, B: "1", POOL: "5", URL: CANARY });
    await isLike("alice", "prod");
    await shop.write(fork, { A: "mine", URL: "mine", B: "mine" });
    await server.put("shop/prod/bare", undefined, { custom_metadata: { todo: "done" }, max_versions: 2 });
    await (await provider.reset!(shop.context(), fork, target)).commit();
    await isLike("alice", "prod");
    const bob = await shop.create(shop.target("bob", { parent: "alice" }));
    await isLike("bob", "alice");
    for (const one of [bob, fork]) await provider.delete(shop.context(), one, shop.scope());
    assert.deepEqual(await server.paths(), Object.keys(given).sort());
  });

  testIf(why, `vault at ${what}: the policy of secrets counts for empty entries too`, async () => {
    await using server = await open("2");
    await server.put("shop/prod/app", { A: "1", KEPT: "2" });
    await server.put("shop/prod/LATER", undefined, { custom_metadata: { owner: "Ann" } });
    await server.put("shop/prod/EMPTY", {});
    await server.put("shop/prod/STRIPE_LIVE_KEY", undefined, { custom_metadata: { owner: "Bob" } });
    const shop = shopOf(server, server.root);
    const override = { LATER: "now", EMPTY: { from: "A" }, app: "one more field", NEW: "3" };
    const fork = await shop.create(shop.target("alice", {}, { exclude: ["STRIPE_LIVE_*"], override }));
    const own = { A: "1", EMPTY: "1", KEPT: "2", LATER: "now", NEW: "3", app: "one more field" };
    assert.deepEqual(await shop.secretsOf(fork), own);
    assert.equal((await server.entry("shop/alice/LATER")).settings.custom_metadata?.owner, "Ann");
    const paths = ["EMPTY", "LATER", "NEW", "app"].map((path) => `shop/alice/${path}`);
    assert.deepEqual((await server.paths()).filter((path) => /^shop\/alice\/[^.]/.test(path)), paths);
    await provider.delete(shop.context(), fork, shop.scope());
  });

  testIf(why, `vault at ${what}: an engine of version 1 is told as that, and nothing is written to it`, async () => {
    await using server = await open("1");
    await server.put("shop/prod/app", { A: CANARY });
    const first = { ...DOCUMENTED, "secret/shop/*": ["create", "read", "update", "delete", "list"] };
    const says = /"secret" is a KV engine of version 1, and must be of version 2.*enable-versioning.*secrets\.mount/s;
    for (const token of [server.root, await server.tokenOf(first), await server.tokenOf(DOCUMENTED)]) {
      const shop = shopOf(server, token);
      const target = shop.target("alice");
      await refuses(shop.create(target), "CONFIG_INVALID", says);
      const { parent: _, ...empty } = target;
      await refuses(shop.create(empty), "CONFIG_INVALID", says);
      await refuses(provider.inspect(shop.context(), target), "CONFIG_INVALID", says);
      await refuses(Array.fromAsync(provider.list(shop.context(), shop.scope())), "CONFIG_INVALID", says);
    }
    assert.deepEqual(await server.paths(), ["shop/prod/app"]);
  });

  for (
    const [mark, without] of Object.entries({
      "may not be written": ["create", "update"],
      "may be written once": ["update"],
      "may neither be written nor deleted": ["create", "update", "delete"],
    })
  ) {
    testIf(why, `vault at ${what}: where a mark ${mark}, nothing is left`, async () => {
      await using server = await open("2");
      await server.put("shop/prod/app", { A: CANARY });
      const metadata = "secret/metadata/shop/*";
      const left = DOCUMENTED[metadata]!.filter((one) => !without.includes(one));
      const shop = shopOf(server, await server.tokenOf({ ...DOCUMENTED, [metadata]: left }));
      await refuses(shop.create(shop.target("alice")), "CREDENTIALS_DENIED", /policy.*metadata/s);
      assert.deepEqual(await server.paths(), ["shop/prod/app"], without.join());
    });
  }
}
