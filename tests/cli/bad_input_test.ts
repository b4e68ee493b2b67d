/**
 * What a person may get wrong: one clear error, a hint, the exit code of STYLE.md, and nothing changed.
 */
import assert from "node:assert/strict";
import { chmod, symlink, writeFile } from "node:fs/promises";
import { parseEnv } from "node:util";
import { openStack } from "../../mod.ts";
import { testIf } from "../helpers.ts";
import { WHY_ROOT, WITHOUT_RIGHTS } from "../tools.ts";
import { refused } from "./refused.ts";
import { Place, run, runCommand } from "./run.ts";

Deno.test("a name that is none is refused, wherever a name can stand", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  const names: [string, RegExp][] = [
    ["../x", /^Use "x"$/],
    ["a b", /^Use "a-b"$/],
    ["ALICE", /^Use "alice"$/],
    ["x".repeat(200), /^Use "x{63}"$/],
    ["feature/Login", /^Use "feature-login"$/],
    ["", /^Names look like/],
    ["🎉", /^Names look like/],
    ["a\nb", /^Use "a-b"$/],
    ["a\0b".replace("\0", "\x07"), /^Use "a-b"$/],
    ["constructor_", /^Use "constructor"$/],
  ];
  for (const [name, hint] of names) {
    const wanted = { code: 2, error: "NAME_INVALID", says: /^error: Cannot use "[^\n]+: it must be 1 to 63 /, hint };
    const wantedOf = name === "" ? { ...wanted, says: /^error: Cannot use ""/ } : wanted;
    const calls = [["new", name], ["switch", name], ["delete", name, "--yes"], ["status", name]];
    for (const args of calls) await refused(place, args, wantedOf);
    if (name !== "") await refused(place, ["new", "bob", "--from", name], wanted);
  }
});

