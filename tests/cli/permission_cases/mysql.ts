import { startMariaDb, whyNoMariaDb } from "../../emulators/mariadb_server.ts";
import type { Case } from "./_case.ts";

/** By dump either pair of programs will do, so that one less is no matter: see tests/cli/mysql_test.ts. */
export const cases: readonly Case[] = [
  {
    kind: "database",
    name: "mysql",
    how: "by copy",
    missing: whyNoMariaDb(),
    async open(defer) {
      const server = defer(await startMariaDb());
      await server.as((root) =>
        root.query(`CREATE USER forks@'%' IDENTIFIED BY 'forks'; GRANT ALL ON *.* TO forks@'%' WITH GRANT OPTION;
          CREATE DATABASE shop; CREATE TABLE shop.notes (x INT); INSERT INTO shop.notes VALUES (1)`)
      );
      return { options: { strategy: "copy" }, env: { MYSQL_URL: `mysql://forks:forks@127.0.0.1:${server.port}` } };
    },
  },
];
