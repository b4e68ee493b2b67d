/** The first lines of docs/databases, docs/caches and docs/queues that need a server, against real ones. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { blocksOf } from "../../tools/docs/blocks.ts";
import { readPage } from "../../tools/docs/pages.ts";
import { startMariaDb, whyNoMariaDb } from "../emulators/mariadb_server.ts";
import { debianBinaries, startServer } from "../emulators/postgres_server.ts";
import { Server as RedisServer, WHY_NO_SERVER } from "../emulators/redis_server.ts";
import { Place, runCommand } from "../cli/run.ts";
import { testIf } from "../helpers.ts";
import { whyMissing } from "../tools.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const NOTE = "tests/docs/servers_test.ts";

/** Servers to which a page's lines lead, in place of the address and the password that it shows. */
interface Target {
  readonly page: string;
  /** The program that begins the block, which tells it from others of the page. */
  readonly program: string;
  readonly port: number;
  readonly password: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A program in front of all others in PATH, by its text. */
  readonly programs?: Readonly<Record<string, string>>;
}

/** Runs the block in a project, whose `.env.local` it then returns. */
async function follow({ page, program, port, password, env = {}, programs = {} }: Target): Promise<string> {
  const blocks = blocksOf(page, readPage(page));
  const block = blocks.find(({ notes, code }) => notes.get("run by") === NOTE && code.startsWith(program))!;
  await using place = await Place.make(null);
  const config = blocks.find(({ language, code }) => language === "json" && code.startsWith('{ "project"'))!;
  await place.write("forkstack.json", config.code);
  const forkstack = `#!/bin/sh\nexec "${Deno.execPath()}" run -q -A -c "${ROOT}deno.json" "${ROOT}cli.ts" "$@"\n`;
  for (const [name, text] of Object.entries({ ...programs, forkstack })) {
    await place.write(`../bin/${name}`, text);
    await Deno.chmod(place.path("..", "bin", name), 0o755);
  }
  const lines = block.code.replaceAll("…", password).replace(/\w+\.example:\d+/g, `127.0.0.1:${port}`);
  const path = `${place.path("..", "bin")}:${Deno.env.get("PATH")}`;
  const ended = await runCommand(place.root, ["bash", "-euc", lines], { env: { ...env, PATH: path } });
  assert.equal(ended.code, 0, `${ended.stdout}${ended.stderr}`);
  return (await place.read(".env.local"))!;
}

const postgres = debianBinaries();
testIf(
  "reason" in postgres ? postgres.reason : whyMissing("psql"),
  "docs/databases.md: PostgreSQL is set up and forked by its lines",
  async () => {
    await using server = await startServer((postgres as { bin: string }).bin);
    const env = {
      PGHOST: "127.0.0.1",
      PGPORT: String(server.port),
      PGUSER: "postgres",
      PGPASSWORD: server.password,
    };
    const target = { page: "docs/databases.md", program: "psql", port: server.port, password: "secret-1", env };
    assert.match(await follow(target), /^DATABASE_URL=postgresql:\/\/.+@127\.0\.0\.1:\d+\/myapp-alice/m);
  },
);

testIf(
  whyNoMariaDb() ?? whyMissing("mariadb"),
  "docs/databases.md: MariaDB is set up and forked by its lines",
  async () => {
    await using server = await startMariaDb();
    const client = `#!/bin/sh\nexec mariadb --no-defaults --socket="${server.socket}" --user=root "$@"\n`;
    const target = { page: "docs/databases.md", program: "mysql", port: server.port, password: "secret-2" };
    const written = await follow({ ...target, programs: { mysql: client } });
    assert.match(written, /^DATABASE_URL=mysql:\/\/.+@127\.0\.0\.1:\d+\/myapp-alice/m);
  },
);

testIf(WHY_NO_SERVER, "docs/caches.md and docs/queues.md: a cache and a queue are forked by their lines", async () => {
  await using server = await RedisServer.start("--maxmemory-policy", "noeviction");
  const target = { program: "export", port: server.port, password: server.password };
  assert.match(await follow({ ...target, page: "docs/caches.md" }), /^REDIS_URL=redis:\/\/.+@127\.0\.0\.1:\d+\/\d+$/m);
  assert.match(await follow({ ...target, page: "docs/queues.md" }), /^QUEUE_PREFIX=shop-alice$/m);
});
