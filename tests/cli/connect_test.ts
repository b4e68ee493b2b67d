/** `connect`: the client of a URL, with its password in the environment and never in an argument. */
import assert from "node:assert/strict";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { clientOf } from "../../core/cli/client_program.ts";
import { testIf } from "../helpers.ts";
import { whyMissing } from "../tools.ts";
import { Place, run } from "./run.ts";

const PASSWORD = "p@ss/w:rd%canary";
const ENCODED = encodeURIComponent(PASSWORD);

Deno.test("clientOf() gives each protocol its client, and no argument a password", async () => {
  const cases: [url: string, name: string, args: RegExp, env: Record<string, string>][] = [
    ["file:///tmp/my%20data/a.db", "sqlite3", /^\/tmp\/my data\/a\.db$/, {}],
    [
      `postgresql://app:${ENCODED}@db.example:6000/shop-dev?sslmode=verify-full&options=endpoint%3Dx`,
      "psql",
      /^$/,
      {
        PGHOST: "db.example",
        PGPORT: "6000",
        PGUSER: "app",
        PGPASSWORD: PASSWORD,
        PGDATABASE: "shop-dev",
        PGSSLMODE: "verify-full",
        PGOPTIONS: "endpoint=x",
      },
    ],
    [`postgres://app:${ENCODED}@[::1]/a`, "psql", /^$/, {
      PGHOST: "::1",
      PGUSER: "app",
      PGPASSWORD: PASSWORD,
      PGDATABASE: "a",
    }],
    [
      `mysql://app:${ENCODED}@db.example/shop?sslaccept=strict`,
      "mysql",
      /^--host=db\.example --port=3306 --protocol=tcp --user=app --database=shop --loose-ssl-mode=REQUIRED --loose-ssl$/,
      { MYSQL_PWD: PASSWORD },
    ],
    [
      `mariadb://app:${ENCODED}@db:3307/s`,
      "mariadb",
      /^--host=db --port=3307 --protocol=tcp --user=app --database=s$/,
      { MYSQL_PWD: PASSWORD },
    ],
    [`rediss://app:${ENCODED}@c.example:6380/3`, "redis-cli", /^-h c\.example -p 6380 --user app -n 3 --tls$/, {
      REDISCLI_AUTH: PASSWORD,
      VALKEYCLI_AUTH: PASSWORD,
    }],
    ["redis://c.example", "redis-cli", /^-h c\.example -p 6379$/, {}],
  ];
  for (const [url, name, args, env] of cases) {
    const client = (await clientOf(url))!;
    assert.equal(client.names[0], name, url);
    assert.match(client.args.join(" "), args, url);
    assert.deepEqual(client.env, env, url);
    assert(![PASSWORD, ENCODED].some((text) => client.args.some((arg) => arg.includes(text))));
  }
  for (const url of ["libsql://x.turso.io", "https://eu1.inngest.com", "not a url", ""]) {
    assert.equal(await clientOf(url), undefined, url);
  }
});

/** A project whose PATH has stand-ins of clients alone: they tell what they got. */
async function withClients(
  ...names: string[]
): Promise<{ place: Place; on: (...args: string[]) => ReturnType<typeof run> }> {
  const place = await Place.make({
    database: { main: { provider: "postgres" }, old: { provider: "mysql" } },
    cache: { provider: "valkey" },
    queue: { provider: "qstash" },
    variables: { SHAPED_URL: "{OLD_DATABASE_URL}", SHAPED_NAME: "{FORKSTACK_ENV}" },
  });
  const values = {
    FORKSTACK_ENV: "alice",
    FORKSTACK_PROJECT: "shop",
    MAIN_DATABASE_URL: `postgresql://app:${ENCODED}@db.example/main`,
    OLD_DATABASE_URL: `mysql://app:${ENCODED}@db.example/old`,
    CACHE_URL: `redis://app:${ENCODED}@c.example/1`,
    QUEUE_URL: "https://qstash.example",
  };
  await place.write(
    ".forkstack/envs/alice.env",
    Object.entries(values).map(([name, value]) => `${name}="${value}"\n`).join(""),
  );
  await place.write(".current-env", "alice\n");
  await mkdir(place.path("bin"));
  for (const name of names) {
    await writeFile(
      place.path("bin", name),
      `#!/bin/sh\necho "${name} $* PG=$PGPASSWORD MY=$MYSQL_PWD RE=$REDISCLI_AUTH E=$FORKSTACK_ENV"; read line; echo "$line"; exit 9\n`,
    );
    await chmod(place.path("bin", name), 0o755);
  }
  const env = { PATH: `${place.path("bin")}:/usr/local/bin-of-nobody` };
  return {
    place,
    on: (...args) => run(place.root, ["connect", ...args], { env, isProcess: true, stdin: "from stdin\n" }),
  };
}

