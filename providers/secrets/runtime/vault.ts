/**
 * The KV engine, version 2, of Vault and OpenBao, for the provider and the application: a tree of entries below
 * `{mount}/{project}/{environment}/`. An entry with the single field `value` is a secret named as the entry; of any
 * other entry, each field is one.
 *
 * - https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2
 */
import { nameHash } from "../../../core/marker.ts";
import { Secret } from "../../../core/secret.ts";
import { ForkstackError, type SecretsRequest, type SecretsSource } from "../../../mod.ts";
import type { SecretEntry } from "../../_shared/secret_entries.ts";
import { caller, noSuchPlace, type Source, tokenOf } from "./_client.ts";

/** Sends a request below `/v1/`; returns the parsed answer, `undefined` for 404. Slashes in the path stay. */
export type Send = (method: "GET" | "POST" | "DELETE", path: string, json?: unknown) => Promise<unknown>;

/** The name of the mark, beside the entries. */
export const MARK = ".forkstack";
/** The key of an entry's custom metadata with the mark's id. */
export const MARKED_BY = "forkstack";
/** The key of custom metadata with the entry's path: a copy at another path is not ours. Absent in those of 0.1.0. */
const MARKED_AT = "forkstack-path";

/** Returns the custom metadata of an entry of ours. */
export function markMetadata(markId: string, path: string): Record<string, string> {
  return { [MARKED_BY]: markId, [MARKED_AT]: nameHash(path) };
}

/** Returns true if an entry's custom metadata has this mark and this path. */
export function isMarked(
  custom: Readonly<Record<string, string>> | null | undefined,
  markId: string,
  path: string,
): boolean {
  return custom?.[MARKED_BY] === markId && (custom[MARKED_AT] ?? nameHash(path)) === nameHash(path);
}

/** The original form of an entry, for writing it again: a change fails if somebody else was first. */
interface Form {
  readonly version: number;
  /** True if its only field is `value`. */
  readonly isSingle: boolean;
  /** Names of fields that are no text, and so are shown as JSON. */
  readonly json: readonly string[];
}

/** Returns custom metadata without forkstack's own keys. */
export function withoutMark(custom: Readonly<Record<string, string>> | null | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(custom ?? {}).filter(([key]) => key !== MARKED_BY && key !== MARKED_AT));
}

/** Joins paths, encoded except for slashes. */
export function pathOf(...parts: readonly string[]): string {
  return parts.join("/").split("/").filter(Boolean).map(encodeURIComponent).join("/");
}

/**
 * Path that describes a mount to everyone with a policy for a path in it.
 * https://developer.hashicorp.com/vault/api-docs/system/internal-ui-mounts (read in November 2026)
 */
export function mountPath(mount: string): string {
  return `sys/internal/ui/mounts/${pathOf(mount)}`;
}

/** Returns the error for a mount that is no KV engine of version 2: other engines store entries at the same paths. */
export function mountProblem(told: unknown, mount: string): ForkstackError | undefined {
  const { type, options } = (told as { data?: { type?: string; options?: { version?: string } | null } }).data ?? {};
  if (type === undefined || (type === "kv" && options?.version === "2")) return undefined;
  const isFirst = type === "kv" || type === "generic";
  const found = isFirst ? "is a KV engine of version 1, and must be of version 2" : `is an engine of type "${type}"`;
  return new ForkstackError("CONFIG_INVALID", `Cannot use vault: the mount "${mount}" ${found}`, {
    hint: isFirst
      ? `\`vault kv enable-versioning ${mount}\` upgrades it for good; or name another mount in \`secrets.mount\``
      : "Name a KV engine of version 2 in `secrets.mount`",
    details: { provider: "vault" },
  });
}

