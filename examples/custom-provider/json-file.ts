/**
 * A provider of one's own, whole: a database that is one JSON file, as lowdb has it. A fork is a copy of the parent's
 * file with a mark of ours in it, under the key `forkstack`, written in one step: there is never half of one.
 *
 * It imports types alone, which are gone when it runs, so that it runs wherever forkstack does, a binary included, and
 * may carry the hash of its bytes in forkstack.json.
 */
import type { Context, Fork, Inspection, Provider, Scope, Target, Tools } from "../../core/provider.ts";

interface Options {
  readonly directory: string;
}

/** What stands in a file of ours beside the data. */
interface Mark {
  readonly id: string;
  readonly note: string;
  readonly parentId?: string;
  readonly createdAt: string;
}

export default ({ v, ForkstackError, formatMarker }: Tools): Provider<Options> => {
  const pathOf = ({ root, options }: Scope<Options>, name: string) => `${root}/${options.directory}/${name}.json`;

  async function read(
    context: Context,
    scope: Scope<Options>,
    name: string,
  ): Promise<Record<string, unknown> | undefined> {
    const text = await context.files.read(pathOf(scope, name));
    if (text === undefined) return undefined;
    try {
      const data = JSON.parse(text);
      if (typeof data === "object" && data !== null) return data;
    } catch { /* told below, without a piece of the data */ }
    throw new ForkstackError("STATE_DAMAGED", `Cannot read database "${name}": its file is no JSON object`, {
      hint: `Look at ${pathOf(scope, name)}`,
      details: { provider: "json-file", resource: scope.resource },
    });
  }

  function forkOf(context: Context, name: string, data: Record<string, unknown>): Fork | undefined {
    const mark = data.forkstack as Mark | undefined;
    const marker = mark && context.markerOf(name, mark.note);
    if (mark === undefined || marker === undefined) return undefined;
    const { id, parentId, createdAt } = mark;
    return { id, name, marker, createdAt, copy: parentId ? "full-copy" : "empty", ...(parentId ? { parentId } : {}) };
  }

  const isOurs = (fork: Fork, { stack, resource }: Scope<Options>) =>
    fork.marker.stack === stack && fork.marker.resource === resource;

  /** Whether a mark is of the same environment and registry; marks of forkstack 0.1.0 name no registry. */
  const isOf = (fork: Fork, { env, registry }: Target<Options>["marker"]) =>
    fork.marker.env === env && (!registry || !fork.marker.registry || fork.marker.registry === registry);

  async function inspect(context: Context, target: Target<Options>): Promise<Inspection> {
    const data = await read(context, target, target.name);
    if (data === undefined) return { state: "absent" };
    const fork = forkOf(context, target.name, data);
    if (fork === undefined) return { state: "foreign", id: target.name, reason: "it bears no mark of forkstack" };
    if (isOurs(fork, target) && isOf(fork, target.marker)) return { state: "ready", fork };
    const { stack, env } = fork.marker;
    const reason = `it belongs to environment "${env}" of stack "${stack}"`;
    return { state: "foreign", id: fork.id, reason, holder: fork.marker };
  }

  function foreign(what: string, scope: Scope<Options>) {
    return new ForkstackError("FOREIGN", `Cannot ${what}: it is not this environment's`, {
      hint: "Choose another environment name, or move the file away",
      details: { provider: "json-file", resource: scope.resource },
    });
  }

  /** The fork if an earlier attempt of this operation made it; nothing if there is none. */
  async function madeBefore(context: Context, target: Target<Options>): Promise<Fork | undefined> {
    const seen = await inspect(context, target);
    if (seen.state === "absent") return undefined;
    if (seen.state === "ready" && seen.fork.marker.operation === target.marker.operation) return seen.fork;
    throw foreign(`make database "${target.name}"`, target);
  }

  return {
    name: "json-file",
    kind: "database",
    capabilities: {
      copy: "full-copy",
      ownership: "marked",
      outputs: "rereadable",
      nativeExpiry: false,
      usage: "bytes",
      pointInTime: false,
      outputsExpire: false,
      parentMayBeAbsent: true,
      name: { maxLength: 200, pattern: /^[a-z0-9-]+$/ },
    },
    credentials: [],
    variables: { DATABASE_URL: { isSecret: false, isIdentity: true } },
    options: v.strictObject({
      /** Where the files are, from the directory that holds `.forkstack/`. */
      directory: v.optional(
        v.pipe(v.string(), v.regex(/^[\w-]+(\/[\w-]+)*$/, "must be a path inside the project")),
        "data",
      ),
    }),
    inspect,

    async create(context, target) {
      const earlier = await madeBefore(context, target);
      if (earlier !== undefined) return earlier;
      const { parent, marker } = target;
      const { forkstack: _, ...data } = parent === undefined ? {} : await read(context, target, parent) ?? {};
      const isEmpty = parent === undefined || await context.files.stat(pathOf(target, parent)) === undefined;
      const mark: Mark = {
        id: crypto.randomUUID(),
        note: formatMarker(marker),
        ...(isEmpty ? {} : { parentId: parent }),
        createdAt: context.now().toISOString(),
      };
      const text = `${JSON.stringify({ forkstack: mark, ...data }, null, 2)}\n`;
      await context.fence();
      try {
        await context.files.write(pathOf(target, target.name), text, { exclusive: true });
      } catch (error) {
        if ((error as { code?: string }).code !== "EEXIST") throw error;
        const other = await madeBefore(context, target); // another worker of this operation was quicker
        if (other !== undefined) return other;
        throw error;
      }
      await context.record("create", mark.id);
      return forkOf(context, target.name, { forkstack: mark })!;
    },

    async delete(context, { id, name, marker }, scope) {
      const data = await read(context, scope, name);
      const fork = data && forkOf(context, name, data);
      if (fork?.id !== id) return "absent"; // whatever has the name now, it is not this one
      if (!isOurs(fork, scope) || !isOf(fork, marker)) throw foreign(`delete database "${name}"`, scope);
      await context.fence();
      await context.files.remove(pathOf(scope, name));
      return "deleted";
    },

    async *list(context, scope) {
      for (const file of await context.files.list(`${scope.root}/${scope.options.directory}`)) {
        const name = /^([a-z0-9-]+)\.json$/.exec(file)?.[1];
        const data = name === undefined ? undefined : await read(context, scope, name);
        const fork = data && forkOf(context, name!, data);
        if (fork && isOurs(fork, scope)) yield fork;
      }
    },

    async probe(context, { id, name }, scope) {
      const data = await read(context, scope, name);
      if (data !== undefined && (forkOf(context, name, data)?.id ?? name) === id) return;
      throw new ForkstackError("NOT_FOUND", `Cannot use database "${name}": there is no such file`, {
        hint: "`forkstack doctor` tells what is missing",
        details: { provider: "json-file", resource: scope.resource },
      });
    },

    outputs(_context, { name }, scope) {
      return Promise.resolve({ DATABASE_URL: new URL(`file://${encodeURI(pathOf(scope, name))}`).href });
    },

    async usage(context, { name }, scope) {
      return { sizeBytes: (await context.files.stat(pathOf(scope, name)))?.sizeBytes ?? 0 };
    },
  };
};
