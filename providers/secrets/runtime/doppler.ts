/**
 * Doppler in the application: every secret of a config in one call.
 *
 * - https://docs.doppler.com/reference/secrets-download
 * - https://docs.doppler.com/reference/secrets-update
 */
import { ForkstackError, type SecretsRequest, type SecretsSource } from "../../../mod.ts";
import { caller, noSuchPlace, type Source, tokenOf } from "./_client.ts";

/** The URL of Doppler's API. */
export const ENDPOINT = "https://api.doppler.com";

/** Names of the base environments' configs at Doppler, unless forkstack.json has others. */
export const CONFIGS: Readonly<Record<string, string>> = { prod: "prd", dev: "dev" };

const SOURCE: Source = { provider: "doppler", label: "Doppler", variable: "DOPPLER_TOKEN" };

/** Pattern for the three keys that Doppler adds to a config's own. */
export const MANAGED = /^DOPPLER_(PROJECT|ENVIRONMENT|CONFIG)$/;

/**
 * Returns the secrets in a downloaded config: without the three that Doppler adds, and without empty ones. An empty
 * value removes a secret in a branch, which would otherwise inherit it.
 */
export function secretsIn(downloaded: Readonly<Record<string, string | null>>): Record<string, string> {
  const isSecret = ([key, value]: readonly [string, string | null]) =>
    value !== null && value !== "" && !MANAGED.test(key);
  return Object.fromEntries(Object.entries(downloaded).filter(isSecret)) as Record<string, string>;
}

/** Opens the secrets of an environment, without a request yet. */
export function openSecrets(request: SecretsRequest): SecretsSource {
  const { env, title, read } = request;
  const options = request.options as {
    project: string;
    endpoint?: string;
    configs?: Record<string, string>;
    bases?: object;
  };
  const configs: Readonly<Record<string, string>> = { ...(options.configs ?? CONFIGS), ...options.bases };
  const config = read("DOPPLER_CONFIG") ?? (Object.hasOwn(configs, env) ? configs[env] : undefined);
  const project = read("DOPPLER_PROJECT") ?? options.project;
  const token = tokenOf(request, "DOPPLER_TOKEN");
  const headers = { authorization: `Bearer ${token}` };
  const call = caller(SOURCE, [token]);
  const urlOf = (path: string) =>
    new URL(`${(options.endpoint ?? ENDPOINT).replace(/\/$/, "")}/v3/configs/config/${path}`);
  const place = config === undefined ? `config of "${env}"` : `config "${config}" in project "${project}"`;
  async function download(): Promise<Record<string, string>> {
    const url = urlOf("secrets/download");
    url.searchParams.set("format", "json");
    if (config !== undefined) { // a service token alone says both
      url.searchParams.set("project", project);
      url.searchParams.set("config", config);
    }
    const found = await call(url, { headers, what: `read the secrets of "${env}"` }) as Record<string, string>;
    if (found === undefined) throw noSuchPlace(SOURCE, place);
    // Whatever the token is of, these must be this environment's.
    const said = found.DOPPLER_CONFIG;
    if (said === (config ?? `${found.DOPPLER_ENVIRONMENT}_${title}`)) return found;
    throw new ForkstackError("ENV_CONFLICT", `Cannot read the secrets of "${env}": the token is for config "${said}"`, {
      hint: "Set the DOPPLER_TOKEN of this environment, or point to the other with FORKSTACK_ENV",
      details: { provider: "doppler", env },
    });
  }
  return {
    all: async () => secretsIn(await download()),
    async write(changes) {
      const to = config ?? (await download()).DOPPLER_CONFIG;
      const json = { project, config: to, secrets: changes };
      const what = `change the secrets of "${env}"`;
      if (await call(urlOf("secrets"), { method: "POST", headers, json, what }) === undefined) {
        throw noSuchPlace(SOURCE, place);
      }
    },
  };
}
