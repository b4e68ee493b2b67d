/** Time of a database's fork, compared with the plain tools. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Benchmark, forkstack, inTurnsOnDisk, run, shown } from "./measure.ts";

const GIB = 2 ** 30;

/** Creates a project whose dev database has about this many bytes. */
function projectWith(work: string, bytes: number): { root: string; database: string } {
  const root = mkdtempSync(join(work, "fork-"));
  writeFileSync(join(root, "forkstack.json"), '{"project": "bench", "database": {"provider": "sqlite"}}');
  const database = join(root, ".forkstack", "sqlite", "bench-dev.db");
  mkdirSync(join(database, ".."), { recursive: true });
  const rows = Math.round(bytes / (64 * 1024));
  run("sqlite3", [
    database,
    `PRAGMA journal_mode = WAL; CREATE TABLE blobs (id INTEGER PRIMARY KEY, data BLOB);
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
     INSERT INTO blobs SELECT i, randomblob(65000) FROM n;`,
  ], root);
  return { root, database };
}

/** Returns a function that times the creation of an environment and deletes it: the whole command, or its work only. */
function maker(root: string, what: "whole" | "work"): () => number {
  return () => {
    const began = performance.now();
    const answer = JSON.parse(forkstack(root, "new", "alice", "--no-switch", "--json"));
    const took = performance.now() - began;
    forkstack(root, "delete", "alice", "--yes");
    return what === "whole" ? took : answer.data.durationMs;
  };
}

export const forkBenchmarks: readonly Benchmark[] = [
  {
    name: "fork: 1 GiB SQLite against cp, .backup and VACUUM INTO",
    async run(work) {
      const { root, database } = projectWith(work, GIB);
      const copy = join(root, "copy.db");
      const by = (command: string, ...args: string[]) => () => {
        const began = performance.now();
        run(command, args, root);
        const took = performance.now() - began;
        rmSync(copy);
        return took;
      };
      const [mine, cp] = await inTurnsOnDisk(21, [maker(root, "work"), by("cp", database, copy)]);
      const [ours, backup, vacuum] = await inTurnsOnDisk(7, [
        maker(root, "work"),
        by("sqlite3", database, `.backup ${copy}`),
        by("sqlite3", database, `VACUUM INTO '${copy}'`),
      ]);
      rmSync(root, { recursive: true });
      const against = [
        ["cp", mine, cp, 0.8],
        ["sqlite3 .backup", ours, backup, 1],
        ["sqlite3 VACUUM INTO", ours, vacuum, 1],
      ] as const;
      return against.map(([name, own, plain, atLeast]) => ({
        name: `fork: \`new\` of a 1 GiB SQLite database, beyond process start, against ${name}`,
        ours: `${shown(own)}, ${rate(own)}`,
        against: `${name} ${shown(plain)}, ${rate(plain)}`,
        ratio: plain / own,
        limit: { atLeast },
      }));
    },
  },
  {
    name: "fork: on btrfs, whatever the size",
    async run(work) {
      const mount = join(work, "btrfs");
      const reason = mountBtrfs(work, mount);
      if (reason !== undefined) return [{ name: this.name, reason }];
      try {
        const large = projectWith(mount, GIB);
        const small = projectWith(mount, 2 ** 20);
        const megabytes = (path: string) => Math.round(statSync(path).size / 2 ** 20);
        const [ours, tiny] = await inTurnsOnDisk(11, [maker(large.root, "whole"), maker(small.root, "whole")]);
        return [{
          name: "fork: `new` on btrfs, by size",
          ours: `${megabytes(large.database)} MiB ${shown(ours)}`,
          against: `${megabytes(small.database)} MiB ${shown(tiny)}`,
          ratio: ours / tiny,
          limit: { atMost: 1.2 },
        }];
      } finally {
        run("umount", [mount], work);
      }
    },
  },
];

function rate(ms: number): string {
  return `${(GIB / 2 ** 20 / (ms / 1_000)).toFixed(0)} MiB/s`;
}

/** Mounts a btrfs image; returns the reason if that is impossible here. */
export function mountBtrfs(work: string, mount: string): string | undefined {
  try {
    const image = join(work, "btrfs.img");
    run("truncate", ["-s", "6G", image], work);
    run("mkfs.btrfs", ["-q", "-f", image], work);
    mkdirSync(mount);
    run("mount", ["-o", "loop", image, mount], work);
    return existsSync(mount) ? undefined : "the mount point is not there";
  } catch (error) {
    return `no btrfs image can be mounted: ${(error as Error).message.split("\n")[0].slice(0, 120)}`;
  }
}
