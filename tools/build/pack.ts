/**
 * The npm package, as dist/forkstack-<version>.tgz. `deno pack` translates the code and its types; this file does what it
 * has no setting for: the name and the command, exact versions, and syntax that Node 20 knows.
 */
import { transform } from "npm:esbuild@0.28.0";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import config from "../../deno.json" with { type: "json" };
import { DIST, inWorkshop, REPO, run } from "./_tools.ts";

const NAME = "forkstack"; // on JSR it is @forkstack/forkstack, where every name has a scope

/** The syntax of the oldest Node that mod.ts runs in: it has no `using`. */
const TARGET = "node20.16";

/** Packs, and returns the tarball's path. */
export async function pack(directory: string = DIST): Promise<string> {
  await mkdir(directory, { recursive: true });
  return await inWorkshop(async (work) => {
    const told = await run("npm", ["pack", "--json", "--pack-destination", directory], await unpack(work));
    return join(directory, JSON.parse(told)[0].filename);
  });
}

/** Writes the contents of the tarball to a directory, and returns its path. */
export async function unpack(work: string): Promise<string> {
  const raw = join(work, "raw.tgz");
  await run(process.execPath, ["pack", "--quiet", "--no-source-maps", "--allow-dirty", "--output", raw], REPO);
  await run("tar", ["-xzf", raw], work);
  const root = join(work, "package");
  for (const file of await readdir(root, { recursive: true })) {
    const path = join(root, file);
    if (!/\.(js|d\.ts)$/.test(file)) continue;
    const text = await readFile(path, "utf8");
    const isTypes = file.endsWith(".d.ts"); // with the documentation, whose examples import the package as it is called here
    await writeFile(path, isTypes ? text.replaceAll('from "./mod.ts"', `from "${NAME}"`) : await lowered(bare(text)));
  }
  const bin = (await readFile(join(REPO, "tools", "build", "bin.ts"), "utf8")).replaceAll('.ts"', '.js"'); // nothing imports it
  await writeFile(
    join(root, "bin.js"),
    await lowered(bin.replaceAll('"../../', '"./').replaceAll('"./binary', '"./tools/build/binary')),
  );
  for (const file of ["cli.d.ts", "tools/build/binary.d.ts", "CHANGELOG.md"]) await rm(join(root, file));
  await writeFile(join(root, "package.json"), `${JSON.stringify(await manifest(root), null, 2)}\n`);
  return root;
}

/** Returns code with packages named as in Node and Bun, also outside of `import`. */
function bare(code: string): string {
  return code.replace(/"npm:((?:@[\w.-]+\/)?[\w.-]+)@[\d.]+((?:\/[\w.-]+)?)"/g, '"$1$2"');
}

/** Returns code in syntax that `TARGET` knows, and without comments: the types have them. */
async function lowered(code: string): Promise<string> {
  const options = { loader: "ts", target: TARGET, format: "esm", legalComments: "none", charset: "utf8" } as const;
  return (await transform(code, options)).code;
}

async function manifest(root: string): Promise<unknown> {
  const written = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const { "./cli": _cli, "./binary": _binary, ...exports } = written.exports; // there they are `bin`
  return {
    name: NAME,
    version: config.version,
    description: "An isolated copy of the whole stack for each environment: database, bucket, secrets, cache, queue",
    keywords: ["environment", "fork", "branch", "preview", "database", "bucket", "secrets", "sqlite", "postgres"],
    license: config.license,
    type: "module",
    engines: { node: ">=20.16" },
    bin: { [NAME]: "./bin.js" },
    main: written.main,
    types: written.types,
    exports: { ...exports, "./package.json": "./package.json" },
    sideEffects: false,
    dependencies: await exactVersions(Object.keys(written.dependencies)),
  };
}

/** Returns packages with their versions in deno.lock. */
async function exactVersions(names: readonly string[]): Promise<Record<string, string>> {
  const { specifiers } = JSON.parse(await readFile(join(REPO, "deno.lock"), "utf8"));
  return Object.fromEntries(names.map((name) => {
    const specifier = Object.keys(specifiers).find((one) => one.startsWith(`npm:${name}@`));
    const version = specifier?.slice(`npm:${name}@`.length);
    if (version === undefined || !/^\d/.test(version)) throw new Error(`deno.lock names no exact version of ${name}`);
    return [name, version];
  }));
}
