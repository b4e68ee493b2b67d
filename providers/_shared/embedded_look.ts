/**
 * `inspect` and `outputs` of the embedded providers. In a separate file without packages, because `forkstack switch`
 * waits for it each time.
 */
import type { Context, Copy, Declaration, Fork, Inspection, Kind, Scope, Target, Teller } from "../../core/provider.ts";
import { isFork } from "../../core/marker.ts";
import { temporariesOf } from "../../core/system/files.ts";
import { dirname, join } from "../../core/system/host.ts";
import { load } from "../../core/system/lazy.ts";
import { embeddedPath, ForkstackError, resourceTitle } from "../../mod.ts";
import { isSameHolder, others, unmarked } from "./ownership.ts";

/** The parts of an embedded provider that say where its forks are, and of what kind. */
export interface Shape {
  readonly name: string;
  readonly kind: Kind;
  /** The best way in which it copies. @default {"copy-on-write"} */
  readonly copy?: Copy;
  /** Suffixes of further files that belong to a fork. @default {none} */
  readonly companions?: readonly string[];
}

/** Returns the path of a base environment's resource that `bases` names. */
export function namedBase(
  kind: Kind,
  { bases, project, resourceName }: Scope<unknown>,
  name: string,
): string | undefined {
  const env = (["dev", "prod"] as const).find((one) => resourceTitle(kind, project, one, resourceName) === name);
  return env && bases?.[env];
}

/** Returns the path of a fork, or of a base environment's resource, by its name. */
export function embeddedPlace(kind: Kind, scope: Scope<unknown>, name: string): string {
  return namedBase(kind, scope, name) ?? embeddedPath(kind, scope.root, name);
}

/** The state directory, which holds the owner files. */
export type StateRoot = Pick<Scope<unknown>, "root">;

const NAME: Declaration = { isSecret: false, isIdentity: true };
const SHARED: Declaration = { isSecret: false, isIdentity: false };

/** Variables of the embedded provider of each kind; embedded_outputs.ts returns their values. */
const VARIABLES: Readonly<Partial<Record<Kind, Teller["variables"]>>> = {
  database: { DATABASE_URL: NAME, DATABASE_PATH: NAME },
  storage: {
    BUCKET_NAME: NAME,
    BUCKET_PATH: NAME,
    AWS_ENDPOINT_URL_S3: SHARED,
    AWS_REGION: SHARED,
    AWS_ACCESS_KEY_ID: NAME,
    AWS_SECRET_ACCESS_KEY: { isSecret: true, isIdentity: true },
  },
  secrets: { SECRETS_FILE: NAME },
  local: { LOCAL_PATH: NAME },
};

/** Returns the part of an embedded provider that looks at its forks and reads their variables. */
export function embeddedTeller(its: Shape): Teller {
  return {
    name: its.name,
    kind: its.kind,
    capabilities: {
      copy: its.copy ?? "copy-on-write",
      ownership: "marked",
      outputs: "rereadable",
      nativeExpiry: false,
      usage: "bytes",
      pointInTime: false,
      outputsExpire: false,
      parentMayBeAbsent: true,
      embedded: true,
      name: { maxLength: 200, pattern: /^[a-z0-9][a-z0-9.-]*$/ }, // a file name's limit, less room for suffixes
    },
    credentials: [],
    variables: VARIABLES[its.kind]!,
    inspect: (context, target) => inspect(its, context, target),
    async outputs(context, held, scope) {
      const { OUTPUTS } = await load<typeof import("./embedded_outputs.ts")>("providers/_shared/embedded_outputs.ts");
      const owner = await readOwner(context, its.kind, scope, held.name);
      const id = owner?.id ?? held.name; // of a base environment too, whoever asks
      const path = embeddedPlace(its.kind, scope, held.name);
      return await OUTPUTS[its.kind]!({ path, held: { id, name: held.name }, context, scope });
    },
  };
}

/** Returns the path of a fork's owner file. */
export function ownerPath(kind: Kind, place: StateRoot, name: string): string {
  return join(place.root, ".forkstack", "owners", `${kind}.${name}.json`);
}

