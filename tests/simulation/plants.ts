/**
 * Bugs that the simulation must find, put in by changing what the engine is given, never the engine.
 */
import type { Fork, Inspection, Target } from "../../core/provider.ts";
import type { Registry } from "../../core/state/registry.ts";
import type { Statement } from "../../core/state/sql.ts";
import type { Plant } from "./simulation.ts";
import type { ResourceRow } from "../../core/state/records.ts";

/** By name. */
export const PLANTS: Readonly<Record<string, Plant>> = {
  /** Calls are sent before anything says so: neither the journal's intent nor the resource's row is written. */
  "no-intent": {
    statements: (all) => kept(all, (one) => !isIntent(one) && !isUnfinishedRow(one)),
  },
  /** What was made first is removed first. */
  "forward-undo": {
    registry: (registry) =>
      replaced(
        registry,
        "resources",
        async (env: string) => Forward.from(await registry.resources(env)) as ResourceRow[],
      ),
  },
  /** A write of one whose lock was taken over is let through. */
  "no-fencing": {
    statements: (all) => kept(all, ([sql]) => !sql.startsWith("INSERT INTO fence")),
  },
  /** Whatever bears the name counts as ours. */
  "adopt-by-name": {
    provider: (provider) => ({
      ...provider,
      inspect: async (context, target) => adopted(await provider.inspect(context, target), target),
      create: async (context, target) => {
        const seen = await provider.inspect(context, target);
        if (seen.state !== "foreign") return await provider.create(context, target);
        const found = adopted(seen, target);
        return (found as { fork: Fork }).fork;
      },
    }),
  },
  /** Whatever stands there after the intent counts as this run's work. */
  "adopt-on-rerun": {
    provider: (provider) => ({
      ...provider,
      inspect: async (context, target) => {
        const seen = await provider.inspect(context, target);
        return target.isResumed ? adopted(seen, target) : seen;
      },
      delete: (context, fork, scope) =>
        provider.delete(
          {
            ...context,
            recorded: () => Promise.resolve([{ step: "", id: fork.id, marker: fork.marker }]),
          },
          fork,
          scope,
        ),
    }),
  },
  /** The title of a row is taken for what it says: a lying registry names what it likes. */
  "trust-title": {
    liar: "registry",
    registry: (registry, lie) =>
      replaced(registry, "resources", async (env: string) => (await registry.resources(env)).map(lie)),
  },
  /** A call that no answer came to counts as done, and what it was about as gone. */
  "delete-unasked": {
    provider: (provider) => ({
      ...provider,
      delete: (context, fork, scope) => provider.delete(context, fork, scope).catch(() => "absent" as const),
    }),
  },
};

/** The same list where nothing is left out, so that rows need not be matched again. */
function kept(all: readonly Statement[], isKept: (statement: Statement) => boolean): readonly Statement[] {
  return all.every(isKept) ? all : all.filter(isKept);
}

function isIntent([sql, ...args]: Statement): boolean {
  return sql.startsWith("INSERT INTO journal") && args[4] === "intent";
}

function isUnfinishedRow([sql, ...args]: Statement): boolean {
  return sql.startsWith("INSERT OR REPLACE INTO resources") && args[6] === "creating";
}

/** An array that stays in its order when it is asked to turn round. */
class Forward<Item> extends Array<Item> {
  override toReversed(): this {
    return this;
  }
}

function replaced<Key extends keyof Registry>(registry: Registry, key: Key, by: Registry[Key]): Registry {
  return new Proxy(registry, {
    get(on, asked) {
      if (asked === key) return by;
      const value = on[asked as keyof Registry] as unknown;
      return typeof value === "function" ? value.bind(on) : value;
    },
  });
}

function adopted(seen: Inspection, target: Target<unknown>): Inspection {
  if (seen.state !== "foreign") return seen;
  const { id } = seen;
  return {
    state: "ready",
    fork: { id, name: target.name, marker: target.marker, createdAt: "2026-01-01T00:00:00.000Z" },
  };
}
