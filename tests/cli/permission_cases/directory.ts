import type { Case } from "./_case.ts";

export const cases: readonly Case[] = [
  {
    kind: "local",
    name: "directory",
    async open(_defer, place) {
      await place.write("shop.prod.db/data", "of prod");
      return {};
    },
  },
];
