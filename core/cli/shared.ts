/**
 * Options that several commands take, and files that several read or write. Read by `deno task gen` alone.
 *
 * @module
 */

/** Options of every command. */
export const COMMON_OPTIONS = ["yes", "json", "no-color", "help"] as const;

/** Options that several commands take, or all. */
export const SHARED_OPTIONS = {
  adopt: { type: "boolean", help: "also what another registry made, which was lost" },
  cors: {
    type: "string",
    multiple: true,
    help: "let pages of this origin read the buckets, in a browser; several times",
    value: "<origin>",
    default: "no page may read anything",
  },
  "dry-run": { type: "boolean", help: "print what would be done, and change nothing" },
  resource: {
    type: "string",
    help: "which one, where the stack has several",
    value: "<resource>",
    default: "the only one",
  },
  yes: { type: "boolean", short: "y", help: "do not ask" },
  json: { type: "boolean", help: "one JSON document on stdout" },
  "no-color": { type: "boolean", help: "plain text" },
  help: { type: "boolean", short: "h", help: "this text" },
} as const;

/** Files and variables that several commands read or write, with what they hold. */
export const SHARED_FILES = {
  ".current-env": "says which environment is current; FORKSTACK_ENV, then ENV, decide before it",
  ".forkstack/registry.db": "environments, resources and journal; elsewhere with `registry` in forkstack.json",
  credentials: "the vendors' own variables, e.g. TURSO_API_TOKEN: see the page of the provider",
} as const;
