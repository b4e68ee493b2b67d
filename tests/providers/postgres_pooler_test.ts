/** A real PgBouncer between forkstack and the server, and between an application and its fork. */
import assert from "node:assert/strict";
import provider from "../../providers/database/postgres.ts";
import { askThrough, startPgBouncer, whyNoPgBouncer } from "../emulators/pgbouncer.ts";
import { contextOf, old, onServer, targetOf, thingsOf, urlOf, whyNoOld } from "./_postgres.ts";
import { hasCode } from "./_special.ts";

for (const mode of ["session", "transaction", "statement"] as const) {
  onServer(
    old,
    whyNoOld ?? whyNoPgBouncer,
    `a URL of PgBouncer in ${mode} mode is told, and nothing is locked or made`,
    async (server, direct) => {
      await using pooler = await startPgBouncer(server, mode);
      const context = contextOf(server.url("postgres", pooler.port));
      const fork = await provider.create(direct, targetOf("bob"));
      const before = await thingsOf(server);
      const calls = [
        () => provider.create(context, targetOf("alice")),
        () => provider.delete(context, fork, targetOf("bob")),
        () => provider.remark!(context, fork, targetOf("bob")),
        () => provider.reset!(context, fork, targetOf("bob")),
      ];
      for (const call of calls) {
        await assert.rejects(call(), (error: Error & { hint?: string }) => {
          assert.match(`${error.message}. ${error.hint}`, /POSTGRES_URL leads through a pooler.*the server itself/);
          return hasCode("CONFIG_POOLER")(error);
        });
      }
      assert.deepEqual(await thingsOf(server), before);
      assert.deepEqual(await server.query("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"), []);
    },
  );
}

onServer(
  old,
  whyNoOld ?? whyNoPgBouncer,
  "an application reaches its fork through PgBouncer, as the fork's role; the fork is reset and deleted meanwhile",
  async (server, context) => {
    await using pooler = await startPgBouncer(server, "transaction");
    const fork = await provider.create(context, targetOf("alice"));
    const url = (await urlOf(context, fork)).replace(`:${server.port}/`, `:${pooler.port}/`);
    const who = "SELECT current_user AS one, (SELECT count(*)::int FROM notes) AS n";
    assert.deepEqual(await askThrough(url, who), [{ one: "shop-alice", n: 20 }]);
    await askThrough(url, "DELETE FROM notes");
    await (await provider.reset!(context, fork, targetOf("alice"))).commit();
    assert.deepEqual(await askThrough(url, who), [{ one: "shop-alice", n: 20 }]);
    assert.equal(await provider.delete(context, fork, targetOf("alice")), "deleted");
    await assert.rejects(askThrough(url, who));
  },
);
