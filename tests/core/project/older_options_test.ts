/** Rows and files of an older version: the provider is found by an earlier name, and its options get those of today. */
import assert from "node:assert/strict";
import * as v from "npm:valibot@1.5.0";
import { checked } from "../../../core/project/checked_provider.ts";
import type { Project, Resource } from "../../../core/project/project.ts";
import { findProvider } from "../../../core/project/provider_lookup.ts";
import { parseResource, recordedOptions } from "../../../core/project/schema.ts";
import { assertTrusted, hostItems, namedBy } from "../../../core/project/trust_items.ts";
import type { Catalog, Loader } from "../../../core/catalog.ts";
import type { Kind, Provider } from "../../../core/provider.ts";
import { isForkstackError } from "../../../mod.ts";
import { PROVIDERS } from "../../../providers/mod.ts";
import { fakeProvider, Vendor } from "../_engine.ts";

type Options = Readonly<Record<string, unknown>>;

/** A provider whose `url` was once `server`, and whose `zone` is required since. */
const changed: Partial<Provider> = {
  name: "boxes",
  aliases: ["crates", "bins"],
  options: v.strictObject({
    url: v.optional(
      v.pipe(v.string(), v.metadata({ isOwnHost: (url: string) => url === "https://boxes.example" })),
      "https://boxes.example",
    ),
    zone: v.string(),
    size: v.optional(v.picklist(["small", "large"])),
  }),
  upgradeOptions: ({ server, ...rest }) => server === undefined ? rest : { url: server, ...rest },
};
const boxes = fakeProvider(new Vendor(), "cache", changed);

function catalogOf(...providers: Provider[]): Catalog {
  const built = Object.fromEntries(Object.keys(PROVIDERS).map((kind) => [kind, {}])) as Record<Kind, object>;
  for (const one of providers) {
    built[one.kind] = { ...built[one.kind], [one.name]: () => Promise.resolve({ default: one }) };
  }
  return {
    providers: built as Record<Kind, Record<string, Loader>>,
    teller: () => Promise.resolve(undefined),
    identities: () => Promise.reject(new Error("nobody asks")),
    presets: () => Promise.reject(new Error("nobody asks")),
  };
}

function resourceOf(provider: Provider, more: Partial<Resource> = {}): Resource {
  return { key: provider.kind, kind: provider.kind, provider, options: {}, ...more };
}

function codeOf(work: () => void): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    assert(isForkstackError(error) && error.hint, String(error));
    return error.code;
  }
}

Deno.test("recordedOptions() upgrades, leaves out what is gone, and fills what is required from forkstack.json", () => {
  const declared = { zone: "b", size: "large", provider: "boxes" };
  const url = "https://boxes.example";
  const table: [row: Options, declared: Options, options: Options][] = [
    [{ zone: "a" }, declared, { url, zone: "a" }],
    [{ server: "https://x.example", zone: "a", gone: 1, size: "small" }, declared, {
      url: "https://x.example",
      zone: "a",
      size: "small",
    }],
    [{ server: "https://x.example", noSuchOption: {} }, declared, { url: "https://x.example", zone: "b" }],
    [{}, { server: "https://other.example", zone: "c" }, { url, zone: "c" }],
    [{ toString: 1, zone: "a" }, {}, { url, zone: "a" }],
  ];
  for (const [row, file, options] of table) {
    const read = recordedOptions(boxes, row, file);
    assert("options" in read, JSON.stringify([row, read]));
    assert.deepEqual(read.options, options);
    assert.deepEqual(Object.keys(read.given).filter((name) => !(name in options)), []);
  }
});

Deno.test("recordedOptions() tells what it can't read, and what forkstack.json would have to name", () => {
  const table: [row: Options, declared: Options, problem: RegExp, lacking: string | undefined][] = [
    [{ zone: 1 }, { zone: "b" }, /"zone"/, undefined],
    [{ zone: "a", server: ["https://x.example"] }, {}, /"url"/, undefined],
    [{ zone: "a", size: "huge" }, {}, /"size"/, undefined],
    [{ zone: null }, { zone: "b" }, /"zone"/, undefined],
    [{}, {}, /"zone"/, "zone"],
    [{ size: "small" }, { size: "large" }, /"zone"/, "zone"],
    [{}, { zone: 5 }, /"zone"/, undefined],
  ];
  for (const [row, file, problem, lacking] of table) {
    const read = recordedOptions(boxes, row, file);
    assert("problem" in read, JSON.stringify(row));
    assert.match(read.problem, problem);
    assert.equal(read.lacking, lacking, JSON.stringify(row));
  }
  const broken = { ...boxes, upgradeOptions: ({ size }: Options) => ({ size: (size as string).trim() }) };
  assert.equal(codeOf(() => recordedOptions(broken, {})), "PROVIDER_INVALID");
});

