/** PlanetScale's emulator as the conformance suite wants it: full, on either engine. */
import { createHash } from "node:crypto";
import { resourceTitle } from "../../mod.ts";
import type { Emulator, World } from "../conformance.ts";
import { startMariaDb, whyNoMariaDb } from "../emulators/mariadb_server.ts";
import { PlanetScale } from "../emulators/planetscale.ts";
import { type Data, PostgresData, VitessData } from "../emulators/planetscale_data.ts";
import { debianBinaries, npmBinaries, startServer } from "../emulators/postgres_server.ts";
import { serve } from "../emulators/serve.ts";
import type { Specification } from "../emulators/specification.ts";
import { apiWorld } from "./_vendor.ts";

export const CANARY = "canary-in-the-parent-0123456789";
const SEED = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text VARCHAR(100) NOT NULL);" +
  `INSERT INTO notes VALUES (1, '${CANARY}')`;

/** Databases of each engine, or why there are none here. */
export interface Stores {
  readonly vitess: Data | string;
  readonly postgres: Data | string;
}

/** Starts the servers, which end with this process; the name of the database is "shop". */
export async function openStores(): Promise<Stores> {
  const debian = debianBinaries();
  const found = "bin" in debian ? debian : await npmBinaries();
  return {
    vitess: whyNoMariaDb() ?? await VitessData.open(await startMariaDb(), "shop"),
    postgres: "bin" in found ? await PostgresData.open(await startServer(found.bin)) : found.reason,
  };
}

/** Puts what a parent holds into a branch. */
export async function seed(data: Data, branch: string): Promise<void> {
  await data.make(branch);
  await data.run(branch, SEED);
}

/** What all worlds fork: nobody gets a login of it, so that it is made once. */
interface Origin {
  readonly now: string;
  readonly then: string;
  readonly digestThen: string;
}

const ORIGINS = new Map<Data, Promise<Origin>>();
const AT = "2025-12-31T10:00:00.000Z";

async function originOf(data: Data): Promise<Origin> {
  const origin = { now: "origin", then: "origin_then" };
  await data.make(origin.then);
  await data.run(origin.then, SEED.replace(CANARY, "what it held before"));
  await seed(data, origin.now);
  return { ...origin, digestThen: await data.digest(origin.then) };
}

/** `holds`: what a fork must hold of its parent, so that the suite can compare the two. */
export function planetscaleEmulator(
  data: Data,
  holds: "data" | "schema" | "nothing",
  specification?: Specification,
): Emulator {
  const titleOf = (env: string) => resourceTitle("database", "myapp", env);
  return {
    worldsAtOnce: 4,
    async open(given) {
      const { credentials } = given;
      if (!ORIGINS.has(data)) ORIGINS.set(data, originOf(data));
      const origin = await ORIGINS.get(data)!;
      const { PLANETSCALE_SERVICE_TOKEN_ID: id, PLANETSCALE_SERVICE_TOKEN: token } = credentials;
      const planetscale = new PlanetScale({
        organization: "acme",
        database: "shop",
        tokens: { [`${id}:${token}`]: undefined },
        data,
        pageSize: 3,
        unknown: 1,
        restoredIsProduction: true,
      });
      planetscale.now = () => Date.parse("2026-01-01T00:00:00Z");
      const server = await serve(() => planetscale);
      await planetscale.add("main", { id: origin.now }, false);
      planetscale.remember(AT, origin.then);
      for (const near of ["myapp", "myapp-alic", "myapp-alice2", "myapp-alice-2"]) {
        await planetscale.add(near, {}, false);
      }
      const branchOf = (name: string) => planetscale.branches.get(name === "myapp" ? "main" : name)!;
      const contentOf = async (name: string) =>
        holds === "nothing" ? "" : await data.digest(branchOf(name).id, holds === "data");
      const world: World = {
        ...apiWorld(server, given, specification),
        titleOf,
        past: () => Promise.resolve({ at: AT, digest: origin.digestThen }),
        async things() {
          const found = new Map<string, string>();
          for (const { logins, settling: _, ...branch } of planetscale.branches.values()) {
            const isFilled = branch.id === origin.now || planetscale.made.has(branch.id);
            const state = [branch, isFilled ? await data.digest(branch.id) : ""];
            found.set(`${branch.name} ${branch.id}`, createHash("sha256").update(JSON.stringify(state)).digest("hex"));
            for (const { id, name, role } of logins.values()) found.set(`login of ${branch.name} ${id}`, name + role);
          }
          return found;
        },
        contentOf,
        change: (name) => data.run(branchOf(name).id, "CREATE TABLE mine (x INTEGER)"),
        // With contents it is one that was restored from the default branch, as a fork with data is.
        placeForeign: async (name, as) => {
          const isFull = !as?.isEmpty && holds === "data";
          await planetscale.add(name, { restoredFrom: isFull ? planetscale.branches.get("main")! : null }, false);
        },
        pageSize: 3,
        canaries: () => [CANARY, ...planetscale.secrets],
        async close() {
          await server.close();
          await planetscale.close();
        },
      };
      return world;
    },
  };
}
