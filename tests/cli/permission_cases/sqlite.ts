import type { Case } from "./_case.ts";

export const cases: readonly Case[] = [
  { kind: "database", name: "sqlite", open: () => Promise.resolve({}) },
];
