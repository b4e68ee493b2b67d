import { ForkstackError, KINDS, NAME_PATTERN, resourceTitle } from "../../../mod.ts";
import { accountOf, openBuckets, originsOf } from "../local_buckets.ts";
import { type CommandResult, type Invocation, usage } from "../command_line.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Listening } from "../../s3/listen.ts";
import type { AccessGrant } from "../../s3/server.ts";
import { Secret } from "../../secret.ts";
import { text, withEngine } from "../session.ts";
import type { Resource } from "../../project/project.ts";
import { contextOf, scopeOf } from "../../engine/context.ts";
import type { CommandFile } from "../command_file.ts";

/** `serve` */
export const command: CommandFile = {
  order: 15,
  group: "data",
  summary: "serve the local buckets over S3 until Ctrl-C",
  example: "serve",
  without: ["yes"],
  options: {
    cors: "shared",
    port: {
      type: "string",
      help: "listen on this port",
      value: "<port>",
      default: '"port" of the storage in forkstack.json, else 7833',
    },
  },
  about: [
    "Serves the buckets of every environment whose storage is `local` to S3 clients on this machine, at " +
    "127.0.0.1, until Ctrl-C. Each environment has its own key, which opens only its own buckets. The key is " +
    "in the variables of the environment.",
  ],
  examples: [
    ["serve", "on the port that the variables name"],
    ["serve --port 9000", "on another port; set AWS_ENDPOINT_URL_S3 for the app"],
    ["serve --port 0", "on any free port"],
    ["serve --cors http://localhost:5173", "browser pages of this origin can use presigned URLs"],
  ],
  exits: { 5: "the port is in use" },
  files: {
    ".forkstack/buckets/": "the objects, one directory for each bucket",
    ".forkstack/buckets.key": "the secret from which the keys are derived",
  },
  seeAlso: ["status", "docs/storage.md"],
  task: { set: "serve" },
  run: runServe,
};

async function runServe({ flags, io }: Invocation): Promise<CommandResult> {
  const wanted = portOf(text(flags.port));
  const origins = originsOf(flags.cors);
  return await withEngine(io, "look", async (engine) => {
    const buckets = engine.resources.filter((one) => one.provider.name === KINDS[one.kind].embedded?.provider)
      .filter(({ kind }) => kind === "storage");
    if (buckets.length === 0) {
      throw new ForkstackError("CONFIG_INVALID", "Cannot serve buckets: no storage of this stack is local", {
        hint: 'Set "storage": { "provider": "local" } in forkstack.json',
      });
    }
    const told = await Promise.all(buckets.map((bucket) => settingsOf(engine, bucket)));
    const [{ region }] = told;
    const account = rememberedFor(1_000, (id) => accountOfKey(engine, buckets, id));
    const doors = { region, account, origins, command: "serve" } as const;
    const ports = wanted === undefined ? [...new Set(told.map(({ port }) => port))] : [wanted];
    const servers: Listening[] = [];
    for (const port of ports) servers.push(await openBuckets(engine.project, io, doors, port));
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
  throw usage(`Cannot serve: "${given}" is not a port`, "For example --port 7834, or --port 0 for any that is free");
}

/** Returns the port and the region at which a bucket is served, by its variables. */
async function settingsOf(engine: Engine, bucket: Resource): Promise<{ port: number; region: string }> {
  const outputs = await outputsOf(engine, bucket, resourceTitle("storage", engine.project.name, "dev", bucket.name));
  return { port: Number(new URL(String(outputs.AWS_ENDPOINT_URL_S3)).port), region: String(outputs.AWS_REGION) };
}

function outputsOf(engine: Engine, bucket: Resource, title: string): Promise<Record<string, string | Secret>> {
  const held = { id: title, name: title };
  return bucket.provider.outputs(contextOf(engine, bucket.provider), held, scopeOf(engine, bucket));
}

/** Returns the access of a key, of any environment. */
async function accountOfKey(
  engine: Engine,
  buckets: readonly Resource[],
  key: string,
): Promise<AccessGrant | undefined> {
  const { name: project } = engine.project;
  for (const bucket of buckets) {
    const env = key.slice(resourceTitle("storage", project, "", bucket.name).length);
    if (!NAME_PATTERN.test(env) || resourceTitle("storage", project, env, bucket.name) !== key) continue;
    const { AWS_SECRET_ACCESS_KEY: secret } = await outputsOf(engine, bucket, key);
    if (secret instanceof Secret) return await accountOf(engine.project, env, secret.reveal());
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
