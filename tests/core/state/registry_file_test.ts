import assert from "node:assert/strict";
import { copyFile, link, mkdir, readdir, readFile, rename, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { openRegistry } from "../../../core/state/open_registry.ts";
import { temporaryDirectory, treeOf } from "../../helpers.ts";
import { registryUrlProblem } from "../../../core/project/registry_url.ts";
import type { Project } from "../../../core/project/project.ts";

const ALLOWED = [
  "libsql://shop.example",
  "libsql://shop.example:8080/?tls=1",
  "libsql://127.0.0.1:8080?tls=0",
  "https://shop.example/db",
  "http://127.0.0.1:8080",
  "http://localhost",
  "http://[::1]:8080/",
  "http://127.9.9.9",
  "file:///srv/registry.db",
  "file:///srv/my%20registry.db",
];

const REFUSED = [
  "http://shop.example",
  "http://127.0.0.1@shop.example",
  "http://127.0.0.1.shop.example",
  "http://localhost.",
  "http://0.0.0.0",
  "http://[::ffff:127.0.0.1]",
  "http://169.254.169.254/latest",
  "libsql://shop.example?tls=0",
  "libsql://shop.example?tls=1&tls=0",
  "libsql://shop.example?%74ls=0",
  "libsql://shop.example?authToken=x",
  "libsql://user:password@shop.example",
  "https://shop.example/#x",
  "ws://127.0.0.1",
  "HTTP://shop.example",
  "file://server/share/registry.db",
  "file:registry.db",
  "file:///srv/a%2Fb",
  "file:///srv/a%00b",
  "libsql:",
  "https:",
];

Deno.test("a registry's URL: TLS but on this machine, no credentials, a path that is absolute", () => {
  for (const url of ALLOWED) assert.equal(registryUrlProblem(url), undefined, url);
  for (const url of REFUSED) assert.equal(typeof registryUrlProblem(url), "string", url);
});

function projectAt(root: string, path?: string): Project {
  const registry = path === undefined ? {} : { registry: { url: pathToFileURL(path).href } };
  const config = { project: "shop", ...registry };
  return { root, stateRoot: root, name: "shop", stack: "shop", config, isNew: false };
}

/** What another program may have at the place. */
const OTHERS: Readonly<Record<string, (path: string) => void | Promise<void>>> = {
  "an empty file": (path) => writeFile(path, ""),
  "a text": (path) => writeFile(path, "CREATE TABLE environments (\nCREATE TABLE resources ("),
  "a database": (path) => made(path, "CREATE TABLE customers (id INTEGER)"),
  "a database with a table of our name": (path) => made(path, "CREATE TABLE environments (id INTEGER)"),
  "a database without a table": (path) => made(path, "PRAGMA user_version = 1"),
  "a database in WAL mode": (path) => made(path, "PRAGMA journal_mode = WAL; CREATE TABLE customers (id INTEGER)"),
  "a database in WAL mode whose program was killed": async (path) => {
    using database = new DatabaseSync(`${path}.alive`);
    database.exec("PRAGMA journal_mode = WAL; CREATE TABLE customers (id INTEGER)");
    for (const suffix of ["", "-wal"]) await copyFile(`${path}.alive${suffix}`, path + suffix);
  },
  "a directory": (path) => mkdir(path).then(() => {}),
};

function made(path: string, sql: string): void {
  using database = new DatabaseSync(path);
  database.exec(sql);
}

for (const [name, make] of Object.entries(OTHERS)) {
  Deno.test(`registry.url that leads to ${name}: REGISTRY_FOREIGN, and every byte stays`, async () => {
    using at = temporaryDirectory();
    const path = join(at.path, "other.db");
    await make(path);
    const before = treeOf(at.path);
    for (const missing of ["empty", "create"] as const) {
      for (const access of ["look", "work"] as const) {
        await assert.rejects(openRegistry(projectAt(at.path, path), missing, access), { code: "REGISTRY_FOREIGN" });
        assert.deepEqual(treeOf(at.path), before);
      }
    }
  });
}

Deno.test("registry.url where nothing is: looking leaves nothing, `create` makes a whole one, also twice at once", async () => {
  using at = temporaryDirectory();
  const project = projectAt(at.path, join(at.path, "shared", "registry.db"));
  (await openRegistry(project, "empty", "look")).close();
  assert.deepEqual([...treeOf(at.path)], []);
  const all = await Promise.all([1, 2, 3].map(() => openRegistry(project, "create")));
  for (const one of all) assert.deepEqual(await one.environments(), []);
  for (const one of all) one.close();
  assert.deepEqual(await readdir(join(at.path, "shared")), ["registry-id", "registry.db"]);
  (await openRegistry(project, "empty", "look")).close();
});

Deno.test("a registry whose tables are in its log alone is forkstack's own, as one is that was never closed", async () => {
  using at = temporaryDirectory();
  const own = await openRegistry(projectAt(at.path), "create"); // begun as 0.1.0 did
  for (const suffix of ["", "-wal"]) {
    const bytes = await readFile(join(at.path, `.forkstack/registry.db${suffix}`));
    await writeFile(join(at.path, `copy.db${suffix}`), bytes);
  }
  assert(!(await readFile(join(at.path, "copy.db"), "latin1")).includes("CREATE TABLE environments"));
  const shared = await openRegistry(projectAt(at.path, join(at.path, "copy.db")), "empty", "look");
  assert.deepEqual(await shared.environments(), []);
  shared.close();
  own.close();
});

Deno.test("looking never writes: a statement that would is refused by the database", async () => {
  using at = temporaryDirectory();
  (await openRegistry(projectAt(at.path), "create")).close();
  const looking = await openRegistry(projectAt(at.path), "empty", "look");
  await assert.rejects(looking.touch("alice", "2026-11-29T00:00:00Z"), /it is read-only$/);
  looking.close();
});

Deno.test("looking at a registry of an older forkstack brings it up to date first", async () => {
  using at = temporaryDirectory();
  (await openRegistry(projectAt(at.path), "create")).close();
  using database = new DatabaseSync(join(at.path, ".forkstack/registry.db"));
  database.exec("ALTER TABLE environments DROP COLUMN origin; UPDATE meta SET value = '1' WHERE key = 'version'");
  const looking = await openRegistry(projectAt(at.path), "empty", "look");
  assert.deepEqual(await looking.environments(), []);
  looking.close();
});

Deno.test("a registry, its log or its locks that are links are refused", async () => {
  using at = temporaryDirectory();
  const path = join(at.path, "registry.db");
  (await openRegistry(projectAt(at.path, path), "create")).close();
  await mkdir(join(at.path, "elsewhere"));
  const refused = () => openRegistry(projectAt(at.path, path), "empty");
  await symlink("elsewhere", join(at.path, "locks"));
  await assert.rejects(refused, { code: "NOT_PERMITTED", message: /locks": it is a link/ });
  await rename(join(at.path, "locks"), join(at.path, "elsewhere", "locks"));
  await symlink("elsewhere/log", `${path}-wal`);
  await assert.rejects(refused, { code: "NOT_PERMITTED", message: /-wal": it is a link/ });
  await rename(`${path}-wal`, join(at.path, "elsewhere", "wal"));
  await rename(path, `${path}.real`);
  await symlink("registry.db.real", path);
  await assert.rejects(refused, { code: "NOT_PERMITTED", message: /registry\.db": it is a link/ });
  await rename(path, join(at.path, "elsewhere", "link"));
  await link(`${path}.real`, path);
  (await refused()).close();
});

for (
  const [what, { file, tracked }] of Object.entries({
    "a registry": { file: "team/registry.db", tracked: "team/registry.db" },
    "a registry whose name has another case": { file: "State/Team.DB", tracked: "State/Team.DB" },
    "its log": { file: "team.db", tracked: "team.db-wal" },
    "its id": { file: "team/registry.db", tracked: "team/registry-id" },
    "its locks": { file: "registry.db", tracked: "locks/x" },
    "a name that is not ASCII": { file: "état/régistre.db", tracked: "état/régistre.db" },
  })
) {
  Deno.test(`registry.url of a file in the project: git tracks ${what}, GIT_TRACKED`, async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, file);
    const git = (...args: string[]) => {
      const { code, stderr } = new Deno.Command("git", { args: ["-C", directory.path, ...args] }).outputSync();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
    };
    git("init", "-q");
    const project = projectAt(directory.path, path);
    (await openRegistry(project, "create")).close();
    (await openRegistry(project, "empty", "look")).close();
    const added = join(directory.path, tracked);
    await mkdir(dirname(added), { recursive: true });
    await writeFile(added, "", { flag: "a" });
    git("add", "-f", tracked);
    const before = treeOf(directory.path);
    for (const access of ["look", "work"] as const) {
      await assert.rejects(openRegistry(project, "empty", access), { code: "GIT_TRACKED" });
    }
    assert.deepEqual(treeOf(directory.path), before);
  });
}
