/**
 * The Python package with the command line in it, as dist/forkstack_env-<version>-py3-none-<platform>.whl. After
 * `pip install`, `forkstack` is in PATH.
 */
import { cp, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { licencesIn } from "../dependencies.ts";
import { compileWithBun, HERE, TARGETS } from "./compile.ts";
import { BUN, DIST, inWorkshop, REPO, run } from "./_tools.ts";

/** Parts of the program besides the packages of npm. */
const RUNTIME = `The command line \`forkstack\` is one program with ${
  BUN.replace("@", " ")
} in it, which is under the MIT licence and
holds parts under others, JavaScriptCore's LGPL 2 among them: https://bun.com/docs/project/licensing. It also holds
packages of npm, each under its own licence:
`;

/** Builds the wheel, and returns its path. Needs Python with pip, which gets the build tools that pyproject.toml names. */
export async function packWheel(target: string = HERE, directory: string = DIST): Promise<string> {
  const names = TARGETS[target];
  if (names === undefined) {
    throw new RangeError(`Cannot build a wheel for "${target}": the targets are ${Object.keys(TARGETS).join(", ")}`);
  }
  return await inWorkshop(async (work) => {
    const root = join(work, "python");
    await cp(join(REPO, "languages", "python"), root, { recursive: true, dereference: true });
    await mkdir(join(root, "bin"));
    await compileWithBun([target], join(root, "bin"));
    await writeFile(join(root, "LICENSES-command-line.txt"), `${RUNTIME}\n${licencesIn("deno.lock")}`);
    const built = join(work, "built");
    const args = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", built, root];
    await run("python3", args, work, { ...process.env, FORKSTACK_WHEEL_PLATFORM: names.pip });
    const [wheel] = await readdir(built);
    await mkdir(directory, { recursive: true });
    await cp(join(built, wheel!), join(directory, wheel!));
    return join(directory, wheel!);
  });
}
