/** Neon's emulator as the conformance suite wants it: full, on one PostgreSQL server. */
import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import postgres from "npm:postgres@3.4.9";
import { formatMarker, parseMarker } from "../../core/marker.ts";
import { httpClient } from "../../core/http/client.ts";
import { resourceTitle } from "../../mod.ts";
import type { Emulator, World } from "../conformance.ts";
import { type Branch, Neon, type NeonOptions } from "../emulators/neon.ts";
import { npmBinaries, type Server, startServer } from "../emulators/postgres_server.ts";
import { serve } from "../emulators/serve.ts";
import { heldTo, type Specification } from "../emulators/specification.ts";
import { STARTED_AT } from "../world.ts";

const CANARY = "canary-in-the-parent-0123456789";
/** What a parent holds. */
export const NOTES = `CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL);
  INSERT INTO notes (text) VALUES ('${CANARY}')`;
const EARLIER = "CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL)";
const titleOf = (env: string) => resourceTitle("database", "myapp", env);

const binaries = await npmBinaries();
/** Why there is no PostgreSQL 18 here. */
export const whyNot = "reason" in binaries ? binaries.reason : undefined;
/** One PostgreSQL for a file of tests; it ends with the process. */
export const server: Server | undefined = "bin" in binaries ? await startServer(binaries.bin) : undefined;

/** Waits for nothing but deadlines. */
export function quickClient(fetch?: (request: Request) => Promise<Response>): (request: Request) => Promise<Response> {
  return httpClient({
    ...(fetch ? { fetch } : {}),
    tries: 1,
    sleep: (ms, signal) => ms < 30_000 ? Promise.resolve() : delay(ms, undefined, { signal }),
  });
}

/** Runs statements as an application does. */
// deno-lint-ignore no-explicit-any -- a row is what the statement asks for
export async function ask(url: string, text: string): Promise<any[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return [...await sql.unsafe(text)];
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** A project whose default branch holds something else than a while ago, with look-alikes and other stacks' forks. */
export function neonEmulator(changed: Partial<NeonOptions> = {}, specification?: Specification): Emulator {
  return {
    worldsAtOnce: 4,
    async open({ stack, resource, credentials, isOverHttp }) {
      let now = STARTED_AT;
      const neon = new Neon(server!, {
        keys: { [credentials.NEON_API_KEY!]: {} },
        pageSize: 3,
        settling: 1,
        ...changed,
      });
      neon.now = () => now;
      const served = await serve(() => neon);
      const held = heldTo(specification, (request) => isOverHttp ? fetch(request) : served.answer(request));
      now -= 2 * 3_600_000;
      const before = await neon.add("before", { databases: { neondb: EARLIER } });
      const main = await neon.add("main", { isDefault: true, databases: { neondb: NOTES } });
      const base = await neon.add(titleOf("base"), { parent: main });
      await neon.keep(base, now, before);
      now += 3_600_000;
      const noted = (one: { stack: string; resource: string; env: string }) => ({
        forkstack: formatMarker({ operation: "long ago", ...one }),
      });
      for (const near of ["alic", "alice2", "alice-2", "alice-bucket"]) await neon.add(titleOf(near), { parent: main });
      await neon.add(titleOf("carol"), {
        parent: main,
        annotation: noted({ stack: "another", resource, env: "carol" }),
      });
      await neon.add(titleOf("dave"), {
        parent: main,
        annotation: noted({ stack, resource: "another.resource", env: "dave" }),
      });
      await neon.add("somebody", { parent: main, annotation: { forkstack: "not a marker", "git-ref": "main" } });
      now = STARTED_AT;
      const digest = (branch: Branch) => neon.digest(branch);
      const named = (name: string) => name === titleOf("prod") ? main : neon.branch(name);
      const world: World = {
        project: "myapp",
        root: "/nowhere",
        options: { endpoint: served.url },
        context: {
          files: {} as World["context"]["files"],
          markerOf: (name, note) => parseMarker(note, name),
          fetch: quickClient(held.fetch),
        },
        violations: held.violations,
        parent: titleOf("base"),
        absentParent: "no-such-parent",
        titleOf,
        past: async () => ({ at: new Date(now - 5_400_000).toISOString(), digest: await digest(before) }),
        async things() {
          const all = [...neon.branches.values()].map(async (one) => {
            const { id, name, annotation, isProtected, isDefault, expiresAt, parentId } = one;
            const state = [annotation, isProtected, isDefault, expiresAt, parentId, await digest(one)];
            return [`${name} ${id}`, createHash("sha256").update(JSON.stringify(state)).digest("hex")] as const;
          });
          return new Map(await Promise.all(all));
        },
        contentOf: (name) => digest(named(name)),
        async change(name) {
          await ask(neon.uriOf(named(name)), "CREATE TABLE mine (x int); INSERT INTO mine VALUES (1)");
        },
        // An annotation is a part of the branch: whoever copies it writes it into a create of their own.
        placeForeign: async (name, as) => {
          const annotation = as?.markOf === undefined ? {} : { ...neon.branch(as.markOf).annotation };
          const content = as?.isEmpty ? { databases: { neondb: "" } } : { parent: main };
          await neon.add(name, { ...content, annotation });
        },
        rehand: (fork, marker) => {
          neon.branches.get(fork.id)!.annotation = { forkstack: formatMarker(marker) };
          return Promise.resolve();
        },
        advance: (ms) => Promise.resolve(void (now += ms)),
        pageSize: 3,
        canaries: () => [CANARY, ...neon.passwords],
        async close() {
          await served.close();
          await neon.close();
        },
      };
      return world;
    },
  };
}
