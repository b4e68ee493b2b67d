import { deepStrictEqual as equal, strictEqual as is } from "node:assert/strict";
import { formatMarker, isRegistryId, newRegistryId, parseMarker } from "../../core/marks.ts";

const REGISTRY = "0123456789abcdef";
const ALICE = { stack: "shop", env: "alice", resource: "storage.up", operation: "run 1", name: "shop-alice" };
const MARKER = { ...ALICE, registry: REGISTRY };

Deno.test("parseMarker() reads what formatMarker() wrote, on the thing that it names alone", () => {
  for (const marker of [MARKER, ALICE, { ...MARKER, operation: "a:b %" }]) {
    const note = formatMarker(marker);
    equal(parseMarker(note, "shop-alice"), marker);
    for (const other of ["shop-bob", "shop-alice2", "shop-alic", "", "SHOP-ALICE", "shop-alice "]) {
      is(parseMarker(note, other), undefined, other);
    }
  }
});

Deno.test("parseMarker() reads the marks of 0.1.0, which name neither their thing nor their registry", () => {
  const { name: _, ...old } = ALICE;
  equal(formatMarker(old), "forkstack:v1:shop:alice:storage.up:run%201");
  equal(parseMarker(formatMarker(old), "whatever"), old);
});

Deno.test("formatMarker() fits a tag of 256 characters, however long the names are", () => {
  const long = { ...MARKER, stack: "s".repeat(40), env: "e".repeat(40), operation: crypto.randomUUID() };
  const note = formatMarker({ ...long, name: "n".repeat(200) });
  is(note.length <= 256, true, `${note.length}`);
  is(/^[\w:.%-]+$/.test(note), true, note);
});

Deno.test("formatMarker() marks a part of a fork with the part's own name", () => {
  const note = formatMarker(MARKER, "shop-alice--next");
  equal(parseMarker(note, "shop-alice--next"), { ...MARKER, name: "shop-alice--next" });
  is(parseMarker(note, "shop-alice"), undefined);
});

Deno.test("parseMarker() takes nothing else", () => {
  const good = formatMarker(MARKER);
  for (
    const bad of [
      "",
      "forkstack",
      "forkstack:v3:a:b:c:d",
      "forkstack:v1:a:b:c",
      `${good}:more`,
      good.replace("alice", "..%2F.."),
      good.replace("alice", "%zz"),
      good.replace("alice", "a%0Ab"),
      good.replace("forkstack", "other"),
      good.slice(0, -1),
    ]
  ) is(parseMarker(bad, "shop-alice"), undefined, bad);
});

Deno.test("newRegistryId() gives what isRegistryId() takes, each time another", () => {
  const ids = Array.from({ length: 100 }, newRegistryId);
  is(new Set(ids).size, 100);
  is(ids.every(isRegistryId), true);
  for (const bad of ["", "0123", "g".repeat(16), "0123456789ABCDEF", `${REGISTRY}\n`]) {
    is(isRegistryId(bad), false, bad);
  }
});
