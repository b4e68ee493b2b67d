import { startVault } from "../../emulators/vault.ts";
import type { Case } from "./_case.ts";

export const cases: readonly Case[] = [
  {
    kind: "secrets",
    name: "vault",
    async open(defer) {
      const vault = defer(await startVault({ tokens: { "hvs.canary": Infinity } }));
      vault.put("shop/prod/A", { value: "live" });
      return { options: { endpoint: vault.url }, env: { VAULT_TOKEN: "hvs.canary" } };
    },
  },
];
