/**
 * The URL of a registry, checked before anything is sent there.
 *
 * @module
 */

/** Returns the problem of a registry's URL; `undefined` if there is none. Without TLS its host must be this machine. */
export function registryUrlProblem(url: string): string | undefined {
  if (!/^(libsql|https?|file):/.test(url)) return "must be a libsql:, https:, http: or file: URL";
  if (!URL.canParse(url)) return "is not a URL";
  const { protocol, hostname, search, hash, username, password, pathname } = new URL(url);
  if (username !== "" || password !== "") return "must hold no credentials: the token is FORKSTACK_REGISTRY_TOKEN";
  if (protocol === "file:") {
    const isPath = url.startsWith("file:///") && !/%(2f|5c|00)/i.test(pathname);
    return isPath ? undefined : "must be the file: URL of an absolute path, e.g. file:///srv/registry.db";
  }
  if (!/^(\?tls=[01])?$/.test(search) || hash !== "") return "must have no query but tls=0 or tls=1";
  if (hostname === "") return "names no host";
  const isPlain = protocol === "http:" || search === "?tls=0";
  // A `libsql:` URL's host is not normalized as an `http:` one's is.
  const host = URL.canParse(`http://${hostname}`) ? new URL(`http://${hostname}`).hostname : "";
  if (!isPlain || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(host)) return undefined;
  return "must use TLS: without it, only on this machine (127.0.0.1)";
}
