/**
 * A project and its resources, as forkstack.json declares them.
 *
 * @module
 */
import {
  baseOf,
  basePath,
  type Declared,
  declaredResources,
  declaredTitle,
  ForkstackError,
  type Kind,
  KINDS,
  parseEnvName,
  resourceTitle,
} from "../../mod.ts";
import type { Catalog } from "../catalog.ts";
import type { Provider, Scope } from "../provider.ts";
import type { Config } from "./schema.ts";

/** The base environments, which always exist. */
export const BASE_ENVS: readonly string[] = ["dev", "prod"];

/** A resource that the stack declares, with its provider loaded. */
export interface Resource {
  /** Its key: `"database"`, or with a name `"storage.uploads"`. */
  readonly key: string;
  readonly kind: Kind;
  readonly name?: string;
  // deno-lint-ignore no-explicit-any -- each provider has its own options' type
  readonly provider: Provider<any>;
  readonly options: unknown;
  /** The script that runs on a new fork of a database. */
  readonly sanitize?: {
    /** Its path or URL. */
    readonly place: string;
    /** Its text as trusted; absent if the command runs no code of the repository. */
    readonly text?: string;
  };
  /** True if its provider is a file of the repository and this command runs none: only its name is known then. */
  readonly isUnread?: true;
}

/** A project: its directory and its declarations. */
export interface Project {
  /** The directory of forkstack.json in this checkout, which also holds the pointer files. */
  readonly root: string;
  /** The directory of the main worktree's forkstack.json, if this linked git worktree has none of its own. */
  readonly configRoot?: string;
  /** The directory that holds `.forkstack/`: the main git worktree's. */
  readonly stateRoot: string;
  readonly name: string;
  /** The stack's id in markers: `stack` of forkstack.json, or the project's name. */
  readonly stack: string;
  readonly config: Config;
  /** True if there is no forkstack.json yet; `new` writes it. */
  readonly isNew: boolean;
  /** True if this forkstack.json was valid before; see `sealConfig`. */
  readonly isSealed?: boolean;
  /** Its environment, for a project that is not on disk. @default {decided by the checkout's files and the process} */
  readonly current?: { readonly env: string; readonly decidedBy: string };
}

/** Returns the key of a resource: `"database"`, or with a name `"storage.uploads"`. */
export function keyOf(kind: Kind, name: string | undefined): string {
  return name === undefined ? kind : `${kind}.${name}`;
}

/** Returns true if a provider is in the catalog, and is no file that a repository names. */
export function isBuiltIn(catalog: Pick<Catalog, "providers">, kind: Kind, provider: string): boolean {
  return Object.hasOwn(catalog.providers[kind], provider);
}

/** Returns true if a name is a provider's, today's or an earlier one. */
export function answersTo({ name, aliases = [] }: Pick<Provider, "name" | "aliases">, recorded: string): boolean {
  return name === recorded || aliases.includes(recorded);
}

/** Returns the name in a resource's key; `undefined` if it has none. */
export function nameIn(key: string): string | undefined {
  return key.split(".", 2)[1];
}

/** Returns true if all resources of a stack are on this machine. */
export function isEmbedded(config: Config): boolean {
  return declaredResources(config).every(({ kind, provider }) => KINDS[kind].embedded?.provider === provider);
}

/** Returns true if `bases` names paths: they may lead out of the project, and then need trust. */
export function namesPaths({ root, config }: Pick<Project, "root" | "config">): boolean {
  return declaredResources(config).some((one) => BASE_ENVS.some((env) => basePath(one, env, root) !== undefined));
}

/** Any resource, as forkstack.json declares it; of one that is not in it by now, only the name. */
function declaredAs({ config }: Pick<Project, "config">, { kind, name }: Pick<Declared, "kind" | "name">): Declared {
  const found = declaredResources(config).find((one) => one.kind === kind && one.name === name);
  return found ?? { kind, name, provider: "", options: {} };
}

/** The name that a resource has in an environment, unchecked: in a base one, that of `bases`. */
export function uncheckedTitle(
  project: Pick<Project, "name" | "config">,
  resource: Pick<Declared, "kind" | "name">,
  env: string,
): string {
  return declaredTitle(declaredAs(project, resource), project.name, env);
}

/** The names that a resource's `bases` gives, by base environment; of an embedded provider's, absolute paths. */
export function basesOf(project: Pick<Project, "root" | "config">, key: string): Scope<unknown>["bases"] {
  const one = declaredAs(project, { kind: key.split(".", 1)[0] as Kind, name: nameIn(key) });
  if (one.options.bases === undefined) return undefined;
  const told = BASE_ENVS.flatMap((env) => {
    const base = basePath(one, env, project.root) ?? baseOf(one, env);
    return base === undefined ? [] : [[env, base]];
  });
  return Object.fromEntries(told);
}

/** Returns the name of a resource in an environment; throws if the vendor does not accept it. One of `bases` is there. */
export function titleOf(
  project: Project,
  resource: Pick<Resource, "key" | "kind" | "name"> & { readonly provider: Pick<Provider, "name" | "capabilities"> },
  env: string,
): string {
  const title = uncheckedTitle(project, resource, env);
  if (title !== resourceTitle(resource.kind, project.name, env, resource.name)) return title;
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

/** Lists the environments that cannot be deleted, reset or pruned. */
export function protectedEnvs(project: Project): readonly string[] {
  return [...new Set([...BASE_ENVS, ...(project.config.protected ?? [])])];
}

/**
 * Returns the parent of a new environment: `--from`, `parent` of forkstack.json, or else `prod` (`dev` for an embedded
 * stack).
 */
export function parentOf(project: Project, resources: readonly Resource[], from: string | undefined): string {
  if (from !== undefined) return parseEnvName(from, "the parent of --from");
  if (project.config.parent !== undefined) return parseEnvName(project.config.parent, '"parent" of forkstack.json');
  return resources.every(({ provider }) => provider.capabilities.parentMayBeAbsent) ? "dev" : "prod";
}

/** Lists the variables of a provider's credentials that must be set and are not; of alternatives, the first. */
export function lackingCredentials(
  credentials: Provider["credentials"],
  isSet: (variable: string) => boolean,
): string[] {
  const isAny = credentials.length > 1 && credentials.every(({ required }) => !required);
  if (isAny) return credentials.some(({ variable }) => isSet(variable)) ? [] : [credentials[0]!.variable];
  return credentials.filter(({ variable, required }) => required && !isSet(variable)).map(({ variable }) => variable);
}
