/**
 * `deno task pack`: packages of forkstack for the registries; prints the path of the one that it made.
 *
 *     deno task pack                        # for npm
 *     deno task pack --python               # for PyPI, for this machine; or for one that is named:
 *     deno task pack --python darwin-arm64
 *     deno task pack --create               # for npm create forkstack
 */
import process from "node:process";
import { packCreate } from "./create.ts";
import { pack } from "./pack.ts";
import { packWheel } from "./wheel.ts";

const [kind, target] = process.argv.slice(2);
if (kind === "--python") console.log(await packWheel(target));
else console.log(await (kind === "--create" ? packCreate() : pack()));
