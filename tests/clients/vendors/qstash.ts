/** The vendor's client. An environment has what is called `<name>.…`; a person deletes each of these. */
import assert from "node:assert/strict";
import { type ClientCase, given } from "../_client.ts";

export const clients: readonly ClientCase[] = [{
  client: "@upstash/qstash@2.12.0",
  nameOf: (env) => `shop-${env}`,
  assertShown(shown) {
    const { queues, hooks, schedules } = shown as Record<string, Record<string, unknown>[]>;
    assert.deepEqual(queues!.map(({ parallelism, paused }) => [parallelism, paused]), [[3, false], [1, true]]);
    assert.deepEqual(hooks!.map(({ url }) => url), [
      "https://alice.shop.example/a?x=1",
      "https://alice.shop.example/b",
    ]);
    assert.deepEqual(schedules!.map(({ isPaused }) => isPaused), [true, true]);
  },
  async open(ready) {
    const { Client } = await import("npm:@upstash/qstash@2.12.0");
    const client = new Client({ baseUrl: given(ready, "endpoint"), token: given(ready, "QSTASH_TOKEN") });
    const prefixOf = (name: string) => name.split(/[.]|_forkstack-/)[0]!;
    const of = <One>(prefix: string, all: readonly One[], nameOf: (one: One) => string) =>
      all.filter((one) => prefixOf(nameOf(one)) === prefix);
    const queues = async () => await client.queue().list();
    const groups = async () => await client.urlGroups.list();
    const schedules = async () => await client.schedules.list();
    return {
      names: async () => [...new Set((await queues()).map(({ name }) => prefixOf(name)))],
      async show(name) {
        const hooks = of(name, await groups(), (one) => one.name).flatMap(({ endpoints }) => endpoints);
        const own = of(name, await queues(), (one) => one.name).filter((one) => !one.name.includes("_"));
        return { queues: own, hooks, schedules: of(name, await schedules(), ({ scheduleId }) => scheduleId) };
      },
      create: async (name) => await client.queue({ queueName: `${name}.emails` }).upsert({ parallelism: 1 }),
      async remove(prefix) {
        for (const { scheduleId } of of(prefix, await schedules(), (one) => one.scheduleId)) {
          await client.schedules.delete(scheduleId);
        }
        for (const { name } of of(prefix, await groups(), (one) => one.name)) await client.urlGroups.delete(name);
        for (const { name } of of(prefix, await queues(), (one) => one.name)) {
          await client.queue({ queueName: name }).delete();
        }
      },
    };
  },
}];
