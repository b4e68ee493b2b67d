import assert from "node:assert/strict";
import {
  deletedText,
  doctorText,
  listText,
  resourceLine,
  statusText,
  unregisteredLines,
} from "../../../core/cli/output.ts";
import type { EnvironmentReport } from "../../../core/lifecycle/report.ts";
import { Secret } from "../../../core/secret.ts";
import { compareNames } from "../../../core/text/printable.ts";
import { ForkstackError } from "../../../mod.ts";
import { duration } from "../../../core/text/duration.ts";
import { dressed, localCommands, paint } from "../../../core/cli/style.ts";
import { errorText, jsonDocument } from "../../../core/cli/errors.ts";

const plain = { color: false, command: "forkstack " };
const task = { color: false, command: "deno task envs:" };
const now = new Date("2026-06-15T12:00:00.000Z");
const ago = (ms: number) => new Date(now.getTime() - ms).toISOString();
const [second, minute, hour, day] = [1_000, 60_000, 3_600_000, 86_400_000];

function environment(name: string, more: Partial<EnvironmentReport> = {}): EnvironmentReport {
  return { name, parent: "dev", status: "ready", owner: "ann@host", createdAt: ago(0), current: false, ...more };
}

Deno.test("localCommands() calls each command as it is called here", () => {
  const hint = "Continue with `forkstack new a`, or `forkstack delete a`; forkstack touches no other";
  assert.equal(
    localCommands(hint, task),
    "Continue with `deno task envs:new a`, or `deno task envs:delete a`; forkstack touches no other",
  );
  assert.equal(localCommands(hint, plain), hint);
});

Deno.test("localCommands() writes the -- without which npm takes options for its own", () => {
  const npm = { command: "npm run envs:" };
  const cases = [
    ["`forkstack delete a --purge`, `forkstack list`", "`npm run envs:delete -- a --purge`, `npm run envs:list`"],
    ["`forkstack doctor --rebuild --adopt`", "`npm run envs:doctor -- --rebuild --adopt`"],
    ["`forkstack run a -- node app.js`", "`npm run envs:run -- a -- node app.js`"],
    ["`forkstack extend pr-42 2d`", "`npm run envs:extend pr-42 2d`"],
  ];
  for (const [text, wanted] of cases) assert.equal(localCommands(text, npm), wanted);
  for (const manager of ["pnpm", "yarn", "bun"]) {
    const line = localCommands("`forkstack prune --idle 7d`", { command: `${manager} run envs:` });
    assert.equal(line, `\`${manager} run envs:prune --idle 7d\``);
  }
});

Deno.test("duration() is in the unit that people would say", () => {
  const cases: [number, string][] = [
    [0, "0 ms"],
    [12.4, "12 ms"],
    [999, "999 ms"],
    [1_000, "1.0 s"],
    [999.7, "1.0 s"],
    [59_940, "59.9 s"],
    [59_970, "1 min"],
    [60_000, "1 min"],
    [150_000, "3 min"],
  ];
  for (const [ms, text] of cases) assert.equal(duration(ms), text);
});

Deno.test("listText() shows ages in one unit, and no column that is empty", () => {
  const ages: [number, string][] = [
    [-5_000, "0 s"],
    [0, "0 s"],
    [59 * second, "59 s"],
    [minute, "1 min"],
    [59 * minute, "59 min"],
    [hour, "1 h"],
    [23 * hour, "23 h"],
    [day, "1 d"],
    [400 * day, "400 d"],
  ];
  for (const [ms, text] of ages) {
    const [header, line] = listText([environment("a", { createdAt: ago(ms) })], undefined, now, plain).split("\n");
    assert(line.includes(` ${text} `), `${ms}: ${line}`);
    assert.doesNotMatch(header, /LEASE/);
  }
});

