/**
 * Runs ceph's s3-tests, from a checkout of that suite, against the server of `forkstack serve`, and compares each
 * verdict with `expected.json`: the tests of the areas that docs/storage.md claims, and for each that fails the reason.
 * Nothing of the suite is kept here but the names of its tests.
 *
 * `deno task s3-tests <checkout> [python]`, where that Python has the suite's requirements.txt installed.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { AccessGrant } from "../../core/s3/server.ts";
import { serveS3 } from "../../tests/emulators/s3_local.ts";

const ACCOUNTS = ["s3 main", "s3 alt", "s3 tenant", "iam", "iam root", "iam alt root"];
const FILE = "s3tests/functional/test_s3.py";

const [checkout, python = "python3"] = process.argv.slice(2);
if (checkout === undefined) throw new TypeError("deno task s3-tests <checkout of ceph/s3-tests> [python]");
const expected: Record<string, string> = JSON.parse(readFileSync(new URL("expected.json", import.meta.url), "utf8"));

const work = mkdtempSync(join(tmpdir(), "forkstack-s3-tests-"));
const directory = mkdtempSync(join(work, "buckets-"));
const owners = new Map<string, string>();

/** An account of the suite's, with the buckets that it was the first to name. */
function accountOf(id: string): AccessGrant {
  return {
    secretAccessKey: `secret-of-${id}`,
    opens: (bucket) => owners.getOrInsert(bucket, id) === id,
    buckets: () => readdirSync(directory).filter((bucket) => owners.get(bucket) === id),
    mayMakeBuckets: true,
  };
}

const verdicts = new Map<string, string>();
try {
  await using server = await serveS3({ directory, account: accountOf });
  const common = `host = 127.0.0.1\nport = ${new URL(server.endpoint).port}\nis_secure = False\nssl_verify = False\n`;
  const sections = ACCOUNTS.map((name) => {
    const id = name.replaceAll(" ", "-");
    const keys = `access_key = ${id}\nsecret_key = secret-of-${id}\ntenant = ${id}\n`;
    return `[${name}]\ndisplay_name = forkstack\nuser_id = forkstack\nemail = ${id}@example.com\n${keys}`;
  });
  const conf = join(work, "s3tests.conf");
  writeFileSync(conf, `[DEFAULT]\n${common}[fixtures]\nbucket prefix = s3-{random}-\n${sections.join("")}`);
  const tests = Object.keys(expected).map((name) => `${FILE}::${name}`);
  const pytest = ["-m", "pytest", "-q", "--tb=no", "-rA", "-p", "no:cacheprovider", ...tests];
  const env = { ...process.env, S3TEST_CONF: conf, PYTHONDONTWRITEBYTECODE: "1" };
  const child = spawn(python, pytest, { cwd: checkout, env, stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    process.stderr.write(text);
  });
  await once(child, "close");
  for (const [, verdict, name] of said.matchAll(/^(PASSED|FAILED|ERROR|SKIPPED) \S+::(\w+)/gm)) {
    if (verdicts.get(name!) !== "fail") verdicts.set(name!, verdict === "PASSED" ? "pass" : "fail");
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}

const changed = Object.entries(expected).flatMap(([name, wanted]) => {
  const [was, is] = [wanted === "pass" ? "pass" : "fail", verdicts.get(name) ?? "not run"];
  return was === is ? [] : [`${name}: was ${wanted}, is ${is}`];
});
const passed = verdicts.values().filter((verdict) => verdict === "pass").toArray().length;
console.log([...changed, `${passed} of ${Object.keys(expected).length} pass, ${changed.length} changed`].join("\n"));
process.exitCode = changed.length === 0 ? 0 : 1;
