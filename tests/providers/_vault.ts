/** Vault's emulator as the conformance suite wants it: full. */
import type { Emulator, World } from "../conformance.ts";
import { serve } from "../emulators/serve.ts";
import type { Specification } from "../emulators/specification.ts";
import { Vault } from "../emulators/vault.ts";
import { CANARY, digest } from "./_doppler.ts";
import { apiWorld } from "./_vendor.ts";

const MARK = ".forkstack";

/** What the entries of an environment hold. */
function contentOf(vault: Vault, name: string): string {
  const prefix = `myapp/${name}/`;
  const paths = [...vault.keys.keys()].filter((path) => path.startsWith(prefix) && !path.endsWith(MARK)).sort();
  const shown = paths.flatMap((path) => {
    const data = vault.dataOf(path);
    return data === undefined ? [] : [flat(path.slice(prefix.length), data)];
  });
  return digest(shown.flat().sort());
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
      vault.put("myapp/prod/API_KEY", { value: CANARY }, { team: "payments" });
      vault.put("myapp/prod/db/main", { DATABASE_URL: `postgres://${CANARY}`, POOL: 5 });
      vault.put("myapp/prod/db", { DB_ADMIN: CANARY, FLAGS: { a: [1] } });
      vault.put("other/alice/API_KEY", { value: "theirs" });
      for (const near of ["alic", "alice2", "alice-2"]) {
        vault.put(`myapp/${near}/API_KEY`, { value: `${near} ${CANARY}` });
      }
      const others = [
        { stack: "another-stack", env: "carol", resource, operation: "theirs" },
        { stack, env: "dave", resource: "another.resource", operation: "theirs" },
      ];
      for (const marker of others) {
        const notes = { id: crypto.randomUUID(), ...marker, createdAt: new Date().toISOString(), state: "ready" };
        vault.put(`myapp/${marker.env}/${MARK}`, { mark: JSON.stringify(notes), paths: ["A"], id: notes.id });
        vault.put(`myapp/${marker.env}/A`, { value: CANARY }, { forkstack: notes.id });
      }
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
        contentOf: (name) => Promise.resolve(contentOf(vault, name)),
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