Deno.test("listText() is a table with the current environment marked, whoever it is", () => {
  const all = [
    environment("alice", { createdAt: ago(2 * hour), expiresAt: ago(-3 * hour) }),
    environment("bob-with-a-long-name", { current: true, status: "broken", parent: "alice", createdAt: ago(3 * day) }),
    environment("old", { createdAt: ago(9 * day), expiresAt: ago(day) }),
  ];
  assert.equal(
    listText(all, undefined, now, plain),
    `\
   NAME                  STATUS  PARENT  AGE  OWNER     LEASE
   alice                 ready   dev     2 h  ann@host  3 h left
*  bob-with-a-long-name  broken  alice   3 d  ann@host
   old                   ready   dev     9 d  ann@host  expired 1 d ago`,
  );
  assert.match(listText(all.slice(0, 1), "prod", now, plain), /\n\* {2}prod +base\n/);
  assert.equal(listText([], undefined, now, task), "No environments yet. Create one with `deno task envs:new alice`");
});

Deno.test("listText() tells how much of a lease is left as people would say it", () => {
  const left: [number, string][] = [
    [2 * day, "2 d"],
    [2 * day - 4 * second, "2 d"], // a moment after `new --ttl 2d`
    [2 * day - 20 * minute, "2 d"],
    [2 * day - hour, "47 h"],
    [3 * day - hour, "3 d"],
    [2.4 * day, "2 d"],
    [day, "24 h"],
    [2 * hour - second, "2 h"],
    [90 * minute, "90 min"],
    [90 * second, "90 s"],
    [1, "1 s"],
    [3_650 * day, "3650 d"],
  ];
  for (const [ms, text] of left) {
    const [, line] = listText([environment("a", { expiresAt: ago(-ms) })], undefined, now, plain).split("\n");
    assert(line.endsWith(`  ${text} left`), `${ms}: ${line}`);
  }
});

Deno.test("compareNames() sorts numbers as numbers, and whatever else as text", () => {
  const sorted = ["agent-1", "agent-2", "agent-10", "agent-10-a", "alice", "pr-2", "pr-02", "pr-10", "v1-9", "v1-10"];
  const others = sorted.toReversed();
  for (const given of [sorted, others]) {
    const found = given.toSorted(compareNames);
    assert.deepEqual(found.filter((name) => name !== "pr-02"), sorted.filter((name) => name !== "pr-02"));
  }
  assert.deepEqual(others.toSorted(compareNames), sorted.toSorted(compareNames), "in whatever order they come");
  assert.equal(compareNames("a", "a"), 0);
  assert.equal(compareNames(`x${"9".repeat(62)}`, `x1${"0".repeat(61)}`) > 0, true, "longer than a number holds");
});

Deno.test("statusText() keeps its columns at 80 characters, however long a title is", () => {
  const rows = [
    ["database", "sqlite", "shop-alice", "empty"],
    ["storage.uploads", "s3", `a-shop-with-a-long-name-uploads-bucket-${"x".repeat(24)}`, "copy-on-write"],
    ["cache.sessions", "upstash-redis", "shop-sessions-alice-of-the-second-team", "full-copy"],
  ] as const;
  const resources = rows.map(([key, provider, title, fork]) => ({
    ...{ key, provider, title, fork, kind: "database", state: "ready" },
  }));
  const result = { environment: environment("a"), resources, variables: [], durationMs: 1 };
  const lines = statusText(result, now, plain).split("\n").slice(2);
  const starts = rows.map(([, , title], at) => lines[at].indexOf(title));
  assert.equal(new Set(starts).size, 1, lines.join("\n"));
  assert(starts[0]! < 60 && starts[0]! > 0, "a title has room before the edge");
  for (const [at, [key, provider, , fork]] of rows.entries()) {
    assert.deepEqual(lines[at].trim().split(/ {2,}/).slice(0, 3), [key, provider, fork]);
  }
});

Deno.test("statusText() breaks the list of variables between two, at the terminal's width alone", () => {
  const variables = ["DATABASE_URL", "BUCKET_NAME", "AWS_ENDPOINT_URL_S3", "SECRETS_FILE", "LOCAL_PATH"];
  const of = { environment: environment("a"), resources: [], variables, durationMs: 1 };
  for (const columns of [30, 43, 80]) {
    const lines = statusText(of, now, { ...plain, columns }).split("\n").slice(2);
    assert.equal(lines.map((line) => line.trim()).join(" "), `Variables: ${variables.join(", ")}`);
    for (const line of lines) assert(line.length <= columns, line);
  }
  assert.match(statusText(of, now, plain), /Variables: DATABASE_URL, .*, LOCAL_PATH$/, "what is piped is one line");
});

