/** A create() in a process of its own, to be killed: `deno run _postgres_child.ts <target>`, the URL by the environment. */
import process from "node:process";
import provider from "../../providers/database/postgres.ts";
import { contextOf, type Options } from "./_postgres_context.ts";
import type { Target } from "../../core/provider.ts";

await provider.create(contextOf(process.env.POSTGRES_URL!), JSON.parse(process.argv[2]!) as Target<Options>);
