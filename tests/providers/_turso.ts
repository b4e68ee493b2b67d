/** Turso's emulator as the conformance suite wants it: full. */
import { createHash } from "node:crypto";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { resourceTitle } from "../../mod.ts";
import type { Emulator, World } from "../conformance.ts";
import { serve } from "../emulators/serve.ts";
import type { Specification } from "../emulators/specification.ts";
import { Turso } from "../emulators/turso.ts";
import { temporaryDirectory } from "../helpers.ts";
import { dump } from "./_embedded.ts";
import { apiWorld } from "./_vendor.ts";

const CANARY = "canary-in-the-parent-0123456789";
const titleOf = (env: string) => resourceTitle("database", "myapp", env);

/** A SQLite file that holds something. */
export function seedFile(path: string, text = CANARY): void {
  const database = new DatabaseSync(path);
  database.exec("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)");
  database.prepare("INSERT INTO notes (text) VALUES (?)").run(text);
  database.close();
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** An organization with the shortest slug: the names at the limit are as long as any may be. */
export function tursoEmulator(specification?: Specification): Emulator {
  return {
    worldsAtOnce: 4,
    async open(given) {
      const { credentials } = given;
      const directory = temporaryDirectory();
      const seed = join(directory.path, "seed.db");
      seedFile(seed);
      const untouched = dump(seed);
      const turso = new Turso({
        organization: "o",
        tokens: { [credentials.TURSO_API_TOKEN!]: undefined },
        groups: ["default", "other"],
        pageSize: 3,
      });
      const server = await serve(() => turso);
      turso.host = server.host;
      const older = join(directory.path, "older.db");
      seedFile(older, "what it held before");
      const at = "2025-12-31T10:00:00.000Z";
      const parent = turso.add("myapp", older);
      turso.keep("myapp", at);
      copyFileSync(seed, parent.path);
      for (const near of ["alic", "alice2", "alice-2", "alice-bucket"]) turso.add(titleOf(near), seed);
      turso.add(titleOf("carol"), turso.databases.get("myapp"), "other");
      // Reading a file costs more than all else here, and most are never written to.
      const contentOf = (name: string) => {
        const { handler, path, parent } = turso.databases.get(name)!;
        return handler === undefined && parent === null ? untouched : dump(path);
      };
      const world: World = {
        ...apiWorld(server, given, specification),
        titleOf,
        past: () => Promise.resolve({ at, digest: dump(older) }),
        things: () =>
          Promise.resolve(
            new Map([...turso.databases.values()].map(({ id, name, group, parent, protected: isProtected }) => [
              `${name} ${id}`,
              digest(JSON.stringify([group, parent, isProtected, contentOf(name)])),
            ])),
          ),
        contentOf: (name) => Promise.resolve(contentOf(name)),
        change(name) {
          const database = new DatabaseSync(turso.databases.get(name)!.path);
          database.exec("CREATE TABLE mine (x); INSERT INTO mine VALUES (1)");
          database.close();
          return Promise.resolve();
        },
        placeForeign: (name, as) => Promise.resolve(void turso.add(name, as?.isEmpty ? undefined : seed)),
        pageSize: 3,
        canaries: () => [CANARY, ...turso.dataTokens.keys()],
        async close() {
          await server.close();
          await turso.close();
          directory[Symbol.dispose]();
        },
      };
      return world;
    },
  };
}
