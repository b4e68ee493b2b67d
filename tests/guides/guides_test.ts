/** Each page of docs/guides, run from its own lines. At the gate's size: those that install little. */
import assert from "node:assert/strict";
import { chmodSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { debianBinaries, npmBinaries, startServer } from "../emulators/postgres_server.ts";
import { Server as RedisServer, WHY_NO_SERVER } from "../emulators/redis_server.ts";
import { pack } from "../../tools/build/pack.ts";
import { testIf } from "../helpers.ts";
import { node, type Project, temporaryProject } from "../runtime_helpers.ts";
import { SIZE, type Size } from "../sizes.ts";
import { whyMissing } from "../tools.ts";
import { Walk } from "./guide.ts";
import { stepsOf } from "./page.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const NODE = node(22);

/** Each guide, with the size from which on it is run: at the gate's those that install little. */
const GUIDES: Readonly<Record<string, Size>> = {
  "docs/guides/docker-compose": "gate",
  "docs/guides/express-knex": "full",
  "docs/guides/hono-deno": "gate",
  "docs/guides/monorepo": "gate",
  "docs/guides/next-prisma": "full",
  "docs/guides/production": "gate",
  "docs/guides/vite-drizzle": "full",
};

/** The package that `deno task pack` makes. */
const packed: Project = temporaryProject();
let tarball: string;

Deno.test.beforeAll(async () => {
  tarball = await pack(packed.path);
});

Deno.test.afterAll(() => packed[Symbol.dispose]());

Deno.test("each guide is run", () => {
  const pages = readdirSync(join(ROOT, "docs/guides")).map((file) => `docs/guides/${file.replace(/\.md$/, "")}`);
  assert.deepEqual(Object.keys(GUIDES), pages.sort());
});

for (const [guide, size] of Object.entries(GUIDES)) {
  const page = readFileSync(join(ROOT, `${guide}.md`), "utf8");

  Deno.test(`${guide}.md: each block is run, or says why not`, () => {
    const steps = stepsOf(page);
    assert(steps.some(({ kind }) => kind === "commands"));
    const lines = page.split("\n").filter(Boolean).length;
    assert(lines <= 140, `${lines} lines: a guide is short`);
  });

  if (size === "full" && SIZE !== "full") continue;
  testIf(await whyNot(page), `${guide}.md: what it says works`, async () => {
    assert("command" in NODE);
    await using stack = new AsyncDisposableStack();
    const walk = stack.use(
      new Walk({
        path: [dirname(NODE.command[0])],
        servers: await serversOf(page, stack),
        env: page.includes("prisma") ? { PRISMA_SCHEMA_ENGINE_BINARY: prismaEngine(stack) } : {},
        tarball,
      }),
    );
    await walk.follow(`${guide}.md`, stepsOf(page));
  });
}

/** Why a page can't be run on this machine. */
async function whyNot(page: string): Promise<string | undefined> {
  const why = "missing" in NODE ? NODE.missing : whyMissing("curl", "git", "setsid");
  if (why !== undefined) return why;
  if (page.includes("@localhost:6379") && WHY_NO_SERVER !== undefined) return WHY_NO_SERVER;
  if (!page.includes("@localhost:5432")) return undefined;
  const found = await postgresBinaries();
  return "reason" in found ? found.reason : whyMissing("psql", "pg_dump");
}

/** Debian's PostgreSQL, whose `pg_dump` is of the same version, else npm's. */
async function postgresBinaries(): Promise<{ bin: string } | { reason: string }> {
  const debian = debianBinaries();
  return "bin" in debian ? debian : await npmBinaries();
}

/** Starts the servers that a page has on this machine: its text for each, and what stands there for it. */
async function serversOf(page: string, stack: AsyncDisposableStack): Promise<Record<string, string>> {
  const servers: Record<string, string> = {};
  if (page.includes("@localhost:5432")) {
    const found = await postgresBinaries();
    assert("bin" in found);
    const server = stack.use(await startServer(found.bin));
    servers["postgres:postgres@localhost:5432"] = server.url("").replace(/^.*\/\/(.*)\/$/, "$1");
    for (const [, name] of page.matchAll(/POSTGRES_DB: (.+)/g)) await server.query(`CREATE DATABASE "${name}"`);
  }
  if (page.includes("@localhost:6379")) {
    const server = stack.use(await RedisServer.start());
    servers["cache@localhost:6379"] = `${server.password}@127.0.0.1:${server.port}`;
  }
  return servers;
}

/** A program that Prisma takes for its schema engine. */
function prismaEngine(stack: AsyncDisposableStack): string {
  const engine = fileURLToPath(new URL("prisma_engine.ts", import.meta.url));
  const directory = stack.use(temporaryProject());
  const command = `deno run -q -A --no-config --no-lock ${JSON.stringify(engine)}`;
  directory.write("engine", `#!/bin/sh\nexec ${command} "$@"\n`);
  const path = join(directory.path, "engine");
  chmodSync(path, 0o755);
  return path;
}
