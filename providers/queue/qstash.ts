/**
 * QStash: one account, in which names alone set environments apart. An environment has everything called `<name>.…`: a
 * dot is in no environment's name, so that prod's `shop.` is not alice's `shop-alice.`. A fork has the parent's queues,
 * URL groups and schedules, never its messages; its schedules are paused, and were at no moment about to fire.
 *
 * QStash stores no note of ours, and its create is an upsert, which does not tell whether something stood there. So an
 * environment is claimed by a queue whose name only its run knows, `<name>_forkstack-<key>`. It is ours by its name and
 * `createdAt`, which are on record, as is that the claim then saw nothing else there: only from then on the prefix is the
 * environment's. Nothing is ever deleted but by its whole name.
 *
 * - API: https://upstash.com/docs/qstash/api-reference
 * - Its specification: https://github.com/upstash/docs/blob/main/qstash/openapi.yaml
 */
import { createHash } from "node:crypto";
import * as v from "npm:valibot@1.5.0";
import { poll } from "../../core/system/poll.ts";
import {
  type Context,
  type Fork,
  type Held,
  type Marker,
  type Provider,
  Secret,
  type Verified,
} from "../../core/provider.ts";
import type { Inspection, Scope, Target } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { Api, endpointOption, hostMetadata, reaches, type VendorAnswer } from "../_shared/json_api.ts";
import { recorded } from "../_shared/recorded.ts";

const options = v.strictObject({
  /**
   * Host for a fork's URL groups and schedules in place of the parent's, e.g. `"https://{env}.shop.example"`. Without
   * it URL groups are not forked, and the schedules keep their destinations.
   */
  destination: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^https:\/\/[^\s/?#@]*\{env\}[^\s/?#@]*$/, "must be like https://{env}.shop.example"),
      hostMetadata(() => false), // what the parent's schedules carry is sent there
    ),
  ),
  /** The API of the account's region, e.g. `"https://qstash-us-east-1.upstash.io"`. Without TLS only on this machine. */
  endpoint: endpointOption("https://qstash.upstash.io", /^qstash-(us|eu)-[a-z]+-\d\.upstash\.io$/),
});
type Options = v.InferOutput<typeof options>;

const QUEUE = v.object({ name: v.string(), createdAt: v.number(), parallelism: v.number(), paused: v.boolean() });
type Queue = v.InferOutput<typeof QUEUE>;
const GROUP = v.object({
  name: v.string(),
  endpoints: v.optional(v.array(v.object({ name: v.optional(v.string()), url: v.string() })), []),
});
type Group = v.InferOutput<typeof GROUP>;
const SCHEDULE = v.object({
  scheduleId: v.string(),
  cron: v.string(),
  destination: v.string(),
  isPaused: v.boolean(),
  method: v.optional(v.string()),
  header: v.nullish(v.record(v.string(), v.array(v.string()))),
  body: v.optional(v.string()),
  retries: v.optional(v.number()),
  delay: v.optional(v.number()), // seconds
  callback: v.optional(v.string()),
  failureCallback: v.optional(v.string()),
  queueName: v.optional(v.string()),
});
type Schedule = v.InferOutput<typeof SCHEDULE>;
const KEYS = v.object({ current: v.pipe(v.string(), v.minLength(1)), next: v.pipe(v.string(), v.minLength(1)) });

const CREDENTIALS_HINT = "copy it from https://console.upstash.com/qstash, of the same region";

const provider: Provider<Options> = {
  name: "qstash",
  kind: "queue",
  title: "Upstash QStash",
  page: "queues.md#qstash",
  capabilities: {
    copy: "schema-only",
    ownership: "recorded",
    outputs: "rereadable",
    nativeExpiry: false,
    usage: "none",
    pointInTime: false,
    outputsExpire: false,
    parentMayBeAbsent: false,
    name: { maxLength: 60, pattern: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/ }, // no limit is documented
  },
  credentials: [{ variable: "QSTASH_TOKEN", required: true }],
  variables: {
    QUEUE_URL: { isSecret: false, isIdentity: false },
    QUEUE_PREFIX: { isSecret: false, isIdentity: true },
    QSTASH_URL: { isSecret: false, isIdentity: false },
    QSTASH_TOKEN: { isSecret: true, isIdentity: false },
    QSTASH_CURRENT_SIGNING_KEY: { isSecret: true, isIdentity: false },
    QSTASH_NEXT_SIGNING_KEY: { isSecret: true, isIdentity: false },
  },
  credentialsHint: CREDENTIALS_HINT,
  options,
  permissions: ({ endpoint }) => reaches([endpoint]),
  inspect,
  create,
  delete: remove,
  list: (context, scope) => records.list(context, scope),
  probe,
  outputs,
};
export default provider;

