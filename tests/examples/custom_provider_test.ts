/** The provider of examples/custom-provider, held to what every provider is held to. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import * as v from "npm:valibot@1.5.0";
import make from "../../examples/custom-provider/json-file.ts";
import { formatMarker } from "../../core/marker.ts";
import { files } from "../../core/system/files.ts";
import { Secret } from "../../core/secret.ts";
import { ForkstackError, openStack, resourceTitle } from "../../mod.ts";
import { Place } from "../cli/run.ts";
import { type Emulator, testProvider } from "../conformance.ts";
import { realContext, temporaryDirectory, treeOf } from "../helpers.ts";

const PROJECT = "myapp";
const CANARY = "canary-in-the-parent-0123456789";

/** A directory of JSON files: the parent, look-alikes without a mark, another stack's forks. */
const emulator: Emulator = {
  open() {
    const directory = temporaryDirectory();
    const pathOf = (name: string) => join(directory.path, "data", `${name}.json`);
    const parse = (name: string) => JSON.parse(fs.readFileSync(pathOf(name), "utf8"));
    const write = (name: string, data: object) => fs.writeFileSync(pathOf(name), JSON.stringify(data));
    const titleOf = (env: string) => resourceTitle("database", PROJECT, env);
    fs.mkdirSync(join(directory.path, "data"));
    for (const env of ["dev", "alic", "alice2", "alice-2"]) write(titleOf(env), { notes: [CANARY, env] });
    const note = formatMarker({ stack: "another", env: "zoe", resource: "database", operation: "1" });
    write(titleOf("zoe"), {
      forkstack: { id: "of-another", note, createdAt: "2026-01-01T00:00:00Z" },
      notes: [CANARY],
    });
    fs.writeFileSync(join(directory.path, "data", "README"), "not a database");
    return Promise.resolve({
      project: PROJECT,
      root: directory.path,
      context: { files, fetch: () => Promise.reject(new TypeError("it calls nobody")) },
      parent: titleOf("dev"),
      absentParent: titleOf("no-such"),
      titleOf,
      things: () => Promise.resolve(treeOf(directory.path)),
      contentOf(name) {
        const { forkstack: _, ...data } = parse(name);
        return Promise.resolve(JSON.stringify(data));
      },
      change: (name) => Promise.resolve(write(name, { ...parse(name), mine: true })),
      placeForeign(name, { isEmpty, markOf } = {}) {
        const mark = markOf === undefined ? {} : { forkstack: parse(markOf).forkstack };
        return Promise.resolve(write(name, { ...mark, ...(isEmpty ? {} : { notes: ["somebody's"] }) }));
      },
      rehand(fork, marker) {
        const { forkstack, ...data } = parse(fork.name);
        return Promise.resolve(write(fork.name, { forkstack: { ...forkstack, note: formatMarker(marker) }, ...data }));
      },
      canaries: () => [CANARY],
      close: () => Promise.resolve(directory[Symbol.dispose]()),
    });
  },
};

Deno.test("the example itself: an environment forked from its dev, read by mod.ts, and deleted", async () => {
  await using place = await Place.make(null);
  for (const name of ["forkstack.json", "json-file.ts", "data/notes-dev.json"]) {
    await place.write(name, fs.readFileSync(new URL(`../../examples/custom-provider/${name}`, import.meta.url)));
  }
  await place.trust();
  await place.ok("new", "alice");
  const stack = openStack({ cwd: place.root, read: () => undefined });
  const url = stack.of("database", "DATABASE_URL");
  assert.equal(new URL(url).pathname, place.path("data/notes-alice.json"));
  assert.deepEqual(JSON.parse(fs.readFileSync(new URL(url), "utf8")).notes, ["Buy milk", "Call Ada"]);
  await place.ok("delete", "alice", "--yes");
  assert.deepEqual(fs.readdirSync(place.path("data")), ["notes-dev.json"]);
});

testProvider({ provider: make({ v, ForkstackError, Secret, formatMarker }), emulator });

Deno.test("json-file: a mark of another registry, stack or file is foreign, and says whose it is where it is its own", async () => {
  using directory = temporaryDirectory();
  const provider = make({ v, ForkstackError, Secret, formatMarker });
  const scope = {
    options: { directory: "data" },
    project: PROJECT,
    stack: PROJECT,
    resource: "database",
    root: directory.path,
  };
  const marker = {
    stack: PROJECT,
    env: "alice",
    resource: "database",
    operation: "1",
    name: "a",
    registry: "0".repeat(16),
  };
  const target = { ...scope, name: "a", marker, begunAt: "2026-01-01T00:00:00Z" };
  const fork = await provider.create(realContext(), target);
  const seen = async (changed: object) => {
    const wanted = { ...marker, ...changed };
    return await provider.inspect(realContext(), { ...target, stack: wanted.stack, marker: wanted });
  };
  for (const changed of [{ registry: "1".repeat(16) }, { stack: "another" }, { env: "bob" }]) {
    const found = await seen(changed);
    assert.deepEqual([found.state, "holder" in found && found.holder], ["foreign", marker], JSON.stringify(changed));
    const theirs = { ...fork, marker: { ...marker, ...changed } };
    const place = { ...scope, stack: theirs.marker.stack };
    await assert.rejects(async () => await provider.delete(realContext(), theirs, place), { code: "FOREIGN" });
  }
  assert.equal((await seen({ registry: undefined })).state, "ready", "0.1.0 named none");
  const path = (name: string) => join(directory.path, "data", `${name}.json`);
  fs.copyFileSync(path("a"), path("b"));
  const copied = await provider.inspect(realContext(), { ...target, name: "b", marker: { ...marker, name: "b" } });
  assert.deepEqual(copied, { state: "foreign", id: "b", reason: "it bears no mark of forkstack" });
  assert.equal(await provider.delete(realContext(), { ...fork, name: "b" }, scope), "absent");
  assert.deepEqual(fs.readdirSync(join(directory.path, "data")).sort(), ["a.json", "b.json"]);
});
