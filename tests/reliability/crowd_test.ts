import { deepStrictEqual as equal, ok, strictEqual as is } from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnvFile } from "../../mod.ts";
import { sized } from "../sizes.ts";
import { Checkout, projects } from "./_project.ts";

/** How many make an environment each at once. */
const CROWD = sized({ gate: 16, full: 40 });
const WORKERS = 8;
const COMMANDS = sized({ gate: 80, full: 200 });

async function expectWhole(checkout: Checkout, envs: readonly string[]): Promise<void> {
  const { data } = await checkout.json("list");
  const told = data.environments.map((one: { name: string; status: string }) => `${one.name} ${one.status}`);
  equal(told.sort(), envs.map((env) => `${env} ready`).sort());
  equal((await checkout.json("doctor")).data.findings, []);
  equal(checkout.leftovers(), []);
  expectPointersAgree(checkout);
}

function expectPointersAgree(checkout: Checkout): string | undefined {
  const current = checkout.read(".current-env")?.trim();
  is(parseEnvFile(checkout.read(".env.local") ?? "").FORKSTACK_ENV, current, "the two pointers disagree");
  return current;
}

Deno.test(`${CROWD} processes make ${CROWD} environments at once`, async () => {
  using directory = projects();
  const envs = Array.from({ length: CROWD }, (_, at) => `env-${at}`);
  const ended = await Promise.all(envs.map((env) => directory.shop.run("new", env)));
  equal(ended.filter(({ code }) => code !== 0).map(({ stderr }) => stderr), []);
  await expectWhole(directory.shop, envs);
  const dev = directory.shop.dataOf("dev");
  for (const env of envs) equal(directory.shop.dataOf(env), dev);
});

Deno.test(`${CROWD} processes make ${CROWD} environments at once where there was no project yet`, async () => {
  using directory = projects();
  const fresh = new Checkout(join(directory.path, "fresh"));
  mkdirSync(fresh.root);
  writeFileSync(join(fresh.root, "package.json"), "{}\n");
  const envs = Array.from({ length: CROWD }, (_, at) => `env-${at}`);
  const ended = await Promise.all(envs.map((env) => fresh.run("new", env)));
  equal(ended.filter(({ code }) => code !== 0).map(({ stderr }) => stderr), []);
  await expectWhole(fresh, envs);
  equal(JSON.parse(fresh.read("forkstack.json")!), { project: "fresh" });
});

Deno.test("of 20 processes that make one environment at once one does, and all report the same", async () => {
  using directory = projects();
  const ended = await Promise.all(Array.from({ length: 20 }, () => directory.shop.run("new", "alice", "--json")));
  equal(ended.filter(({ code }) => code !== 0).map(({ stdout }) => stdout), []);
  const answers = ended.map(({ stdout }) => JSON.parse(stdout).data);
  is(answers.filter(({ unchanged }) => !unchanged).length, 1);
  is(new Set(answers.map(({ resources }) => JSON.stringify(resources.map(({ id }: { id: string }) => id)))).size, 1);
  const made = answers.map(({ environment: { usedAt: _, checkouts: __, ...environment } }) =>
    JSON.stringify(environment)
  );
  is(new Set(made).size, 1);
  await expectWhole(directory.shop, ["alice"]);
  equal(directory.shop.dataOf("alice"), directory.shop.dataOf("dev"));
});

Deno.test(`${COMMANDS} mixed commands of ${WORKERS} processes at once leave everything whole`, async () => {
  using directory = projects();
  const { shop } = directory;
  const names = ["a", "b", "c", "d", "e"];
  const unexpected: string[] = [];
  let succeeded = 0;
  // What else may be answered: another deleted it meanwhile, is deleting it, or made it the parent.
  const expected = /^(ENV_NOT_FOUND|CONFLICT)$/;
  await Promise.all(Array.from({ length: WORKERS }, async (_, worker) => {
    let seed = worker + 1;
    const pick = (count: number) => (seed = (seed * 48_271) % 2_147_483_647) % count;
    for (let at = 0; at < COMMANDS / WORKERS; at++) {
      const env = names[pick(names.length)];
      const [verb, ...more] = [["new"], ["new", "--no-switch"], ["switch"], ["delete", "--yes"]][pick(4)];
      const { code, stdout, stderr } = await shop.run(verb, env, ...more, "--json");
      if (code === 0) succeeded++;
      else if (!expected.test(JSON.parse(stdout).error.code)) unexpected.push(`${verb} ${env}: ${stdout}${stderr}`);
    }
  }));
  equal(unexpected, []);
  ok(succeeded > COMMANDS * 0.4, `only ${succeeded} commands succeeded`);
  const { data } = await shop.json("list");
  await expectWhole(shop, data.environments.map(({ name }: { name: string }) => name));
  const current = expectPointersAgree(shop);
  // None, where the current one was deleted last.
  ok([undefined, ...data.environments.map(({ name }: { name: string }) => name)].includes(current), String(current));
  // Nothing is left of what was deleted, and the parent is as it was.
  for (const { name } of data.environments) equal((await shop.run("delete", name, "--yes")).code, 0);
  const left = shop.paths().filter((path) => /(^|[-.\/])[a-e]([.\/]|$)/.test(path.replace(/\.db(\/|$)/, "$1")));
  equal(left, []);
  rmSync(shop.path(".forkstack", "registry.db"));
  equal((await shop.json("list")).data.environments, []);
});
