/** The Python reader, by the oldest and the newest Python. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { baseVariables } from "../helpers.ts";
import type { Runtime } from "../runtime_helpers.ts";
import { type Ask, testMutations, testReader } from "./readers.ts";

const PACKAGE = fileURLToPath(new URL("../../languages/python/src", import.meta.url));
const SOURCE = join(PACKAGE, "forkstack", "__init__.py");
const DRIVER = fileURLToPath(new URL("answers.py", import.meta.url));

/** The Pythons from 3.9 on that are here, by their minor version: in PATH, or as pyenv keeps them. */
function pythons(): Map<number, string> {
  const found = new Map<number, string>();
  const root = spawnSync("pyenv", ["root"], { encoding: "utf8" }).stdout?.trim() || "/nowhere";
  const versions = join(root, "versions");
  const kept = existsSync(versions) ? readdirSync(versions).map((one) => join(versions, one, "bin", "python")) : [];
  const named = [9, 10, 11, 12, 13, 14].map((minor) => `python3.${minor}`);
  for (const program of [...kept.filter((one) => existsSync(one)), ...named, "python3"]) {
    const args = ["-c", "import sys; print(*sys.version_info[:2], sys.executable)"];
    const [major, minor, path] = spawnSync(program, args, { encoding: "utf8" }).stdout?.trim().split(" ") ?? [];
    if (major === "3" && Number(minor) >= 9 && path !== undefined) found.set(Number(minor), path);
  }
  return found;
}

const ALL = [...pythons()].sort(([one], [other]) => one - other);
const runtimeOf = (path: string | undefined): Runtime =>
  path === undefined ? { missing: "there is no Python from 3.9 on" } : { command: [path] };
const [OLDEST, NEWEST] = [ALL[0], ALL.at(-1)].map((one) => runtimeOf(one?.[1])) as [Runtime, Runtime];

const ask: Ask = ([program], questions, sources = PACKAGE) => {
  const { status, stdout, stderr } = spawnSync(program!, ["-B", DRIVER], {
    input: JSON.stringify(questions),
    encoding: "utf8",
    env: { ...baseVariables(), PYTHONPATH: sources, PYTHONUTF8: "1" },
    maxBuffer: 64 * 1024 * 1024,
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
};

testReader(`the Python reader in the oldest Python, 3.${ALL[0]?.[0]}`, OLDEST, ask);
if (ALL.length > 1) testReader(`the Python reader in the newest Python, 3.${ALL.at(-1)?.[0]}`, NEWEST, ask);

/** Rules of the reader, each as its text and one that lacks it. */
const MUTATIONS = {
  "long forms of names": ['"production": "prod"', '"production": "production"'],
  "ENV with a slash names none": ['None if value is None or "/" in value else value', "value"],
  "a linked worktree has no default": ['None if facts.get("isLinkedWorktree") else "dev"', '"dev"'],
  "FORKSTACK_ENV before ENV": ['("FORKSTACK_ENV", process.get("env")),', '("FORKSTACK_ENV", None),'],
  "the file's environment": ['file.get("env") != env or is_other(file)', "False"],
  "a pointer that came along": ['is_by_place and facts.get("isPointerCopied")', "False"],
  "a block without a pointer": ["block is not None and pointer is None", "False"],
  "the block's project": ['block.get("env") == env and is_other(block)', "False"],
  "a loaded file of another environment": ["way.is_file_loaded and _ALIASES.get(wanted, wanted) != env", "False"],
  "the process's project": ['process.get("project") is not None and is_other(process)', "False"],
  "was never made": ['is_made or not (is_by_place or facts.get("hasState"))', "True"],
  "a stale place in a file": ['None if all_.get("isPlace") else file', "file"],
  "a deployment has no state": ['not way.is_block_loaded and not facts.get("hasState")', "not way.is_block_loaded"],
  "a value of the process that differs": ["if is_deployed or", "if True or"],
  "run vouches": ['way.is_run and all_.get("isVouched")', "False"],
  "a person's line": ['("person", all_.get("person"))', '("person", None)'],
  "a line that a resource gives": [
    "None if template is not None or self._is_given(name) else written.person.get(name)",
    "written.person.get(name)",
  ],
  "a place that is shaped": ["is_place = template is not None or name in", "is_place = name in"],
  "the path in a deployment's URL": ["self._variable(name) or self._path_in_process(name)", "self._variable(name)"],
  "shaped ones shape no other": [
    "None if name in templates else self._find(name)",
    "name if name in templates else self._find(name)",
  ],
  "a doubled brace": ["return part.group()[0]", "return part.group()"],
  "a form": ['"url": lambda path: _file_url(path)[len("file://") :]', '"url": lambda path: path'],
  "bare layouts": ["checkout.main is not None and not checkout.is_bare", "False"],
  "the repository's own list of worktrees": ["True, common if is_listed else None", "True, common"],
  "bases": ["path = _base_path(one, env, root) or _join", "path = _join"],
} as const;

testMutations({
  reader: "the Python reader",
  runtime: NEWEST,
  ask,
  source: readFileSync(SOURCE, "utf8"),
  mutations: MUTATIONS,
  write(at, text) {
    at.write("mutated/forkstack/__init__.py", text);
    return join(at.path, "mutated");
  },
});

Deno.test("the package has its own marker of types", () => {
  const files = readdirSync(join(PACKAGE, "forkstack"));
  assert(files.includes("py.typed"), files.join());
});
