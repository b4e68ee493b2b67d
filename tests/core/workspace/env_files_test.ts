import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openProject } from "../../../core/project/open_project.ts";
import { files } from "../../../core/system/files.ts";
import { Secret } from "../../../core/secret.ts";
import { changeFiles, prepareFiles, readVariables } from "../../../core/workspace/env_files.ts";
import { variablesPath, type Workspace } from "../../../core/workspace/workspace.ts";
import { writeProjectFiles } from "../../../core/workspace/staged_files.ts";
import { CATALOG } from "../../../providers/mod.ts";

async function inProject(work: (place: Workspace, at: (name: string) => string) => Promise<void>): Promise<void> {
  const root = await realpath(await mkdtemp(join(tmpdir(), "forkstack-workspace-")));
  try {
    await writeFile(join(root, "forkstack.json"), '{"project": "shop"}');
    const project = await openProject(root, { init: false, catalog: CATALOG });
    await work({ project, world: { files } }, (name) => join(root, name));
  } finally {
    await rm(root, { recursive: true });
  }
}

const read = (path: string) => readFile(path, "utf8").catch(() => undefined);
const wanted = { env: "alice", variables: { A: "1", B: new Secret("two") }, activate: true };

Deno.test("prepareFiles() changes nothing until commit(), and undo() before or after it restores all", async () => {
  await inProject(async (place, at) => {
    await changeFiles(place, { env: "bob", variables: { A: "0" }, activate: true });
    const names = [".current-env", ".env.local", ".gitignore", ".forkstack/envs/alice.env"];
    const all = () => Promise.all(names.map((name) => read(at(name))));
    const before = await all();
    const first = await prepareFiles(place, wanted);
    assert.deepEqual(await all(), before);
    assert.deepEqual(await first.undo(), []);
    assert.deepEqual(await all(), before);
    const second = await prepareFiles(place, wanted);
    await second.commit();
    assert.equal(await read(at(".current-env")), "alice\n");
    const variables = "FORKSTACK_ENV=alice\nFORKSTACK_PROJECT=shop\nA=1\nB=two\n";
    const local = (await read(at(".env.local")))!;
    assert.match(local, /^# >>> forkstack \{"directory":"[^"]*"\}\n# .*\n/);
    assert(local.endsWith(`\n${variables}# <<< forkstack\n`), local);
    assert.equal(await read(variablesPath(place.project, "alice")), variables);
    assert.equal((await stat(at(".env.local"))).mode & 0o777, 0o600);
    assert.deepEqual(await second.undo(), []);
    assert.deepEqual(await all(), before);
    assert.deepEqual((await readdir(at("."))).filter((name) => /forkstack-[0-9a-f]{8}/.test(name)), []);
  });
});

Deno.test("undo() leaves what another process wrote meanwhile", async () => {
  await inProject(async (place, at) => {
    const change = await prepareFiles(place, wanted);
    await change.commit();
    await writeFile(at(".current-env"), "carol\n");
    assert.deepEqual(await change.undo(), []);
    assert.equal(await read(at(".current-env")), "carol\n");
    assert.equal(await read(at(".env.local")), undefined);
  });
});

Deno.test("without `activate` only the environment's own file and the project's change", async () => {
  await inProject(async (place, at) => {
    assert.deepEqual(await changeFiles(place, { ...wanted, activate: false }), [".gitignore"]);
    assert.deepEqual([await read(at(".current-env")), await read(at(".env.local"))], [undefined, undefined]);
    assert.equal((await readVariables(place, "alice"))?.B, "two");
    assert.equal(await readVariables(place, "bob"), undefined);
  });
});

Deno.test("a failed rename puts back what was renamed before it", async () => {
  await inProject(async (place, at) => {
    await changeFiles(place, { env: "bob", variables: { A: "0" }, activate: true });
    const before = await read(at(".env.local"));
    const replace = (from: string, to: string) =>
      to.endsWith(".current-env")
        ? Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" }))
        : files.replace(from, to);
    const broken = { ...place, world: { files: { ...files, replace } } };
    await assert.rejects(changeFiles(broken, wanted), /Cannot write ".*\.current-env"/);
    assert.equal(await read(at(".env.local")), before);
    assert.equal(await read(at(".current-env")), "bob\n");
    assert.equal(await read(at(".forkstack/envs/alice.env")), undefined);
  });
});

Deno.test("writeProjectFiles() writes all or none, and says what it could not put back", async () => {
  await inProject(async (place, at) => {
    await writeFile(at("a.json"), "before");
    const written = [[at("a.json"), "after", 0o644], [at("b.json"), "new", 0o600], [
      at("c.json"),
      "new",
      0o644,
    ]] as const;
    const names = async () => (await readdir(at("."))).sort();
    const refusal = Object.assign(new Error("no"), { code: "EROFS" });
    const broken = (isAll: boolean): Workspace => ({
      project: place.project,
      world: {
        files: {
          ...files,
          replace: async (from, to) =>
            to.endsWith("c.json") ? await Promise.reject(refusal) : await files.replace(from, to),
          write: async (path, text, options) =>
            isAll && path === at("a.json") ? await Promise.reject(refusal) : await files.write(path, text, options),
        },
      },
    });
    await assert.rejects(writeProjectFiles(broken(false), written), {
      code: "NOT_PERMITTED",
      message: /write ".*c\.json"/,
    });
    assert.deepEqual([await read(at("a.json")), await names()], ["before", ["a.json", "forkstack.json"]]);
    await assert.rejects(writeProjectFiles(broken(true), written), {
      code: "UNDO_INCOMPLETE",
      message: /Undoing failed: ".*a\.json" cannot be restored/,
    });
    await writeProjectFiles(place, written);
    assert.deepEqual(await Promise.all(written.map(([path]) => read(path))), ["after", "new", "new"]);
    assert.equal((await stat(at("b.json"))).mode & 0o777, 0o600);
    assert.deepEqual(await names(), ["a.json", "b.json", "c.json", "forkstack.json"]);
  });
});
