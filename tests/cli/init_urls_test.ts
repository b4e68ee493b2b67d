/** The URLs that `init` reads in a project's files: what it makes of each, and what of it is neither used nor shown. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileAddress, isPlainIn, shellValue, storeAddress } from "../../core/setup/store_address.ts";
import { envValuesOf } from "../../core/workspace/advice_file.ts";
import { Place } from "./run.ts";

async function project(files: Readonly<Record<string, string>>, databases: readonly string[] = []): Promise<Place> {
  const place = await Place.make(null);
  await place.git("init", "-q");
  for (const [name, text] of Object.entries(files)) await place.write(name, text);
  for (const name of databases) {
    await place.write(name, "");
    using database = new DatabaseSync(place.path(name));
    database.exec("CREATE TABLE notes (text)");
  }
  return place;
}

interface Found {
  readonly files: Readonly<Record<string, string>>;
  readonly databases?: readonly string[];
  readonly database?: string;
  /** The file that is imported; absent for none. */
  readonly copies?: string;
  readonly variables?: Readonly<Record<string, string>>;
  /** Patterns for the problems that are told, one each. */
  readonly problems?: readonly RegExp[];
}

const OF_NO_DATABASE = "LOG_TARGET=file:///var/log/app.log\nICON_URL=file:./public/icon.png\n";
const NO_FILE = /which is no SQLite file in this project/;

