/**
 * Errors as text, as JSON and as an exit code.
 *
 * @module
 */
import { type ForkstackError, isForkstackError } from "../../mod.ts";
import { Secret } from "../secret.ts";
import { shown, shownJson } from "../text/printable.ts";
import { localCommands, paint, type Style } from "./style.ts";

/** An error as people read it: what happened, why, what next. */
export function errorText(error: unknown, style: Style): string {
  const message = isForkstackError(error) ? error.message : unexpected(error);
  const lines = [`${paint(style, "red", "error:")} ${shown(message)}`];
  for (const cause of causes(error)) lines.push(`  ${paint(style, "dim", "cause:")} ${shown(cause)}`);
  const hint = isForkstackError(error)
    ? error.hint
    : "This should not happen. Run the same command again; what was begun is in the journal";
  if (hint) lines.push(`  ${paint(style, "cyan", "hint:")} ${localCommands(shown(hint), style)}`);
  return lines.join("\n");
}

function unexpected(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** The messages underneath an error that its own does not repeat; at most five. */
function causes(error: unknown): string[] {
  const found: string[] = [];
  const shown = error instanceof Error ? error.message : "";
  const queue = [(error as { cause?: unknown })?.cause];
  const seen = new Set<unknown>(); // a cause may lead back to itself
  while (queue.length > 0 && found.length < 5) {
    const one = queue.shift();
    if (!(one instanceof Error) || seen.has(one)) continue;
    seen.add(one);
    if (one instanceof AggregateError) queue.push(...one.errors);
    else if (!shown.includes(one.message) && !found.includes(one.message)) {
      found.push(one.message.split("\n")[0].slice(0, 300));
    }
    queue.push(one.cause);
  }
  return found;
}

/** The document of `--json`. */
export function jsonDocument(command: string, data: unknown, error: unknown, style: Pick<Style, "command">): string {
  const known = isForkstackError(error) ? error : undefined;
  const document = {
    schema: 1,
    command,
    ok: error === undefined,
    data: data ?? {},
    ...(error === undefined ? {} : {
      error: {
        code: known?.code ?? "UNEXPECTED",
        message: known?.message ?? unexpected(error),
        ...(known?.hint === undefined ? {} : { hint: localCommands(known.hint, style) }),
        retryable: known?.retryable ?? false,
        ...(known === undefined ? {} : { details: known.details }),
      },
    }),
  };
  return shownJson(JSON.stringify(document, (_key, value) => value instanceof Secret ? "[redacted]" : value, 2));
}

const EXIT_CODES: readonly (readonly [RegExp, number])[] = [
  [
    /^(USAGE|CONFIG_|NAME_INVALID|ENV_BASE|ENV_PROTECTED|ENV_UNREADABLE|ENV_UNSET|CONFIRM_|NOT_PERMITTED|NOT_TRUSTED|DRY_RUN_|VALUE_|PROVIDER_(UNKNOWN|CHANGED|INVALID|MISSING)|RESET_UNSUPPORTED|AT_|TLS_|TOOL_|SANITIZE_FAILED|NETWORK_DENIED|GIT_FAILED|FILE_UNREADABLE)/,
    2,
  ],
  [/^COMMAND_NOT_FOUND$/, 127], // what a shell ends with
  [/^COMMAND_NOT_EXECUTABLE$/, 126],
  [/^CREDENTIALS_/, 3],
  [/(NOT_FOUND|^ENV_UNKNOWN)$/, 4],
  [
    /^(ENV_CONFLICT|CONFLICT|FOREIGN|LOCK|GIT_TRACKED|REGISTRY_NEWER|REGISTRY_FOREIGN|REGISTRY_DAMAGED|STATE_DAMAGED|PLAN_LIMIT|PARENT_|PORT_IN_USE|SECRETS_LOCKED)/,
    5,
  ],
  [
    /^(PROVIDER_UNAVAILABLE|PACKAGE_UNAVAILABLE|ANSWER_INVALID|REGISTRY_UNREACHABLE|RATE_LIMITED|RESOURCE_LOCKED|NOT_READY|NETWORK_UNREACHABLE|DISK_FULL|DISK_FAILED|PROVIDER_REFUSED|RESPONSE_TOO_LARGE|DUMP_FAILED|SQL_FAILED)/,
    6,
  ],
  [/_INCOMPLETE$/, 7],
  [/^(INTERRUPTED|CANCELLED)$/, 130],
];

/** The exit code where no other fits: 1 is a check's that found something. */
const UNEXPECTED = 70;

/** The exit code of an error: 2 usage, 3 credentials, 4 not found, 5 conflict, 6 unavailable, 7 partly done, or 70. */
export function exitCodeOf(error: ForkstackError | unknown): number {
  if (!isForkstackError(error)) return UNEXPECTED;
  return EXIT_CODES.find(([pattern]) => pattern.test(error.code))?.[1] ?? UNEXPECTED;
}
