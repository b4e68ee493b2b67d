/**
 * The set of Deno's permissions that a stack needs: the hosts of its providers, and no others. docs/permissions.md says
 * why each is there.
 *
 * @module
 */
import type { Provider } from "../provider.ts";
import { Secret } from "../secret.ts";
import type { Project, Resource } from "./project.ts";

/** A permission set as deno.json has it. */
export interface PermissionSet {
  readonly read: true;
  readonly write: true;
  readonly env: true;
  readonly run: readonly string[];
  readonly sys: readonly string[];
  /** Absent: no network. */
  readonly net?: readonly string[];
  /** By URL, where forkstack itself comes from. */
  readonly import?: readonly string[];
}

/** Programs that forkstack runs whichever its providers. */
export const OWN_PROGRAMS: readonly string[] = ["cp", "git"];

/** What the stack needs, and the variables that would name more hosts if they were set. */
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
  const run = sorted([...OWN_PROGRAMS, ...all.flatMap((one) => one.run ?? [])]);
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

/** The hosts from which files of the stack come, whichever its providers: the registry, a script, a provider's own. */
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

/** Whether a list of hosts allows one, by Deno's rules: a host alone is all of its ports, `*.` all below a domain. */
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
