/** Projects in other languages: a directory with a trying name, `forkstack` in PATH, and packages of PyPI. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, delimiter, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { REPO } from "../../tools/build/_tools.ts";
import { untilUp } from "../emulators/ports.ts";
import { baseVariables } from "../helpers.ts";
import { temporaryProject } from "../runtime_helpers.ts";
import { whyMissing } from "../tools.ts";

/** The directory of the Python reader's package, for PYTHONPATH. */
export const PYTHON_READER: string = fileURLToPath(new URL("../../languages/python/src", import.meta.url));

/** A directory with packages of PyPI, for PYTHONPATH; or why there is none. */
export type PythonPackages = { readonly path: string } | { readonly reason: string };

/**
 * Installs packages for the `python3` of PATH into a temporary directory, once for all runs on this machine.
 * `requirements` are arguments of `pip install`, e.g. `"django>=4.2"`.
 */
export function pythonPackages(...requirements: readonly string[]): PythonPackages {
  const why = whyMissing("python3");
  if (why !== undefined) return { reason: why };
  const { stdout: version } = spawnSync("python3", ["-VV"], { encoding: "utf8" });
  const key = createHash("sha256").update(JSON.stringify([version, requirements])).digest("hex").slice(0, 16);
  const path = join(tmpdir(), `forkstack-python-${key}`);
  if (existsSync(path)) return { path };
  const making = mkdtempSync(`${path}-`);
  const args = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", making, ...requirements];
  const { status, stderr } = spawnSync("python3", args, { encoding: "utf8" });
  if (status === 0 && !existsSync(path)) renameSync(making, path);
  else rmSync(making, { recursive: true });
  if (existsSync(path)) return { path };
  return { reason: `pip can't install ${requirements.join(", ")}: ${stderr.trim().split("\n").at(-1)}` };
}

/** The reason for lacking packages, if they are. */
export function whyWithout(packages: PythonPackages): string | undefined {
  return "reason" in packages ? packages.reason : undefined;
}

/** Variables by which Python finds modules in these directories, and their programs in PATH. */
export function pythonVariables(...directories: readonly string[]): Record<string, string> {
  const path = [...directories.map((one) => join(one, "bin")), process.env.PATH].join(delimiter);
  return { PATH: path, PYTHONPATH: directories.join(delimiter), PYTHONDONTWRITEBYTECODE: "1" };
}

const CLI = ["-q", "-c", join(REPO, "deno.json"), `--lock=${join(REPO, "deno.lock")}`, "--unstable-npm-lazy-caching"];

/** The command line as a program of its own, which may call servers of this machine. */
const FORKSTACK = `#!/bin/sh
case $1 in run) set=run ;; *) set=cli ;; esac
exec "${process.execPath}" run "-P=$set" --allow-net=127.0.0.1 ${CLI.map((one) => `"${one}"`).join(" ")} \\
  "${REPO}/cli.ts" "$@"
`;

/** A project in a directory whose name holds a space and signs that URLs encode, with `forkstack` in PATH. */
export class Shop implements Disposable {
  readonly #at = temporaryProject();
  readonly root: string;
  readonly #env: Record<string, string>;

  /** `from` is what forkstack.json holds besides the project, or the path of an example of this repository. */
  constructor(from: object | string, variables: Readonly<Record<string, string>> = {}) {
    const top = realpathSync(this.#at.path);
    this.root = join(top, "my shop #1");
    if (typeof from === "string") {
      // Sources only, as `init --template` copies them: somebody may have run the example where it stands.
      const isSource = (path: string) =>
        !/^(\.forkstack|\.current-env|\.env\.local.*|\.venv|__pycache__)$/.test(basename(path));
      cpSync(join(REPO, from), this.root, { recursive: true, dereference: true, filter: isSource });
    } else {
      mkdirSync(this.root);
      this.write("forkstack.json", JSON.stringify({ project: "shop", ...from }));
    }
    this.#at.write("bin/forkstack", FORKSTACK);
    chmodSync(join(top, "bin/forkstack"), 0o755);
    const path = [join(top, "bin"), variables.PATH ?? process.env.PATH].join(delimiter);
    this.#env = { ...baseVariables(), ...variables, PATH: path };
  }

  write(name: string, text: string): void {
    this.#at.write(join(basename(this.root), name), text);
  }

  /** Runs a program to its end, which is success, and returns its output. */
  run(program: string, ...args: readonly string[]): string {
    const { status, stdout, stderr } = spawnSync(program, args, { cwd: this.root, env: this.#env, encoding: "utf8" });
    assert.equal(status, 0, `${program} ${args.join(" ")}: ${stdout}${stderr}`);
    return stdout.trim();
  }

  python(text: string): string {
    return this.run("python3", "-c", text);
  }

  /** Starts a server, and waits until it answers; `await using` ends it. */
  async serve(ask: () => Promise<unknown>, program: string, ...args: readonly string[]): Promise<AsyncDisposable> {
    const child = spawn(program, args, { cwd: this.root, env: this.#env, stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => said += text);
    const closed = new Promise<void>((resolve) => child.on("close", () => resolve()).on("error", () => resolve()));
    const running = {
      async [Symbol.asyncDispose]() {
        child.kill("SIGTERM");
        await closed;
      },
    };
    try {
      await untilUp(child, ask);
    } catch (cause) {
      await running[Symbol.asyncDispose]();
      throw new Error(`${program} ${args.join(" ")} does not answer: ${said}`, { cause });
    }
    return running;
  }

  [Symbol.dispose](): void {
    this.#at[Symbol.dispose]();
  }
}
