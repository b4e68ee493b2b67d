/**
 * HashiCorp Vault and OpenBao: an environment is `{mount}/{project}/{environment}/` in a KV engine of version 2, copied
 * entry by entry. Whose an entry is, its custom metadata says.
 *
 * - https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2
 * - https://openbao.org/api-docs/secret/kv/kv-v2/
 */
import { present } from "../_shared/fields.ts";
import * as v from "npm:valibot@1.5.0";
import type { Context, Provider, Question, Scope, Verified } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";
import { forEach } from "../../core/system/concurrency.ts";
import { reaches, type VendorAnswer } from "../_shared/json_api.ts";
import {
  copies,
  type EntryStore,
  foreignEntries,
  isSameSettings,
  isSameValue,
  type Mark,
  type SecretEntry,
  STRANGE,
} from "../_shared/secret_entries.ts";
import { api, askVault, CREDENTIALS_HINT, type Options, options, to } from "./vault_api.ts";
import {
  bodyOf,
  changeTree,
  entryOf,
  isMarked,
  leavesOf,
  MARK,
  MARKED_BY,
  markMetadata,
  pathOf,
  withoutMark,
} from "./runtime/vault.ts";
import type { Send } from "./runtime/vault.ts";

const MARKER = v.object({
  id: v.string(),
  stack: v.string(),
  env: v.string(),
  resource: v.string(),
  operation: v.string(),
  // Absent in marks of 0.1.0.
  name: v.optional(v.string()),
  registry: v.optional(v.string()),
  made: v.optional(v.string()),
  parent: v.optional(v.string()),
  createdAt: v.string(),
  state: v.picklist(["copying", "ready"]),
});
const MARKED = v.object({
  data: v.object({
    data: v.nullable(v.object({ mark: v.string(), paths: v.array(v.string()) })),
    metadata: v.object({ custom_metadata: v.nullish(v.record(v.string(), v.string())) }),
  }),
});
const METADATA = v.object({
  data: v.object({
    custom_metadata: v.nullish(v.record(v.string(), v.string())),
    current_version: v.number(),
    max_versions: v.optional(v.number(), 0),
    cas_required: v.optional(v.boolean(), false),
    delete_version_after: v.optional(v.string(), "0s"),
  }),
});

/** Settings of an entry; those of the mount apply to a fork too. */
interface Settings {
  readonly custom_metadata: Readonly<Record<string, string>>;
  readonly max_versions: number;
  readonly cas_required: boolean;
  readonly delete_version_after: string;
}

/** Largest entry in bytes, Raft's `max_entry_size`; a Consul store takes half as much, and says so itself. */
const MAX_ENTRY_BYTES = 1024 * 1024;

const shelf: EntryStore<Options> = {
  provider: "vault",
  place: (scope, name) => `${scope.options.mount}/${scope.project}/${name}/`,
  mark,
  addMark,
  setMark,
  dropMark: async (context, scope, name) =>
    void await to(context, scope, `delete the mark of "${name}"`)(
      "DELETE",
      pathOf(scope.options.mount, "metadata", scope.project, name, MARK),
    ),
  async *marked(context, scope) {
    const answer = await to(context, scope, "list environments")(
      "GET",
      `${pathOf(scope.options.mount, "metadata", scope.project)}/?list=true`,
    );
    const keys = (answer as { data?: { keys?: string[] } } | undefined)?.data?.keys ?? [];
    for (const key of keys) if (key.endsWith("/")) yield key.slice(0, -1);
  },
  entries,
  copied,
  paths: (context, scope, name) =>
    leavesOf(
      to(context, scope, `list secrets "${shelf.place(scope, name)}"`),
      scope.options.mount,
      prefixOf(scope, name),
    ),
  async survey(context, target) {
    const parents = target.parent === undefined ? [] : await copied(context, target, target.parent);
    return [parents, await shelf.paths(context, target, target.name)];
  },
  add,
  async replace(context, scope, name, entry, was) {
    const send = to(context, scope, `write secret "${entry.path}" of "${shelf.place(scope, name)}"`);
    const metadata = pathOf(scope.options.mount, "metadata", scope.project, name, entry.path);
    const { custom_metadata: custom } = (await metadataAt(send, metadata))!;
    const own = Object.entries(custom ?? {}).filter(([key]) => !Object.hasOwn(withoutMark(custom), key));
    if (!isSameSettings(was, entry)) {
      await send("POST", metadata, settingsOf(entry, Object.fromEntries(own)));
    }
    if (isSameValue(was, entry)) return;
    const path = pathOf(scope.options.mount, "data", scope.project, name, entry.path);
    await send("POST", path, bodyOf(entry, (was.form as { version: number }).version));
  },
  drop,
  check(scope, name, { path, values }) {
    const bytes = Object.entries(values).reduce((sum, [key, value]) => sum + sizeOf(key) + sizeOf(value.reveal()), 0);
    if (bytes <= MAX_ENTRY_BYTES) return;
    throw new ForkstackError("VALUE_TOO_LARGE", `Cannot set secret "${path}" of "${name}": it has ${bytes} bytes`, {
      hint: `Vault takes about ${MAX_ENTRY_BYTES} bytes; keep it in a file or a bucket, and its name here`,
      details: { provider: "vault", resource: scope.resource },
    });
  },
  async write(context, scope, name, mark, changes) {
    const send = to(context, scope, `change secrets "${shelf.place(scope, name)}"`);
    const tree = {
      mount: scope.options.mount,
      prefix: prefixOf(scope, name),
      entries: await entries(context, scope, name),
      markId: mark?.id,
    };
    await changeTree(send, tree, changes);
  },
};

