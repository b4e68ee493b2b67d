/**
 * The conformance suite on a real vendor: `FORKSTACK_LIVE=turso deno task test:live`.
 *
 * It makes forks of `FORKSTACK_LIVE_PARENT`, an empty or unimportant resource of an account for tests, and deletes them
 * again; nothing else is written. Further options, as in forkstack.json: `FORKSTACK_LIVE_OPTIONS='{"organization":"acme"}'`.
 */
import { memory } from "../../core/system/memory.ts";
import assert from "node:assert/strict";
import process from "node:process";
import * as v from "npm:valibot@1.5.0";
import { parseMarker } from "../../core/marker.ts";
import { httpClient } from "../../core/http/client.ts";
import type { Context, Fork, Marker, Provider, Target } from "../../core/provider.ts";
import { Secret } from "../../core/secret.ts";
import { resourceTitle } from "../../mod.ts";
import { PROVIDERS } from "../../providers/mod.ts";
import { type Emulator, testProvider, type World } from "../conformance.ts";
import { changeBy, digestOf } from "./content.ts";
import { ledgerOf } from "../helpers.ts";

/** What a vendor has no call for, so that only an emulator can do it. */
const NEEDS_AN_EMULATOR = {
  "delete() leaves a fork whose marker changed hands": "no vendor lets another's mark be put in the place of ours",
  "the vendor ends a lease if capabilities.nativeExpiry claims it": "a vendor's clock can't be set",
  "forks the parent's past if capabilities.pointInTime claims it": "a parent's past can't be made in a test run",
  "secrets stay inside": "the vendor's own secrets are not known here",
};

const { name, provider, options, parent, lacking } = await wanted();

if (provider === undefined || lacking.length > 0) {
  Deno.test(`live: ${name || "a provider"}`, () => {
    throw new Error(
      provider === undefined
        ? `FORKSTACK_LIVE must name a provider; it is "${name}"`
        : `A live run of ${name} needs ${lacking.join(", ")}`,
    );
  });
} else {
  testProvider({ provider, emulator: live(provider, options, parent!), options, skip: skipped(provider) });
}

async function wanted() {
  const name = process.env.FORKSTACK_LIVE ?? "";
  const load = Object.values(PROVIDERS).map((providers) => providers[name]).find((found) => found !== undefined);
  const provider = (await load?.())?.default;
  const options = JSON.parse(process.env.FORKSTACK_LIVE_OPTIONS ?? "{}") as Record<string, unknown>;
  const parent = process.env.FORKSTACK_LIVE_PARENT;
  const credentials = provider?.credentials.filter(({ required }) => required).map(({ variable }) => variable) ?? [];
  const lacking = [...credentials, "FORKSTACK_LIVE_PARENT"].filter((variable) => !process.env[variable]);
  return { name, provider, options, parent, lacking };
}

/** Cases that stand on a claim which the provider does not make pass as they are. */
function skipped({ capabilities }: Provider): Record<string, string> {
  const claimed: Record<string, boolean> = {
    "the vendor ends a lease if capabilities.nativeExpiry claims it": capabilities.nativeExpiry,
    "forks the parent's past if capabilities.pointInTime claims it": capabilities.pointInTime,
  };
  return Object.fromEntries(Object.entries(NEEDS_AN_EMULATOR).filter(([name]) => claimed[name] !== false));
}

/** The account in the place of an emulator. Each world has a project of its own, so that runs do not meet. */
function live(provider: Provider, options: Record<string, unknown>, parent: string): Emulator {
  return {
    open({ stack, resource }) {
      const project = `fs${crypto.randomUUID().slice(0, 8)}`;
      const credentials = credentialsOf(provider);
      const client = httpClient({ secrets: Object.values(credentials) });
      const { requestIdHeaders } = provider;
      const own = {
        fetch: (request: Request) => client(request, { requestIdHeaders }),
        files: {} as Context["files"],
        credentials,
        now: () => new Date(),
        sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
      };
      const checked = v.parse(provider.options as v.GenericSchema, options);
      const scope = { options: checked, project, stack, resource, root: process.cwd() };
      const ofRun = { // what bears the run's own project is the run's
        get: (name: string) => name.startsWith(project) ? { stack, env: "any", resource, operation: "any" } : undefined,
      };
      const made = new Set<string>();
      const context: Context = {
        ...own,
        signal: new AbortController().signal,
        markerOf: (name, note) => parseMarker(note, name),
        ...ledgerOf(ofRun),
        recorded: (name) => {
          const marker = ofRun.get(name);
          return Promise.resolve(marker === undefined ? [] : [...made].map((id) => ({ step: "create", id, marker })));
        },
        once: memory(),
        warn: () => {},
        progress: () => {},
        confirm: () => Promise.resolve(),
      };
      const targetOf = (name: string, marker: Marker): Target<unknown> => {
        const begunAt = new Date(Date.now() - 60_000).toISOString();
        return { ...scope, stack: marker.stack, name, parent, marker, begunAt };
      };
      const outputsOf = async (name: string) => {
        const seen = await provider.inspect(
          context,
          targetOf(name, ofRun.get(name) ?? ofRun.get(project)!),
        );
        assert(seen.state !== "absent", `${name} is not there`);
        const held = { id: "fork" in seen ? seen.fork.id : seen.id, name };
        return await provider.outputs(context, held, scope);
      };
      const foreign: Fork[] = [];
      const world: World = {
        options,
        project,
        root: scope.root,
        context: own,
        parent,
        absentParent: `${project}-nobody`,
        onRecord: (id) => void made.add(id),
        titleOf: (env) => resourceTitle(provider.kind, project, env),
        async things() {
          const all = [...await Array.fromAsync(provider.list(context, scope)), ...foreign];
          return new Map(all.map(({ name, id }) => [`${name} ${id}`, "there"]));
        },
        contentOf: async (name) => digestOf(await outputsOf(name)),
        change: async (name) => await changeBy(await outputsOf(name)),
        async placeForeign(name, { isEmpty } = {}) {
          const marker = { stack: `${stack}-other`, env: "other", resource, operation: "another" };
          const its: Context = { ...context, ...ledgerOf({ get: () => marker }) }; // none of this run's records
          // Not of our parent, which some vendors' forks are known by.
          foreign.push(await provider.create(its, { ...targetOf(name, marker), parent: undefined }));
          if (!isEmpty) await changeBy(await provider.outputs(context, foreign.at(-1)!, scope));
        },
        async close() {
          const left = [...foreign, ...await Array.fromAsync(provider.list(context, scope))];
          for (const fork of left.filter(({ name }) => name.startsWith(project))) {
            const { id, marker } = fork;
            const recorded = () => Promise.resolve([{ step: "create", id, marker }]);
            const its: Context = { ...context, markerOf: () => marker, recorded };
            await provider.delete(its, fork, { ...scope, stack: fork.marker.stack });
          }
        },
      };
      return Promise.resolve(world);
    },
  };
}

function credentialsOf(provider: Provider): Record<string, Secret> {
  const set = provider.credentials.filter(({ variable }) => process.env[variable]);
  return Object.fromEntries(set.map(({ variable }) => [variable, new Secret(process.env[variable]!)]));
}
