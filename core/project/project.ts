/**
 * A project and its resources, as forkstack.json declares them.
 *
 * @module
 */
import { declaredResources, ForkstackError, type Kind, KINDS, parseEnvName, resourceTitle } from "../../mod.ts";
import type { Catalog, Provider } from "../provider.ts";
import type { Config } from "./schema.ts";

/** The environments that always count as there, whoever made what they hold. */
export const BASE_ENVS: readonly string[] = ["dev", "prod"];

/** A resource that the stack declares, with its provider loaded. */
export interface Resource {
  /** `"database"`, or with a name `"storage.uploads"`. */
  readonly key: string;
  readonly kind: Kind;
  readonly name?: string;
  // deno-lint-ignore no-explicit-any -- each provider has its own options' type
  readonly provider: Provider<any>;
  readonly options: unknown;
  /** The script that runs on a new fork of a database. */
  readonly sanitize?: {
    /** A path or a URL. */
    readonly place: string;
    /** As it was trusted; absent where the command runs nothing of the repository. */
    readonly text?: string;
  };
  /** Its provider is a file of the repository, and this command runs none: nothing but its name is known. */
  readonly isUnread?: true;
}

/** A project: its directory and what it declares. */
export interface Project {
  /** The directory of forkstack.json in the checkout at hand, and of the files that point it to an environment. */
  readonly root: string;
  /** The directory of forkstack.json, where a linked git worktree has none of its own: that of the main one. */
  readonly configRoot?: string;
  /** The directory that holds `.forkstack/`: the main git worktree's. */
  readonly stateRoot: string;
  readonly name: string;
  /** The stack that markers carry: `stack` of forkstack.json, or the project's name. */
  readonly stack: string;
  readonly config: Config;
  /** There is no forkstack.json yet; `new` writes it. */
  readonly isNew: boolean;
  /** This very forkstack.json was found right before; see `sealConfig`. */
  readonly isSealed?: boolean;
  /** Its environment, where the project is on no disk. @default {as the files of the checkout and the process have it} */
  readonly current?: { readonly env: string; readonly decidedBy: string };
}

/** The key of a resource: `"database"`, or with a name `"storage.uploads"`. */
export function keyOf(kind: Kind, name: string | undefined): string {
  return name === undefined ? kind : `${kind}.${name}`;
}

/** Whether a provider is one of the catalog's, and no file that a repository names. */
export function isBuiltIn(catalog: Pick<Catalog, "providers">, kind: Kind, provider: string): boolean {
  return Object.hasOwn(catalog.providers[kind], provider);
}

/** Whether a name is a provider's, today's or an earlier one. */
export function answersTo({ name, aliases = [] }: Pick<Provider, "name" | "aliases">, recorded: string): boolean {
  return name === recorded || aliases.includes(recorded);
}

/** The name in a resource's key; absent where it has none. */
export function nameIn(key: string): string | undefined {
  return key.split(".", 2)[1];
}

/** Whether all that a stack declares is on this machine. */
export function isEmbedded(config: Config): boolean {
  return declaredResources(config).every(({ kind, provider }) => KINDS[kind].embedded?.provider === provider);
}

/** The name that a resource has in an environment, checked against what the vendor accepts. */
export function titleOf(
  project: Project,
  resource: Pick<Resource, "key" | "kind" | "name"> & { readonly provider: Pick<Provider, "name" | "capabilities"> },
  env: string,
): string {
  const title = resourceTitle(resource.kind, project.name, env, resource.name);
  const { maxLength, pattern } = resource.provider.capabilities.name;
  if (title.length <= maxLength && pattern.test(title)) return title;
  throw new ForkstackError(
    "NAME_INVALID",
    `Cannot name ${resource.key} "${title}": ${resource.provider.name} takes up to ${maxLength} characters like ${pattern.source}`,
    {
      hint: "Choose a shorter environment name",
      details: { env, resource: resource.key, provider: resource.provider.name },
    },
  );
}

/** The environments that can't be deleted, reset or pruned. */
export function protectedEnvs(project: Project): readonly string[] {
  return [...new Set([...BASE_ENVS, ...(project.config.protected ?? [])])];
}

/** The parent of a new environment: `--from`, `parent` of forkstack.json, or else `prod` (`dev` for an embedded stack). */
export function parentOf(project: Project, resources: readonly Resource[], from: string | undefined): string {
  if (from !== undefined) return parseEnvName(from, "the parent of --from");
  if (project.config.parent !== undefined) return parseEnvName(project.config.parent, '"parent" of forkstack.json');
  return resources.every(({ provider }) => provider.capabilities.parentMayBeAbsent) ? "dev" : "prod";
}
