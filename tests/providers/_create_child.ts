/**
 * A create() in a process of its own, to be killed at any moment: `deno run _create_child.ts <kind> <name> <target>`.
 */
import process from "node:process";
import type { Kind, Target } from "../../core/provider.ts";
import { PROVIDERS } from "../../providers/mod.ts";
import { realContext } from "../helpers.ts";

const [kind, name, target] = process.argv.slice(2) as [Kind, string, string];
const { default: provider } = await PROVIDERS[kind][name]!();
console.log("ready");
await provider.create(realContext(), JSON.parse(target) as Target<unknown>);
console.log("done");
