/** What needs trust, and the hash of it. */
import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "npm:valibot@1.5.0";
import { hostItems, namedBy, trustHash } from "../../../core/project/trust_items.ts";
import { shownLines } from "../../../core/text/printable.ts";
import { itemsText } from "../../../core/project/trust_text.ts";
import { CATALOG, PROVIDERS } from "../../../providers/mod.ts";
import { run, temporaryDirectory } from "../../helpers.ts";
import type { Project } from "../../../core/project/project.ts";
import type { Item, Reach } from "../../../core/project/trusted.ts";

function projectIn(root: string, config: Record<string, unknown>): Project {
  return { root, stateRoot: root, name: "shop", stack: "shop", config: { project: "shop", ...config }, isNew: false };
}

const FILES: Readonly<Record<string, string>> = {
  "mine.ts": 'import "./inner.ts"; export default 1;',
  "inner.ts": "export const a = 1;",
  "clean.sql": "SELECT 1;",
};

async function named(config: Record<string, unknown>, files: Record<string, string> = {}, reach: Reach = "all") {
  using directory = temporaryDirectory();
  for (const [name, text] of Object.entries({ ...FILES, ...files })) writeFileSync(join(directory.path, name), text);
  const scriptOf = (_: string, url: string) => Promise.resolve(`script of ${url}`);
  return await namedBy(projectIn(directory.path, config), { catalog: CATALOG, reach, scriptOf });
}

async function hash(config: Record<string, unknown>, files?: Record<string, string>, name = "shop") {
  const { items } = await named(config, files);
  return await trustHash({ name }, items);
}

const database = { provider: "./mine.ts", region: "a", list: ["x"] };
const CONFIG = {
  database: { a: database, b: { provider: "sqlite", sanitize: "clean.sql" } },
  storage: { provider: "s3", endpoint: "https://s3.acme.example" },
  registry: { url: "libsql://registry.acme.example" },
};

Deno.test("everything of the kind is named, with its contents", async () => {
  const { items } = await named(CONFIG);
  assert.deepEqual(items.map(({ kind, resource, name }) => [kind, resource, name]), [
    ["registry", "registry", "libsql://registry.acme.example"],
    ["provider", "database.a", "./mine.ts"],
    ["script", "database.b", "clean.sql"],
    ["host", "storage", "https://s3.acme.example"],
  ]);
  assert.deepEqual(Object.keys(items[1]!.files!), ["./inner.ts", "./mine.ts"]);
});

Deno.test("the hash is the same for the same, and another for whatever was shown otherwise", async () => {
  const one = await hash(CONFIG);
  assert.match(one!, /^[0-9a-f]{64}$/);
  const changedOrder = {
    registry: CONFIG.registry,
    storage: { endpoint: "https://s3.acme.example", provider: "s3" },
    database: { b: CONFIG.database.b, a: { list: ["x"], region: "a", provider: "./mine.ts" } },
  };
  const same: [string, Record<string, unknown>][] = [
    ["the order of keys", changedOrder],
    ["ttl", { ...CONFIG, ttl: "7d" }],
    ["parent and protected", { ...CONFIG, parent: "dev", protected: ["qa"] }],
    ["an option that is no host", { ...CONFIG, storage: { ...CONFIG.storage, region: "eu-west-1" } }],
    ["another resource without any", { ...CONFIG, cache: { provider: "valkey" } }],
  ];
  for (const [what, config] of same) assert.equal(await hash(config), one, what);
  const other: [string, string | undefined][] = [
    ["the provider's text", await hash(CONFIG, { "mine.ts": `${FILES["mine.ts"]!} ` })],
    ["a text that it imports", await hash(CONFIG, { "inner.ts": "export const a = 2;" })],
    ["the script's text", await hash(CONFIG, { "clean.sql": "SELECT 2;" })],
    [
      "an option of the provider's",
      await hash({ ...CONFIG, database: { ...CONFIG.database, a: { ...database, region: "b" } } }),
    ],
    ["one deep inside", await hash({ ...CONFIG, database: { ...CONFIG.database, a: { ...database, list: ["y"] } } })],
    ["the host", await hash({ ...CONFIG, storage: { ...CONFIG.storage, endpoint: "https://s3.acme.example.evil" } })],
    ["whose it is", await hash({ ...CONFIG, storage: { main: CONFIG.storage } })],
    ["the registry", await hash({ ...CONFIG, registry: { url: "https://registry.acme.example" } })],
    ["one less", await hash({ ...CONFIG, registry: undefined })],
    ["another project", await hash(CONFIG, {}, "shop2")],
  ];
  const seen = new Set([one]);
  for (const [what, found] of other) {
    assert(found !== undefined && !seen.has(found), what);
    seen.add(found);
  }
});

