import { startDoppler } from "../../emulators/doppler.ts";
import type { Case } from "./_case.ts";

export const cases: readonly Case[] = [
  {
    kind: "secrets",
    name: "doppler",
    async open(defer) {
      const token = "dp.sa.canary-0123456789";
      const doppler = defer(await startDoppler({ project: "shop", tokens: [token] }));
      doppler.config("prd")!.secrets.set("API_KEY", "live");
      return { options: { project: "shop", endpoint: doppler.url }, env: { DOPPLER_TOKEN: token } };
    },
  },
];
