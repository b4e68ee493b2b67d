/**
 * Each provider from `new` to `delete` under exactly the set of permissions that `permissions` prints for it, in processes
 * of their own, against its emulator or a real server; and with any host or program less, not. permission_cases/ has a
 * file a provider.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { PROVIDERS } from "../../providers/mod.ts";
import { testIf } from "../helpers.ts";
import type { Case } from "./permission_cases/_case.ts";
import { Place, run } from "./run.ts";
import { allUnder, setIn, under } from "./sets.ts";

const FILES = readdirSync(new URL("permission_cases/", import.meta.url)).filter((file) => !file.startsWith("_")).sort();
const CASES = (await Promise.all(FILES.map(async (file) => {
  const { cases } = await import(`./permission_cases/${file}`) as { cases: readonly Case[] };
  for (const { name } of cases) assert.equal(`${name}.ts`, file, "a case is in the file of its provider's name");
  return cases;
}))).flat();

const LIFE: readonly (readonly string[])[] = [
  ["trust", "--yes"],
  ["new", "alice", "--ttl", "2d"],
  ["status", "alice"],
  ["list"],
  ["reset", "alice", "--yes"],
  ["switch", "prod"],
  ["doctor"],
  ["delete", "alice", "--yes"],
];

Deno.test("each provider has a case", () => {
  const all = Object.entries(PROVIDERS).flatMap(([kind, of]) => Object.keys(of).map((name) => `${kind} ${name}`));
  assert.deepEqual([...new Set(CASES.map(({ kind, name }) => `${kind} ${name}`))].sort(), all.sort());
});

for (const { kind, name, how, missing, open } of CASES) {
  const subject = [kind, name, how].filter(Boolean).join(" ");
  testIf(missing, `${subject}: works under the set that is printed, and not with a host or program less`, async () => {
    await using ended = new AsyncDisposableStack();
    const place = ended.use(await Place.make());
    const { options = {}, env = {} } = await open((thing) => ended.use(thing), place);
    await place.write(
      "forkstack.json",
      JSON.stringify({ project: "shop", parent: "prod", [kind]: { provider: name, ...options } }),
    );
    const set = setIn((await run(place.root, ["permissions"], { env })).stdout);
    const { default: provider } = await PROVIDERS[kind][name]!();
    await allUnder(set, place, LIFE.filter(([name]) => name !== "reset" || provider.reset !== undefined), env);
    const less = [
      ...(set.net ?? []).map((one) => [one, { ...set, net: set.net!.filter((host) => host !== one) }] as const),
      ...set.run.filter((one) => !/^(cp|git)$/.test(one))
        .map((one) => [one, { ...set, run: set.run.filter((program) => program !== one) }] as const),
    ];
    for (const [one, narrow] of less) {
      const { code, stdout, stderr } = await under(narrow, place, ["new", "bob"], env);
      assert.equal(code, 2, `without ${one}: ${stdout}${stderr}`);
      assert.match(stderr, new RegExp(one.replaceAll(".", "\\.")), `without ${one}`);
    }
  });
}
