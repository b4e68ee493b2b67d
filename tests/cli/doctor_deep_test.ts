/** `doctor --deep`: damage that a look at a few pages does not show. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { Place } from "./run.ts";

const PAGE = 4_096;

/** A table of many pages and its index. */
function seed(path: string): void {
  using database = new DatabaseSync(path);
  database.exec(`PRAGMA page_size = ${PAGE}; BEGIN; CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT);
    CREATE INDEX by_text ON notes (text)`);
  const insert = database.prepare("INSERT INTO notes (text) VALUES (?)");
  for (let n = 0; n < 2_000; n++) insert.run(`${n} `.repeat(40));
  database.exec("COMMIT");
}

/** Damage to a page that no root and no free list is on. */
const DAMAGES: Readonly<Record<string, (page: Uint8Array) => void>> = {
  "a page of zeros": (page) => void page.fill(0),
  "a page of another file": (page) => page.set(new TextEncoder().encode("another file's text ".repeat(150))),
  "cells that overlap": (page) => page.copyWithin(10, 8, 10),
};

for (const [what, damage] of Object.entries(DAMAGES)) {
  Deno.test(`doctor --deep finds ${what} in dev and in its forks, which new and doctor do not read`, async () => {
    await using place = await Place.make({ database: { provider: "sqlite", bases: { dev: "./dev.db" } } });
    const dev = place.path("dev.db");
    seed(dev);
    await place.ok("new", "bob");
    assert.deepEqual((await place.json("doctor", "--deep")).data.findings, []);
    const bytes = fs.readFileSync(dev);
    damage(bytes.subarray(PAGE * 20, PAGE * 21));
    fs.writeFileSync(dev, bytes);
    await place.ok("new", "alice");
    assert.deepEqual((await place.json("doctor")).data.findings, []);
    const { ok, data: { findings } } = await place.json("doctor", "--deep");
    assert.equal(ok, true);
    const told = findings.map(({ severity, environment, resource }: Record<string, string>) =>
      `${severity} ${environment} ${resource}`
    );
    assert.deepEqual(told, ["error alice database", "error dev database"]);
    assert.match(findings[0].problem, /^damaged: the data of sqlite "shop-alice": /);
    assert.match(findings[0].fix, /forkstack reset alice/);
    assert.match(findings[1].fix, /backup; forkstack never changes it/);
    assert.deepEqual(fs.readFileSync(dev), bytes, "it is only read");
  });
}

Deno.test("doctor --deep: a base that is no database is a finding, one that is not there is none", async () => {
  await using place = await Place.make({ database: { provider: "sqlite", bases: { dev: "./dev.db" } } });
  assert.deepEqual((await place.json("doctor", "--deep")).data.findings, []);
  fs.writeFileSync(place.path("dev.db"), "no database ".repeat(1_000));
  const { data: { findings } } = await place.json("doctor", "--deep");
  assert.deepEqual(findings.map(({ environment }: { environment: string }) => environment), ["dev"]);
  assert.match(findings[0].problem, /not a database/);
});
