/** Keys of all types, for the tests and the benchmark. */
import type { Redis } from "npm:ioredis@6.0.0";

/** The commands that make the n-th key; every second one expires. */
export function commandsOf(n: number, prefix: string): string[][] {
  const types = ["string", "list", "hash", "set", "zset", "stream", "hll", "bitmap", "geo", "long"] as const;
  const type = types[n % types.length]!;
  const key = `${prefix}${type}:${n}`;
  const values = Array.from({ length: type === "long" && n % 1_000 === 9 ? 600 : 5 }, (_, at) => `value ${n} ${at}`);
  const made: Record<typeof type, string[][]> = {
    string: [["SET", key, `value ${n} é\r\n`]],
    list: [["RPUSH", key, ...values]],
    hash: [["HSET", key, ...values.flatMap((value, at) => [`field ${at}`, value])]],
    set: [["SADD", key, ...values]],
    zset: [["ZADD", key, ...values.flatMap((value, at) => [String(at / 3), value])]],
    stream: [
      ...values.map((value, at) => ["XADD", key, `${at + 1}-1`, "field", value]),
      ["XGROUP", "CREATE", key, "group", "2-1"],
      ["XREADGROUP", "GROUP", "group", "consumer", "COUNT", "2", "STREAMS", key, ">"],
    ],
    hll: [["PFADD", key, ...values]],
    bitmap: [["SETBIT", key, String(n % 4_096), "1"]],
    geo: [["GEOADD", key, "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania"]],
    long: [["HSET", key, ...values.flatMap((value, at) => [`field ${at}`, value.repeat(3)])]],
  };
  return [...made[type], ...(n % 2 === 0 ? [] : [["PEXPIREAT", key, String(4_000_000_000_000 + n)]])];
}

/** Makes so many keys in the client's logical database. */
export async function seedKeys(client: Redis, count: number, prefix: string): Promise<void> {
  for (let begin = 0; begin < count; begin += 2_000) {
    const pipeline = client.pipeline();
    for (let n = begin; n < Math.min(count, begin + 2_000); n++) {
      for (const [name, ...args] of commandsOf(n, prefix)) pipeline.call(name!, ...args);
    }
    for (const [error] of await pipeline.exec() ?? []) if (error) throw error;
  }
}
