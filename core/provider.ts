/**
 * The contract between the engine and a provider: one vendor, one plain file, in the folder of its kind.
 *
 * @module
 */
import type * as valibot from "npm:valibot@1.5.0";
import type { ForkstackError, Kind } from "../mod.ts";
import type { RepeatableRequest } from "./system/repeat.ts";
import type { Files } from "./system/files.ts";
import type { Once } from "./system/memory.ts";

export type { Kind } from "../mod.ts";
export type { FileInfo, Files } from "./system/files.ts";
export type { Once } from "./system/memory.ts";
export type { RepeatableRequest } from "./system/repeat.ts";
export type { Swapped } from "./system/disk.ts";
export { Secret } from "./secret.ts";
import type { Secret } from "./secret.ts";

/** How data reached a fork; `"namespace"` shares the parent's store under a key prefix. */
export type Copy = "copy-on-write" | "full-copy" | "schema-only" | "empty" | "namespace";

/** What a provider can do, as data: the planner reads it, the conformance suite checks it. */
export interface Capabilities {
  /** The best way a fork can be made; a single fork may report a lesser one. */
  readonly copy: Copy;
  /**
   * How a fork is known to be ours. `"marked"`: the vendor stores our marker (tag, annotation, label) in the call that
   * makes it. `"marked-after"`: in a later call. `"recorded"`: nowhere, and what the vendor's own answers said is in our
   * journal. For the last two the engine sees the place absent before it writes the intent.
   */
  readonly ownership: "marked" | "marked-after" | "recorded";
  /** Outputs can be read again, are minted per call, or are shown once at creation. */
  readonly outputs: "rereadable" | "minted" | "shown-once";
  /** The vendor itself deletes the fork when the lease ends. */
  readonly nativeExpiry: boolean;
  /** What `usage` reports; `"none"` means that the method is absent. */
  readonly usage: "none" | "bytes" | "bytes-and-cost";
  /** A fork can be made of what the parent held at `Target.at`. */
  readonly pointInTime: boolean;
  /** What `outputs` hands out ends with the lease: it is asked again when the lease is extended. */
  readonly outputsExpire: boolean;
  /** A parent that holds nothing is no error: the fork starts empty. True of embedded providers alone. */
  readonly parentMayBeAbsent: boolean;
  /**
   * Forks lie inside the state directory (`Scope.root`) and nowhere else, so that a copy of the project has its own.
   * @default {false}
   */
  readonly embedded?: boolean;
  /** Fork names that the vendor accepts; `maxLength` in characters. */
  readonly name: { readonly maxLength: number; readonly pattern: RegExp };
}

/** Who a fork belongs to: stored at the vendor (`"marked"`) or in the journal (`"recorded"`). Holds no secret. */
export interface Marker {
  /** The stack's id: `stack` of forkstack.json, or the project's name. */
  readonly stack: string;
  /** The environment, e.g. `"alice"`. */
  readonly env: string;
  /** The resource, e.g. `"database"` or `"storage.uploads"`. */
  readonly resource: string;
  /** The run that made it; a retried create recognises its own work by it. */
  readonly operation: string;
  /** The thing's own name: a mark that was copied onto another thing is not that thing's. Absent in marks of 0.1.0. */
  readonly name?: string;
  /** The random id of the registry that knows it. Absent in marks of 0.1.0. */
  readonly registry?: string;
  /**
   * How its environment was made, for a registry that is to be rebuilt: the parent, the origin and the lease, e.g.
   * `"prod_empty_2026-12-01T00:00:00.000Z"`. Proves nothing. Absent in older marks, or where it did not fit.
   */
  readonly made?: string;
}

/** What a vendor's own answer said of a thing that this stack made, as it is in the journal. */
export interface Recorded {
  /** As given to `Context.record`. */
  readonly step: string;
  /** The vendor's immutable id, or what else its answer told that never changes. */
  readonly id: string;
  /** Whose it was made for. */
  readonly marker: Marker;
}

