import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Context, Fork } from "../../core/provider.ts";
import provider from "../../providers/database/postgres.ts";
import { Proxy, type Server } from "../emulators/postgres_server.ts";
import { sized } from "../sizes.ts";
import { hasCode } from "./_special.ts";
import {
  contentOf,
  contextOf,
  make,
  namesOf,
  old,
  onServer,
  type Options,
  targetOf,
  thingsOf,
  whyNoOld,
} from "./_postgres.ts";

/** Breaks the connection at the statements of `run`, at each or at so many, and lets `check` see what came of it. */
async function atStatements(
  server: Server,
  run: (context: Context) => Promise<unknown>,
  check: (context: Context, nth: number) => Promise<void>,
  breaks: number,
): Promise<void> {
  await using proxy = new Proxy(server);
  const context = contextOf(server.url("postgres", proxy.port));
  await run(context);
  const count = proxy.statements;
  assert(count > 15, `${count} statements`);
  await check(context, 1);
  const step = Math.max(1, Math.floor(count / breaks));
  for (const when of ["before", "after"] as const) {
    for (let at = when === "before" ? 0 : Math.floor(step / 2); at < count; at += step) {
      const where = `${when} statement ${at} of ${count}`;
      proxy.statements = 0;
      proxy.plan = { at, when };
      await assert.rejects(run(context), where); // what it is told as, postgres_refusals_test.ts looks at
      proxy.plan = undefined;
      await check(context, at).catch((error) => {
        throw new Error(`${where}: ${error.message}`, { cause: error });
      });
    }
  }
}

/** At how many of its statements a run is broken, before and after each: at all of them at full size. */
const BREAKS = sized({ gate: 8, full: Infinity });

for (const [strategy, breaks] of [["template", BREAKS], ["dump", sized({ gate: 3, full: 8 })]] as const) { // pg_dump alone sends hundreds
  const target = targetOf("alice", { options: { strategy } });
  const name = `all from create() by ${strategy} to delete(), broken at ${
    breaks === Infinity ? "any" : `${breaks} of its`
  } statements`;
  onServer(old, whyNoOld, `${name}, can be run again or undone`, async (server) => {
    const earlier = await thingsOf(server);
    const [names, parents] = [await namesOf(server), await contentOf(server, "shop-dev")];
    const run = async (context: Context) => {
      const fork = await provider.create(context, target);
      await provider.probe(context, fork, target);
      await provider.outputs(context, fork, target);
      await provider.usage!(context, fork, target);
      await provider.list(context, target)[Symbol.asyncIterator]().next();
      await provider.delete(context, fork, target);
    };
    await atStatements(server, run, async (context, nth) => {
      if (nth % 2 === 0) assert.equal(await contentOf(server, (await provider.create(context, target)).name), parents);
      const seen = await provider.inspect(context, target);
      if ("fork" in seen) await provider.delete(context, seen.fork, target);
      assert.deepEqual(await namesOf(server), names);
    }, breaks);
    assert.deepEqual(await thingsOf(server), earlier);
  });
}

onServer(old, whyNoOld, "execute() and reset(), broken at any statement, can be run again", async (server, direct) => {
  const earlier = await thingsOf(server);
  const target = targetOf("alice", { options: { strategy: "template" } });
  const fork = await provider.create(direct, target);
  const script = "CREATE TABLE IF NOT EXISTS made (x int);\nINSERT INTO made SELECT count(*) FROM made";
  const run = async (context: Context) => {
    await provider.execute!(context, fork, target, script);
    const replacement = await provider.reset!(context, fork, target);
    await replacement.execute!(script);
    await replacement.commit();
  };
  const parents = await contentOf(server, "shop-dev");
  await atStatements(server, run, async (context) => {
    await (await provider.reset!(context, fork, target)).commit();
    assert.equal(await contentOf(server, fork.name), parents);
    const databases = (await namesOf(server)).filter((name) => name.startsWith("forkstack_"));
    assert.deepEqual(databases, []);
  }, BREAKS);
  await provider.delete(direct, fork, target);
  assert.deepEqual(await thingsOf(server), earlier);
});

