/**
 * Directories in which a project may begin: only those that are one already. `new` must not make a project of the
 * directory in which it was typed by chance, and nothing makes one of a home directory or a shared one.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";
import { files } from "../system/files.ts";
import { dirname, join, variable } from "../system/host.ts";
import { isDenos, origin, taskLine } from "./task_line.ts";

/** Files at the top of a project, in the languages that the documentation names and similar ones. */
const MANIFESTS = new Set(
  ("package.json deno.json deno.jsonc jsr.json bunfig.toml pyproject.toml setup.py setup.cfg requirements.txt Pipfile " +
    "environment.yml go.mod go.work Cargo.toml Gemfile composer.json mix.exs rebar.config pom.xml build.gradle " +
    "build.gradle.kts settings.gradle settings.gradle.kts build.sbt deps.edn project.clj Package.swift pubspec.yaml " +
    "CMakeLists.txt meson.build build.zig shard.yml gleam.toml stack.yaml dune-project DESCRIPTION Project.toml " +
    "global.json").split(" "),
);
const MANIFEST_NAME = /\.(csproj|fsproj|vbproj|sln|slnx|gemspec|cabal|nimble|rockspec)$/;

/** Shared directories, besides those that variables name. */
const SHARED = ["/tmp", "/var/tmp", "/home", "/Users", "/root", "C:\\Users"];

/** Refuses a directory in which no project may begin: for `init`, or for `new`, with `mustBeProject`. */
export async function checkBeginning(
  directory: string,
  { mustBeProject }: { readonly mustBeProject: boolean },
): Promise<void> {
  const why = await whyNone(directory);
  if (why !== undefined) {
    throw new ForkstackError("NOT_PERMITTED", `Cannot start a project in "${directory}": it is ${why}`, {
      hint: "Make a directory for the project, go there, and run the same command again",
    });
  }
  if (!mustBeProject || await isProject(directory)) return;
  throw new ForkstackError(
    "CONFIG_MISSING",
    `Cannot start a project in "${directory}": it has no forkstack.json and no manifest such as package.json, and is not the top of a git repository`,
    { hint: `Change to the top directory of your project, or set up a project here: \`${initLine(directory)}\`` },
  );
}

/** Returns the command line of `init` for a project without tasks. */
export function initLine(directory: string): string {
  const from = origin();
  return isDenos(from) && variable("INIT_CWD") === undefined ? taskLine(from, "init", directory, []) : "forkstack init";
}

async function isProject(directory: string): Promise<boolean> {
  for (const name of await files.list(directory)) {
    if (name !== ".git" && !MANIFESTS.has(name) && !MANIFEST_NAME.test(name)) continue;
    const path = join(directory, name);
    const real = await files.real(path); // a link to the workspace's manifest is one
    const type = real === undefined ? undefined : (await files.stat(real))?.type;
    if (type === "file" || (type === "directory" && name === ".git")) return true;
  }
  return false;
}

/**
 * Refuses a forkstack.json found above the working directory in a home or shared directory: everything below would
 * belong to that one project. Allowed if that is the working directory itself.
 */
export async function checkFound(root: string): Promise<void> {
  const why = await whyNone(root);
  if (why === undefined) return;
  throw new ForkstackError(
    "NOT_PERMITTED",
    `Cannot use "${join(root, "forkstack.json")}": it makes a project of ${why}`,
    {
      hint: "Remove the file, or move it to the top directory of its project",
    },
  );
}

/** Returns the reason why a directory is never a project; `undefined` if it may be one. */
async function whyNone(directory: string): Promise<string | undefined> {
  const own = await files.real(directory) ?? directory;
  if (dirname(own) === own || /^[A-Z]:[\\/]?$/i.test(own)) return "the root of a file system";
  const named = async (path: string | undefined) => path !== undefined && await files.real(path) === own;
  for (const name of ["HOME", "USERPROFILE"]) if (await named(variable(name))) return "a home directory";
  for (const path of [...SHARED, ...["TMPDIR", "TMP", "TEMP"].map(variable)]) {
    if (await named(path)) return "a directory that other users and programs share";
  }
  return undefined;
}
