/**
 * Makes the pictures of the command line: the moving one of the README, and with `--stills` how commands look on terminals
 * of 80 and 140 columns, light and dark, in `dist/pictures`. Each is a recording of a real run of the binary, which
 * `deno task compile --bun` makes; `script` of util-linux records, svg-term from npm draws.
 */
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { DIST, REPO, run } from "../build/_tools.ts";
import { type Cast, type Size, toCast } from "./cast.ts";
import { THEMES } from "./themes.ts";

const SVG_TERM = "svg-term-cli@2.1.1";
const README_PICTURE = join(REPO, "docs", "pictures", "fork.svg");

/** Lines that are typed, in a project with a database of its own. */
const STORY = [
  "forkstack init --yes",
  "forkstack import dev ./app.db",
  "forkstack new alice",
  "echo 'DELETE FROM track; SELECT count(*) FROM track' | forkstack connect",
  "forkstack switch dev",
  "echo 'SELECT count(*) FROM track' | forkstack connect",
  "forkstack list",
  "forkstack delete alice --yes",
];

/** Commands that the stills show; `before` brings each about. */
const STILLS: Readonly<Record<string, { readonly before?: readonly string[]; readonly line: string }>> = {
  overview: { line: "forkstack" },
  new: { line: "forkstack new alice" },
  list: { before: ["new bob --no-switch --ttl 3d", "new carol"], line: "forkstack list" },
  status: { before: ["new alice"], line: "forkstack status" },
  error: { before: ["new alice"], line: "forkstack switch alise" },
};

const { values } = parseArgs({ options: { stills: { type: "boolean", default: false } } });
const workshop = await mkdtemp(join(tmpdir(), "pictures-"));
try {
  if (values.stills) await drawStills();
  else await drawStory();
} finally {
  await rm(workshop, { recursive: true, force: true });
}

async function drawStory(): Promise<void> {
  const cast = await record(STORY, { columns: 96, rows: 34 }, await project("story"));
  await mkdir(join(README_PICTURE, ".."), { recursive: true });
  await draw(cast, "dark", README_PICTURE);
  console.log(README_PICTURE);
}

async function drawStills(): Promise<void> {
  const target = join(DIST, "pictures");
  await mkdir(target, { recursive: true });
  for (const [name, { before = [], line }] of Object.entries(STILLS)) {
    for (const columns of [80, 140]) {
      const place = await project(`${name}-${columns}`);
      for (const earlier of before) await run(join(DIST, "forkstack"), earlier.split(" "), place);
      const cast = await record([line], { columns, rows: 26 }, place);
      for (const theme of ["light", "dark"] as const) {
        const picture = join(target, `${name}-${columns}-${theme}.svg`);
        await draw(cast, theme, picture, ["--at", String(Math.ceil(cast.seconds * 1_000) + 1_000)]);
        console.log(picture);
      }
    }
  }
}

/** Makes a project of somebody who has a database already. */
async function project(name: string): Promise<string> {
  const place = join(workshop, name, "music");
  await mkdir(place, { recursive: true });
  await run("git", ["init", "-q", "-b", "main"], place);
  await writeFile(join(place, "package.json"), '{ "name": "music", "private": true }\n');
  await run("sqlite3", [
    "app.db",
    "CREATE TABLE track (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO track (name) VALUES ('So What'), ('Freddie Freeloader'), ('Blue in Green')",
  ], place);
  return place;
}

/** Types lines into a shell on a terminal of this size, each once the one before has ended. */
async function record(lines: readonly string[], { columns, rows }: Size, place: string): Promise<Cast> {
  const [script, output, times] = ["session.sh", "output", "times"].map((name) => join(place, "..", name)) as [
    string,
    string,
    string,
  ];
  const typed = lines.map((line) => `type_in ${quoted(line)}\n${line}\nsleep 1.2`).join("\n");
  await writeFile(
    script,
    `stty cols ${columns} rows ${rows}
type_in() {
  printf '\\033[1;32m$\\033[0m '
  local at
  for ((at = 0; at < \${#1}; at++)); do printf '%s' "\${1:at:1}"; sleep 0.03; done
  sleep 0.3
  printf '\\n'
}
${typed}
sleep 3
printf '\\033[0m' # the last picture stays for a while
`,
  );
  await chmod(script, 0o700);
  const variables = { HOME: workshop, USER: "alice", TERM: "xterm-256color", PATH: `${DIST}:${process.env.PATH}` };
  const cleared = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  const command = `env -i ${cleared.map(quoted).join(" ")} bash ${quoted(script)}`;
  await run("script", ["-q", "-e", "--log-out", output, "--log-timing", times, "-c", command], place);
  return toCast(await readFile(output), await readFile(times, "utf8"), { columns, rows });
}

async function draw(
  cast: Cast,
  theme: keyof typeof THEMES,
  picture: string,
  more: readonly string[] = [],
): Promise<void> {
  const [recording, colours] = [join(workshop, "cast.json"), join(workshop, "colours")];
  await writeFile(recording, cast.text);
  await writeFile(colours, THEMES[theme]);
  const given = ["--in", recording, "--out", picture, "--term", "xresources", "--profile", colours];
  await run("npx", ["-y", SVG_TERM, ...given, "--window", "--no-cursor", "--padding", "8", ...more], workshop);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
