/**
 * Code, hosts and files that a repository names, and who may let them in.
 *
 * @module
 */
import type { Catalog } from "../provider.ts";

/**
 * How far a command goes: it works with everything; it asks built-in vendors and runs nothing of the repository; it
 * opens the registry alone; or none of these.
 */
export type Reach = "all" | "vendors" | "registry" | "nothing";

/** One thing that works only with trust. */
export interface Item {
  readonly kind: "provider" | "script" | "host" | "registry";
  /** `"database"`, `"storage.uploads"`, or `"registry"`. */
  readonly resource: string;
  /** The path, the URL or the host, as forkstack.json has it. */
  readonly name: string;
  /** Of a host: the option that names it. */
  readonly option?: string;
  /** SHA-256 of the contents, file by file, in hexadecimal. */
  readonly files?: Readonly<Record<string, string>>;
  /** Of a provider: the rest of its entry, which only it understands. */
  readonly options?: unknown;
}

/** What a project names, with the contents that were read: those are shown, hashed, and run. */
export interface Named {
  readonly items: readonly Item[];
  /** Providers of one's own, by the key of their resource. */
  readonly code: Readonly<Record<string, Code>>;
  /** Scripts, by the key of their resource. */
  readonly scripts: Readonly<Record<string, string>>;
}

/** What was let in. */
export interface Admitted extends Pick<Named, "code" | "scripts"> {
  readonly isTrusted: (item: Item) => boolean;
}

/** Who is at the command line. */
export interface Person {
  readonly say: (line: string) => void;
  readonly mayAsk: () => boolean;
  /** Somebody waits for the answer: nothing is fetched. @default {false} */
  readonly isHasty?: true;
}

/** A command that wants to use what a project names. */
export interface Admission {
  readonly catalog: Catalog;
  readonly reach: Reach;
  readonly person: Person;
}

/** A process without a terminal. */
export const NOBODY: Person = { say: () => {}, mayAsk: () => false };

/** The code of a provider: read once, covered as a whole, and run from memory. */
export interface Code {
  readonly reference: string;
  /** What runs, as a module's specifier that holds it. Absent of a URL: it is fetched when it is needed, by its hash. */
  readonly specifier?: string;
  /** The texts of the file and of those that it imports, by their paths from forkstack.json's directory. */
  readonly files: Readonly<Record<string, string>>;
}
