/**
 * The disk of the simulated machine, as far as the engine looks past `World.files`: there is no repository around the
 * project, no pointer and no file with a mode. A story is the same on every host, and no run waits for a disk.
 */
import * as plan from "../../core/lifecycle/plan.ts";
import * as didYouMean from "../../core/text/did_you_mean.ts";
import * as editDistance from "../../core/text/edit_distance.ts";
import * as leave from "../../core/workspace/leave.ts";
import { carry } from "../../core/system/lazy.ts";

/** Directory of the simulated project. */
export const ROOT = "/simulated";

const ABSENT = Object.assign(new Error("the simulated machine has no such file"), { code: "ENOENT" });

/** The project's own paths, and what a search upwards looks for above it. */
export function isSimulated(path: unknown): boolean {
  return typeof path === "string" && (path.startsWith(ROOT) || /^\/(\.git|forkstack\.json|\.current-env)$/.test(path));
}

for (const call of ["statSync", "lstatSync", "realPathSync"] as const) {
  const real = Deno[call] as (path: string | URL) => never;
  Deno[call] = (path: string | URL) => {
    if (isSimulated(path)) throw ABSENT;
    return real(path);
  };
}
// A directory made to try whether it can be: it can, and nothing comes to be on this host.
for (const call of ["mkdirSync", "removeSync"] as const) {
  const real = Deno[call] as (path: string | URL, options?: object) => void;
  Deno[call] = (path: string | URL, options?: object) => isSimulated(path) ? undefined : real(path, options);
}

/** Modules that the engine loads in the midst of its work; loading one takes true time, in which virtual time goes on. */
const MODULES: Readonly<Record<string, unknown>> = {
  "core/lifecycle/plan.ts": plan,
  "core/text/did_you_mean.ts": didYouMean,
  "core/text/edit_distance.ts": editDistance,
  "core/workspace/leave.ts": leave,
};

carry(
  new Proxy({}, {
    get(_, path: string) {
      const module = MODULES[path];
      if (module === undefined) throw new TypeError(`MODULES of machine.ts lacks "${path}"`);
      return () => Promise.resolve(module);
    },
  }),
);