/** Servers and clients of its tests, beside its emulator. */
export const verified: Verified = { clients: ["@upstash/qstash"] };

const records = recorded<Queue, Options>({
  provider: "qstash",
  label: "QStash",
  async *all(context, scope) {
    yield* await all(context, scope, "queues", QUEUE);
  },
  idOf: (queue) => idOf(queue),
  namesOf: ({ name }) => [name.split(CLAIM)[0]!],
  forkOf,
  ownerOf: claimantOf,
});

async function inspect(context: Context, target: Target<Options>): Promise<Inspection> {
  const { name } = target;
  const own = ownedBy(name, await everything(context, target));
  const [first] = namesOf(own);
  if (first === undefined) return { state: "absent" };
  const found = await claimOf(context, target, own);
  if (found === undefined) {
    return { state: "foreign", id: idOf(own.anchors[0] ?? { name, createdAt: 0 }), reason: unknown(first) };
  }
  return records.inspection(target, found.anchor, found.marker);
}

const unknown = (name: string) => `"${name}" is there, and ${records.unknown}`;

/** Returns the queue that claims the name, with its owner. */
async function claimOf(
  context: Context,
  { name }: Target<Options>,
  { anchors }: Owned,
): Promise<{ anchor: Queue; marker: Marker } | undefined> {
  for (const anchor of anchors) {
    const marker = await claimantOf(context, name, anchor);
    if (marker !== undefined) return { anchor, marker };
  }
  return undefined;
}

/** Returns the owner of a claiming queue: its id is on record, or it has the name that our run recorded before. */
async function claimantOf(context: Context, name: string, queue: Queue): Promise<Marker | undefined> {
  const known = await context.recorded(name);
  const isKnown = (id: string) => id === idOf(queue) || (id === queue.name && id.startsWith(name + CLAIM));
  return known.find(({ id }) => isKnown(id))?.marker;
}

/** Creates a fork. Every step is an upsert that first looks whether it was done, so that a rerun completes it. */
async function create(context: Context, target: Target<Options>): Promise<Fork> {
  const { name } = target;
  const what = `make queue "${name}"`;
  const all = await everything(context, target);
  const parent = target.parent === undefined ? undefined : ownedBy(target.parent, all);
  if (parent !== undefined && namesOf(parent).length === 0) throw missing(target, target.parent!);
  const before = ownedBy(name, all);
  const [first] = namesOf(before);
  const earlier = await claimOf(context, target, before);
  if (first !== undefined && earlier === undefined) throw records.foreign(target, `${what}: ${unknown(first)}`);
  if (earlier !== undefined) records.assertWanted(target, earlier.marker, what);
  if (earlier === undefined) {
    await context.record("key", claimName(target));
    await putQueue(context, target, { name: claimName(target), parallelism: 1 });
  }
  const anchor = earlier?.anchor ?? await find(context, target, claimName(target));
  if (anchor === undefined) throw missing(target, name);
  await context.record("queue", idOf(anchor));
  const own = ownedBy(name, await everything(context, target));
  if (!await isWhole(context, name, anchor)) {
    const another = namesOf(own).find((one) => one !== anchor.name);
    if (another !== undefined) throw records.foreign(target, `${what}: ${unknown(another)}`);
    await context.record(PREFIX, idOf(anchor));
  }
  if (parent !== undefined) await fill(context, target, parent, own);
  const origin = parent === undefined
    ? { copy: "empty" } as const
    : { parentId: target.parent!, copy: "schema-only" } as const;
  return { ...forkOf(anchor, target), ...origin };
}

/** The journal step for a prefix that held nothing else when it was claimed. */
const PREFIX = "prefix";

/** Returns true if everything with the prefix is the environment's; true of every fork in the registry. */
async function isWhole(context: Context, name: string, anchor: Queue): Promise<boolean> {
  const known = await context.recorded(name);
  return known.some(({ step, id }) => id === idOf(anchor) && (step === PREFIX || step === "create"));
}

