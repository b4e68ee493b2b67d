/**
 * Providers of the simulated vendors, written as a careful author writes one: look first, make, record, wait until
 * ready; delete by id after reading the mark again; repeat only what is safe to repeat.
 */
import * as v from "npm:valibot@1.5.0";
import { type ErrorCode, ForkstackError } from "../../mod.ts";
import type { Context, Fork, Held, Inspection, Marker, Provider, Scope, Target } from "../../core/provider.ts";
import { formatMarker } from "../../core/marker.ts";
import { Secret } from "../../core/secret.ts";
import { type Answer, isMutation, type Request, type Shown, type Traits } from "./vendor.ts";

/** Sends a request for one resource of one environment; the faults happen on this way. */
export type Send = (request: Request, of: Pick<Marker, "env" | "resource">) => Promise<Answer>;

const POLL_MS = 120;
const POLLS = 25;

/** What outputs hold beside ids; must never reach the registry. */
export const SECRET = "s3cret-of-";

/** When the simulated time begins. */
export const EPOCH_MS = Date.UTC(2026, 0, 1);

/** The instant of a vendor's milliseconds. */
export function instantOf(ms: number): string {
  return new Date(EPOCH_MS + ms).toISOString();
}

/** A provider that reaches its vendor by `send`. */
export function fakeProvider(traits: Traits, send: Send): Provider {
  const vendor = new Client(traits, send);
  return {
    name: traits.name,
    kind: traits.kind,
    capabilities: {
      copy: "copy-on-write",
      ownership: traits.ownership,
      outputs: "rereadable",
      nativeExpiry: traits.canExtend,
      usage: "none",
      pointInTime: false,
      outputsExpire: false,
      parentMayBeAbsent: false,
      name: { maxLength: 60, pattern: /^[a-z0-9-]+$/ },
    },
    credentials: [],
    variables: { URL: { isSecret: false, isIdentity: true }, TOKEN: { isSecret: true, isIdentity: true } },
    options: v.any(),
    inspect: (context, target) => vendor.inspect(context, target),
    create: (context, target) => vendor.create(context, target),
    delete: (context, fork, scope) => vendor.remove(context, fork, scope),
    list: (context, scope) => vendor.list(context, scope),
    probe: (context, held) => vendor.probe(context, held),
    outputs: (_context, held) => Promise.resolve({ URL: `sim:${held.id}`, TOKEN: new Secret(SECRET + held.id) }),
    ...(traits.canReset
      ? { reset: (context: Context, fork: Fork, target: Target<unknown>) => vendor.reset(context, fork, target) }
      : {}),
    ...(traits.canExtend
      ? { extend: (context: Context, fork: Fork, expiresAt: string) => vendor.extend(context, fork, expiresAt) }
      : {}),
  };
}

class Client {
  readonly #traits: Traits;
  readonly #send: Send;

  constructor(traits: Traits, send: Send) {
    this.#traits = traits;
    this.#send = send;
  }

  /** What stands at the target's name. */
  async inspect(context: Context, target: Target<unknown>): Promise<Inspection> {
    const { item } = await this.#safe(context, { op: "find", name: target.name }, target.marker);
    if (item === undefined) return { state: "absent" };
    const marker = await this.#markerOf(context, item) ?? this.#proven(target, item);
    if (marker === undefined) return { state: "foreign", id: item.id, reason: "it has no mark of ours" };
    if (!isSameHolder(marker, target.marker)) {
      return { state: "foreign", id: item.id, reason: "it is another's", holder: marker };
    }
    return { state: item.state, fork: forkOf(item, marker) };
  }

