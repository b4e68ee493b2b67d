/** Things of the process that are none of forkstack's: a shell's ENV, a working directory at the root of a disk, an old Node. */
import assert from "node:assert/strict";
import { mkdirSync, realpathSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { assertState, findUpwards, isForkstackError, openStack } from "../mod.ts";
import { envFile, localFile, type Project, temporaryProject } from "./runtime_helpers.ts";

function codeOf(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    assert(isForkstackError(error), String(error));
    return error.code;
  }
}

function project(): Project {
  const alice = { FORKSTACK_ENV: "alice", FORKSTACK_PROJECT: "shop" };
  return temporaryProject({
    "forkstack.json": '{"project": "shop"}',
    ".current-env": "alice\n",
    ".forkstack/envs/alice.env": envFile(alice),
  });
}

for (const ENV of ["/root/.shrc", "~/.kshrc", "./shinit", "/", "alice/", "feature/login"]) {
  Deno.test(`ENV=${ENV} names no environment: it is a shell's, as if it were unset`, () => {
    using at = project();
    const stack = at.open({ ENV });
    assert.deepEqual([stack.current(), stack.decidedBy], ["alice", ".current-env"]);
    assert.equal(stack.of("storage", "BUCKET_NAME"), "shop-bucket-alice");
    const loaded = { ENV, FORKSTACK_ENV: "alice", FORKSTACK_PROJECT: "shop" }; // by whoever loads an env file at the start
    assert.equal(at.open(loaded).current(), "alice");
  });
}

Deno.test("ENV without a slash still names the environment, and FORKSTACK_ENV is a name whatever it holds", () => {
  using at = project();
  assert.deepEqual([at.open({ ENV: "prod" }).env, at.open({ ENV: "prod" }).decidedBy], ["prod", "ENV"]);
  for (const ENV of ["C:shinit", "a b", ".shrc"]) assert.equal(codeOf(() => at.open({ ENV })), "NAME_INVALID");
  assert.equal(codeOf(() => at.open({ FORKSTACK_ENV: "/root/.shrc" })), "NAME_INVALID");
});

Deno.test("no path has two slashes in a row, however the directory is written", () => {
  using at = project();
  const [root, double] = [realpathSync(at.path), realpathSync(at.path).replaceAll("/", "//")];
  mkdirSync(join(root, "a"));
  for (const cwd of [`${root}/`, `${root}//`, double, `${double}//a`, `${root}/a///`]) {
    const stack = openStack({ cwd, read: () => undefined });
    assert.equal(stack.root, root);
    assert.equal(stack.of("local", "LOCAL_PATH"), `${root}/shop.alice.db`);
    assert.equal(stack.of("database", "DATABASE_URL"), `file://${root}/.forkstack/sqlite/shop-alice.db`);
  }
  assert.equal(findUpwards("//", "no-such-file"), undefined);
});

Deno.test("assertState() looks at the state of a project that is written with a slash behind it, as the root of a disk is", () => {
  using at = project();
  const root = realpathSync(at.path);
  symlinkSync("envs", join(root, ".forkstack", "other"));
  for (const written of [root, `${root}/`]) {
    const look = () => assertState(written, join(root, ".forkstack", "other"), root);
    assert.equal(codeOf(look), "NOT_PERMITTED", "a link in .forkstack is refused");
  }
});

function errorOf(call: () => unknown): { readonly code: string; readonly message: string; readonly hint?: string } {
  try {
    call();
  } catch (error) {
    if (isForkstackError(error)) return error;
    throw error;
  }
  return assert.fail("there was no error");
}

const LOADED: readonly (readonly [file: string, text: string, process: string, cwd: string])[] = [
  [".env", "DATABASE_URL=file:./my.db\n", "file:./my.db", "."], // dotenv, drizzle-kit, prisma.config.ts, Bun
  [".env", 'export DATABASE_URL="postgresql://a:b@db.example/x" # ours\n', "postgresql://a:b@db.example/x", "."],
  [".env.development.local", "A=1\nDATABASE_URL=file:b.db\n", "file:b.db", "."], // Next.js prefers it to .env.local
  [".env.development", "DATABASE_URL='file:c.db'\n", "file:c.db", "."],
  ["apps/web/.env", "DATABASE_URL=file:d.db\n", "file:d.db", "apps/web"],
  [".env", "DATABASE_URL=file:e.db\n", "file:e.db", "apps/web"],
  [
    ".env.local",
    `DATABASE_URL=file:f.db\n${localFile({ FORKSTACK_ENV: "alice", FORKSTACK_PROJECT: "shop" })}`,
    "file:f.db",
    ".",
  ],
];