const provider: Provider<Options> = {
  name: "vault",
  kind: "secrets",
  title: "HashiCorp Vault, OpenBao",
  page: "secrets.md#vault-and-openbao",
  capabilities: {
    copy: "full-copy",
    ownership: "marked",
    outputs: "rereadable",
    nativeExpiry: false,
    usage: "none",
    pointInTime: false,
    outputsExpire: false,
    parentMayBeAbsent: false,
    name: { maxLength: 100, pattern: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/ },
  },
  credentials: ["VAULT_TOKEN", "VAULT_ROLE_ID", "VAULT_SECRET_ID"].map((variable) => ({ variable, required: false })),
  variables: {
    VAULT_ADDR: { isSecret: false, isIdentity: false },
    VAULT_NAMESPACE: { isSecret: false, isIdentity: false },
    VAULT_SECRETS_PATH: { isSecret: false, isIdentity: true },
  },
  credentialsHint: CREDENTIALS_HINT,
  options,
  permissions: ({ endpoint }) => reaches([endpoint]),
  ...copies(shelf),
  outputs: (_context, { name }, { options: { endpoint, mount, namespace }, project }) =>
    Promise.resolve(present({
      VAULT_ADDR: endpoint,
      VAULT_NAMESPACE: namespace,
      VAULT_SECRETS_PATH: `${mount}/${project}/${name}`,
    })),
};
export default provider;

/** Servers and clients of its tests, beside its emulator. */
export const verified: Verified = { servers: ["OpenBao"], clients: ["node-vault"] };

/** The questions that `init` asks, by option. */
export const questions: Readonly<Record<string, Question>> = {
  endpoint: {
    ask: "Vault: where it is",
    example: "https://vault.example:8200",
    variable: "VAULT_ADDR",
    value: "http://127.0.0.1:8200",
  },
};

function prefixOf({ project }: Scope<Options>, name: string): string {
  return `${project}/${name}`;
}

function sizeOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

// ---- The mark: its paths are data, whose it is says the custom metadata ----

async function mark(
  context: Context,
  scope: Scope<Options>,
  name: string,
): Promise<Mark | typeof STRANGE | undefined> {
  const what = `look at secrets "${shelf.place(scope, name)}"`;
  const path = pathOf(scope.options.mount, "data", scope.project, name, MARK);
  const answer = await to(context, scope, what)("GET", path);
  if (answer === undefined) return undefined;
  const marked = v.safeParse(MARKED, answer);
  if (!marked.success) return STRANGE;
  const { data, metadata } = marked.output.data;
  if (data === null) return undefined; // deleted, but for its metadata
  const found = v.safeParse(MARKER, { ...parsedJson(data.mark), ...withoutPrefix(metadata.custom_metadata ?? {}) });
  if (!found.success) return STRANGE;
  const { id, parent, createdAt, state, ...marker } = found.output;
  return { id, marker, parentId: parent || undefined, createdAt, state, paths: data.paths };
}

/** Reads the metadata at a path; `undefined` if there is no entry. */
async function metadataAt(send: Send, path: string): Promise<v.InferOutput<typeof METADATA>["data"] | undefined> {
  const answer = await send("GET", path);
  return answer === undefined ? undefined : v.parse(METADATA, answer).data;
}

