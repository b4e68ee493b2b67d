/** A provider on its emulator for the tests beside the suite: with the real HTTP client, and a journal. */
import assert from "node:assert/strict";
import { inspect as show } from "node:util";
import * as v from "npm:valibot@1.5.0";
import { memory } from "../../core/system/memory.ts";
import { httpClient } from "../../core/http/client.ts";
import { type Context, type Fork, type Marker, type Provider, Secret, type Target } from "../../core/provider.ts";
import { isForkstackError, resourceTitle } from "../../mod.ts";
import type { Given, World } from "../conformance.ts";
import type { Served } from "../emulators/serve.ts";
import { heldTo, type Specification } from "../emulators/specification.ts";
import { ledgerOf } from "../helpers.ts";

/**
 * What the worlds of all emulators of an HTTP API have in common. Provider and emulator are held to the specification, if
 * there is one.
 */
export function apiWorld(
  server: Served,
  { isOverHttp }: Pick<Given, "isOverHttp">,
  specification?: Specification,
): Pick<World, "project" | "root" | "options" | "context" | "parent" | "absentParent" | "violations"> {
  const held = heldTo(specification, (request) => isOverHttp ? fetch(request) : server.answer(request));
  return {
    project: "myapp",
    root: "/nowhere",
    options: { endpoint: server.url },
    violations: held.violations,
    context: {
      files: {} as World["context"]["files"],
      fetch: async (request) =>
        request.url.startsWith(`${server.url}/`) ? await held.fetch(request) : await fetch(request),
    },
    parent: "myapp",
    absentParent: "no-such-parent",
  };
}

export const BEGUN_AT = new Date().toISOString();

export function shopOf<Options>(
  provider: Provider<Options>,
  credentials: Readonly<Record<string, string>>,
  given: Readonly<Record<string, unknown>>,
) {
  const journal = new Map<string, Marker>();
  const ledger = ledgerOf(journal);
  const warnings: string[] = [];
  const client = httpClient({ tries: 2, sleep: (ms, signal) => pause(Math.min(ms, ms > 20_000 ? ms : 1), signal) });
  const context = (changed: Partial<Context> = {}, other: Readonly<Record<string, string>> = {}): Context => ({
    fetch: (request) => client(request, { requestIdHeaders: provider.requestIdHeaders }),
    files: {} as Context["files"],
    credentials: Object.fromEntries(
      Object.entries({ ...credentials, ...other }).map(([name, value]) => [name, new Secret(value)]),
    ),
    signal: new AbortController().signal,
    now: () => new Date(),
    sleep: () => pause(0),
    markerOf: () => undefined,
    once: memory(),
    ...ledger,
    warn: (text) => void warnings.push(text),
    progress: () => {},
    confirm: () => Promise.reject(new Error("nobody can be asked")),
    ...changed,
  });
  const scope = (more: object = {}) => ({
    options: v.parse(provider.options as unknown as v.GenericSchema<unknown, Options>, { ...given, ...more }),
    project: "shop",
    stack: "shop",
    resource: provider.kind,
    root: "/nowhere",
  });
  const target = (env: string, more: Partial<Target<Options>> = {}, options?: object): Target<Options> => ({
    ...scope(options),
    name: resourceTitle(provider.kind, "shop", env),
    parent: "shop",
    marker: { stack: "shop", env, resource: provider.kind, operation: `make ${env}` },
    begunAt: BEGUN_AT,
    ...more,
  });
  const create = async (at: Target<Options>, with_: Context = context()): Promise<Fork> => {
    journal.set(at.name, at.marker);
    return await provider.create(with_, at);
  };
  return { journal, warnings, context, scope, target, create };
}

/** A timer that ends with its signal. */
async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  const { setTimeout } = await import("node:timers/promises");
  await setTimeout(ms, undefined, signal ? { signal } : {});
}

/** Of a refusal: its code, a hint, what it says in message, cause and hint, the request's id, and no secret. */
export async function assertRefused(
  work: () => Promise<unknown>,
  code: string,
  says: RegExp,
  { secrets = [], hasRequestId = true }: { secrets?: readonly string[]; hasRequestId?: boolean } = {},
): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert(isForkstackError(error), show(error));
    assert.equal(error.code, code, show(error));
    assert(error.hint, "it must say what to do next");
    const text = [error.message, (error.cause as Error | undefined)?.message, error.hint].join("\n");
    assert.match(text, says);
    if (hasRequestId) assert.match(String(error.details?.requestId), /^request-\d+$/, show(error));
    for (const secret of secrets) assert(!show(error, { depth: 9 }).includes(secret), text);
    return true;
  });
}

/** The values of outputs, secrets revealed. */
export function plain(outputs: Readonly<Record<string, string | Secret>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, value]) => [name, value instanceof Secret ? value.reveal() : value]),
  );
}
