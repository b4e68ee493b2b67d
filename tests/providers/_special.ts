/**
 * What the embedded providers have in common beyond the suite, as it takes a real disk to see.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Context, Fork, Provider, Scope, Target } from "../../core/provider.ts";
import { fileError, files } from "../../core/system/files.ts";
import { embeddedPath, isForkstackError, resourceTitle } from "../../mod.ts";
import { mountImage, realContext, temporaryDirectory, testIf, treeOf, whyNoMount } from "../helpers.ts";

type Embedded = Provider<Record<never, never>>;

/** A directory with a provider in it. */
export class Place {
  readonly provider: Embedded;
  readonly scope: Scope<Record<never, never>>;
  readonly root: string;

  constructor(provider: Embedded, root: string) {
    this.provider = provider;
    this.root = root;
    this.scope = { options: {}, project: "myapp", stack: "myapp", resource: provider.kind, root };
  }

  /** The path of an environment's resource; the directory above it is there. */
  pathOf(env: string): string {
    const path = embeddedPath(this.provider.kind, this.root, resourceTitle(this.provider.kind, "myapp", env));
    fs.mkdirSync(dirname(path), { recursive: true });
    return path;
  }

  target(env = "alice"): Target<Record<never, never>> {
    const { kind } = this.provider;
    return {
      ...this.scope,
      name: resourceTitle(kind, "myapp", env),
      parent: resourceTitle(kind, "myapp", "dev"),
      marker: { stack: this.scope.stack, env, resource: kind, operation: `operation-of-${env}` },
      begunAt: "2026-01-01T00:00:00.000Z",
    };
  }

  /** Like the engine, with what the operating system says put into words. */
  async create(env?: string, context: Context = realContext()): Promise<Fork> {
    try {
      return await this.provider.create(context, this.target(env));
    } catch (error) {
      throw fileError(error, "make it");
    }
  }

  delete(fork: Fork): Promise<"deleted" | "absent"> {
    return this.provider.delete(realContext(), fork, this.scope);
  }

  /** Deletes what an attempt that failed left marked as ours. */
  async undo(env?: string): Promise<void> {
    const seen = await this.provider.inspect(realContext(), this.target(env));
    if ("fork" in seen) await this.delete(seen.fork);
  }
}

/** Tells whether an error has this code, for `assert.rejects`. */
export function hasCode(code: string): (error: unknown) => boolean {
  return (error) => {
    assert(isForkstackError(error), String(error));
    assert.equal(error.code, code, error.message);
    assert(error.hint, "it must say what to do next");
    return true;
  };
}

/** What a resource of `sizeBytes` is made of, by kind of path. */
export type Seed = (path: string, sizeBytes: number) => void;