Deno.test("only a style with colour has escapes, and the text is the same", () => {
  const error = new ForkstackError("CONFLICT", "Cannot do it: it is there", { hint: "Do `forkstack list`" });
  const bright = { color: true, command: "forkstack " };
  const texts = (style: typeof plain) => [
    errorText(error, style),
    listText([environment("a", { current: true })], undefined, now, style),
    statusText({ environment: environment("a"), resources: [], variables: ["A"], durationMs: 1 }, now, style),
    resourceLine({
      key: "database",
      kind: "database",
      provider: "sqlite",
      title: "t",
      state: "ready",
      fork: "empty",
      durationMs: 5,
    }, style),
  ];
  // deno-lint-ignore no-control-regex -- the escapes are what is taken away
  const escapes = /\x1b\[[\d;]*m/g;
  for (const [at, text] of texts(bright).entries()) {
    assert.match(dressed(text), escapes);
    assert.equal(dressed(text).replace(escapes, ""), texts(plain)[at]);
  }
});

Deno.test("errorText() says what, why and what next, and repeats nothing", () => {
  const cause = new Error("POST /x: 422 LIMIT (request 7f3a)", {
    cause: new AggregateError([new Error("deep"), new Error("deep"), new Error("other")]),
  });
  const error = new ForkstackError("CONFLICT", "Cannot fork: it has 10 of 10", {
    hint: "Run `forkstack prune`",
    cause,
  });
  assert.equal(
    errorText(error, task),
    `\
error: Cannot fork: it has 10 of 10
  cause: POST /x: 422 LIMIT (request 7f3a)
  cause: deep
  cause: other
  hint: Run \`deno task envs:prune\``,
  );
  const repeated = new ForkstackError("CONFLICT", "Cannot do it: EIO: i/o error", {
    cause: new Error("EIO: i/o error"),
  });
  assert.equal(errorText(repeated, plain), "error: Cannot do it: EIO: i/o error");
  assert.match(
    errorText(new TypeError("x is not a function"), plain),
    /^error: TypeError: x is not a function\n {2}hint: This should not happen/,
  );
  const loop = new Error("a");
  loop.cause = loop;
  assert.match(errorText(new ForkstackError("CONFLICT", "y", { cause: loop }), plain), /cause: a/);
});

Deno.test("jsonDocument() holds no secret, and always has schema, command, ok and data", () => {
  const data = { token: new Secret("hunter2"), list: [{ deep: new Secret("hunter2") }] };
  const text = jsonDocument("new", data, undefined, plain);
  assert(!text.includes("hunter2"));
  assert.deepEqual(JSON.parse(text), {
    schema: 1,
    command: "new",
    ok: true,
    data: { token: "[redacted]", list: [{ deep: "[redacted]" }] },
  });
  const error = new ForkstackError("CONFLICT", "y", {
    hint: "`forkstack list`",
    retryable: true,
    details: { env: "a" },
  });
  assert.deepEqual(JSON.parse(jsonDocument("new", undefined, error, task)), {
    schema: 1,
    command: "new",
    ok: false,
    data: {},
    error: { code: "CONFLICT", message: "y", hint: "`deno task envs:list`", retryable: true, details: { env: "a" } },
  });
});

Deno.test("deletedText() names what was kept because it is not ours", () => {
  const one = { key: "database", kind: "database", provider: "sqlite", title: "t" };
  const text = deletedText({
    environment: environment("a"),
    resources: [{ ...one, state: "deleted" }, { ...one, key: "storage", state: "kept" }],
    durationMs: 5,
    left: true,
    current: { env: undefined, decidedBy: "nothing" },
  }, plain);
  assert.equal(
    text,
    'Deleted a: 1 resource in 5 ms\nKept storage "t": forkstack did not create it\nThis directory is now on no environment\n' +
      "Next: `forkstack switch dev` or `forkstack new`",
  );
});

Deno.test("deletedText() says where this directory is now, and counts in the singular and the plural", () => {
  const of = (count: number, current?: { env: string | undefined; decidedBy: string }) => {
    const resources = Array.from({ length: count }, (_, at) => (
      { key: `storage.${at}`, kind: "storage" as const, provider: "s3", title: "t", state: "deleted" as const }
    ));
    const left = current === undefined ? {} : { left: true as const, current };
    return deletedText({ environment: environment("a"), resources, durationMs: 5, ...left }, plain).split("\n");
  };
  const list = "Next: `forkstack list`";
  assert.deepEqual(of(0), ["Deleted a: 0 resources in 5 ms", list]);
  assert.deepEqual(of(2), ["Deleted a: 2 resources in 5 ms", list]);
  const dev = { env: "dev", decidedBy: "default" };
  assert.deepEqual(of(1, dev), ["Deleted a: 1 resource in 5 ms", "This directory is now on dev", list]);
  for (const decidedBy of ["FORKSTACK_ENV", "ENV"]) {
    assert.equal(
      of(1, { env: "a", decidedBy })[1],
      `This directory is now on no environment until ${decidedBy} is unset`,
    );
    assert.equal(of(1, { env: "b", decidedBy })[1], "This directory is now on b");
  }
});

Deno.test("doctorText() says of an environment that was found again how it was made, and what is unknown", () => {
  const found = { name: "a", parent: "prod", status: "ready", owner: "o", operation: "1", createdAt: ago(0) } as const;
  const text = (more: object, unknown: readonly ("parent" | "origin" | "lease")[]) =>
    doctorText([], [{ environment: { ...found, ...more }, unknown, resources: [] }], plain).split("\n")[0];
  assert.equal(text({}, []), "Restored: a, forked from prod");
  assert.equal(
    text({ origin: "empty", expiresAt: "2026-07-01T00:00:00.000Z" }, []),
    "Restored: a, forked from prod; empty; expires 2026-07-01T00:00:00.000Z",
  );
  assert.equal(
    text({}, ["parent", "origin", "lease"]),
    'Restored: a, parent unknown, assumed "prod"; origin unknown; ' +
      "lease unknown: it never expires unless you run `forkstack extend a 3d`",
  );
});

Deno.test("unregisteredLines() names each environment that marks tell of, and the command for those that there are", () => {
  const [own, other] = [
    { environment: "a", resources: ["database", "storage"] },
    { environment: "b", resources: ["database"], registry: "0123456789abcdef" },
  ];
  assert.deepEqual(unregisteredLines([], plain), []);
  assert.deepEqual(unregisteredLines([own], task), [
    "Not in this registry, not deleted: a (database, storage)",
    "Next: `deno task envs:doctor --rebuild` records them here",
  ]);
  assert.deepEqual(unregisteredLines([own, other], plain), [
    "Not in this registry, not deleted: a (database, storage)",
    "Not in this registry, not deleted: b (database), created under registry 0123456789abcdef",
    "Next: `forkstack doctor --rebuild` records them here; " +
    "for those of another registry: share that registry, or if it is lost run `forkstack doctor --rebuild --adopt`",
  ]);
});

Deno.test("what comes with data moves no cursor: dressed() and errorText() show it by its number", () => {
  const hostile = "\x1b[2J\x1b]0;title\x07\x9b31m\u202egnp\x7f\u2028\0";
  const bright = { color: true, command: "forkstack " };
  // deno-lint-ignore no-control-regex -- they are what must not be there
  const moving = /[\0-\x09\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2028]|\x1b(?!\[(1|2|22|31|32|33|36|39)m)/;
  for (const style of [plain, bright]) {
    const error = new ForkstackError("CONFLICT", `Cannot do it:\n${hostile}`, {
      hint: hostile,
      cause: new Error(`why ${hostile}`),
    });
    const text = dressed(errorText(error, style));
    assert.doesNotMatch(text, moving);
    assert.equal(text.split("\n").length, 3, "a line end of a message is no line of ours");
    assert.match(text, /\\u\{1b\}\[2J/);
  }
  const forged = `${paint(bright, "red", "a")}\x1b[31mb`;
  assert.equal(dressed(forged), "\x1b[31ma\x1b[39m\\u{1b}[31mb", "only our own formats are formats");
  const json = jsonDocument("list", { text: `${hostile}\u{e0001}` }, undefined, plain);
  assert.doesNotMatch(json.replaceAll("\n", ""), moving);
  assert.equal(JSON.parse(json).data.text, `${hostile}\u{e0001}`);
});
