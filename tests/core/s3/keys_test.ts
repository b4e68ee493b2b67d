import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { CHECKSUMS } from "../../../core/s3/checksums.ts";
import { compareKeys, entryOfName, pathOfKey, plainPathOfKey } from "../../../core/s3/keys.ts";
import { HOSTILE_KEYS } from "../../emulators/s3_checks.ts";
import { Dice } from "../../simulation/random.ts";

/** Numbers of [0, 1), the same for the same seed. */
function random(seed: number): () => number {
  const dice = new Dice(seed);
  let drawn = 0;
  return () => dice.draw(String(drawn++));
}

/** Keys made of what is likely to be taken wrongly. */
function someKey(next: () => number): string {
  const pieces = [
    "a",
    "b",
    "/",
    "/",
    ".",
    "..",
    "%",
    "%2F",
    "%-",
    "%+",
    " ",
    "+",
    "ü",
    "😀",
    "\n",
    "\\",
    ":",
    "A",
    "-",
  ];
  let key = "";
  for (let left = 1 + Math.floor(next() * 12); left > 0; left--) {
    const piece = pieces[Math.floor(next() * pieces.length)];
    key += next() < 0.03 ? piece.repeat(150) : piece;
  }
  while (Buffer.byteLength(key) > 1024) key = key.slice(0, -50);
  return key.isWellFormed() ? key : "x";
}

/** The key of a path, by what each of its names says. */
function keyOfPath(path: string): string {
  return path.split("/").map((name, at, all) => {
    const entry = entryOfName(name);
    assert(entry, name);
    assert.equal(entry.type === "object", at === all.length - 1, path);
    return entry.type === "directory" ? `${entry.text}/` : entry.text;
  }).join("");
}

Deno.test("pathOfKey() is another for each key, leads nowhere else, and can be read back", () => {
  const next = random(5);
  const seen = new Map<string, string>();
  const keys = [...HOSTILE_KEYS, ...Array.from({ length: 20_000 }, () => someKey(next))];
  for (const key of keys) {
    const path = pathOfKey(key);
    assert.equal(seen.get(path) ?? key, key);
    seen.set(path, key);
    assert.equal(keyOfPath(path), key);
    for (const name of path.split("/")) {
      assert(name !== "" && name !== "." && name !== "..", path);
      assert(Buffer.byteLength(name) <= 255, name);
      // deno-lint-ignore no-control-regex
      assert(!/[\x00-\x1f\x7f\\:*?"<>|]/.test(name), name);
    }
  }
  const paths = [...seen.keys()];
  for (const path of paths.slice(0, 2_000)) { // no object's path is a directory of another's
    assert(!paths.some((other) => other.startsWith(`${path}/`)), path);
  }
});

Deno.test("plainPathOfKey() is there only where the key is a path inside the bucket", () => {
  for (const key of ["a", "a/b", "ünï/x y", ".hidden", "..a/b"]) assert.equal(plainPathOfKey(key, ".hide"), key);
  for (const key of ["", "/a", "a/", "a//b", "..", "../a", "a/../b", "./a", "a\0b", ".hide", ".hide/x"]) {
    assert.equal(plainPathOfKey(key, ".hide"), undefined, key);
  }
});

Deno.test("compareKeys() is the order of bytes in UTF-8", () => {
  const next = random(6);
  for (let round = 0; round < 20_000; round++) {
    const [a, b] = [someKey(next), next() < 0.5 ? "a\u{ffff}" : someKey(next)];
    const expected = Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    assert.equal(Math.sign(compareKeys(a, b)), expected, JSON.stringify([a, b]));
  }
});

Deno.test("checksums are those of their published check values", () => {
  // Of the nine digits: https://reveng.sourceforge.io/crc-catalogue/all.htm
  const hex: Record<string, string> = { CRC32: "cbf43926", CRC32C: "e3069283", CRC64NVME: "ae8b14860a799888" };
  for (const [name, expected] of Object.entries(hex)) {
    const digest = CHECKSUMS[name]();
    for (const piece of ["12345", "6789"]) digest.update(new TextEncoder().encode(piece));
    assert.equal(Buffer.from(digest.digest("base64"), "base64").toString("hex"), expected, name);
  }
});
