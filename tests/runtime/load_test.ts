/** What shipped code loads when it needs it, and which packages: each is there, and the lock files have one version. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { COMMANDS } from "../../core/cli/command_table.ts";
import { PROVIDERS } from "../../providers/mod.ts";
import { readSources } from "../../tools/gen/sources.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const { imports } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));

/** The packages that a lock file names, e.g. `npm:valibot@1.5.0`. */
function locked(name: string): Set<string> {
  return new Set(Object.keys(JSON.parse(readFileSync(join(ROOT, name), "utf8")).specifiers));
}

Deno.test("each command and each provider is in the file of its name", async () => {
  for (const name of Object.keys(COMMANDS)) {
    const { command } = await import(new URL(`../../core/cli/commands/${name}.ts`, import.meta.url).href);
    assert.equal(typeof command.run, "function", name);
  }
  for (const [kind, providers] of Object.entries(PROVIDERS)) {
    for (const [name, load] of Object.entries(providers)) {
      const { default: provider } = await load();
      assert.deepEqual([provider.kind, provider.name], [kind, name]);
    }
  }
});

const SPECIFIER = /^(npm:((?:@[\w.-]+\/)?[\w.-]+)@(\d+\.\d+\.\d+(?:-[\w.]+)?))(?:\/.+)?$/;

Deno.test("shipped code names its packages whole, and deno.lock has those and no others", async () => {
  const used = new Set<string>();
  for (const [path, { specifiers, packages }] of await readSources(ROOT)) {
    for (const specifier of [...specifiers, ...packages]) {
      if (/^(\.{1,2}\/|node:)/.test(specifier)) continue;
      const whole = SPECIFIER.exec(specifier)?.[1];
      assert(whole !== undefined, `${path}: "${specifier}" is no package in an exact version`);
      used.add(whole);
    }
  }
  assert(used.size >= 10, "they are found");
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
