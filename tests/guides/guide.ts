/** Runs a guide as its reader does: in an empty directory, from the page's own lines. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { freePort } from "../emulators/ports.ts";
import { baseVariables } from "../helpers.ts";
import { type Project, run, temporaryProject } from "../runtime_helpers.ts";
import { isShown, type Step } from "./page.ts";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));

/** The caches of Deno and npm, whatever the home. */
const CACHES: Readonly<Record<string, string>> = {
  DENO_DIR: JSON.parse(run([process.execPath, "info", "--json"]).stdout).denoDir,
  npm_config_cache: run(["npm", "config", "get", "cache"]).stdout.trim(),
};

/** Things that a guide is run with besides its lines. */
export interface Reader {
  /** Directories of PATH before all others. */
  readonly path?: readonly string[];
  /** The package that `deno task pack` makes. */
  readonly tarball: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Text of the page that names this machine's servers, and what stands there for it. */
  readonly servers?: Readonly<Record<string, string>>;
}

/** A directory with a clone called `forkstack` and the guide's project beside it, and what was started there. */
export class Walk implements AsyncDisposable {
  readonly root: string;
  readonly #above: Project = temporaryProject();
  readonly #reader: Reader;
  readonly #state: string;
  readonly #ports = new Map<string, string>();
  /** By the port that the page has. */
  readonly #servers = new Map<number, { readonly child: Deno.ChildProcess; readonly said: Promise<string> }>();

  constructor(reader: Reader) {
    this.#reader = reader;
    this.#state = join(this.#above.path, "shell");
    const above = Deno.realPathSync(this.#above.path);
    this.root = join(above, "shop");
    mkdirSync(this.root);
    const clone = join(above, "forkstack");
    for (const directory of [join(clone, "dist"), join(above, "bin")]) mkdirSync(directory, { recursive: true });
    for (const name of readdirSync(REPOSITORY).filter((one) => !/^(\.|dist$)/.test(one))) {
      symlinkSync(join(REPOSITORY, name), join(clone, name));
    }
    symlinkSync(reader.tarball, join(clone, "dist", basename(reader.tarball)));
    // As the binary has them, it has all permissions.
    const deno = `deno run -q -A -c ${clone}/deno.json --lock=${clone}/deno.lock ${clone}/cli.ts`;
    writeFileSync(join(above, "bin", "forkstack"), `#!/bin/sh\nexec ${deno} "$@"\n`, { mode: 0o755 });
    writeFileSync(this.#state, `cd ${JSON.stringify(this.root)}\n`);
  }

  /** Does what the steps of a page say, and compares what is printed with what the page shows. */
  async follow(page: string, steps: readonly Step[]): Promise<void> {
    for (const step of steps) await this.#take(step, `${page}:${step.line}`);
  }

  async #take(step: Step, at: string): Promise<void> {
    const text = this.#here(step.text);
    if (step.kind === "file") {
      const path = join(this.root, step.path);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    } else if (step.kind === "server") {
      await this.#serve(step.text, step.port, at);
    } else if (step.kind === "commands") {
      const { code, printed } = await this.shell(text);
      assert.equal(code, step.exit, `${at}\n${text}\n${printed}`);
      if (step.output !== undefined && !isShown(this.#here(step.output), printed)) {
        assert.equal(printed, this.#here(step.output), at);
      }
    }
  }

  /** Runs lines in the reader's shell: directory and exported variables stay for the next. */
  async shell(lines: string): Promise<{ readonly code: number; readonly printed: string }> {
    const script = `. ${this.#state}; set -eu; trap 'code=$?; { export -p | grep -v PWD; echo "cd \\"$PWD\\""; }` +
      ` > ${this.#state}; exit $code' EXIT\n${lines}`;
    const { code, stdout } = await this.#command(script).output();
    return { code, printed: new TextDecoder().decode(stdout) };
  }

  /**
   * Starts what stays, in place of what was at that port, and waits until it answers. The page's port becomes a free
   * one, here and in all that follows.
   */
  async #serve(lines: string, port: number, at: string): Promise<void> {
    await this.#end(port);
    const free = String(freePort());
    this.#ports.set(String(port), free);
    const child = this.#command(`. ${this.#state}; export PORT=${free}\n${this.#here(lines)}`, ["setsid"]).spawn();
    const said = new Response(child.stdout).text();
    this.#servers.set(port, { child, said });
    let hasEnded = false;
    child.status.then(() => hasEnded = true);
    const deadline = Date.now() + 120_000;
    while (!await this.#answers(free)) {
      if (hasEnded || Date.now() > deadline) {
        await this.#end(port);
        assert.fail(`${at}: no server at port ${free}\n${await said}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  async #answers(port: string): Promise<boolean> {
    const answer = await fetch(`http://localhost:${port}/`).catch(() => undefined);
    await answer?.body?.cancel();
    return answer !== undefined;
  }

  /** Ends the server at a port of the page, with all that it started. */
  async #end(port: number): Promise<void> {
    const server = this.#servers.get(port);
    if (server === undefined) return;
    new Deno.Command("kill", { args: ["-9", "--", `-${server.child.pid}`], stderr: "null" }).outputSync();
    await Promise.all([server.child.status, server.said]);
    this.#servers.delete(port);
  }

  #command(script: string, [program, ...args]: readonly string[] = []): Deno.Command {
    const { PATH = "", ...variables } = baseVariables();
    const path = [...this.#reader.path ?? [], dirname(process.execPath), join(this.root, "../bin"), PATH].join(
      delimiter,
    );
    return new Deno.Command(program ?? "sh", {
      args: [...args, ...program === undefined ? [] : ["sh"], "-c", `exec 2>&1\n${script}`],
      clearEnv: true,
      env: {
        ...variables,
        ...CACHES,
        HOME: this.#above.path,
        PATH: path,
        NO_COLOR: "1",
        NEXT_TELEMETRY_DISABLED: "1",
        npm_config_audit: "false",
        npm_config_fund: "false",
        npm_config_loglevel: "error",
        npm_config_prefer_offline: "true",
        npm_config_update_notifier: "false",
        GIT_CONFIG_COUNT: "2",
        GIT_CONFIG_KEY_0: "user.name",
        GIT_CONFIG_VALUE_0: "alice",
        GIT_CONFIG_KEY_1: "user.email",
        GIT_CONFIG_VALUE_1: "alice@example.com",
        ...this.#reader.env,
      },
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    });
  }

  /** The page's text with the ports and servers of this machine. */
  #here(text: string): string {
    let here = text;
    for (const [named, real] of Object.entries(this.#reader.servers ?? {})) here = here.replaceAll(named, real);
    for (const [port, free] of this.#ports) here = here.replaceAll(new RegExp(`\\b${port}\\b`, "g"), free);
    return here;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const port of [...this.#servers.keys()]) await this.#end(port);
    this.#above[Symbol.dispose]();
  }
}