/** Lists every entry below a prefix, without the mark. A name may be an entry and a folder at once. */
export async function leavesOf(send: Send, mount: string, prefix: string): Promise<string[]> {
  const leaves: string[] = [];
  const folders = [""];
  for (let folder = folders.shift(); folder !== undefined; folder = folders.shift()) {
    const answer = await send("GET", `${pathOf(mount, "metadata", prefix, folder)}/?list=true`);
    for (const key of (answer as { data?: { keys?: string[] } } | undefined)?.data?.keys ?? []) {
      if (key.endsWith("/")) folders.push(folder + key);
      else if (folder + key !== MARK) leaves.push(folder + key);
    }
  }
  return leaves;
}

/** Reads an entry's current version; `undefined` if there is none, or only deleted ones. */
export async function entryOf(
  send: Send,
  mount: string,
  prefix: string,
  path: string,
): Promise<SecretEntry | undefined> {
  const answer = await send("GET", pathOf(mount, "data", prefix, path)) as
    | { data?: { data?: Record<string, unknown> | null; metadata?: { version?: number } } }
    | undefined;
  const data = answer?.data?.data;
  if (data === undefined || data === null) return undefined;
  const fields = Object.keys(data);
  const isSingle = fields.length === 1 && fields[0] === "value";
  const json = fields.filter((field) => typeof data[field] !== "string");
  const form: Form = { version: answer!.data!.metadata?.version ?? 0, isSingle, json };
  const values = fields.map((field) => [
    isSingle ? path.replace(/^.*\//, "") : field,
    new Secret(typeof data[field] === "string" ? data[field] : JSON.stringify(data[field])),
  ]);
  return { path, values: Object.fromEntries(values), form };
}

/** Returns the body of a write; `cas` is the required present version, 0 for none. */
export function bodyOf({ path, values, form }: SecretEntry, cas: number): unknown {
  const { isSingle, json } = (form ?? { isSingle: true, json: [] }) as Form;
  const data = Object.entries(values).map(([key, value]) => {
    const field = isSingle && key === path.replace(/^.*\//, "") ? "value" : key;
    return [field, json.includes(field) ? parsed(value) : value.reveal()];
  });
  return { options: { cas }, data: Object.fromEntries(data) };
}

function parsed(value: Secret): unknown {
  try {
    return JSON.parse(value.reveal());
  } catch {
    return value.reveal(); // it has become a text
  }
}

/** Changes values in their entries; new keys become entries of their own, marked if the environment is. */
export async function changeTree(
  send: Send,
  { mount, prefix, entries, markId }: {
    readonly mount: string;
    readonly prefix: string;
    readonly entries: readonly SecretEntry[];
    readonly markId: string | undefined;
  },
  changes: Readonly<Record<string, Secret | null>>,
): Promise<void> {
  const left = new Map(Object.entries(changes));
  for (const entry of entries) {
    const touched = Object.keys(entry.values).filter((key) => left.has(key));
    if (touched.length === 0) continue;
    const values = Object.entries({
      ...entry.values,
      ...Object.fromEntries(touched.map((key) => [key, left.get(key)!])),
    });
    for (const key of touched) left.delete(key);
    const kept = Object.fromEntries(values.filter((one): one is [string, Secret] => one[1] !== null));
    if (Object.keys(kept).length === 0) await send("DELETE", pathOf(mount, "metadata", prefix, entry.path));
    else {
      const body = bodyOf({ ...entry, values: kept }, (entry.form as Form).version);
      await send("POST", pathOf(mount, "data", prefix, entry.path), body);
    }
  }
  for (const [key, value] of left) {
    if (value === null) continue;
    const metadata = await send("GET", pathOf(mount, "metadata", prefix, key));
    if (markId !== undefined && metadata === undefined) {
      await send("POST", pathOf(mount, "metadata", prefix, key), { custom_metadata: markMetadata(markId, key) });
    }
    const version = (metadata as { data?: { current_version?: number } } | undefined)?.data?.current_version ?? 0;
    await send("POST", pathOf(mount, "data", prefix, key), bodyOf({ path: key, values: { [key]: value } }, version));
  }
}

/** Returns the id in an environment's mark. */
export async function markIdOf(send: Send, mount: string, prefix: string): Promise<string | undefined> {
  const answer = await send("GET", pathOf(mount, "data", prefix, MARK)) as { data?: { data?: { id?: string } } };
  return answer?.data?.data?.id;
}

/** Returns a token for an AppRole: https://developer.hashicorp.com/vault/api-docs/auth/approle#login-with-approle */
export async function logIn(send: Send, roleId: string, secretId: string): Promise<string | undefined> {
  const answer = await send("POST", "auth/approle/login", { role_id: roleId, secret_id: secretId });
  return (answer as { auth?: { client_token?: string } } | undefined)?.auth?.client_token;
}

const SOURCE: Source = { provider: "vault", label: "Vault", variable: "VAULT_TOKEN" };

/** Opens the secrets of an environment, without a request yet. */
export function openSecrets(request: SecretsRequest): SecretsSource {
  const { env, project, title, read, credential } = request;
  const options = request.options as { endpoint?: string; mount?: string; namespace?: string };
  const address = read("VAULT_ADDR") ?? options.endpoint;
  const namespace = read("VAULT_NAMESPACE") ?? options.namespace;
  const mount = options.mount ?? "secret";
  const prefix = `${project}/${title}`;
  const [roleId, secretId] = [credential("VAULT_ROLE_ID"), credential("VAULT_SECRET_ID")];
  const isRole = credential("VAULT_TOKEN") === undefined && roleId !== undefined && secretId !== undefined;
  let token = isRole ? undefined : tokenOf(request, "VAULT_TOKEN");
  const call = caller(SOURCE, [token, secretId].filter((one) => one !== undefined));
  const raw = (what: string, sent?: string): Send => {
    const headers: Record<string, string> = {};
    if (sent) headers["x-vault-token"] = sent;
    if (namespace) headers["x-vault-namespace"] = namespace;
    return (method, path, json) =>
      call(new URL(`${address?.replace(/\/$/, "")}/v1/${path}`), { method, headers, what, json });
  };
  async function sender(what: string): Promise<Send> {
    if (isRole) token = await logIn(raw("log in by AppRole"), roleId, secretId);
    return raw(what, token);
  }
  async function entries(send: Send): Promise<SecretEntry[]> {
    const paths = await leavesOf(send, mount, prefix);
    const all = await Promise.all(paths.map((path) => entryOf(send, mount, prefix, path)));
    return all.filter((one) => one !== undefined);
  }
  if (address === undefined) {
    throw new ForkstackError("CONFIG_MISSING", "Cannot read the secrets: nothing says where Vault is", {
      hint: "Set VAULT_ADDR, or `secrets.endpoint` in forkstack.json",
    });
  }
  return {
    async all() {
      const send = await sender(`read the secrets of "${env}"`);
      const found = await entries(send);
      if (found.length === 0 && await markIdOf(send, mount, prefix) === undefined) {
        const problem = mountProblem(await send("GET", mountPath(mount)) ?? {}, mount);
        if (problem !== undefined) throw problem;
        throw noSuchPlace(SOURCE, `secrets at "${mount}/${prefix}/"`);
      }
      const all: Record<string, string> = {};
      for (const { path, values } of found) {
        for (const [key, value] of Object.entries(values)) {
          if (Object.hasOwn(all, key)) {
            throw new ForkstackError(
              "CONFLICT",
              `Cannot read secret "${key}": it is in two entries, one is "${path}"`,
              {
                hint: "Rename one of the two",
              },
            );
          }
          all[key] = value.reveal();
        }
      }
      return all;
    },
    async write(changes) {
      const send = await sender(`change the secrets of "${env}"`);
      const wrapped = Object.entries(changes).map(([key, value]) => [key, value === null ? null : new Secret(value)]);
      const id = await markIdOf(send, mount, prefix);
      await changeTree(
        send,
        { mount, prefix, entries: await entries(send), markId: id },
        Object.fromEntries(wrapped),
      );
    },
  };
}
