/**
 * The built-in providers and stacks, as a program hands them to the command line.
 *
 * @module
 */
import type { Kind } from "../mod.ts";
import type { Provider, Question, Teller } from "./provider.ts";

/** A stack with a name that people know. */
export interface StackPreset {
  /** Its products, as the list shows them: `"Turso, Tigris, Doppler"`. */
  readonly title: string;
  /** The provider of each kind; empty: the embedded stack, which forkstack.json need not name. */
  readonly providers: Readonly<Partial<Record<Kind, string>>>;
  /** Pattern for the packages, and the hosts in env files, of a project that uses its database already. */
  readonly signs?: RegExp;
}

/** A server that many projects run on the developer's own machine. */
export interface LaptopServer {
  readonly kind: Kind;
  /** The provider that forks it: `"postgres"`. */
  readonly provider: string;
  /** The variable in which that provider reads its URL: `"POSTGRES_URL"`. */
  readonly credential: string;
  /** The schemes of its URLs; the one to write is first. */
  readonly schemes: readonly string[];
  readonly port: number;
  /** Pattern for its container images, without registry and tag: `"pgvector/pgvector"`. */
  readonly image: RegExp;
  /** Pattern for packages and settings of programs that use it: `"psycopg"`, `"django.db.backends.postgresql"`. */
  readonly clients?: RegExp;
  /** Variables of its image, and the value that counts without them. */
  readonly container: Readonly<
    Record<"user" | "database", { readonly variables: readonly string[]; readonly value: string }>
  >;
  /** The name of `dev` in `bases`, by the path of a URL, `undefined` if that names none; absent if `import` fills its own. */
  readonly base?: (path: string) => unknown;
}

/** Patterns for packages and settings of programs that use an embedded provider, by kind. */
export type EmbeddedClients = Readonly<Partial<Record<Kind, RegExp>>>;

/** The stacks, servers and questions of `init`. */
export interface Presets {
  readonly servers: readonly LaptopServer[];
  readonly embeddedClients: EmbeddedClients;
  /** Stacks by name; the one suggested to everybody is first. */
  readonly stacks: Readonly<Record<string, StackPreset>>;
  /** Questions by provider, then by option as named in forkstack.json. */
  readonly questions: Readonly<Record<string, Readonly<Record<string, Question>>>>;
}

/** Names of the variables that name one thing of one environment, by kind and provider. */
export type Identities = Readonly<Record<Kind, Readonly<Record<string, readonly string[]>>>>;

/** Loads the module of a provider. */
// deno-lint-ignore no-explicit-any -- each provider has its own options' type
export type Loader = () => Promise<{ readonly default: Provider<any> }>;

/** The built-in providers. A program passes them to `main()`; no provider's module is loaded before it is needed. */
export interface Catalog {
  /** Loaders by kind, then by the provider's name in forkstack.json. */
  readonly providers: Readonly<Record<Kind, Readonly<Record<string, Loader>>>>;
  /**
   * Loads the part of a provider that looks at a resource and reads its variables; `undefined` if it has no such part.
   */
  readonly teller: (kind: Kind, name: string) => Promise<Teller | undefined>;
  /** Loads the stacks and questions of `init`. */
  readonly presets: () => Promise<Presets>;
  /** Loads the names of variables with `isIdentity` and without `isPersonal`, without loading the providers. */
  readonly identities: () => Promise<Identities>;
}
