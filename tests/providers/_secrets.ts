/** What the tests of secrets providers share: a provider on an emulator, through the real HTTP client. */
import assert from "node:assert/strict";
import { inspect as show } from "node:util";
import * as v from "npm:valibot@1.5.0";
import { memory } from "../../core/system/memory.ts";
import { httpClient } from "../../core/http/client.ts";
import { parseMarker } from "../../core/marker.ts";
import type { Context, Fork, Lease, Marker, Provider, Scope, Target } from "../../core/provider.ts";
import { Secret } from "../../core/provider.ts";
import { ledgerOf } from "../helpers.ts";

export const CANARY = "canary-0123456789";

/** A provider of project "shop" at an emulator, with its own clock. */
export class Shop<Options> {
  readonly journal = new Map<string, Marker>();
  readonly ledger = ledgerOf(this.journal);
  readonly warned: string[] = [];
  /** Milliseconds; waits of the HTTP client and of the provider pass on it alone. */
  now = Date.parse("2026-06-01T00:00:00Z");
  slept = 0;
  readonly provider: Provider<Options>;
  readonly options: object;
  readonly credentials: Readonly<Record<string, string>>;

  constructor(provider: Provider<Options>, options: object, credentials: Readonly<Record<string, string>>) {
    this.provider = provider;
    this.options = options;
    this.credentials = credentials;
  }

  context(credentials: Readonly<Record<string, string>> = this.credentials): Context {
    const sleep = (ms: number) => {
      this.now += ms;
      this.slept += ms;
      return Promise.resolve();
    };
    const pause = (ms: number, signal: AbortSignal) =>
      ms >= 30_000 && ms < 30_001 // the client's own deadline
        ? new Promise<void>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
        : sleep(ms);
    const given = Object.entries(credentials).map(([name, value]) => [name, new Secret(value)]);
    return {
      fetch: httpClient({
        now: () => new Date(this.now),
        sleep: pause,
        secrets: given.map(([, value]) => value as Secret),
      }),
      files: {} as Context["files"],
      credentials: Object.fromEntries(given),
      signal: new AbortController().signal,
      now: () => new Date(this.now),
      sleep,
      markerOf: (name, note) => parseMarker(note, name),
      once: memory(),
      ...this.ledger,
      warn: (text) => void this.warned.push(text),
      progress: () => {},
      confirm: () => Promise.resolve(),
    };
  }

  scope(options: object = {}): Scope<Options> & Lease {
    const schema = this.provider.options as unknown as v.GenericSchema<unknown, Options>;
    return {
      options: v.parse(schema, { ...this.options, ...options }),
      project: "shop",
      stack: "shop",
      resource: "secrets",
      root: "/nowhere",
    };
  }

  target(env: string, more: Partial<Target<Options>> = {}, options?: object): Target<Options> {
    const { name = env } = more;
    const operation = `make ${env}`;
    const marker = { stack: "shop", env, resource: "secrets", operation, name, registry: "0123456789abcdef" };
    const begunAt = new Date(this.now).toISOString();
    return { ...this.scope(options), name, parent: "prod", marker, begunAt, ...more };
  }

  async create(target: Target<Options>, context = this.context()): Promise<Fork> {
    this.journal.set(target.name, target.marker);
    return await this.provider.create(context, target);
  }

  /** A fork's secrets, revealed. */
  async secretsOf(fork: Pick<Fork, "id" | "name">): Promise<Record<string, string>> {
    const all = await this.provider.secrets!.read(this.context(), fork, this.scope());
    return Object.fromEntries(Object.entries(all).map(([key, value]) => [key, value.reveal()]).sort());
  }

  async write(fork: Pick<Fork, "id" | "name">, changes: Readonly<Record<string, string | null>>): Promise<void> {
    const wrapped = Object.entries(changes).map(([key, value]) => [key, value === null ? null : new Secret(value)]);
    await this.provider.secrets!.write(this.context(), fork, this.scope(), Object.fromEntries(wrapped));
  }
}

/** It is refused with this code, says these things and what next, and shows no secret. */
export async function refuses(work: Promise<unknown>, code: string, says: RegExp, hidden = [CANARY]): Promise<void> {
  await assert.rejects(work, (error: Error & { code?: string; hint?: string }) => {
    assert.equal(error.code, code, show(error));
    assert(error.hint, "it must say what to do");
    assert.match([error.message, (error.cause as Error | undefined)?.message, error.hint].join("\n"), says);
    const all = [show(error, { depth: 20 }), JSON.stringify(error), String(error.cause)].join();
    for (const one of hidden) assert(!all.includes(one), "a secret shows");
    return true;
  });
}
