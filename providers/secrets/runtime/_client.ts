/**
 * The client of secrets providers in an application. This file and those that use it are also loaded by URL: they
 * import nothing that an import map would have to name.
 */
import { httpClient, readJson, vendorError } from "../../../core/http/client.ts";
import { Secret } from "../../../core/secret.ts";
import { ForkstackError, isForkstackError, type ReadVariable, type SecretsRequest } from "../../../mod.ts";

/** A vendor, as named in errors. */
export interface Source {
  /** The provider's name in forkstack.json. */
  readonly provider: string;
  /** The vendor's name, e.g. `"Doppler"`. */
  readonly label: string;
  /** The variable of its token. */
  readonly variable: string;
}

/** One call of the vendor's API; `what` as in `read the secrets of "prod"`. */
export interface ApiRequest {
  readonly method?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly what: string;
}

/**
 * Returns a function that sends JSON and returns the parsed answer, `undefined` for 404; no error shows values of
 * `secrets`.
 */
export function caller(source: Source, secrets: readonly string[]): (url: URL, asked: ApiRequest) => Promise<unknown> {
  const client = httpClient({ secrets: secrets.map((one) => new Secret(one)) });
  return async (url, { method = "GET", headers, json, what }) => {
    const body = json === undefined ? {} : { body: JSON.stringify(json) };
    const request = new Request(url, { method, headers, ...body });
    if (json !== undefined) request.headers.set("content-type", "application/json");
    const response = await client(request);
    if (response.status === 404) return void await response.text();
    if (response.ok) return response.status === 204 ? {} : await readJson(response);
    const { provider, label, variable } = source;
    const isDenied = response.status === 401 || response.status === 403;
    throw vendorError(request, response, {
      provider,
      message: `Cannot ${what}: ${isDenied ? "the token was refused" : `${label} answers ${response.status}`}`,
      hint: isDenied
        ? `Switch to the environment again, which renews it; in a deployment set ${variable} again`
        : "The cause says why",
    });
  };
}

/**
 * Returns the token that was written for the environment, or the process's own of the same name. That one cannot lead
 * to another environment, because guarded variables name the place.
 */
export function tokenOf({ read, credential }: Pick<SecretsRequest, "read" | "credential">, variable: string): string {
  const token = orConflict(read, variable) ?? credential(variable);
  if (token !== undefined) return token;
  throw new ForkstackError("CREDENTIALS_MISSING", `Cannot read the secrets: ${variable} is not set`, {
    hint: "Switch to the environment again, which writes it; in a deployment set it",
  });
}

function orConflict(read: ReadVariable, variable: string): string | undefined {
  try {
    return read(variable);
  } catch (error) {
    if (isForkstackError(error) && error.code === "ENV_CONFLICT") return undefined;
    throw error;
  }
}

/** The error for an environment that the vendor does not have. */
export function noSuchPlace({ provider, label }: Source, place: string): ForkstackError {
  return new ForkstackError("NOT_FOUND", `Cannot read the secrets: ${label} has no ${place}`, {
    hint: "Create it there, or use another environment: `forkstack switch dev`",
    details: { provider },
  });
}
