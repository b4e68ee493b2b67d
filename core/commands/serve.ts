import { EMBEDDED_STACK, embeddedPath, ForkstackError, NAME_PATTERN, resourceTitle } from "../../mod.ts";
import { type Answer, type Call, usage } from "./_call.ts";
import { BASE_ENVS, type Resource } from "../config.ts";
import { contextOf, type Engine, scopeOf } from "../engine.ts";
import { files } from "../files.ts";
import { listen, type Listening } from "../s3/listen.ts";
import { type Account, s3Handler } from "../s3/server.ts";
import { Secret } from "../secret.ts";
import { text, withEngine } from "./_open.ts";

/** `serve` */
export async function runServe({ flags, io }: Call): Promise<Answer> {
  const wanted = portOf(text(flags.port));
  return await withEngine(io, "work", async (engine) => {
    const buckets = engine.resources.filter((one) => one.provider.name === EMBEDDED_STACK[one.kind])
      .filter(({ kind }) => kind === "storage");
    if (buckets.length === 0) {
      throw new ForkstackError("CONFIG_INVALID", "Cannot serve buckets: no storage of this stack is local", {
        hint: 'Set "storage": { "provider": "local" } in forkstack.json',
      });
    }
    const told = await Promise.all(buckets.map((bucket) => settingsOf(engine, bucket)));
    const [{ region }] = told;
    const handler = s3Handler({
      region,
      account: rememberedFor(1_000, (id) => accountOf(engine, buckets, id)),
      directoryOf: (bucket) => embeddedPath("storage", engine.project.stateRoot, bucket),
      onError: (error) => io.say(`error: Cannot answer a request: ${error instanceof Error ? error.message : error}`),
    });
    const ports = wanted === undefined ? [...new Set(told.map(({ port }) => port))] : [wanted];
    const servers: Listening[] = [];
    for (const port of ports) servers.push(await listen(handler, port).catch((error) => refuse(port, error)));
    const endpoints = servers.map(({ port }) => `http://127.0.0.1:${port}`);
    if (told.some(({ port }) => !servers.some((server) => server.port === port))) {
      io.say(`The environments' variables name another port: the app needs AWS_ENDPOINT_URL_S3=${endpoints[0]}`);
    }
    io.say(`Serving the buckets of ${engine.project.name} over S3 at ${endpoints.join(", ")}; Ctrl-C ends it`);
    if (!io.signal.aborted) {
      await new Promise((resolve) => io.signal.addEventListener("abort", resolve, { once: true }));
    }
    await Promise.all(servers.map((server) => server.stop()));
    return { data: { endpoints }, text: () => "Stopped serving" };
  });
}

function portOf(given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  if (/^\d{1,5}$/.test(given) && Number(given) <= 65_535) return Number(given);
  throw usage(`Cannot serve: "${given}" is no port`, "For example --port 7834, or --port 0 for any that is free");
}

/** Where a bucket's variables say that it is served. */
async function settingsOf(engine: Engine, bucket: Resource): Promise<{ port: number; region: string }> {
  const outputs = await outputsOf(engine, bucket, resourceTitle("storage", engine.project.name, "dev", bucket.name));
  return { port: Number(new URL(String(outputs.AWS_ENDPOINT_URL_S3)).port), region: String(outputs.AWS_REGION) };
}

function outputsOf(engine: Engine, bucket: Resource, title: string): Promise<Record<string, string | Secret>> {
  const held = { id: title, name: title };
  return bucket.provider.outputs(contextOf(engine, bucket.provider), held, scopeOf(engine, bucket));
}

/** What the key of one bucket is good for: the buckets of its environment, and no others. */
async function accountOf(engine: Engine, buckets: readonly Resource[], key: string): Promise<Account | undefined> {
  const { name: project } = engine.project;
  for (const bucket of buckets) {
    const env = key.slice(resourceTitle("storage", project, "", bucket.name).length);
    if (!NAME_PATTERN.test(env) || resourceTitle("storage", project, env, bucket.name) !== key) continue;
    const { AWS_SECRET_ACCESS_KEY: secret } = await outputsOf(engine, bucket, key);
    if (!(secret instanceof Secret)) continue;
    const titles = buckets.map((one) => resourceTitle("storage", project, env, one.name));
    if (BASE_ENVS.includes(env)) { // nobody makes a base environment's bucket but who first uses it
      for (const title of titles) await files.makeDirectory(embeddedPath("storage", engine.project.stateRoot, title));
    }
    return { secretAccessKey: secret.reveal(), opens: (name) => titles.includes(name), buckets: () => titles };
  }
  return undefined;
}

/** Spares a request the files that the answer comes from; an environment that is deleted keeps its key for so long. */
function rememberedFor<T>(ms: number, ask: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const known = new Map<string, { readonly answer: Promise<T>; readonly until: number }>();
  return (key) => {
    const found = known.get(key);
    if (found !== undefined && performance.now() < found.until) return found.answer;
    if (known.size >= 1_000) known.clear();
    const answer = ask(key);
    known.set(key, { answer, until: performance.now() + ms });
    answer.catch(() => known.delete(key));
    return answer;
  };
}

function refuse(port: number, error: { code?: string; name?: string }): never {
  if (error.code === "EADDRINUSE") {
    throw new ForkstackError("PORT_IN_USE", `Cannot serve the buckets at 127.0.0.1:${port}: the port is in use`, {
      hint: "End what listens there, or choose another port: --port, or `port` of the storage in forkstack.json",
      cause: error,
    });
  }
  if (error.name === "NotCapable" || error.code === "EACCES") {
    throw new ForkstackError("NOT_PERMITTED", `Cannot serve the buckets at 127.0.0.1:${port}: it is not allowed`, {
      hint: "Use `deno task envs:serve`, which has the permission set serve, and a port above 1023",
      cause: error,
    });
  }
  throw error;
}
