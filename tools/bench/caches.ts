/** Speed of forking the keys of a cache, compared with loading them and with copying them one by one. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as v from "npm:valibot@1.5.0";
import type { Fork } from "../../core/provider.ts";
import provider from "../../providers/cache/valkey.ts";
import { Server, WHY_NO_SERVER } from "../../tests/emulators/redis_server.ts";
import { commandsOf } from "../../tests/providers/_redis_keys.ts";
import { contextOf, targetOf } from "../../tests/providers/_redis.ts";
import { type Benchmark, median, shown } from "./measure.ts";

const COUNT = 100_000;
/** Keys that are copied one by one; each of the rest would take as long. */
const SAMPLE = 10_000;

/** Returns the commands in the format of `redis-cli --pipe`: https://valkey.io/topics/mass-insertion/ */
function protocol(): Uint8Array {
  const encoder = new TextEncoder();
  const parts = [];
  for (let n = 0; n < COUNT; n++) {
    for (const command of commandsOf(n, "")) {
      const words = command.map((word) => `$${encoder.encode(word).length}\r\n${word}\r\n`);
      parts.push(`*${command.length}\r\n${words.join("")}`);
    }
  }
  return encoder.encode(parts.join(""));
}

/** Loads commands into an empty logical database. */
async function pipe(server: Server, bytes: Uint8Array, database: number): Promise<void> {
  const args = ["-p", String(server.port), "-n", String(database), "--pipe"];
  const env = { PATH: Deno.env.get("PATH") ?? "", REDISCLI_AUTH: server.password };
  const child = spawn("redis-cli", args, { env, stdio: ["pipe", "ignore", "inherit"] });
  child.stdin.end(bytes);
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`redis-cli --pipe ended with ${code}`);
}

async function empty(server: Server, database: number): Promise<void> {
  await server.admin.select(database);
  await server.admin.flushdb("SYNC");
  await server.admin.select(0);
}

export const cacheBenchmarks: readonly Benchmark[] = [
  {
    name: "cache: 100,000 keys of all types",
    async run() {
      if (WHY_NO_SERVER !== undefined) return [{ name: this.name, reason: WHY_NO_SERVER }];
      await using server = await Server.start();
      const bytes = protocol();
      await pipe(server, bytes, 0);
      if (await server.admin.dbsize() !== COUNT) throw new Error("not all keys were loaded");
      const context = contextOf(server.url());
      const options = v.parse(provider.options as v.GenericSchema<unknown, never>, {});
      const target = targetOf("cache", options, "alice");
      const { admin } = server;
      const keys = (await admin.keys("*")).sort(() => Math.random() - 0.5); // of all types
      const other = server.client({ password: server.password, db: 9 });
      const times: Record<"fork" | "load" | "loop", number[]> = {
        fork: [],
        load: [],
        loop: [],
      };
      for (let round = -1; round < 5; round++) {
        const time = async (what: keyof typeof times, work: () => Promise<unknown>) => {
          const began = performance.now();
          await work();
          if (round >= 0) times[what].push(performance.now() - began); // the first round warms caches
          await empty(server, 9);
        };
        await time("fork", () => provider.create(context, target));
        await admin.select(1);
        if (await admin.dbsize() !== COUNT) throw new Error("not all keys were forked");
        await admin.select(0);
        await provider.delete(context, (await provider.inspect(context, target) as { fork: Fork }).fork, target);
        await time("load", () => pipe(server, bytes, 9));
        await time("loop", async () => {
          for (const key of keys.slice(0, SAMPLE)) {
            const [value, ttl] = [await admin.dumpBuffer(key), await admin.pttl(key)];
            await other.restore(key, Math.max(ttl, 0), value);
          }
        });
      }
      const ended = once(other, "end");
      other.disconnect();
      await ended;
      const [fork, load, loop] = Object.values(times).map(median) as [number, number, number];
      const rate = (ms: number, count = COUNT) => `${shown(ms)}, ${Math.round(count / ms)} keys/ms`;
      return [{
        name: "cache: 100,000 keys of all types forked, against loading them",
        ours: rate(fork),
        against: `redis-cli --pipe ${rate(load)}`,
        ratio: load / fork,
        limit: { atLeast: 0.3 },
      }, {
        name: "cache: 100,000 keys of all types forked, against DUMP, PTTL and RESTORE of one key at a time",
        ours: rate(fork),
        against: `${SAMPLE} keys: ${rate(loop, SAMPLE)}`,
        ratio: loop * (COUNT / SAMPLE) / fork,
        limit: { atLeast: 10 },
      }];
    },
  },
];
