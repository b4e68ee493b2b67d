/** Supabase's emulator as the conformance suite wants it: full. */
import { createHash } from "node:crypto";
import { resourceTitle } from "../../mod.ts";
import type { Emulator, World } from "../conformance.ts";
import { debianBinaries, npmBinaries, type Server, startServer } from "../emulators/postgres_server.ts";
import { serve } from "../emulators/serve.ts";
import type { Specification } from "../emulators/specification.ts";
import { type Branch, Supabase } from "../emulators/supabase.ts";
import { contentIn, type Prepared } from "../emulators/supabase_databases.ts";
import { apiWorld } from "./_vendor.ts";

const debian = debianBinaries();
const found = "bin" in debian ? debian : await npmBinaries();
/** PostgreSQL, whichever version is there; a type that lies where there is none, but then no test runs. */
export const server = ("bin" in found ? await startServer(found.bin) : undefined) as Server;
/** Why no test of Supabase can run. */
export const whyNoServer = "reason" in found ? found.reason : undefined;

/** The ref of the project. */
export const PROJECT = "abcdefghijklmnopqrst";
const CANARY = "canary-in-the-parent-0123456789";
/** A table without rows. */
export const NOTES = "CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL)";
/** What the project holds. */
export const SEED = `${NOTES}; INSERT INTO notes (text) VALUES ('${CANARY}')`;

const titleOf = (env: string) => resourceTitle("database", "myapp", env);

const PREPARED = new Map<string, Promise<Prepared>>();

/** A database for all worlds of a seed: making one for each is what the suite would spend most of its time with. */
function prepare(seed: string): Promise<Prepared> {
  const database = `prepared_${PREPARED.size}`;
  const made = PREPARED.get(seed) ?? server.query(`CREATE DATABASE ${database}`).then(async () => {
    await server.query(seed, database);
    return { database, content: await contentIn(server, database) };
  });
  PREPARED.set(seed, made);
  return made;
}

/** What the suite can't show of it. */
export const SKIP = {
  "makes an empty fork if asked for one": "a branch has its project's migrations: a test of its own shows the refusal",
};

/** A project whose migrations make its table, but not its rows. */
export function supabaseEmulator(
  { seed = SEED, specification }: { seed?: string; specification?: Specification } = {},
): Emulator {
  return {
    worldsAtOnce: 4,
    async open(given) {
      const { credentials } = given;
      const supabase = new Supabase({
        server,
        projectRef: PROJECT,
        tokens: { [credentials.SUPABASE_ACCESS_TOKEN!]: undefined },
        password: credentials.SUPABASE_DB_PASSWORD!,
        migrations: [NOTES],
        prepared: await prepare(seed),
      });
      const listening = await serve(() => supabase);
      for (const near of ["alic", "alice2", "alice-2", "alice-bucket"]) supabase.add(titleOf(near));
      supabase.add("myapp"); // bears the title of the project, which is another
      supabase.add(titleOf("carol"), { persistent: true });
      const named = (name: string): Branch => name === "myapp" ? supabase.project : supabase.find(name)!;
      const world: World = {
        ...apiWorld(listening, given, specification),
        titleOf,
        async things() {
          const found = new Map<string, string>();
          for (const branch of [supabase.project, ...supabase.branches.values()]) {
            const { name, ref, isDefault, persistent, withData, deletionScheduledAt } = branch;
            const told = JSON.stringify([isDefault, persistent, withData, deletionScheduledAt]);
            const content = await supabase.contentOf(branch);
            found.set(`${name} ${ref}`, createHash("sha256").update(told).update(content).digest("hex"));
          }
          return found;
        },
        contentOf: (name) => supabase.contentOf(named(name)),
        change: (name) => supabase.change(named(name), "CREATE TABLE mine (x int); INSERT INTO mine VALUES (1)"),
        placeForeign: (name, as) => Promise.resolve(void supabase.add(name, { withData: !as?.isEmpty })),
        canaries: () => [CANARY, ...supabase.canaries()],
        async close() {
          await listening.close();
          await supabase.close();
        },
      };
      return world;
    },
  };
}
