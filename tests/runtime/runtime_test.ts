/**
 * mod.ts as an application uses it, in any runtime. tests/runtime_matrix_test.ts copies this file into a project, says in
 * FORKSTACK_MOD where mod.ts is, and runs it there; without that there is nothing to test.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const specifier = process.env.FORKSTACK_MOD;

if (specifier === undefined) {
  test("mod.ts in this runtime (skipped: FORKSTACK_MOD is not set; see tests/runtime_matrix_test.ts)", { skip: true });
} else {
  const m = await import(specifier);
  const cwd = process.cwd();

  test("the getters give what is written and what follows from names", () => {
    assert.equal(m.getCurrentEnv(), "alice");
    assert.equal(m.getProjectName(), "myapp");
    assert.equal(fileURLToPath(m.getDatabaseUrl()), join(cwd, ".forkstack", "sqlite", "myapp-alice.db"));
    assert.equal(m.getDatabaseAuthToken(), undefined);
    assert.equal(m.getBucketName("uploads"), "myapp-uploads-bucket-alice");
    assert.deepEqual(m.getStorageConfig("uploads"), {
      bucket: "myapp-uploads-bucket-alice",
      endpoint: "https://s3.example",
      region: "auto",
      accessKeyId: "key",
      secretAccessKey: "it's $HOME",
    });
    assert.equal(m.getLocalPath(), join(cwd, "myapp.alice.db"));
    assert.equal(m.getCacheUrl(), "redis://c");
    assert.equal(m.getQueueUrl(), "https://q");
    assert.equal(m.getQueuePrefix(), "alice:");
  });

  test("a second call gives the same, also of an object", () => {
    assert.equal(m.getDatabaseUrl(), m.getDatabaseUrl());
    assert.equal(m.getStorageConfig("uploads"), m.getStorageConfig("uploads"));
  });

  test("secrets are written, read back and listed, and a missing one is an error or the default", async () => {
    const values = ["plain", "it's", "a$HOME", "two\nlines", "back\\slash\\", "\"'"];
    await Promise.all(values.map((value, index) => m.setSecret(`KEY_${index}`, value)));
    for (const [index, value] of values.entries()) assert.equal(await m.getSecret(`KEY_${index}`), value);
    assert.deepEqual(Object.keys(await m.getAllSecrets()).sort(), values.map((_, index) => `KEY_${index}`));
    assert.equal(await m.getSecret("NONE", { default: "default" }), "default");
    await assert.rejects(m.getSecret("toString"), { code: "SECRET_MISSING" });
    const path = join(cwd, ".forkstack", "secrets", "alice.env");
    if (process.platform !== "win32") assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.match(readFileSync(path, "utf8"), /^KEY_0=plain$/m);
  });

  test("parseEnvFile() reads any line of formatEnvLine(), also where this runtime's own parser would not", () => {
    for (
      const value of ["", " ", "a'\"`", "\\", "a b\\", "it's\\", "$", "${A}", "#", "\n", "\\n", "日本語 😀", "\u2028"]
    ) {
      assert.deepEqual(m.parseEnvFile(`A=1\n${m.formatEnvLine("X", value)}\nB=2`), { A: "1", X: value, B: "2" });
    }
    assert.throws(() => m.formatEnvLine("X", "\ud800"), { code: "VALUE_UNWRITABLE" });
  });

  test("the guard stops in a directory of another environment, and errors say what they are", () => {
    const at = mkdtempSync(join(tmpdir(), "forkstack-runtime-"));
    try {
      mkdirSync(join(at, "src"));
      writeFileSync(join(at, "forkstack.json"), '{"project": "other", "database": {"provider": "postgres"}}');
      writeFileSync(join(at, ".current-env"), "bob\r\n");
      writeFileSync(join(at, ".env.local"), "FORKSTACK_ENV=alice\nFORKSTACK_PROJECT=other\nDATABASE_URL=of-alice\n");
      const open = (variables: Record<string, string>) =>
        m.openStack({ cwd: join(at, "src"), read: (name: string) => variables[name] });
      const url = (variables: Record<string, string>) => () => open(variables).of("database", "DATABASE_URL");
      assert.throws(url({}), { code: "ENV_UNKNOWN" });
      assert.throws(url({ DATABASE_URL: "of-alice" }), { code: "ENV_UNKNOWN" });
      assert.throws(url({ FORKSTACK_ENV: "../x" }), { code: "NAME_INVALID" });
      assert.equal(url({ FORKSTACK_ENV: "prod", DATABASE_URL: "of-prod" })(), "of-prod");
      mkdirSync(join(at, ".forkstack", "envs"), { recursive: true });
      writeFileSync(join(at, ".forkstack", "envs", "bob.env"), "FORKSTACK_ENV=bob\nFORKSTACK_PROJECT=other\n");
      assert.throws(url({}), { code: "VALUE_MISSING" });
      assert.throws(url({ DATABASE_URL: "of-alice" }), { code: "ENV_CONFLICT" });
      assert.throws(url({ FORKSTACK_ENV: "prod", DATABASE_URL: "of-prod" }), { code: "ENV_CONFLICT" });
      let caught: unknown;
      try {
        open({ ENV: "NO" });
      } catch (error) {
        caught = error;
      }
      assert(m.isForkstackError(caught) && caught instanceof Error && caught.name === "ForkstackError");
    } finally {
      rmSync(at, { recursive: true });
    }
  });

  test("openStack() of a directory that may not be looked at is an error, not dev", () => {
    const at = mkdtempSync(join(tmpdir(), "forkstack-runtime-"));
    try {
      mkdirSync(join(at, ".current-env"));
      assert.throws(() => m.openStack({ cwd: at, read: () => undefined }), { code: "FILE_UNREADABLE" });
    } finally {
      rmSync(at, { recursive: true });
    }
  });
}
