/** The bucket beside a fork's that a reset fills: a part of the fork, by its mark and its name. */
import { createHash } from "node:crypto";
import type { Context, Fork, Marker } from "../../core/provider.ts";

/** A bucket aside. */
export interface Aside {
  readonly name: string;
  readonly marker: Marker;
}

/** Returns the bucket aside of a fork. Its name follows from the fork's id, which nobody can guess beforehand. */
export function asideOf({ id, name, marker }: Pick<Fork, "id" | "name" | "marker">): Aside {
  const digest = createHash("sha256").update(`${id}\n${name}`).digest("hex").slice(0, 12);
  const aside = `${name.slice(0, 50).replace(/-+$/, "")}-${digest}`; // of 63 characters at most
  return { name: aside, marker: { ...marker, name: aside } };
}

const STEP = "aside: ";

/** Returns the context for work on a bucket aside, whose records are kept apart from those of the fork itself. */
export function asideContext(context: Context, { name }: Pick<Fork, "name">, aside: Aside): Context {
  return {
    ...context,
    record: (step, id) => context.record(STEP + step, id),
    async recorded() {
      const told = await context.recorded(name);
      return told.filter(({ step }) => step.startsWith(STEP))
        .map(({ step, id }) => ({ step: step.slice(STEP.length), id, marker: aside.marker }));
    },
    refused: () => Promise.resolve(), // it says nothing of the fork
  };
}