/** Reads the owner file of the fork of this name; `undefined` also for one that was copied from another fork's. */
export async function readOwner(
  context: Context,
  kind: Kind,
  place: StateRoot,
  name: string,
): Promise<Fork | undefined> {
  const path = ownerPath(kind, place, name);
  const text = await context.files.read(path);
  if (text === undefined) return undefined;
  try {
    const { id, name: named, parentId, marker: mark, createdAt, copy } = soundOwner(JSON.parse(text));
    const marker = named === name ? context.markerOf(name, mark) : undefined;
    return marker && {
      id,
      name,
      parentId,
      marker,
      createdAt,
      copy,
    };
  } catch (error) {
    throw new ForkstackError("STATE_DAMAGED", `Cannot read the owner file "${path}": it is not what forkstack wrote`, {
      hint: "Compare it with its neighbours; without it the fork counts as foreign",
      cause: error,
    });
  }
}

const COPIES: readonly unknown[] = ["copy-on-write", "full-copy", "empty"] satisfies Copy[];

/** Finds the fork whose place is a path: no base environment's resource is there then. */
async function holderOfPath(
  kind: Kind,
  context: Context,
  place: StateRoot,
  path: string,
): Promise<Fork | undefined> {
  const real = await context.files.real(path) ?? path;
  for (const file of await context.files.list(dirname(ownerPath(kind, place, "")))) {
    if (!file.startsWith(`${kind}.`) || !file.endsWith(".json")) continue;
    const name = file.slice(kind.length + 1, -".json".length);
    const at = embeddedPath(kind, place.root, name);
    if ((await context.files.real(at) ?? at) === real) return await readOwner(context, kind, place, name);
  }
  return undefined;
}

/** Checks the content of an owner file by hand: valibot would slow down `switch`. */
function soundOwner(value: unknown): Fork {
  const isSound = isFork(value) && (value.copy === undefined || COPIES.includes(value.copy));
  if (!isSound) throw new TypeError("it does not say whose the fork is");
  return value;
}

/** Looks at the fork's path. A complete fork that is missing is `deleting`: only its owner file is left. */
export async function inspect(its: Shape, context: Context, target: Target<unknown>): Promise<Inspection> {
  const path = embeddedPlace(its.kind, target, target.name);
  if (namedBase(its.kind, target, target.name) !== undefined) {
    const holder = await holderOfPath(its.kind, context, target, path);
    if (holder !== undefined) return others(holder.id, holder.marker);
  }
  const ownerFile = ownerPath(its.kind, target, target.name);
  const fork = await readOwner(context, its.kind, target, target.name);
  if (fork === undefined) {
    for (const at of [path, ...companionsOf(its, path), ownerFile]) {
      if (await context.files.stat(at) === undefined) continue;
      return { state: "foreign", id: target.name, reason: await unmarked(context, target.name, `"${at}"`) };
    }
    return { state: "absent" };
  }
  if (!isSameHolder(fork.marker, target.marker)) return others(fork.id, fork.marker);
  const found = await context.files.stat(path);
  if (found === undefined && isEmptyLater(fork, target)) return { state: "ready", fork };
  if (found === undefined) return { state: fork.copy === undefined ? "pending" : "deleting", fork };
  if (fork.copy !== undefined) return { state: "ready", fork };
  const copy = await publishedCopy(context, ownerFile, found.identity);
  if (copy !== undefined) return { state: "ready", fork: { ...fork, copy } };
  const now = await readOwner(context, its.kind, target, target.name);
  if (now?.id !== fork.id || now.copy !== fork.copy) return await inspect(its, context, target); // it changed meanwhile
  return { state: "foreign", id: fork.id, reason: `something else made "${path}" before the fork was whole` };
}

/** Returns true for a complete fork that does not exist yet because an application creates it at first use. */
export function isEmptyLater({ copy }: Fork, { options }: Scope<unknown>): boolean {
  return copy === "empty" && isMadeAtFirstUse(options);
}

/** Returns true if a resource's options leave it to the application to create the file. */
export function isMadeAtFirstUse(options: unknown): boolean {
  return (options as { make?: unknown } | null)?.make === "first use";
}

/** Returns how a file with this identity was copied, from the notes beside the owner file. */
export async function publishedCopy(context: Context, ownerFile: string, identity: string): Promise<Copy | undefined> {
  for (const note of await temporariesOf(context.files, ownerFile)) {
    const text = await context.files.read(note);
    for (const copy of ["copy-on-write", "full-copy", "empty"] as const) {
      if (text === ownerNote(identity, copy)) return copy;
    }
  }
  return undefined;
}

/** Formats the note on a complete file that is about to be renamed to its place. */
export function ownerNote(identity: string, copy: Copy): string {
  return `${identity} ${copy}\n`;
}

/** Lists the paths of a fork's companions. */
export function companionsOf(its: Shape, path: string): string[] {
  return (its.companions ?? []).map((suffix) => path + suffix);
}
