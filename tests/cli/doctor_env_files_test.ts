/** `doctor` on a person's env files that set what each environment has a value of its own for. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { Place } from "./run.ts";

interface Finding {
  readonly severity: string;
  readonly problem: string;
  readonly fix: string;
}

async function findingsOf(place: Place): Promise<Finding[]> {
  const { stdout, code } = await place.run("doctor", "--json");
  assert.equal(code, 0, "a warning is no error");
  return JSON.parse(stdout).data.findings;
}

const FOUND: readonly (readonly [name: string, text: string, says: string, config?: object])[] = [
  [".env", "DATABASE_URL=file:./dev.db\n", ".env sets DATABASE_URL: "], // of `prisma init`
  [".env", "A=1\nexport BUCKET_NAME='x'\nDATABASE_URL=\n", ".env sets BUCKET_NAME: "],
  [
    ".env.development.local",
    "DATABASE_URL=postgresql://a:b@db.example/x",
    ".env.development.local sets DATABASE_URL: ",
  ],
  [".env.development", "UPLOADS_BUCKET_NAME=x\nBUCKET_NAME=y\n", ".env.development sets UPLOADS_BUCKET_NAME: ", {
    storage: { uploads: { provider: "local" } },
  }],
  [".env", "DATABASE_URL=a\nDATABASE_PATH=b\n", ".env sets DATABASE_URL, DATABASE_PATH: ", { envFile: ".env.local" }],
];

for (const [name, text, says, config] of FOUND) {
  Deno.test(`doctor tells that ${says}${text.trim()}`, async () => {
    await using place = await Place.make(config);
    await place.ok("new", "alice");
    await place.write(name, text);
    const [finding, ...others] = await findingsOf(place);
    assert.deepEqual(others, []);
    assert.equal(finding!.severity, "warning");
    assert.ok(finding!.problem.startsWith(says), finding!.problem);
    assert.ok(!JSON.stringify(finding).includes("db.example"), "no value is told");
  });
}

const PASSED_OVER: readonly (readonly [name: string, text: string, config?: object])[] = [
  [".env", "STRIPE_KEY=sk\nDATABASE=x\n"],
  [".env", "DATABASE_URL=\n# DATABASE_URL=x\n"],
  [".env.example", "DATABASE_URL=file:./dev.db\n"],
  [".env.production", "DATABASE_URL=postgresql://db.example/x\n"],
  [".env", "CACHE_URL=redis://localhost\n"], // no resource gives it
  ["apps/web/.env", "DATABASE_URL=file:./dev.db\n"],
];

for (const [name, text, config] of PASSED_OVER) {
  Deno.test(`doctor passes over ${name}: ${text.trim()}`, async () => {
    await using place = await Place.make(config);
    await place.ok("new", "alice");
    await place.write(name, text);
    assert.deepEqual(await findingsOf(place), []);
  });
}

Deno.test("doctor does not wait for an .env that is a pipe, and passes over the file with forkstack's block", async () => {
  await using place = await Place.make({ envFile: ".env" });
  await place.ok("new", "alice");
  assert.deepEqual(await findingsOf(place), []);
  assert.equal(spawnSync("mkfifo", [place.path(".env.development")]).status, 0);
  assert.deepEqual(await findingsOf(place), []);
});
