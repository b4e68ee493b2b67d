/** The context of a `postgres` provider at a real server; starts none. */
import { parseMarker } from "../../core/marker.ts";
import type { Context, Target } from "../../core/provider.ts";
import { Secret } from "../../core/secret.ts";
import type provider from "../../providers/database/postgres.ts";
import { realContext } from "../helpers.ts";

export type Options = Target<Parameters<typeof provider.create>[1]["options"]>["options"];

/** The provider's, with the URL of the superuser or another. */
export function contextOf(url: string, changed: Partial<Context> = {}): Context {
  return realContext({
    credentials: { POSTGRES_URL: new Secret(url) },
    markerOf: (name, note) => parseMarker(note, name),
    ...changed,
  });
}
