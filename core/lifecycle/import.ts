/**
 * Copying existing data into `dev`: all of it or nothing.
 *
 * @module
 */
import { ForkstackError, isForkstackError, type Kind } from "../../mod.ts";
import { contextOf, inspectResource } from "../engine/context.ts";
import type { Engine } from "../engine/engine.ts";
import { assertOwn } from "../engine/look.ts";
import { targetOf } from "../engine/resource.ts";
import { underLock } from "../engine/under_lock.ts";
import type { ImportSource, SourceForm } from "../provider.ts";
import { BASE_ENVS, type Resource, titleOf } from "../project/project.ts";
import { Secret } from "../secret.ts";
import { didYouMean } from "../text/did_you_mean.ts";
import { reasonOf } from "../text/printable.ts";

/** The one environment that takes data from outside. */
const ENV = "dev";

/** Existing data, as it was found. */
export interface FoundSource extends Pick<ImportSource, "path" | "url"> {
  readonly form: SourceForm;
  /** The data as messages name it: a path, or a URL's host and database. */
  readonly name: string;
}

/** The plan of an `import`. */
export interface ImportPlan {
  readonly resource: Resource;
  readonly title: string;
  readonly source: FoundSource;
}

/**
 * Finds the data that a text names: a path, a `file:` URL, or the URL of a running database, with or without the driver
 * that SQLAlchemy writes into it.
 *
 * @throws {ForkstackError} NOT_FOUND if a path leads nowhere; IMPORT_REFUSED for a pipe, a device or a socket.
 */
export async function findSource({ world: { files } }: Pick<Engine, "world">, text: string, cwd: string) {
  const [, scheme] = /^([a-z][a-z0-9.-]*)(?:\+[a-z0-9_]+)?:\/\//i.exec(text) ?? [];
  if (scheme !== undefined && scheme.toLowerCase() !== "file") return foundUrl(text, scheme.toLowerCase());
  const [{ fileURLToPath }, { resolve }] = await Promise.all([import("node:url"), import("node:path")]);
  const plain = /^file:\/\//i.test(text) ? fileURLToPath(text) : text.replace(/^file:/i, "");
  const path = await files.real(resolve(cwd, plain));
  if (path === undefined) {
    throw new ForkstackError("NOT_FOUND", `Cannot import "${plain}": there is no such file or directory`, {
      hint: "Name a file, a directory, or the URL of a running database",
    });
  }
  const type = (await files.stat(path))?.type;
  if (type === "file" || type === "directory") return { path, form: type, name: path } satisfies FoundSource;
  throw new ForkstackError("IMPORT_REFUSED", `Cannot import "${plain}": it is no regular file`, {
    hint: "Name a file, a directory, or the URL of a running database",
  });
}

function foundUrl(text: string, scheme: string): FoundSource {
  const url = `${scheme}${text.slice(text.indexOf("://"))}`;
  const { host, pathname } = URL.canParse(url) ? new URL(url) : { host: "", pathname: "" };
  return { url: new Secret(url), form: `${scheme}:`, name: `${host}${pathname}` || scheme };
}

/**
 * Chooses the resource of `dev` that data goes to: the one that is named, or the only one whose provider takes such data.
 *
 * @throws {ForkstackError} ENV_PROTECTED for `prod`; USAGE if there are several; IMPORT_UNSUPPORTED if there is none.
 */
export async function planImport(
  { project, resources }: Pick<Engine, "project" | "resources">,
  env: string,
  source: FoundSource,
  wanted?: string,
): Promise<ImportPlan> {
  if (env !== ENV) throw notDev(env);
  const resource = await chosen(resources, source, wanted);
  return { resource, title: titleOf(project, resource, ENV), source };
}

function notDev(env: string): ForkstackError {
  if (!BASE_ENVS.includes(env)) {
    return new ForkstackError("USAGE", `Cannot import into environment "${env}": only dev takes data from outside`, {
      hint: `Import into dev, then fork it: \`forkstack new ${env} --from dev\`, or \`forkstack reset ${env}\``,
    });
  }
  return new ForkstackError("ENV_PROTECTED", `Cannot import into environment "${env}": it is protected`, {
    hint: "Import into dev; forkstack never changes prod",
    details: { env },
  });
}

