/**
 * Errors for permissions that Deno refused; each names the permission to add, and where.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";

const VERBS: Readonly<Record<string, string>> = {
  net: "connect to",
  read: "read",
  write: "write",
  run: "run",
  env: "read the variable",
  sys: "ask the system for",
  import: "load code from",
};

/**
 * Returns the error for a permission that Deno refused; any other error unchanged. `action` as in `make environment
 * "alice"`.
 */
export function allowError(error: unknown, action: string): unknown {
  // An import that was refused is a TypeError.
  if (!(error instanceof Error) || !/^(NotCapable|PermissionDenied|TypeError)$/.test(error.name)) return error;
  const [, kind, what] = /^Requires (\w+) access to "([^"]+)"/.exec(error.message) ?? []; // nothing else tells it
  if (kind === undefined || what === undefined || VERBS[kind] === undefined) return error;
  const state = `Deno may not ${VERBS[kind]} "${what}"`;
  return kind === "net" ? netDenied(what, `${action}: ${state}`, error) : new ForkstackError(
    "NOT_PERMITTED",
    `Cannot ${action}: ${state}`,
    { hint: allowHint(kind, what), cause: error },
  );
}

/** Returns the error for a host to which Deno may not connect; `what` as in `reach "x": why`. */
export function netDenied(host: string, what: string, cause: unknown): ForkstackError {
  return new ForkstackError("NETWORK_DENIED", `Cannot ${what}`, { hint: allowHint("net", host), cause });
}

/** Returns the hint that says where to add a permission. */
export function allowHint(kind: string, what: string): string {
  return `Add "${what}" to "${kind}" of the permission set in deno.json, as \`forkstack permissions\` prints it, or ` +
    `run with --allow-${kind}=${what}`;
}
