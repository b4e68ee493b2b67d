import assert from "node:assert/strict";
import { counted, isOrAre, listed } from "../../../core/text/phrases.ts";
import { reasonOf } from "../../../core/text/printable.ts";

Deno.test("counted() is singular for one alone", () => {
  const counts = [0, 1, 2, 21].map((count) => counted(count, "resource"));
  assert.deepEqual(counts, ["0 resources", "1 resource", "2 resources", "21 resources"]);
});

Deno.test("listed() and isOrAre() read as a sentence", () => {
  const sentence = (...names: string[]) => `${listed(names)} ${isOrAre(names)} not set`;
  assert.equal(listed([]), "");
  assert.equal(sentence("A"), "A is not set");
  assert.equal(sentence("A", "B"), "A and B are not set");
  assert.equal(sentence("A", "B", "C"), "A, B and C are not set");
});

Deno.test("reasonOf() leaves one cause: no second Cannot, and the name of what can't be reached", () => {
  const cases = [
    ['Cannot delete database "shop": its delete protection is on', 'database "shop": its delete protection is on'],
    ['Cannot reach "api.turso.tech": connection refused', '"api.turso.tech" cannot be reached (connection refused)'],
    ['Cannot fetch "npm:postgres@3": no network', '"npm:postgres@3" cannot be fetched (no network)'],
    [
      'Cannot reset all of environment "a": Cannot reset database "x": Cannot reach "h:5432": timed out',
      'database "x": "h:5432" cannot be reached (timed out)',
    ],
    [
      'Cannot sanitize database "x": line 3: no such table: users',
      'database "x" cannot be sanitized (line 3: no such table: users)',
    ],
    ['Cannot delete all of environment "a": local: permission denied', "local: permission denied"],
    ['Cannot write "/a/b": the disk is full', '"/a/b" cannot be written (the disk is full)'],
    ["no such table: Cannot", "no such table: Cannot"],
    ["Cannot stop", "Cannot stop"],
    ["", ""],
  ];
  for (const [message, reason] of cases) assert.equal(reasonOf(new Error(message)), reason);
  assert.equal(reasonOf("thrown"), "thrown");
  const locked = new Error('Cannot delete database "shop": it is locked');
  assert.equal(reasonOf(locked, "database"), 'database "shop": it is locked');
  assert.equal(reasonOf(locked, "database.main"), 'database.main: database "shop": it is locked');
  assert.equal(reasonOf(new Error("Cannot use turso: KEY is not set"), "database"), "database: KEY is not set");
});
