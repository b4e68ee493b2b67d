/**
 * A create() or a delete() in a process of its own, to be killed at any command:
 * `VALKEY_URL=... deno run _redis_child.ts create|delete <kind> <name> <target>`.
 */
import process from "node:process";
import type { Fork, Kind, Target } from "../../core/provider.ts";
import { PROVIDERS } from "../../providers/mod.ts";
import { contextOf } from "./_redis.ts";

const [action, kind, name, text] = process.argv.slice(2) as [string, Kind, string, string];
const { default: provider } = await PROVIDERS[kind][name]!();
const target = JSON.parse(text) as Target<unknown>;
const context = contextOf(process.env.VALKEY_URL!);
if (action === "create") await provider.create(context, target);
else await provider.delete(context, (await provider.inspect(context, target) as { fork: Fork }).fork, target);
