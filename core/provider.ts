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

/** The way in which data reached a fork; `"namespace"` shares the parent's store under a key prefix. */
export type Copy = "copy-on-write" | "full-copy" | "schema-only" | "empty" | "namespace";

/** Capabilities of a provider, as data: the planner reads them, the conformance suite checks them. */
export interface Capabilities {
  /** The best way in which a fork can be made; a single fork may report a lesser one. */
  readonly copy: Copy;
  /**
   * Proof that a fork is ours. `"marked"`: the vendor stores our marker (tag, annotation, label) in the call that
   * creates the fork. `"marked-after"`: in a later call. `"recorded"`: the vendor stores no marker; the ids of its own
   * answers are in our journal. With the last two the engine checks that the place is empty before it writes the
   * intent.
   */
  readonly ownership: "marked" | "marked-after" | "recorded";
  /** Lifetime of outputs: they can be read again, are minted per call, or are shown once at creation. */
  readonly outputs: "rereadable" | "minted" | "shown-once";
  /** The vendor itself deletes the fork when its lease ends. */
  readonly nativeExpiry: boolean;
  /** Figures that `usage` reports; `"none"`: the method is absent. */
  readonly usage: "none" | "bytes" | "bytes-and-cost";
  /** A fork can be made of the parent's data at the point in time `Target.at`. */
  readonly pointInTime: boolean;
  /** Outputs stop working when the lease ends; `outputs` is called again when the lease is extended. */
  readonly outputsExpire: boolean;
  /** A missing parent is no error: the fork starts empty. True of embedded providers alone. */
  readonly parentMayBeAbsent: boolean;
  /**
   * Forks lie inside the state directory (`Scope.root`) and nowhere else, so that a copy of the project has its own.
   * @default {false}
   */
  readonly embedded?: boolean;
  /** Fork names that the vendor accepts; `maxLength` in characters. */
  readonly name: { readonly maxLength: number; readonly pattern: RegExp };
}

/** Ownership note of a fork: stored at the vendor (`"marked"`) or in the journal (`"recorded"`). Holds no secret. */
export interface Marker {
  /** The stack's id: `stack` of forkstack.json, or the project's name. */
  readonly stack: string;
  /** The environment, e.g. `"alice"`. */
  readonly env: string;
  /** The resource, e.g. `"database"` or `"storage.uploads"`. */
  readonly resource: string;
  /** The id of the run that created the fork; a retried create recognises its own work by it. */
  readonly operation: string;
  /** The name of the fork itself: a marker copied onto another thing is invalid there. Absent in markers of 0.1.0. */
  readonly name?: string;
  /** The random id of the registry that records the fork. Absent in markers of 0.1.0. */
  readonly registry?: string;
  /**
   * Parent, origin and lease of the environment, for rebuilding a lost registry, e.g.
   * `"prod_empty_2026-12-01T00:00:00.000Z"`. Proves nothing. Absent in older markers, or where it did not fit.
   */
  readonly made?: string;
}

/** An answer of the vendor about a thing that this stack created, as the journal has it. */
export interface Recorded {
  /** The step that was given to `Context.record`. */
  readonly step: string;
  /** The vendor's immutable id, or another part of its answer that never changes. */
  readonly id: string;
  /** The marker of the fork that it belongs to. */
  readonly marker: Marker;
}

/** One fork as the vendor holds it. Holds no secret: safe to print and to store. */
export interface Fork {
  /** The vendor's immutable id, never a reusable name. */
  readonly id: string;
  /** The vendor's name for it, e.g. `"myapp-alice"`. */
  readonly name: string;
  /** The id of the parent; absent if the fork started empty. */
  readonly parentId?: string;
  /** The owner of the fork. */
  readonly marker: Marker;
  /** Instant of creation, RFC 3339, UTC. */
  readonly createdAt: string;
  /** The way in which its data was copied; absent where the vendor does not say. */
  readonly copy?: Copy;
}

/** Variables that the application gets, without a name's prefix, e.g. `{ DATABASE_URL, DATABASE_AUTH_TOKEN }`. */
export type Outputs = Readonly<Record<string, string | Secret>>;

