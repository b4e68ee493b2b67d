/**
 * Options that several commands take, and files that several read or write. Read by `deno task gen` alone.
 *
 * @module
 */

/** Options of every command. */
export const COMMON_OPTIONS = ["yes", "json", "no-color", "help"] as const;

/** Options that several commands take, or all. */
export const SHARED_OPTIONS = {
  adopt: { type: "boolean", help: "also take over resources of another registry, which must be lost" },
  cors: {
    type: "string",
    multiple: true,
    help: "let browser pages of this origin read the buckets; repeatable",
    value: "<origin>",
    default: "none",
  },
  "dry-run": { type: "boolean", help: "print the plan and change nothing" },
  resource: {
    type: "string",
    help: "which resource: of reset, with commas between; of the secrets, if there are several",
    value: "<resource>",
    default: "all; of the secrets the only one",
  },
  secrets: { type: "boolean", help: "also pass the secrets as variables" },
  reveal: { type: "boolean", help: "show the values" },
  yes: { type: "boolean", short: "y", help: "confirm; do not ask" },
  json: { type: "boolean", help: "print one JSON document on stdout" },
  "no-color": { type: "boolean", help: "print without colors" },
  help: { type: "boolean", short: "h", help: "show this help" },
} as const;

/** Files and variables that several commands read or write, with what they hold. */
export const SHARED_FILES = {
  ".current-env": "names the current environment; FORKSTACK_ENV and ENV come first",
  ".forkstack/registry.db": "environments, resources and the journal; or a server, with `registry` in forkstack.json",
  credentials: "environment variables of the vendors, e.g. TURSO_API_TOKEN; see the provider's page in docs/",
} as const;
