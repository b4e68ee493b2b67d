/**
 * The registry of a team: a libSQL server or Turso database. A file of its own, which is loaded when it is needed.
 *
 * @module
 */
import { ForkstackError, isForkstackError } from "../../mod.ts";
import { httpClient } from "../http/client.ts";
import { repeatable } from "../system/repeat.ts";
import { loadPackage } from "../system/lazy.ts";
import { Secret } from "../secret.ts";
import type { Sql, SqlRow, Statement } from "./sql.ts";

/** Opens it. */
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
      const results = await client.batch(statements.map(statement), "write").catch((error) => failed(url, error));
      return results.map((result) => named(result as unknown as Result));
    },
    async read(one) {
      return named(await client.execute(statement(one)).catch((error) => failed(url, error)) as unknown as Result);
    },
    close: () => client.close(),
  };
}

/**
 * What the client sends its requests with. Each may be sent again: the statements of the registry have no other effect
 * the second time (see `Registry.fenced`). So a lost reply costs a repetition, and it does no harm that Deno's fetch by
 * itself sends a request once more when a reused connection breaks.
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

/** Errors of SQL, and those that say already what to do, go on as they are. */
function failed(url: string, error: unknown): never {
  const code = (error as { code?: string }).code ?? "";
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
