import { deepStrictEqual as equal, match, ok, strictEqual as is } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createEnvironment } from "../../../core/lifecycle/create.ts";
import { extendLease, leaseEnd, prunable } from "../../../core/lifecycle/lease.ts";
import { listText } from "../../../core/cli/output.ts";
import { listEnvironments } from "../../../core/lifecycle/report.ts";
import { switchEnvironment } from "../../../core/lifecycle/switch.ts";
import { readVariables } from "../../../core/workspace/env_files.ts";
import { projects } from "../../reliability/_project.ts";
import { type Bench, bench, failure, fakeProvider, Vendor } from "../_engine.ts";
import { statements } from "../../../core/state/statements.ts";
import { parseDuration, parsePoint } from "../../../core/text/duration.ts";

const DAY = 86_400_000;

Deno.test("parseDuration() takes minutes, hours, days and weeks up to ten years, and nothing else", () => {
  const good: [string, number][] = [["90m", 5_400_000], ["12h", DAY / 2], ["3d", 3 * DAY], ["2w", 14 * DAY], [
    "3650d",
    3_650 * DAY,
  ]];
  for (const [text, ms] of good) is(parseDuration(text, "--ttl"), ms, text);
  for (
    const text of [
      "",
      "3",
      "d",
      "0d",
      "-1d",
      "1.5h",
      "3 d",
      "3D",
      "1y",
      "3651d",
      "000m",
      "0w",
      "1h30m",
      "9999999m",
      "\u0663d",
    ]
  ) {
    const error = (() => {
      try {
        parseDuration(text, "--ttl");
      } catch (error) {
        return error as Error & { code: string; hint: string };
      }
    })();
    is(error?.code, "USAGE", text);
    const reason = /^0+[a-z]$/.test(text)
      ? /longer than zero/
      : /^\d{4,}[a-z]$/.test(text)
      ? /at most 3650 days/
      : /not a duration/;
    match(error!.message, reason, text);
    match(error!.message, /^Cannot use ".*" as --ttl: it /);
    match(error!.hint, /90m, 12h, 3d or 2w/);
  }
});

Deno.test("parsePoint() takes instants, durations ago and LSNs, and no future", () => {
  const now = new Date("2026-05-01T12:00:00Z");
  const good: [string, string][] = [
    ["2026-04-30T10:00:00Z", "2026-04-30T10:00:00.000Z"],
    ["2026-04-30T12:00:00.5+02:00", "2026-04-30T10:00:00.500Z"],
    ["2026-04-30", "2026-04-30T00:00:00.000Z"],
    ["2h", "2026-05-01T10:00:00.000Z"],
    ["0/1f3d3a8", "0/1F3D3A8"],
  ];
  for (const [text, point] of good) is(parsePoint(text, now), point);
  for (
    const text of ["", "yesterday", "2026-13-01", "2026-05-01T12:00:01Z", "0/", "1/2/3", "empty", "2026-04-30T10:00"]
  ) {
    let error: { code?: string; message?: string } = {};
    try {
      parsePoint(text, now);
    } catch (thrown) {
      error = thrown as typeof error;
    }
    is(error.code, "USAGE", text);
    match(error.message!, /as --at: it is (not a point in time|in the future)/);
  }
});

Deno.test("createEnvironment() forks as of a point where the provider can, and says which are as they are now", async () => {
  const { capabilities } = fakeProvider(new Vendor(), "database");
  await using one = await bench({ changed: { capabilities: { ...capabilities, pointInTime: true } } });
  const origin = "2026-04-01T00:00:00.000Z";
  await createEnvironment(one.engine, "alice", { origin });
  equal(one.vendor.wanted.map(({ at, parent }) => [at, parent]), [[origin, "shop-dev"], [origin, "shop-bucket-dev"]]);
  equal(one.warnings, []);
  is((await one.engine.registry.environment("alice"))?.origin, origin);
  const storage = { ...one.engine.resources[1], provider: fakeProvider(one.vendor, "storage") };
  const mixed = { ...one.engine, resources: [one.engine.resources[0], storage] };
  await createEnvironment(mixed, "bob", { origin });
  equal(one.vendor.wanted.slice(2).map(({ at }) => at), [origin, undefined]);
  equal(one.warnings, [`Forked as they are now, not as of ${origin}: storage`]);
});

Deno.test("credentials that end with the lease are asked again when it is extended, here and on another machine", async () => {
  const { capabilities } = fakeProvider(new Vendor(), "database");
  await using one = await bench({ changed: { capabilities: { ...capabilities, outputsExpire: true } } });
  await createEnvironment(one.engine, "alice", { expiresAt: new Date(one.nowMs + DAY).toISOString() });
  const file = () => readVariables(one.engine, "alice");
  const { DATABASE_URL: first, FORKSTACK_EXPIRES_AT: end } = (await file())!;
  is(end, new Date(one.nowMs + DAY).toISOString());
  match(first, new RegExp(`until/${end}$`));
  const { environment } = await extendLease(one.engine, "alice", DAY);
  const extended = (await file())!;
  is(extended.FORKSTACK_EXPIRES_AT, environment.expiresAt);
  match(extended.DATABASE_URL, new RegExp(`until/${environment.expiresAt}$`));
  match(readFileSync(join(one.root, ".env.local"), "utf8"), new RegExp(`until/${environment.expiresAt}`));
  one.vendor.calls.length = 0;
  await switchEnvironment(one.engine, "alice");
  equal(one.vendor.calls.filter((call) => !call.startsWith("inspect")), [], "what is current is looked at, and kept");
  const later = new Date(Date.parse(environment.expiresAt!) + DAY).toISOString(); // another machine extends it
  const token = await one.engine.registry.acquire("alice", "other@there#1", "extend") as number;
  const row = (await one.engine.registry.environment("alice"))!;
  await one.engine.registry.fenced("alice", token, [statements.putEnvironment({ ...row, expiresAt: later })]);
  await switchEnvironment(one.engine, "alice");
  match((await file())!.DATABASE_URL, new RegExp(`until/${later}$`));
});