/** One fork as the vendor holds it. Holds no secret: safe to print and to store. */
export interface Fork {
  /** The vendor's immutable id, never a reusable name. */
  readonly id: string;
  /** The vendor's name for it, e.g. `"myapp-alice"`. */
  readonly name: string;
  /** What it was forked from; absent if it started empty. */
  readonly parentId?: string;
  /** Whose it is. */
  readonly marker: Marker;
  /** RFC 3339, UTC. */
  readonly createdAt: string;
  /** How its data got there; absent where the vendor does not tell. */
  readonly copy?: Copy;
}

/** Variables that the application gets, without a name's prefix, e.g. `{ DATABASE_URL, DATABASE_AUTH_TOKEN }`. */
export type Outputs = Readonly<Record<string, string | Secret>>;

/** A fork as `create` gives it. */
export interface Created extends Fork {
  /**
   * Its variables, where `create` knows them already: what only the creating answer tells, e.g. a password that is shown
   * once, or a token that a further call would make again. They are handed out in place of what `outputs` gives, by the
   * same names. Never printed and never stored with the fork. @default {those of `outputs`}
   */
  readonly outputs?: Outputs;
}

/**
 * The thing that stands where the fork would be. A missing parent is a `NOT_FOUND` error, not `"absent"`. `"deleting"` is what goes,
 * or has left nothing but its mark.
 */
export type Inspection =
  | { readonly state: "absent" }
  | { readonly state: "pending" | "ready" | "deleting"; readonly fork: Fork }
  | {
    readonly state: "foreign";
    readonly id: string;
    readonly reason: string;
    /** The mark that it bears, if any: what bears one of another stack is no base environment's resource either. */
    readonly holder?: Marker;
  };

/** Everything a provider may touch. It uses no globals, so a test can stand in for all of it. */
export interface Context {
  /**
   * The one HTTP client: deadline, retry, rate limits, redaction. A request that may be sent again though its method does
   * not say so has a field of its own for that: `Object.assign(new Request(url, init), { mayRepeat: true })`.
   */
  readonly fetch: (request: RepeatableRequest) => Promise<Response>;
  /**
   * Rejects with `LOCK_LOST` once another worker has taken the environment over. `fetch` awaits it ahead of each request
   * that may change something, repeats too; a client of another protocol does so ahead of each change.
   */
  readonly fence: () => Promise<void>;
  /** The file system of embedded providers. */
  readonly files: Files;
  /** The variables that the provider's `credentials` names, as far as they are set. */
  readonly credentials: Readonly<Record<string, Secret>>;
  /** Aborted on Ctrl-C: no further call is begun. */
  readonly signal: AbortSignal;
  /** The clock. */
  readonly now: () => Date;
  /** Waits; ends early with the signal's reason. */
  readonly sleep: (ms: number) => Promise<void>;
  /**
   * Reads the marker back from the vendor's note on the thing of this name, or from the marker itself where it was kept
   * whole; one copied from another thing is none.
   */
  readonly markerOf: (name: string, note: string | Marker) => Marker | undefined;
  /** Awaited after each call that made something, with the vendor's immutable id from its own answer. */
  readonly record: (step: string, id: string) => Promise<void>;
  /**
   * What `record` journaled of the thing of this name, newest first. An id that stands there is ours; a name alone
   * proves nothing.
   */
  readonly recorded: (name: string) => Promise<readonly Recorded[]>;
  /**
   * Awaited at once where the vendor answered a create of ours that something of this name is there already: what stands
   * there is somebody else's, and no attempt of this run takes it over, though this one be killed right after.
   */
  readonly refused: (name: string) => Promise<void>;
  /**
   * Takes over a thing that nothing proves to be ours, after a call whose answer was lost, if it is empty; gives whether it
   * did. Only `create` of a `Target` that `isResumed` may: the place was seen absent before. The person is told, and no
   * undo deletes it. Where a create of the run was `refused`, it is not even looked at.
   */
  readonly takeOver: (name: string, id: string, isEmpty: () => Promise<boolean>) => Promise<boolean>;
  /** Tells the person something that stops nothing, e.g. a setting of the server that would lose jobs. */
  readonly warn: (text: string) => void;
  /** Says how far a long step has come, e.g. `"12,000 of 20,000 objects, 830 a second, 10 s left"`. */
  readonly progress: (text: string) => void;
  /**
   * The memory of one run, i.e. of the work on one resource that this context is for: gives what the first call of this
   * key made, a login or a token of its own; one that failed is made anew. Nothing of it outlives the run.
   */
  readonly once: Once;
  /** Asks the person; `CONFIRM_REQUIRED` where nobody can be asked, `CANCELLED` if the answer is no. */
  readonly confirm: (question: string) => Promise<void>;
}

