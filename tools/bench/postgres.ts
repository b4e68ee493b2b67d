/** Time of a fork on a real PostgreSQL, compared with its own tools. */
import { chmodSync } from "node:fs";
import { join } from "node:path";
import provider from "../../providers/database/postgres.ts";
import { debianBinaries, npmBinaries, type Server, startServer } from "../../tests/emulators/postgres_server.ts";
import { contextOf, type Options } from "../../tests/providers/_postgres_context.ts";
import { mountBtrfs } from "./forks.ts";
import { type Benchmark, inTurnsOnDisk, run, shown } from "./measure.ts";

const MIB = 2 ** 20;
/** Settings of a server without tuning, so that data is really written to disk. */
const SETTINGS = ["fsync=on", "max_wal_size=1GB", "shared_buffers=128MB"];

/** Creates a parent of about this many bytes, all on disk. */
async function parentWith(server: Server, name: string, bytes: number): Promise<void> {
  await server.query(`CREATE DATABASE "${name}"`);
  await server.query(`REVOKE CONNECT ON DATABASE "${name}" FROM PUBLIC`);
  const rows = Math.round(bytes / 2048);
  await server.query(
    `CREATE TABLE rows AS SELECT n, repeat(md5(n::text), 60) AS text FROM generate_series(1, ${rows}) n`,
    name,
  );
  await server.query("VACUUM rows", name);
  await server.query("CHECKPOINT");
}

/** Returns a function that times our fork, in milliseconds, and deletes it. */
function ours(server: Server, parent: string, strategy: Options["strategy"]): () => Promise<number> {
  const marker = { stack: "bench", env: "alice", resource: "database", operation: "bench" };
  const scope = { options: { strategy }, project: "bench", stack: "bench", resource: "database", root: "/" };
  const target = { ...scope, name: "bench-alice", parent, marker, begunAt: new Date().toISOString() };
  const context = contextOf(server.url());
  return async () => {
    const began = performance.now();
    const fork = await provider.create(context, target as never);
    const took = performance.now() - began;
    await provider.delete(context, fork, target as never);
    await server.query("CHECKPOINT");
    return took;
  };
}

/**
 * Returns a function that times a shell command which makes the database `by_hand`, in milliseconds, and drops that.
 */
function byHand(server: Server, command: string): () => Promise<number> {
  const env = `export PGHOST=127.0.0.1 PGPORT=${server.port} PGUSER=postgres PGPASSWORD=${server.password}`;
  return async () => {
    const began = performance.now();
    run("sh", ["-c", `set -e; ${env}; ${command}`], "/");
    const took = performance.now() - began;
    await server.query("DROP DATABASE by_hand");
    await server.query("CHECKPOINT");
    return took;
  };
}

const CLONE =
  `psql -qc "SET file_copy_method = 'clone'" -c 'CREATE DATABASE by_hand TEMPLATE "PARENT" STRATEGY FILE_COPY'`;

export const postgresBenchmarks: readonly Benchmark[] = [
  {
    name: "postgres: 1 GiB by template against createdb -T",
    async run() {
      const found = await npmBinaries();
      if ("reason" in found) return [{ name: this.name, reason: found.reason }];
      await using server = await startServer(found.bin, { settings: SETTINGS });
      await parentWith(server, "large", 1024 * MIB);
      const [mine, plain] = await inTurnsOnDisk(9, [
        ours(server, "large", "template"),
        byHand(server, "createdb -T large by_hand"),
      ]);
      return [{
        name: "postgres 18: 1 GiB by template",
        ours: shown(mine),
        against: `createdb -T ${shown(plain)}`,
        ratio: mine / plain,
        limit: { atMost: 1.05 },
      }];
    },
  },
  {
    name: "postgres: by clone on btrfs, whatever the size",
    async run(work) {
      const found = await npmBinaries();
      if ("reason" in found) return [{ name: this.name, reason: found.reason }];
      const mount = join(work, "btrfs-pg");
      const reason = mountBtrfs(work, mount);
      if (reason !== undefined) return [{ name: this.name, reason }];
      try {
        for (const path of [work, mount]) chmodSync(path, 0o755);
        await using server = await startServer(found.bin, { at: mount, settings: SETTINGS });
        await parentWith(server, "large", 1024 * MIB);
        await parentWith(server, "small", 10 * MIB);
        const [large, small, plain] = await inTurnsOnDisk(9, [
          ours(server, "large", "clone"),
          ours(server, "small", "clone"),
          byHand(server, CLONE.replace("PARENT", "large")),
        ]);
        return [{
          name: "postgres 18: by clone on btrfs, by size",
          ours: `1 GiB ${shown(large)}`,
          against: `10 MiB ${shown(small)}`,
          ratio: large / small,
          limit: { atMost: 1.2 },
        }, {
          name: "postgres 18: 1 GiB by clone on btrfs",
          ours: shown(large),
          against: `psql, FILE_COPY by clone, ${shown(plain)}`,
          ratio: large / plain,
          limit: { atMost: 1.05 },
        }];
      } finally {
        run("umount", [mount], work);
      }
    },
  },
  {
    name: "postgres: 1 GiB by dump against pg_dump | pg_restore",
    async run() {
      const found = debianBinaries(); // npm's version 18 comes without pg_dump
      if ("reason" in found) return [{ name: this.name, reason: found.reason }];
      await using server = await startServer(found.bin, { settings: SETTINGS });
      await parentWith(server, "large", 1024 * MIB);
      const [mine, plain] = await inTurnsOnDisk(11, [
        ours(server, "large", "dump"),
        byHand(server, "createdb -T template0 by_hand; pg_dump -Fc -Z0 large | pg_restore --no-owner -d by_hand"),
      ]);
      return [{
        name: "postgres, Debian's: 1 GiB by dump",
        ours: shown(mine),
        against: `pg_dump -Fc -Z0 piped into pg_restore ${shown(plain)}`,
        ratio: mine / plain,
        limit: { atMost: 1.05 },
      }];
    },
  },
];