/** Starts create() in a process, and kills it when the proxy has let so many statements through. */
async function killedAt(server: Server, proxy: Proxy, at: number, strategy: Options["strategy"]): Promise<boolean> {
  proxy.statements = 0;
  const script = fileURLToPath(new URL("./_postgres_child.ts", import.meta.url));
  const target = JSON.stringify(targetOf("alice", { options: strategy === undefined ? {} : { strategy } }));
  const child = spawn(process.execPath, ["run", "--quiet", "--no-check", "--allow-all", script, target], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, POSTGRES_URL: server.url("postgres", proxy.port) },
  });
  proxy.onStatement = (n) => n === at && child.kill("SIGKILL");
  const [, signal] = await once(child, "close");
  proxy.onStatement = undefined;
  return signal === "SIGKILL";
}

onServer(old, whyNoOld, "create() killed by SIGKILL can be run again, and undone", async (server, context) => {
  const earlier = await thingsOf(server);
  const parents = await contentOf(server, "shop-dev");
  await using proxy = new Proxy(server);
  const each = sized({
    gate: { template: [8, 11], dump: [40] },
    full: { template: [3, 8, 10, 11, 13], dump: [12, 40, 80] },
  });
  for (const strategy of ["template", "dump"] as const) {
    const moments = each[strategy];
    for (const at of moments) {
      assert(await killedAt(server, proxy, at, strategy), `${strategy}, ${at}: it was done before`);
      const target = targetOf("alice", { options: { strategy } });
      const fork = await provider.create(context, target); // waits while the server still works for the dead one
      assert.equal(await contentOf(server, fork.name), parents);
      await provider.delete(context, fork, target);
      assert.deepEqual(await thingsOf(server), earlier, `${strategy}, ${at}`);
    }
  }
});

onServer(old, whyNoOld, "who waits for another run can be stopped", async (server, context) => {
  const control = new AbortController();
  const sleep = () => Promise.reject(control.signal.reason);
  let waited = 0;
  await using proxy = new Proxy(server);
  const waiting = contextOf(server.url("postgres", proxy.port), {
    signal: control.signal,
    sleep: () => {
      waited++;
      control.abort(new Error("stopped by a person"));
      return sleep();
    },
  });
  let second: Promise<unknown> | undefined;
  const record = async () => {
    second = provider.create(waiting, targetOf("alice"));
    await assert.rejects(second, /stopped by a person/);
  };
  const fork = await provider.create({ ...context, record }, targetOf("alice"));
  assert.equal(waited, 1);
  await provider.delete(context, fork, targetOf("alice"));
});

onServer(old, whyNoOld, "stopped amid a dump, both programs end and nothing is renamed", async (server) => {
  const control = new AbortController();
  await using proxy = new Proxy(server);
  proxy.onStatement = (n) => n === 60 && control.abort(new Error("stopped by a person"));
  const target = targetOf("alice", { options: { strategy: "dump" } });
  const context = contextOf(server.url("postgres", proxy.port), { signal: control.signal });
  await assert.rejects(provider.create(context, target), /stopped by a person/);
  const seen = await provider.inspect(contextOf(server.url()), target);
  assert.equal(seen.state, "pending");
  await provider.delete(contextOf(server.url()), (seen as { fork: Fork }).fork, target);
});

