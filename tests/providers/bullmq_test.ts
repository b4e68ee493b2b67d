import assert from "node:assert/strict";
import { type Job, Queue, QueueEvents, Worker } from "npm:bullmq@6.7.0";
import { Redis } from "npm:ioredis@6.0.0";
import type { Context, Fork } from "../../core/provider.ts";
import type { Secret } from "../../core/secret.ts";
import * as v from "npm:valibot@1.5.0";
import provider from "../../providers/queue/bullmq.ts";
import { testProvider } from "../conformance.ts";
import { Server, WHY_NO_SERVER } from "../emulators/redis_server.ts";
import { testIf } from "../helpers.ts";
import { CANARY, contextOf, emulator, targetOf } from "./_redis.ts";

const server = WHY_NO_SERVER === undefined ? await Server.start() : undefined;
const options = v.parse(provider.options as v.GenericSchema<unknown, never>, {});

if (server !== undefined) {
  const seed = async ({ admin }: Server) => void await admin.hset("myapp:mail:meta", "version", CANARY);
  testProvider({ provider, emulator: emulator(server, provider, options, { seed, prefix: (name) => `${name}:` }) });
}

/** Runs a test on an empty server; BullMQ's own timers outlive its close(). */
function onServer(name: string, fn: (server: Server, context: Context) => Promise<void>): void {
  testIf(WHY_NO_SERVER, `bullmq: ${name}`, async () => {
    await server!.wipe();
    await fn(server!, contextOf(server!.url()));
    await server!.wipe();
  }, { sanitizeOps: false, sanitizeResources: false });
}

/** What an application of this environment has. */
async function appOf(
  context: Context,
  env: string,
): Promise<{ connection: Redis; prefix: string; close(): Promise<void> }> {
  const fork = await provider.create(context, targetOf("queue", options, env));
  const { QUEUE_URL, QUEUE_PREFIX } = await provider.outputs(context, fork, targetOf("queue", options, env));
  const connection = new Redis((QUEUE_URL as Secret).reveal(), {
    maxRetriesPerRequest: null,
    retryStrategy: () => null,
  });
  connection.on("error", () => {});
  return { connection, prefix: QUEUE_PREFIX as string, close: () => ended(connection) };
}

async function ended(client: Redis): Promise<void> {
  if (client.status === "end") return;
  const closed = new Promise((resolve) => client.once("end", resolve));
  client.disconnect();
  await closed;
}

onServer("workers of two environments at once never see each other's jobs", async (server, context) => {
  const own = server.client({ password: server.password });
  const shop = new Queue("mail", { connection: own, prefix: "shop" });
  await shop.addBulk(Array.from({ length: 50 }, (_, n) => ({ name: "send", data: { env: "prod", n } })));
  const seen: Record<string, string[]> = { alice: [], bob: [] };
  const done = [];
  for (const env of ["alice", "bob"]) {
    const { connection, prefix, close } = await appOf(context, env);
    const queue = new Queue("mail", { connection, prefix });
    const events = new QueueEvents("mail", { connection: connection.duplicate(), prefix });
    const { promise, resolve } = Promise.withResolvers<void>();
    const work = (job: Job) => {
      seen[env]!.push(`${job.data.env} ${job.data.n}`);
      if (seen[env]!.length === 200) resolve();
      return Promise.resolve(job.data.n);
    };
    const worker = new Worker("mail", work, { connection, prefix, concurrency: 8 });
    done.push({
      env,
      queue,
      promise,
      async close() {
        await worker.close();
        await events.close();
        await queue.close();
        await close();
      },
    });
  }
  await Promise.all(
    done.map(({ env, queue }) =>
      queue.addBulk(
        Array.from(
          { length: 200 },
          (_, n) => ({ name: "send", data: { env, n }, opts: { delay: n % 3, priority: n % 5 } }),
        ),
      )
    ),
  );
  await Promise.all(done.map(({ promise }) => promise));
  for (const env of ["alice", "bob"]) {
    const wanted = Array.from({ length: 200 }, (_, n) => `${env} ${n}`).sort();
    assert.deepEqual(seen[env]!.sort(), wanted, "each job once, and none of another's");
  }
  assert.equal(await shop.getWaitingCount(), 50, "the parent's jobs wait where they were");
  for (const { close } of done) await close();
  await shop.close();
  await ended(own);
});

