/**
 * BullMQ on a Valkey or Redis server: a fork is a prefix of its own, with a user that reaches no other keys. It starts
 * without jobs: a job that were there twice would be done twice.
 *
 * - Prefix, connections, eviction: https://docs.bullmq.io/guide/connections, https://docs.bullmq.io/guide/going-to-production
 * - What the keys hold: https://docs.bullmq.io/guide/architecture
 */
import * as v from "npm:valibot@1.5.0";
import { type Copy, type Provider, Secret, type Verified } from "../../core/provider.ts";
import { fieldsOf } from "../_shared/redis_connection.ts";
import { type Filling, redisProvider } from "../_shared/redis_forks.ts";

const options = v.strictObject({
  /** The logical database of the queues' keys. @default {that of the URL} */
  database: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
});
type Options = v.InferOutput<typeof options>;

const provider: Provider<Options> = redisProvider<Options>({
  name: "bullmq",
  kind: "queue",
  title: "BullMQ on Valkey or Redis",
  page: "queues.md#bullmq",
  copy: "namespace",
  parentMayBeAbsent: true,
  isCopied: () => false,
  variables: ["BULLMQ_URL", "VALKEY_URL"],
  options,
  /** The prefix of the queues, e.g. `"bull"`. */
  baseSchema: v.pipe(v.string(), v.regex(/^[^:]+$/, "must be a prefix without colons")),
  place: (login, { options }, name) => ({ database: options.database ?? login.database, prefix: `${name}:` }),
  base: (login, { options }, name) => ({
    database: options.database ?? login.database,
    prefix: `${name}:`,
  }),
  rules: () => ["-scan", "-randomkey", "-dbsize"],
  fill,
  gives: {
    QUEUE_URL: { isSecret: true, isIdentity: true },
    QUEUE_PREFIX: { isSecret: false, isIdentity: true },
  },
  outputs: (url, { prefix }) => ({ QUEUE_URL: new Secret(url), QUEUE_PREFIX: prefix!.slice(0, -1) }),
});
export default provider;

/** Servers and clients of its tests, beside its emulator. */
export const verified: Verified = { servers: ["Redis"], clients: ["bullmq"] };

/** Example of a credential that is a URL, by its variable. */
export const examples: Readonly<Record<string, string>> = { BULLMQ_URL: "redis://admin@queue.example:6379" };

/** Copies no jobs; warns of a server that would lose the fork's future jobs. */
async function fill({ context, connection, target }: Filling<Options>): Promise<Copy> {
  const policy = fieldsOf(await connection.send("INFO", "memory")).get("maxmemory_policy");
  if (policy !== "noeviction") {
    context.warn(
      `the server of ${target.resource} may lose jobs: its maxmemory-policy is "${policy}", and must be "noeviction"`,
    );
  }
  return "empty";
}
