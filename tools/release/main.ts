/**
 * `deno task release`: makes everything that a release publishes, in `dist/release`, and publishes nothing. That is done
 * by `.github/workflows/release.yml`, when a tag `v<version>` is pushed.
 *
 *     deno task release --dry-run           # for this machine alone, and asks the registries what they would say
 *     deno task release --download <url>    # for all machines; the address under which the files will lie
 */
import { createHash } from "node:crypto";
import { chmod, copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import config from "../../deno.json" with { type: "json" };
import { compileWithBun, HERE, TARGETS } from "../build/compile.ts";
import { packCreate } from "../build/create.ts";
import { pack } from "../build/pack.ts";
import { packWheel } from "../build/wheel.ts";
import { DIST, REPO, run } from "../build/_tools.ts";
import { licencesIn } from "../dependencies.ts";

const RELEASE = join(DIST, "release");

const { values } = parseArgs({
  options: { "dry-run": { type: "boolean", default: false }, download: { type: "string" } },
});
const isDry = values["dry-run"];
const download = values.download ?? "https://example.invalid/releases/latest/download";
if (!isDry && values.download === undefined) {
  throw new RangeError("Cannot make a release: --download names the address of its files; --dry-run needs none");
}

await assertNamed(config.version);
await rm(RELEASE, { recursive: true, force: true });
await mkdir(RELEASE, { recursive: true });
const targets = isDry ? [HERE] : Object.keys(TARGETS);
await programs(targets);
const tarballs = [await pack(RELEASE), await packCreate(RELEASE)];
for (const target of targets) await packWheel(target, RELEASE);
await writeFile(join(RELEASE, "LICENSES.txt"), licencesIn("deno.lock"));
await copyFile(join(REPO, "LICENSE"), join(RELEASE, "LICENSE"));
await installer();
await sums();
if (isDry) {
  for (const tarball of tarballs) await run("npm", ["publish", "--dry-run", "--provenance=false", tarball], RELEASE);
  console.log("npm: it would be taken");
  await run(process.execPath, ["publish", "--dry-run", "--quiet", "--allow-dirty"], REPO);
  console.log("JSR: it would be taken");
}
for (const file of (await readdir(RELEASE)).sort()) console.log(join(RELEASE, file));

/** Refuses a version that the change log does not name, or that a tag contradicts. */
async function assertNamed(version: string): Promise<void> {
  const log = await readFile(join(REPO, "CHANGELOG.md"), "utf8");
  const tag = process.env.GITHUB_REF_TYPE === "tag" ? process.env.GITHUB_REF_NAME : undefined;
  if (tag !== undefined && tag !== `v${version}`) {
    throw new RangeError(`Cannot release ${tag}: deno.json has the version ${version}`);
  }
  const heading = new RegExp(`^## ${version.replaceAll(".", "\\.")}(,|$)`, "m");
  if (!heading.test(log)) {
    const text = `CHANGELOG.md has no heading "## ${version}"`;
    if (!isDry) throw new RangeError(`Cannot release ${version}: ${text}`);
    console.log(`Before the release: ${text}`);
  }
}

/** Compiles the program for each target, each under the name of its target. */
async function programs(targets: readonly string[]): Promise<void> {
  for (const target of targets) {
    const work = join(RELEASE, target);
    const [program] = await compileWithBun([target], work);
    const suffix = target.startsWith("windows-") ? ".exe" : "";
    await cp(program!, join(RELEASE, `forkstack-${target}${suffix}`));
    await rm(work, { recursive: true });
  }
}

/** The installer, with the address of this release's files. */
async function installer(): Promise<void> {
  const text = await readFile(join(REPO, "tools", "release", "install.sh"), "utf8");
  const path = join(RELEASE, "install.sh");
  await writeFile(path, text.replace("@DOWNLOAD@", download));
  await chmod(path, 0o755);
}

/** Writes SHA256SUMS in the form of `sha256sum`. */
async function sums(): Promise<void> {
  const lines: string[] = [];
  for (const file of (await readdir(RELEASE)).sort()) {
    const hash = createHash("sha256").update(await readFile(join(RELEASE, file))).digest("hex");
    lines.push(`${hash}  ${file}\n`);
  }
  await writeFile(join(RELEASE, "SHA256SUMS"), lines.join(""));
}