Deno.test("a script whose text is not known has no hash, so that no hash lets it in", async () => {
  const { items } = await namedBy(
    projectIn("/nowhere", { database: { provider: "sqlite", sanitize: "https://acme.example/clean.sql" } }),
    { catalog: CATALOG, reach: "all", scriptOf: () => Promise.resolve(undefined) },
  );
  assert.equal(items.length, 1);
  assert.equal(await trustHash({ name: "shop" }, items), undefined);
});

Deno.test("a pipe or a device is never read: a command would wait for its end", async () => {
  using directory = temporaryDirectory();
  await run("mkfifo", [join(directory.path, "pipe.ts")]);
  writeFileSync(join(directory.path, "mine.ts"), 'import "./pipe.ts"; export default 1;');
  const options = { catalog: CATALOG, reach: "all", scriptOf: () => Promise.reject() } as const;
  const read = (database: object) => namedBy(projectIn(directory.path, { database }), options);
  for (const sanitize of ["pipe.ts", "/dev/zero", "."]) {
    await assert.rejects(read({ provider: "sqlite", sanitize }), {
      code: "SANITIZE_NOT_FOUND",
      message: /it is no file/,
    });
  }
  for (const provider of ["./pipe.ts", `./pipe.ts#sha256-${"A".repeat(43)}=`, "./mine.ts"]) {
    await assert.rejects(read({ provider }), { code: "PROVIDER_INVALID", message: /it is no file|is no \.ts/ });
  }
});

Deno.test("what reaches less far names less, and reads nothing more", async () => {
  const gone = { ...CONFIG, database: { provider: "./no-such-file.ts", sanitize: "none.sql" } };
  assert.deepEqual((await named(gone, {}, "registry")).items.map(({ kind }) => kind), ["registry"]);
  assert.deepEqual((await named(gone, {}, "vendors")).items.map(({ kind }) => kind), ["registry", "host"]);
});

const ENDPOINTS: Readonly<Record<string, readonly [own: readonly string[], others: readonly string[]]>> = {
  turso: [["https://api.turso.tech", "https://api.turso.tech/"], [
    "https://api.turso.tech.evil.example",
    "https://api.turso.tech@evil.example",
    "https://apixturso.tech",
    "https://api.turso.tech\\.evil.example",
    "https://api.turso.tech:8443",
    "https://evil.turso.tech",
  ]],
  s3: [["https://s3.eu-west-1.amazonaws.com", "https://s3.dualstack.eu-west-1.amazonaws.com"], [
    "https://evil.s3.eu-west-1.amazonaws.com",
    "https://ec2-1-2-3-4.compute.amazonaws.com",
    "https://s3.eu-west-1.amazonaws.com.evil.example",
    "https://s3.evil.example/.amazonaws.com",
  ]],
  "aws-secrets": [["https://secretsmanager.eu-central-1.amazonaws.com"], [
    "https://x.secretsmanager.eu-central-1.amazonaws.com",
  ]],
  qstash: [["https://qstash-us-east-1.upstash.io"], ["https://qstash-evil.upstash.io", "https://evil.upstash.io"]],
  vault: [["http://127.0.0.1:8200"], ["https://vault.acme.example:8200"]],
};

Deno.test("the vendor's own hosts and this machine need no trust; a host that looks like one does", async () => {
  for (const [name, [own, others]] of Object.entries(ENDPOINTS)) {
    const [kind] = Object.entries(PROVIDERS).find(([, providers]) => name in providers)!;
    const provider = (await PROVIDERS[kind as keyof typeof PROVIDERS][name]!()).default;
    const needs = (endpoint: string) => hostItems("x", provider, { endpoint }).length > 0;
    for (const one of [...own, "http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000"]) {
      assert(!needs(one), `${name} ${one}`);
    }
    const odd = [
      ...["http://127.0.0.1@evil.example", "http://localhost.evil.example", "http://127.0.0.1.evil.example"],
      ...["http://evil.example#127.0.0.1", "http://127.0.0.1\\@evil.example", "http://[::1]@evil.example"],
      ...["http://0.0.0.0:9000", "http://127.1", "https://localhost.:9000", "http://127.0.0.1:80:90", "//evil.example"],
      ...["http://127.0.0.1/\\@evil.example", "HTTP://evil.example", "http://127.0.0.1\t@evil.example"],
      ...["javascript://localhost", "file://localhost", "ftp://127.0.0.1:21", "libsql://localhost", "unix://[::1]"],
    ];
    for (const one of [...others, ...odd]) assert(needs(one), `${name} ${one}`);
  }
});

