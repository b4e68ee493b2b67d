/** A vendor's own client as a person uses it beside forkstack, and how its programs are run. */
import assert from "node:assert/strict";
import { delimiter, dirname } from "node:path";
import process from "node:process";
import { type Ended, runCommand } from "../cli/run.ts";
import type { Ready } from "../cli/permission_cases/_case.ts";

/** The acts of a person with the client, which knows the vendor's address and key, and nothing of forkstack. */
export interface VendorClient {
  /** Names of all that stands, as the client lists them. */
  names(): Promise<readonly string[]>;
  /** Shows one, as the client tells it. */
  show(name: string): Promise<unknown>;
  create(name: string): Promise<unknown>;
  remove(name: string): Promise<unknown>;
  rename?(name: string, to: string): Promise<unknown>;
}

/** A client of a provider's vendor; a file of vendors/ has the provider's name, and exports them as `clients`. */
export interface ClientCase {
  /** Package and version, e.g. `"neonctl@5.0.1"`. */
  readonly client: string;
  /** True if each call is a process of its own, which takes seconds. */
  readonly isProgram?: boolean;
  /** The vendor's name of an environment's fork. */
  readonly nameOf: (env: string) => string;
  /** Checks what the client shows of alice's fork: `assert` throws. */
  readonly assertShown: (shown: unknown) => void;
  /** True if a fork that the client renamed is left, and told: its vendor's id alone says that it was ours. */
  readonly leavesRenamed?: boolean;
  /** Connects the client to the vendor; `home` is an empty directory. */
  open(ready: Ready, home: string): Promise<VendorClient>;
}

/** An option of the stack, or a credential. */
export function given({ options = {}, env = {} }: Ready, name: string): string {
  const found = { ...options, ...env }[name] as string | undefined;
  assert(found !== undefined, `there is no ${name}`);
  return found;
}

/**
 * A program of npm packages, installed by npx, which keeps them in the cache of npm. It runs in `home`; `node` itself runs
 * beside the packages, so that a script imports them.
 */
export async function program(
  name: string,
  packages: readonly string[],
  home: string,
  env: Readonly<Record<string, string>>,
) {
  const wanted = [...packages, "node@22"].flatMap((one) => ["-p", one]);
  const installed = await runCommand(home, ["npx", "-y", ...wanted, "-c", `command -v ${name}`]);
  const path = installed.stdout.trim();
  assert(path.endsWith(`/${name}`), `${packages}: ${installed.stdout}${installed.stderr}`);
  const cwd = name === "node" ? dirname(dirname(dirname(path))) : home;
  const PATH = [dirname(path), process.env.PATH].join(delimiter); // with a Node of its own, where it needs one
  const own = { ...env, PATH, HOME: home, XDG_CONFIG_HOME: home, CI: "1", DO_NOT_TRACK: "1" };
  const run = async (...args: readonly string[]): Promise<Ended> =>
    await runCommand(cwd, [path, ...args], { env: own });
  return {
    run,
    /** Runs what must succeed; its output. */
    async ok(...args: readonly string[]): Promise<string> {
      const { code, stdout, stderr } = await run(...args);
      assert.equal(code, 0, `${name} ${args.join(" ")}: ${stdout}${stderr}`);
      return stdout;
    },
    // deno-lint-ignore no-explicit-any -- its shape is the client's
    async json(...args: readonly string[]): Promise<any> {
      return JSON.parse(await this.ok(...args));
    },
  };
}
