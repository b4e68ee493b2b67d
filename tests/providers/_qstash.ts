/** QStash's emulator as the conformance suite wants it: full. */
import { createHash } from "node:crypto";
import { resourceTitle } from "../../mod.ts";
import type { Emulator } from "../conformance.ts";
import { QStash } from "../emulators/qstash.ts";
import { serve } from "../emulators/serve.ts";
import type { Specification } from "../emulators/specification.ts";
import { apiWorld } from "./_vendor.ts";

const CANARY = "canary-in-the-parent-0123456789";
const titleOf = (env: string) => resourceTitle("queue", "myapp", env);

/** What prod has: queues, one of them paused, groups, schedules to a group and, where a path can hold it, to a URL. */
export function seed(qstash: QStash, name: string, hasUrls = true): void {
  qstash.addQueue(`${name}.emails`, 3);
  qstash.addQueue(`${name}.reports`, 1, true);
  qstash.addGroup(`${name}.hooks`, "https://prod.example/a?x=1", "https://prod.example/b");
  const settings = { method: "PUT", retries: 2, delay: 30, body: "nightly", queueName: `${name}.emails` };
  const header = { "Content-Type": ["text/plain"], "X-Key": [CANARY] };
  qstash.addSchedule(`${name}.fan-out`, "*/5 * * * *", `${name}.hooks`);
  if (hasUrls) {
    qstash.addSchedule(`${name}.nightly`, "0 3 * * *", "https://prod.example/run?all=1", { ...settings, header });
  }
  qstash.messages.set(`msg_${name}`, {
    messageId: `msg_${name}`,
    url: "https://prod.example",
    queueName: `${name}.emails`,
  });
}

/** Everything there is, by kind and name. */
export function thingsOf(qstash: QStash): Map<string, string> {
  const digest = (one: unknown) => createHash("sha256").update(JSON.stringify(one)).digest("hex");
  return new Map([
    ...[...qstash.queues.values()].map((one) => [`queue ${one.name}@${one.createdAt}`, digest(one)] as const),
    ...[...qstash.groups.values()].map((one) => [`group ${one.name}`, digest(one)] as const),
    ...[...qstash.schedules.values()].map((one) => [`schedule ${one.scheduleId}`, digest(one)] as const),
    ...[...qstash.messages.values()].map((one) => [`message ${one.messageId}`, digest(one)] as const),
  ]);
}

export function qstashEmulator(specification?: Specification): Emulator {
  return {
    worldsAtOnce: 4,
    async open(given) {
      const { credentials } = given;
      const qstash = new QStash({ tokens: { [credentials.QSTASH_TOKEN!]: true } });
      const server = await serve(() => qstash);
      seed(qstash, "myapp");
      for (const near of ["alic", "alice2", "alice-2"]) {
        qstash.addQueue(titleOf(near));
        qstash.addQueue(`${titleOf(near)}.emails`);
      }
      qstash.addGroup("unrelated", "https://x.example");
      return {
        ...apiWorld(server, given, specification),
        titleOf,
        things: () => Promise.resolve(thingsOf(qstash)),
        placeForeign(name, as) {
          qstash.addQueue(name, 2);
          if (!as?.isEmpty) {
            qstash.addQueue(`${name}.emails`, 2);
            qstash.messages.set(`msg_${name}`, { messageId: `msg_${name}`, url: "https://x.example", queueName: name });
          }
          return Promise.resolve();
        },
        canaries: () => [CANARY, qstash.keys.current, qstash.keys.next],
        close: server.close,
      };
    },
  };
}
