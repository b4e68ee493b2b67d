/** The command line with `mysql`, against a real MariaDB. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { whyMissing } from "../tools.ts";
import { testIf } from "../helpers.ts";
import {
  asApp,
  contentOf,
  databasesOf,
  make,
  NOTES,
  PASSWORD,
  shared,
  thingsOf,
  urlOf,
  whyNone,
  wipe,
} from "../providers/_mysql.ts";
import { commandOf, Place, runCommand } from "./run.ts";

/** The permission set `cli`, with the server's host and the programs, as docs/databases.md has it. */
function withServer(command: readonly string[], programs: string): string[] {
  const run = `--allow-run=cp,git${programs}`;
  const flags = ["--allow-read", "--allow-write", "--allow-env", run, "--allow-sys=hostname", "--allow-net=127.0.0.1"];
  return command.flatMap((word) => word === "-P=cli" ? flags : [word]);
}

for (const strategy of ["copy", "dump", undefined] as const) {
  const missing = whyNone ?? (strategy === "copy" ? undefined : whyMissing("mariadb-dump", "mariadb"));
  testIf(
    missing,
    `mysql: the command line forks, sanitizes, resets and deletes, by ${strategy ?? "default"}`,
    async () => {
      const server = shared!;
      await wipe(server);
      await server.as((root) => make(root, "shop_development", NOTES));
      const database = {
        provider: "mysql",
        bases: { dev: "shop_development" },
        sanitize: "clean.sql",
        ...(strategy === undefined ? {} : { strategy }),
      };
      const parent = "shop_development";
      await using place = await Place.make({ project: "shop", parent: "dev", database });
      const env = { MYSQL_URL: urlOf(server.port), PATH: process.env.PATH! };
      const programs = strategy === "copy" ? "" : ",mariadb,mariadb-dump";
      const on = async (...args: string[]) => {
        const ended = await runCommand(place.root, withServer(commandOf(args), programs), { env });
        assert(!`${ended.stdout}${ended.stderr}`.includes(PASSWORD));
        return ended;
      };
      const works = async (...args: string[]) => {
        const ended = await on(...args);
        assert.equal(ended.code, 0, ended.stderr);
      };
      const script = async (last: string) => {
        fs.writeFileSync(join(place.root, "clean.sql"), `UPDATE notes SET text = CONCAT('clean ', id);\n${last}`);
        await place.trust();
      };
      const [earlier, parents] = [await thingsOf(server), await contentOf(server, parent)];
      await script("UPDATE notes SET id = 1;\n");
      const failed = await on("new", "alice");
      assert.equal(failed.code, 2, failed.stderr);
      assert.match(failed.stderr, /line 2: a unique constraint is violated/);
      assert.deepEqual(await thingsOf(server), earlier, "nothing is left");
      await script("");
      await works("new", "alice");
      const urlIn = async () => /^DATABASE_URL='?(.*?)'?$/m.exec((await place.read(".env.local"))!)![1]!;
      const url = await urlIn();
      assert.match(url, /^mysql:\/\/fs_[0-9a-f]{16}_[0-9a-f]{8}:.*\/shop-alice$/, "a login of the fork's");
      const texts = () => asApp(url, "SELECT COUNT(*) AS n, MIN(text) AS text FROM notes");
      assert.deepEqual(await texts(), [{ n: 20, text: "clean 1" }]);
      await asApp(url, "DELETE FROM notes");
      await works("reset", "alice", "--yes");
      assert.deepEqual(await texts(), [{ n: 20, text: "clean 1" }]);
      await works("switch", "dev");
      assert((await urlIn()).endsWith(`/${parent}`));
      await works("switch", "alice");
      assert.equal(await urlIn(), url);
      await works("status", "alice");
      await works("delete", "alice", "--yes");
      assert.deepEqual(await thingsOf(server), earlier);
      assert.equal(await contentOf(server, parent), parents);
      assert.deepEqual(await databasesOf(server), [parent]);
      await wipe(server);
    },
  );
}