/** Deletes a fork; the claiming queue last: until then, the rest is known to belong to it. */
async function remove(context: Context, fork: Fork, scope: Scope<Options>): Promise<"deleted" | "absent"> {
  const what = `delete queue "${fork.name}"`;
  const { anchors } = ownedBy(fork.name, await everything(context, scope));
  const anchor = anchors.find((one) => idOf(one) === fork.id);
  if (anchor === undefined) return "absent";
  await records.assertOurs(context, scope, fork, anchor, what);
  if (await isWhole(context, fork.name, anchor)) {
    await poll(context, { ...details(scope), what }, async () => {
      const { schedules, groups, queues } = ownedBy(fork.name, await everything(context, scope));
      // A group goes after the schedules that send to it: https://upstash.com/docs/qstash/api-reference/url-groups
      for (const { scheduleId } of schedules) await drop(context, scope, "schedules", scheduleId);
      for (const { name } of groups) await drop(context, scope, "topics", name);
      for (const { name } of queues) await drop(context, scope, "queues", name);
      return schedules.length + groups.length + queues.length === 0 ? true : undefined;
    });
  }
  return await drop(context, scope, "queues", anchor.name);
}

async function probe(context: Context, held: Held, scope: Scope<Options>): Promise<void> {
  if (held.id === idOf({ name: held.name, createdAt: 0 })) return void await keys(context, scope); // a base's, by names
  const found = await find(context, scope, held.id.slice(0, held.id.lastIndexOf("@")));
  if (found === undefined || idOf(found) !== held.id) throw missing(scope, held.name);
}

/** Returns the account's token and keys: there are no others. */
async function outputs(context: Context, held: Held, scope: Scope<Options>): Promise<Record<string, string | Secret>> {
  const url = scope.options.endpoint.replace(/\/$/, "");
  const { current, next } = await keys(context, scope);
  return {
    QUEUE_URL: url,
    QUEUE_PREFIX: `${held.name}.`,
    QSTASH_URL: url,
    QSTASH_TOKEN: new Secret(api.token(context)),
    QSTASH_CURRENT_SIGNING_KEY: new Secret(current),
    QSTASH_NEXT_SIGNING_KEY: new Secret(next),
  };
}

// ---- What a fork takes from its parent ----

