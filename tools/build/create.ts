/**
 * The package by which `npm create forkstack` begins a project, as dist/create-forkstack-<version>.tgz: `init` of the
 * package forkstack of the same version, in a directory that may be named.
 */
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { DIST, inWorkshop, REPO, run } from "./_tools.ts";

const README = `# create-forkstack

    npm create forkstack my-app -- --template python
    cd my-app

begins a project with an isolated copy of its stack for each environment. The templates are music (Deno), python
(FastAPI), django and go; without one, a project that is there is set up. See the package forkstack.
`;

/** Packs, and returns the tarball's path. */
export async function packCreate(directory: string = DIST): Promise<string> {
  await mkdir(directory, { recursive: true });
  const { version, license } = config;
  const manifest = {
    name: "create-forkstack",
    version,
    description: "Begins a project with an isolated copy of its stack for each environment",
    license,
    type: "module",
    engines: { node: ">=22.16" },
    bin: { "create-forkstack": "./create.js" },
    dependencies: { forkstack: version },
  };
  return await inWorkshop(async (work) => {
    await copyFile(join(REPO, "tools", "build", "create_bin.js"), join(work, "create.js"));
    await copyFile(join(REPO, "LICENSE"), join(work, "LICENSE"));
    await writeFile(join(work, "README.md"), README);
    await writeFile(join(work, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
    const told = await run("npm", ["pack", "--json", "--pack-destination", directory], work);
    return join(directory, JSON.parse(told)[0].filename);
  });
}
