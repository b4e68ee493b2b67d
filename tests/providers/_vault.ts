/** Vault's emulator as the conformance suite wants it: full. */
import type { Emulator, World } from "../conformance.ts";
import { serve } from "../emulators/serve.ts";
import type { Specification } from "../emulators/specification.ts";
import type { OpenBao } from "../emulators/openbao.ts";
import { Vault } from "../emulators/vault.ts";
import { CANARY, digest } from "./_doppler.ts";
import { apiWorld } from "./_vendor.ts";

const MARK = ".forkstack";

/** An entry of a world. */
interface Seed {
  readonly path: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly custom?: Record<string, string>;
}

/** The entries of a world: the parent's, neighbours', and two environments of others. */
function seeds(stack: string, resource: string): Seed[] {
  const others = [
    { stack: "another-stack", env: "carol", resource, operation: "theirs" },
    { stack, env: "dave", resource: "another.resource", operation: "theirs" },
  ];
  return [
    { path: "myapp/prod/API_KEY", data: { value: CANARY }, custom: { team: "payments" } },
    { path: "myapp/prod/db/main", data: { DATABASE_URL: `postgres://${CANARY}`, POOL: 5 } },
    { path: "myapp/prod/db", data: { DB_ADMIN: CANARY, FLAGS: { a: [1] } } },
    { path: "other/alice/API_KEY", data: { value: "theirs" } },
    ...["alic", "alice2", "alice-2"].map((near) => ({
      path: `myapp/${near}/API_KEY`,
      data: { value: `${near} ${CANARY}` },
    })),
    ...others.flatMap((marker) => {
      const notes = { id: crypto.randomUUID(), ...marker, createdAt: new Date().toISOString(), state: "ready" };
      return [
        {
          path: `myapp/${marker.env}/${MARK}`,
          data: { mark: JSON.stringify(notes), paths: ["A"], id: notes.id },
        },
        { path: `myapp/${marker.env}/A`, data: { value: CANARY }, custom: { forkstack: notes.id } },
      ];
    }),
  ];
}

/** A digest of what the entries of an environment hold. */
function contentOf(name: string, entries: Iterable<readonly [string, Seed["data"] | undefined]>): string {
  const prefix = `myapp/${name}/`;
  const own = [...entries].filter(([path]) => path.startsWith(prefix) && !path.endsWith(MARK));
  const shown = own.flatMap(([path, data]) => data === undefined ? [] : flat(path.slice(prefix.length), data));
  return digest(shown.sort());
}

