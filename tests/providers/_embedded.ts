/**
 * The machine itself as an emulator: a directory full of what an embedded provider may meet.
 */
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { files } from "../../core/system/files.ts";
import type { Kind, Provider, Scope, Target } from "../../core/provider.ts";
import { embeddedPath, resourceTitle } from "../../mod.ts";
import type { Emulator, Given, World } from "../conformance.ts";
import { realContext, temporaryDirectory, treeOf } from "../helpers.ts";

const PROJECT = "myapp";
const CANARY = "canary-in-the-parent-0123456789";
const BUCKETS_KEY = "5ec2e79f2c1e7a4b8d03566ae1f7c29b5d8e40137ac6d2be945f08c3719ad46e"; // as if drawn by chance

/** How a kind's resources are written and read, at their own paths. */
interface Contents {
  /** Makes one that holds something. */
  seed(path: string): void;
  /** A digest of all that is in it. */
  read(path: string): string;
  /** Writes into it, as an application does. */
  change(path: string): void;
}

function withDatabase<T>(path: string, work: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(path);
  try {
    database.exec("PRAGMA synchronous = OFF");
    return work(database);
  } finally {
    database.close();
  }
}

/** Every table's rows as JSON. */
export function dump(path: string): string {
  return withDatabase(path, (database) => {
    const tables = database.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name").all();
    return JSON.stringify(tables.map((table) => [table, database.prepare(`SELECT * FROM "${table.name}"`).all()]));
  });
}

const DATABASE: Contents = {
  seed: (path) =>
    withDatabase(path, (database) => {
      database.exec("PRAGMA journal_mode = WAL; CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)");
      const insert = database.prepare("INSERT INTO notes (text) VALUES (?)");
      for (let i = 0; i < 20; i++) insert.run(`${CANARY} ${i}`);
    }),
  read: dump,
  change: (path) =>
    withDatabase(path, (database) => database.exec("CREATE TABLE mine (x); INSERT INTO mine VALUES (1)")),
};

const DIRECTORY: Contents = {
  seed(path) {
    fs.mkdirSync(join(path, "covers", "empty"), { recursive: true });
    fs.writeFileSync(join(path, "first.txt"), `${CANARY}\n`);
    fs.writeFileSync(join(path, "covers", "-a b\nü.bin"), Buffer.from([0, 1, 2, 255]), { mode: 0o755 });
  },
  read: (path) => JSON.stringify([...treeOf(path)]),
  change: (path) => fs.writeFileSync(join(path, "mine.txt"), "mine"),
};

const ENV_FILE: Contents = {
  seed: (path) => fs.writeFileSync(path, `API_KEY='${CANARY}'\n`),
  read: (path) => fs.readFileSync(path, "utf8"),
  change: (path) => fs.appendFileSync(path, "MINE='1'\n"),
};

const CONTENTS: Partial<Record<Kind, Contents>> = {
  database: DATABASE,
  storage: DIRECTORY,
  local: DIRECTORY,
  secrets: ENV_FILE,
};

/** A directory of `.forkstack/` and what stands about it; filled once, then laid out anew for each world. */
export function embeddedEmulator(provider: Provider<Record<never, never>>): Emulator {
  let filled: Promise<Layout> | undefined;
  const kind = provider.kind;
  const contents = CONTENTS[kind]!;
  return {
    worldsAtOnce: 4,
    async open(given) {
      const layout = await (filled ??= fill(provider, contents, given));
      const directory = temporaryDirectory();
      const root = directory.path;
      for (const [path, { mode, bytes }] of layout) {
        if (bytes === undefined) fs.mkdirSync(join(root, path), { mode });
        else fs.writeFileSync(join(root, path), bytes, { mode });
      }
      const at = (name: string) => embeddedPath(kind, root, name);
      const ownerFile = (name: string) => join(root, ".forkstack", "owners", `${kind}.${name}.json`);
      const world: World = {
        project: PROJECT,
        root,
        context: { files, fetch: () => Promise.reject(new TypeError("an embedded provider calls nobody")) },
        parent: resourceTitle(kind, PROJECT, "dev"),
        absentParent: resourceTitle(kind, PROJECT, "no-such"),
        titleOf: (env) => resourceTitle(kind, PROJECT, env),
        things: () => Promise.resolve(treeOf(root)),
        contentOf: (name) => Promise.resolve(contents.read(at(name))),
        change: (name) => Promise.resolve(contents.change(at(name))),
        placeForeign(name, { isEmpty, markOf } = {}) {
          if (isEmpty && contents === DIRECTORY) fs.mkdirSync(at(name), { recursive: true });
          else if (isEmpty) fs.writeFileSync(at(name), "");
          else contents.seed(at(name));
          if (markOf !== undefined) fs.copyFileSync(ownerFile(markOf), ownerFile(name));
          return Promise.resolve();
        },
        rehand(fork, marker) {
          const path = ownerFile(fork.name);
          fs.writeFileSync(path, JSON.stringify({ ...JSON.parse(fs.readFileSync(path, "utf8")), marker }));
          return Promise.resolve();
        },
        canaries: () => [CANARY, BUCKETS_KEY],
        close: () => Promise.resolve(directory[Symbol.dispose]()),
      };
      return world;
    },
  };
}

/** Path -> what is there; a directory has no bytes. */
type Layout = Map<string, { readonly mode: number; readonly bytes?: Uint8Array }>;

async function fill(provider: Provider<Record<never, never>>, contents: Contents, given: Given): Promise<Layout> {
  using directory = temporaryDirectory();
  const root = directory.path;
  const { kind } = provider;
  const at = (name: string) => embeddedPath(kind, root, name);
  const title = (env: string) => resourceTitle(kind, PROJECT, env);
  fs.mkdirSync(dirname(at(title("dev"))), { recursive: true });
  fs.mkdirSync(join(root, ".forkstack", "registry"), { recursive: true });
  fs.writeFileSync(join(root, "forkstack.json"), `{ "project": "${PROJECT}" }\n`);
  fs.writeFileSync(join(root, ".forkstack", "buckets.key"), `${BUCKETS_KEY}\n`, { mode: 0o600 });
  contents.seed(at(title("dev")));
  for (const near of ["alic", "alice2", "alice-2"]) contents.seed(at(title(near))); // look-alikes without a mark
  for (const near of [".bak", "~", ".forkstack-notes", ".forkstack-0123456789", ".1.tmp", ".json"]) {
    fs.writeFileSync(`${at(title("alice"))}${near}`, "somebody else's");
  }
  const scope: Scope<Record<never, never>> = { options: {}, project: PROJECT, root, ...given };
  const others = [
    { stack: "another-stack", env: "carol", resource: given.resource },
    { stack: given.stack, env: "dave", resource: "another.resource" },
    { stack: "another-stack", env: "alice-3", resource: given.resource },
  ];
  for (const { stack, env, resource } of others) {
    const marker = { stack, env, resource, operation: "long-ago" };
    const begunAt = "2026-01-01T00:00:00.000Z";
    const target: Target<Record<never, never>> = { ...scope, stack, resource, name: title(env), marker, begunAt };
    await provider.create(realContext(), { ...target, parent: title("dev") });
  }
  const layout: Layout = new Map();
  for (const path of treeOf(root).keys()) {
    const stat = fs.lstatSync(join(root, path));
    const mode = stat.mode & 0o7777;
    layout.set(path, stat.isDirectory() ? { mode } : { mode, bytes: fs.readFileSync(join(root, path)) });
  }
  return layout;
}
