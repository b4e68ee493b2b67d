/** Tests of the refusals of `mysql`: the errors, and the things of others that stay. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Context, Fork, Target } from "../../core/provider.ts";
import { Secret } from "../../core/secret.ts";
import type { ForkstackError } from "../../mod.ts";
import provider from "../../providers/database/mysql.ts";
import { startMariaDb } from "../emulators/mariadb_server.ts";
import { ledgerOf, run, temporaryDirectory, testIf } from "../helpers.ts";
import { whyMissing } from "../tools.ts";
import { hasCode } from "./_special.ts";
import {
  appUrl,
  asApp,
  CANARY,
  contentOf,
  contextOf,
  databasesOf,
  make,
  NOTES,
  onServer,
  type Options,
  PASSWORD,
  prepare,
  targetOf,
  thingsOf,
  urlOf,
  whyNone,
} from "./_mysql.ts";

const by = (strategy: Options["strategy"]): Target<Options> =>
  targetOf("alice", { options: strategy === undefined ? {} : { strategy } });

type Refusal = ForkstackError & { readonly hint: string };

/** It is refused with this code, says what to do next without a secret, and can be undone to the last bit. */
async function refuses(url: string, code: string, target = targetOf("alice"), admin = url): Promise<Refusal> {
  let met: Refusal | undefined;
  await assert.rejects(async () => await provider.create(contextOf(url), target), (error: Refusal) => {
    met = error;
    return hasCode(code)(error);
  });
  const said = `${met!.message} ${met!.hint} ${(met!.cause as Error | undefined)?.message}`;
  for (const secret of [PASSWORD, CANARY]) assert(!said.includes(secret), said);
  const seen = await provider.inspect(contextOf(admin), target).catch(() => undefined);
  if (seen !== undefined && "fork" in seen) await provider.delete(contextOf(admin), seen.fork, target);
  return met!;
}

