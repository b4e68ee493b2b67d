import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Fork, Target } from "../../core/provider.ts";
import provider from "../../providers/database/postgres.ts";
import { startServer } from "../emulators/postgres_server.ts";
import { mountImage, run, temporaryDirectory, testIf, whyNoMount } from "../helpers.ts";
import { whyMissing } from "../tools.ts";
import { hasCode } from "./_special.ts";
import {
  contentOf,
  contextOf,
  debian,
  make,
  namesOf,
  NOTES,
  npm,
  old,
  onServer,
  type Options,
  targetOf,
  thingsOf,
  whyNoCurrent,
  whyNoOld,
} from "./_postgres.ts";

onServer(old, whyNoOld, "a parent open to every role is PARENT_OPEN, unless it is allowed", async (server, context) => {
  await server.query('GRANT CONNECT ON DATABASE "shop-dev" TO PUBLIC');
  const earlier = await thingsOf(server);
  await assert.rejects(provider.create(context, targetOf("alice")), hasCode("PARENT_OPEN"));
  assert.deepEqual(await thingsOf(server), earlier);
  await provider.create(context, targetOf("alice", { options: { allowOpenParent: true } }));
});

const alice = targetOf("alice");
const by = (strategy: Options["strategy"]): Target<Options> =>
  targetOf("alice", { options: strategy === undefined ? {} : { strategy } });

/** It is refused with this code, says what to do next, and can be undone to the last bit. */
async function refuses(url: string, code: string, target = alice, admin = url): Promise<Error> {
  let met: Error | undefined;
  await assert.rejects(provider.create(contextOf(url), target), (error: Error) => {
    met = error;
    return hasCode(code)(error);
  });
  const seen = await provider.inspect(contextOf(admin), target).catch(() => undefined);
  if (seen !== undefined && "fork" in seen) await provider.delete(contextOf(admin), seen.fork, target);
  return met!;
}

