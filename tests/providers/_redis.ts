/** What the tests of the providers on Redis or Valkey share: a server each, and worlds on it for the suite. */
import { formatMarker } from "../../core/marker.ts";
import type { Context, Fork, Kind, Marker, Provider, Target } from "../../core/provider.ts";
import { Secret } from "../../core/secret.ts";
import { resourceTitle } from "../../mod.ts";
import type { Emulator, World } from "../conformance.ts";
import { RESP, type Server } from "../emulators/redis_server.ts";
import { TcpProxy } from "../emulators/tcp_proxy.ts";
import { shopContext } from "./_shop.ts";

export const CANARY = "canary-in-the-parent-0123456789";

/** A context whose providers reach the server by this URL. */
export function contextOf(url: string, changed: Partial<Context> = {}): Context {
  return shopContext("VALKEY_URL", url, changed);
}

/** What `shop` wants for an environment, forked from `dev`. */
export function targetOf<Options>(
  kind: Kind,
  options: Options,
  env: string,
  changed: Partial<Target<Options>> = {},
): Target<Options> {
  const marker = { stack: "shop", env, resource: kind, operation: `operation-of-${env}` };
  const title = (of: string) => resourceTitle(kind, "shop", of);
  const scope = { options, project: "shop", stack: "shop", resource: kind, root: "/" };
  return { ...scope, name: title(env), parent: title("prod"), marker, begunAt: "2026-01-01T00:00:00Z", ...changed };
}

/** What differs between the worlds of two providers. */
export interface Kept {
  /** What the keys of a name begin with, where that is what sets them apart. */
  prefix?(name: string): string;
  /** Fills a place as applications do. */
  seed(server: Server, database: number, prefix: string): Promise<void>;
}

/** The suite's worlds on one server. */
export function emulator<Options>(server: Server, provider: Provider<Options>, options: Options, its: Kept): Emulator {
  return {
    async open(given) {
      await server.wipe();
      const { kind } = provider;
      const titleOf = (env: string) => resourceTitle(kind, "myapp", env);
      const parent = titleOf("prod");
      const proxies: TcpProxy[] = [];
      await its.seed(server, 0, its.prefix?.(parent) ?? "");
      await server.admin.mset(
        "myapp-alice",
        "theirs",
        "myapp-alice.cach",
        "theirs",
        "forkstack",
        "theirs",
        "myapp-al:x",
        "1",
      );
      const others = [
        { stack: "another-stack", env: "carol", resource: given.resource },
        { stack: given.stack, env: "dave", resource: "another.resource" },
      ];
      for (const { stack, env, resource } of others) {
        const marker = { stack, env, resource, operation: "long ago" };
        const scope = { options, project: "myapp", stack, resource, root: "/" };
        await provider.create(contextOf(server.url()), {
          ...scope,
          name: titleOf(env),
          marker,
          begunAt: "2026-01-01T00:00:00Z",
        });
      }
      const placeOf = async (name: string): Promise<{ database: number; prefix: string }> => {
        if (its.prefix !== undefined) return { database: 0, prefix: its.prefix(name) };
        if (name === parent) return { database: 0, prefix: "" };
        const all = await server.admin.call("FUNCTION", "LIST", "LIBRARYNAME", "forkstack_fork_*", "WITHCODE");
        const record = new RegExp(`-- (.*"name":"${name}".*)`).exec((all as unknown[][]).flat().join("\n"))![1]!;
        return { database: JSON.parse(record).database, prefix: "" };
      };
      const world: World = {
        project: "myapp",
        root: "/",
        context: {
          ...contextOf(server.url()),
          sockets(pass) {
            const proxy = new TcpProxy(server.port, RESP, pass);
            proxies.push(proxy);
            return { credentials: { VALKEY_URL: new Secret(server.url({ port: proxy.port })) } };
          },
        },
        parent,
        absentParent: titleOf("no-such"),
        titleOf,
        things: () => server.things(),
        async contentOf(name) {
          const { database, prefix } = await placeOf(name);
          const keys = [...await server.keys(database, prefix)];
          return JSON.stringify(keys.sort(([one], [other]) => one < other ? -1 : 1));
        },
        async change(name) {
          const { database, prefix } = await placeOf(name);
          await server.admin.select(database);
          await server.admin.set(`${prefix}changed`, crypto.randomUUID());
          await server.admin.select(0);
        },
        async placeForeign(name, as) {
          if (as?.markOf !== undefined) await copyMark(server, as.markOf, name, kind);
          else await server.admin.call("ACL", "SETUSER", `${name}.${kind}`, "on", "~*");
          const prefix = its.prefix?.(name);
          if (!as?.isEmpty && prefix !== undefined) await server.admin.set(`${prefix}theirs`, "1");
        },
        rehand: (fork, marker) => rehand(server, fork, marker),
        canaries: () => [CANARY, server.password],
        async close() {
          for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
          await server.wipe();
        },
      };
      return world;
    },
  };
}

/** Another's library for the user of this name, with the mark of a fork's copied into it byte for byte. */
async function copyMark(server: Server, from: string, name: string, kind: Kind): Promise<void> {
  const all = await server.admin.call("FUNCTION", "LIST", "LIBRARYNAME", "forkstack_fork_*", "WITHCODE") as unknown[][];
  const code = all.map((one) => one.at(-1) as string).find((text) => text.includes(`"name":"${from}"`))!;
  const { id, note, user } = JSON.parse(/^-- (.*)$/m.exec(code)![1]!);
  const [own, functionOf] = [crypto.randomUUID(), (one: string) => one.replaceAll("-", "_").replaceAll(".", "_OF_")];
  const copied = code.replace(note, "{note}").replaceAll(id, own).replaceAll(
    id.replaceAll("-", "_"),
    own.replaceAll("-", "_"),
  )
    .replaceAll(`"${from}"`, `"${name}"`).replaceAll(`"${user}"`, `"${name}.${kind}"`)
    .replaceAll(`_user_${functionOf(user)}'`, `_user_${functionOf(`${name}.${kind}`)}'`)
    .replace(/^.*forkstack_database_.*$/m, "").replace("{note}", note);
  await server.admin.call("FUNCTION", "LOAD", copied);
}

/** Rewrites the mark that the server holds. */
async function rehand(server: Server, fork: Fork, marker: Marker): Promise<void> {
  const library = `forkstack_fork_${fork.id.replaceAll("-", "_")}`;
  const all = await server.admin.call("FUNCTION", "LIST", "LIBRARYNAME", library, "WITHCODE") as unknown[][];
  const code = all[0]!.at(-1) as string;
  await server.admin.call("FUNCTION", "LOAD", "REPLACE", code.replace(formatMarker(fork.marker), formatMarker(marker)));
}
