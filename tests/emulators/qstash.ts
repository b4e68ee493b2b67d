/**
 * QStash: queues, URL groups, schedules that really fire when the clock goes on, messages.
 *
 * Built from the vendor's specification (https://github.com/upstash/docs/blob/main/qstash/openapi.yaml) and its client, as
 * ../shared/vendors/cache-and-queue.md lists them, section 4. What nobody documents is an option.
 */

export interface QStashOptions {
  /** The accepted tokens; `false`: it may only read. */
  readonly tokens: Readonly<Record<string, boolean>>;
  readonly maxQueues?: number;
  readonly maxSchedules?: number;
  /** True if new settings resume a paused schedule. @default {false} */
  readonly upsertResumes?: boolean;
}

interface Queue {
  readonly name: string;
  readonly createdAt: number;
  updatedAt: number;
  parallelism: number;
  paused: boolean;
}

interface Group {
  readonly name: string;
  readonly createdAt: number;
  updatedAt: number;
  endpoints: { name?: string; url: string }[];
}

interface Schedule {
  readonly scheduleId: string;
  readonly createdAt: number;
  cron: string;
  destination: string;
  method: string;
  header: Record<string, string[]>;
  body?: string;
  retries?: number;
  delay?: number;
  callback?: string;
  failureCallback?: string;
  queueName?: string;
  isPaused: boolean;
}

interface Message {
  readonly messageId: string;
  readonly url: string;
  readonly queueName?: string;
}

/** A message that reached a webhook. */
export interface Delivery {
  readonly scheduleId: string;
  readonly url: string;
  readonly at: number;
}

const NAME = /^[A-Za-z0-9._-]+$/;

/** One account in one region. */
export class QStash {
  now = Date.now();
  readonly queues = new Map<string, Queue>();
  readonly groups = new Map<string, Group>();
  readonly schedules = new Map<string, Schedule>();
  readonly messages = new Map<string, Message>();
  readonly deliveries: Delivery[] = [];
  readonly requests: { readonly method: string; readonly path: string; readonly query: string; status: number }[] = [];
  readonly keys = { current: `sig_${crypto.randomUUID()}`, next: `sig_${crypto.randomUUID()}` };
  options: QStashOptions;

  constructor(options: QStashOptions) {
    this.options = options;
  }

  addQueue(name: string, parallelism = 1, paused = false): Queue {
    const queue = { name, createdAt: ++this.now, updatedAt: this.now, parallelism, paused };
    this.queues.set(name, queue);
    return queue;
  }

  addGroup(name: string, ...urls: string[]): void {
    const endpoints = urls.map((url, at) => ({ name: `e${at}`, url }));
    this.groups.set(name, { name, createdAt: ++this.now, updatedAt: this.now, endpoints });
  }

  addSchedule(scheduleId: string, cron: string, destination: string, more: Partial<Schedule> = {}): void {
    const own = { scheduleId, cron, destination, createdAt: ++this.now, method: "POST", header: {}, isPaused: false };
    this.schedules.set(scheduleId, { ...own, ...more });
  }

  /** Advances the clock: schedules that are due fire. */
  advance(ms: number): void {
    const until = this.now + ms;
    for (let minute = Math.ceil(this.now / 60_000) * 60_000; minute <= until; minute += 60_000) {
      for (const { scheduleId, cron, destination, isPaused } of this.schedules.values()) {
        if (isPaused || !isDue(cron, new Date(minute))) continue;
        const urls = this.groups.get(destination)?.endpoints.map(({ url }) => url) ?? [destination];
        for (const url of urls) this.deliveries.push({ scheduleId, url, at: minute });
      }
    }
    this.now = until;
  }

  async handle(request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const logged = { method: request.method, path: pathname, query: search, status: 0 };
    this.requests.push(logged);
    this.now++;
    const response = await this.#answer(request);
    logged.status = response.status;
    response.headers.set("x-request-id", `request-${this.requests.length}`);
    return response;
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const token = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
    if (!Object.hasOwn(this.options.tokens, token)) return failed(401, "invalid token");
    const isWrite = request.method !== "GET";
    if (isWrite && !this.options.tokens[token]) return failed(403, "read only token");
    const [, version, kind = "", name, ...rest] = url.pathname.split("/").map(decodeURIComponent);
    if (version !== "v2") return failed(404, "route not found");
    const text = isWrite ? await request.text() : "";
    const body = () => JSON.parse(text || "{}");
    const method = request.method === "PATCH" ? "POST" : request.method; // the vendor's client
    if (kind === "keys" && name === undefined && method === "GET") return Response.json(this.keys);
    if (kind === "queues") return this.#queue(method, name, rest[0], body);
    if (kind === "topics") return this.#group(method, name, rest[0], body);
    if (kind === "schedules") {
      const isCreate = method === "POST" && rest[0] !== "pause" && rest[0] !== "resume";
      return isCreate ? this.#upsertSchedule(request, text) : this.#schedule(method, name, rest[0]);
    }
    const publishing = /^\/v2\/(publish|enqueue\/([^/]+))\/(.+)$/.exec(url.pathname);
    if (publishing && method === "POST") {
      const [, , queueName, destination] = publishing;
      if (queueName !== undefined && !this.queues.has(queueName)) this.addQueue(queueName);
      const message = {
        messageId: `msg_${crypto.randomUUID()}`,
        url: destination!,
        ...(queueName ? { queueName } : {}),
      };
      this.messages.set(message.messageId, message);
      return Response.json({ messageId: message.messageId });
    }
    if (kind === "messages" && method === "DELETE" && name === undefined) {
      const count = this.messages.size; // without a filter: of the whole account
      this.messages.clear();
      return Response.json({ cancelled: count });
    }
    return failed(404, "route not found");
  }

