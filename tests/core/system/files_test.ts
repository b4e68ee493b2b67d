import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { fileError, files, sweepTemporary, temporariesOf, temporaryPath } from "../../../core/system/files.ts";
import { isForkstackError } from "../../../mod.ts";
import { run, temporaryDirectory, treeOf } from "../../helpers.ts";

function inDirectory(name: string, fn: (at: (name: string) => string, root: string) => Promise<void>): void {
  Deno.test(name, async () => {
    using directory = temporaryDirectory();
    await fn((name) => join(directory.path, name), directory.path);
  });
}

const STANDING: Record<string, (path: string) => void> = {
  "a file": (path) => fs.writeFileSync(path, "theirs"),
  "an empty directory": (path) => fs.mkdirSync(path),
  "a full directory": (path) => (fs.mkdirSync(path), fs.writeFileSync(join(path, "one"), "theirs")),
  "a link that leads nowhere": (path) => fs.symlinkSync("nowhere", path),
};

for (const [what, put] of Object.entries(STANDING)) {
  inDirectory(`publish() fails with EEXIST at ${what}, which stays`, async (at, root) => {
    fs.writeFileSync(at("file"), "ours");
    fs.mkdirSync(at("directory"));
    fs.writeFileSync(join(at("directory"), "one"), "ours");
    put(at("taken"));
    const earlier = treeOf(root);
    for (const from of ["file", "directory"]) {
      await assert.rejects(files.publish(at(from), at("taken")), { code: "EEXIST" });
    }
    assert.deepEqual(treeOf(root), earlier);
  });
}

inDirectory("publish() keeps the identity of a file and of a directory", async (at) => {
  fs.writeFileSync(at("file"), "ours");
  fs.mkdirSync(at("directory"));
  for (const from of ["file", "directory"]) {
    const { identity } = (await files.stat(at(from)))!;
    await files.publish(at(from), at(`${from}-published`));
    assert.equal((await files.stat(at(`${from}-published`)))!.identity, identity);
    assert.equal(await files.stat(at(from)), undefined);
  }
});

inDirectory("write() makes the directories above, with mode 0600 and nothing left beside it", async (at, root) => {
  await files.write(at("a/b/c"), "one");
  await files.write(at("a/b/c"), "two");
  await assert.rejects(files.write(at("a/b/c"), "three", { exclusive: true }), { code: "EEXIST" });
  assert.equal(await files.read(at("a/b/c")), "two");
  assert.deepEqual([...treeOf(root)].map(([path, digest]) => `${path} ${digest.split(" ").slice(0, 2).join(" ")}`), [
    "a directory 700",
    "a/b directory 700",
    "a/b/c file 600",
  ]);
});

inDirectory("stat(), read(), list() and remove() take what is not there for absent, also below a file", async (at) => {
  fs.writeFileSync(at("file"), "");
  for (const path of [at("nothing"), at("file/below")]) {
    assert.equal(await files.stat(path), undefined);
    assert.equal(await files.read(path), undefined);
    assert.deepEqual(await files.list(path), []);
  }
  await files.remove(at("nothing"));
});

inDirectory(
  "sweepTemporary() removes what temporaryPath() names and nothing that merely looks like it",
  async (at, root) => {
    const kept = [
      "app.db",
      "app.db.forkstack-notes",
      "app.db.forkstack-0123456789",
      "app.db.forkstack-1234567",
      "app.db.bak",
    ];
    const others = [
      "app.db2.forkstack-12345678",
      "my-app.db.forkstack-12345678",
      "app.db.forkstack-1234567G",
      "app.db-wal",
    ];
    for (const name of [...kept, ...others]) fs.writeFileSync(at(name), "theirs");
    const partial = temporaryPath(at("app.db"));
    for (const path of [partial, `${partial}-journal`, `${partial}-wal`, temporaryPath(partial)]) {
      fs.writeFileSync(
        path,
        "",
      );
    }
    fs.mkdirSync(temporaryPath(at("app.db")));
    assert.equal((await temporariesOf(files, at("app.db"))).length, 5);
    await sweepTemporary(files, at("app.db"));
    assert.deepEqual(fs.readdirSync(root).sort(), [...kept, ...others].sort());
  },
);

