/**
 * Code, hosts and files that a repository names, and the user who may trust them.
 *
 * @module
 */
import type { Catalog } from "../catalog.ts";

/**
 * The reach of a command: it uses everything; it asks built-in vendors and runs no code of the repository; it opens the
 * registry only; or none of these.
 */
export type Reach = "all" | "vendors" | "registry" | "nothing";

/** An item that works only with trust. */
export interface Item {
  readonly kind: "provider" | "script" | "host" | "registry" | "base" | "command";
  /** Its resource: `"database"`, `"storage.uploads"`; or `"registry"`, or `"seed"`. */
  readonly resource: string;
  /** The path, the URL, the host or the command line, as in forkstack.json; of a base, the real path. */
  readonly name: string;
  /** The option that names a host or a base. */
  readonly option?: string;
  /** SHA-256 of each file's contents in hexadecimal, by path. */
  readonly files?: Readonly<Record<string, string>>;
  /** Options of a custom provider, which only it understands. */
  readonly options?: unknown;
}

/** The items that a project names, with the contents that were read: those are shown, hashed, and run. */
export interface Named {
  readonly items: readonly Item[];
  /** Code of custom providers, by the key of their resource. */
  readonly code: Readonly<Record<string, Code>>;
  /** Scripts, by the key of their resource. */
  readonly scripts: Readonly<Record<string, string>>;
}

/** The code and scripts that are trusted. */
export interface Admitted extends Pick<Named, "code" | "scripts"> {
  readonly isTrusted: (item: Item) => boolean;
}

/** The user at the command line. */
export interface Person {
  readonly say: (line: string) => void;
  readonly mayAsk: () => boolean;
  /** True if somebody waits for the answer: nothing is fetched then. @default {false} */
  readonly isHasty?: true;
}

/** The request of a command for items that a project names. */
export interface Admission {
  readonly catalog: Catalog;
  readonly reach: Reach;
  readonly person: Person;
}

/** The code of a provider: read once, hashed completely, and run from memory. */
export interface Code {
  readonly reference: string;
  /** The module's specifier, which contains the code. Absent for a URL, which is fetched by its hash when needed. */
  readonly specifier?: string;
  /** Texts of the file and its imports, by path relative to forkstack.json's directory. */
  readonly files: Readonly<Record<string, string>>;
}
