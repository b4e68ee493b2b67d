/**
 * A create() in a process of its own, with permissions of its own: `deno run _mysql_child.ts <target>`, the URL by the
 * environment. It tells what the application gets.
 */
import process from "node:process";
import type { Target } from "../../core/provider.ts";
import { parseMarker } from "../../core/marker.ts";
import { Secret } from "../../core/secret.ts";
import provider from "../../providers/database/mysql.ts";
import { realContext } from "../helpers.ts";

const context = realContext({
  credentials: { MYSQL_URL: new Secret(process.env.MYSQL_URL!) },
  markerOf: (name, note) => parseMarker(note, name),
});
const target = JSON.parse(process.argv[2]!) as Target<Parameters<typeof provider.create>[1]["options"]>;
const fork = await provider.create(context, target);
const { DATABASE_URL } = await provider.outputs(context, fork, target);
console.log((DATABASE_URL as Secret).reveal());