inDirectory("fingerprint() changes with names, content and links themselves, and follows none", async (at) => {
  fs.mkdirSync(at("tree/inner"), { recursive: true });
  fs.mkdirSync(at("outside"));
  fs.symlinkSync("..", at("tree/inner/circle"));
  fs.symlinkSync(at("outside"), at("tree/link"));
  fs.symlinkSync("nowhere", at("tree/dangling"));
  const changes = [
    () => fs.writeFileSync(at("tree/inner/one"), "one"),
    () => fs.renameSync(at("tree/inner/one"), at("tree/inner/two")),
    () => fs.appendFileSync(at("tree/inner/two"), "more"),
    () => fs.utimesSync(at("tree/inner/two"), 1, 1),
    () => fs.mkdirSync(at("tree/inner/empty")),
    () => fs.unlinkSync(at("tree/link")),
    () => fs.symlinkSync("elsewhere", at("tree/link")),
  ];
  const seen = [await files.fingerprint(at("tree"))];
  assert.equal(await files.fingerprint(at("tree")), seen[0]);
  for (const change of changes) {
    change();
    seen.push(await files.fingerprint(at("tree")));
  }
  assert.equal(new Set(seen).size, seen.length);
  fs.writeFileSync(at("outside/three"), "three");
  assert.equal(await files.fingerprint(at("tree")), seen.at(-1));
});

inDirectory(
  "copy() leads each inner link to the copy's own file, however it is written, and keeps its text if it can",
  async (at) => {
    for (const directory of ["tree/v1", "tree/v2", "tree/deep/er"]) fs.mkdirSync(at(directory), { recursive: true });
    fs.writeFileSync(at("tree/v2/one"), "one");
    const links: Record<string, string> = {
      "tree/current": "v2",
      "tree/latest": "current", // a link to a link
      "tree/absolute": at("tree/v2/one"),
      "tree/deep/around": "../../tree/v2", // out of the tree and in again: its text leads into the parent
      "tree/deep/er/up": "../../current/one",
      "tree/deep/self": ".",
      "tree/whole": at("tree"),
      "tree/dots": `${at("tree")}/deep/../v2/./one`,
    };
    for (const [path, to] of Object.entries(links)) fs.symlinkSync(to, at(path));
    await files.copy(at("tree"), at("copy"));
    for (const path of Object.keys(links)) {
      const copied = at(path).replace("/tree/", "/copy/");
      const parent = fs.realpathSync(at(path));
      assert.equal(
        fs.realpathSync(copied),
        fs.realpathSync(at("copy")) + parent.slice(fs.realpathSync(at("tree")).length),
      );
      assert(!fs.readlinkSync(copied).startsWith("/"), copied);
    }
    const kept = ["current", "latest", "deep/er/up", "deep/self"];
    for (const path of kept) assert.equal(fs.readlinkSync(at(`copy/${path}`)), links[`tree/${path}`]);
    fs.renameSync(at("copy"), at("moved"));
    assert.equal(fs.readFileSync(at("moved/deep/around/one"), "utf8"), "one");
  },
);