onServer(
  old,
  whyNoOld,
  "a database filled half by a run that died is filled again, and one not ours is left",
  async (server, context) => {
    const control = new AbortController();
    const record = () => Promise.resolve(control.abort(new Error("died")));
    await assert.rejects(
      provider.create(contextOf(server.url(), { record, signal: control.signal }), targetOf("alice")),
    );
    const pending = await provider.inspect(context, targetOf("alice"));
    assert.equal(pending.state, "pending");
    const half = `forkstack_new_${(pending as { fork: Fork }).fork.id}`;
    await server.query(`CREATE DATABASE "${half}" OWNER "shop-alice"`);
    await server.query("CREATE TABLE half (x int)", half);
    const fork = await provider.create(context, targetOf("alice"));
    assert.equal(await contentOf(server, fork.name), await contentOf(server, "shop-dev"));
    const [{ note }] = await server.query(
      "SELECT shobj_description(oid, 'pg_database') AS note FROM pg_database " +
        "WHERE datname = 'shop-alice'",
    );
    await server.query(`COMMENT ON DATABASE "shop-alice" IS 'mine now'`);
    await assert.rejects(provider.delete(context, fork, targetOf("alice")), hasCode("FOREIGN"));
    await server.query(`COMMENT ON DATABASE "shop-alice" IS '${note}'`);
    assert.equal((await provider.inspect(context, targetOf("alice"))).state, "ready");
    await server.query(`ALTER DATABASE "shop-alice" OWNER TO postgres`);
    assert.equal((await provider.inspect(context, targetOf("alice"))).state, "foreign");
    await assert.rejects(provider.delete(context, fork, targetOf("alice")), hasCode("FOREIGN"));
    assert.equal(await contentOf(server, fork.name), await contentOf(server, "shop-dev"));
  },
);

/** What somebody else makes at the place of `shop-alice`. */
const THEIRS: Record<string, (server: Server) => Promise<unknown>> = {
  "an empty database": (server) => make(server, "shop-alice"),
  "a full database": (server) => make(server, "shop-alice", "CREATE TABLE theirs AS SELECT 1 AS x"),
  "a database with a copied mark": async (server) => {
    await make(server, "shop-alice", "CREATE TABLE theirs AS SELECT 1 AS x");
    const [{ note }] = await server.query(
      "SELECT shobj_description(oid, 'pg_database') AS note FROM pg_database " +
        "WHERE datname = 'shop-marked'",
    );
    await server.query(`COMMENT ON DATABASE "shop-alice" IS '${note}'`);
  },
  "a role with a copied mark": async (server) => {
    const [{ note }] = await server.query(
      "SELECT shobj_description(oid, 'pg_authid') AS note FROM pg_roles " +
        "WHERE rolname = 'shop-marked'",
    );
    await server.query(`CREATE ROLE "shop-alice"; COMMENT ON ROLE "shop-alice" IS '${note}'`);
  },
};

for (const [what, put] of Object.entries(THEIRS)) {
  onServer(old, whyNoOld, `${what} that somebody else makes amid create() stays`, async (server, context) => {
    const template = { options: { strategy: "template" } } as const;
    const target = targetOf("alice", template);
    await provider.create(context, targetOf("marked", template));
    const names = await namesOf(server);
    await using proxy = new Proxy(server);
    const through = contextOf(server.url("postgres", proxy.port));
    await provider.delete(context, await provider.create(through, target), target);
    const count = proxy.statements;
    let refused = 0;
    for (let at = 0; at < count; at += sized({ gate: 3, full: 1 })) {
      const where = `before statement ${at} of ${count}`;
      const before = await thingsOf(server);
      let theirs: Map<string, string> | undefined;
      proxy.statements = 0;
      proxy.onStatement = async (n) => {
        if (n !== at || (await namesOf(server)).includes("shop-alice")) return;
        await put(server);
        theirs = new Map([...await thingsOf(server)].filter(([name, state]) => before.get(name) !== state));
      };
      const made = await provider.create(through, target).then((fork) => ({ fork }), (error) => ({ error }));
      proxy.onStatement = undefined;
      if ("fork" in made) {
        assert.equal(theirs, undefined, where);
        assert.equal(await provider.delete(context, made.fork, target), "deleted");
        continue;
      }
      refused++;
      assert(hasCode("FOREIGN")(made.error), where);
      const seen = await provider.inspect(context, { ...target, isResumed: true });
      assert.equal(seen.state, "foreign", where);
      const mine = [...await thingsOf(server)].filter(([name, state]) => before.get(name) !== state);
      assert(theirs !== undefined && theirs.size > 0);
      // Of theirs nothing changed, and of ours nothing is left.
      const later = new Map(mine);
      for (const [name, state] of theirs) {
        if (/ shop-alice$/.test(name) && !/forkstack/.test(name)) assert.equal(later.get(name), state, where);
      }
      const left = (await namesOf(server)).filter((name) => !names.includes(name));
      assert.deepEqual(left, ["shop-alice"], where);
      await server.query(
        what.startsWith("a role") ? 'DROP ROLE "shop-alice"' : 'DROP DATABASE "shop-alice" WITH (FORCE)',
      );
    }
    assert(refused > 0, "it must have met some of it");
    await provider.delete(
      context,
      (await provider.inspect(context, targetOf("marked")) as { fork: Fork }).fork,
      targetOf("marked"),
    );
  });
}

