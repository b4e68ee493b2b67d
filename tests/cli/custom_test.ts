/**
 * Providers of one's own, from the command line: by path and by URL, with and without the hash of the file, and everything
 * that can be wrong with one.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { serve, type Served } from "../emulators/serve.ts";
import { type Ended, IS_OTHER_PROGRAM, NET, Place, run } from "./run.ts";

const EXAMPLE = readFileSync(new URL("../../examples/custom-provider/json-file.ts", import.meta.url), "utf8");
const FILE = "./providers/json-file.ts";

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}

/** The command line with a network, and a variable that shows in a child of it whether a file ran. */
async function cli(place: Place, args: readonly string[], hasNet = true): Promise<Ended> {
  return await run(place.root, args, hasNet ? { allow: NET } : { isProcess: true });
}

async function ok(place: Place, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cli(place, args);
  assert.equal(code, 0, stdout + stderr);
  return stdout;
}

async function refused(place: Place, args: readonly string[], hasNet?: boolean) {
  const { code, stdout } = await cli(place, [...args, "--json"], hasNet);
  const { error } = JSON.parse(stdout);
  assert(error?.hint, stdout);
  return { exit: code, code: error.code, message: error.message as string, hint: error.hint as string };
}

/** A project whose database is the file, which somebody trusts; `provider` is what forkstack.json says of it. */
async function project(provider: string, text = EXAMPLE): Promise<Place> {
  const place = await Place.make({ database: { provider, directory: "data" } });
  await place.write(FILE, text);
  await place.write("data/shop-dev.json", '{ "notes": ["of dev"] }');
  await trust(place); // of a file that can't be read it says so again below
  return place;
}

async function trust(place: Place): Promise<Ended> {
  return await cli(place, ["trust", "--yes"]);
}

/** A file that says so when it runs, and whether it did. */
function marking(place: Place, text = "export default 1;") {
  const mark = place.path("it-ran");
  return {
    text: `import { writeFileSync } from "node:fs";\nwriteFileSync(${JSON.stringify(mark)}, "");\n${text}`,
    ran: () => place.read("it-ran").then((found) => found !== undefined),
  };
}

