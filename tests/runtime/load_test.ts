/** What shipped code loads when it needs it, and which packages, by its text: core/binary.ts has all of it, deno.json one version. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PROVIDERS } from "../../providers/mod.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const { imports, publish } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));

/** Each shipped module, by its path in the repository. */
const SHIPPED = new Map<string, string>(
  (publish.include as string[]).flatMap((name) =>
    /\.ts$/.test(name)
      ? [name]
      : /^(core|providers)$/.test(name)
      ? readdirSync(join(ROOT, name), { recursive: true, encoding: "utf8" }).map((inside) => `${name}/${inside}`)
        .filter((path) => path.endsWith(".ts"))
      : []
  ).map((path) => [path, readFileSync(join(ROOT, path), "utf8")]),
);

function found(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), ([, one]) => one);
}

Deno.test("core/binary.ts carries what load() is asked for, and nothing else", async () => {
  const asked = new Set<string>();
  for (const [path, text] of SHIPPED) {
    const types = found(text, /load<typeof import\("([^"]+)"\)>/g).map((type) =>
      new URL(type, `file:///${path}`).pathname
    );
    const paths = found(text, /load<typeof import\("[^"]+"\)>\(\s*"([^"]+)"/g);
    assert.deepEqual(types, paths.map((one) => `/${one}`), `${path}: each load() has the type of what it loads`);
    for (const one of paths) asked.add(one);
  }
  for (const file of found(SHIPPED.get("core/commands.ts")!, /\bby\("(\w+)", "\w+"\)/g)) {
    asked.add(`core/commands/${file}.ts`);
  }
  for (const [kind, providers] of Object.entries(PROVIDERS)) {
    for (const name of Object.keys(providers)) asked.add(`providers/${kind}/${name}.ts`);
  }
  const text = SHIPPED.get("core/binary.ts")!;
  const carried = found(text, /^ {2}"([^"]+)": \(\) => import\(/gm);
  assert.deepEqual(carried.toSorted(), [...asked].toSorted());
  const imported = found(text, /=> import\("(\.[^"]+)"\)/g).map((one) =>
    new URL(one, "file:///core/").pathname.slice(1)
  );
  assert.deepEqual(imported, carried, "each under its own path");
  for (const path of carried) assert(SHIPPED.has(path), path);
  await Promise.all(Object.values(PROVIDERS).flatMap((of) => Object.values(of)).map((load) => load()));
});

Deno.test("each command is a function of the file that core/commands.ts names", async () => {
  for (const [, file, name] of SHIPPED.get("core/commands.ts")!.matchAll(/\bby\("(\w+)", "(\w+)"\)/g)) {
    assert.equal(
      typeof (await import(new URL(`../../core/commands/${file}.ts`, import.meta.url).href))[name],
      "function",
    );
  }
});

Deno.test("shipped code names its packages whole, each in the one version that deno.json has", () => {
  const versions = new Map<string, string>();
  for (const [path, text] of SHIPPED) {
    const specifiers = found(text, /(?:^(?:import|export)\b[^"';()=]*?\bfrom |^import |\bimport\(\s*)"([^"]+)"/gm);
    for (const specifier of specifiers) {
      if (/^(\.{1,2}\/|node:)/.test(specifier)) continue;
      const [, name, version] = /^npm:((?:@[\w.-]+\/)?[\w.-]+)@(\d+\.\d+\.\d+)(?:\/.+)?$/.exec(specifier) ?? [];
      assert(name !== undefined, `${path}: "${specifier}" is no package in an exact version`);
      assert(Object.values<string>(imports).includes(specifier), `${path}: "${specifier}" is not in deno.json`);
      assert.equal(versions.get(name) ?? version, version, `${path}: a second version of ${name}`);
      versions.set(name, version);
    }
  }
  assert(versions.size >= 10, "the pattern finds them");
  for (const specifier of Object.values<string>(imports)) {
    const [, name, version] = /^npm:((?:@[\w.-]+\/)?[\w.-]+)@([^/]+)/.exec(specifier)!;
    assert.equal(versions.get(name) ?? version, version, `deno.json: a second version of ${name}`);
  }
});