/** A full disk, an application that was started early, a parent of the wrong type. */
export async function testEmbedded(provider: Embedded, seed: Seed): Promise<void> {
  const { name } = provider;

  testIf(await whyNoMount("tmpfs", 1), `${name}: a full disk leaves nothing behind`, async () => {
    await using mount = await mountImage("tmpfs", 1);
    const place = new Place(provider, mount.path);
    seed(place.pathOf("dev"), 600 * 1024);
    fs.mkdirSync(join(mount.path, ".forkstack", "owners"), { recursive: true });
    const earlier = treeOf(mount.path);
    await assert.rejects(place.create(), hasCode("DISK_FULL")); // a second one has no room
    const left = [...treeOf(mount.path).keys()].filter((path) => !earlier.has(path));
    assert.deepEqual(left, [join(".forkstack", "owners", `${provider.kind}.${place.target().name}.json`)]);
    await place.undo();
    assert.deepEqual(treeOf(mount.path), earlier);

    const filler = join(mount.path, "filler");
    const handle = fs.openSync(filler, "w");
    assert.throws(() => {
      for (;;) fs.writeSync(handle, new Uint8Array(4096));
    }, { code: "ENOSPC" });
    fs.closeSync(handle);
    await assert.rejects(place.create(), hasCode("DISK_FULL")); // not even the mark has room
    fs.rmSync(filler);
    assert.deepEqual(treeOf(mount.path), earlier);
    await place.undo();
    assert.deepEqual(treeOf(mount.path), earlier);
  });

  Deno.test(`${name}: what an application made before the fork was whole is not taken for the fork`, async () => {
    using directory = temporaryDirectory();
    const place = new Place(provider, directory.path);
    seed(place.pathOf("dev"), 10_000);
    const died = { ...files, publish: () => Promise.reject(new Error("the process died here")) };
    await assert.rejects(place.create("alice", realContext({ files: died })));
    seed(place.pathOf("alice"), 1);
    const early = treeOf(directory.path).get(place.pathOf("alice").slice(directory.path.length + 1));
    await assert.rejects(place.create(), hasCode("FOREIGN"));
    const claim = fs.readFileSync(
      join(directory.path, ".forkstack", "owners", `${provider.kind}.${place.target().name}.json`),
      "utf8",
    );
    assert.equal(await place.delete(JSON.parse(claim)), "absent"); // what stands there is left, and not told as deleted
    const left = treeOf(directory.path);
    assert.equal(left.get(place.pathOf("alice").slice(directory.path.length + 1)), early);
    assert(![...left.keys()].some((path) => path.includes(".forkstack-") || path.endsWith(".json")), "no mark is left");
    assert.equal((await provider.inspect(realContext(), place.target())).state, "foreign");
  });

  Deno.test(`${name}: create() killed at any moment can be run again, or undone`, async () => {
    using directory = temporaryDirectory();
    const place = new Place(provider, directory.path);
    seed(place.pathOf("dev"), 3_000_000);
    await place.delete(await place.create("first")); // makes the directories
    // A database that a killed process had open keeps its log until the next one opens it.
    const tree = () => new Map([...treeOf(directory.path)].filter(([path]) => !/-dev\.db-(wal|shm)$/.test(path)));
    const earlier = tree();
    const script = fileURLToPath(new URL("./_create_child.ts", import.meta.url));
    for (let delayMs = 0; delayMs < 16; delayMs++) {
      const args = ["run", "--quiet", "--no-check", "--allow-all", script, provider.kind, name];
      const child = spawn(process.execPath, [...args, JSON.stringify(place.target())], {
        stdio: ["ignore", "pipe", "inherit"],
        detached: true, // a group of its own, with the cp that it may have started
      });
      const closed = once(child, "close");
      await once(child.stdout, "data");
      await new Promise((resolve) => setTimeout(resolve, delayMs)); // there is no event in the midst of a call
      try {
        process.kill(-child.pid!, "SIGKILL");
      } catch (error) {
        assert.equal((error as { code?: string }).code, "ESRCH"); // it was done already
      }
      await closed;
      if (delayMs % 4 === 0) await place.create();
      await place.undo();
      // Killed amid its very first write, it left the text of a mark that never was one; the next run of the name sweeps.
      const left = [...tree().keys()].filter((path) => !earlier.has(path));
      assert(left.every((path) => /owners.*\.json\.forkstack-[0-9a-f]{8}$/.test(path)), `${left}, after ${delayMs} ms`);
      if (delayMs % 2 === 1) continue;
      await place.delete(await place.create());
      assert.deepEqual(tree(), earlier, `killed after ${delayMs} ms`);
    }
  });

  Deno.test(`${name}: a parent of the wrong type is PARENT_UNUSABLE`, async () => {
    using directory = temporaryDirectory();
    const place = new Place(provider, directory.path);
    seed(place.pathOf("other"), 100);
    if (fs.statSync(place.pathOf("other")).isDirectory()) fs.writeFileSync(place.pathOf("dev"), "a file");
    else fs.mkdirSync(place.pathOf("dev"));
    const earlier = treeOf(directory.path);
    await assert.rejects(place.create(), hasCode("PARENT_UNUSABLE"));
    assert.deepEqual(treeOf(directory.path), earlier);
  });
}

