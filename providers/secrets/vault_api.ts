/**
 * The API of HashiCorp Vault and OpenBao: the options, the token, and requests to a KV engine of version 2.
 *
 * @module
 */
import * as v from "npm:valibot@1.5.0";
import type { Context, Scope } from "../../core/provider.ts";
import { Api, endpointOption, type Sent, type VendorAnswer } from "../_shared/json_api.ts";
import { policyOptions } from "../_shared/secret_policy.ts";
import { logIn, mountPath, mountProblem } from "./runtime/vault.ts";
import type { Send } from "./runtime/vault.ts";

/** Options of the provider `vault`. */
export const options = v.strictObject({
  /** Vault's URL, as in `VAULT_ADDR`, which gets the token. Without TLS only on this machine. */
  endpoint: endpointOption("http://127.0.0.1:8200"),
  /** The path of the KV engine, e.g. `"secret"`. */
  mount: v.optional(
    v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*$/, 'must be a path like "secret"')),
    "secret",
  ),
  /** The namespace, e.g. `"team-a"`; only in Vault Enterprise and OpenBao. */
  namespace: v.optional(
    v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*\/?$/, 'must be a namespace like "team-a"')),
  ),
  ...policyOptions,
});
export type Options = v.InferOutput<typeof options>;

/** The way to a token. */
export const CREDENTIALS_HINT =
  "`vault token create` makes one; or set VAULT_ROLE_ID and VAULT_SECRET_ID of an AppRole";

/** Vault's HTTP API. */
export const api: Api<Options> = new Api<Options>({
  provider: "vault",
  label: "Vault",
  statusPage: "`vault status`",
  credential: {
    variable: "VAULT_TOKEN",
    hint: CREDENTIALS_HINT,
  },
  scopes: ({ options: { mount }, project }) =>
    `Its policy needs create, read and update on "${mount}/data/${project}/*", and those, delete and list on ` +
    `"${mount}/metadata/${project}/*"; an expired token is refused so too`,
  base: ({ options: { endpoint } }) => `${endpoint.replace(/\/$/, "")}/v1`,
  authorize: async ({ headers }, context, scope) => headers.set("x-vault-token", await tokenOf(context, scope)),
  known(status, _code, { options: { mount } }) {
    switch (status) {
      case 400:
        return { state: "Vault refused it (400)", hint: "The cause says why" };
      case 403:
        return {
          code: "CREDENTIALS_DENIED",
          state: "the token has expired, or may not do that",
          hint: `Renew VAULT_TOKEN, or let its policy manage "${mount}/data/" and "${mount}/metadata/" of the project`,
        };
      case 404:
        return { state: `there is no KV engine of version 2 at "${mount}"`, hint: "Correct `secrets.mount`" };
      case 413:
        return { code: "VALUE_TOO_LARGE", state: "it is too large", hint: "Keep it elsewhere, and its name here" };
    }
  },
});

/** Returns the given token, or one by the AppRole, with one login per run. */
async function tokenOf(context: Context, scope: Scope<Options>): Promise<string> {
  const { VAULT_TOKEN: token, VAULT_ROLE_ID: role, VAULT_SECRET_ID: secret } = context.credentials;
  if (token !== undefined) return token.reveal();
  if (role === undefined || secret === undefined) return api.token(context); // throws: it is not set
  const { endpoint, namespace = "" } = scope.options;
  const send: Send = async (method, path, json) => {
    const answer = await askVault(context, scope, method, path, json, { isAnonymous: true });
    return await api.read(v.looseObject({}), answer, scope, "log in by AppRole");
  };
  const made = await context.once(
    `login ${endpoint} ${namespace}`,
    () => logIn(send, role.reveal(), secret.reveal()),
  );
  return made ?? api.token(context);
}

/**
 * Sends a request. Every write may be repeated: data names the version that must be there, metadata is the same again.
 */
export async function askVault(
  context: Context,
  scope: Scope<Options>,
  method: Parameters<Send>[0],
  path: string,
  json?: unknown,
  sent: Sent = {},
): Promise<VendorAnswer> {
  const { mount, namespace } = scope.options;
  const headers = { "x-vault-request": "true", "x-vault-namespace": namespace };
  // Before anything else, for an engine of version 1 takes what is written as entries of its own.
  if (sent.isAnonymous !== true) {
    const isRight = async () => {
      const answer = await api.send(context, scope, "GET", [], { tail: mountPath(mount), headers });
      if (!answer.response.ok) return void await answer.response.text(); // what follows tells why
      const told = await api.read(v.looseObject({}), answer, scope, `look at the mount "${mount}"`);
      const problem = mountProblem(told, mount);
      if (problem !== undefined) throw problem;
    };
    await context.once(`mount ${scope.options.endpoint} ${namespace} ${mount}`, isRight);
  }
  return await api.send(context, scope, method, [], { ...sent, tail: path, json, headers, mayRepeat: true });
}

/**
 * Returns a function that sends requests and parses the answers; 404 is `undefined`, unless the engine does not exist.
 */
export function to(context: Context, scope: Scope<Options>, what: string): Send {
  return async (method, path, json) => {
    const answer = await askVault(context, scope, method, path, json);
    const { response } = answer;
    if (response.status === 204) return {};
    if (response.status === 404 && await isEmpty(response)) return void await response.text();
    return await api.read(v.looseObject({}), answer, scope, what);
  };
}

/** Returns true for a 404 of an existing engine: without a complaint, or with the metadata of a deleted version. */
async function isEmpty(response: Response): Promise<boolean> {
  try {
    const { errors, data } = JSON.parse(await response.clone().text());
    return data !== undefined || (Array.isArray(errors) && errors.length === 0);
  } catch {
    return false;
  }
}