/** A reset may put a value into an entry of its own. */
function flat(path: string, data: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(data).map(([key, value]) =>
    JSON.stringify([key === "value" ? path.replace(/^.*\//, "") : key, value])
  );
}

export function vaultEmulator(specification?: Specification): Emulator {
  return {
    worldsAtOnce: 4,
    async open(given) {
      const { stack, resource, credentials } = given;
      const vault = new Vault({ tokens: { [credentials.VAULT_TOKEN!]: Infinity } });
      const server = await serve(() => vault);
      for (const { path, data, custom } of seeds(stack, resource)) vault.put(path, data, custom ?? null);
      const world: World = {
        ...apiWorld(server, given, specification),
        parent: "prod",
        titleOf: (env) => env,
        things: () =>
          Promise.resolve(
            new Map([...vault.keys].map(([path, { custom, versions, created }]) => {
              const id = path.endsWith(`/${MARK}`) ? vault.dataOf(path)?.id : custom?.forkstack; // its own, of whichever mark
              return [`${path} ${id ?? ""}`, digest([custom, created, [...versions]])];
            })),
          ),
        contentOf: (name) =>
          Promise.resolve(contentOf(name, [...vault.keys.keys()].map((path) => [path, vault.dataOf(path)] as const))),
        change(name) {
          vault.put(`myapp/${name}/db/main`, { CHANGED: "1" }, vault.keys.get(`myapp/${name}/db/main`)!.custom);
          return Promise.resolve();
        },
        placeForeign(name, { isEmpty, markOf } = {}) {
          const mark = markOf === undefined ? undefined : vault.dataOf(`myapp/${markOf}/${MARK}`);
          const notes = vault.keys.get(`myapp/${markOf}/${MARK}`)?.custom;
          if (mark) vault.put(`myapp/${name}/${MARK}`, mark, { ...notes });
          if (!isEmpty) vault.put(`myapp/${name}/THEIRS`, { value: CANARY }, mark && { forkstack: String(mark.id) });
          else if (!mark) vault.note(`myapp/${name}/THEIRS`, { team: "theirs" });
          return Promise.resolve();
        },
        rehand(fork, marker) {
          const { custom } = vault.keys.get(`myapp/${fork.name}/${MARK}`)!;
          for (const [key, value] of Object.entries(marker)) custom![`forkstack-${key}`] = value;
          return Promise.resolve();
        },
        canaries: () => [CANARY],
        close: server.close,
      };
      return world;
    },
  };
}

interface BaoEntry {
  readonly data: Seed["data"] | undefined;
  /** As the API has it: `custom_metadata`, `versions` and all settings. */
  readonly metadata: { readonly custom_metadata: Record<string, string> | null; readonly [setting: string]: unknown };
}

async function baoEntries(bao: OpenBao): Promise<Map<string, BaoEntry>> {
  const all = (await bao.paths()).map(async (path) => {
    const [{ data: metadata }, read] = await Promise.all([
      bao.ask("GET", `secret/metadata/${path}`),
      bao.ask("GET", `secret/data/${path}`),
    ]);
    return [path, { metadata, data: read?.data.data ?? undefined }] as const;
  });
  return new Map(await Promise.all(all));
}

/** The suite's world on a real OpenBao, emptied for each. */
export function baoEmulator(bao: OpenBao): Emulator {
  async function put(path: string, data: Seed["data"] | undefined, custom?: Record<string, string>): Promise<void> {
    if (custom !== undefined) await bao.ask("POST", `secret/metadata/${path}`, { custom_metadata: custom });
    if (data !== undefined) await bao.ask("POST", `secret/data/${path}`, { data });
  }
  return {
    async open({ stack, resource, credentials }) {
      for (const path of await bao.paths()) await bao.ask("DELETE", `secret/metadata/${path}`);
      await bao.ask("POST", "auth/token/create", { id: credentials.VAULT_TOKEN, policies: ["root"] });
      for (const { path, data, custom } of seeds(stack, resource)) await put(path, data, custom);
      return {
        options: { endpoint: bao.url },
        project: "myapp",
        root: "/nowhere",
        context: { files: {} as World["context"]["files"], fetch: (request) => fetch(request) },
        parent: "prod",
        absentParent: "no-such-parent",
        titleOf: (env) => env,
        async things() {
          const lines = [...await baoEntries(bao)].map(([path, entry]) => {
            const id = path.endsWith(`/${MARK}`) ? entry.data?.id : entry.metadata.custom_metadata?.forkstack;
            return [`${path} ${id ?? ""}`, digest(entry)] as const;
          });
          return new Map(lines);
        },
        async contentOf(name) {
          return contentOf(name, [...await baoEntries(bao)].map(([path, { data }]) => [path, data] as const));
        },
        change: (name) => put(`myapp/${name}/db/main`, { CHANGED: "1" }),
        async placeForeign(name, { isEmpty, markOf } = {}) {
          const mark = markOf === undefined ? undefined : (await baoEntries(bao)).get(`myapp/${markOf}/${MARK}`)!;
          if (mark) await put(`myapp/${name}/${MARK}`, mark.data, mark.metadata.custom_metadata ?? {});
          const custom = mark && { forkstack: String(mark.data?.id) };
          if (!isEmpty) await put(`myapp/${name}/THEIRS`, { value: CANARY }, custom);
          else if (!mark) await put(`myapp/${name}/THEIRS`, undefined, { team: "theirs" });
        },
        async rehand({ name }, marker) {
          const path = `myapp/${name}/${MARK}`;
          const { metadata } = (await baoEntries(bao)).get(path)!;
          const changed = Object.entries(marker).map(([key, value]) => [`forkstack-${key}`, value]);
          await put(path, undefined, { ...metadata.custom_metadata, ...Object.fromEntries(changed) });
        },
        canaries: () => [CANARY],
        close: () => Promise.resolve(),
      };
    },
  };
}