/** The resource of one stack, whichever environment. */
export interface Scope<Options> {
  /** The provider's own options, checked by `options`. */
  readonly options: Options;
  /** The project's name. */
  readonly project: string;
  /** The stack's id, as in the marker. */
  readonly stack: string;
  /** The resource's key, as in the marker: `"storage"`, or with a name `"storage.uploads"`. */
  readonly resource: string;
  /** The resource's own name in forkstack.json: `"uploads"`; absent where its kind has one without a name. */
  readonly resourceName?: string;
  /** The directory that holds `.forkstack/`. */
  readonly root: string;
}

/** How long a fork is wanted. */
export interface Lease {
  /** Its end: RFC 3339, UTC; absent: none. */
  readonly expiresAt?: string;
}

/** One fork that is wanted. */
export interface Target<Options> extends Scope<Options>, Lease {
  /** Its name, already legal for `capabilities.name`. */
  readonly name: string;
  /** The parent's name; absent if an empty resource is asked for. */
  readonly parent?: string;
  /**
   * The point in the parent's past, where `capabilities.pointInTime` claims it: an instant in RFC 3339, UTC, or a
   * position of the vendor's own, e.g. the LSN `"0/1F3D3A8"`. Absent: now.
   */
  readonly at?: string;
  /** Whose it will be. */
  readonly marker: Marker;
  /** When the operation's first attempt wrote its intent (RFC 3339, UTC). It proves nothing of what stands there. */
  readonly begunAt: string;
  /**
   * An earlier attempt of the operation wrote its intent, at a place that was seen absent, and its answer may be lost.
   * What stands there may then be taken for its work with the vendor's own proof, e.g. `parent` as its fork source.
   * @default {false}
   */
  readonly isResumed?: boolean;
}

/** A resource that is there: a fork of ours, or a base environment's own. */
export type Held = Pick<Fork, "id" | "name">;

/** What a fork holds and costs. */
export interface Usage {
  /** Stored bytes of this fork alone. */
  readonly sizeBytes: number;
  /** US dollars a month at the vendor's list price. */
  readonly costUsd?: number;
}

/** A new fork of the parent that stands ready to take an old one's place. */
export interface Replacement {
  /** Runs a script on the new fork; there where `Provider.execute` is. */
  execute?(sql: string): Promise<void>;
  /** Puts it there; the old one is gone. A repeated reset finishes one that was cut off. */
  commit(): Promise<Fork>;
  /** Takes it away; the old one stays as it is. */
  discard(): Promise<void>;
}

/** What a resource of kind `secrets` holds: values by key. */
export interface SecretsAccess<Options> {
  /** All of them. */
  read(context: Context, held: Held, scope: Scope<Options>): Promise<Record<string, Secret>>;
  /** Sets those, and removes those that are `null`, at once where the vendor can. */
  write(
    context: Context,
    held: Held,
    scope: Scope<Options>,
    changes: Readonly<Record<string, Secret | null>>,
  ): Promise<void>;
}

/** What a provider needs of the system, beside its files and variables, in the words of Deno's permissions. */
export interface Permissions {
  /** Hosts: `"api.turso.tech"`, `"*.turso.io"`, `"db.example:5432"`. */
  readonly net?: readonly string[];
  /** Programs: `"pg_dump"`. */
  readonly run?: readonly string[];
}

/** A valibot schema of an object, as far as the contract needs it; see core/project/schema.ts. */
export interface OptionsSchema<Options> {
  /** What every valibot schema says of itself. */
  readonly kind: "schema";
  /** What it types; never there at run time. */
  readonly "~types"?: { readonly input: unknown; readonly output: Options; readonly issue: unknown } | undefined;
}

