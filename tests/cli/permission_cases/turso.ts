import { join } from "node:path";
import { startTurso } from "../../emulators/turso.ts";
import { seedFile } from "../../providers/_turso.ts";
import type { Case } from "./_case.ts";

export const cases: readonly Case[] = [
  {
    kind: "database",
    name: "turso",
    async open(defer, place) {
      const token = "header.platform-canary.token";
      const turso = defer(await startTurso({ organization: "acme", tokens: { [token]: undefined } }));
      seedFile(join(place.above, "seed.db"));
      turso.add("shop", join(place.above, "seed.db"));
      return { options: { organization: "acme", endpoint: turso.url }, env: { TURSO_API_TOKEN: token } };
    },
  },
];
