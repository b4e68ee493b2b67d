/** What shipped code loads when it needs it, and which packages, by its text: tools/build/binary.ts has all of it, the lock files one version. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PROVIDERS } from "../../providers/mod.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const { imports, publish } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));

/** The packages that a lock file names, e.g. `npm:valibot@1.5.0`. */
function locked(name: string): Set<string> {
  return new Set(Object.keys(JSON.parse(readFileSync(join(ROOT, name), "utf8")).specifiers));
}

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

Deno.test("tools/build/binary.ts carries what load() is asked for, and nothing else", async () => {
  const asked = new Set<string>();
  for (const [path, text] of SHIPPED) {
    const types = found(text, /load<typeof import\("([^"]+)"\)>/g).map((type) =>
      new URL(type, `file:///${path}`).pathname
    );
    const paths = found(text, /load<typeof import\("[^"]+"\)>\(\s*"([^"]+)"/g);
    assert.deepEqual(types, paths.map((one) => `/${one}`), `${path}: each load() has the type of what it loads`);
    for (const one of paths) asked.add(one);
  }
  for (const text of SHIPPED.values()) {
    for (const one of found(text, /loadPackage<[^;]*>\(\s*"(npm:[^"]+)"/g)) asked.add(one);
  }
  for (const file of found(SHIPPED.get("core/cli/command_table.ts")!, /\bby\("(\w+)", "\w+"\)/g)) {
    asked.add(`core/cli/commands/${file}.ts`);
  }
  for (const [kind, providers] of Object.entries(PROVIDERS)) {
    for (const name of Object.keys(providers)) asked.add(`providers/${kind}/${name}.ts`);
  }
  const text = SHIPPED.get("tools/build/binary.ts")!;
  const carried = found(text, /^ {2}"([^"]+)": \(\) => import\(/gm);
  assert.deepEqual(carried.toSorted(), [...asked].toSorted());
  const imported = found(text, /=> import\("([^"]+)"\)/g).map((one) =>
    one.startsWith("npm:") ? one : new URL(one, "file:///tools/build/").pathname.slice(1)
  );
  assert.deepEqual(imported, carried, "each under its own path");
  for (const path of carried) assert(path.startsWith("npm:") || SHIPPED.has(path), path);
  await Promise.all(Object.values(PROVIDERS).flatMap((of) => Object.values(of)).map((load) => load()));
});

Deno.test("each command is a function of the file that core/cli/command_table.ts names", async () => {
  for (const [, file, name] of SHIPPED.get("core/cli/command_table.ts")!.matchAll(/\bby\("(\w+)", "(\w+)"\)/g)) {
    assert.equal(
      typeof (await import(new URL(`../../core/cli/commands/${file}.ts`, import.meta.url).href))[name],
      "function",
    );
  }
});

const SPECIFIER = /^(npm:((?:@[\w.-]+\/)?[\w.-]+)@(\d+\.\d+\.\d+(?:-[\w.]+)?))(?:\/.+)?$/;

/** The packages that a text names anywhere, also for their types alone. */
function packagesIn(texts: Iterable<string>): Set<string> {
  return new Set([...texts].flatMap((text) => found(text, /["`](npm:(?:@[\w.-]+\/)?[\w.-]+@\d[\w.-]*)/g)));
}

Deno.test("shipped code names its packages whole, and deno.lock has those and no others", () => {
  for (const [path, text] of SHIPPED) {
    const specifiers = found(text, /(?:^(?:import|export)\b[^"';()=]*?\bfrom |^import |\bimport\(\s*)"([^"]+)"/gm);
    for (const specifier of specifiers) {
      if (/^(\.{1,2}\/|node:)/.test(specifier)) continue;
      assert.match(specifier, SPECIFIER, `${path}: "${specifier}" is no package in an exact version`);
    }
  }
  const used = packagesIn(SHIPPED.values());
  assert(used.size >= 10, "the pattern finds them");
  assert.deepEqual([...locked("deno.lock")].sort(), [...used].sort());
  assert.equal(imports, undefined, "deno task fetches all that deno.json imports, whatever the task");
});

Deno.test("tests, benchmarks and builds have each package in the version that shipped code has", () => {
  const dev = locked("dev.lock");
  for (const one of locked("deno.lock")) assert(dev.has(one), `dev.lock lacks ${one}`);
  const versions = new Map<string, string>();
  for (const specifier of dev) {
    const [, , name, version] = SPECIFIER.exec(specifier)!;
    assert.equal(versions.get(name) ?? version, version, `dev.lock: a second version of ${name}`);
    versions.set(name, version);
  }
});
