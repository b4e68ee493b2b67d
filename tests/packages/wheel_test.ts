/**
 * The wheel of `deno task pack --python` (docs/languages/python.md), installed without a network; at full size, since it
 * holds the compiled program.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { packWheel } from "../../tools/build/wheel.ts";
import { HERE, TARGETS } from "../../tools/build/compile.ts";
import { namedIn } from "../../tools/dependencies.ts";
import config from "../../deno.json" with { type: "json" };
import { testIf } from "../helpers.ts";
import { type Project, type Ran, run, temporaryProject } from "../runtime_helpers.ts";
import { SIZE } from "../sizes.ts";
import { whyMissing } from "../tools.ts";

const OFFLINE = { HTTP_PROXY: "http://127.0.0.1:9", HTTPS_PROXY: "http://127.0.0.1:9", NO_PROXY: "" };

function succeeds({ code, stdout, stderr }: Ran): string {
  assert.equal(code, 0, stdout + stderr);
  return stdout;
}

/** The directory of the installed package's metadata. */
function metadata(): string {
  const [python] = readdirSync(join(venv, "lib"));
  return join(venv, "lib", python!, "site-packages", `forkstack_env-${config.version}.dist-info`);
}

/** The newest version of glibc that a program asks for, e.g. `17` of 2.17. */
function glibcOf(program: string): number {
  const asked = succeeds(run(["readelf", "--version-info", "--wide", program])).matchAll(/GLIBC_2\.(\d+)/g);
  return Math.max(...Array.from(asked, ([, minor]) => Number(minor)));
}

let built: Project;
let wheel: string;
let venv: string;

const program = (name: string) => join(venv, "bin", name);

const why = whyMissing("python3");

if (SIZE === "full") {
  Deno.test.beforeAll(async () => {
    built = temporaryProject();
    venv = join(built.path, "my venv");
    if (why !== undefined) return;
    wheel = await packWheel(undefined, built.path);
    succeeds(run(["python3", "-m", "venv", venv]));
    succeeds(run([program("pip"), "install", "-q", "--no-index", wheel], { env: OFFLINE }));
  });

  Deno.test.afterAll(() => built?.[Symbol.dispose]());

  testIf(why, "the wheel's name says for which machine it is, and its program runs on what it says", () => {
    const { pip } = TARGETS[HERE]!;
    assert.equal(basename(wheel), `forkstack_env-${config.version}-py3-none-${pip}.whl`);
    const glibc = /^manylinux_2_(\d+)_/.exec(pip);
    if (glibc !== null && whyMissing("readelf") === undefined) {
      assert(glibcOf(program("forkstack")) <= Number(glibc[1]), `it asks for 2.${glibcOf(program("forkstack"))}`);
    }
    assert(statSync(wheel).size < 100e6, "PyPI takes 100 MB");
  });

  testIf(why, "the wheel has its licences inside, those of what its program holds too", () => {
    const licences = join(metadata(), "licenses");
    assert.deepEqual(readdirSync(licences).sort(), ["LICENSE", "LICENSES-command-line.txt"]);
    const held = readFileSync(join(licences, "LICENSES-command-line.txt"), "utf8");
    for (const name of ["bun", ...namedIn("deno.lock").map((one) => one.name)]) {
      assert.match(held, new RegExp(`(^|[ ,])${name} \\d+\\.\\d+\\.\\d+`, "m"), name);
    }
  });

  testIf(why, "the wheel makes, lists and deletes an environment, with no other program in PATH", () => {
    using at = temporaryProject({ "forkstack.json": '{"project": "shop"}' });
    const env = { PATH: "/nowhere", ...OFFLINE };
    const forkstack = (...args: string[]) => succeeds(run([program("forkstack"), ...args], { cwd: at.path, env }));
    const python = (text: string) => succeeds(run([program("python"), "-c", text], { cwd: at.path, env })).trim();
    assert.equal(forkstack("--version"), `${config.version}\n`);
    assert.match(forkstack("new", "alice"), /^alice is ready: 4 resources/);
    assert.match(forkstack("list"), /^\* {2}alice {2}ready/m);
    const path = python("import forkstack; print(forkstack.current_env(), forkstack.database_path())");
    assert.match(path, /^alice \/.*\/shop-alice\.db$/);
    // Secrets are set by the command line, which is beside this Python.
    const set = python("import env_utils; print(env_utils.set_secret('KEY', 'v'), env_utils.get_secret('KEY'))");
    assert.equal(set, "True v");
    assert.match(forkstack("delete", "alice", "--yes"), /^Deleted/);
    assert(!existsSync(path.slice("alice ".length)));
  });
}

Deno.test("a wheel for a target that nobody knows is an error with those that there are", async () => {
  await assert.rejects(packWheel("windows-arm64"), /targets are linux-x64, .*windows-x64/);
});