  async create(context: Context, target: Target<unknown>): Promise<Fork> {
    for (let attempt = 1;; attempt++) {
      const seen = await this.inspect(context, target);
      if (seen.state === "foreign") throw failure("FOREIGN", `"${target.name}" is foreign: ${seen.reason}`);
      if (seen.state === "deleting") {
        await this.#untilGone(context, seen.fork);
      } else if (seen.state === "absent") {
        const answer = await this.#make(context, target, target.name, false);
        if (answer.status === 409 && attempt < 3) {
          target = { ...target, isResumed: false }; // there by now: nothing but its mark or the record proves whose
          continue;
        }
        const fork = await this.#fork(context, answer, target.marker);
        await this.#mark(context, fork);
        return await this.#untilReady(context, fork, target.marker);
      } else if (seen.fork.marker.operation !== target.marker.operation) {
        throw failure("FOREIGN", `"${target.name}" was made by operation ${seen.fork.marker.operation}`);
      } else {
        await context.record("found", seen.fork.id);
        await this.#mark(context, seen.fork);
        return await this.#untilReady(context, seen.fork, target.marker);
      }
      if (attempt > 3) throw failure("CONFLICT", `"${target.name}" does not go away`, true);
    }
  }

  async remove(context: Context, fork: Fork, scope: Scope<unknown>): Promise<"deleted" | "absent"> {
    if (this.#traits.canReset) await this.#removeStaged(context, fork.name, fork.marker);
    const { item } = await this.#safe(context, { op: "get", id: fork.id }, fork.marker);
    if (item === undefined) return "absent";
    const marker = await this.#markerOf(context, item);
    if (marker === undefined || marker.stack !== scope.stack || !isSameHolder(marker, fork.marker)) {
      throw failure("FOREIGN", `"${item.name}" is not ours`);
    }
    await this.#safe(context, { op: "delete", id: fork.id }, fork.marker);
    await this.#untilGone(context, fork);
    return "deleted";
  }

  async *list(context: Context, scope: Scope<unknown>): AsyncIterable<Fork> {
    const { items = [] } = await this.#safe(context, { op: "list" }, { env: "", resource: scope.resource });
    for (const item of items) {
      const marker = await this.#markerOf(context, item);
      if (marker?.stack === scope.stack && marker.resource === scope.resource) yield forkOf(item, marker);
    }
  }

  async probe(context: Context, held: Held): Promise<void> {
    const { item } = await this.#safe(context, { op: "get", id: held.id }, { env: "", resource: "" });
    if (item?.state === "ready") return;
    throw failure("NOT_READY", `"${held.name}" does not answer`);
  }

  /** Stages a fork beside the old one; the vendor can swap their data in one step. */
  async reset(context: Context, fork: Fork, target: Target<unknown>) {
    const { marker } = fork;
    await this.#removeStaged(context, fork.name, marker);
    const answer = await this.#make(context, target, stagedName(fork.name), true);
    const staged = await this.#untilReady(context, await this.#fork(context, answer, marker), marker);
    return {
      commit: async () => {
        const { item } = await this.#once(context, { op: "swap", id: fork.id, by: staged.id }, marker);
        if (item === undefined) throw failure("NOT_FOUND", `"${fork.name}" or what replaces it is gone`);
        return forkOf(item, marker);
      },
      discard: async () => void await this.#safe(context, { op: "delete", id: staged.id }, marker),
    };
  }

  async extend(context: Context, fork: Fork, expiresAt: string): Promise<void> {
    await this.#safe(context, { op: "extend", id: fork.id, expiresAt }, fork.marker);
  }

  /** By the note; where there is none yet, or never one, by the vendor's own answer on record. */
  async #markerOf(context: Context, item: Shown): Promise<Marker | undefined> {
    if (item.note !== undefined) return context.markerOf(item.name, item.note);
    if (this.#traits.ownership === "marked") return undefined;
    return (await context.recorded(item.name)).find(({ id }) => id === item.id)?.marker;
  }

  /** After a lost reply: what is a fork of the parent that this run named. */
  #proven(target: Target<unknown>, item: Shown): Marker | undefined {
    const isLate = this.#traits.ownership !== "marked" && item.note === undefined;
    return isLate && target.isResumed && item.source === target.parent ? target.marker : undefined;
  }

