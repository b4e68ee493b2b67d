/** The local buckets over S3, as `serve` and `run` open them. */
import { declaredResources, embeddedPath, ForkstackError, KINDS, resourceTitle } from "../../mod.ts";
import { type Io, usage } from "./command_line.ts";
import { files } from "../system/files.ts";
import { messageOf, shown } from "../text/printable.ts";
import { listen, type Listening } from "../s3/listen.ts";
import type { AccessGrant, S3Handler } from "../s3/server.ts";
import { BASE_ENVS, basesOf, keyOf, type Project } from "../project/project.ts";
import type { Flags } from "./command_line.ts";

/** Whom the buckets are opened to. */
export interface ServeAccess {
  readonly region: string;
  /** Returns the buckets that an access key opens. */
  readonly account: (key: string) => Promise<AccessGrant | undefined>;
  /** The origins whose pages may read answers. */
  readonly origins?: readonly string[];
  /** The command, for its permission set. */
  readonly command: "run" | "serve";
}

/** The names, in the stack, of the buckets that live on this machine; `undefined` is one without a name. */
export function localBuckets(project: Project): (string | undefined)[] {
  return declaredResources(project.config)
    .filter(({ kind, provider }) => kind === "storage" && provider === KINDS.storage.embedded?.provider)
    .map(({ name }) => name);
}

/** The directory of a local bucket: in a base environment, the one that `bases` may name. */
function directoryOf(project: Project, title: string): string {
  for (const name of localBuckets(project)) {
    const bases = basesOf(project, keyOf("storage", name)) ?? {};
    const env = (["dev", "prod"] as const).find((one) => resourceTitle("storage", project.name, one, name) === title);
    if (env !== undefined && bases[env] !== undefined) return bases[env];
  }
  return embeddedPath("storage", project.stateRoot, title);
}

/** Listens; the server itself is loaded by the first request. */
export async function openBuckets(project: Project, io: Io, doors: ServeAccess, port: number): Promise<Listening> {
  let handler: Promise<S3Handler> | undefined;
  const load = async () =>
    (await import("../s3/server.ts")).s3Handler({
      region: doors.region,
      account: doors.account,
      directoryOf: (bucket) => directoryOf(project, bucket),
      root: project.stateRoot,
      origins: doors.origins,
      onError: (error) => io.say(`error: Cannot answer a request: ${shown(messageOf(error))}`),
    });
  try {
    const listening = await listen(
      async (request, target) => await (await (handler ??= load()))(request, target),
      port,
    );
    io.atEnd(() => listening.stop());
    return listening;
  } catch (error) {
    throw refusal(doors.command, port, error as Error & { code?: string });
  }
}

/** Returns the access of one bucket's key: the buckets of its environment, and no others. */
export async function accountOf(project: Project, env: string, secretAccessKey: string): Promise<AccessGrant> {
  const titles = localBuckets(project).map((name) => resourceTitle("storage", project.name, env, name));
  if (BASE_ENVS.includes(env)) { // nobody makes a base environment's bucket but who first uses it
    const { makeReal, realBelow } = await import("../s3/paths.ts");
    await files.makeDirectory(project.stateRoot);
    const root = realBelow(project.stateRoot, project.stateRoot);
    for (const title of titles) {
      makeReal(root, realBelow(project.stateRoot, directoryOf(project, title)));
    }
  }
  return { secretAccessKey, opens: (name) => titles.includes(name), buckets: () => titles };
}

/** The origins that a person named, whose pages may read answers. */
export function originsOf(flag: Flags["cors"]): string[] {
  const given = Array.isArray(flag) ? flag : [];
  for (const one of given) {
    const url = URL.parse(one);
    if (url !== null && /^https?:$/.test(url.protocol) && url.origin === one) continue;
    const reason = one === "*" ? "any web page could then read objects whose URL it knows" : "it must be an origin";
    throw usage(
      `Cannot serve with --cors ${JSON.stringify(one)}: ${reason}`,
      "For example `forkstack serve --cors http://localhost:5173`",
    );
  }
  return given;
}

function refusal(command: string, port: number, error: Error & { code?: string }): Error {
  const where = `127.0.0.1${port === 0 ? "" : `:${port}`}`;
  if (error.code === "EADDRINUSE") {
    return new ForkstackError("PORT_IN_USE", `Cannot serve the buckets at ${where}: the port is in use`, {
      hint: "End what listens there, or choose another port: --port, or `port` of the storage in forkstack.json",
      cause: error,
    });
  }
  if (error.name === "NotCapable" || error.code === "EACCES") {
    return new ForkstackError("NOT_PERMITTED", `Cannot serve the buckets at ${where}: it is not allowed`, {
      hint: `Use \`deno task envs:${command}\`, which has the permission set ${command}${
        port === 0 ? "" : ", and a port above 1023"
      }`,
      cause: error,
    });
  }
  return error;
}