Deno.test("an option before the command is told with the line that works", async () => {
  await using place = await Place.make();
  const first = "options come after the command";
  const none = "no command was named";
  for (
    const [args, says, hint] of [
      [["--no-color", "list"], first, "`forkstack list --no-color`"],
      [["--yes", "--dry-run", "prune"], first, "`forkstack prune --yes --dry-run`"],
      [["-y", "delete", "a b"], first, '`forkstack delete "a b" -y`'],
      [["--ttl", "3d", "new", "bob"], first, "`forkstack new bob --ttl 3d`"],
      [["-v"], none, "Begin with a command, e.g. `forkstack list`"],
      [["--frobnicate", "x"], none, "Begin with a command, e.g. `forkstack list`"],
    ] as const
  ) {
    const { code, stderr } = await place.run(...args);
    assert.equal(code, 2);
    assert(stderr.startsWith(`error: Cannot run "${args[0]}": ${says}\n  hint: `), stderr);
    for (const part of hint.split("`forkstack ")) assert(stderr.includes(part), stderr);
  }
  const { error } = JSON.parse((await place.run("--json", "list")).stdout);
  assert.equal(error.code, "USAGE");
  assert.match(error.hint, /list --json`$/);
});

Deno.test("a word that every object has is no command, provider or option", async () => {
  await using place = await Place.make();
  for (const word of ["constructor", "toString", "__proto__"]) {
    await refused(place, [word], { code: 2, error: "USAGE", says: /unknown command/, hint: /^Commands: new, switch/ });
  }
  await refused(place, ["list", "--constructor"], { code: 2, error: "USAGE", says: /has no option/, hint: /--help/ });
  await place.write("forkstack.json", '{"project": "shop", "database": {"provider": "constructor"}}');
  const says = /names no database provider: "constructor"/;
  await refused(place, ["new", "alice"], { code: 2, error: "CONFIG_INVALID", says, hint: /./ });
});

Deno.test("a .current-env that names nothing is refused, and switch mends it", async () => {
  for (const content of ["", "\n", new Uint8Array([0, 255, 254, 10, 7, 0]), "a b\n", "alice\nbob\n"]) {
    await using place = await Place.make();
    await place.ok("new", "alice");
    await place.write(".current-env", content);
    const wanted = {
      code: 2,
      error: "NAME_INVALID",
      says: /^error: Cannot use ".*" as \.current-env: /,
      hint: /`forkstack switch dev`/,
    };
    for (
      const args of [["new", "bob"], ["new", "bob", "--no-switch"], ["list"], ["status"], ["delete", "alice", "--yes"]]
    ) await refused(place, args, wanted);
    await place.ok("switch", "alice");
    assert.equal(await place.read(".current-env"), "alice\n");
  }
});

Deno.test("a FORKSTACK_ENV or ENV that names nothing is refused before anything is done", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  for (const variable of ["FORKSTACK_ENV", "ENV"]) {
    const says = new RegExp(`^error: Cannot use "A B" as ${variable}: `);
    for (const args of [["new", "bob", "--no-switch"], ["switch", "dev"], ["list"], ["status"]]) {
      const wanted = { code: 2, error: "NAME_INVALID", says, hint: /./ };
      await refused(place, args, wanted, { env: { [variable]: "A B" } });
    }
  }
});

/** The hint of an unknown key: those that are known there. */
const KEYS = /^The keys of forkstack\.json: \$schema, project, .*, database, /;

Deno.test("an unknown option names the nearest, and all options of its provider", async () => {
  const cases: [kind: string, entry: object, says: RegExp, hint: RegExp][] = [
    [
      "database",
      { provider: "turso", organisation: "acme" },
      /unknown key "database\.organisation"; did you mean "organization"\?/,
      /^The options of turso: organization, group, .*\bbases$/,
    ],
    [
      "cache",
      { provider: "valkey", isolaton: "prefix" },
      /unknown key "cache\.isolaton"; did you mean "isolation"\?/,
      /^The options of valkey: isolation, bases$/,
    ],
    [
      "storage",
      { up: { provider: "s3", regon: "x" } },
      /"storage\.up\.regon"; did you mean "region"/,
      /of s3: .*region/,
    ],
    [
      "queue",
      { provider: "bullmq", colour: "red" },
      /unknown key "queue\.colour"\n/,
      /^The options of bullmq: .*bases$/,
    ],
    ["database", { provider: "sqlite", bases: { test: "x" } }, /"database\.bases\.test"/, /^The options of sqlite: /],
  ];
  await using place = await Place.make();
  for (const [kind, entry, says, hint] of cases) {
    await place.write("forkstack.json", JSON.stringify({ project: "shop", [kind]: entry }));
    for (const args of [["new", "alice"], ["status"]]) {
      await refused(place, args, { code: 2, error: "CONFIG_INVALID", says, hint });
    }
  }
});

Deno.test("a forkstack.json that can't be used names each problem, with its place", async () => {
  const cases: [text: string, says: RegExp, hint?: RegExp][] = [
    ['{"project": "shop",\n  "parent" "prod"}', /line 2, column 12: colon expected/, /plain JSON/],
    ['{"project": "shop",\n}', /line 2, column 1: /, /plain JSON/],
    ['{\n  // mine\n  "project": "shop"}', /line 2, column 3: /, /without comments/],
    ["", /line 1, column 1: /, /plain JSON/],
    ['{"project": "shop"', /line 1, column 19: close brace expected/, /plain JSON/],
    ['{"project": "shop", "protect": []}', /unknown key "protect"; did you mean "project" or "protected"\?/],
    ['{"projekt": "shop"}', /"project" is missing; unknown key "projekt"; did you mean "project"\?/],
    ['{"project": "shop", "parent": 5}', /"parent" must be string, not 5/],
    ['{"project": "shop", "protected": ["dev", 7]}', /"protected\.1" must be string, not 7/],
    ['{"project": "shop", "registry": {"url": "ftp://x"}}', /"registry\.url" must be a libsql:/],
    [
      '{"project": "shop", "registry": {"uri": "libsql://x"}}',
      /unknown key "registry\.uri"; did you mean "url"\?/,
      /^The keys of "registry": url$/,
    ],
    ['{"project": "My Shop"}', /"project" must be a name like "myapp"/],
    ['{"project": "shop", "database": "sqlite"}', /"database" must be Object, not "sqlite"/],
    [
      '{"project": "shop", "database": {"provider": "sqlit"}}',
      /"database\.provider" names no database provider: "sqlit"; did you mean "sqlite"\?/,
    ],
    [
      '{"project": "shop", "database": {"provider": "mars"}}',
      /"database\.provider" names no database provider: "mars"; there is .*"sqlite"/,
    ],
    [
      '{"project": "shop", "storage": {"uploads": {"provider": "locl"}}}',
      /"storage\.uploads\.provider" names no storage provider: "locl"; did you mean "local"\?/,
    ],
    [
      '{"project": "shop", "storage": {"uploads": {"provider": 5}}}',
      /"storage\.uploads\.provider" must be string, not 5/,
    ],
    ['{"project": "shop", "storage": {"Up Loads": {"provider": "local"}}}', /"storage\.Up Loads" must be a name like/],
    [
      '{"project": "shop", "storage": {"a": {"provider": "local"}, "a-b": {"provider": "local"}}}',
      /"storage\.a" and "storage\.a-b" would give two resources one name/,
    ],
    ['{"project": "shop", "storage": {}}', /"storage" must name a provider/],
    [
      '{"project": "shop", "database": {"provider": "sqlite", "path": "x.db"}}',
      /unknown key "database\.path"/,
      /^The options of sqlite: /,
    ],
    ['{"project": "shop", "databse": {"provider": "sqlite"}}', /unknown key "databse"; did you mean "database"\?/],
    [
      '{"project": "shop", "databse": {}, "parent": 5}',
      /unknown key "databse".*"parent" must be|"parent" must be.*unknown key "databse"/,
    ],
    ['{"project": "shop", "storage": {"a": {}}}', /"storage\.a\.provider" is missing/],
    ["[]", /"project" is missing/],
    ["null", /forkstack\.json: it must be Object, not null/],
    ['"shop"', /forkstack\.json: it must be Object, not "shop"/],
  ];
  await using place = await Place.make();
  const usual = (says: RegExp) => says.source.includes("unknown key") ? KEYS : /\{"project": "myapp"\}/;
  for (const [text, says, hint = usual(says)] of cases) {
    await place.write("forkstack.json", text);
    const isOption = text.includes('"path"'); // `list` loads no provider, so it knows no option
    const calls = [["new", "alice"], ["status"], ["switch", "dev"], ...(isOption ? [] : [["list"]])];
    for (const args of calls) await refused(place, args, { code: 2, error: "CONFIG_INVALID", says, hint });
  }
});

Deno.test("a byte order mark before forkstack.json is no mistake", async () => {
  await using place = await Place.make('\uFEFF{"project": "shop"}\r\n');
  await place.ok("new", "alice");
  await place.ok("status");
});

Deno.test("--from must name what is there: dev and prod always are", async () => {
  await using place = await Place.make();
  const wanted = {
    code: 4,
    error: "ENV_NOT_FOUND",
    says: /Cannot fork from environment "nobody": it does not exist/,
    hint: /forkstack list/,
  };
  await refused(place, ["new", "alice", "--from", "nobody"], wanted);
  for (const [name, from, parent] of [["a", "dev", "dev"], ["b", "prod", "prod"], ["c", "production", "prod"]]) {
    const { data } = await place.json("new", name, "--from", from);
    assert.equal(data.environment.parent, parent);
  }
  await refused(place, ["new", "d", "--from", "d"], {
    code: 5,
    error: "CONFLICT",
    says: /Cannot fork environment "d" from itself/,
    hint: /--from/,
  });
});

Deno.test("dev, prod and what is protected are never deleted, whatever flags", async () => {
  await using place = await Place.make({ protected: ["staging"] });
  await place.ok("new", "staging");
  for (const env of ["dev", "prod", "production", "development", "staging"]) {
    const wanted = {
      code: 2,
      error: "ENV_PROTECTED",
      says: /it is protected/,
      hint: env === "staging" ? /"protected"/ : /stay as they are/,
    };
    for (const flags of [[], ["--yes"], ["-y", "--dry-run"]]) await refused(place, ["delete", env, ...flags], wanted);
  }
});

Deno.test("a deletion that nobody can be asked about is refused, and says which flag answers", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  const wanted = { code: 2, error: "CONFIRM_REQUIRED", says: /there is no terminal/, hint: /--yes/ };
  await refused(place, ["delete", "alice"], wanted);
  await refused(place, ["delete", "alice"], wanted, { stdin: "y\n" });
});

Deno.test("deleting the current environment leaves the directory without a pointer, and says so before and after", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  await place.ok("new", "bob", "--from", "alice");
  await place.ok("new", "carol", "--from", "bob");
  const pointers = async () => [await place.read(".current-env"), await place.read(".env.local")];
  const would = /^This directory is on carol and would then be on dev$/m;
  assert.match((await place.ok("delete", "carol", "--dry-run")).stdout, would);
  assert.doesNotMatch((await place.ok("delete", "bob", "--dry-run")).stdout, would);
  const { data } = await place.json("delete", "carol", "--yes");
  assert.deepEqual([data.left, data.switchedTo], [true, undefined], "not even the parent, an environment too");
  assert.deepEqual(await pointers(), [undefined, undefined]);
  await place.ok("switch", "bob");
  await place.ok("delete", "alice", "--yes"); // bob's parent goes first
  const { stdout } = await place.ok("delete", "bob", "--yes");
  assert.match(stdout, /^This directory is now on dev\nNext: `.*list`$/m);
  assert.deepEqual(await pointers(), [undefined, undefined]);
  await place.ok("new", "dora");
  await place.ok("new", "emil", "--no-switch");
  assert.equal((await place.json("delete", "emil", "--yes")).data.left, undefined);
  assert.equal(await place.read(".current-env"), "dora\n");
});

Deno.test("switching to what is not there names the nearest", async () => {
  await using place = await Place.make();
  for (const name of ["alice", "alina", "zebra"]) await place.ok("new", name);
  const wanted = { code: 4, error: "ENV_NOT_FOUND", says: /Cannot switch to environment "alica": it does not exist/ };
  await refused(place, ["switch", "alica"], { ...wanted, hint: /^Did you mean "alice" or "alina"\?$/ });
  await refused(place, ["switch", "zzz"], { ...wanted, says: /"zzz"/, hint: /`forkstack new zzz` creates it/ });
  await refused(place, ["switch", "prd"], { ...wanted, says: /"prd"/, hint: /^Did you mean "prod"\?$/ });
});

testIf(WHY_ROOT, "a directory that can't be written is refused, and nothing is begun", async () => {
  const options = { within: WITHOUT_RIGHTS };
  const wanted = {
    code: 2,
    error: "NOT_PERMITTED",
    says: /[Pp]ermission denied|unable to open|readonly/,
    hint: /owner/,
  };
  await using fresh = await Place.make();
  await chmod(fresh.root, 0o555);
  await refused(fresh, ["new", "alice"], wanted, options);
  await chmod(fresh.root, 0o755);
  await using place = await Place.make();
  await place.ok("new", "alice");
  for (const directory of [".", ".forkstack/envs", ".forkstack/owners", ".forkstack/sqlite", ".forkstack/buckets"]) {
    await chmod(place.path(directory), 0o555);
    const before = await place.digest(/registry\.db/);
    const ended = await run(place.root, ["new", "bob"], options);
    assert.equal(ended.code, 2, `${directory}: ${ended.stderr}`);
    assert.match(ended.stderr, /permission denied/);
    assert.equal(await place.digest(/registry\.db/), before, directory);
    await chmod(place.path(directory), directory === "." ? 0o755 : 0o700);
  }
  await place.ok("new", "bob");
});

Deno.test(".env.local that a person wrote and that sets what forkstack sets is refused, by line, and stays", async () => {
  const cases: [config: object, text: string, says: RegExp][] = [
    [{}, "# by hand\nFORKSTACK_ENV=prod\nKEY=only_copy\n", /line 2 sets FORKSTACK_ENV,/],
    [{}, "\uFEFFA='1\n2'\r\n  export  DATABASE_URL = x", /line 3 sets DATABASE_URL,/],
    [{}, "KEY=1\nBUCKET_NAME: mine\n\nFORKSTACK_RUN=x\n", /line 2 sets BUCKET_NAME, line 4 sets FORKSTACK_RUN,/],
    [
      { storage: { up: { provider: "local" } } },
      "UP_AWS_SECRET_ACCESS_KEY=\n",
      /line 1 sets UP_AWS_SECRET_ACCESS_KEY,/,
    ],
  ];
  for (const [config, text, says] of cases) {
    await using place = await Place.make(config);
    await place.write(".env.local", text);
    const wanted = { code: 5, error: "ENV_CONFLICT", says, hint: /^Remove th.* or rename/ };
    await refused(place, ["new", "alice"], wanted);
    await refused(place, ["switch", "dev"], wanted);
    await place.ok("new", "alice", "--no-switch");
    assert.equal(await place.read(".env.local"), text);
  }
});

Deno.test(".env.local that is a link, a directory or has damaged markers is refused, and stays as it is", async () => {
  const BEGIN = '# >>> forkstack {"directory":"/x"}';
  const END = "# <<< forkstack";
  const cases: [text: string, says: RegExp][] = [
    [`A=1\n${BEGIN}\nB=2\n`, /line 2, a marker, has no end marker below it/],
    [`A=1\n\n${END}\n`, /line 3, a marker, begins no block/],
    [`${BEGIN}\n${END}\n${BEGIN}\n${END}\n`, /line 3, a marker, follows a block/],
    [`${BEGIN}\n${BEGIN}\n${END}\n`, /line 2, a marker, does not end the block/],
    [`${BEGIN}\n${END}export A=1\n`, /line 2, a marker, does not end the block/],
    [`# >>> forkstack\nA=1\n${END}\n`, /line 1, a marker, begins no block/],
    [`# >>> forkstack {"directory":1}\n${END}\n`, /line 1, a marker, begins no block/],
    [`A='1\n2\n${BEGIN}\nB='x'\n${END}\n`, /line 3, a marker, is inside the value of A in line 1/],
    [`  #>>> forkstack, said she\n`, /line 1, a marker, begins no block/],
  ];
  for (const [text, says] of cases) {
    await using place = await Place.make();
    await place.write(".env.local", text);
    const wanted = { code: 5, error: "ENV_CONFLICT", says, hint: /markers?|pair/ };
    await refused(place, ["new", "alice"], wanted);
    await refused(place, ["switch", "dev"], wanted);
  }
  const wanted = { code: 5, error: "FOREIGN", says: /\.env\.local": it is not a regular file/, hint: /file/ };
  await using linked = await Place.make();
  await linked.write("shared.env", "A=1\n");
  await symlink("shared.env", linked.path(".env.local"));
  await refused(linked, ["new", "alice"], wanted);
  await using directory = await Place.make();
  await directory.write(".env.local/x", "");
  await refused(directory, ["switch", "dev"], wanted);
});

Deno.test("what a person adds to .env.local stays over switches, and takes no value along", async () => {
  await using place = await Place.make();
  await place.ok("new", "alice");
  const odd = {
    MINE_PLAIN: "plain",
    MINE_SINGLE: "it's",
    MINE_DOUBLE: 'say "hi"',
    MINE_LINES: "one\ntwo # not a comment\nthree",
    MINE_DOLLAR: "$HOME and ${PATH}",
    MINE_HASH: "a#b # c",
    MINE_EMOJI: "🎉 ünï",
    MINE_SPACES: "  both ends  ",
    MINE_BACKSLASH: "C:\\new\\table\\",
    MINE_EMPTY: "",
  };
  const quote = (value: string) => value.includes("'") ? `"${value}"` : `'${value}'`;
  const lines = Object.entries(odd).map(([name, value]) => `${name}=${quote(value)}\n`);
  await writeFile(place.path(".env.local"), `${await place.read(".env.local")}${lines.join("")}`);
  for (const args of [["switch", "dev"], ["new", "bob"], ["switch", "alice"], ["switch", "alice"]]) {
    await place.ok(...args);
    const found = parseEnv((await place.read(".env.local"))!) as Record<string, string>;
    for (const [name, value] of Object.entries(odd)) assert.equal(found[name], value, `${args.join(" ")}: ${name}`);
    assert.equal(found.FORKSTACK_ENV, args[1]);
    assert.equal(found.BUCKET_NAME, `shop-bucket-${args[1]}`);
  }
  assert.equal((await place.read(".env.local"))!.match(/MINE_PLAIN/g)?.length, 1);
});

Deno.test("odd values of secrets survive new, fork and switch", async () => {
  await using place = await Place.make();
  const odd = {
    SINGLE: "it's",
    DOUBLE: 'say "hi"',
    BACK: "`tick`",
    LINES: "-----BEGIN KEY-----\nabc\n-----END KEY-----\n",
    DOLLAR: "pa$$word ${x}",
    HASH: "#1 # two",
    EMOJI: "🎉",
    ENDS: " x ",
    SLASH: "\\",
    EQUALS: "a=b=c",
    EMPTY: "",
  };
  const stackOf = (env: string) =>
    openStack({ cwd: place.root, read: (name) => name === "FORKSTACK_ENV" ? env : undefined });
  for (const [key, value] of Object.entries(odd)) await stackOf("dev").setSecret(key, value);
  await place.ok("new", "alice");
  await place.ok("new", "bob", "--from", "alice");
  await place.ok("switch", "alice");
  for (const env of ["dev", "alice", "bob"]) assert.deepEqual(await stackOf(env).secrets(), odd, env);
  await stackOf("alice").setSecret("SINGLE", "alice's");
  assert.equal(await stackOf("bob").secret("SINGLE"), "it's");
  assert.equal(await stackOf("dev").secret("SINGLE"), "it's");
});

Deno.test("what git tracks gets no credential: nothing is written", async () => {
  for (const file of [".env.local", ".current-env", ".forkstack/envs/alice.env", ".forkstack/note"]) {
    await using place = await Place.make();
    await place.git("init", "-q");
    await place.write(file, file === ".current-env" ? "dev\n" : "A=1\n");
    await place.git("add", "-f", file);
    const wanted = {
      code: 5,
      error: "GIT_TRACKED",
      says: new RegExp(`Cannot use "${file.replaceAll(".", "\\.")}": git tracks it`),
      hint: /git rm -r --cached/,
    };
    await refused(place, ["new", "alice"], wanted);
    await refused(place, ["switch", "dev"], wanted);
    await place.git("rm", "-q", "--cached", file);
    await place.ok("new", "alice");
    const { stdout } = await runCommand(place.root, ["git", "status", "--porcelain", "-uall"]);
    assert.equal(stdout, "?? .gitignore\n?? forkstack.json\n", "git sees nothing that it should not");
  }
});

Deno.test("a project below the top of its repository is looked at too", async () => {
  await using place = await Place.make(null);
  await place.write("apps/web/forkstack.json", '{"project": "shop"}');
  await place.write("apps/web/.env.local", "FORKSTACK_ENV=dev\n");
  await place.git("init", "-q");
  await place.git("add", "-f", "apps/web/.env.local");
  const before = await place.digest();
  const { code, stderr } = await run(place.path("apps/web"), ["new", "alice"]);
  assert.equal(code, 5);
  assert.match(stderr, /git tracks it/);
  assert.equal(await place.digest(), before);
});

Deno.test(".gitignore gets the lines that it lacks, once, in its own style", async () => {
  const all = ["/.forkstack/", "/.current-env", "/.env.local*", "/shop.*.db*"];
  const cases: [before: string | undefined, after: string][] = [
    [undefined, `${all.join("\n")}\n`],
    ["", `${all.join("\n")}\n`],
    ["node_modules\n", `node_modules\n${all.join("\n")}\n`],
    ["node_modules", `node_modules\n${all.join("\n")}\n`],
    ["# mine\r\nnode_modules\r\n", `# mine\r\nnode_modules\r\n${all.join("\r\n")}\r\n`],
    ["# mine\r\nnode_modules", `# mine\r\nnode_modules\r\n${all.join("\r\n")}\r\n`],
    [".env.local*\n.forkstack\n", ".env.local*\n.forkstack\n/.current-env\n/shop.*.db*\n"],
    [`${all.join("\n")}\n`, `${all.join("\n")}\n`],
    ["#/.env.local*\n", `#/.env.local*\n${all.join("\n")}\n`],
  ];
  for (const [before, after] of cases) {
    await using place = await Place.make();
    if (before !== undefined) await place.write(".gitignore", before);
    for (const args of [["new", "alice"], ["new", "alice"], ["switch", "dev"]]) {
      await place.ok(...args);
      assert.equal(await place.read(".gitignore"), after, JSON.stringify(before));
    }
  }
});

Deno.test(".gitignore stays as it is where other patterns ignore all that is ours", async () => {
  await using place = await Place.make();
  await place.git("init", "-q");
  const patterns = ".forkstack/\n.current-env*\n.env*\n*.db*\n";
  await place.write(".gitignore", patterns);
  await place.ok("new", "alice");
  assert.equal(await place.read(".gitignore"), patterns);
});

Deno.test("files with credentials are for their owner alone, whatever the umask and what was there", async () => {
  await using place = await Place.make();
  const umask = ["sh", "-c", 'umask 0; exec "$@"', "sh"];
  const { code, stderr } = await run(place.root, ["new", "alice"], { within: umask });
  assert.equal(code, 0, stderr);
  const secretFiles = [".env.local", ".forkstack/envs/dev.env", ".forkstack/registry.db"];
  await place.write(".forkstack/envs/dev.env", "");
  for (const name of [...secretFiles, ".forkstack/secrets/alice.env"]) await chmod(place.path(name), 0o644);
  await run(place.root, ["switch", "dev"], { within: umask });
  await run(place.root, ["secrets", "set", "B", "alice"], { stdin: "2" });
  const lines = (await place.digest()).split("\n");
  const modes = Object.fromEntries(lines.map((line) => line.split(" ", 2)));
  const others = [".current-env", ".forkstack/envs/alice.env", ".forkstack/secrets/alice.env"];
  for (const name of [...secretFiles, ...others]) {
    assert.equal(modes[name], "600", name);
  }
  assert.equal(modes[".forkstack/"], "700");
});
