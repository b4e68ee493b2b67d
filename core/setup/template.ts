/**
 * A new project from a template: an example of this repository, with a name of its own.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";
import { disk } from "../system/disk.ts";
import { files } from "../system/files.ts";
import { join } from "../system/host.ts";
import { load } from "../system/lazy.ts";
import { didYouMean } from "../text/did_you_mean.ts";
import { type Origin, runtimeSpecifier } from "../project/task_line.ts";
import { projectFile } from "../project/state_ownership.ts";
import type { Written } from "../workspace/staged_files.ts";
import { TEMPLATES } from "./template_names.ts";

/** The import of the runtime in an example, which lies beside it in this repository alone. */
const RUNTIME = /(["'])(?:\.\.\/)+mod\.ts\1/g;

/**
 * Lists the files of a template with their texts for a directory, but those that are there with the same text.
 *
 * @throws {ForkstackError} USAGE if there is no such template; CONFLICT if another file is in its place.
 */
export async function templateFiles(
  name: string,
  { root, project, origin }: { readonly root: string; readonly project: string; readonly origin: Origin },
): Promise<Written[]> {
  const names = Object.keys(TEMPLATES);
  if (!Object.hasOwn(TEMPLATES, name)) {
    const state = `there is no such template${await didYouMean(name, names)}`;
    throw new ForkstackError("USAGE", `Cannot begin from template ${JSON.stringify(name.slice(0, 80))}: ${state}`, {
      hint: `The templates: ${names.join(", ")}`,
    });
  }
  const { default: all } = await load<{ default: Readonly<Record<string, string>> }>(
    `core/setup/templates/${name}.ts`,
  );
  const runtime = JSON.stringify(runtimeSpecifier(origin, root));
  const wanted = Object.entries(all).flatMap(([path, text]): [path: string, text: string][] => {
    const own = path === "forkstack.json" ? configFor(text, project) : text.replace(RUNTIME, runtime);
    return own === "" || own === undefined ? [] : [[path, own]];
  });
  const written: Written[] = [];
  const others: string[] = [];
  for (const [path, text] of wanted) {
    const at = await placeOf(root, path);
    const there = at && await files.read(at);
    if (at === undefined || (there !== undefined && there !== text)) others.push(path);
    else if (there === undefined) written.push([at, text, 0o644]);
  }
  if (others.length === 0) return written;
  throw new ForkstackError("CONFLICT", `Cannot begin from template "${name}" in "${root}": ${others[0]} is there`, {
    hint: "Make a new directory, go there, and run the same command again; nothing was written",
  });
}

/** Returns the path of a file that is to be made; `undefined` if a link or another thing is in its way. */
async function placeOf(root: string, path: string): Promise<string | undefined> {
  const parts = path.split("/");
  for (let depth = 1; depth < parts.length; depth++) {
    const found = await disk.look(join(root, ...parts.slice(0, depth)));
    if (found !== undefined && found.type !== "directory") return undefined;
  }
  const found = await disk.look(join(root, path));
  return found === undefined || found.type === "file" ? await projectFile(root, path) : undefined;
}

/** Returns a forkstack.json under the project's own name; `undefined` if `init` writes the same. */
function configFor(text: string, project: string): string | undefined {
  const { project: _, ...rest } = JSON.parse(text);
  if (Object.keys(rest).length === 0) return undefined;
  return `${JSON.stringify({ project, ...rest }, null, 2)}\n`;
}
