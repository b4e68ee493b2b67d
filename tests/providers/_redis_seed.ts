/** What the parent of a cache holds in tests. */
import type { Databases, Place } from "../emulators/redis_databases.ts";

export const CANARY = "canary-in-the-parent-0123456789";

/** Keys of all types, one that expires. */
export async function seed(real: Databases, { place }: { readonly place: Place }): Promise<void> {
  for (
    const command of [
      ["SET", "greeting", CANARY],
      ["SET", "session", "1", "PXAT", "4102444800000"],
      ["HSET", "user:1", "name", "Ada"],
      ["RPUSH", "list", "a", "b"],
      ["ZADD", "scores", "1", "x"],
      ["XADD", "stream", "1-1", "field", "value"],
    ]
  ) await real.send(place, ...command);
}