onServer("user, password, address, name and parent", async (server) => {
  const earlier = await thingsOf(server);
  const url = urlOf(server.port);
  await refuses(url.replace(/:[^:@]*@/, ":wrong@"), "CREDENTIALS_REJECTED");
  await refuses(url.replace(/:\d+$/, ":1"), "PROVIDER_UNAVAILABLE");
  for (const password of ["p@ss/wo%rd", "12/we@k", "what?@ever", "ha#sh", "100%"]) {
    const { message, hint } = await refuses(
      `mysql://forks:${password}@127.0.0.1:${server.port}`,
      "CREDENTIALS_MISSING",
    );
    for (const part of password.split(/[/?#@%]/)) {
      assert(part.length < 4 || !`${message}${hint}`.includes(part), message);
    }
    assert.match(hint, /%2F/);
  }
  for (const host of ["db.example", "192.0.2.1"]) { // tests may connect to this machine alone
    await refuses(`mysql://forks:forks@${host}:3306`, "NETWORK_DENIED");
  }
  for (const wrong of ["no url", "postgres://root@localhost/x"]) await refuses(wrong, "CREDENTIALS_MISSING");
  await refuses(url, "NAME_INVALID", targetOf("alice", { name: "a".repeat(65) }));
  await refuses(url, "NOT_FOUND", targetOf("alice", { parent: "shop-nobody" }));
  assert.deepEqual(await thingsOf(server), earlier);
});

onServer("users that lack a right, and limits of connections", async (server) => {
  const rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE TEMPORARY TABLES, " +
    "LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, TRIGGER";
  await server.as((root) =>
    root.query(
      `CREATE USER nobody@'%'; CREATE USER makes_no_users@'%'; GRANT ${rights}, EVENT ON *.* TO makes_no_users@'%';
      CREATE USER no_events@'%'; GRANT ${rights}, CREATE USER, PROCESS ON *.* TO no_events@'%' WITH GRANT OPTION;
      CREATE USER crowded@'%' WITH MAX_QUERIES_PER_HOUR 1; GRANT ALL ON *.* TO crowded@'%' WITH GRANT OPTION;
      CREATE USER enough@'%' IDENTIFIED BY 'enough'; GRANT ${rights}, EVENT, CREATE USER, PROCESS ON *.* TO enough@'%' WITH GRANT OPTION`,
    )
  );
  const earlier = await thingsOf(server);
  const admin = urlOf(server.port);
  const as = (user: string) => admin.replace(/\/\/.*@/, `//${user}@`);
  const hidden = await refuses(as("nobody"), "NOT_FOUND", by("copy"), admin);
  assert.match(hidden.hint, /may not see it/);
  const { hint } = await refuses(as("makes_no_users"), "CREDENTIALS_DENIED", by("copy"), admin);
  assert.match(hint, /docs\/databases\.md/);
  assert.deepEqual(await thingsOf(server), earlier);
  await refuses(as("crowded"), "PLAN_LIMIT", by("copy"), admin);
  // Its database was made, and could not be marked: the rerun takes it over, as it is empty, and tells.
  await refuses(as("no_events"), "CREDENTIALS_DENIED", by("copy"), admin);
  assert.deepEqual(await databasesOf(server), ["shop-alice", "shop-dev"]);
  const ledger = ledgerOf(new Map());
  const fork = await provider.create(contextOf(admin, ledger), { ...by("copy"), isResumed: true });
  assert.deepEqual(ledger.takenOver, ["shop-alice"]);
  await provider.delete(contextOf(admin), fork, by("copy"));
  assert.deepEqual(await thingsOf(server), earlier);
  const context = contextOf(as("enough").replace("//enough@", "//enough:enough@"));
  await server.as((root) => root.query("GRANT SELECT ON mysql.user TO enough@'%'"));
  const whole = await provider.create(context, by("copy"));
  assert.equal(await contentOf(server, whole.name), await contentOf(server, "shop-dev"));
  assert.deepEqual(await asApp(await appUrl(context, whole), "SELECT COUNT(*) AS n FROM notes"), [{ n: 20 }]);
  assert.equal(await provider.delete(context, whole, by("copy")), "deleted");
});

onServer("a parent that everybody may see is PARENT_OPEN, unless it is allowed", async (server, context) => {
  await server.as((root) => root.query("GRANT SELECT ON `shop-dev`.* TO PUBLIC"));
  try {
    const earlier = await thingsOf(server);
    await refuses(urlOf(server.port), "PARENT_OPEN");
    assert.deepEqual(await thingsOf(server), earlier);
    await provider.create(context, targetOf("alice", { options: { allowOpenParent: true } }));
  } finally {
    await server.as((root) => root.query("REVOKE SELECT ON `shop-dev`.* FROM PUBLIC"));
  }
});

onServer("an account without a name that comes before a fork's login is told", async (server, context) => {
  const fork = await provider.create(context, targetOf("alice", { parent: undefined }));
  await server.as((root) => root.query("CREATE USER ''@'127.0.0.1'"));
  try {
    await assert.rejects(provider.outputs(context, fork, targetOf("alice")), (error: Refusal) => {
      assert.match(error.hint, /account without a name|DROP USER ''/);
      return hasCode("CREDENTIALS_REJECTED")(error);
    });
  } finally {
    await server.as((root) => root.query("DROP USER ''@'127.0.0.1'"));
  }
  await appUrl(context, fork);
});

onServer("programs that are missing, and rows that can't be written, of which nothing is quoted", async (server) => {
  using directory = temporaryDirectory();
  const { PATH } = process.env;
  const refusing =
    `echo "INSERT INTO t VALUES ('${CANARY}')" >&2; echo "ERROR 1062 (23000) at line 9: Duplicate '${CANARY}'" >&2`;
  const programs = {
    "mariadb-dump": "cat >/dev/null </dev/null",
    mariadb: `case "$*" in *--version*) ;; *) ${refusing}; exit 1;; esac`,
  };
  try {
    process.env.PATH = directory.path;
    const { hint } = await refuses(urlOf(server.port), "TOOL_MISSING", by("dump"));
    assert.match(hint, /"strategy": "copy"/);
    for (const [name, script] of Object.entries(programs)) {
      fs.writeFileSync(join(directory.path, name), `#!/bin/sh\nPATH=/usr/bin:/bin\n${script}\n`, { mode: 0o755 });
    }
    const { message } = await refuses(urlOf(server.port), "DUMP_FAILED", by("dump"));
    assert.match(message, /mariadb failed: error 1062, a unique constraint is violated$/);
    assert.deepEqual(await databasesOf(server), ["shop-dev"]);
  } finally {
    process.env.PATH = PATH;
  }
});

/** Statements after which a fork has lost its mark, by what happened. */
const LOST: Readonly<Record<string, (url: string) => string[]>> = {
  "the mark is dropped": () => ["DROP EVENT `shop-alice`.forkstack_mark"],
  "the mark is damaged": () => ["ALTER EVENT `shop-alice`.forkstack_mark DO SET @forkstack_mark = 'forkstack:v2:x'"],
  "the application drops its database, and makes it again":
    () => ["DROP DATABASE `shop-alice`", "CREATE DATABASE `shop-alice`"],
};

for (const [what, statements] of Object.entries(LOST)) {
  onServer(`${what}: FOREIGN, with the statement that puts the mark back`, async (server, context) => {
    const target = targetOf("alice");
    const ledger = ledgerOf(new Map([[target.name, target.marker]]));
    const own = { ...context, ...ledger };
    const fork = await provider.create(own, target);
    const url = await appUrl(own, fork);
    if (/application/.test(what)) await asApp(url, ...statements(url));
    else await server.as((root) => root.query(statements(url).join("; ")));
    const before = await thingsOf(server);
    const seen = await provider.inspect(own, target);
    assert(seen.state === "foreign" && seen.holder === undefined);
    for (
      const work of [
        () => provider.create(own, target),
        () => provider.delete(own, fork, target),
        () => provider.reset!(own, fork, target),
        () => provider.execute!(own, fork, target, "DROP TABLE notes"),
      ]
    ) await assert.rejects(async () => await work(), hasCode("FOREIGN"));
    assert.deepEqual(await thingsOf(server), before, "nothing changed");
    const [, statement] = /`(CREATE EVENT [^]*)`$/.exec(seen.reason) ?? [];
    await server.as(async (root) => {
      await root.query("DROP EVENT IF EXISTS `shop-alice`.forkstack_mark");
      await root.query(statement!);
    });
    assert.equal((await provider.inspect(own, target)).state, "ready");
    assert.equal(await provider.delete(own, fork, target), "deleted");
    assert.deepEqual(await databasesOf(server), ["shop-dev"]);
    assert.deepEqual([...(await thingsOf(server)).keys()].filter((thing) => thing.includes("fs_")), []);
  });
}

onServer(
  "what stands where a create of ours may have been is taken over if it is empty, and not after a refusal",
  async (server, context) => {
    const target = targetOf("alice");
    for (
      const [sql, isRefused, isTaken] of [
        ["", false, true],
        ["", true, false],
        ["CREATE TABLE t (x INT)", false, false],
        ["CREATE PROCEDURE p() SELECT 1", false, false],
        ["CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1", false, false],
      ] as const
    ) {
      await server.as((root) => make(root, target.name, sql));
      const theirs = await contentOf(server, target.name);
      const ledger = ledgerOf(new Map());
      if (isRefused) await ledger.refused(target.name);
      await assert.rejects(provider.create({ ...context, ...ledger }, target), hasCode("FOREIGN"));
      const made = provider.create({ ...context, ...ledger }, { ...target, isResumed: true });
      if (isTaken) await made;
      else await assert.rejects(made, hasCode("FOREIGN"));
      assert.deepEqual(ledger.takenOver, isTaken ? [target.name] : []);
      if (!isTaken) assert.equal(await contentOf(server, target.name), theirs);
      await server.as((root) => root.query("DROP DATABASE `shop-alice`"));
    }
  },
);

onServer("a fork whose database somebody dropped is gone, and its accounts go with it", async (server, context) => {
  const target = targetOf("alice");
  const fork = await provider.create(context, target);
  await appUrl(context, fork);
  await server.as((root) => root.query("DROP DATABASE `shop-alice`"));
  assert.deepEqual(await provider.inspect(context, target), { state: "absent" });
  assert.equal(await provider.delete(context, fork, target), "absent");
  assert.deepEqual([...(await thingsOf(server)).keys()], ["database shop-dev", "user forks"]);
});

onServer(
  "the logins of a fork whose database somebody dropped never reach the next one of its name",
  async (server, context) => {
    const minted: string[] = [];
    for (const count of [1, 2, 3]) {
      const fork = await provider.create(context, targetOf("alice"));
      for (let n = 0; n < count; n++) minted.push(await appUrl(context, fork));
      await server.as((root) => root.query("DROP DATABASE `shop-alice`"));
    }
    await server.as((root) => root.query("CREATE USER fs_mine@'%'; GRANT SELECT ON `shop-alice`.* TO fs_mine@'%'"));
    const fork = await provider.create(context, targetOf("alice"));
    for (const url of minted) await assert.rejects(() => asApp(url, "SELECT 1"), /Access denied/);
    const users = [...(await thingsOf(server)).keys()].filter((thing) => thing.startsWith("user fs_")).sort();
    assert.deepEqual(users, [`user fs_${fork.id}`, "user fs_mine"].sort(), "nor is a person's account touched");
    assert.equal((await asApp(await appUrl(context, fork), "SELECT * FROM notes")).length, 20);
  },
);

onServer(
  "a script is one transaction until it changes the schema, reaches its fork alone, and quotes nothing",
  async (server, context) => {
    const target = targetOf("alice");
    const fork = await provider.create(context, target);
    const parents = await contentOf(server, "shop-dev");
    const execute = (sql: string) => provider.execute!(context, fork, target, sql);
    const failing: readonly (readonly [sql: string, told: RegExp])[] = [
      [
        `UPDATE notes SET text = 'x';\nINSERT INTO notes (id, text) VALUES (1, '${CANARY}')`,
        /line 2: a unique constraint is violated \(error 1062\)/,
      ],
      ["UPDATE notes SET text = 'x';\n-- a comment; \nSELEC 1", /line 3: it is no SQL/],
      [
        "DELETE FROM notes;\nINSERT INTO `shop-dev`.notes (text) VALUES ('x')",
        /line 2: the fork's login may not do that/,
      ],
      ["DELETE FROM notes;\nSELECT * FROM notes INTO OUTFILE '/tmp/x'", /line 2: /],
      ["DELETE FROM notes;\nLOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE notes", /line 2|infile/i],
    ];
    for (const [sql, told] of failing) {
      await assert.rejects(execute(sql), (error: Error) => {
        assert.match(error.message, told);
        assert(!`${error.message} ${error.cause}`.includes(CANARY));
        return true;
      });
      assert.equal(await contentOf(server, fork.name), parents, sql);
    }
    await execute(
      "UPDATE notes SET text = CONCAT('a; b', id); CREATE VIEW v AS SELECT id FROM notes;\nDELETE FROM notes WHERE id > 5;",
    );
    const url = await appUrl(context, fork);
    assert.deepEqual(await asApp(url, "SELECT COUNT(*) AS n, MIN(text) AS text FROM notes JOIN v USING (id)"), [{
      n: 5,
      text: "a; b1",
    }]);
    assert.equal(await contentOf(server, "shop-dev"), parents);
    const [rows] = await server.as((root) => root.query(`SHOW CREATE USER 'fs_${fork.id}'@'%'`));
    assert.match(JSON.stringify(rows), /ACCOUNT LOCK/, "nobody comes in by the fork's own account afterwards");
  },
);

onServer(
  "reset() sanitizes before it commits, keeps logins, and one that was cut off is finished by the next",
  async (server, context) => {
    const target = by("copy");
    const fork = await provider.create(context, target);
    const url = await appUrl(context, fork);
    await asApp(url, "DELETE FROM notes", "CREATE TABLE mine (x INT)");
    const replacement = await provider.reset!(context, fork, target);
    await replacement.execute!("UPDATE notes SET text = 'clean'");
    assert.deepEqual(await asApp(url, "SELECT COUNT(*) AS n FROM notes"), [{ n: 0 }]);
    await replacement.commit();
    assert.deepEqual(await asApp(url, "SELECT DISTINCT text FROM notes"), [{ text: "clean" }]);
    const died = new Error("died");
    let changes = 0;
    const fence = () => ++changes === 4 ? Promise.reject(died) : Promise.resolve();
    const again = await provider.reset!(context, fork, target);
    await again.discard();
    const cut = await provider.reset!({ ...context, fence }, fork, target).catch(() => undefined);
    assert.equal(cut, undefined);
    await (await provider.reset!(context, fork, target)).commit();
    assert.equal(await contentOf(server, fork.name), await contentOf(server, "shop-dev"));
    assert.deepEqual(await databasesOf(server), ["shop-alice", "shop-dev"]);
  },
);

testIf(whyNone, "mysql: a server that wants to see passwords, by its socket", async () => {
  const hasRules = fs.existsSync("/usr/lib/mysql/plugin/simple_password_check.so");
  await using server = await startMariaDb(hasRules ? ["--plugin-load-add=simple_password_check"] : []);
  await server.as(async (root) => {
    await root.query(
      "CREATE USER forks@'%' IDENTIFIED BY 'Canary-1!'; GRANT ALL ON *.* TO forks@'%' WITH GRANT OPTION",
    );
    await make(root, "shop-dev", NOTES);
  });
  const url = `mysql://forks:Canary-1!@localhost/?socket=${encodeURIComponent(server.socket)}`;
  const { net } = provider.permissions!({ strategy: "copy" }, { MYSQL_URL: new Secret(url) });
  assert.deepEqual(net, [`unix:${server.socket}`]);
  const { hint } = await refuses(url, "NETWORK_DENIED"); // of Deno, to these tests
  assert(hint.includes(`--allow-net=unix:${server.socket}`), hint);
  const script = fileURLToPath(new URL("./_mysql_child.ts", import.meta.url));
  const permissions = [
    "--allow-read",
    "--allow-write",
    "--allow-env",
    "--allow-sys",
    "--allow-run",
    `--allow-net=${net}`,
  ];
  const args = ["run", "-q", "--no-check", ...permissions, script];
  for (const strategy of ["copy", "dump"] as const) {
    const env = { ...process.env, MYSQL_URL: url };
    const { stdout } = await run(process.execPath, [...args, JSON.stringify(by(strategy))], { env });
    assert.equal(await contentOf(server, "shop-alice"), await contentOf(server, "shop-dev"));
    const app = new URL(stdout.trim());
    assert.equal(app.searchParams.get("socket"), server.socket, "what was asked for goes on to the application");
    const direct = `mysql://${app.username}:${app.password}@127.0.0.1:${server.port}/shop-alice`;
    assert.deepEqual(await asApp(direct, "SELECT COUNT(*) AS n FROM notes"), [{ n: 20 }]);
    await server.as((root) => root.query("DROP DATABASE `shop-alice`"));
  }
});

testIf(whyNone, "mysql: a server that takes no events can bear no mark: told before anything is made", async () => {
  await using server = await startMariaDb(["--event-scheduler=DISABLED"]);
  await prepare(server);
  await server.as((root) => make(root, "shop-dev", NOTES));
  const { hint } = await refuses(urlOf(server.port), "CONFIG_INVALID");
  assert.match(hint, /event_scheduler=OFF/);
  const [rows] = await server.as((root) => root.query("SHOW DATABASES LIKE 'shop-%'"));
  assert.equal((rows as unknown[]).length, 1);
});

testIf(
  whyNone ?? whyMissing("openssl"),
  "mysql: TLS as each client spells it, with a certificate that nobody else trusts",
  async () => {
    using directory = temporaryDirectory("forkstack-mysql-tls-");
    const [key, certificate] = [join(directory.path, "key.pem"), join(directory.path, "cert.pem")];
    await run("openssl", [
      ..."req -new -x509 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1".split(
        " ",
      ),
      ...["-newkey", "rsa:2048", "-keyout", key, "-out", certificate],
    ]);
    fs.chmodSync(directory.path, 0o755);
    for (const path of [key, certificate]) fs.chmodSync(path, 0o644);
    await using server = await startMariaDb([`--ssl-key=${key}`, `--ssl-cert=${certificate}`]);
    await prepare(server);
    await server.as((root) => make(root, "shop-dev", NOTES));
    await server.as((root) => root.query("ALTER USER forks@'%' REQUIRE SSL"));
    const url = urlOf(server.port);
    const ca = `&ssl-ca=${encodeURIComponent(certificate)}`;
    await refuses(`${url}?ssl-mode=DISABLED`, "CREDENTIALS_REJECTED"); // MariaDB has no number of its own for it
    for (const search of ["?ssl-mode=VERIFY_IDENTITY", "?sslaccept=strict", `?ssl={"rejectUnauthorized":true}`]) {
      await refuses(`${url}${search}`, "TLS_FAILED");
    }
    for (const search of ["", "?ssl-mode=REQUIRED", "?sslaccept=accept_invalid_certs", `?ssl-mode=VERIFY_CA${ca}`]) {
      const context = contextOf(`${url}${search}`);
      const fork = await provider.create(context, by("dump"));
      const { DATABASE_URL } = await provider.outputs(context, fork, targetOf("alice"));
      assert.equal(new URL((DATABASE_URL as Secret).reveal()).search, new URL(`${url}${search}`).search);
      await provider.delete(context, fork, targetOf("alice"));
    }
  },
);

onServer("TLS asked of a server that has none", async (server) => {
  await refuses(`${urlOf(server.port)}?ssl-mode=REQUIRED`, "TLS_FAILED");
});

onServer("base environments: their own URL and size, and no script", async (server, context) => {
  const held = { id: "shop-dev", name: "shop-dev" };
  const { DATABASE_URL } = await provider.outputs(context, held, targetOf("dev"));
  assert.equal((DATABASE_URL as Secret).reveal(), `${urlOf(server.port)}/shop-dev`);
  await provider.probe(context, held, targetOf("dev"));
  assert((await provider.usage!(context, held, targetOf("dev"))).sizeBytes > 0);
  const marker = targetOf("dev").marker;
  const fork: Fork = { ...held, marker, createdAt: "2026-01-01T00:00:00Z" };
  for (
    const work of [
      () => provider.execute!(context, fork, targetOf("dev"), "DROP TABLE notes"),
      () => provider.reset!(context, fork, targetOf("dev")),
      () => provider.delete(context, fork, targetOf("dev")),
    ]
  ) await assert.rejects(async () => await work(), hasCode("FOREIGN"));
});

onServer("who waits for another run can be stopped", async (server, context: Context) => {
  const control = new AbortController();
  const sleep = () => {
    control.abort(new Error("stopped by a person"));
    return Promise.reject(control.signal.reason);
  };
  const waiting = contextOf(urlOf(server.port), { signal: control.signal, sleep });
  let met = 0;
  const record = async () => {
    await assert.rejects(provider.create(waiting, targetOf("alice")), /stopped by a person/);
    met++;
  };
  await provider.create({ ...context, record }, targetOf("alice"));
  assert.equal(met, 1);
});
