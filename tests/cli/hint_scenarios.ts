/** Circumstances in which the command line prints a hint, a finding or a next step with a command, in embedded stacks. */
import assert from "node:assert/strict";
import { chmod, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { DatabaseSync } from "node:sqlite";
import { isForkstackError, openStack } from "../../mod.ts";
import { WITHOUT_RIGHTS } from "../tools.ts";
import { NET, type Place, run, type RunOptions } from "./run.ts";

/** Splits a command line as a shell does, but for expansions, which no hint has. */
export function wordsOf(line: string): string[] {
  return Array.from(
    line.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+)/g),
    ([, double, single, bare]) => double?.replace(/\\(.)/g, "$1") ?? single ?? bare!,
  );
}

/** A printed text, and how its commands are run. */
export interface Told {
  readonly text: string;
  /** Fixes the cause that the text asks for besides its commands. */
  readonly mend?: () => Promise<unknown>;
  /** @default {the project} */
  readonly cwd?: string;
  readonly options?: RunOptions;
  /** The exit codes besides 0 that a command may end with, where it says more of the problem. @default {none} */
  readonly codes?: readonly number[];
}

/** One circumstance. */
export type Scenario = (place: Place) => Promise<Told>;

export async function said(
  place: Place,
  args: readonly string[],
  options?: RunOptions,
  cwd = place.root,
): Promise<string> {
  const { stdout, stderr } = await run(cwd, args, options);
  return `${stdout}\n${stderr}`;
}

/** Runs commands in turn, and gives what all of them print. */
export async function all(place: Place, ...lines: readonly string[]): Promise<string> {
  const texts: string[] = [];
  for (const line of lines) texts.push(await said(place, wordsOf(line)));
  return texts.join("\n");
}

/** Changes the registry as a crash, a clock or a stranger does. */
function sql(place: Place, statement: string): void {
  using database = new DatabaseSync(place.path(".forkstack", "registry.db"));
  database.exec(statement);
}

