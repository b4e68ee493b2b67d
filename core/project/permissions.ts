/**
 * The Deno permissions that a stack needs: the hosts of its providers, and no others. docs/security.md says why each
 * is needed.
 *
 * @module
 */
import type { Provider } from "../provider.ts";
import { Secret } from "../secret.ts";
import { shellOf } from "../system/shell.ts";
import type { Project, Resource } from "./project.ts";

/** A permission set as in deno.json. */
export interface PermissionSet {
  readonly read: true;
  readonly write: true;
  readonly env: true;
  readonly run: readonly string[];
  readonly sys: readonly string[];
  /** Hosts; absent: no network. */
  readonly net?: readonly string[];
  /** Hosts from which forkstack itself is imported, if by URL. */
  readonly import?: readonly string[];
}

/** Programs that forkstack runs with any provider. */
export const OWN_PROGRAMS: readonly string[] = ["cp", "git"];

/** Returns the permissions that the stack needs, and the variables that would add hosts if they were set. */
export function permissionsOf(
  project: Project,
  resources: readonly Resource[],
  read: (variable: string) => string | undefined,
): { readonly set: PermissionSet; readonly unset: readonly string[] } {
  const all = resources.map(({ provider, options }) => {
    const credentials = credentialsOf(provider, read);
    const needed = provider.permissions?.(options, credentials) ?? {};
    const unset = provider.permissions === undefined || needed.net !== undefined
      ? []
      : provider.credentials.map(({ variable }) => variable);
    return { ...needed, unset };
  });
  const declared = Object.values(project.config).flatMap((one) => urlsIn(one));
  const net = sorted([...all.flatMap((one) => one.net ?? []), ...declared]);
  const shell = project.config.seed === undefined ? [] : [shellOf("")[0]!];
  const run = sorted([...OWN_PROGRAMS, ...shell, ...all.flatMap((one) => one.run ?? [])]);
  const { protocol, host } = new URL(import.meta.url);
  return {
    set: {
      read: true,
      write: true,
      env: true,
      run,
      sys: ["hostname"],
      net: net.length === 0 ? undefined : net,
      import: /^https?:$/.test(protocol) ? [host] : undefined,
    },
    unset: sorted(all.flatMap((one) => one.unset)),
  };
}

/** Lists the URLs of files that a stack loads: the registry, a script, a custom provider. */
function urlsIn(entry: unknown): string[] {
  if (typeof entry !== "object" || entry === null) return [];
  return Object.entries(entry).flatMap(([key, value]) => {
    if (typeof value !== "string") return urlsIn(value);
    const isRemote = /^(url|sanitize|provider)$/.test(key) && /^(https?|libsql):\/\//.test(value);
    return isRemote ? [new URL(value.replace(/^libsql:/, "https:")).host] : [];
  });
}

function credentialsOf(
  { credentials }: Pick<Provider, "credentials">,
  read: (variable: string) => string | undefined,
): Record<string, Secret> {
  return Object.fromEntries(credentials.flatMap(({ variable }) => {
    const value = read(variable);
    return value ? [[variable, new Secret(value)]] : [];
  }));
}

/**
 * Returns true if a list of hosts allows a URL, by Deno's rules: a host alone means all of its ports, `*.` all names
 * below a domain.
 */
export function allows(net: readonly string[], url: URL): boolean {
  const port = url.port || (url.protocol === "http:" ? "80" : "443");
  return net.some((one) => {
    const [, host, only] = /^(.+?)(?::(\d+))?$/.exec(one)!;
    if (only !== undefined && only !== port) return false;
    return host!.startsWith("*.") ? url.hostname.endsWith(host!.slice(1)) : url.hostname === host;
  });
}

function sorted(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}