Deno.test("a file's path that is in the process's URL alone: ENV_CONFLICT names the variable that is to be unset", () => {
  using at = project();
  for (
    const [variables, name] of [[{ DATABASE_URL: "file:x.db" }, "URL"], [{ DATABASE_PATH: "/x.db" }, "PATH"]] as const
  ) {
    const { code, hint } = errorOf(() => at.open({ ...variables }, ".").of("database", "DATABASE_PATH"));
    assert.equal(code, "ENV_CONFLICT");
    assert.match(hint!, new RegExp(`^Unset DATABASE_${name};`));
  }
});

for (const [file, text, DATABASE_URL, cwd] of LOADED) {
  Deno.test(`a value that ${file} brought into the process in ${cwd} is ENV_CONFLICT, which names the file: ${text.trim()}`, () => {
    using at = project();
    mkdirSync(join(at.path, "apps/web"), { recursive: true });
    at.write(file, text);
    const { code, message, hint } = errorOf(() => at.open({ DATABASE_URL }, cwd).of("database", "DATABASE_URL"));
    const path = join(realpathSync(at.path), file);
    assert.equal(code, "ENV_CONFLICT");
    assert.match(message, new RegExp(`holds a different value, that of "${RegExp.escape(path)}"$`));
    assert.equal(hint, `Take DATABASE_URL out of "${path}", or do not load that file`);
    if (!DATABASE_URL.startsWith("file:")) return;
    assert.equal(errorOf(() => at.open({ DATABASE_URL }, cwd).of("database", "DATABASE_PATH")).hint, hint);
    assert.ok(!message.includes(DATABASE_URL));
  });
}

Deno.test("a value of another environment's block is none of a person's", () => {
  using at = project();
  at.write(".env.local", localFile({ FORKSTACK_ENV: "bob", FORKSTACK_PROJECT: "shop", DATABASE_URL: "file:bob.db" }));
  const { message } = errorOf(() => at.open({ DATABASE_URL: "file:bob.db" }).of("database", "DATABASE_URL"));
  assert.match(message, /holds a different value$/);
});

Deno.test("a value of the process that no env file has is told without a file", () => {
  using at = project();
  at.write(".env", "DATABASE_URL=file:other.db\nDATABASE_URLS=file:x.db\n");
  for (const DATABASE_URL of ["file:x.db", "file:other.dbs"]) {
    const { message, hint } = errorOf(() => at.open({ DATABASE_URL }).of("database", "DATABASE_URL"));
    assert.match(message, /holds a different value$/);
    assert.match(hint!, /^Unset DATABASE_URL; /);
  }
});

const NAMELESS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "with forkstack.json": { "forkstack.json": '{"project": "shop", "database": {"provider": "postgres"}}' },
  "with mod.ts alone": {},
  "with a person's env file": { "forkstack.json": '{"project": "shop"}', ".env.local": "STRIPE_KEY=sk\n" },
};

for (const [how, files] of Object.entries(NAMELESS)) {
  Deno.test(`a deployment ${how} that names no environment is told to set FORKSTACK_ENV`, () => {
    using at = temporaryProject(files);
    const others: Record<string, string>[] = [{}, { NODE_ENV: "production" }, { ENV: "/root/.shrc" }];
    for (const more of others) {
      const variables = { ...more, DATABASE_URL: "postgresql://db.example/shop" };
      const { code, hint } = errorOf(() => at.open(variables).of("database", "DATABASE_URL"));
      assert.equal(code, "ENV_CONFLICT");
      assert.equal(hint, "In a deployment set FORKSTACK_ENV=prod beside it; elsewhere unset DATABASE_URL");
      const named = { ...variables, FORKSTACK_ENV: "prod" };
      assert.equal(at.open(named).of("database", "DATABASE_URL"), variables.DATABASE_URL);
    }
  });
}
