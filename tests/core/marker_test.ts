import { deepStrictEqual as equal, strictEqual as is } from "node:assert/strict";
import {
  formatMaking,
  formatMarker,
  isRegistryId,
  makingOf,
  newRegistryId,
  parseMaking,
  parseMarker,
} from "../../core/marker.ts";

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

Deno.test("a mark tells how its environment was made, and which of it is unknown", () => {
  const end = "2026-12-02T22:42:49.123Z";
  for (
    const making of [
      { parent: "prod", expiresAt: null },
      { parent: "prod", expiresAt: end },
      { parent: "a-parent-9", origin: "empty" },
      { parent: "dev", origin: "0/1F3D3A8", expiresAt: end },
      { parent: "dev", origin: "2026-11-20T10:00:00.000Z", expiresAt: null },
    ]
  ) {
    const made = formatMaking(making);
    equal(parseMaking(made), making);
    const note = formatMarker({ ...MARKER, made });
    is(/^[\w:.%-]+$/.test(note), true, note);
    equal(parseMarker(note, "shop-alice"), { ...MARKER, made });
    is(parseMarker(note, "shop-bob"), undefined);
    equal(makingOf({ ...MARKER, made }), making);
  }
  is(makingOf(MARKER), undefined);
  is(makingOf({ ...MARKER, made: "prod" }), undefined);
});

Deno.test("makingOf() takes nothing that could not stand in a row of the registry", () => {
  for (
    const made of [
      "../x__",
      "prod_yesterday_",
      "prod__never",
      "prod__2026-13-01T00:00:00Z",
      "prod_empty\n_",
      "prod__2026-12-02T22:42:49Z_more",
      `${"p".repeat(64)}__`,
      "PROD__",
    ]
  ) is(makingOf({ ...MARKER, made }), undefined, made);
});

Deno.test("formatMarker() leaves out how it was made where it has no room: whose it is comes first", () => {
  const made = formatMaking({ parent: "p".repeat(63), origin: "2026-11-20T10:00:00.000Z", expiresAt: null });
  const long = { ...MARKER, stack: "s".repeat(40), env: "e".repeat(40), operation: crypto.randomUUID(), made };
  const note = formatMarker(long);
  is(note.length <= 256, true, `${note.length}`);
  const { made: _, ...whose } = long;
  equal(parseMarker(note, "shop-alice"), whose);
});