Deno.test("connect runs the client with the password in its environment, its input, and its exit code", {
  ignore: Deno.build.os === "windows",
}, async () => {
  const { place, on } = await withClients("psql", "mysql", "redis-cli");
  await using _ = place;
  for (
    const [args, said] of [
      [["database.main"], `psql  PG=${PASSWORD} MY= RE= E=alice\n`],
      [
        ["database.old", "alice"],
        `mysql --host=db.example --port=3306 --protocol=tcp --user=app --database=old PG= MY=${PASSWORD} RE= E=alice\n`,
      ],
      [["cache"], `redis-cli -h c.example -p 6379 --user app -n 1 PG= MY= RE=${PASSWORD} E=alice\n`],
    ] as const
  ) {
    const { code, stdout, stderr } = await on(...args);
    assert.deepEqual([code, stdout], [9, `${said}from stdin\n`], stderr);
  }
});

Deno.test(
  "connect gives the client its own URL's variables, and nothing by which it would find another server or code",
  {
    ignore: Deno.build.os === "windows",
  },
  async () => {
    const { place } = await withClients();
    await using _ = place;
    const withheld = [
      ...[
        "PSQLRC",
        "PGSERVICEFILE",
        "PGSERVICE",
        "PGHOSTADDR",
        "PGPASSFILE",
        "PSQL_PAGER",
        "PSQL_WATCH_PAGER",
        "pgoptions",
      ],
      ...["MYSQL_HOME", "MYSQL_TEST_LOGIN_FILE", "MARIADB_PLUGIN_DIR", "LIBMYSQL_PLUGINS", "MYSQL_PWD"],
      ...["REDISCLI_RCFILE", "REDISCLI_AUTH", "VALKEYCLI_RCFILE", "SQLITE_HISTORY", "SHAPED_NAME"],
    ];
    const env = {
      ...Object.fromEntries(withheld.map((name) => [name, "evil"])),
      PATH: `${place.path("bin")}:/usr/bin:/bin`,
      LESS: "mine",
      PAGER: "mine too",
    };
    for (const [name, resource, own] of [["psql", "database.main", "PG"], ["mysql", "database.old", "MYSQL_PWD"]]) {
      await writeFile(place.path("bin", name!), "#!/bin/sh\nexec env\n");
      await chmod(place.path("bin", name!), 0o755);
      const { code, stdout, stderr } = await run(place.root, ["connect", resource!], { env, isProcess: true });
      assert.equal(code, 0, stderr);
      assert.doesNotMatch(stdout, /evil|SHAPED|(DATABASE|CACHE|QUEUE)_URL|FORKSTACK_RUN/, name);
      for (const line of ["FORKSTACK_ENV=alice", "LESS=mine", "PAGER=mine too"]) {
        assert(stdout.split("\n").includes(line), `${line}\n${stdout}`);
      }
      const secret = stdout.split("\n").filter((line) => line.endsWith(`=${PASSWORD}`));
      assert(secret.length === 1 && secret[0]!.startsWith(own!), stdout);
    }
  },
);

Deno.test("connect takes the other maker's client, tells how to get one that is missing, and what it can't open", {
  ignore: Deno.build.os === "windows",
}, async () => {
  const { place, on } = await withClients("mariadb", "valkey-cli");
  await using _ = place;
  assert.match((await on("database.old")).stdout, /^mariadb --host/);
  assert.match((await on("cache")).stdout, /^valkey-cli -h/);
  for (
    const [args, code, said] of [
      [["database.main"], 2, /there is no psql\n[^]*hint: Install it: `apt install postgresql-client`/],
      [["database"], 2, /there are several\n {2}hint: `.*connect database\.main`/],
      [["queue"], 2, /no client is known for URLs that begin with "https:"/],
      [["alice"], 2, /it is an environment\n {2}hint: `.*connect database\.main alice`/],
    ] as const
  ) {
    const ended = await on(...args);
    assert.deepEqual([ended.code, ended.stdout], [code, ""], `${args.join(" ")}: ${ended.stderr}`);
    assert.match(ended.stderr, said);
    assert(!ended.stderr.includes(PASSWORD) && !ended.stderr.includes(ENCODED));
  }
});

testIf(whyMissing("sqlite3"), "connect opens a fork's file in sqlite3", async () => {
  await using place = await Place.make({ database: { provider: "sqlite" } });
  await place.ok("new", "alice", "--empty");
  const { code, stdout, stderr } = await run(place.root, ["connect"], {
    isProcess: true,
    stdin: "CREATE TABLE t (a);\n.databases\n",
  });
  assert.equal(code, 0, stderr);
  assert(stdout.includes(place.path(".forkstack/sqlite/shop-alice.db")), stdout);
});
