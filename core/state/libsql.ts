/**
 * The registry of a team: a libSQL server or Turso database. In a separate file so that its client is loaded only when
 * needed.
 *
 * @module
 */
import { setTimeout } from "node:timers/promises";
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { httpClient } from "../http/client.ts";
import { repeatable } from "../system/repeat.ts";
import { loadPackage } from "../system/lazy.ts";
import { Secret } from "../secret.ts";
import type { Sql, SqlRow, Statement } from "./sql.ts";

/** Opens the registry. */
export async function open(url: string, authToken: string | undefined): Promise<Sql> {
  const { createClient } = await loadPackage<typeof import("npm:@libsql/client@0.18.0/web")>(
    "npm:@libsql/client@0.18.0/web",
  );
  const client = createClient({ url, authToken, intMode: "number", fetch: serverFetch(url, authToken) });
  type Result = { columns: string[]; rows: ArrayLike<unknown>[] };
  const named = (result: Result) =>
    result.rows.map((row) => Object.fromEntries(result.columns.map((column, at) => [column, row[at]])) as SqlRow);
  const statement = ([sql, ...args]: Statement) => ({ sql, args });
  return {
    async write(statements) {
      for (let tries = 1;; tries++) {
        try {
          const results = await client.batch(statements.map(statement), "write");
          return results.map((result) => named(result as unknown as Result));
        } catch (error) {
          if (!isUndone(error) || tries === BEGIN_PAUSES_MS.length + 1) failed(url, error);
          await setTimeout(BEGIN_PAUSES_MS[tries - 1]);
        }
      }
    },
    async read(one) {
      return named(await client.execute(statement(one)).catch((error) => failed(url, error)) as unknown as Result);
    },
    close: () => client.close(),
  };
}

/**
 * Pauses in milliseconds between attempts at a transaction that the server did not begin; the server itself waits for
 * its lock.
 */
const BEGIN_PAUSES_MS = [50, 100, 200, 400];

/** Returns the server's own error for a statement, as the client passes it on. */
function answeredBy(error: unknown): { readonly code: string; readonly isStatement: boolean } | undefined {
  const { code = "UNKNOWN", cause, statementIndex } = error as {
    code?: string;
    cause?: { name?: string };
    statementIndex?: number;
  };
  return cause?.name === "ResponseError" ? { code, isStatement: statementIndex !== undefined } : undefined;
}

/** Returns true if the server refused to begin or commit a transaction, or rolled it back: nothing was changed. */
function isUndone(error: unknown): boolean {
  const answer = answeredBy(error);
  if (answer === undefined) return false;
  return /^(SQLITE_BUSY|TRANSACTION_)/.test(answer.code) || (!answer.isStatement && !/^SQL/.test(answer.code));
}

/**
 * Returns the `fetch` for the client. Every request may be repeated, because the registry's statements have no further
 * effect the second time (see `Registry.fenced`). So a lost reply, or a repetition by Deno's fetch on a broken
 * connection, does no harm.
 */
function serverFetch(url: string, authToken: string | undefined): (request: Request) => Promise<Response> {
  const send = httpClient({
    secrets: authToken === undefined ? [] : [new Secret(authToken)],
    tries: 3,
    timeoutMs: 15_000,
    totalMs: 45_000,
  });
  return async (request) => {
    const response = await send(repeatable(request, true));
    if (response.status === 401 || response.status === 403) throw refused(url, response.status);
    if (!response.ok && response.status !== 400) throw unreachable(url, `it answers ${response.status}`);
    return response;
  };
}

/** Throws the error for a failed request; errors of SQL, and those that have a hint already, are thrown unchanged. */
function failed(url: string, error: unknown): never {
  const code = (error as { code?: string }).code ?? "";
  const answer = answeredBy(error);
  if (answer !== undefined && (isUndone(error) || !/^SQL/.test(code))) {
    throw new ForkstackError(
      "NOT_READY",
      `Cannot use the registry at "${new URL(url).host}": the server refuses the transaction (${answer.code})`,
      {
        hint: "Another command may be writing there: run the same command again; see also the server's own log",
        retryable: true,
        cause: error,
      },
    );
  }
  if (/^(SQLITE_|SQL_PARSE_ERROR$)/.test(code)) throw error;
  if (isForkstackError(error) && !/^(PROVIDER_UNAVAILABLE|NETWORK_UNREACHABLE)$/.test(error.code)) throw error;
  throw unreachable(url, "no answer", error);
}

function refused(url: string, status: number): ForkstackError {
  return new ForkstackError(
    "CREDENTIALS_REJECTED",
    `Cannot use the registry at "${new URL(url).host}": the token was refused (${status})`,
    { hint: "Set FORKSTACK_REGISTRY_TOKEN to a token of this database", details: { status } },
  );
}

function unreachable(url: string, state: string, cause?: unknown): ForkstackError {
  return new ForkstackError("REGISTRY_UNREACHABLE", `Cannot reach the registry at "${new URL(url).host}": ${state}`, {
    hint: "Check the network and `registry.url` in forkstack.json; `forkstack status` works without it",
    retryable: true,
    cause,
  });
}
