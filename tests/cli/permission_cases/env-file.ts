import type { Case } from "./_case.ts";

export const cases: readonly Case[] = [
  { kind: "secrets", name: "env-file", open: () => Promise.resolve({}) },
];