async function fill(context: Context, target: Target<Options>, parent: Owned, own: Owned): Promise<void> {
  const renamed = (name: string) => target.name + name.slice(target.parent!.length);
  for (const { name, parallelism, paused } of parent.queues) {
    const found = own.queues.find((one) => one.name === renamed(name));
    if (found?.parallelism !== parallelism) await putQueue(context, target, { name: renamed(name), parallelism });
    if (paused && !found?.paused) await post(context, target, ["queues", renamed(name), "pause"]);
  }
  const rebase = (url: string) => {
    const { destination } = target.options;
    if (destination === undefined || !/^https?:\/\//.test(url)) return url;
    return destination.replace("{env}", target.marker.env) + url.replace(/^https?:\/\/[^/?#]*/, "");
  };
  const areGroupsForked = target.options.destination !== undefined;
  if (areGroupsForked) {
    for (const { name, endpoints } of parent.groups) {
      const own = endpoints.map((one) => ({ ...one, url: rebase(one.url) }));
      await post(context, target, ["topics", renamed(name), "endpoints"], { json: { endpoints: own } });
    }
  } else if (parent.groups.length > 0) {
    const names = parent.groups.map(({ name }) => `"${name}"`).join(", ");
    context.warn(
      `${target.name} has no URL groups: those of the parent (${names}) send to the parent's endpoints. ` +
        `Set "destination" of the ${target.resource} in forkstack.json to have them`,
    );
  }
  for (const schedule of parent.schedules) {
    const { scheduleId, destination, queueName } = schedule;
    const isGroup = !/^https?:\/\//.test(destination);
    if (isGroup && !(areGroupsForked && parent.groups.some(({ name }) => name === destination))) {
      context.warn(
        `${target.name} has no schedule "${scheduleId}": it sends to URL group "${destination}", which is not forked`,
      );
      continue;
    }
    const isOwnQueue = parent.queues.some(({ name }) => name === queueName);
    await putPaused(context, target, {
      ...schedule,
      scheduleId: renamed(scheduleId),
      destination: isGroup ? renamed(destination) : rebase(destination),
      queueName: isOwnQueue ? renamed(queueName!) : schedule.queueName,
    }, own.schedules.find((one) => one.scheduleId === renamed(scheduleId)));
  }
}

/**
 * Creates a paused schedule that never fires, wherever the steps are interrupted. The API cannot create one paused, so
 * it is created for a time half a year away, paused, and then given its true times. No documentation says whether that
 * resumes it: this is tried with far times first, and if it does, the schedule keeps those.
 */
async function putPaused(
  context: Context,
  target: Target<Options>,
  wanted: Schedule,
  found: Schedule | undefined,
): Promise<void> {
  const { scheduleId } = wanted;
  if (found?.isPaused && found.cron === wanted.cron) return;
  const [far, also] = [1, 2].map((day) => `0 0 ${day} ${(context.now().getUTCMonth() + 6) % 12 + 1} *`) as [
    string,
    string,
  ];
  const isPaused = async () => (await findSchedule(context, target, scheduleId)).isPaused;
  await putSchedule(context, target, { ...wanted, cron: far });
  await post(context, target, ["schedules", scheduleId, "pause"]);
  await putSchedule(context, target, { ...wanted, cron: also });
  if (await isPaused()) {
    await putSchedule(context, target, wanted);
    if (await isPaused()) return;
  }
  await post(context, target, ["schedules", scheduleId, "pause"]);
  await putSchedule(context, target, { ...wanted, cron: far });
  await post(context, target, ["schedules", scheduleId, "pause"]);
  context.warn(
    `Schedule "${scheduleId}" is paused, with the times "${far}": QStash resumes one whose times are changed. ` +
      `The parent's are "${wanted.cron}"`,
  );
}

/** Sends https://upstash.com/docs/qstash/api-reference/schedules/create-a-schedule; the destination is not encoded. */
async function putSchedule(context: Context, target: Target<Options>, schedule: Schedule): Promise<void> {
  const { scheduleId, cron, destination, method, header, body, retries, delay, callback, failureCallback, queueName } =
    schedule;
  const forwarded = Object.entries(header ?? {}).map(([name, values]) => {
    const isOwn = /^content-type$/i.test(name) || /^upstash-/i.test(name);
    return [isOwn ? name : `Upstash-Forward-${name}`, values.join(", ")];
  });
  const settings = {
    "Upstash-Cron": cron,
    "Upstash-Schedule-Id": scheduleId,
    "Upstash-Method": method,
    "Upstash-Retries": retries?.toString(),
    "Upstash-Delay": delay === undefined ? undefined : `${delay}s`,
    "Upstash-Callback": callback,
    "Upstash-Failure-Callback": failureCallback,
    "Upstash-Queue-Name": queueName,
  };
  const set = Object.entries(settings).filter(([, value]) => value !== undefined);
  await post(context, target, ["schedules"], {
    tail: destination,
    headers: Object.fromEntries([...forwarded, ...set]),
    text: body || undefined,
    mayRepeat: true,
  });
}

// ---- The API ----

const api: Api<Options> = new Api<Options>({
  provider: "qstash",
  label: "QStash",
  statusPage: "https://status.upstash.com",
  credential: { variable: "QSTASH_TOKEN", hint: CREDENTIALS_HINT },
  scopes: () => "It must not be the read-only token",
  base: ({ options: { endpoint } }) => `${endpoint.replace(/\/$/, "")}/v2`,
  known: (status) =>
    status === 402 || status === 412
      ? {
        code: "PLAN_LIMIT",
        state: "the account has as many as its plan allows",
        hint: "Remove unused envs with `forkstack prune`: https://upstash.com/pricing/qstash",
      }
      : undefined,
});

/** The things of an environment: its claim, and everything whose name begins with its name and a dot. */
interface Owned {
  /** Claiming queues; one with the very name is a claim of 0.1.0, or a base environment's own. */
  readonly anchors: readonly Queue[];
  readonly queues: readonly Queue[];
  readonly groups: readonly Group[];
  readonly schedules: readonly Schedule[];
}

/** Reads the three lists, which have no pages. */
async function everything(context: Context, scope: Scope<Options>): Promise<Omit<Owned, "anchors">> {
  return {
    queues: await all(context, scope, "queues", QUEUE),
    groups: await all(context, scope, "topics", GROUP),
    schedules: await all(context, scope, "schedules", SCHEDULE),
  };
}

async function all<T>(
  context: Context,
  scope: Scope<Options>,
  kind: "queues" | "topics" | "schedules",
  schema: v.GenericSchema<unknown, T>,
): Promise<T[]> {
  // https://upstash.com/docs/qstash/api-reference/queues/list-queues, and of the others
  const answer = await api.send(context, scope, "GET", [kind]);
  return await api.read(v.array(schema), answer, scope, `list ${kind}`);
}

function ownedBy(name: string, { queues, groups, schedules }: Omit<Owned, "anchors">): Owned {
  const isOwn = (one: string) => one.startsWith(`${name}.`);
  return {
    anchors: queues.filter((one) => one.name === name || one.name.startsWith(name + CLAIM)),
    queues: queues.filter((one) => isOwn(one.name)),
    groups: groups.filter((one) => isOwn(one.name)),
    schedules: schedules.filter(({ scheduleId }) => isOwn(scheduleId)),
  };
}

function namesOf({ anchors, queues, groups, schedules }: Owned): string[] {
  return [
    ...[...anchors, ...queues, ...groups].map(({ name }) => name),
    ...schedules.map(({ scheduleId }) => scheduleId),
  ];
}

async function find(context: Context, scope: Scope<Options>, name: string): Promise<Queue | undefined> {
  // https://upstash.com/docs/qstash/api-reference/queues/get-a-queue
  const answer = await api.send(context, scope, "GET", ["queues", name]);
  if (answer.response.status === 404) return void await answer.response.text();
  return await api.read(QUEUE, answer, scope, `look at queue "${name}"`);
}

async function findSchedule(context: Context, scope: Scope<Options>, id: string): Promise<Schedule> {
  // https://upstash.com/docs/qstash/api-reference/schedules/get-a-schedule
  return await api.read(SCHEDULE, await api.send(context, scope, "GET", ["schedules", id]), scope, `look at "${id}"`);
}

async function keys(context: Context, scope: Scope<Options>): Promise<v.InferOutput<typeof KEYS>> {
  // https://upstash.com/docs/qstash/api-reference/signing-keys/get-signing-keys
  return await api.read(KEYS, await api.send(context, scope, "GET", ["keys"]), scope, "read the signing keys");
}

async function putQueue(
  context: Context,
  scope: Scope<Options>,
  { name, parallelism }: Pick<Queue, "name" | "parallelism">,
): Promise<void> {
  // https://upstash.com/docs/qstash/api-reference/queues/upsert-a-queue
  await post(context, scope, ["queues"], { json: { queueName: name, parallelism } }, `make queue "${name}"`);
}

/** Sends a POST; every one here may be repeated. */
async function post(
  context: Context,
  scope: Scope<Options>,
  path: readonly string[],
  sent: Parameters<typeof api.send>[4] = {},
  what: string = `set up ${path[0]} ${path.slice(1, 2).map((name) => `"${name}"`)}`.trim(),
): Promise<void> {
  context.signal.throwIfAborted();
  const answer = await api.send(context, scope, "POST", path, { mayRepeat: true, ...sent });
  if (!answer.response.ok) throw await api.refusal(answer, scope, what);
  await answer.response.text(); // what it holds is not documented
}

/** Deletes one thing by its whole name. No call here deletes more. */
async function drop(
  context: Context,
  scope: Scope<Options>,
  kind: "queues" | "topics" | "schedules",
  name: string,
): Promise<"deleted" | "absent"> {
  context.signal.throwIfAborted();
  // https://upstash.com/docs/qstash/api-reference/queues/delete-a-queue, and of the others
  const answer: VendorAnswer = await api.send(context, scope, "DELETE", [kind, name]);
  if (!answer.response.ok && answer.response.status !== 404) {
    throw await api.refusal(answer, scope, `delete ${kind} "${name}"`);
  }
  await answer.response.text();
  return answer.response.ok ? "deleted" : "absent";
}

/** Separator of a claim. No environment's name has an underscore, so this is under no environment's prefix. */
const CLAIM = "_forkstack-";

/** Returns the name by which this run claims another, the same at each attempt. */
function claimName({ name, marker: { stack, env, resource, operation, registry } }: Target<Options>): string {
  const run = JSON.stringify([stack, env, resource, operation, registry]);
  return name + CLAIM + createHash("sha256").update(run).digest("hex").slice(0, 32);
}

/** Returns the id of a queue: names are used again, so it includes the time of creation. */
const idOf = ({ name, createdAt }: Pick<Queue, "name" | "createdAt">) => `${name}@${createdAt}`;

const timeOf = ({ createdAt }: Queue) => new Date(createdAt).toISOString();

const details = ({ resource }: Scope<Options>) => ({ provider: "qstash", resource });

function forkOf(queue: Queue, { name, marker }: Pick<Fork, "name" | "marker">): Fork {
  return { id: idOf(queue), name, createdAt: timeOf(queue), marker };
}

function missing(scope: Scope<Options>, name: string): ForkstackError {
  return new ForkstackError(
    "NOT_FOUND",
    `Cannot use queue "${name}": the account has none, nor anything called "${name}.…"`,
    {
      hint: `Make queue "${name}" in https://console.upstash.com/qstash, name another parent, or use --empty`,
      details: details(scope),
    },
  );
}