  async #mark(context: Context, { id, marker }: Fork): Promise<void> {
    if (this.#traits.ownership !== "marked-after") return;
    await this.#safe(context, { op: "mark", id, note: formatMarker(marker) }, marker);
  }

  async #make(context: Context, target: Target<unknown>, name: string, isStaged: boolean): Promise<Answer> {
    const { marker, parent } = target;
    const note = this.#traits.ownership === "marked" ? { note: formatMarker(marker, name) } : {};
    const maker = { env: marker.env, resource: marker.resource, operation: marker.operation };
    const request = {
      op: "create" as const,
      name,
      isStaged,
      maker,
      ...note,
      ...(parent === undefined ? {} : { parent }),
    };
    const answer = await this.#once(context, request, marker);
    if (answer.item !== undefined) await context.record("made", answer.item.id);
    return answer;
  }

  async #fork(context: Context, answer: Answer, marker: Marker): Promise<Fork> {
    if (answer.item !== undefined) return forkOf(answer.item, await this.#markerOf(context, answer.item) ?? marker);
    if (answer.status === 404) throw failure("NOT_FOUND", "there is no such parent");
    throw failure("CONFLICT", "the name is taken", true);
  }

  async #untilReady(context: Context, fork: Fork, of: Marker): Promise<Fork> {
    for (let poll = 0; poll < POLLS; poll++) {
      const { item } = await this.#safe(context, { op: "get", id: fork.id }, of);
      if (item === undefined) throw failure("NOT_FOUND", `"${fork.name}" has gone`);
      if (item.state === "ready") return fork;
      await context.sleep(POLL_MS);
    }
    throw failure("NOT_READY", `"${fork.name}" is not ready`, true);
  }

  async #untilGone(context: Context, fork: Fork): Promise<void> {
    for (let poll = 0; poll < POLLS; poll++) {
      if ((await this.#safe(context, { op: "get", id: fork.id }, fork.marker)).item === undefined) return;
      await context.sleep(POLL_MS);
    }
    throw failure("NOT_READY", `"${fork.name}" does not go away`, true);
  }

  async #removeStaged(context: Context, name: string, of: Marker): Promise<void> {
    const { item } = await this.#safe(context, { op: "find", name: stagedName(name) }, of);
    if (item === undefined) return;
    const marker = await this.#markerOf(context, item);
    if (marker === undefined || !isSameHolder(marker, of)) throw failure("FOREIGN", `"${item.name}" is not ours`);
    await this.#safe(context, { op: "delete", id: item.id }, of);
    await this.#untilGone(context, forkOf(item, marker));
  }

  /** What is safe to repeat is repeated. */
  async #safe(context: Context, request: Request, of: Pick<Marker, "env" | "resource">): Promise<Answer> {
    for (let attempt = 1;; attempt++) {
      try {
        return await this.#once(context, request, of);
      } catch (error) {
        if (attempt === 3 || context.signal.aborted || !(error as ForkstackError).retryable) throw error;
      }
      await context.sleep(100 * attempt);
    }
  }

  async #once(context: Context, request: Request, of: Pick<Marker, "env" | "resource">): Promise<Answer> {
    context.signal.throwIfAborted();
    if (isMutation(request)) await context.fence(); // as the one HTTP client does
    return await this.#send(request, of);
  }
}

function stagedName(name: string): string {
  return `${name}--next`;
}

function forkOf(item: Shown, marker: Marker): Fork {
  return { id: item.id, name: item.name, marker, createdAt: instantOf(item.createdMs), copy: "copy-on-write" };
}

function isSameHolder(one: Marker, other: Marker): boolean {
  const isOneRegistry = one.registry === undefined || other.registry === undefined || one.registry === other.registry;
  return one.stack === other.stack && one.env === other.env && one.resource === other.resource && isOneRegistry;
}

function failure(code: ErrorCode, message: string, retryable = code === "NOT_READY"): ForkstackError {
  return new ForkstackError(code, message, { retryable, hint: "" });
}
