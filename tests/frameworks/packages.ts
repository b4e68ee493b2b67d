/** Packages of npm and modules of Go for programs of tests, installed once for all runs on a machine. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { whyMissing } from "../tools.ts";

/** A directory with a project's packages; or why there is none. */
export type Installed = { readonly path: string } | { readonly reason: string };

const INSTALL_MS = 900_000; // a native part may be compiled

function installed(
  program: string,
  key: readonly string[],
  install: (path: string) => { readonly status: number | null; readonly stderr: string },
): Installed {
  const why = whyMissing(program);
  if (why !== undefined) return { reason: why };
  const { stdout: version } = spawnSync(program, [program === "go" ? "version" : "--version"], { encoding: "utf8" });
  const hash = createHash("sha256").update(JSON.stringify([version, key])).digest("hex").slice(0, 16);
  const path = join(tmpdir(), `forkstack-${program}-${hash}`);
  if (existsSync(path)) return { path };
  const making = mkdtempSync(`${path}-`);
  const { status, stderr } = install(making);
  if (status === 0 && !existsSync(path)) renameSync(making, path);
  else rmSync(making, { recursive: true });
  if (existsSync(path)) return { path };
  return { reason: `${program} can't install ${key.join(", ")}: ${stderr.trim().split("\n")[0]}` };
}

/** Installs packages of npm, e.g. `"kysely@0.28.19"`, for the `node` of PATH; the directory has its `node_modules`. */
export function npmPackages(...packages: readonly string[]): Installed {
  return installed("npm", [Deno.build.arch, ...packages], (cwd) => {
    writeFileSync(join(cwd, "package.json"), '{"private": true}\n');
    const args = ["install", "--no-audit", "--no-fund", "--loglevel=error", ...packages];
    return spawnSync("npm", args, { cwd, encoding: "utf8", timeout: INSTALL_MS });
  });
}

/** Downloads modules of Go, e.g. `"modernc.org/sqlite@v1.34.5"`; the directory has `go.mod` and `go.sum` for them. */
export function goModules(...modules: readonly string[]): Installed {
  return installed("go", modules, (cwd) => {
    writeFileSync(join(cwd, "go.mod"), "module shop\n\ngo 1.21\n");
    return spawnSync("go", ["get", ...modules], { cwd, encoding: "utf8", timeout: INSTALL_MS });
  });
}
