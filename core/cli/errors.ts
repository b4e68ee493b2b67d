/**
 * Errors as text, as JSON and as an exit code.
 *
 * @module
 */
import { isForkstackError } from "../../mod.ts";
import { Secret } from "../secret.ts";
import { reasonOf, shown, shownJson } from "../text/printable.ts";
import { localHint, paint, type Style } from "./style.ts";

/** An error as people read it: what happened, why, what next. */
export function errorText(error: unknown, style: Style): string {
  const message = isForkstackError(error) ? error.message : unexpected(error);
  const lines = [`${paint(style, "red", "error:")} ${shown(message)}`];
  for (const cause of causes(error)) lines.push(`  ${paint(style, "dim", "cause:")} ${shown(cause)}`);
  const hint = isForkstackError(error)
    ? error.hint
    : "This should not happen: it is a fault in forkstack or a custom provider. Run the same command again; it continues from the journal";
  if (hint) lines.push(`  ${paint(style, "cyan", "hint:")} ${localHint(shown(hint), style)}`);
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
    else if (![one.message, reasonOf(one)].some((text) => shown.includes(text)) && !found.includes(one.message)) {
      found.push(one.message.split("\n")[0].slice(0, 300));
    }
    queue.push(one.cause);
  }
  return found;
}

function jsonError(error: unknown, style: Pick<Style, "command">) {
  if (!isForkstackError(error)) return { code: "UNEXPECTED", message: unexpected(error), retryable: false };
  const { code, message, hint, retryable, details } = error;
  return { code, message, hint: hint && localHint(hint, style), retryable, details };
}

/** The document of `--json`. */
export function jsonDocument(command: string, data: unknown, error: unknown, style: Pick<Style, "command">): string {
  const document = {
    schema: 1,
    command,
    ok: error === undefined,
    data: data ?? {},
    error: error === undefined ? undefined : jsonError(error, style),
  };
  return shownJson(JSON.stringify(document, (_key, value) => value instanceof Secret ? "[redacted]" : value, 2));
}

/** The exit code of an error, by the table of core/cli/error_codes.ts; 70 for what is not in it. */
export async function exitCodeOf(error: unknown): Promise<number> {
  const { ERROR_CODES } = await import("./error_codes.ts"); // not `load`: it may not read
  const code = isForkstackError(error) ? error.code : "UNEXPECTED";
  return (Object.hasOwn(ERROR_CODES, code) ? ERROR_CODES[code] : ERROR_CODES.UNEXPECTED).exit;
}