Deno.test("leaseEnd() is that of --ttl, else of forkstack.json; protected environments have none", async () => {
  await using one = await bench({ config: { ttl: "2d", protected: ["staging"] } });
  const { project } = one.engine;
  const now = new Date("2026-05-01T00:00:00Z");
  is(leaseEnd(project, "alice", "12h", now), "2026-05-01T12:00:00.000Z");
  is(leaseEnd(project, "alice", undefined, now), "2026-05-03T00:00:00.000Z");
  is(leaseEnd(project, "staging", undefined, now), undefined);
  await using two = await bench();
  is(leaseEnd(two.engine.project, "alice", undefined, now), undefined);
  const error = await failure(Promise.resolve().then(() => leaseEnd(project, "staging", "1d", now)));
  is(error.code, "ENV_PROTECTED");
});

async function leased(made: Bench, env: string, days: number | undefined): Promise<void> {
  const expiresAt = days === undefined ? {} : { expiresAt: new Date(made.nowMs + days * DAY).toISOString() };
  await createEnvironment(made.engine, env, { switch: false, ...expiresAt });
}

Deno.test("extendLease() adds to what is left, or to now, and tells the vendors first", async () => {
  await using one = await bench();
  await leased(one, "alice", 1);
  const extended = await extendLease(one.engine, "alice", 2 * DAY);
  is(extended.environment.expiresAt, new Date(one.nowMs + 3 * DAY).toISOString());
  equal(one.vendor.calls.filter((call) => call.startsWith("extend")), [
    `extend shop-alice ${extended.environment.expiresAt}`,
    `extend shop-bucket-alice ${extended.environment.expiresAt}`,
  ]);
  one.nowMs += 10 * DAY; // it has expired meanwhile
  const again = await extendLease(one.engine, "alice", DAY);
  is(again.environment.expiresAt, new Date(one.nowMs + DAY).toISOString());
  one.vendor.fail = (call) => {
    if (call.startsWith("extend shop-bucket")) throw new Error("refused");
  };
  is((await failure(extendLease(one.engine, "alice", DAY))).message, "refused");
  is(
    (await one.engine.registry.environment("alice"))!.expiresAt,
    again.environment.expiresAt,
    "not beyond the vendors'",
  );
  is((await failure(extendLease(one.engine, "dev", DAY))).code, "ENV_PROTECTED");
  is((await failure(extendLease(one.engine, "alicia", DAY))).code, "ENV_NOT_FOUND");
});

Deno.test("prunable() gives what has expired, or what nobody switched to, never the protected", async () => {
  await using one = await bench({ config: { protected: ["kept"] } });
  await leased(one, "late", 5);
  await leased(one, "soon", 1);
  await leased(one, "kept", 1);
  await leased(one, "forever", undefined);
  const names = async (idleMs?: number) => (await prunable(one.engine, idleMs)).map(({ name }) => name);
  equal(await names(), []);
  one.nowMs += DAY;
  equal(await names(), ["soon"], "a lease ends at its very instant");
  equal(await names(2 * DAY), []);
  one.nowMs += DAY;
  await switchEnvironment(one.engine, "forever");
  equal(await names(2 * DAY), ["late", "soon"]);
  one.nowMs += DAY;
  equal(await names(DAY), ["forever", "late", "soon"]);
});

Deno.test("list shows the time left", async () => {
  await using one = await bench();
  await leased(one, "alice", 2);
  await leased(one, "bob", undefined);
  const text = async () =>
    listText(await listEnvironments(one.engine), "dev", new Date(one.nowMs), { color: false, command: "forkstack " });
  match(await text(), /alice .* 2 d left/);
  one.nowMs += 3 * DAY;
  match(await text(), /alice .* expired 1 d ago/);
});

Deno.test("prune says what it would delete, asks, and deletes with --yes; other commands give one line of notice", async () => {
  using directory = projects();
  const { shop } = directory;
  is((await shop.run("new", "alice", "--ttl", "1m", "--no-switch")).code, 0);
  is((await shop.run("new", "bob")).code, 0);
  const { DatabaseSync } = await import("node:sqlite");
  const database = new DatabaseSync(shop.path(".forkstack", "registry.db"));
  database.exec("UPDATE environments SET expires_at = '2026-01-01T00:00:00.000Z' WHERE name = 'alice'");
  database.close();
  const list = await shop.run("list");
  match(list.stderr, /^Expired: alice\. `forkstack prune` deletes it\n$/);
  const dry = await shop.json("prune", "--dry-run");
  equal(dry.data.environments.map(({ name }: { name: string }) => name), ["alice"]);
  const asked = await shop.json("prune");
  is(asked.error.code, "CONFIRM_REQUIRED");
  ok(shop.read(".forkstack", "envs", "alice.env"), "nothing was deleted without a yes");
  is((await shop.run("prune", "--yes")).code, 0);
  equal(shop.paths().filter((path) => path.includes("alice")), []);
  match((await shop.run("prune")).stdout, /Nothing to prune/);
  is((await shop.run("list")).stderr, "");
});
