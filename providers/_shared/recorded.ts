/**
 * Forks at vendors that store no note of ours: whose a thing is says the registry, which has the id from the vendor's own
 * answer. What the providers of such vendors do alike is built here.
 */
import type { Context, Fork, Inspection, Marker, Scope, Target } from "../../core/provider.ts";
import type { ForkstackError } from "../../mod.ts";
import { foreignError, holder, isOthers, isSameHolder, others, recordedOwner } from "./ownership.ts";

/** How a vendor's things become forks. */
export interface Recording<Thing, Options> {
  /** The provider's name in forkstack.json. */
  readonly provider: string;
  /** The vendor's own, e.g. `"Turso"`. */
  readonly label: string;
  /** Every thing that may be a fork, all pages. */
  readonly all: (context: Context, scope: Scope<Options>) => AsyncIterable<Thing>;
  readonly idOf: (thing: Thing) => string;
  /** The fork's name that a thing has, or is to get once it is whole. */
  readonly namesOf: (thing: Thing) => Iterable<string>;
  readonly forkOf: (thing: Thing, of: RecordedThing) => Fork;
  /** Whose a thing is, under a fork's name. @default {by its id on record} */
  readonly ownerOf?: (context: Context, name: string, thing: Thing) => Promise<Marker | undefined>;
}

/** The parts of a fork that the vendor does not know. */
export interface RecordedThing {
  readonly name: string;
  readonly marker: Marker;
  /** Its time of creation where the vendor tells none: RFC 3339, UTC. */
  readonly since: string;
}

/** The parts of a provider that are the same wherever the registry keeps the ownership. */
export interface Records<Thing, Options> {
  /** Why a thing that nothing on record names is foreign. */
  readonly unknown: string;
  ownerOf(context: Context, name: string, thing: Thing): Promise<Marker | undefined>;
  /** The answer of `inspect` about the thing at the target's place, given its owner. */
  inspection(
    target: Target<Options>,
    thing: Thing,
    owner: Marker | undefined,
    state?: "pending" | "ready" | "deleting",
  ): Inspection;
  /** Refuses to go on with what is not this run's own work. */
  assertWanted(target: Target<Options>, owner: Marker | undefined, what: string, cause?: unknown): void;
  /** Refuses to delete what is not the fork; `why`: a reason that the vendor tells, before what is on record. */
  assertOurs(
    context: Context,
    scope: Scope<Options>,
    fork: Fork,
    thing: Thing,
    what: string,
    why?: string,
  ): Promise<Marker>;
  /** `Provider.list` */
  list(context: Context, scope: Scope<Options>): AsyncIterable<Fork>;
  /** The error for what is not ours; `what` as in `make database "x": why`. */
  foreign(scope: Scope<Options>, what: string, cause?: unknown): ForkstackError;
}

/** Builds them for one vendor. */
export function recorded<Thing, Options>(recording: Recording<Thing, Options>): Records<Thing, Options> {
  const { provider, label, all, idOf, namesOf, forkOf } = recording;
  const { ownerOf = (context, name, thing) => recordedOwner(context, name, idOf(thing)) } = recording;
  const unknown = `no answer of ${label}'s on record says that forkstack made it`;
  const foreign = ({ resource }: Scope<Options>, what: string, cause?: unknown) =>
    foreignError({ provider, resource }, what, cause);
  return {
    unknown,
    ownerOf,
    foreign,
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
      return owner;
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