  // deno-lint-ignore no-explicit-any -- what a client sends
  #queue(method: string, name: string | undefined, action: string | undefined, body: () => any): Response {
    if (name === undefined) {
      if (method === "GET") return Response.json([...this.queues.values()].map((one) => this.#shownQueue(one)));
      const { queueName, parallelism = 1, paused } = body();
      if (!NAME.test(queueName ?? "")) return failed(400, "invalid queue name");
      const { maxQueues = Infinity } = this.options;
      const found = this.queues.get(queueName);
      if (found === undefined && this.queues.size >= maxQueues) return failed(412, `maximum of ${maxQueues} queues`);
      const queue = found ?? this.addQueue(queueName);
      Object.assign(queue, { parallelism, updatedAt: this.now, ...(paused === undefined ? {} : { paused }) });
      return new Response("");
    }
    const queue = this.queues.get(name);
    if (queue === undefined) return failed(404, `queue ${name} not found`);
    if (method === "GET") return Response.json(this.#shownQueue(queue));
    if (method === "DELETE") this.queues.delete(name);
    else queue.paused = action === "pause";
    return new Response("");
  }

  #shownQueue(queue: Queue) {
    const lag = [...this.messages.values()].filter(({ queueName }) => queueName === queue.name).length;
    return { ...queue, lag };
  }

  // deno-lint-ignore no-explicit-any -- what a client sends
  #group(method: string, name: string | undefined, action: string | undefined, body: () => any): Response {
    if (name === undefined) return Response.json([...this.groups.values()]);
    const found = this.groups.get(name);
    if (method === "POST" && action === "endpoints") {
      if (!NAME.test(name)) return failed(400, "invalid topic name");
      if (found === undefined) this.addGroup(name);
      const group = this.groups.get(name)!;
      for (const endpoint of body().endpoints) {
        group.endpoints = [...group.endpoints.filter((one) => one.url !== endpoint.url), endpoint];
      }
      group.updatedAt = this.now;
      return new Response("");
    }
    if (found === undefined) return failed(404, `topic ${name} not found`);
    if (method === "GET") return Response.json(found);
    const users = [...this.schedules.values()].filter(({ destination }) => destination === name);
    if (users.length > 0) return failed(412, `schedule ${users[0]!.scheduleId} sends to it`);
    this.groups.delete(name);
    return new Response("");
  }

  #schedule(method: string, id: string | undefined, action: string | undefined): Response {
    if (id === undefined) return Response.json([...this.schedules.values()]);
    const found = this.schedules.get(id);
    if (found === undefined) return failed(404, `schedule ${id} not found`);
    if (method === "GET") return Response.json(found);
    if (method === "DELETE") this.schedules.delete(id);
    else found.isPaused = action === "pause";
    return new Response("");
  }

  #upsertSchedule({ url, headers }: Request, body: string): Response {
    const { pathname, search } = new URL(url);
    const tail = pathname.slice("/v2/schedules/".length);
    const destination = /^https?:/.test(tail) ? tail + search : decodeURIComponent(tail);
    if (!/^https?:\/\//.test(destination) && !this.groups.has(destination)) return failed(404, "topic not found");
    const cron = headers.get("upstash-cron") ?? "";
    if (cron.replace(/^CRON_TZ=\S+ /, "").split(" ").length !== 5) return failed(400, "invalid cron");
    const scheduleId = headers.get("upstash-schedule-id") ?? `scd_${crypto.randomUUID()}`;
    if (!NAME.test(scheduleId)) return failed(400, "invalid schedule id");
    const found = this.schedules.get(scheduleId);
    const { maxSchedules = Infinity, upsertResumes = false } = this.options;
    if (found === undefined && this.schedules.size >= maxSchedules) {
      return failed(412, `maximum of ${maxSchedules} schedules`);
    }
    const header: Record<string, string[]> = {};
    for (const [name, value] of headers) {
      const forwarded = /^upstash-forward-(.+)$/.exec(name)?.[1];
      if (forwarded !== undefined) header[forwarded] = [value];
      if (name === "content-type") header["Content-Type"] = [value];
    }
    const optional = {
      callback: headers.get("upstash-callback"),
      failureCallback: headers.get("upstash-failure-callback"),
      queueName: headers.get("upstash-queue-name"),
      retries: headers.has("upstash-retries") ? Number(headers.get("upstash-retries")) : null,
      delay: headers.has("upstash-delay") ? parseInt(headers.get("upstash-delay")!) : null,
      body: body || null,
    };
    this.schedules.set(scheduleId, {
      scheduleId,
      cron,
      destination,
      header,
      method: headers.get("upstash-method") ?? "POST",
      createdAt: found?.createdAt ?? this.now,
      isPaused: upsertResumes ? false : found?.isPaused ?? false,
      ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== null)),
    });
    return Response.json({ scheduleId });
  }
}

/** Five fields of `*`, `* /n` or a number, in UTC. */
function isDue(cron: string, at: Date): boolean {
  const values = [at.getUTCMinutes(), at.getUTCHours(), at.getUTCDate(), at.getUTCMonth() + 1, at.getUTCDay()];
  return cron.replace(/^CRON_TZ=\S+ /, "").split(" ").every((field, n) => {
    const step = /^\*\/(\d+)$/.exec(field)?.[1];
    return field === "*" || (step === undefined ? Number(field) === values[n] : values[n]! % Number(step) === 0);
  });
}

function failed(status: number, error: string): Response {
  return Response.json({ error }, { status });
}