Deno.test("parseResource() takes an option by its old name, and no other", async () => {
  const parse = (given: Options) => parseResource(boxes, given, "cache", "forkstack.json");
  const { options } = await parse({ server: "https://x.example", zone: "a" });
  assert.deepEqual(options, { url: "https://x.example", zone: "a" });
  for (const wrong of [{ zone: "a", servers: "x" }, { server: "https://x.example" }, { zone: "a", server: 1 }]) {
    await assert.rejects(parse(wrong), { code: "CONFIG_INVALID" });
  }
  const database = fakeProvider(new Vendor(), "database", { ...changed, kind: "database" });
  const read = await parseResource(database, { server: "https://x.example", zone: "a", sanitize: "x.sql" }, "x", "y");
  assert.deepEqual(read, { sanitize: "x.sql", options: { url: "https://x.example", zone: "a" } });
});

Deno.test("a host needs trust under its old name as under today's, whoever wrote the row", async () => {
  const catalog = catalogOf(boxes);
  const rest = { catalog, resources: [], isTrusted: () => false };
  const trust = (row: Options) => {
    const read = recordedOptions(boxes, row, { zone: "a" });
    assert("given" in read);
    return codeOf(() => assertTrusted({ key: "cache", kind: "cache", options: read.given }, boxes, rest));
  };
  assert.equal(trust({ server: "https://boxes.example" }), undefined, "the vendor's own");
  assert.equal(trust({ server: "http://127.0.0.1:9" }), undefined, "this machine");
  assert.equal(trust({ gone: "https://evil.example" }), undefined, "nothing is sent there");
  for (
    const row of [{ server: "https://evil.example" }, { url: "https://evil.example" }, { server: "http://10.0.0.1" }]
  ) {
    assert.equal(trust(row), "NOT_TRUSTED", JSON.stringify(row));
  }
  const config = { project: "shop", cache: { provider: "boxes", server: "https://evil.example", zone: "a" } };
  const project = { root: "/", stateRoot: "/", name: "shop", stack: "shop", config, isNew: false } as Project;
  const { items } = await namedBy(project, { catalog, reach: "all", scriptOf: () => Promise.resolve(undefined) });
  assert.deepEqual(items, hostItems("cache", boxes, { url: "https://evil.example" }));
  assert.equal(items.length, 1);
});

Deno.test("a provider of the project's own has its rows trusted by what any of its resources in forkstack.json says", () => {
  const own = fakeProvider(new Vendor(), "storage", { name: "mine", options: v.strictObject({ at: v.string() }) });
  // Each resource has its own copy of the provider, as it is loaded for each.
  const resources = ["./a", "./b"].map((at) =>
    resourceOf({ ...own }, { key: `storage.${at.slice(2)}`, options: { at } })
  );
  const trust = (at: string) =>
    codeOf(() =>
      assertTrusted({ key: "storage.b", kind: "storage", options: { at } }, resources[0]!.provider, {
        catalog: catalogOf(),
        resources,
        isTrusted: () => false,
      })
    );
  assert.deepEqual(["./a", "./b", "./c", "https://x.example"].map(trust), [
    undefined,
    undefined,
    "NOT_TRUSTED",
    "NOT_TRUSTED",
  ]);
});

Deno.test("findProvider() goes by today's name first, then by an earlier one, of forkstack.json before the catalog", async () => {
  const other = fakeProvider(new Vendor(), "cache", { name: "bins" });
  const own = fakeProvider(new Vendor(), "cache", { name: "mine", aliases: ["crates", "ours"] });
  const unread = resourceOf({ ...own, name: "./mine.ts", aliases: undefined }, { isUnread: true });
  const find = async (name: string, resources: Resource[] = [], providers = [boxes, other]) =>
    (await findProvider({ catalog: catalogOf(...providers), resources }, "cache", name))?.name;
  assert.equal(await find("boxes"), "boxes");
  assert.equal(await find("crates"), "boxes");
  assert.equal(await find("bins"), "bins", "a name of today is no earlier one");
  assert.equal(await find("bins", [], [boxes]), "boxes");
  assert.equal(await find("crates", [resourceOf(own)]), "mine");
  assert.equal(await find("ours", [resourceOf(own)]), "mine");
  assert.equal(await find("nobody", [resourceOf(own)]), undefined);
  assert.equal(await find("crates", [unread]), "boxes");
  assert.equal(await find("ours", [unread]), "./mine.ts", "one that is not run may be any");
  assert.equal(await findProvider({ catalog: catalogOf(boxes), resources: [] }, "queue", "crates"), undefined);
});

Deno.test("checked() hands on all that a provider says of itself", async () => {
  const given = { ...boxes, credentialsHint: "x", secrets: undefined };
  const all = [
    given,
    ...await Promise.all(
      Object.values(PROVIDERS).flatMap((kind) => Object.values(kind)).map(async (load) => (await load()).default),
    ),
  ];
  assert(all.length > 20);
  for (const one of all) {
    const said = Object.entries(one).filter(([, value]) => value !== undefined).map(([name]) => name);
    assert.deepEqual(said.filter((name) => !(name in checked(one))), [], one.name);
  }
});
