/**
 * Who imports whom: the table of rooms in docs/architecture.md against the module graph, as Deno reads it. Every shipped
 * file is a root of the graph, so that those that are loaded when they are needed count, and so do imports of types.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Arrow, arrowsAmong, filesOf, ROOT } from "../module_graph.ts";

/** A row: the room, and the rooms or files that it may import. */
interface Row {
  readonly room: string;
  readonly imports: readonly string[];
}

function holds(room: string, file: string): boolean {
  return file === room || file.startsWith(`${room}/`);
}

/** The rows of the table, the highest room first. */
function rowsIn(page: string): Row[] {
  const lines = page.split("\n");
  const first = lines.findIndex((line) => /^\| room +\| holds +\| imports +\|$/.test(line));
  const rows: Row[] = [];
  for (const line of lines.slice(first + 2)) {
    if (!line.startsWith("|")) break;
    const [room, , imports] = line.split("|").slice(1).map((cell) =>
      Array.from(cell.matchAll(/`([^`]+)`/g), ([, one]) => one!)
    );
    rows.push({ room: room![0]!, imports: imports! });
  }
  return rows;
}

/** The ways in which a graph is not as the table says. */
function problemsOf(rows: readonly Row[], files: readonly string[], arrows: readonly Arrow[]): string[] {
  const problems: string[] = [];
  const placeOf = (file: string) => rows.findIndex(({ room }) => holds(room, file));
  for (const file of files) {
    if (placeOf(file) < 0) problems.push(`${file} is in no room`);
  }
  rows.forEach(({ room, imports }, place) => {
    for (const one of imports) {
      const below = rows.slice(place + 1).some((lower) => holds(lower.room, one) || holds(one, lower.room));
      const isUp = rows.slice(0, place + 1).some((higher) => holds(higher.room, one) || holds(one, higher.room));
      if (!below || isUp) problems.push(`${room} names ${one}, which is not below it`);
      const isUsed = arrows.some(([from, to]) => placeOf(from) === place && placeOf(to) !== place && holds(one, to));
      if (!isUsed) problems.push(`${room} names ${one}, and imports nothing of it`);
    }
  });
  for (const [from, to] of arrows) {
    const [place, other] = [placeOf(from), placeOf(to)];
    if (place < 0 || other < 0 || place === other) continue;
    if (!rows[place]!.imports.some((one) => holds(one, to))) problems.push(`${from} imports ${to}`);
    if (holds("core", from) && holds("providers", to)) {
      problems.push(`${from} is core's, and imports the provider ${to}`);
    }
  }
  const circle = circleIn(arrows);
  if (circle !== undefined) problems.push(`a circle: ${circle.join(" -> ")}`);
  return problems;
}

/** Files that import each other in a circle, the first of them once more at the end. */
function circleIn(arrows: readonly Arrow[]): string[] | undefined {
  const targets = Map.groupBy(arrows, ([from]) => from);
  const done = new Set<string>();
  const path: string[] = [];
  const walk = (file: string): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    path.push(file);
    for (const [, to] of targets.get(file) ?? []) {
      const circle = walk(to);
      if (circle !== undefined) return circle;
    }
    path.pop();
    done.add(file);
    return undefined;
  };
  for (const file of targets.keys()) {
    const circle = walk(file);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

/** The shipped files, and each of their imports of one another. */
async function shippedGraph(): Promise<{ files: string[]; arrows: Arrow[] }> {
  const { publish } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));
  const files = await filesOf(...publish.include);
  return { files, arrows: await arrowsAmong(files, { types: true }) };
}

const TABLE = rowsIn(readFileSync(join(ROOT, "docs/architecture.md"), "utf8"));

Deno.test("docs/architecture.md has every arrow between rooms; none leads up, and no files import each other in a circle", async () => {
  const { files, arrows } = await shippedGraph();
  assert(files.length > 200 && arrows.length > 1000, `${files.length} files, ${arrows.length} imports`);
  const has = (from: string, to: string) =>
    assert(arrows.some((one) => one[0] === from && one[1] === to), `${from}, ${to}`);
  has("core/cli/session.ts", "core/engine/engine.ts"); // a type
  has("core/cli/main.ts", "core/cli/help.ts"); // loaded by its path
  has("providers/mod.ts", "providers/presets.ts");
  assert.deepEqual(problemsOf(TABLE, files, arrows), []);
});

Deno.test("problemsOf() finds each wrong arrow, room and row", () => {
  const rows: Row[] = [
    { room: "cli.ts", imports: ["core/cli", "providers/mod.ts"] },
    { room: "core/cli", imports: ["core/system"] },
    { room: "providers", imports: ["core/s3/sigv4.ts"] },
    { room: "core/s3", imports: [] },
    { room: "core/system", imports: [] },
  ];
  const arrows: Arrow[] = [
    ["cli.ts", "core/cli/main.ts"],
    ["cli.ts", "providers/mod.ts"],
    ["core/cli/main.ts", "core/cli/help.ts"],
    ["core/cli/main.ts", "core/system/files.ts"],
    ["providers/storage/s3.ts", "core/s3/sigv4.ts"],
  ];
  const problems = (more: Arrow[] = [], table = rows, files = arrows.flat()) =>
    problemsOf(table, files, [...arrows, ...more]);
  assert.deepEqual(problems(), []);
  const wrong: [Arrow, RegExp][] = [
    [["core/system/files.ts", "core/cli/help.ts"], /^core\/system\/files\.ts imports core\/cli/],
    [["core/cli/help.ts", "core/s3/server.ts"], /^core\/cli\/help\.ts imports/],
    [["providers/storage/s3.ts", "core/s3/server.ts"], /^providers\/storage\/s3\.ts imports/],
    [["core/cli/help.ts", "providers/mod.ts"], /is core's, and imports the provider/],
    [["core/cli/help.ts", "core/cli/main.ts"], /^a circle: /],
    [["core/cli/help.ts", "core/cli/help.ts"], /^a circle: /],
  ];
  for (const [arrow, problem] of wrong) {
    assert(problems([arrow]).some((one) => problem.test(one)), `${arrow.join(" -> ")}: ${problems([arrow])}`);
  }
  const changed = (room: string, imports: string[]) => rows.map((row) => row.room === room ? { room, imports } : row);
  const up = problems([["core/system/files.ts", "core/cli/help.ts"]], changed("core/system", ["core/cli"]));
  assert(up.includes("core/system names core/cli, which is not below it"), String(up));
  const unused = problems([], changed("core/cli", ["core/system", "core/s3"]));
  assert.deepEqual(unused, ["core/cli names core/s3, and imports nothing of it"]);
  assert.deepEqual(problems([], rows, ["core/new/file.ts"]), ["core/new/file.ts is in no room"]);
});