/**
 * What the file of a provider of your own may be given, so that it need import nothing: its default export is then a
 * function that takes this and gives the provider.
 */
export interface Tools {
  /** valibot, for the options. */
  readonly v: typeof valibot;
  /** The class of errors. */
  readonly ForkstackError: typeof ForkstackError;
  /** The class of values that must not be printed. */
  readonly Secret: typeof Secret;
  /** A marker as the note that a vendor stores; `Context.markerOf` reads it back. */
  readonly formatMarker: (marker: Marker, name?: string) => string;
}

/** A claim about one variable that a provider gives. */
export interface Declaration {
  /** It opens something: it travels as a `Secret`, and no text that forkstack prints shows it. */
  readonly isSecret: boolean;
  /**
   * It names or opens one thing of one environment, such as a database or its login: a program of another environment
   * must not have it. A region is none, nor an address that all environments share.
   */
  readonly isIdentity: boolean;
  /** A person may set it where the vendor does not tell it, and a line of theirs stops nothing. @default {false} */
  readonly isPersonal?: boolean;
}

/** One vendor. */
export interface Provider<Options = unknown> {
  /** Equals the file's name and the `provider` of forkstack.json. */
  readonly name: string;
  /** Earlier names of it: what it made under one of them is its own. @default {none} */
  readonly aliases?: readonly string[];
  /** The kind of its resource. */
  readonly kind: Kind;
  /** The name that people know: `"Amazon S3, or a store that speaks it"`. @default {`name`} */
  readonly title?: string;
  /** The section about it, from `docs/` on: `"databases.md#neon"`. @default {none} */
  readonly page?: string;
  /** What it can do. */
  readonly capabilities: Capabilities;
  /** The conventional variables that hold its credentials. */
  readonly credentials: readonly { readonly variable: string; readonly required: boolean }[];
  /** How to come by them, e.g. "`turso auth api-tokens mint forkstack` makes one". Absent where there are none. */
  readonly credentialsHint?: string;
  /** Every variable that `outputs` may give, by its name without a resource's prefix. It gives no other. */
  readonly variables: Readonly<Record<string, Declaration>>;
  /**
   * Headers of the vendor's answers that hold a request's id, the best first, for errors to name it. After them any
   * counts whose name ends in `request-id`. @default {none}
   */
  readonly requestIdHeaders?: readonly string[];
  /** The options' schema; also the source of forkstack.schema.json. */
  readonly options: OptionsSchema<Options>;
  /**
   * Options in the words of an older version, in those of today: `{ db: "shop" }` becomes `{ database: "shop" }`. It is
   * given what forkstack.json or a row of the registry holds, whoever wrote that: it never throws, changes nothing in
   * place, and leaves today's options and what it does not know as they are. @default {they are the same}
   */
  upgradeOptions?(given: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>;
  /** What `create` and all the others need; `forkstack permissions` prints it. @default {nothing} */
  permissions?(options: Options, credentials: Context["credentials"]): Permissions;
  /** Looks, changes nothing. A base environment's resource has no marker and is `"foreign"`, with its id. */
  inspect(context: Context, target: Target<Options>): Promise<Inspection>;
  /**
   * Makes the fork, or returns the one that an earlier attempt of this operation made; with its outputs, if it knows them.
   */
  create(context: Context, target: Target<Options>): Promise<Created>;
  /** Deletes this id and no other, after reading the marker again. Already gone is success. */
  delete(context: Context, fork: Fork, scope: Scope<Options>): Promise<"deleted" | "absent">;
  /** Every fork of the resource that has our marker, all pages. */
  list(context: Context, scope: Scope<Options>): AsyncIterable<Fork>;
  /** Answers once the resource really does (a query, a HEAD); throws what it met instead. */
  probe(context: Context, held: Held, scope: Scope<Options>): Promise<void>;
  /** The variables of a resource that is there; of a new fork only where `create` handed none back. */
  outputs(context: Context, held: Held, scope: Scope<Options> & Lease): Promise<Outputs>;
  /**
   * Runs a script of SQL statements on a fork before anyone gets its URL, all of it or none where the database can; a
   * statement that fails is named by its line where the database tells it, without its values. Databases only.
   */
  execute?(context: Context, fork: Fork, scope: Scope<Options>, sql: string): Promise<void>;
  /**
   * Prepares to put a new fork of the parent in this one's place, under its name and id, so that several resources can
   * change together. Absent where the vendor has no way that keeps the old data until the new is there.
   */
  reset?(context: Context, fork: Fork, target: Target<Options>): Promise<Replacement>;
  /**
   * Puts the fork aside as a backup in place of deleting it: its name free again, nobody's access to it left. What it
   * gives is taken away by `delete`. Absent where nothing is worth keeping; `delete --purge` and an undo never call it.
   */
  keep?(context: Context, fork: Fork, scope: Scope<Options>): Promise<Held | "absent">;
  /** The values, where the kind is `secrets`. */
  readonly secrets?: SecretsAccess<Options>;
  /** Tells the vendor the new end of the lease, where `capabilities.nativeExpiry` claims that it deletes by itself. */
  extend?(context: Context, fork: Fork, expiresAt: string, scope: Scope<Options>): Promise<void>;
  /**
   * Writes the mark of a fork anew, with `fork.marker`, after reading it: a lease in it has changed. Absent where a mark
   * can't be changed; it then holds no lease.
   */
  remark?(context: Context, fork: Fork, scope: Scope<Options>): Promise<void>;
  /** Bytes and cost, where `capabilities.usage` claims it. */
  usage?(context: Context, held: Held, scope: Scope<Options>): Promise<Usage>;
}

/** As much of a provider as looking at a resource needs. */
export type Inspector = Pick<
  Provider,
  "name" | "aliases" | "kind" | "credentials" | "credentialsHint" | "requestIdHeaders" | "inspect"
>;

/** As much of a provider as telling a resource's variables needs. */
export type Teller = Inspector & Pick<Provider, "capabilities" | "variables" | "outputs">;

/** A stack that people know by name. */
export interface StackPreset {
  /** Its parts, for the list to choose from: `"Turso, Tigris, Doppler"`. */
  readonly title: string;
  /** The provider of each kind; empty: the embedded stack, which forkstack.json need not name. */
  readonly providers: Readonly<Partial<Record<Kind, string>>>;
  /** Matches what an existing project has that uses its database: packages, and hosts in its env files. */
  readonly signs?: RegExp;
}

/** A question of `init` about an option. */
export interface Question {
  /** The question, e.g. `"S3: the region of the buckets"`. */
  readonly ask: string;
  /** An answer that fits, e.g. `"eu-west-1"`. */
  readonly example: string;
  /** The variable that holds the answer most give; goes before `value` and `isProject`. */
  readonly variable?: string;
  /** Most give the project's name. @default {false} */
  readonly isProject?: boolean;
  /** The answer most give; goes before `isProject`. */
  readonly value?: string;
}

/** The stacks and the questions of `init`. */
export interface Presets {
  /** By name, the one for everybody first. */
  readonly stacks: Readonly<Record<string, StackPreset>>;
  /** By provider and option, each under its name in forkstack.json. */
  readonly questions: Readonly<Record<string, Readonly<Record<string, Question>>>>;
}

/** Variables that name one thing of one environment, by kind and provider. */
export type Identities = Readonly<Record<Kind, Readonly<Record<string, readonly string[]>>>>;

/** Loads the file of a provider. */
// deno-lint-ignore no-explicit-any -- each provider has its own options' type
export type Loader = () => Promise<{ readonly default: Provider<any> }>;

/** The built-in providers. A program hands them to `main()`, and no module of a provider is loaded before it is needed. */
export interface Catalog {
  /** By kind and by the name in forkstack.json. */
  readonly providers: Readonly<Record<Kind, Readonly<Record<string, Loader>>>>;
  /**
   * Loads what looks at a resource and tells its variables without the rest of its provider; `undefined` where there is
   * no such part.
   */
  readonly teller: (kind: Kind, name: string) => Promise<Teller | undefined>;
  /** Loads what `init` offers and asks. */
  readonly presets: () => Promise<Presets>;
  /** Loads what each provider declares as `isIdentity` and not as `isPersonal`, without the providers. */
  readonly identities: () => Promise<Identities>;
}
