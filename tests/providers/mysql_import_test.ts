/** `import` into MySQL that is killed, on a real MariaDB: dev is whole afterwards, with the old contents or the new ones. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { Context, ImportSource } from "../../core/provider.ts";
import { importDatabase } from "../../providers/database/mysql_import.ts";
import { connected, loginOf, type MysqlQuery } from "../../providers/database/mysql_server.ts";
import { temporaryDirectory } from "../helpers.ts";
import { sized } from "../sizes.ts";
import { contentOf, databasesOf, make, onServer, shared, targetOf, urlOf } from "./_mysql.ts";

const BEFORE = `
  CREATE TABLE posts (id INT PRIMARY KEY, title TEXT); CREATE TABLE mine (a INT);
  INSERT INTO posts VALUES (1, 'old'); INSERT INTO mine VALUES (7);
  CREATE VIEW titles AS SELECT a FROM mine; CREATE VIEW mine_too AS SELECT a FROM titles;
  CREATE TRIGGER no_minus BEFORE INSERT ON mine FOR EACH ROW SET NEW.a = ABS(NEW.a);
  CREATE PROCEDURE clean() DELETE FROM mine`;
const AFTER = `
  CREATE TABLE posts (id INT PRIMARY KEY, title TEXT, raw BLOB);
  CREATE TRIGGER upper_title BEFORE INSERT ON posts FOR EACH ROW SET NEW.title = UPPER(NEW.title);
  INSERT INTO posts VALUES (1, 'new', X'00FF');
  CREATE VIEW titles AS SELECT title FROM posts;
  CREATE FUNCTION twice(i INT) RETURNS INT DETERMINISTIC RETURN i * 2;`;

/** Statements of an import that change something, once the new contents are there. */
const CHANGES = /^\s*(CREATE|DROP|RENAME|INSERT|ALTER)\b/i;

/** Imports into dev, as a process that is killed before its change of this number. Returns the changes it made. */
async function imported(context: Context, source: ImportSource, killedAt = Infinity): Promise<string[]> {
  const admin = loginOf(urlOf(shared!.port))!;
  const target = targetOf("dev", { name: "shop-dev", parent: undefined });
  const made: string[] = [];
  await connected(context, admin, { what: "import", source: "MYSQL_URL" }, async (query) => {
    let isExchanging = false;
    const mortal: MysqlQuery = (sql, values) => {
      isExchanging ||= sql.includes("CREATE DATABASE `forkstack$replaced");
      if (isExchanging && CHANGES.test(sql)) {
        if (made.length >= killedAt) throw new Error("killed");
        made.push(sql);
      } else if (made.length >= killedAt) throw new Error("killed");
      return query(sql, values);
    };
    await importDatabase(context, mortal, { target, source, admin });
  });
  return made;
}

for (
  const [how, old, replace] of [["in place of other contents", BEFORE, true], ["where nothing was", "", false]] as const
) {
  onServer(
    `an import ${how}, killed at any change, leaves dev whole after the next one, though that fails`,
    async (server, context) => {
      using home = temporaryDirectory();
      const sources = { whole: join(home.path, "whole.sql"), broken: join(home.path, "broken.sql") };
      Deno.writeTextFileSync(sources.whole, AFTER);
      Deno.writeTextFileSync(sources.broken, "INSERT INTO nowhere VALUES (1);");
      const reset = async () => {
        await server.as(async (root) => {
          await root.query("DROP DATABASE IF EXISTS `shop-dev`");
          await make(root, "shop-dev", old);
        });
      };
      await reset();
      const before = await contentOf(server, "shop-dev");
      const changes = await imported(context, { path: sources.whole, replace });
      const wanted = await contentOf(server, "shop-dev");
      assert.deepEqual(
        await server.as((root) => root.query("SELECT * FROM `shop-dev`.titles").then(([rows]) => rows)),
        [
          { title: "NEW" },
        ],
      );
      assert(changes.length > 10 && changes.some((sql) => sql.startsWith("RENAME")), changes.join("\n"));
      for (let at = 0; at < changes.length; at += sized({ quick: 5, gate: 3, full: 1 })) {
        const where = `killed before ${changes[at]}`;
        await reset();
        await assert.rejects(imported(context, { path: sources.whole, replace }, at), /killed/, where);
        const failed = await imported(context, { path: sources.broken, replace }).then(() => "", (error) => error.code);
        const left = await contentOf(server, "shop-dev");
        assert([before, wanted].includes(left), `${where}: ${failed}`);
        if (failed === "") assert.equal(left, wanted, where); // it found the import complete
        await imported(context, { path: sources.whole, replace }).catch((error) => {
          assert.equal(error.code, "CONFLICT", where);
          assert.equal(left, wanted, where);
        });
        assert.equal(await contentOf(server, "shop-dev"), wanted, where);
        assert.deepEqual(await databasesOf(server), ["shop-dev"], where);
      }
    },
  );
}
