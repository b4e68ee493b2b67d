/**
 * Trust. Code, hosts and files outside the project that a repository names work once a person was shown them: the one
 * door, through which every command comes before it runs any of it, or sends anything there.
 *
 * @module
 */
import type { Project } from "./config.ts";
import type { Code } from "./custom.ts";
import { load } from "./load.ts";

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

/** A process without a terminal. */
export const NOBODY: Person = { say: () => {}, mayAsk: () => false };

const NOTHING: Admitted = { code: {}, scripts: {}, isTrusted: () => false };

/**
 * Lets a project in as far as a command reaches. On a terminal it asks about what is new.
 *
 * @throws {ForkstackError} NOT_TRUSTED before anything is run or sent, with the hash that FORKSTACK_TRUST must hold.
 */
export async function admit(project: Project, reach: Reach, person: Person): Promise<Admitted> {
  if (reach === "nothing" || !mayName(project)) return NOTHING;
  const { decide } = await load<typeof import("./trust_store.ts")>("core/trust_store.ts");
  return await decide(project, reach, person);
}

/** Whether forkstack.json could name anything of the kind: most name nothing, and pay nothing. */
function mayName({ config: { $schema: _, ...config } }: Project): boolean {
  return /:\/\/|"(registry|sanitize)":|"provider":"[^"]*[./]/.test(JSON.stringify(config));
}