/** Trees of all sorts, for a provider whose forks are directories. */
export function testTrees(provider: Embedded): void {
  const { name } = provider;

  function withTree(name: string, fn: (place: Place, parent: string) => Promise<void>): void {
    Deno.test(name, async () => {
      using directory = temporaryDirectory();
      const place = new Place(provider, directory.path);
      fs.mkdirSync(place.pathOf("dev"));
      await fn(place, place.pathOf("dev"));
    });
  }

  withTree(
    `${name}: a link in a parent leads to the fork's own file, and a hard link is a file of its own`,
    async (place, parent) => {
      fs.mkdirSync(join(parent, "a"));
      fs.writeFileSync(join(parent, "a", "one"), "one");
      fs.symlinkSync(join(parent, "a", "one"), join(parent, "to-file")); // absolute, into the parent
      fs.symlinkSync("a", join(parent, "to-directory"));
      fs.linkSync(join(parent, "a", "one"), join(parent, "hard"));
      const earlier = treeOf(parent);
      await place.create();
      const fork = place.pathOf("alice");
      for (const path of ["to-file", "to-directory/one", "hard", "a/one"]) {
        assert.equal(fs.readFileSync(join(fork, path), "utf8"), "one");
      }
      for (const path of ["to-file", "to-directory/one", "hard", "a/one"]) {
        fs.writeFileSync(join(fork, path), `changed by way of ${path}`);
      }
      assert.equal(fs.readFileSync(join(fork, "to-file"), "utf8"), "changed by way of a/one");
      assert.equal(fs.readFileSync(join(fork, "hard"), "utf8"), "changed by way of hard");
      assert.deepEqual(treeOf(parent), earlier);
    },
  );

  withTree(
    `${name}: a link that leads out of a parent is PARENT_UNUSABLE, and nothing of it is read`,
    async (place, parent) => {
      fs.mkdirSync(join(place.root, "outside"));
      fs.writeFileSync(join(place.root, "outside", "two"), "two");
      fs.symlinkSync(join(place.root, "outside"), join(parent, "to-outside"));
      await assert.rejects(place.create(), hasCode("PARENT_UNUSABLE"));
      await place.undo();
      assert(!fs.readdirSync(place.root).some((entry) => entry.includes("alice")));
      fs.rmSync(join(parent, "to-outside"));
      await place.create();
    },
  );

  withTree(`${name}: names, modes and empty directories are kept`, async (place, parent) => {
    for (const odd of ["-rf", "a b", "new\nline", "ünï-✓", "'\"$`\\", ".hidden", "*", "empty/inner"]) {
      fs.mkdirSync(join(parent, odd), { recursive: true });
      fs.writeFileSync(join(parent, `${odd.replace("/", "-")}.txt`), odd);
    }
    fs.writeFileSync(join(parent, "run.sh"), "#!/bin/sh\n");
    fs.chmodSync(join(parent, "run.sh"), 0o755);
    fs.writeFileSync(join(parent, "private"), "");
    fs.chmodSync(join(parent, "private"), 0o600);
    fs.chmodSync(join(parent, "empty"), 0o555);
    const fork = await place.create();
    assert.deepEqual(treeOf(place.pathOf("alice")), treeOf(parent));
    assert.equal(await place.delete(fork), "deleted");
    assert(!fs.existsSync(place.pathOf("alice")));
  });

  withTree(
    `${name}: a parent that is itself a link is followed within the project, not out of it`,
    async (place, parent) => {
      fs.rmdirSync(parent);
      using beside = temporaryDirectory();
      fs.writeFileSync(join(beside.path, "one"), "secret");
      for (const to of [beside.path, join(place.root, "nowhere"), "/"]) {
        fs.symlinkSync(to, parent);
        await assert.rejects(place.create(), hasCode("PARENT_UNUSABLE"));
        await place.undo();
        fs.unlinkSync(parent);
      }
      fs.mkdirSync(join(place.root, "elsewhere"));
      fs.writeFileSync(join(place.root, "elsewhere", "one"), "one");
      fs.symlinkSync(join(place.root, "elsewhere"), parent);
      const fork = await place.create();
      assert(fs.lstatSync(place.pathOf("alice")).isDirectory());
      assert.equal(await place.delete(fork), "deleted");
      assert.equal(fs.readFileSync(join(place.root, "elsewhere", "one"), "utf8"), "one");
    },
  );

  withTree(`${name}: a link that leads nowhere is PARENT_UNUSABLE, a circle is copied`, async (place, parent) => {
    fs.symlinkSync("nowhere", join(parent, "dangling"));
    await assert.rejects(place.create(), hasCode("PARENT_UNUSABLE"));
    await place.undo();
    fs.rmSync(join(parent, "dangling"));
    assert(!fs.readdirSync(place.root).some((name) => name.includes("alice")));
    fs.symlinkSync(".", join(parent, "circle"));
    await place.create();
    assert.equal(fs.readlinkSync(join(place.pathOf("alice"), "circle")), ".");
  });

  for (const [what, at] of [["the parent", "."], ["a directory within the parent", "inner"]] as const) {
    withTree(`${name}: a change of ${what} during each of three copies is PARENT_BUSY`, async (place, parent) => {
      fs.mkdirSync(join(parent, "inner"));
      let copies = 0;
      const busy = {
        ...files,
        copy: changing(() => fs.appendFileSync(join(parent, at, "log"), `${++copies}\n`)),
      };
      await assert.rejects(place.create("alice", realContext({ files: busy })), hasCode("PARENT_BUSY"));
      assert.equal(copies, 3);
      assert(!fs.existsSync(place.pathOf("alice")));

      copies = 0;
      const once = { ...files, copy: changing(() => copies++ === 0 && fs.writeFileSync(join(parent, "log"), "last")) };
      await place.create("alice", realContext({ files: once }));
      assert.equal(fs.readFileSync(join(place.pathOf("alice"), "log"), "utf8"), "last");
      assert.equal(copies, 2);
    });
  }

  withTree(`${name}: a file that goes away under the copy is copied again, not an error`, async (place, parent) => {
    fs.writeFileSync(join(parent, "one"), "one");
    let copies = 0;
    const vanishing = {
      ...files,
      copy: async (from: string, to: string) => {
        if (copies++ > 0) return await files.copy(from, to);
        await files.copy(from, to);
        fs.rmSync(join(parent, "one"));
        throw Object.assign(new Error("cp: cannot stat 'one': No such file or directory"), { code: "ENOENT" });
      },
    };
    await place.create("alice", realContext({ files: vanishing }));
    assert.deepEqual(fs.readdirSync(place.pathOf("alice")), []);
  });
}

function changing(change: () => unknown): typeof files.copy {
  return async (from, to) => {
    const copy = await files.copy(from, to);
    change();
    return copy;
  };
}

/** On file systems that can clone, a fork says so; on others it says that it is a full copy. */
export async function testCopyOnWrite(provider: Embedded, seed: Seed): Promise<void> {
  for (const [type, sizeMiB, expected] of [["btrfs", 128, "copy-on-write"], ["ext4", 32, "full-copy"]] as const) {
    testIf(await whyNoMount(type, sizeMiB), `${provider.name}: a fork on ${type} is ${expected}`, async () => {
      await using mount = await mountImage(type, sizeMiB);
      const place = new Place(provider, mount.path);
      seed(place.pathOf("dev"), 1_000_000);
      const fork = await place.create();
      assert.equal(fork.copy, expected);
      const seen = await provider.inspect(realContext(), place.target());
      assert.equal(seen.state === "ready" && seen.fork.copy, expected, "and its mark says so later");
      await provider.probe(realContext(), fork, place.scope);
    });
  }
}