onServer(
  old,
  whyNoOld,
  "a claim whose run died is undone, though somebody else's database has its name by now",
  async (server, context) => {
    const names = await namesOf(server);
    const control = new AbortController();
    const record = () => Promise.resolve(control.abort(new Error("died")));
    const target = targetOf("alice");
    await assert.rejects(provider.create(contextOf(server.url(), { record, signal: control.signal }), target), /died/);
    await make(server, "shop-alice", "CREATE TABLE theirs AS SELECT 1 AS x");
    const theirs = await contentOf(server, "shop-alice");
    assert.equal((await provider.inspect(context, target)).state, "foreign");
    const seen = await provider.inspect(context, { ...target, isResumed: true });
    assert.equal(seen.state, "pending");
    assert.equal(await provider.delete(context, (seen as { fork: Fork }).fork, target), "absent");
    assert.deepEqual((await namesOf(server)).filter((name) => !names.includes(name)), ["shop-alice"]);
    assert.equal(await contentOf(server, "shop-alice"), theirs);
  },
);

onServer(
  old,
  whyNoOld,
  "a fork that is gone is not told as deleted where somebody else's database has its name",
  async (server, context) => {
    const target = targetOf("alice");
    const fork = await provider.create(context, target);
    await server.query(`DROP DATABASE "shop-alice"`);
    await make(server, "shop-alice", "CREATE TABLE theirs AS SELECT 1 AS x");
    const theirs = await contentOf(server, "shop-alice");
    assert.equal(await provider.delete(context, fork, target), "absent");
    assert.equal(await contentOf(server, "shop-alice"), theirs);
    const seen = await provider.inspect(context, target);
    assert(seen.state === "foreign" && seen.holder === undefined, "so that the engine tells that it was left");
  },
);

onServer(
  old,
  whyNoOld,
  "marks of 0.1.0, which name neither thing nor registry, are still read",
  async (server, context) => {
    const { name: _, registry: __, ...marker } = targetOf("alice").marker;
    const fork = await provider.create(context, targetOf("alice", { marker }));
    const [{ note }] = await server.query(
      "SELECT shobj_description(oid, 'pg_authid') AS note FROM pg_roles " +
        "WHERE rolname = 'shop-alice'",
    );
    assert.match(note, /^forkstack:v1:/);
    assert.equal((await provider.inspect(context, targetOf("alice"))).state, "ready");
    assert.deepEqual(await Array.fromAsync(provider.list(context, targetOf("alice"))), [fork]);
    await provider.outputs(context, fork, targetOf("alice"));
    assert.equal(await provider.delete(context, fork, targetOf("alice")), "deleted");
  },
);

onServer(
  old,
  whyNoOld,
  "what belongs to another registry or stack tells whose it is, and is not deleted",
  async (server, context) => {
    const target = targetOf("alice");
    const fork = await provider.create(context, target);
    for (const changed of [{ registry: "fedcba9876543210" }, { stack: "shop-alice" }, { env: "bob" }]) {
      const marker = { ...target.marker, ...changed };
      const seen = await provider.inspect(context, { ...target, marker });
      assert.equal(seen.state, "foreign");
      assert.deepEqual((seen as { holder?: unknown }).holder, target.marker);
      await assert.rejects(provider.delete(context, { ...fork, marker }, target), hasCode("FOREIGN"));
    }
    assert.equal(await contentOf(server, "shop-alice"), await contentOf(server, "shop-dev"));
  },
);
