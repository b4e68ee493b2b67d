/**
 * `deno task compile`: forkstack as one file with everything in it, for this machine or for those that are named:
 *
 *     deno task compile
 *     deno task compile linux-x64 darwin-arm64 windows-x64
 *     deno task compile --bun
 *
 * Deno's compiler fetches a base for each target from dl.deno.land; Bun carries the one of its own machine, and gets
 * those of others from npm. With Bun the npm package is compiled, with the packages that deno.lock names.
 */
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { arch, platform } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { unpack } from "./pack.ts";
import { BUN, DIST, inWorkshop, REPO, run } from "./_tools.ts";

/** Names of each target for Deno's compiler, for Bun's, and for pip: the oldest system that Bun's programs run on. */
export const TARGETS: Readonly<
  Record<string, { readonly deno: string; readonly bun: string; readonly pip: string }>
> = {
  "linux-x64": { deno: "x86_64-unknown-linux-gnu", bun: "bun-linux-x64", pip: "manylinux_2_17_x86_64" },
  "linux-arm64": { deno: "aarch64-unknown-linux-gnu", bun: "bun-linux-arm64", pip: "manylinux_2_17_aarch64" },
  "darwin-x64": { deno: "x86_64-apple-darwin", bun: "bun-darwin-x64", pip: "macosx_13_0_x86_64" },
  "darwin-arm64": { deno: "aarch64-apple-darwin", bun: "bun-darwin-arm64", pip: "macosx_13_0_arm64" },
  "windows-x64": { deno: "x86_64-pc-windows-msvc", bun: "bun-windows-x64", pip: "win_amd64" },
};

/** The target of this machine. */
export const HERE: string = `${platform() === "win32" ? "windows" : platform()}-${arch()}`;

/** Compiles with Bun; returns the path of the program for each target. */
export async function compileWithBun(targets: readonly string[] = [HERE], directory: string = DIST): Promise<string[]> {
  return await inWorkshop(async (work) => {
    const root = await unpack(work);
    // Deno installs: at the versions of its lock file, out of its cache.
    await writeFile(join(root, "deno.json"), '{ "nodeModulesDir": "auto" }');
    await copyFile(join(REPO, "deno.lock"), join(root, "deno.lock"));
    await run(process.execPath, ["install", "--quiet"], root);
    const programs: string[] = [];
    for (const target of targets) {
      const program = programOf(directory, target, targets);
      await runBun([
        ...["build", "--compile", `--target=${TARGETS[target].bun}`, "--outfile", program],
        // Each provider is a part of its own, read when it is needed, and translated beforehand: it starts in half the time.
        ...["--splitting", "--bytecode", "--format=esm", "--minify-whitespace", "--minify-syntax"],
        // Variables come from where forkstack reads them, and never from the files of the directory it is called in.
        ...["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig", "bin.js"],
      ], root);
      programs.push(program);
    }
    return programs;
  });
}

/** Runs Bun from PATH, or else by npx. */
async function runBun(args: readonly string[], cwd: string): Promise<void> {
  try {
    await run("bun", args, cwd);
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
    await run("npx", ["-y", BUN, ...args], cwd);
  }
}

/** Compiles with Deno. The program has all permissions, as any program of the system. */
async function compileWithDeno(targets: readonly string[]): Promise<string[]> {
  const programs: string[] = [];
  for (const target of targets) {
    const program = programOf(DIST, target, targets);
    const options = ["--quiet", "--no-check", "--allow-all", "--target", TARGETS[target].deno, "--output", program];
    await run(process.execPath, ["compile", ...options, "tools/build/bin.ts"], REPO);
    programs.push(program);
  }
  return programs;
}

/** Returns the program's path: `forkstack` for one target, `forkstack-linux-x64` and so on for several. */
function programOf(directory: string, target: string, targets: readonly string[]): string {
  const name = targets.length > 1 ? `forkstack-${target}` : "forkstack";
  return join(directory, target.startsWith("windows-") ? `${name}.exe` : name);
}

async function main(args: readonly string[]): Promise<number> {
  const withBun = args.includes("--bun");
  const named = args.filter((one) => one !== "--bun");
  const unknown = named.find((one) => !Object.hasOwn(TARGETS, one));
  if (unknown !== undefined) {
    console.error(`error: Cannot compile for "${unknown}": the targets are ${Object.keys(TARGETS).join(", ")}`);
    return 2;
  }
  const targets = named.length > 0 ? named : [HERE];
  await mkdir(DIST, { recursive: true });
  try {
    for (const program of withBun ? await compileWithBun(targets) : await compileWithDeno(targets)) {
      console.log(program);
    }
    return 0;
  } catch (error) {
    const said = (error as Error).message;
    const noBase = !withBun && /url \(https:\/\/dl\.deno\.land\//.test(said);
    console.error(
      `error: Cannot compile forkstack for ${targets.join(", ")}: ${
        noBase ? "the base program could not be fetched from dl.deno.land" : said
      }`,
    );
    if (/spawn npx ENOENT/.test(said)) console.error("  hint: Install Bun, or Node, whose npx fetches it");
    if (noBase) console.error("  hint: `deno task compile --bun` needs nothing from there");
    return 1;
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
