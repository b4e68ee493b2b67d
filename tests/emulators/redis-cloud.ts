/**
 * Redis Cloud's API with one account: subscriptions of both sorts, tasks that take time, databases that really answer.
 *
 * Built from the vendor's specification (https://redis.io/docs/latest/operate/rc/api/api-reference/) and its recorded
 * exchanges, as ../shared/vendors/cache-and-queue.md lists them, section 2.
 */
import type { Databases, Place } from "./redis_databases.ts";

export interface RedisCloudOptions {
  readonly accessKey: string;
  readonly secretKey: string;
  /** The number of the subscription. @default {1206} */
  readonly subscription?: number;
  /** The sort of subscription. @default {"pro"} */
  readonly tier?: "essentials" | "pro";
  /**
   * Essentials without a plan of a fixed size: it requires a size with each create, which the others refuse. @default
   * {false}
   */
  readonly isPayAsYouGo?: boolean;
  /** Number of looks until a task ends, and then until a new database is active. @default {1} */
  readonly settling?: number;
  /** Number of looks at which a new task is unknown. @default {0} */
  readonly unknownTask?: number;
  /**
   * The plan's limit. An Essentials subscription, new or upgraded since January 2024, holds one, and every plan in the
   * specification's examples has `maximumDatabases: 1`. @default {1 of Essentials, none of Pro}
   */
  readonly maxDatabases?: number;
  /** Answer 404 after the last page. @default {false} */
  readonly pagesEnd?: boolean;
  /** The error with which the tasks of the next creates fail. */
  readonly failure?: string;
  /** Return the error of a task as an object, or as in the specification. @default {true} */
  readonly errorObjects?: boolean;
  /** The status of new databases. @default {"active"} */
  readonly becomes?: string;
}

interface Database {
  readonly id: number;
  readonly name: string;
  readonly place: Place;
  readonly settings: Record<string, unknown>;
  readonly activatedOn: string;
  readonly tags: Map<string, string>;
  status: string;
  looks: number;
}

interface Task {
  readonly id: string;
  readonly commandType: string;
  readonly run: () => Promise<{ readonly resourceId?: number; readonly error?: string }>;
  looks: number;
  unknown: number;
  status: string;
  response?: { readonly resourceId?: number; readonly error?: string };
}

export class RedisCloud {
  readonly databases = new Map<number, Database>();
  readonly tasks = new Map<string, Task>();
  readonly requests: { readonly method: string; readonly path: string; status: number }[] = [];
  options: RedisCloudOptions;
  readonly #real: Databases;
  #ids = 51_000_000;

  constructor(real: Databases, options: RedisCloudOptions) {
    this.#real = real;
    this.options = options;
  }

  /** Adds an active database. */
  add(name: string, settings: Record<string, unknown> = {}): Database {
    const database: Database = {
      id: ++this.#ids,
      name,
      settings,
      place: this.#real.make(settings.password as string | undefined),
      activatedOn: new Date().toISOString(),
      tags: new Map(),
      status: "active",
      looks: 0,
    };
    this.databases.set(database.id, database);
    return database;
  }

  named(name: string): Database {
    return [...this.databases.values()].find((one) => one.name === name)!;
  }

  async close(): Promise<void> {
    for (const { place } of this.databases.values()) await this.#real.remove(place);
  }

  async handle(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const logged = { method: request.method, path: pathname, status: 0 };
    this.requests.push(logged);
    const response = await this.#answer(request, pathname);
    logged.status = response.status;
    response.headers.set("x-request-id", `request-${this.requests.length}`);
    return response;
  }

  async #answer(request: Request, path: string): Promise<Response> {
    const url = new URL(request.url);
    const failed = (status: number, error: string, message: string) =>
      Response.json({ timestamp: new Date().toISOString(), status, error, message, path }, { status });
    const { accessKey, secretKey, subscription = 1206, tier = "pro", pagesEnd } = this.options;
    if (request.headers.get("x-api-key") !== accessKey || request.headers.get("x-api-secret-key") !== secretKey) {
      return failed(401, "Unauthorized", "Authentication failed for requested resource");
    }
    if (!request.headers.get("content-type")?.startsWith("application/json")) {
      return failed(415, "Unsupported", "no JSON");
    }
    const task = /^\/v1\/tasks(?:\/([^/]+))?$/.exec(path);
    if (task) return await this.#showTasks(task[1], () => failed(404, "Not Found", `Task ${task[1]} not found`));
    const base = `/v1${tier === "pro" ? "" : "/fixed"}/subscriptions/${subscription}/databases`;
    if (!path.startsWith(base)) return failed(404, "Not Found", "subscription not found");
    const [, idText, kind] = path.slice(base.length).split("/");
    const what = `${request.method} ${idText === undefined ? "" : "x"}${kind === undefined ? "" : `/${kind}`}`;
    if (what === "GET ") {
      const [offset, limit] = ["offset", "limit"].map((name) => Number(url.searchParams.get(name) ?? 0));
      const page = [...this.databases.values()].slice(offset!, offset! + (limit || 100));
      if (page.length === 0 && offset! > 0 && pagesEnd) return failed(404, "Not Found", "no more");
      const shown = { subscriptionId: subscription, numberOfDatabases: page.length };
      const own = { ...shown, databases: page.map((one) => this.#shown(one, false)) };
      return Response.json({ accountId: 1, subscription: tier === "pro" ? [own] : own, links: [] });
    }
    if (what === "POST ") {
      return this.#begin(`${tier}DatabaseCreateRequest`, await this.#creating(await request.json()));
    }
    const database = this.databases.get(Number(idText));
    if (database === undefined) return failed(404, "Not Found", `database ${idText} not found`);
    switch (what) {
      case "GET x":
        if (database.status !== "active" && database.looks-- <= 0) database.status = this.options.becomes ?? "active";
        return Response.json(this.#shown(database, true));
      case "DELETE x":
        return this.#begin("databaseDeleteRequest", async () => {
          if (!/^active|error/.test(database.status)) return { error: "DATABASE_NOT_ACTIVE" };
          if (this.databases.delete(database.id)) await this.#real.remove(database.place);
          return { resourceId: database.id };
        });
      case "GET x/tags":
        return Response.json({
          accountId: 1,
          tags: [...database.tags].map(([key, value]) => ({ key, value })),
          links: [],
        });
      case "POST x/tags": {
        const { key, value } = await request.json();
        if (database.tags.has(key)) return failed(409, "Conflict", "tag exists");
        database.tags.set(key, value);
        return Response.json({ key, value, links: [] });
      }
    }
    return failed(404, "Not Found", "no such path");
  }