function parsedJson(text: string): object {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** Returns the mark as metadata, without its paths, which are too many for 64 keys of 512 characters. */
function notesOf({ id, marker, parentId, createdAt, state }: Mark): Record<string, string> {
  const lineage = parentId === undefined ? {} : { parent: parentId };
  return { id, ...marker, ...lineage, createdAt, state } as Record<string, string>;
}

function withoutPrefix(metadata: Readonly<Record<string, string>>): Record<string, string> {
  const own = Object.entries(metadata).filter(([key]) => key.startsWith(`${MARKED_BY}-`));
  return Object.fromEntries(own.map(([key, value]) => [key.slice(MARKED_BY.length + 1), value]));
}

/**
 * Writes a new mark. The data is written only if there is none, so that of two runs one wins; until the metadata is
 * there, the data names the owner. A token that may not write the metadata is refused before the data is written.
 */
async function addMark(context: Context, scope: Scope<Options>, name: string, mark: Mark): Promise<boolean> {
  const what = `make secrets "${shelf.place(scope, name)}"`;
  const metadata = pathOf(scope.options.mount, "metadata", scope.project, name, MARK);
  await tryNotes(context, scope, metadata, what);
  const answer = await writeMark(context, scope, name, mark, 0);
  if (!answer.response.ok) {
    const problem = await api.refusal(answer, scope, what);
    if (answer.response.status !== 400 || await shelf.mark(context, scope, name) === undefined) throw problem;
    return false;
  }
  const noted = await writeNotes(context, scope, name, mark);
  if (noted.response.ok) return true;
  const problem = await api.refusal(noted, scope, what);
  if (noted.response.status === 403) await to(context, scope, what)("DELETE", metadata);
  throw problem;
}

/**
 * Sends metadata that is too long. Vault checks the policy first: 403 means not permitted, 400 permitted; nothing changes.
 * https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#create-update-metadata (read in November 2026)
 */
async function tryNotes(context: Context, scope: Scope<Options>, path: string, what: string): Promise<void> {
  const answer = await askVault(context, scope, "POST", path, { custom_metadata: { [MARKED_BY]: "x".repeat(513) } });
  if (!answer.response.ok && answer.response.status !== 400) throw await api.refusal(answer, scope, what);
  await answer.response.text();
}

/** Replaces the mark. Names the current version, since an engine may require that; repeats if another run was faster. */
async function setMark(context: Context, scope: Scope<Options>, name: string, mark: Mark): Promise<void> {
  const what = `mark secrets "${shelf.place(scope, name)}"`;
  const metadata = pathOf(scope.options.mount, "metadata", scope.project, name, MARK);
  for (let tries = 5;; tries--) {
    const version = (await metadataAt(to(context, scope, what), metadata))?.current_version ?? 0;
    const answer = await writeMark(context, scope, name, mark, version);
    if (answer.response.ok) break;
    if (answer.response.status !== 400 || tries === 1) throw await api.refusal(answer, scope, what);
    await answer.response.text();
  }
  const noted = await writeNotes(context, scope, name, mark);
  if (!noted.response.ok) throw await api.refusal(noted, scope, what);
}

async function writeMark(
  context: Context,
  scope: Scope<Options>,
  name: string,
  mark: Mark,
  cas: number,
): Promise<VendorAnswer> {
  const path = pathOf(scope.options.mount, "data", scope.project, name, MARK);
  const data = { mark: JSON.stringify(notesOf(mark)), paths: mark.paths, id: mark.id };
  const answer = await askVault(context, scope, "POST", path, { options: { cas }, data });
  if (answer.response.ok) await answer.response.text();
  return answer;
}

async function writeNotes(context: Context, scope: Scope<Options>, name: string, mark: Mark): Promise<VendorAnswer> {
  const notes = Object.entries(notesOf(mark)).map(([key, value]) => [`${MARKED_BY}-${key}`, value]);
  const path = pathOf(scope.options.mount, "metadata", scope.project, name, MARK);
  const answer = await askVault(context, scope, "POST", path, { custom_metadata: Object.fromEntries(notes) });
  if (answer.response.ok) await answer.response.text();
  return answer;
}

// ---- The entries ----

async function entries(context: Context, scope: Scope<Options>, name: string): Promise<SecretEntry[]> {
  const send = to(context, scope, `read secrets "${shelf.place(scope, name)}"`);
  const paths = await leavesOf(send, scope.options.mount, prefixOf(scope, name));
  const found = new Map<string, SecretEntry>();
  await forEach(paths, async (path) => {
    const entry = await entryOf(send, scope.options.mount, prefixOf(scope, name), path);
    if (entry !== undefined) found.set(path, entry);
  }, { signal: context.signal });
  return paths.flatMap((path) => found.get(path) ?? []);
}

/** Reads entries with their settings; an entry that never had a version consists of metadata. */
async function copied(context: Context, scope: Scope<Options>, name: string): Promise<SecretEntry[]> {
  const { options: { mount } } = scope;
  const send = to(context, scope, `read secrets "${shelf.place(scope, name)}"`);
  const paths = await leavesOf(send, mount, prefixOf(scope, name));
  const found = new Map<string, SecretEntry>();
  await forEach(paths, async (path) => {
    const metadata = await metadataAt(send, pathOf(mount, "metadata", scope.project, name, path));
    if (metadata === undefined) return;
    const { custom_metadata, max_versions, cas_required, delete_version_after, current_version } = metadata;
    const own = withoutMark(custom_metadata);
    const settings: Settings = { custom_metadata: own, max_versions, cas_required, delete_version_after };
    const bare = { path, values: {}, form: { version: 0, isSingle: false, json: [] }, isBare: true };
    const entry = current_version === 0 ? bare : await entryOf(send, mount, prefixOf(scope, name), path);
    if (entry !== undefined) found.set(path, { ...entry, settings });
  }, { signal: context.signal });
  return paths.flatMap((path) => found.get(path) ?? []);
}

/** Returns the metadata of a copy: its parent's, and the mark. */
function settingsOf(entry: SecretEntry, mark: Readonly<Record<string, string>>): object {
  const settings = entry.settings as Settings | undefined;
  return { ...settings, custom_metadata: { ...settings?.custom_metadata, ...mark } };
}

/** Writes an entry's metadata first, then its data if there is none: so an entry is never without a note. */
async function add(
  context: Context,
  scope: Scope<Options>,
  name: string,
  entry: SecretEntry,
  mark: Mark,
): Promise<void> {
  const { mount } = scope.options;
  const what = `write secret "${entry.path}" of "${shelf.place(scope, name)}"`;
  const metadata = pathOf(mount, "metadata", scope.project, name, entry.path);
  const there = await metadataAt(to(context, scope, what), metadata);
  if (there !== undefined && !isMarked(there.custom_metadata, mark.id, entry.path)) {
    throw foreignEntries(shelf, scope, `${what}: somebody else put one there`);
  }
  const isThere = there !== undefined && there.current_version > 0 &&
    await entryOf(to(context, scope, what), mount, prefixOf(scope, name), entry.path) !== undefined;
  if (isThere) return;
  if (there === undefined) {
    await to(context, scope, what)("POST", metadata, settingsOf(entry, markMetadata(mark.id, entry.path)));
  }
  if (entry.isBare) return;
  const path = pathOf(mount, "data", scope.project, name, entry.path);
  const answer = await askVault(context, scope, "POST", path, bodyOf(entry, there?.current_version ?? 0));
  if (answer.response.ok) return void await answer.response.text();
  const problem = await api.refusal(answer, scope, what);
  if (answer.response.status !== 400) throw problem;
  // Another attempt of this operation was quicker; anybody else's is given back unmarked.
  const now = await entryOf(to(context, scope, what), mount, prefixOf(scope, name), entry.path);
  if (now === undefined) throw problem;
  if (JSON.stringify(bodyOf(now, 0)) === JSON.stringify(bodyOf(entry, 0))) return;
  await to(context, scope, what)("POST", metadata, { custom_metadata: {} });
  throw foreignEntries(shelf, scope, `${what}: somebody else put one there`);
}

async function drop(context: Context, scope: Scope<Options>, name: string, path: string, mark: Mark) {
  const what = `delete secret "${path}" of "${shelf.place(scope, name)}"`;
  const metadata = pathOf(scope.options.mount, "metadata", scope.project, name, path);
  const seen = await metadataAt(to(context, scope, what), metadata);
  if (seen === undefined) return "absent";
  if (!isMarked(seen.custom_metadata, mark.id, path)) return "foreign";
  context.signal.throwIfAborted();
  await to(context, scope, what)("DELETE", metadata); // all versions, which a deletion of data would leave readable
  return "deleted";
}
