import { startMariaDb, whyNoMariaDb } from "../../emulators/mariadb_server.ts";
import { startPlanetScale } from "../../emulators/planetscale.ts";
import { VitessData } from "../../emulators/planetscale_data.ts";
import { seed as seedBranch } from "../../providers/_planetscale.ts";
import type { Case } from "./_case.ts";

export const cases: readonly Case[] = [
  {
    kind: "database",
    name: "planetscale",
    missing: whyNoMariaDb(),
    async open(defer) {
      const data = defer(await VitessData.open(defer(await startMariaDb()), "store"));
      const scope = { organization: "acme", database: "store" };
      const planetscale = defer(await startPlanetScale({ ...scope, tokens: { "id:token": undefined }, data }));
      const main = await planetscale.add("main", {}, false);
      planetscale.made.add(main.id);
      await seedBranch(data, main.id);
      const env = { PLANETSCALE_SERVICE_TOKEN_ID: "id", PLANETSCALE_SERVICE_TOKEN: "token" };
      return { options: { ...scope, withData: true, endpoint: planetscale.url }, env };
    },
  },
];