/** Returns the text of an error that `mod.ts` throws in an app. */
export async function thrown(cwd: string, use: (stack: ReturnType<typeof openStack>) => unknown): Promise<string> {
  try {
    await use(openStack({ cwd, read: () => undefined }));
  } catch (error) {
    assert(isForkstackError(error), String(error));
    return `${error.message}\n${error.hint}`;
  }
  throw new Error("nothing was thrown");
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export const text = async (place: Place, ...lines: string[]): Promise<Told> => ({ text: await all(place, ...lines) });

export const SCENARIOS: Readonly<Record<string, { config?: unknown; run: Scenario }>> = {
  "nothing is made yet": { run: (place) => text(place, "list") },
  "made with a lease": { run: (place) => text(place, "new alice --ttl 2d") },
  "made without a switch": { run: (place) => text(place, "new bob --no-switch") },
  "deleted": { run: (place) => text(place, "new alice", "delete alice --yes") },
  "nobody of that name": { run: (place) => text(place, "switch nobody", "status noone", "delete nothing --yes") },
  "a base": { run: (place) => text(place, "new dev") },
  "mistyped": {
    run: (place) =>
      text(place, "rm", "ls", "use", "--json list", "--json", "switch", "list --frobnicate", "list alice", "run"),
  },
  "url of an environment": { run: (place) => text(place, "new alice", "url alice", "url nothing") },
  "url of nothing": { config: { storage: { provider: "local" } }, run: (place) => text(place, "url x") },
  "no file of an environment": {
    async run(place) {
      await place.ok("new", "alice", "--no-switch");
      await rm(place.path(".forkstack", "envs", "alice.env"));
      return await text(place, "url database alice", "doctor");
    },
  },
  "a secret that is not there": { run: (place) => text(place, "secrets get NONE") },
  "a secret without a value": {
    async run(place) {
      const set = (stdin: string) => said(place, ["secrets", "set", "A", "dev", "--yes"], { stdin });
      await set("a");
      return { text: await set("") };
    },
  },
  "secrets without arguments": { run: (place) => text(place, "secrets get", "secrets edit") },
  "adopt alone": { run: (place) => text(place, "doctor --adopt") },
  "expired": {
    async run(place) {
      await place.ok("new", "alice", "--ttl", "1h");
      sql(place, "UPDATE environments SET expires_at = '2020-01-01T00:00:00.000Z'");
      return await text(place, "list", "doctor");
    },
  },
  "expired, and wanted": {
    async run(place) {
      await place.ok("new", "alice", "--ttl", "1h");
      sql(place, "UPDATE environments SET expires_at = '2020-01-01T00:00:00.000Z'");
      const { stderr } = await run(place.root, ["switch", "alice"]);
      return { text: stderr.slice(stderr.indexOf("error:")) };
    },
  },
  "a resource came later": {
    config: { database: { provider: "sqlite" } },
    async run(place) {
      await place.ok("new", "alice");
      const grown = { database: { provider: "sqlite" }, secrets: { provider: "env-file" } };
      await place.write("forkstack.json", JSON.stringify({ project: "shop", ...grown }));
      return await text(place, "doctor", "secrets list alice", "switch alice", "reset alice --yes");
    },
  },
  ...Object.fromEntries(["creating", "deleting", "resetting"].map((status) => [`left ${status}`, {
    async run(place: Place) {
      await place.ok("new", "alice");
      sql(place, `UPDATE environments SET status = '${status}'`);
      return await text(place, "status alice", "switch alice", "doctor");
    },
  }])),
  "gone": {
    async run(place) {
      await place.ok("new", "alice");
      await rm(place.path(".forkstack", "secrets", "alice.env"), { force: true });
      return await text(place, "switch alice", "doctor");
    },
  },
  "without its mark": {
    async run(place) {
      await place.ok("new", "alice");
      await rm(place.path(".forkstack", "owners"), { recursive: true });
      const mend = async () => {
        await place.ok("delete", "alice", "--yes");
        for (const name of ["sqlite", "buckets", "secrets"]) {
          await rm(place.path(".forkstack", name), { recursive: true, force: true });
        }
      };
      return { text: await all(place, "switch alice", "doctor"), mend, codes: [1, 4] };
    },
  },
  "the registry is lost": {
    async run(place) {
      await place.write(".forkstack/sqlite/shop-dev.db", "");
      await place.ok("new", "alice");
      await rm(place.path(".forkstack", "registry.db"));
      return await text(place, "new alice", "doctor", "prune --dry-run", "list");
    },
  },
  "the registry is another": {
    async run(place) {
      await place.ok("new", "alice");
      for (const name of ["registry.db", "registry-id"]) await rm(place.path(".forkstack", name), { force: true });
      return { text: await all(place, "new alice", "delete alice --yes", "doctor", "prune --dry-run"), codes: [4, 5] };
    },
  },
  "the registry is no database": {
    async run(place) {
      await place.ok("new", "alice");
      await place.write(".forkstack/registry.db", "this is no database, and more than a page of it".repeat(200));
      const mend = () => rename(place.path(".forkstack", "registry.db"), place.path("away.db"));
      return { text: await all(place, "list"), mend };
    },
  },
  "a row is damaged": {
    async run(place) {
      await place.ok("new", "alice");
      sql(place, "UPDATE resources SET title = '../../etc' WHERE key = 'database'");
      return await text(place, "switch alice", "doctor");
    },
  },
  "a pointer to nobody": {
    async run(place) {
      await place.ok("new", "alice");
      await place.write(".current-env", "zoe\n");
      return { text: await all(place, "doctor", "url"), codes: [4] };
    },
  },
  "two answers": {
    async run(place) {
      await all(place, "new bob", "new alice");
      await place.write(".current-env", "bob\n");
      return await text(place, "doctor");
    },
  },
  "a directory that was moved": {
    async run(place) {
      await place.ok("new", "alice");
      const cwd = place.path("..", "moved");
      await rename(place.root, cwd);
      await mkdir(place.root);
      return { text: await said(place, ["doctor"], {}, cwd), cwd };
    },
  },
  "another parent": { run: (place) => text(place, "new bob", "new bob --from prod", "new bob --empty") },
  "a file of variables is damaged": {
    async run(place) {
      await place.ok("new", "alice", "--no-switch");
      await place.write(".forkstack/envs/alice.env", "FORKSTACK_ENV='alice'\0\n");
      const mend = () => rm(place.path(".forkstack", "envs", "alice.env"));
      return { text: await all(place, "url database alice", "switch alice"), mend };
    },
  },
  "code that is not trusted": {
    config: { database: { provider: "sqlite", sanitize: "./x.sql" } },
    async run(place) {
      await place.write("x.sql", "SELECT 1;");
      const wrong = await said(place, ["new", "alice"], { env: { FORKSTACK_TRUST: "sha256-x" } });
      return { text: `${await all(place, "new alice")}\n${wrong}` };
    },
  },
  "there is no project": {
    async run(place) {
      await rm(place.path("forkstack.json"));
      return await text(place, "list", "new alice", "init --dry-run");
    },
  },
  "set up with other options": { run: (place) => text(place, "init --set ttl=3d --yes") },
  "a registry that does not answer": {
    async run(place) {
      await place.write(
        "forkstack.json",
        JSON.stringify({ project: "shop", registry: { url: `http://127.0.0.1:${await freePort()}` } }),
      );
      await place.trust();
      const options = { allow: NET };
      return { text: await said(place, ["list"], options), options };
    },
  },
  "an app asks for a secret": {
    async run(place) {
      await place.ok("new", "alice");
      return {
        text: await thrown(place.root, (stack) => stack.secret("API_KEY")),
        options: { stdin: "the value" },
      };
    },
  },
  "an app meets a file that is no JSON": {
    async run(place) {
      await place.write("forkstack.json", "{");
      return { text: await thrown(place.root, (stack) => stack.secret("A")), codes: [2] };
    },
  },
  "an app meets a name that is none": {
    async run(place) {
      await place.write("forkstack.json", '{"project": "My Shop"}');
      return { text: await thrown(place.root, (stack) => stack.secret("A")), codes: [2] };
    },
  },
  "a name in a file is none": {
    async run(place) {
      await place.ok("new", "alice");
      await place.write(".current-env", "Not A Name\n");
      return await text(place, "secrets list");
    },
  },
  "a host that Deno may not reach": {
    config: { database: { provider: "turso", organization: "acme" } },
    async run(place) {
      return { text: await said(place, ["new", "alice"], { env: { TURSO_API_TOKEN: "t" } }) };
    },
  },
  "nothing can be deleted": {
    async run(place) {
      await place.ok("new", "alice", "--ttl", "1h");
      await chmod(place.path(".forkstack", "secrets"), 0o555);
      const within = { within: WITHOUT_RIGHTS };
      const deleted = await said(place, ["delete", "alice", "--yes"], within);
      sql(place, "UPDATE environments SET expires_at = '2020-01-01T00:00:00.000Z'");
      const pruned = await said(place, ["prune", "--yes"], within);
      return {
        text: `${deleted}\n${pruned}`,
        mend: () => chmod(place.path(".forkstack", "secrets"), 0o755),
        codes: [4], // one has done what the other says
      };
    },
  },
  "a block without a pointer": {
    async run(place) {
      await place.ok("new", "alice");
      await rm(place.path(".current-env"));
      return { text: await thrown(place.root, (stack) => stack.secret("A")) };
    },
  },
  "data that is damaged": {
    config: { database: { provider: "sqlite", bases: { dev: "./dev.db" } } },
    async run(place) {
      const page = 4_096;
      const dev = place.path("dev.db");
      {
        using database = new DatabaseSync(dev);
        database.exec(`PRAGMA page_size = ${page}; CREATE TABLE notes (text TEXT); WITH RECURSIVE n (i) AS
          (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO notes SELECT hex(randomblob(100)) FROM n`);
      }
      const sound = await readFile(dev);
      await writeFile(dev, new Uint8Array(sound).fill(0, page * 20, page * 21));
      await place.ok("new", "alice");
      return { text: await all(place, "doctor --deep"), mend: () => writeFile(dev, sound) };
    },
  },
  "cors of every origin": {
    async run(place) {
      const storage = { provider: "local", port: await freePort() };
      await place.write("forkstack.json", JSON.stringify({ project: "shop", storage }));
      await place.ok("new", "alice");
      return await text(place, "serve --cors *");
    },
  },
};