/** A fork as `create` returns it. */
export interface Created extends Fork {
  /**
   * Its variables, if `create` knows them already: a password that the vendor shows once, or a token that a second call
   * would create again. They replace the variables of the same names from `outputs`. Never printed, never stored with
   * the fork. @default {those of `outputs`}
   */
  readonly outputs?: Outputs;
}

/**
 * The state of the place where the fork would be. A missing parent is a `NOT_FOUND` error, not `"absent"`.
 * `"deleting"`: the fork is being deleted, or only its marker is left.
 */
export type Inspection =
  | { readonly state: "absent" }
  | { readonly state: "pending" | "ready" | "deleting"; readonly fork: Fork }
  | {
    readonly state: "foreign";
    readonly id: string;
    readonly reason: string;
    /**
     * The marker that it bears, if any: a thing with another stack's marker is no base environment's resource either.
     */
    readonly holder?: Marker;
  };

/** Services and data that a provider may use. It uses no globals, so that a test can replace all of them. */
export interface Context {
  /**
   * Sends an HTTP request, with deadline, retries, rate limits and redaction. A request that is safe to repeat although
   * its method does not say so is marked: `Object.assign(new Request(url, init), { mayRepeat: true })`.
   */
  readonly fetch: (request: RepeatableRequest) => Promise<Response>;
  /**
   * Rejects with `LOCK_LOST` once another worker has taken over the environment. `fetch` awaits it before each request
   * that may change something, repeats included; a client of another protocol awaits it before each change.
   */
  readonly fence: () => Promise<void>;
  /** The file system of embedded providers. */
  readonly files: Files;
  /** The variables that the provider's `credentials` names, as far as they are set. */
  readonly credentials: Readonly<Record<string, Secret>>;
  /** Aborted on Ctrl-C: start no further call then. */
  readonly signal: AbortSignal;
  /** Returns the current time. */
  readonly now: () => Date;
  /** Waits; rejects early with the signal's reason. */
  readonly sleep: (ms: number) => Promise<void>;
  /**
   * Reads the marker of the thing of this name from the vendor's note, or from the marker itself where it was stored
   * whole. Returns `undefined` for a note that is not ours or was copied from another thing.
   */
  readonly markerOf: (name: string, note: string | Marker) => Marker | undefined;
  /** Journals the vendor's immutable id from its own answer. Await it after each call that creates something. */
  readonly record: (step: string, id: string) => Promise<void>;
  /**
   * Returns the journaled ids of the thing of this name, newest first. An id in it is ours; a name alone proves
   * nothing.
   */
  readonly recorded: (name: string) => Promise<readonly Recorded[]>;
  /**
   * Journals that the vendor refused a create because the name is taken: the thing of this name belongs to somebody
   * else. No attempt of this run may take it over, even if the run is killed right after. Await it at once.
   */
  readonly refused: (name: string) => Promise<void>;
  /**
   * Takes over an empty thing that nothing proves to be ours, after a call whose answer was lost; returns whether it
   * did. Only for `create` of a `Target` with `isResumed`, whose place was empty before. The user is told, and no undo
   * deletes the thing. After `refused` in the same run, `isEmpty` is not even called.
   */
  readonly takeOver: (name: string, id: string, isEmpty: () => Promise<boolean>) => Promise<boolean>;
  /** Prints a warning that stops nothing, e.g. about a setting of the server that would lose jobs. */
  readonly warn: (text: string) => void;
  /** Reports the progress of a long step, e.g. `"12,000 of 20,000 objects, 830 a second, 10 s left"`. */
  readonly progress: (text: string) => void;
  /**
   * Returns the value that the first call with this key made, e.g. a login or a token. After a failure the next call
   * makes it again. Kept for one run, i.e. for the work on the one resource of this context.
   */
  readonly once: Once;
  /** Asks the user. Rejects with `CONFIRM_REQUIRED` where nobody can be asked, with `CANCELLED` if the answer is no. */
  readonly confirm: (question: string) => Promise<void>;
}

/** The resource of a stack in any environment. */
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
  /** The directory that holds `.forkstack/`, as a path. */
  readonly root: string;
  /**
   * The resources of base environments that `bases` of forkstack.json names: `Target.name` and `Target.parent` are these
   * names then. Of an embedded provider they are absolute paths, and the names stay the derived ones. @default {none}
   */
  readonly bases?: Readonly<Partial<Record<"dev" | "prod", string>>> | undefined;
}

