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

/** The stacks and questions of `init`. */
export interface Presets {
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