Deno.test("an endpoint is the URL of a host, and shows as it is", async () => {
  const hosts = [
    "\x1b[31m",
    "a\u202eb",
    "\x7f",
    "a:99999",
    "a b".replace(" ", "\u2028"),
    "[::1",
    "%",
    "a:b:c",
    "\u200b.example",
  ];
  for (const name of Object.keys(ENDPOINTS)) {
    const [kind] = Object.entries(PROVIDERS).find(([, providers]) => name in providers)!;
    const { entries } = (await PROVIDERS[kind as keyof typeof PROVIDERS][name]!()).default.options as unknown as {
      entries: Record<string, v.GenericSchema>;
    };
    assert(v.is(entries.endpoint!, "https://s3.acme.example:8443/"), name);
    for (const scheme of ["javascript", "file", "ftp", "data", "libsql", "ws", "httpss", "http+unix"]) {
      for (const host of ["localhost", "127.0.0.1:9000", "s3.acme.example"]) {
        assert(!v.is(entries.endpoint!, `${scheme}://${host}`), `${name} ${scheme} ${host}`);
      }
    }
    for (const host of hosts) assert(!v.is(entries.endpoint!, `https://${host}`), `${name} ${JSON.stringify(host)}`);
  }
});

Deno.test("every option of a built-in provider that takes a URL or a host is one that needs trust", async () => {
  let count = 0;
  const texts = new Set<string>(); // options that take any text
  for (const providers of Object.values(PROVIDERS)) {
    for (const load of Object.values(providers)) {
      const { default: provider } = await load();
      const { entries } = provider.options as unknown as { entries: Record<string, v.GenericSchema> };
      for (const [option, entry] of Object.entries(entries)) {
        for (
          const url of ["https://evil.example", "https://{env}.evil.example", "evil.example:443", "//evil.example"]
        ) {
          if (!v.is(entry, url)) continue;
          if (v.is(entry, "any text")) {
            texts.add(`${provider.name}.${option}`);
            continue;
          }
          assert.equal(hostItems("x", provider, { [option]: url }).length, 1, `${provider.name} ${option} ${url}`);
          count++;
        }
      }
    }
  }
  assert(count >= 15, `${count}`);
  assert.deepEqual([...texts].sort(), ["neon.database", "neon.role"], "of these a person knows that they name no host");
});

Deno.test("a registry needs trust unless it is the project's own file or this machine's", async () => {
  using outside = temporaryDirectory();
  using directory = temporaryDirectory();
  const root = join(directory.path, "shop");
  mkdirSync(join(root, "state"), { recursive: true });
  symlinkSync(outside.path, join(root, "linked"));
  const options = { catalog: CATALOG, reach: "registry", scriptOf: () => Promise.reject() } as const;
  const needs = async (url: string) =>
    (await namedBy(projectIn(root, { registry: { url } }), options)).items.length > 0;
  for (
    const url of [
      ...[`file://${root}/state/registry.db`, `file://${root}/x.db`, `file://${root}/not/yet/there.db`],
      ...["http://127.0.0.1:8080", "libsql://localhost:8080?tls=0", "http://[::1]:8080/"],
    ]
  ) assert(!await needs(url), url);
  for (
    const url of [
      ...[`file://${outside.path}/registry.db`, `file://${root}/../x.db`, `file://${root}/linked/registry.db`],
      ...[`file://${root}2/x.db`, "file://evil.example/share/x.db", "file:///etc/passwd", `file://${root}/%2e%2e/x.db`],
      ...["libsql://shop.turso.io", "https://registry.example", "libsql://127.0.0.1\\@evil.example"],
      ...["libsql://127.0.0.1@evil.example", "libsql://localhost.evil.example", "http://127.0.0.1#@evil.example"],
      ...["libsql://127.0.0.1:8080/x@evil.example/\\", "libsql:127.0.0.1"],
      ...["file://localhost/etc/passwd", "javascript://localhost", "ftp://127.0.0.1", "ws://[::1]:8080"],
    ]
  ) assert(await needs(url), url);
});

Deno.test("what a person is shown holds nothing that a terminal would obey, or show in another order", () => {
  const item: Item = {
    kind: "host",
    resource: "storage",
    option: "endpoint",
    name: "https://a\x1b[2K\u202etxe.\r\nhost",
  };
  const text = itemsText([item], "");
  assert.match(text, /https:\/\/a\\u\{1b\}\[2K\\u\{202e\}txe\.\\r\\nhost/);
  assert.equal(shownLines("a\tb\nc\u0000\u2028\u200b\ud800ü日"), "a\tb\nc\\u{0}\\u{2028}\\u{200b}\\u{d800}ü日");
});