async function chosen(
  resources: readonly Resource[],
  { form, name }: FoundSource,
  wanted: string | undefined,
): Promise<Resource> {
  // A directory is a database's only if it is a dump, which a person names.
  const takes = ({ kind, provider }: Resource) =>
    provider.sources?.includes(form) === true &&
    (wanted !== undefined || form !== "directory" || kind !== "database");
  const named = resources.filter(({ key, kind }) => wanted === undefined || key === wanted || kind === wanted);
  if (named.length === 0) {
    const keys = resources.map(({ key }) => key);
    const state = `this stack has no such resource${await didYouMean(wanted!, keys)}`;
    throw new ForkstackError("USAGE", `Cannot import into "${wanted}": ${state}`, {
      hint: `One of ${keys.join(", ")}`,
    });
  }
  const found = named.filter(takes);
  if (found.length === 1) return found[0]!;
  if (found.length === 0) throw unsupported(named, form);
  throw new ForkstackError("USAGE", `Cannot import "${name}": several resources take it`, {
    hint: `Name one at the end of the command: ${found.map(({ key }) => key).join(", ")}`,
  });
}

/** Kinds of resource that a form of data could belong to, the likeliest first. */
function likelyKinds(form: SourceForm): readonly Kind[] {
  return form === "directory" ? ["storage", "local", "database"] : ["database", "storage", "local"];
}

/** Ways to fill a resource of a kind whose providers import nothing, by kind. */
const OTHER_WAYS: Readonly<Partial<Record<Kind, string>>> = {
  secrets:
    "`forkstack secrets set <key> dev` sets a value, and `forkstack secrets copy` copies them between environments",
  cache: "`forkstack connect cache dev < commands.txt` sends Redis' commands",
  queue: "A queue holds no data of its own",
};

function unsupported(named: readonly Resource[], form: SourceForm): ForkstackError {
  const likely = likelyKinds(form).flatMap((kind) => named.filter((one) => one.kind === kind));
  const [{ key, provider }] = [...likely, ...named] as [Resource];
  const { sources, importHint, title = provider.name } = provider;
  const what = /:$/.test(form) ? `a URL that begins with ${form}//` : `a ${form}`;
  const taken = sources?.map((one) => /:$/.test(one) ? `${one}//…` : `a ${one}`).join(", ");
  return new ForkstackError("IMPORT_UNSUPPORTED", `Cannot import ${what} into ${key}: ${title} does not take it`, {
    hint: taken === undefined
      ? importHint ?? OTHER_WAYS[provider.kind] ??
        `Fill ${key} of dev by the vendor's own means: \`forkstack run dev -- <program>\``
      : `It takes ${taken}`,
    details: { env: ENV, resource: key, provider: provider.name },
  });
}

/**
 * Copies data into a resource of `dev`; what was there stays unless `replace`. A failure leaves it as it was.
 *
 * @throws {ForkstackError} CONFLICT if there is data already; FOREIGN if the resource is another stack's.
 */
export async function importData(
  engine: Engine,
  { resource, title, source }: ImportPlan,
  replace: boolean,
): Promise<{ readonly durationMs: number }> {
  const began = engine.world.monotonicMs();
  const { provider } = resource;
  return await underLock(engine, ENV, "import", async (worker) => {
    assertOwn(resource, title, await inspectResource(engine, resource, { env: ENV, title }), "use");
    const making = { parent: ENV, origin: "empty" };
    const target = targetOf(engine, { env: ENV, operation: engine.world.newId(), resource, title, making });
    const context = contextOf(engine, provider, { worker, marker: target.marker });
    try {
      const { path, url } = source;
      await provider.import!(context, target, { path, url, replace });
    } catch (error) {
      throw notImported(error, resource.key, title);
    }
    return { durationMs: engine.world.monotonicMs() - began };
  });
}

/** Errors of the data itself, by the codes that copying a parent gives them. */
const OF_THE_DATA = /^(PARENT_UNUSABLE|SQL_FAILED)$/;

function notImported(error: unknown, key: string, title: string): unknown {
  if (!isForkstackError(error) || /^(INTERRUPTED|LOCK_LOST|CONFLICT|CANCELLED)$/.test(error.code)) return error;
  const code = OF_THE_DATA.test(error.code) ? "IMPORT_REFUSED" : error.code;
  return new ForkstackError(code, `Cannot import into ${key} "${title}": ${reasonOf(error)}`, {
    hint: [error.hint, "dev is as it was"].filter(Boolean).join(". "),
    retryable: error.retryable,
    details: { ...error.details, env: ENV, resource: key },
    cause: error,
  });
}