onServer(
  "delete() takes all queues of the prefix, under running workers, and nothing else",
  async (server, context) => {
    const neighbours = ["shop", "shop-alice2", "shop-alic", "shop-alice.cache"];
    const own = server.client({ password: server.password });
    for (const prefix of neighbours) {
      const queue = new Queue("mail", { connection: own, prefix });
      await queue.add("send", { prefix });
      await queue.close();
    }
    const earlier = await server.things();
    const { connection, prefix, close } = await appOf(context, "alice");
    for (const name of ["mail", "video", "a*b?[c]"]) {
      const queue = new Queue(name, { connection, prefix });
      await queue.addBulk(
        Array.from({ length: 300 }, (_, n) => ({ name: "send", data: { n }, opts: { delay: n * 10 } })),
      );
      await queue.upsertJobScheduler("nightly", { pattern: "0 3 * * *" });
      await queue.close();
    }
    const worker = new Worker("mail", () => new Promise(() => {}), { connection, prefix, concurrency: 3 });
    worker.on("error", () => {});
    await new Promise<void>((resolve) => worker.once("active", () => resolve()));
    const { fork } = await provider.inspect(context, targetOf("queue", options, "alice")) as { fork: Fork };
    assert((await server.keys(0, `${prefix}:`)).size > 900);
    assert.equal(await provider.delete(context, fork, targetOf("queue", options, "alice")), "deleted");
    worker.close(true).catch(() => {}); // it waits for a connection that is gone
    await close();
    assert.deepEqual(await server.things(), earlier);
  },
);

onServer("an eviction policy that would lose jobs is a warning", async (server) => {
  const told: string[] = [];
  const context = contextOf(server.url(), { warn: (text) => void told.push(text) });
  await provider.create(context, targetOf("queue", options, "alice"));
  assert.deepEqual(told, []);
  await server.admin.config("SET", "maxmemory-policy", "allkeys-lru");
  await provider.create(context, targetOf("queue", options, "bob"));
  await server.admin.config("SET", "maxmemory-policy", "noeviction");
  assert.match(told.join(), /^the server of queue may lose jobs: its maxmemory-policy is "allkeys-lru"/);
});

onServer("a base environment has the prefix that is told, or its name", async (server, context) => {
  for (const prefix of ["shop", "bull", "acme-jobs"]) {
    const held = { id: prefix, name: prefix };
    const outputs = await provider.outputs(context, held, targetOf("queue", options, "prod"));
    assert.deepEqual([outputs.QUEUE_PREFIX, (outputs.QUEUE_URL as Secret).reveal()], [prefix, server.url()]);
  }
});

for (
  const [what, code] of [
    ["whose text is no record", "-- mine"],
    ["whose record has no mark", '-- {"name":"shop-alice","user":"shop-alice.queue"}'],
    ["whose text is empty", "--"],
  ] as const
) {
  onServer(
    `a function library ${what}, and that has the name of a fork's user, is FOREIGN`,
    async (server, context) => {
      const callback = "callback=function() return 1 end";
      const text =
        `#!lua name=theirs\n${code}\nredis.register_function{function_name='forkstack_user_shop_alice_OF_queue', ${callback}}`;
      await server.admin.call("FUNCTION", "LOAD", text);
      const earlier = await server.things();
      const target = targetOf("queue", options, "alice");
      const seen = await provider.inspect(context, target);
      assert(seen.state === "foreign");
      assert.deepEqual([seen.id, /library "theirs" is not marked/.test(seen.reason)], ["library:theirs", true]);
      await assert.rejects(provider.create(context, target), { code: "FOREIGN" });
      const fork = { id: seen.id, name: target.name, marker: target.marker, createdAt: target.begunAt };
      assert.equal(await provider.delete(context, fork, target), "absent");
      assert.deepEqual(await server.things(), earlier);
    },
  );
}
