/**
 * Options of the command line.
 *
 * @module
 */

/** What each option means; a command names those that it takes. */
export const OPTIONS = {
  "from": { type: "string", help: "fork this environment instead of the default parent", value: "<env>" },
  "at": { type: "string", help: "as the parent was then: 2026-11-20T10:00:00Z, 2h (ago), or an LSN", value: "<point>" },
  "ttl": { type: "string", help: "how long it may live: 90m, 12h, 3d or 2w", value: "<time>" },
  "idle": { type: "string", help: "those not switched to for this long, not the expired ones", value: "<time>" },
  "fix": { type: "boolean", help: "mend what is safe to mend" },
  "rebuild": { type: "boolean", help: "find the environments again by their marks, where the registry was lost" },
  "adopt": { type: "boolean", help: "also what another registry made, which was lost" },
  "if-exists": { type: "boolean", help: "it is no error that there is no such environment" },
  "port": { type: "string", help: "listen there instead of the port of forkstack.json", value: "<port>" },
  "cors": {
    type: "string",
    multiple: true,
    help: "let pages of this origin read the buckets, in a browser; several times",
    value: "<origin>",
  },
  "stack": { type: "string", help: "what it is made of: sqlite-local, neon-s3-vault, ...", value: "<stack>" },
  "project": { type: "string", help: "what the project is called", value: "<project>" },
  "set": {
    type: "string",
    multiple: true,
    help: "an option of forkstack.json: database.organization=acme; several times",
    value: "<key=value>",
  },
  "empty": { type: "boolean", help: "start without the parent's data" },
  "no-switch": { type: "boolean", help: "leave the current environment as it is" },
  "dry-run": { type: "boolean", help: "print what would be done, and change nothing" },
  "purge": { type: "boolean", help: "keep no backup, and take earlier ones away" },
  "reveal": { type: "boolean", help: "show the values" },
  "resource": { type: "string", help: "which one, where the stack has several", value: "<resource>" },
  "secrets": { type: "boolean", help: "with the environment's secrets as variables, too" },
  "revoke": { type: "boolean", help: "take back all that was trusted of this project" },
  "yes": { type: "boolean", short: "y", help: "do not ask" },
  "json": { type: "boolean", help: "one JSON document on stdout" },
  "no-color": { type: "boolean", help: "plain text" },
  "help": { type: "boolean", short: "h", help: "this text" },
} as const;

/** An option's name without its dashes. */
export type OptionName = keyof typeof OPTIONS;

/** The options of a call. */
export type Flags = Readonly<Partial<Record<OptionName, string | boolean | string[]>>>;

/** The shells that there is a script for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
