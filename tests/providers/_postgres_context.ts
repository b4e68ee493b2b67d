/** The context of a `postgres` provider at a real server; starts none. */
import type { Context, Target } from "../../core/provider.ts";
import type provider from "../../providers/database/postgres.ts";
import { shopContext } from "./_shop.ts";

export type Options = Target<Parameters<typeof provider.create>[1]["options"]>["options"];

/** The provider's, with the URL of the superuser or another. */
export function contextOf(url: string, changed: Partial<Context> = {}): Context {
  return shopContext("POSTGRES_URL", url, changed);
}