const LEADING_OUT: Record<string, (tree: string, outside: string) => void> = {
  "an absolute link": (tree, outside) => fs.symlinkSync(outside, join(tree, "x")),
  "a relative link": (tree) => fs.symlinkSync("../outside/secret", join(tree, "x")),
  "a link to the directory above": (tree) => fs.symlinkSync("..", join(tree, "x")),
  "a link to the root": (tree) => fs.symlinkSync("/", join(tree, "inner", "x")),
  "a link to a neighbour whose name begins alike": (tree) => {
    fs.mkdirSync(`${tree}-other`);
    fs.symlinkSync(`${tree}-other`, join(tree, "x"));
  },
  "a link that leaves by way of another": (tree) => {
    fs.mkdirSync(join(tree, "inner", "deep"));
    fs.symlinkSync("../..", join(tree, "inner", "deep", "top"));
    fs.symlinkSync("inner/deep/top/../outside/secret", join(tree, "x"));
  },
};

for (const [what, put] of Object.entries(LEADING_OUT)) {
  inDirectory(`copy() refuses ${what} that leads out of the tree, and leaves nothing`, async (at, root) => {
    fs.mkdirSync(at("tree/inner"), { recursive: true });
    fs.mkdirSync(at("outside"));
    fs.writeFileSync(at("outside/secret"), "secret");
    put(at("tree"), at("outside"));
    const earlier = treeOf(root);
    await assert.rejects(files.copy(at("tree"), at("copy")), {
      code: "PARENT_UNUSABLE",
      message: /^Cannot copy ".*\/(x|top)": it is a link that leads out of ".*tree"$/,
    });
    assert.deepEqual(treeOf(root), earlier);
  });
}

inDirectory(
  "copy() refuses a pipe without opening it; a hard link becomes a file of its own",
  async (at) => {
    fs.mkdirSync(at("tree/inner"), { recursive: true });
    fs.writeFileSync(at("outside"), "one");
    fs.linkSync(at("outside"), at("tree/hard"));
    await files.copy(at("tree"), at("copy"));
    fs.writeFileSync(at("copy/hard"), "changed");
    assert.equal(fs.readFileSync(at("outside"), "utf8"), "one");
    await run("mkfifo", [at("tree/inner/pipe")]);
    await assert.rejects(files.copy(at("tree"), at("second")), {
      code: "PARENT_UNUSABLE",
      message: /inner\/pipe": it is a pipe/,
    });
    fs.rmSync(at("tree/inner/pipe"));
    assert(!fs.existsSync(at("second")));
  },
);

inDirectory("share() refuses a link: nothing but files is shared", async (at) => {
  fs.mkdirSync(at("tree/inner"), { recursive: true });
  fs.writeFileSync(at("tree/one"), "one");
  fs.symlinkSync("../one", at("tree/inner/link"));
  await assert.rejects(files.share(at("tree"), at("copy")), {
    code: "PARENT_UNUSABLE",
    message: /inner\/link": it is a link/,
  });
  assert(!fs.existsSync(at("copy")));
});

inDirectory("copy() gives what cp complained of a code, and leaves nothing", async (at, root) => {
  await assert.rejects(files.copy(at("nothing"), at("copy")), { code: "ENOENT" });
  fs.mkdirSync(at("tree"));
  fs.writeFileSync(at("tree/a"), "a");
  fs.symlinkSync("nowhere", at("tree/dangling"));
  await assert.rejects(files.copy(at("tree"), at("copy")), { code: "ENOENT", message: /dangling/ });
  assert.deepEqual(fs.readdirSync(root), ["tree"]);
});

Deno.test("fileError() says what to do next, keeps the cause, and leaves other errors as they are", () => {
  for (
    const [code, expected] of [["ENOSPC", "DISK_FULL"], ["EDQUOT", "DISK_FULL"], ["EROFS", "NOT_PERMITTED"]] as const
  ) {
    const cause = Object.assign(new Error(code), { code });
    const error = fileError(cause, 'make database "myapp-alice"');
    assert(isForkstackError(error));
    assert.equal(error.code, expected);
    assert.match(error.message, /^Cannot make database "myapp-alice": /);
    assert.equal(error.cause, cause);
    assert(error.hint);
  }
  for (const other of [new Error("other"), "text", undefined]) assert.equal(fileError(other, "x"), other);
});