/** The right of a fork to exist until an instant. */
export interface Lease {
  /** The end of the lease: RFC 3339, UTC; absent: none. */
  readonly expiresAt?: string;
}

/** A fork to be created. */
export interface Target<Options> extends Scope<Options>, Lease {
  /** Its name, already valid for `capabilities.name`. */
  readonly name: string;
  /** The parent's name; absent: the fork starts empty. */
  readonly parent?: string;
  /**
   * The point in the parent's past, if `capabilities.pointInTime`: an instant in RFC 3339, UTC, or a position of the
   * vendor's own, e.g. the LSN `"0/1F3D3A8"`. Absent: now.
   */
  readonly at?: string;
  /** The marker that the fork will bear. */
  readonly marker: Marker;
  /** The instant at which the first attempt of the operation wrote its intent (RFC 3339, UTC). Proves no ownership. */
  readonly begunAt: string;
  /**
   * An earlier attempt of the operation wrote its intent at an empty place, and its answer may be lost. A thing that
   * stands there now counts as created by it if the vendor proves that, e.g. by `parent` as its fork source.
   * @default {false}
   */
  readonly isResumed?: boolean;
  /**
   * The fork's id on record, for `inspect`. The vendor's resource of this id is the fork, whatever name somebody has given
   * it since; `inspect` returns it under this id and `name`. Absent: none is on record.
   */
  readonly heldId?: string;
}

/** An existing resource: a fork of ours, or a resource of a base environment. */
export type Held = Pick<Fork, "id" | "name">;

/** Size and cost of a fork. */
export interface Usage {
  /** Stored bytes of this fork alone. */
  readonly sizeBytes: number;
  /** US dollars per month at the vendor's list price. */
  readonly costUsd?: number;
}

/** A new fork of the parent, ready to replace an old fork. */
export interface Replacement {
  /** Runs a SQL script on the new fork; present if `Provider.execute` is. */
  execute?(sql: string): Promise<void>;
  /** Puts the new fork in place of the old one, which is deleted. A repeated reset completes an interrupted one. */
  commit(): Promise<Fork>;
  /** Deletes the new fork; the old one stays unchanged. */
  discard(): Promise<void>;
}

/** A form of data that `import` copies: a path to a file or a directory, or a URL by its scheme, e.g. `"postgresql:"`. */
export type SourceForm = "file" | "directory" | `${string}:`;

/** Existing data, and what to do with the data that it would replace. */
export interface ImportSource {
  /** The absolute path of a file or a directory, links resolved. Absent for a URL. */
  readonly path?: string;
  /** The URL of a running database; it may hold a password. */
  readonly url?: Secret;
  /** Replace data that is there; else such data is `CONFLICT`. */
  readonly replace: boolean;
}

/** Access to the values of a resource of kind `secrets`. */
export interface SecretsAccess<Options> {
  /** Returns all values by key. */
  read(context: Context, held: Held, scope: Scope<Options>): Promise<Record<string, Secret>>;
  /** Sets the given values, and removes the keys with `null`; in one step where the vendor can. */
  write(
    context: Context,
    held: Held,
    scope: Scope<Options>,
    changes: Readonly<Record<string, Secret | null>>,
  ): Promise<void>;
}

/** Permissions that a provider needs besides its files and variables, as Deno names them. */
export interface Permissions {
  /** Hosts: `"api.turso.tech"`, `"*.turso.io"`, `"db.example:5432"`. */
  readonly net?: readonly string[];
  /** Programs: `"pg_dump"`. */
  readonly run?: readonly string[];
}

/** A valibot schema of an object, as far as the contract needs it; see core/project/schema.ts. */
export interface OptionsSchema<Options> {
  /** The constant that every valibot schema has. */
  readonly kind: "schema";
  /** The types of the schema; absent at run time. */
  readonly "~types"?: { readonly input: unknown; readonly output: Options; readonly issue: unknown } | undefined;
}

/**
 * Values that a custom provider's file may be given, so that it needs no imports: its default export is then a function
 * that takes them and returns the provider.
 */
