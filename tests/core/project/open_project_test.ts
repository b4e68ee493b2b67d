import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadResources, openProject, sealConfig } from "../../../core/project/open_project.ts";
import { parseConfig } from "../../../core/project/schema.ts";
import { isForkstackError } from "../../../mod.ts";
import { parentOf, type Project, protectedEnvs, titleOf } from "../../../core/project/project.ts";
import { CATALOG } from "../../../providers/mod.ts";

/** Without a look at what needs trust. */
const LOADED = { catalog: CATALOG, reach: "nothing" } as const;

async function inDirectory(work: (root: string) => Promise<void>): Promise<void> {
  const root = await realpath(await mkdtemp(join(tmpdir(), "forkstack-config-")));
  try {
    await work(root);
  } finally {
    await rm(root, { recursive: true });
  }
}

async function projectOf(root: string, config: unknown): Promise<Project> {
  await writeFile(join(root, "forkstack.json"), JSON.stringify(config));
  return await openProject(root, { init: false, catalog: CATALOG });
}

Deno.test("openProject() finds forkstack.json upwards, and begins one only when asked", async () => {
  await inDirectory(async (root) => {
    await assert.rejects(openProject(root, { init: false, catalog: CATALOG }), { code: "CONFIG_MISSING" });
    await mkdir(join(root, "My Shop!", "src"), { recursive: true });
    const fresh = await openProject(join(root, "My Shop!"), { init: true, catalog: CATALOG });
    assert.deepEqual([fresh.name, fresh.isNew, fresh.root], ["my-shop", true, join(root, "My Shop!")]);
    await writeFile(join(root, "My Shop!", "forkstack.json"), '{"project": "shop", "stack": "s-1"}');
    const found = await openProject(join(root, "My Shop!", "src"), { init: true, catalog: CATALOG });
    assert.deepEqual(
      [found.name, found.stack, found.isNew, found.root],
      ["shop", "s-1", false, join(root, "My Shop!")],
    );
  });
});

Deno.test("loadResources() gives the embedded stack where forkstack.json names no provider, by key", async () => {
  await inDirectory(async (root) => {
    const all = (await loadResources(await projectOf(root, { project: "shop" }), LOADED)).resources;
    assert.deepEqual(
      all.map(({ key, provider }) => [key, provider.name]),
      [["database", "sqlite"], ["local", "directory"], ["secrets", "env-file"], ["storage", "local"]],
    );
    const storage = { b: { provider: "local" }, a: { provider: "local" } };
    const named = (await loadResources(await projectOf(root, { project: "shop", storage }), LOADED)).resources;
    assert.deepEqual(named.map(({ key, name }) => [key, name]), [["storage.a", "a"], ["storage.b", "b"]]);
    const wrong = await projectOf(root, { project: "shop", database: { provider: "sqlite", endpont: "x" } });
    await assert.rejects(loadResources(wrong, LOADED), {
      code: "CONFIG_INVALID",
      message: /unknown key "database\.endpont"/,
    });
  });
});

Deno.test("titleOf() refuses what the vendor would, and names its limit", async () => {
  await inDirectory(async (root) => {
    const project = await projectOf(root, { project: "shop", database: { provider: "sqlite" } });
    const [database] = (await loadResources(project, LOADED)).resources;
    assert.equal(titleOf(project, database, "alice"), "shop-alice");
    assert.equal(titleOf(project, database, "prod"), "shop");
    const name = { maxLength: 12, pattern: /^[a-z-]+$/ };
    const strict = {
      ...database,
      provider: { ...database.provider, capabilities: { ...database.provider.capabilities, name } },
    };
    assert.equal(titleOf(project, strict, "alice"), "shop-alice");
    for (const env of ["alice-and-bob", "pr-1"]) {
      assert.throws(() => titleOf(project, strict, env), (error) => {
        assert(isForkstackError(error));
        assert.deepEqual([error.code, error.details.resource], ["NAME_INVALID", "database"]);
        return /sqlite takes up to 12 characters/.test(error.message);
      });
    }
  });
});

Deno.test("parentOf() and protectedEnvs() read forkstack.json after the command line", async () => {
  await inDirectory(async (root) => {
    const project = await projectOf(root, { project: "shop" });
    const resources = (await loadResources(project, LOADED)).resources;
    assert.equal(parentOf(project, resources, undefined), "dev", "an embedded stack has its data in dev");
    assert.equal(parentOf(project, resources, "production"), "prod");
    const cloud = resources.map((one) => ({
      ...one,
      provider: { ...one.provider, capabilities: { ...one.provider.capabilities, parentMayBeAbsent: false } },
    }));
    assert.equal(parentOf(project, cloud, undefined), "prod");
    assert.deepEqual(protectedEnvs(project), ["dev", "prod"]);
    const other = await projectOf(root, { project: "shop", parent: "staging", protected: ["dev", "staging"] });
    assert.equal(parentOf(other, resources, undefined), "staging");
    assert.equal(parentOf(other, resources, "dev"), "dev");
    assert.deepEqual(protectedEnvs(other), ["dev", "prod", "staging"]);
    assert.throws(() => parentOf(project, resources, "A B"), { code: "NAME_INVALID", message: /--from/ });
  });
});

Deno.test("parseConfig() reports every problem at once", async () => {
  const text = JSON.stringify({ project: 5, protect: [], storage: { a: {}, b: 7 }, database: { provider: "sqlit" } });
  await assert.rejects(parseConfig("forkstack.json", text, CATALOG), (error) => {
    assert(isForkstackError(error));
    for (
      const part of [
        /"project" must be string, not 5/,
        /unknown key "protect"/,
        /"storage\.a\.provider" is missing/,
        /"storage\.b" must be Object, not 7/,
        /"database\.provider" names no database provider: "sqlit"; did you mean "sqlite"\?/,
      ]
    ) assert.match(error.message, part);
    return true;
  });
});

Deno.test("a seal speaks of one very file: one that came along with another spares no check", async () => {
  await inDirectory(async (above) => {
    const root = join(above, "a");
    await mkdir(join(root, ".forkstack"), { recursive: true });
    const fresh = await projectOf(root, { project: "shop" });
    await sealConfig(fresh);
    assert.equal((await openProject(root, { init: false, catalog: CATALOG })).isSealed, true);
    await cp(root, join(above, "b"), { recursive: true, preserveTimestamps: true });
    assert.equal(
      (await openProject(join(above, "b"), { init: false, catalog: CATALOG })).isSealed,
      false,
      "a copy is not checked yet",
    );
    await writeFile(join(root, "forkstack.json"), '{"project": "shop"}');
    assert.equal(
      (await openProject(root, { init: false, catalog: CATALOG })).isSealed,
      false,
      "written again with the same text",
    );
    for (const text of ["\0", "0.1.0\n{}", `${"9".repeat(99)} x\n{"project": "shop"}`]) {
      await writeFile(join(root, ".forkstack", "checked.json"), text);
      assert.equal((await openProject(root, { init: false, catalog: CATALOG })).isSealed, false);
    }
  });
});
