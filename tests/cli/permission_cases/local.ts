import type { Case } from "./_case.ts";

export const cases: readonly Case[] = [
  { kind: "storage", name: "local", open: () => Promise.resolve({}) },
];
