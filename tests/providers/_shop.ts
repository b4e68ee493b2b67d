/** The project `shop`, whose forks the tests of providers on real servers make: targets and contexts. */
import { parseMarker } from "../../core/marker.ts";
import type { Context, Kind, Target } from "../../core/provider.ts";
import { Secret } from "../../core/secret.ts";
import { resourceTitle } from "../../mod.ts";
import { realContext } from "../helpers.ts";

/** The resource of an environment; forked from dev's unless `changed` says otherwise. */
export function shopTarget<Options>(
  kind: Kind,
  options: Options,
  env: string,
  changed: Partial<Target<Options>> = {},
): Target<Options> {
  const { name = resourceTitle(kind, "shop", env) } = changed;
  const of = { stack: "shop", env, resource: kind, operation: `operation-of-${env}` };
  const marker = { ...of, name, registry: "0123456789abcdef" };
  const scope = { options, project: "shop", stack: "shop", resource: kind, root: "/" };
  const parent = resourceTitle(kind, "shop", "dev");
  return { ...scope, name, parent, marker, begunAt: "2026-01-01T00:00:00Z", ...changed };
}

/** A context whose credential is the URL of a server, and which tells marks as the engine does. */
export function shopContext(variable: string, url: string, changed: Partial<Context> = {}): Context {
  return realContext({
    credentials: { [variable]: new Secret(url) },
    markerOf: (name, note) => parseMarker(note, name),
    ...changed,
  });
}
