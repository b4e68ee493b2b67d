/** The key file of local buckets: what is not this user's alone, or is easily guessed, opens nothing. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Place } from "../cli/run.ts";

const GOOD = "9f2c1e7a4b8d03566ae1f7c29b5d8e40137ac6d2be945f08c3719ad46e20b5f8";

/** Puts something at the place of the key file, and says how a command takes it. */
async function takes(put: (path: string) => void): Promise<{ code: string | undefined; message: string }> {
  await using place = await Place.make({ project: "shop" });
  mkdirSync(place.path(".forkstack"), { mode: 0o700 });
  const path = place.path(".forkstack/buckets.key");
  put(path);
  const { stdout } = await place.run("new", "alice", "--json");
  const { error } = JSON.parse(stdout);
  return { code: error?.code, message: error?.message ?? "" };
}

const write = (text: string, mode = 0o600) => (path: string) => {
  writeFileSync(path, text);
  chmodSync(path, mode);
};

Deno.test("a key file is taken if it is 0600 and drawn by chance, as forkstack makes it", async () => {
  assert.deepEqual(await takes(write(`${GOOD}\n`)), { code: undefined, message: "" });
  await using place = await Place.make({ project: "shop" });
  assert.equal((await place.run("new", "alice")).code, 0);
  const path = place.path(".forkstack/buckets.key");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.match(readFileSync(path, "utf8"), /^[0-9a-f]{64}\n$/);
});

Deno.test("a key that is easily guessed, or is none, is refused", async () => {
  const bytes = (of: (at: number) => number) =>
    Array.from({ length: 32 }, (_, at) => (of(at) & 0xff).toString(16).padStart(2, "0")).join("");
  const texts = [
    bytes(() => 0),
    bytes(() => 0xff),
    bytes((at) => at), // a test vector's
    bytes((at) => 255 - 3 * at),
    "deadbeef".repeat(8),
    "0123456789abcdef".repeat(4),
    "0".repeat(63) + "1",
    GOOD.toUpperCase(),
    `${GOOD}00`,
    ` ${GOOD}`,
    `${GOOD}\n\n`,
    "",
  ];
  for (const text of texts) assert.equal((await takes(write(text))).code, "STATE_DAMAGED", text);
});

Deno.test("a key file that others may read or change, a link or something else is refused", async () => {
  for (const mode of [0o644, 0o660, 0o604, 0o602]) {
    const { code, message } = await takes(write(`${GOOD}\n`, mode));
    assert.deepEqual(
      [code, /other users may read or change it/.test(message)],
      ["NOT_PERMITTED", true],
      mode.toString(8),
    );
  }
  const others: ((path: string) => void)[] = [
    (path) => {
      write(`${GOOD}\n`)(join(path, "..", "..", "elsewhere"));
      symlinkSync("../elsewhere", path);
    },
    (path) => assert.equal(spawnSync("mkfifo", [path]).status, 0),
    (path) => mkdirSync(path),
    write("a".repeat(5_000)),
  ];
  for (const [at, put] of others.entries()) assert.equal((await takes(put)).code, "NOT_PERMITTED", String(at));
});

Deno.test({
  name: "a key file of another user's is refused, one of root's or of the project's owner is not",
  ignore: process.getuid?.() !== 0,
  async fn() {
    const by = (uid: number) => (path: string) => {
      write(`${GOOD}\n`)(path);
      chownSync(path, uid, uid);
    };
    assert.equal((await takes(by(12_345))).code, "NOT_PERMITTED");
    assert.equal((await takes(by(0))).code, undefined);
    const owned = await takes((path) => {
      by(12_345)(path);
      for (const at of ["..", "../.."]) chownSync(join(path, at), 12_345, 12_345);
    });
    assert.equal(owned.code, undefined, "root in a container, over another's bind mount");
  },
});