export interface Tools {
  /** valibot, for the schema of the options. */
  readonly v: typeof valibot;
  /** The class of all errors. */
  readonly ForkstackError: typeof ForkstackError;
  /** The class of values that are never printed. */
  readonly Secret: typeof Secret;
  /** Formats a marker as the note that a vendor stores; `Context.markerOf` reads it. */
  readonly formatMarker: (marker: Marker, name?: string) => string;
}

/** A declaration of one variable that a provider outputs. */
export interface Declaration {
  /** It gives access to something: it is passed as a `Secret`, and no text that forkstack prints shows it. */
  readonly isSecret: boolean;
  /**
   * It names or opens one thing of one environment, such as a database or its login: a program of another environment
   * must not get it. Not true of a region, nor of an address that all environments share.
   */
  readonly isIdentity: boolean;
  /**
   * The user may set it where the vendor does not tell it; a line of theirs in the env file is no conflict. @default
   * {false}
   */
  readonly isPersonal?: boolean;
}

/** A provider: one vendor's product of one kind. */
export interface Provider<Options = unknown> {
  /** Its id: equals the file's name and the `provider` in forkstack.json. */
  readonly name: string;
  /** Earlier names of the provider: forks that were made under one of them are its own. @default {none} */
  readonly aliases?: readonly string[];
  /** The kind of its resources. */
  readonly kind: Kind;
  /** The name that people know: `"Amazon S3, or a store that speaks it"`. @default {`name`} */
  readonly title?: string;
  /** The section of the documentation about it, relative to `docs/`: `"databases.md#neon"`. @default {none} */
  readonly page?: string;
  /** Its capabilities. */
  readonly capabilities: Capabilities;
  /**
   * The conventional variables that hold its credentials. Of several of which none is required, one or another must be
   * set, e.g. a token, or the id and the secret of a role; the first stands for them in errors.
   */
  readonly credentials: readonly { readonly variable: string; readonly required: boolean }[];
  /**
   * Hint on how to get the credentials, e.g. "`turso auth api-tokens mint forkstack` makes one". Absent if there are
   * none.
   */
  readonly credentialsHint?: string;
  /**
   * Declarations of every variable that `outputs` may return, by its name without a resource's prefix. No other is
   * allowed.
   */
  readonly variables: Readonly<Record<string, Declaration>>;
  /**
   * Headers of the vendor's answers that hold a request's id, best first, for use in errors. After them any header
   * counts whose name ends in `request-id`. @default {none}
   */
  readonly requestIdHeaders?: readonly string[];
  /** The schema of its options; also the source of forkstack.schema.json. */
  readonly options: OptionsSchema<Options>;
  /**
   * The schema of one value of `bases`: the vendor's name of the existing resource of a base environment.
   * @default {a text of one line}
   */
  readonly baseSchema?: OptionsSchema<unknown>;
  /**
   * Renames options of an older version to today's: `{ db: "shop" }` becomes `{ database: "shop" }`. The input comes
   * from forkstack.json or a row of the registry and is unchecked. Never throws, mutates nothing, and keeps today's
   * options and unknown ones as they are. @default {no renames}
   */
  upgradeOptions?(given: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>;
  /**
   * Returns the permissions that all its methods together need; `forkstack permissions` prints them. @default {none}
   */
  permissions?(options: Options, credentials: Context["credentials"]): Permissions;
  /**
   * Looks for the fork; changes nothing. A base environment's resource has no marker and is `"foreign"`, with its id.
   */
  inspect(context: Context, target: Target<Options>): Promise<Inspection>;
  /**
   * Creates the fork, or returns the fork that an earlier attempt of this operation created; with its outputs, if
   * known.
   */
  create(context: Context, target: Target<Options>): Promise<Created>;
  /**
   * Deletes the fork of this id and no other, after it has read the marker again. A fork that is gone already is
   * success.
   */
  delete(context: Context, fork: Fork, scope: Scope<Options>): Promise<"deleted" | "absent">;
  /** Lists every fork of the resource that has our marker, from all pages. */
  list(context: Context, scope: Scope<Options>): AsyncIterable<Fork>;
  /** Checks that the resource answers (a query, a HEAD); throws the error that it met. */
  probe(context: Context, held: Held, scope: Scope<Options>): Promise<void>;
  /**
   * Reads all data of a resource and returns what is wrong with it, some lines at most; may take minutes. Only
   * `doctor --deep` calls it. @default {the data is not looked at}
   */
  damage?(context: Context, held: Held, scope: Scope<Options>): Promise<readonly string[]>;
  /** Returns the variables of an existing resource; for a new fork it is called only if `create` returned none. */
  outputs(context: Context, held: Held, scope: Scope<Options> & Lease): Promise<Outputs>;
  /**
   * Runs a SQL script on a fork before anyone gets its URL, in one transaction where the database can. The error of a
   * failed statement names its line where the database tells it, never its values. Databases only.
   */
  execute?(context: Context, fork: Fork, scope: Scope<Options>, sql: string): Promise<void>;
  /**
   * Prepares a new fork of the parent that will replace this one under its name and id, so that several resources can
   * change together. Absent where the vendor cannot keep the old data until the new fork is ready.
   */
  reset?(context: Context, fork: Fork, target: Target<Options>): Promise<Replacement>;
  /**
   * Keeps the fork as a backup instead of deleting it: its name is free again, and nobody has access to it. `delete`
   * removes the backup that it returns. Absent if there is nothing worth keeping; `delete --purge` and an undo never
   * call it.
   */
  keep?(context: Context, fork: Fork, scope: Scope<Options>): Promise<Held | "absent">;
  /**
   * Fills the resource of `dev` with a copy of existing data, all of it or nothing: a failure leaves it as it was.
   * Creates the resource where a server has none of this name. `target` has no parent; its marker is for what is made
   * meanwhile beside the resource, which bears none. Absent where the vendor offers no such way.
   */
  import?(context: Context, target: Target<Options>, source: ImportSource): Promise<void>;
  /** The forms of data that `import` takes; present if it is. */
  readonly sources?: readonly SourceForm[];
  /**
   * Hint on the vendor's own way to bring data in, e.g. "`turso db import ./dev.db` makes a database of a file"; for
   * providers without `import`. @default {none}
   */
  readonly importHint?: string;
  /** Access to the values; present if the kind is `secrets`. */
  readonly secrets?: SecretsAccess<Options>;
  /** Sends the vendor the new end of the lease; present if `capabilities.nativeExpiry`. */
  extend?(context: Context, fork: Fork, expiresAt: string, scope: Scope<Options>): Promise<void>;
  /**
   * Writes the marker of a fork again, with `fork.marker`, after it has read it: the lease in it has changed. Absent if
   * a marker cannot be changed; it then holds no lease.
   */
  remark?(context: Context, fork: Fork, scope: Scope<Options>): Promise<void>;
  /** Returns bytes and cost; present unless `capabilities.usage` is `"none"`. */
  usage?(context: Context, held: Held, scope: Scope<Options>): Promise<Usage>;
}

/** The part of a provider that looking at a resource needs. */
export type Inspector = Pick<
  Provider,
  "name" | "aliases" | "kind" | "credentials" | "credentialsHint" | "requestIdHeaders" | "inspect"
>;

/** The part of a provider that reading a resource's variables needs. */
export type Teller = Inspector & Pick<Provider, "capabilities" | "variables" | "outputs">;

/** A question that `init` asks about an option. */
export interface Question {
  /** The text of the question, e.g. `"S3: the region of the buckets"`. */
  readonly ask: string;
  /** An example of an answer, e.g. `"eu-west-1"`. */
  readonly example: string;
  /** The variable that holds the suggested answer; takes precedence over `value` and `isProject`. */
  readonly variable?: string;
  /** The suggested answer is the project's name. @default {false} */
  readonly isProject?: boolean;
  /** The suggested answer; takes precedence over `isProject`. */
  readonly value?: string;
}

/** Servers and clients of a provider's tests, beside an emulator of the vendor's API; the documentation shows them. */
export interface Verified {
  /** The month of the last run on the vendor itself, e.g. `"2026-11"`. @default {never} */
  readonly live?: string;
  /** Real servers on which the whole conformance suite runs, e.g. `["OpenBao"]`. @default {none} */
  readonly servers?: readonly string[];
  /** The vendor's clients on npm, or those that it documents, that work at its emulator or server. @default {none} */
  readonly clients?: readonly string[];
}