async function webServer(text: () => string): Promise<Served & { asked: string[] }> {
  const asked: string[] = [];
  const headers = { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" };
  const served = await serve(() => ({
    handle(request) {
      const { pathname } = new URL(request.url);
      asked.push(pathname);
      return Promise.resolve(
        pathname === "/json-file.ts" ? new Response(text(), { headers }) : new Response(null, { status: 404 }),
      );
    },
  }));
  return Object.assign(served, { asked });
}

async function lifecycle(place: Place): Promise<void> {
  await ok(place, "new", "alice");
  assert.match(await ok(place, "status"), /database +json-file +full-copy +shop-alice/);
  const url = /^DATABASE_URL='?(.+?)'?$/m.exec((await place.read(".env.local"))!)![1]!;
  assert.deepEqual(JSON.parse(readFileSync(fileURLToPath(url), "utf8")).notes, ["of dev"]);
  assert.match(await ok(place, "list"), /alice +ready/);
  assert.equal(await ok(place, "doctor"), "No problems found\n");
  await ok(place, "delete", "alice", "--yes");
  assert.equal(await place.read("data/shop-dev.json"), '{ "notes": ["of dev"] }');
  assert.deepEqual(await readdir(place.path("data")), ["shop-dev.json"]);
}

for (const provider of [FILE, `${FILE}#sha256-${hashOf(EXAMPLE)}`]) {
  Deno.test(`a provider by path${provider === FILE ? "" : " with its hash"}: new, status, list, doctor and delete`, async () => {
    await using place = await project(provider);
    await lifecycle(place);
  });
}

Deno.test("a provider by path may import its neighbours", async () => {
  await using place = await project("./providers/mine.ts");
  await place.write("providers/mine.ts", 'export { default } from "./json-file.ts";');
  await trust(place);
  await lifecycle(place);
});

Deno.test("a provider may be written in TypeScript of every kind that only has to be left out", async () => {
  const text = `#!/usr/bin/env -S deno run
    const kept = async <T>(value: T): Promise<T> => await value;
    abstract class Base<out T> { abstract of: T; declare in?: T; by = <U>(one: U): U => one; }
    ${EXAMPLE.replace("const pathOf =", "void kept(<Partial<Base<string>>> {} satisfies object);\n  const pathOf =")}`;
  await using place = await project(FILE, text);
  await lifecycle(place);
});

const isDeno = !IS_OTHER_PROGRAM;

Deno.test({
  name: `a provider may be exported itself, and import packages${
    isDeno ? "" : " (skipped: a binary of Bun resolves no npm: specifiers)"
  }`,
  ignore: !isDeno,
  async fn() {
    const text = `
      import * as v from "npm:valibot@1.5.0";
      ${EXAMPLE.replace("export default (", "const make = (")}
      class ForkstackError extends Error {
        constructor(readonly code: string, message: string, readonly options: { hint?: string }) {
          super(message);
        }
      }
      const formatMarker = (one: Mark & Record<string, string>) =>
        ["forkstack", "v1", one.stack, one.env, one.resource, one.operation].map(encodeURIComponent).join(":");
      export default make({ v, ForkstackError, formatMarker } as unknown as Tools);`;
    await using place = await project(FILE, text);
    await lifecycle(place);
    const packaged = `import * as v from "npm:valibot@1.5.0";\n${EXAMPLE.replace("({ v, ", "({ ")}`;
    await using other = await project(`${FILE}#sha256-${hashOf(packaged)}`, packaged);
    await lifecycle(other);
  },
});

Deno.test("a provider by URL is fetched once, checked, and run from what was checked", async () => {
  let text = EXAMPLE;
  await using web = await webServer(() => text);
  await using place = await project(`${web.url}/json-file.ts#sha256-${hashOf(EXAMPLE)}`);
  await ok(place, "new", "alice", "--dry-run");
  assert.deepEqual(
    (await readdir(place.root)).sort(),
    ["data", "forkstack.json", "providers"],
    "a dry run keeps nothing",
  );
  await lifecycle(place);
  const { length } = web.asked;
  text = "changed later";
  await lifecycle(place);
  assert.equal(web.asked.length, length, "what was checked is kept");
  const [kept] = await readdir(place.path(".forkstack/providers"));
  assert.equal(kept, createHash("sha256").update(EXAMPLE).digest("hex"));
  const { text: changed, ran } = marking(place);
  await writeFile(place.path(".forkstack/providers", kept!), changed); // somebody writes there
  const error = await refused(place, ["new", "bob"]);
  assert.deepEqual([error.code, error.exit, await ran()], ["PROVIDER_CHANGED", 2, false]);
  text = EXAMPLE;
  await lifecycle(place);
});

for (const where of ["path", "URL"] as const) {
  Deno.test(`a file that changed is not run, by ${where}, and the hint has its new hash`, async () => {
    let text = "";
    await using web = await webServer(() => text);
    const provider = where === "path" ? FILE : `${web.url}/json-file.ts`;
    await using place = await project(`${provider}#sha256-${hashOf(EXAMPLE)}`);
    const marked = marking(place, EXAMPLE);
    text = marked.text;
    await place.write(FILE, text);
    const error = await refused(place, ["new", "alice"]);
    assert.deepEqual([error.code, error.exit, await marked.ran()], ["PROVIDER_CHANGED", 2, false]);
    const wanted = /write "(.+)"$/.exec(error.hint)![1]!;
    assert.equal(wanted, `${provider}#sha256-${hashOf(text)}`);
    await place.write(
      "forkstack.json",
      JSON.stringify({ project: "shop", database: { provider: wanted, directory: "data" } }),
    );
    assert.equal((await refused(place, ["new", "alice"])).code, "NOT_TRUSTED", "a change is asked about again");
    assert.equal(await marked.ran(), false);
    await trust(place);
    await ok(place, "new", "alice");
    assert(await marked.ran());
  });
}

Deno.test("a URL without the hash, or one that may be read on its way, is refused before anything is asked", async () => {
  const { text: never } = { text: () => "export default 1;" };
  await using web = await webServer(never);
  const hash = `#sha256-${hashOf(EXAMPLE)}`;
  const cases: Record<string, RegExp> = {
    [`${web.url}/json-file.ts`]: /must end with the hash of its file.*curl -sL http.*openssl dgst -sha256/,
    "https://providers.example/mine.ts": /must end with the hash/,
    [`http://providers.example/mine.ts${hash}`]: /must be an https URL/,
    [`https://user:pass@providers.example/mine.ts${hash}`]: /must be an https URL/,
    [`https://providers.example/mine.ts?token=1${hash}`]: /must be an https URL/,
    [`file:///tmp/mine.ts${hash}`]: /must be an https URL/,
    [`${FILE}#sha256-abc`]: /44 characters of base64/,
    [`${FILE}#sha512-${"A".repeat(43)}=`]: /44 characters of base64/,
    "./providers/mine": /ends with \.ts or \.js/,
    "sqlit": /did you mean "sqlite"/,
  };
  for (const [provider, message] of Object.entries(cases)) {
    await using place = await project(provider);
    const error = await refused(place, ["new", "alice"]);
    assert.deepEqual([error.code, error.exit], ["CONFIG_INVALID", 2], error.message);
    assert.match(error.message, message);
  }
  assert.deepEqual(web.asked, []);
});

/** The example's provider with something else in the place of a part. */
function changed(more: string): string {
  return EXAMPLE.replace("export default (", "const make = (") +
    `\nexport default (tools: Tools) => ({ ...make(tools), ${more} });\n`;
}

const BROKEN: Readonly<Record<string, readonly [text: string, message: RegExp]>> = {
  "another kind": [changed('kind: "cache"'), /provider of kind "cache", not "database"/],
  "a function that is missing": [changed("probe: undefined"), /"probe" must be a function/],
  "a capability that is none": [
    changed('capabilities: { copy: "magic" }'),
    /"capabilities.copy" must be .*"full-copy"/,
  ],
  "a claim without its function": [changed("usage: undefined"), /"usage" must be there as capabilities.usage says/],
  "a function without its claim": [changed("extend() {}"), /"extend" must be there as capabilities.nativeExpiry says/],
  "options that are no schema": [changed("options: {}"), /"options" must be a strictObject of valibot/],
  "credentials without names": [changed('credentials: ["TOKEN"]'), /"credentials" must be a list/],
  "variables as names": [changed('variables: ["DATABASE_URL"]'), /"variables" must be like/],
  "a variable of which less is told": [
    changed("variables: { DATABASE_URL: { isSecret: true } }"),
    /"variables" must be like/,
  ],
  "headers that are none": [changed('requestIdHeaders: ["x-id: 1"]'), /"requestIdHeaders" must be a list of names/],
  "a title that is none": [changed("title: 1, page: {}"), /"title" must be a text; "page" must be a text/],

  "aliases that are no names": [changed('aliases: ["Mine!"]'), /"aliases" must be a list of names/],
  "an alias that is a built-in one": [changed('aliases: ["mine", "sqlite"]'), /none of them a built-in provider's/],
  "an upgrade that is no function": [changed("upgradeOptions: {}"), /"upgradeOptions" must be a function/],
  "secrets of a database": [changed("secrets: { read() {}, write() {} }"), /"secrets" must be/],
  "the name of a built-in one": [changed('name: "turso"'), /"turso" is the name of a built-in provider/],
  "several at once": [changed('name: "A b", list: 1'), /"name" must be like "my-db"; "list" must be a function/],
  "no default export": ["export const provider = 1;", /default export must be a provider, or a function.*not missing/],
  "a string": ['export default "x";', /not string/],
  "what throws when it is loaded": [
    'throw new TypeError("no such luck\\n  at");',
    /does not load: TypeError: no such luck$/,
  ],
  "what throws when it is called": ['export default () => { throw new Error("no"); };', /does not load: Error: no$/],
  "what is no TypeScript": ["export default {{;", /does not load: /],
  "an import of what is not there": [
    'import "npm:@forkstack/no-such-package@9.9.9";\nexport default 1;',
    /does not load: /,
  ],
};

Deno.test("what a file exports is checked when it is loaded", async (t) => {
  for (const [name, [text, message]] of Object.entries(BROKEN)) {
    for (const hash of ["", `#sha256-${hashOf(text)}`]) {
      await t.step(`${name}${hash && ", with its hash"}`, async () => {
        await using place = await project(`${FILE}${hash}`, text);
        const error = await refused(place, ["new", "alice"]);
        assert.deepEqual([error.code, error.exit], ["PROVIDER_INVALID", 2], error.message);
        assert.match(error.message, message);
        assert(error.message.length < 600 && !error.message.includes("base64"), error.message);
        assert.equal(await place.read(".forkstack/registry.db"), undefined, "nothing was begun");
      });
    }
  }
});

Deno.test("a file that gives a variable which it does not declare is refused, and its fork is undone", async () => {
  const declared = "variables: { DATABASE_TOKEN: { isSecret: true, isIdentity: true } }";
  await using place = await project(FILE, changed(declared));
  const error = await refused(place, ["new", "alice"]);
  assert.equal(error.code, "ANSWER_INVALID", error.message);
  assert.match(error.message, /a variable that it does not declare is "DATABASE_URL"/);
  assert.equal(await place.read("data/shop-alice.json"), undefined);
  assert.equal(await place.read(".env.local"), undefined);
});

Deno.test("a secret that a file gives as plain text is one by its declaration: written, and shown nowhere", async () => {
  const canary = "canary0123456789";
  const text = changed(`
    variables: { DATABASE_URL: { isSecret: true, isIdentity: true } },
    outputs: () => Promise.resolve({ DATABASE_URL: "${canary}" })`);
  await using place = await project(FILE, text);
  const shown = [
    await ok(place, "new", "alice", "--json"),
    await ok(place, "status", "alice"),
    await ok(place, "list"),
  ];
  assert.doesNotMatch(shown.join(""), /canary/);
  assert.match(await place.read(".env.local") ?? "", new RegExp(`^DATABASE_URL=${canary}$`, "m"));
});

Deno.test("what a hash does not cover is not loaded", async () => {
  for (const line of ['import { x } from "./x.ts";', "const at = './x.ts'; await import(at);", 'eval("1");']) {
    const text = `${line}\n${EXAMPLE}`;
    await using place = await project(`${FILE}#sha256-${hashOf(text)}`, text);
    const error = await refused(place, ["new", "alice"]);
    assert.deepEqual([error.code, error.exit], ["PROVIDER_INVALID", 2], error.message);
    assert.match(error.message, /which its hash does not cover|code that its hash does not cover/);
  }
});

Deno.test("what is a type, a name or a text loads nothing, and is not refused", async () => {
  const text = `
    import type { Provider as P } from "./types.ts";
    type F = Function; type I = import("./types.ts").X; declare const eval2: typeof eval;
    const names = { eval: 1, require: 2, Function: "new Function(import('./x.ts'))", self: "eval" };
    class Kept { constructor(readonly eval: number) {} require(): number { return names.require + this.eval; } }
    // import("./x.ts"); eval("1")
    const fs = process.getBuiltinModule("node:fs") as typeof import("node:fs");
    if (new Kept(1).require() !== 3 || names.self !== "eval" || typeof fs.statSync !== "function") throw new Error();
    ${EXAMPLE}`.replace("constructor(readonly eval: number) {}", "eval = 1;").replace("new Kept(1)", "new Kept()");
  await using place = await project(`${FILE}#sha256-${hashOf(text)}`, text);
  await ok(place, "new", "alice");
});

Deno.test("a file that is not there, a server without it, without a network, or gone, each has its code", async () => {
  const hash = `#sha256-${hashOf(EXAMPLE)}`;
  await using web = await webServer(() => EXAMPLE);
  const cases: [string, string, number, boolean?][] = [
    ["./providers/none.ts", "PROVIDER_NOT_FOUND", 4],
    [`./providers/none.ts${hash}`, "PROVIDER_NOT_FOUND", 4],
    [`${web.url}/none.ts${hash}`, "PROVIDER_NOT_FOUND", 4],
  ];
  if (isDeno) cases.push([`${web.url}/json-file.ts${hash}`, "NETWORK_DENIED", 2, false]);
  for (const [provider, code, exit, hasNet] of cases) {
    await using place = await project(provider);
    const error = await refused(place, ["new", "alice"], hasNet);
    assert.deepEqual([error.code, error.exit], [code, exit], error.message);
  }
  await using place = await project(`${web.url}/json-file.ts${hash}`);
  await web.close();
  const error = await refused(place, ["new", "alice"]);
  assert.deepEqual([error.code, error.exit], ["PROVIDER_UNAVAILABLE", 6], error.message);
});

Deno.test("options of the file's own are checked, and unknown ones named", async () => {
  await using place = await project(FILE);
  const declare = async (more: object) => {
    await place.write("forkstack.json", JSON.stringify({ project: "shop", database: { provider: FILE, ...more } }));
    await trust(place);
  };
  await declare({ directry: "x" });
  assert.match(
    (await refused(place, ["new", "alice"])).message,
    /unknown key "database.directry"; did you mean "directory"/,
  );
  await declare({ directory: "../x" });
  assert.match((await refused(place, ["new", "alice"])).message, /"database.directory" must be a path inside/);
});

Deno.test("what a file made is not deleted by any other, nor without it", async () => {
  await using place = await project(FILE);
  await ok(place, "new", "alice");
  const config = (await place.read("forkstack.json"))!;
  await place.write("forkstack.json", '{ "project": "shop", "database": { "provider": "sqlite" } }');
  const error = await refused(place, ["delete", "alice", "--yes"]);
  assert.match(error.message, /neither this forkstack nor forkstack.json has its provider "json-file"/);
  assert((await place.read("data/shop-alice.json"))?.includes("of dev"));
  await place.write("forkstack.json", config);
  await ok(place, "delete", "alice", "--yes");
  assert.equal(await place.read("data/shop-alice.json"), undefined);
});

Deno.test("two files whose providers have one name are refused", async () => {
  await using place = await Place.make({
    database: { a: { provider: FILE }, b: { provider: "./providers/copy.ts" } },
  });
  await place.write(FILE, EXAMPLE);
  await place.write("providers/copy.ts", EXAMPLE);
  await trust(place);
  const error = await refused(place, ["new", "alice"]);
  assert.equal(error.code, "PROVIDER_INVALID");
  assert.match(error.message, /both called "json-file"/);
});

Deno.test("a secret from another copy of forkstack is still one", async () => {
  const { Secret } = await import("../../core/secret.ts");
  const text = readFileSync(new URL("../../core/secret.ts", import.meta.url), "utf8");
  const other = await import(`data:application/typescript,${encodeURIComponent(text)}`);
  const secret = new other.Secret("value");
  assert(secret instanceof Secret && new Secret("x") instanceof other.Secret && secret.reveal() === "value");
  for (const not of [null, undefined, "x", {}, { reveal() {} }]) assert(!((not as unknown) instanceof Secret));
});

/** The next version of the example: it has another name, and so has its option. */
const NEXT = `${EXAMPLE.replace("export default (", "const make = (").replaceAll("directory", "folder")}
export default (tools: Tools) => ({
  ...make(tools),
  name: "json-notes",
  aliases: ["json-file"],
  upgradeOptions({ directory, ...rest }: Record<string, unknown>) {
    return directory === undefined ? rest : { folder: directory, ...rest };
  },
});
`;

Deno.test("a later version of a file, with other names, goes on with what the earlier one made", async () => {
  await using place = await project(FILE);
  await ok(place, "new", "alice");
  await ok(place, "new", "bob", "--ttl", "1m", "--no-switch");
  await place.write(FILE, NEXT);
  await trust(place);
  assert.equal(await ok(place, "doctor"), "No problems found\n");
  await ok(place, "new", "alice");
  await ok(place, "new", "carol");
  for (const env of ["alice", "bob", "carol"]) await ok(place, "delete", env, "--yes");
  assert.deepEqual(await readdir(place.path("data")), ["shop-dev.json"]);
  const registry = { directory: "data", folder: "elsewhere" };
  await place.write("forkstack.json", JSON.stringify({ project: "shop", database: { provider: FILE, ...registry } }));
  await trust(place);
  assert.equal((await ok(place, "new", "dave", "--empty", "--json")).includes('"ok": true'), true);
  assert.deepEqual(await readdir(place.path("elsewhere")), ["shop-dave.json"], "today's name goes before the old one");
});

Deno.test("two files of which one had the other's name are refused: a row would not tell which of them made it", async () => {
  for (const other of ['name: "other", aliases: ["json-file"]', 'name: "json-file"']) {
    const mine = { provider: FILE, directory: "data" };
    await using place = await Place.make({ database: { mine, other: { ...mine, provider: "./other.ts" } } });
    await place.write(FILE, EXAMPLE);
    await place.write("other.ts", changed(other));
    await trust(place);
    const error = await refused(place, ["new", "alice"]);
    assert.equal(error.code, "PROVIDER_INVALID");
    assert.match(error.message, /"\.\/(other|providers\/json-file)\.ts" are both called "json-file"/);
  }
});