  #creating(body: Record<string, unknown>): Task["run"] {
    return () => {
      const name = String(body.name);
      const { tier = "pro", isPayAsYouGo = false, failure, settling = 1 } = this.options;
      const { maxDatabases = tier === "pro" ? Infinity : 1 } = this.options;
      const hasSize = body.datasetSizeInGb !== undefined;
      const error = failure ??
        (tier === "essentials" && hasSize !== isPayAsYouGo ? sizeError(isPayAsYouGo) : undefined) ??
        (!/^[A-Za-z]([A-Za-z0-9-]{0,38}[A-Za-z0-9])?$/.test(name)
          ? "DATABASE_INVALID_NAME"
          : this.named(name) !== undefined
          ? "DATABASE_NAME_EXISTS"
          : this.databases.size >= maxDatabases
          ? "FIXED_DATABASE_FIXED_SUBSCRIPTION_REACHED_MAX_DATABASES_COUNT"
          : undefined);
      if (error !== undefined) return Promise.resolve({ error });
      const database = this.add(name, body);
      if (settling > 0) Object.assign(database, { status: "pending", looks: settling });
      return Promise.resolve({ resourceId: database.id });
    };
  }

  #begin(commandType: string, run: Task["run"]): Response {
    const { settling = 1, unknownTask = 0 } = this.options;
    const task: Task = {
      id: crypto.randomUUID(),
      commandType,
      run,
      looks: settling,
      unknown: unknownTask,
      status: "received",
    };
    this.tasks.set(task.id, task);
    // Pro says 202.
    return Response.json(this.#shownTask(task), {
      status: this.options.tier !== "essentials" && /Create/.test(commandType) ? 202 : 200,
    });
  }

  async #showTasks(id: string | undefined, missing: () => Response): Promise<Response> {
    if (id !== undefined) {
      const task = this.tasks.get(id);
      if (task === undefined || task.unknown-- > 0) return missing();
      await this.#goOn(task);
      return Response.json(this.#shownTask(task));
    }
    for (const task of this.tasks.values()) await this.#goOn(task);
    return Response.json({ tasks: [...this.tasks.values()].map((task) => this.#shownTask(task)) });
  }

  /** Works on one task at a time: the first unfinished one. */
  async #goOn(task: Task): Promise<void> {
    const first = [...this.tasks.values()].find(({ status }) => !/completed|error/.test(status));
    if (first === undefined || (first !== task && first.looks > 0)) return void (first && first.looks--);
    if (task.looks-- > 0) task.status = "processing-in-progress";
    else if (/received|progress/.test(task.status)) {
      task.status = "processing-completed";
      task.response = await task.run();
      if (task.response.error !== undefined) task.status = "processing-error";
    }
  }

  #shownTask({ id, commandType, status, response }: Task) {
    const { errorObjects = true } = this.options;
    const error = response?.error;
    const shown = error === undefined
      ? response
      : { error: errorObjects ? { type: error, status: "403 FORBIDDEN", description: `it says ${error}` } : error };
    const timestamp = new Date().toISOString();
    return {
      taskId: id,
      commandType,
      status,
      description: "a task",
      timestamp,
      ...(shown ? { response: shown } : {}),
      links: [],
    };
  }

  #shown({ id, name, status, activatedOn, settings, place }: Database, isSingle: boolean) {
    const isActive = status !== "pending";
    const { tier = "pro", isPayAsYouGo = false } = this.options;
    return {
      databaseId: id,
      name,
      protocol: "redis",
      provider: "AWS",
      region: "us-east-1",
      status,
      memoryUsedInMb: 2.5,
      ...(tier === "essentials" && !isPayAsYouGo
        ? { planMemoryLimit: 250, planDatasetSize: 125, memoryLimitMeasurementUnit: "MB" }
        : {}),
      datasetSizeInGb: Number(settings.datasetSizeInGb ?? 1),
      dataEvictionPolicy: settings.dataEvictionPolicy ?? "noeviction",
      ...(isActive ? { activatedOn, publicEndpoint: `127.0.0.1:${this.#real.port}` } : {}),
      security: {
        enableTls: settings.enableTls ?? false,
        defaultUserEnabled: true,
        ...(isSingle && isActive ? { password: place.password } : {}),
      },
      links: [],
    };
  }
}

/** As the specification names what is wrong with a size. */
function sizeError(isPayAsYouGo: boolean): string {
  return isPayAsYouGo
    ? "FIXED_DATABASE_PAYG_MEMORY_LIMIT_IN_GB_OR_DATA_SET_SIZE_IN_GB_IS_MISSING"
    : "FIXED_DATABASE_MEMORY_LIMIT_IN_GB_AND_DATA_SET_SIZE_SUPPORTED_ONLY_FOR_PAY_AS_YOU_GO";
}
