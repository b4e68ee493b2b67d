/**
 * The common part of providers whose vendors store no note: the registry keeps the owner of a fork, by the id from the
 * vendor's own answer.
 */
import type { Context, Fork, Inspection, Marker, Scope, Target } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { foreignError, holder, isOthers, isSameHolder, others, recordedOwner } from "./ownership.ts";

/** Functions that read a vendor's things as forks. */
export interface Recording<Thing, Options> {
  /** The provider's name in forkstack.json. */
  readonly provider: string;
  /** The vendor's name, e.g. `"Turso"`. */
  readonly label: string;
  /** Lists all things that may be forks, from all pages. */
  readonly all: (context: Context, scope: Scope<Options>) => AsyncIterable<Thing>;
  readonly idOf: (thing: Thing) => string;
  /** Returns the fork's name that a thing has, or will get once it is complete. */
  readonly namesOf: (thing: Thing) => Iterable<string>;
  readonly forkOf: (thing: Thing, of: RecordedThing) => Fork;
  /** A thing that somebody gave another name at the vendor is left, and told: it may be kept for something else. */
  readonly leavesRenamed?: boolean;
  /** Returns the owner of a thing under a fork's name. @default {by its id on record} */
  readonly ownerOf?: (context: Context, name: string, thing: Thing) => Promise<Marker | undefined>;
}

/** The parts of a fork that the vendor does not know. */
export interface RecordedThing {
  readonly name: string;
  readonly marker: Marker;
  /** Its time of creation if the vendor tells none: RFC 3339, UTC. */
  readonly since: string;
}

/** The provider methods that are the same for all such vendors. */
export interface Records<Thing, Options> {
  /** The reason for a foreign thing that no record names. */
  readonly unknown: string;
  ownerOf(context: Context, name: string, thing: Thing): Promise<Marker | undefined>;
  /** Returns the result of `inspect` for the thing at the target's place and its owner. */
  inspection(
    target: Target<Options>,
    thing: Thing,
    owner: Marker | undefined,
    state?: "pending" | "ready" | "deleting",
  ): Inspection;
  /** Returns the result of `inspect` for a fork that somebody gave another name, if such a one is left. */
  renamed(target: Pick<Target<Options>, "name">, thing: Thing): Extract<Inspection, { state: "foreign" }> | undefined;
  /** Throws for a thing that this run did not create. */
  assertWanted(target: Target<Options>, owner: Marker | undefined, what: string, cause?: unknown): void;
  /**
   * Throws for a thing that is not the fork, or is left because it was renamed, before its deletion; `why`: a reason
   * from the vendor, which takes precedence.
   */
  assertOurs(
    context: Context,
    scope: Scope<Options>,
    fork: Fork,
    thing: Thing,
    what: string,
    why?: string,
  ): Promise<Marker>;
  /** Implements `Provider.list`. */
  list(context: Context, scope: Scope<Options>): AsyncIterable<Fork>;
  /** The error for a thing that is not ours; `what` as in `make database "x": why`. */
  foreign(scope: Scope<Options>, what: string, cause?: unknown): ForkstackError;
}

/** Creates these methods for one vendor. */
export function recorded<Thing, Options>(recording: Recording<Thing, Options>): Records<Thing, Options> {
  const { provider, label, all, idOf, namesOf, forkOf, leavesRenamed = false } = recording;
  const { ownerOf = (context, name, thing) => recordedOwner(context, name, idOf(thing)) } = recording;
  const unknown = `no answer of ${label}'s on record says that forkstack made it`;
  const foreign = ({ resource }: Scope<Options>, what: string, cause?: unknown) =>
    foreignError({ provider, resource }, what, cause);
  const renamed = ({ name }: Pick<Target<Options>, "name">, thing: Thing) => {
    const [now] = namesOf(thing);
    if (!leavesRenamed || now === name) return undefined;
    return { state: "foreign", id: idOf(thing), reason: `it bears the name "${now}" by now` } as const;
  };
  return {
    unknown,
    ownerOf,
    foreign,
    renamed,
    inspection({ name, marker, begunAt }, thing, owner, state = "ready") {
      if (owner === undefined) return { state: "foreign", id: idOf(thing), reason: unknown };
      if (!isSameHolder(owner, marker)) return others(idOf(thing), owner);
      return { state, fork: forkOf(thing, { name, marker: owner, since: begunAt }) };
    },
    assertWanted(target, owner, what, cause) {
      const reason = isOthers(owner, target.marker, unknown);
      if (reason !== undefined) throw foreign(target, `${what}: ${reason}`, cause);
    },
    async assertOurs(context, scope, fork, thing, what, why) {
      const owner = await ownerOf(context, fork.name, thing);
      if (why !== undefined) throw foreign(scope, `${what}: ${why}`);
      if (owner === undefined) throw foreign(scope, `${what}: ${unknown}`);
      if (!isSameHolder(owner, fork.marker)) throw foreign(scope, `${what}: ${holder(owner)}`);
      const left = renamed(fork, thing);
      if (left === undefined) return owner;
      throw new ForkstackError("FOREIGN", `Cannot ${what}: ${left.reason}`, {
        hint:
          `${label} still has it, id ${left.id}, with all its data: name it "${fork.name}" again or delete it there`,
        details: { provider, resource: scope.resource },
      });
    },
    async *list(context, scope) {
      for await (const thing of all(context, scope)) {
        for (const name of new Set(namesOf(thing))) {
          const marker = await ownerOf(context, name, thing);
          if (marker?.stack !== scope.stack || marker.resource !== scope.resource) continue;
          yield forkOf(thing, { name, marker, since: context.now().toISOString() });
          break;
        }
      }
    },
  };
}