const PROJECTS: Readonly<Record<string, Found>> = {
  "variables of other files": {
    files: {
      ".env": `TEST_DATABASE_URL=file:./test.db\nSESSION_DB=sqlite:///sessions.db\nAPP_DB=sqlite:///app.db\n` +
        `${OF_NO_DATABASE}SHADOW_DB=sqlite:///app.db\nCOPY_DB=sqlite:///./data/../app.db\n`,
    },
    databases: ["app.db", "sessions.db", "test.db"],
    copies: "./app.db",
    variables: { APP_DB: "sqlite:///{DATABASE_PATH}", COPY_DB: "sqlite:///{DATABASE_PATH}" },
  },
  "no variable of a database": {
    files: { ".env": OF_NO_DATABASE, "requirements.txt": "psycopg\n" },
    database: "postgres",
  },
  "a test's server": {
    files: { ".env": "TEST_DATABASE_URL=postgresql://a:b@localhost/shop_test\n" },
    database: "postgres",
  },
  "a test's server beside a file": {
    files: { ".env": "PGTEST=postgresql://a:b@localhost/x\nDATABASE_URL=sqlite:///notes.db\n" },
    databases: ["notes.db"],
    copies: "./notes.db",
    problems: [/sets DATABASE_URL/],
  },
  "a path with a space": {
    files: { ".env": 'DATABASE_URL="file:./my dir/app.db"\n' },
    databases: ["data/app.db", "my dir/app.db"],
    copies: '"./my dir/app.db"',
    problems: [/sets/],
  },
  "a path that is encoded": {
    files: { ".env": "DATABASE_URL=file:my%20dir/caf%C3%A9.db?cache=shared\n" },
    databases: ["data/app.db", "my dir/café.db"],
    copies: '"./my dir/café.db"',
    problems: [/sets/],
  },
  "a path three directories down, without an ending": {
    files: { ".env": "DATABASE_URL=sqlite:///a/b/c/store\n" },
    databases: ["app.db", "a/b/c/store"],
    copies: "./a/b/c/store",
    problems: [/sets/],
  },
  "a path of a file that is not there": {
    files: { ".env": "DATABASE_URL=sqlite:///my dir/zz.db\n" },
    databases: ["data/app.db", "data/zz.db"],
    problems: [NO_FILE, /sets/],
  },
  "a path out of the project": {
    files: { ".env": "MAIN_DB=sqlite:////out.db\n" },
    databases: ["out.db"],
    variables: { MAIN_DB: "sqlite:///{DATABASE_PATH}" },
    problems: [NO_FILE],
  },
  "files of tests and caches alone": { files: {}, databases: ["shop_test.db", "test.db", "cache.db", "jobLogs.db"] },
  "a cache that names no number": {
    files: { ".env": "REDIS_URL=redis://localhost:6379/abc\n" },
    problems: [/REDIS_URL names no database by its number/],
  },
  "caches, of which one is right": {
    files: { ".env": "REDIS_URL=redis://localhost/1/2\nCACHE_URL=redis://localhost:6379/4\n" },
    database: "sqlite",
    problems: [/REDIS_URL names no/, /sets CACHE_URL/],
    variables: {},
  },
  "a cache's password with a slash": {
    files: { ".env": "REDIS_URL=redis://default:7/RedSecret@localhost:6379/1\n" },
    problems: [/REDIS_URL can't be read/],
  },
  "a password of digits and a slash": {
    files: { ".env": "DATABASE_URL=postgres://app:12/TopSecret@localhost:5432/shop\n" },
    database: "postgres",
    problems: [/DATABASE_URL can't be read/, /sets/],
  },
  "a password with a slash, of a container": {
    files: {
      ".env": "DATABASE_URL=postgres://app:Top/Secret@db:5432/shop\n",
      "compose.yaml": "services:\n  db:\n    image: postgres\n",
    },
    database: "postgres",
    problems: [/DATABASE_URL can't be read/, /sets/],
  },
  "a password with a hash, on which programs differ": {
    files: { ".env": "DATABASE_URL=postgres://app:1#Secret@localhost/shop\n", "package.json": "{}" },
    databases: ["app.db"],
    database: "postgres",
    problems: [/DATABASE_URL can't be read/],
  },
  "a directory under a database's name": {
    files: { ".env": "UPLOADS=file:./uploads\nAPP_DB=file:./uploads\n", "uploads/a.png": "" },
    databases: ["app.db"],
    problems: [NO_FILE],
  },
  "a file that is not made yet": {
    files: { ".env": "APP_DB=file:./store/app.sqlite\nREPORT_DB=file:./report.sqlite\n" },
    variables: { APP_DB: "file:{DATABASE_PATH}" },
  },
  "a password with a question mark and a wrong %": {
    files: { ".env": "DATABASE_URL=mysql://app:9?%zzSecret@127.0.0.1/shop\n" },
    database: "mysql",
    problems: [/DATABASE_URL can't be read/, /sets/],
  },
  ...Object.fromEntries(
    [
      "postgresql:///shop",
      "postgresql://app:Secret@/shop?host=/var/run/postgresql",
      "postgresql+psycopg://app:Secret@localhost/shop?sslmode=disable&host=%2Ftmp",
      "postgres://app:Secret@%2Fvar%2Frun%2Fpostgresql/shop",
    ].map((url) => [url, {
      files: { ".env": `DATABASE_URL=${url}\n`, "compose.yaml": "services:\n  db:\n    image: postgres\n" },
      databases: ["app.db"],
      database: "postgres",
      problems: [/DATABASE_URL leads to a Unix socket, or names no host, which is not supported/, /sets/],
    }]),
  ),
};

for (
  const [what, { files, databases, database = "sqlite", copies, variables = {}, problems = [] }] of Object.entries(
    PROJECTS,
  )
) {
  Deno.test(`init reads URLs: ${what}`, async () => {
    await using place = await project(files, databases);
    const { data } = await place.json("init");
    const config = JSON.parse((await place.read("forkstack.json"))!);
    assert.equal(config.database?.provider ?? "sqlite", database);
    assert.deepEqual(config.variables ?? {}, variables);
    const told = data.warnings.map(({ problem }: { problem: string }) => problem)
      .filter((problem: string) => !/the tasks do not/.test(problem));
    assert.equal(told.length, problems.length, told.join("\n"));
    problems.forEach((pattern, at) => assert.match(told[at], pattern));
    const next = data.next.join("\n");
    if (copies === undefined) assert.doesNotMatch(next, /import/);
    else assert(next.includes(`import dev ${copies}\n`), next);
    assert.doesNotMatch(next, /@localhost:/);
    const again = (await place.ok("init")).stdout;
    const shown = [again, JSON.stringify(data), await place.read("forkstack.json"), await place.read("deno.json")];
    assert.doesNotMatch(shown.join("\n"), /Secret/);
  });
}

/** Env files with the URL that the pasted line gives; `undefined`: the gap form is shown in its place. */
const ENV_FILES: readonly (readonly [text: string, url: string | undefined])[] = [
  ['export DATABASE_URL="postgres://app:pw@localhost/shop"\n', "postgres://app:pw@localhost/shop"],
  ["  DATABASE_URL = postgres://app:pw@localhost/shop  \n", "postgres://app:pw@localhost/shop"],
  ["\uFEFFDATABASE_URL=postgresql://app:pw@localhost/shop?a=b&c=d\n", "postgresql://app:pw@localhost/shop?a=b&c=d"],
  ['DATABASE_URL="postgres://app:pw@localhost/shop" # "ours"\n', "postgres://app:pw@localhost/shop"],
  ["DATABASE_URL=postgres://app:pw@localhost/shop # it's\r\nX=1\r\n", "postgres://app:pw@localhost/shop"],
  ["DATABASE_URL='postgres://app:pw@localhost/shop'\r\n", "postgres://app:pw@localhost/shop"],
  ["# DATABASE_URL=postgres://no@no/no\nDATABASE_URL=mysql://a:1@b/c\nMY_DATABASE_URL=x://y\n", "mysql://a:1@b/c"],
  [
    "DATABASE_URL=postgres://old:1@localhost/old\nDATABASE_URL=postgres://new:2@localhost/new\n",
    "postgres://new:2@localhost/new",
  ],
  ["DATABASE_URL=postgresql+asyncpg://app+x:a+b:c@localhost/shop\n", "postgresql://app+x:a+b:c@localhost/shop"],
  ["DATABASE_URL=postgres://app:p&w;<|>*(#@localhost/shop", undefined],
  ["DATABASE_URL=postgres://app:p&w;<|>*()~!@localhost/shop", "postgres://app:p&w;<|>*()~!@localhost/shop"],
  ["DATABASE_URL=postgres://app:${PW}@localhost/shop\n", undefined],
  [`DATABASE_URL="postgres://app:it's@localhost/shop"\n`, undefined],
  ["DATABASE_URL='postgres://app:\"q\"@localhost/shop'\n", undefined],
  ["DATABASE_URL=`postgres://app:pw@localhost/shop`\n", undefined],
  ["DATABASE_URL='postgres://app:back\\slash@localhost/shop'\n", undefined],
  ["DATABASE_URL=jdbc:postgresql://app:pw@localhost/shop\n", undefined],
  ["DATABASE_URL=postgres://a:1@localhost/shop\nTEXT='\nDATABASE_URL=postgres://b:2@localhost/no\n'\n", undefined],
];

Deno.test("the words that read a URL give it in each shell, or are not shown", async () => {
  const directory = await mkdtemp(join(tmpdir(), "forkstack-"));
  const shells = ["sh", "bash", "zsh"].filter((name) => {
    try {
      execFileSync(name, ["-c", ":"]);
      return true;
    } catch {
      return false; // not on this machine
    }
  });
  try {
    for (const [text, url] of ENV_FILES) {
      const value = envValuesOf(text).DATABASE_URL!;
      assert.equal(isPlainIn(text, "DATABASE_URL", value), url !== undefined, text);
      if (url === undefined) continue;
      await writeFile(join(directory, "it's.env"), text);
      const line = `printf %s ${shellValue("DATABASE_URL", "'it'\\''s.env'")}`;
      for (const shell of shells) {
        assert.equal(execFileSync(shell, ["-c", line], { cwd: directory, encoding: "utf8" }), url, `${shell}: ${text}`);
      }
    }
  } finally {
    await rm(directory, { recursive: true });
  }
});

Deno.test("where no shell reads the URL, the line has a gap, filled from the same file but for the password", async () => {
  await using place = await project({
    ".env": "PW=Secret\nDB_PORT=5544\nDATABASE_URL=postgres://app:${PW}@localhost:${DB_PORT}/shop\n",
  });
  const { data } = await place.json("init");
  assert.match(data.next[0], /^export POSTGRES_URL=postgresql:\/\/app:PASSWORD@localhost:5544\/shop && /);
  assert.doesNotMatch(JSON.stringify(data), /Secret/);
  assert.match((await place.ok("init")).stdout, /put the password of \.env for PASSWORD/);
  const [{ fix }] = data.warnings;
  assert.match(fix, /^Once dev has its data, take it out/);
});

Deno.test("paths in URLs of SQLite files", () => {
  const cases: readonly (readonly [url: string, path: string | undefined])[] = [
    ["file:./a/../b.db", "b.db"],
    ["file:///srv/app.db", "/srv/app.db"],
    ["file:/srv/my%20app.db?mode=ro", "/srv/my app.db"],
    ["sqlite:////srv/app.db", "/srv/app.db"],
    ["sqlite:///a.db", "a.db"],
    ["sqlite://a.db", "a.db"],
    ["sqlite:a b.db", "a b.db"],
    ["jdbc:sqlite:data/a.db", "data/a.db"],
    ["sqlite+aiosqlite:///../a.db", "../a.db"],
    ["sqlite://", undefined],
    ["sqlite::memory:", undefined],
    ["file::memory:?cache=shared", undefined],
    ["file:x?mode=memory", undefined],
    ["file:///var/log/", undefined],
    ["https://a/b.db", undefined],
  ];
  for (const [url, path] of cases) assert.equal(fileAddress({ file: ".env" }, url)?.path, path, url);
});

Deno.test("no part of a URL with a fault is kept", () => {
  for (
    const url of [
      "postgres://a:1/Se@cret@h/d",
      "mysql://a:p#Secret@h/d",
      "postgres://Se:c%ret@h/d",
      "redis://a:1?Secret@h",
    ]
  ) {
    const found = storeAddress(".env", "X", url)!;
    assert.equal(found.fault, "unreadable", url);
    assert.deepEqual([found.host, found.user, found.path, found.port], ["", "", "", undefined], url);
  }
});

/** Django's settings with the line that they need; `undefined`: none. */
const SETTINGS: readonly (readonly [path: string, text: string, line: string | undefined, needs?: string])[] = [
  [
    "shop/settings.py",
    "'ENGINE': 'django.db.backends.sqlite3',\n'NAME': BASE_DIR / 'db.sqlite3',\n",
    `"NAME": os.environ.get("DATABASE_PATH", BASE_DIR / 'db.sqlite3'),`,
    "import os",
  ],
  [
    "shop/settings/base.py",
    'import sys, os\n"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(BASE_DIR, "my db.sqlite3")}\n',
    '"NAME": os.environ.get("DATABASE_PATH", os.path.join(BASE_DIR, "my db.sqlite3")),',
  ],
  [
    "shop/settings/__init__.py",
    'import os.path\n"ENGINE": "django.contrib.gis.db.backends.spatialite",\n"NAME": str(BASE_DIR / "geo.db")\n',
    '"NAME": os.environ.get("DATABASE_PATH", str(BASE_DIR / "geo.db")),',
    "import os",
  ],
  [
    "shop/settings.py",
    '"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DATABASE_PATH", BASE_DIR / "a.db")\n',
    undefined,
  ],
  ["shop/settings.py", '"ENGINE": "django.db.backends.postgresql", "NAME": "shop.old",\n', undefined],
];

for (const [path, text, line, needs] of SETTINGS) {
  Deno.test(`init tells the line that ${path} needs: ${line}`, async () => {
    await using place = await project({
      "manage.py": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
      [path]: text,
    });
    const { edits } = (await place.json("init")).data;
    const { stdout } = await place.ok("init");
    if (line === undefined) return assert.deepEqual([edits, /^In .*settings/m.test(stdout)], [undefined, false]);
    assert.deepEqual(edits, [needs === undefined ? { file: path, line } : { file: path, line, needs }]);
    assert(stdout.trimEnd().endsWith(line), stdout);
    assert.match(stdout, needs === undefined ? /own file: / : /own file, with `import os` above: /);
  });
}