onServer(old, whyNoOld, "user, password, address, name and parent", async (server) => {
  const earlier = await thingsOf(server);
  const url = server.url();
  await refuses(url.replace(/:[^:@]*@/, ":wrong@"), "CREDENTIALS_REJECTED");
  await refuses(url.replace(/:\d+\//, ":1/"), "PROVIDER_UNAVAILABLE");
  for (const host of ["db.example", "192.0.2.1"]) { // tests may connect to this machine alone
    await refuses(`postgres://forks:forks@${host}:5432/postgres`, "NETWORK_DENIED");
  }
  await refuses(`${url}-no-such`, "NOT_FOUND");
  for (const wrong of ["no url", "mysql://root@localhost/x"]) {
    await assert.rejects(async () => await provider.create(contextOf(wrong), alice), hasCode("CREDENTIALS_MISSING"));
  }
  await refuses(url, "NAME_INVALID", targetOf("alice", { name: "a".repeat(64) }));
  await refuses(url, "NOT_FOUND", targetOf("alice", { parent: "shop-nobody" }));
  await refuses(url, "CONFIG_INVALID", by("clone")); // before version 18
  assert.deepEqual(await thingsOf(server), earlier);
});

onServer(old, whyNoOld, "roles that lack a right, and limits of connections", async (server) => {
  await server.query(
    `CREATE ROLE weak LOGIN PASSWORD 'weak'; CREATE ROLE roles_only LOGIN CREATEROLE PASSWORD 'roles_only';
    CREATE ROLE stranger LOGIN CREATEROLE CREATEDB PASSWORD 'stranger';
    CREATE ROLE crowded LOGIN CREATEROLE CREATEDB PASSWORD 'crowded' CONNECTION LIMIT 0`,
  );
  const earlier = await thingsOf(server);
  const as = (role: string) => server.url().replace(/\/\/.*@/, `//${role}:${role}@`);
  for (const role of ["weak", "roles_only"]) {
    const { hint } = await refuses(as(role), "CREDENTIALS_DENIED", alice, server.url()) as Error & { hint: string };
    assert.match(hint, /CREATEDB CREATEROLE/);
  }
  await refuses(as("stranger"), "CREDENTIALS_DENIED", by("template"), server.url()); // it owns not the parent
  await refuses(as("crowded"), "PLAN_LIMIT", alice, server.url());
  assert.deepEqual(await thingsOf(server), earlier);
});

onServer(old, whyNoOld, "programs that are missing or older than the server", async (server) => {
  using directory = temporaryDirectory();
  const { PATH } = process.env;
  try {
    process.env.PATH = directory.path;
    await refuses(server.url(), "TOOL_MISSING", by("dump"));
    for (const name of ["pg_dump", "pg_restore"]) {
      fs.writeFileSync(join(directory.path, name), `#!/bin/sh\necho "${name} (PostgreSQL) 9.6.24"\n`, { mode: 0o755 });
    }
    const { message } = await refuses(server.url(), "TOOL_OUTDATED", by("dump"));
    assert.match(message, /pg_dump is of version 9, the server of version \d+$/);
  } finally {
    process.env.PATH = PATH;
  }
});

onServer(old, whyNoOld, "what pg_restore says is told without the password", async (server) => {
  // It can't be restored: what it calls is not there yet when its table is filled.
  await server.query(
    `CREATE FUNCTION late() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM later); END';
     CREATE TABLE later (x int); CREATE TABLE early (y int CHECK (late() > 0));
     INSERT INTO later VALUES (1); INSERT INTO early VALUES (1)`,
    "shop-dev",
  );
  const error = await refuses(server.url(), "DUMP_FAILED", by("dump"));
  assert.match(error.message, /pg_restore failed: .*early/);
  assert(!error.message.includes(server.password));
});

testIf(
  whyNoOld ?? whyMissing("openssl"),
  "postgres: a server that asks for TLS, and one whose certificate nobody signed",
  async () => {
    await using server = await startServer((debian as { bin: string }).bin, {
      settings: ["ssl=on"],
      async prepare(data) {
        await run("openssl", [
          ..."req -new -x509 -nodes -days 2 -subj /CN=localhost -newkey rsa:2048".split(" "),
          ...["-keyout", join(data, "server.key"), "-out", join(data, "server.crt")],
        ]);
        const rules = join(data, "pg_hba.conf");
        const closed = "hostnossl secure all all reject\n";
        fs.writeFileSync(rules, closed + fs.readFileSync(rules, "utf8"));
      },
    });
    await server.query("CREATE DATABASE secure");
    await make(server, "shop-dev", NOTES);
    const url = server.url("secure");
    await refuses(`${url}?sslmode=disable`, "TLS_REQUIRED");
    await refuses(`${url}?sslmode=verify-full`, "TLS_FAILED");
    for (const mode of ["prefer", "require"]) {
      const context = contextOf(`${url}?sslmode=${mode}`);
      const fork = await provider.create(context, by("dump"));
      const outputs = await provider.outputs(context, fork, alice);
      assert.equal(
        /sslmode=require/.test(String((outputs.DATABASE_URL as { reveal(): string }).reveal())),
        mode === "require",
      );
      await provider.delete(context, fork, alice);
    }
  },
);

onServer(old, whyNoOld, "TLS asked of a server that has none", async (server) => {
  const url = `${server.url()}?sslmode=require`; // it hangs up, as one that is just starting may
  const { hint } = await refuses(url, "PROVIDER_UNAVAILABLE") as Error & { hint: string };
  assert.match(hint, /TLS/);
});

const whyNoSmall = whyNoCurrent ?? await whyNoMount("tmpfs", 1);
testIf(whyNoSmall, "postgres: a full disk is DISK_FULL, and leaves nothing behind", async () => {
  await using mount = await mountImage("tmpfs", 64);
  await using server = await startServer((npm as { bin: string }).bin, {
    async prepare(data) { // the log stays on the other disk: a server without room for it stops
      await run("cp", ["-a", join(data, "base"), join(mount.path, "base")]);
      fs.rmSync(join(data, "base"), { recursive: true });
      fs.symlinkSync(join(mount.path, "base"), join(data, "base"));
      fs.chmodSync(mount.path, 0o755);
      fs.chmodSync(join(mount.path, ".."), 0o755);
    },
  });
  await make(
    server,
    "shop-dev",
    `${NOTES}; CREATE TABLE big AS SELECT repeat('x', 1900) FROM generate_series(1, 13500) n`,
  );
  const earlier = await namesOf(server);
  await refuses(server.url(), "DISK_FULL", by("clone"));
  assert.deepEqual(await namesOf(server), earlier);
  // Copying by its log, the server tidies up with a buffer in its hand, and tells that in place of the full disk.
  const error = await refuses(server.url(), "PROVIDER_REFUSED", by("template")) as Error & { hint: string };
  assert.match(`${error.message}. ${error.hint}`, /buffer is pinned.*full disk/);
  assert.deepEqual(await namesOf(server), earlier);
  await server.query("DROP TABLE big", "shop-dev");
  const context = contextOf(server.url());
  const fork: Fork = await provider.create(context, by("template"));
  assert.equal(await contentOf(server, fork.name), await contentOf(server, "shop-dev"));
});
