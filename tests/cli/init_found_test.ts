/** `init` meets the project that is there: twenty kinds of it, each proposed by its own files, and the next command works. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { Place, run } from "./run.ts";

const SECRET = "s3cr3t-0123456789";

interface Kind {
  readonly files: Readonly<Record<string, string>>;
  /** SQLite files that it has. */
  readonly databases?: readonly string[];
  readonly project?: string;
  /** The providers in forkstack.json; `{}`: the embedded stack. */
  readonly providers: Readonly<Record<string, string>>;
  /** Bases in forkstack.json, by kind. */
  readonly bases?: Readonly<Record<string, unknown>>;
  /** `variables` in forkstack.json. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Patterns for the next commands, one each. */
  readonly next: readonly RegExp[];
}

const EMBEDDED = { storage: "local", secrets: "env-file", local: "directory" };
const POSTGRES = { database: "postgres", ...EMBEDDED };
const MYSQL = { database: "mysql", ...EMBEDDED };
const NEW = /\bnew alice$/;
const SQLITE_SCHEMA = 'datasource db {\n  provider = "sqlite"\n  url      = env("DATABASE_URL")\n}\n';

/** `export` of the URL in an env file, then the import of that database. */
const fromEnv = (credential: string, variable: string, file = "\\.env") =>
  new RegExp(
    `^export ${credential}="\\$\\(sed -nE ".*\\b${variable} \\*=.*" ${file} \\| tail -n 1\\)" && .*\\bimport dev ${credential}$`,
  );

const PROJECTS: Readonly<Record<string, Kind>> = {
  "nothing but a git repository": { files: {}, providers: {}, next: [NEW] },
  "a SQLite file, *.db": { files: {}, databases: ["app.db"], providers: {}, next: [/import dev \.\/app\.db$/, NEW] },
  "prisma/schema.prisma with SQLite": {
    files: {
      "package.json": '{"name": "blog", "dependencies": {"@prisma/client": "6"}}\n',
      "prisma/schema.prisma": SQLITE_SCHEMA,
      ".env": 'DATABASE_URL="file:./dev.db"\n',
    },
    databases: ["prisma/dev.db", "prisma/test.db"],
    project: "blog",
    providers: {},
    next: [/import dev \.\/prisma\/dev\.db$/, NEW],
  },
  "prisma/schema.prisma without a database yet": {
    files: { "package.json": "{}\n", "prisma/schema.prisma": SQLITE_SCHEMA },
    providers: {},
    next: [/run (-- )?dev -- npx prisma migrate deploy$/, NEW],
  },
  "prisma/schema.prisma with PostgreSQL": {
    files: {
      "package.json": "{}\n",
      "prisma/schema.prisma": 'datasource db {\n provider = "postgresql" // ours\n url = env("DATABASE_URL")\n}\n',
      ".env": `DATABASE_URL="postgresql://me:${SECRET}@localhost:5432/shop?schema=public"\n`,
    },
    providers: POSTGRES,
    next: [fromEnv("POSTGRES_URL", "DATABASE_URL"), NEW],
  },
  "drizzle.config.ts with MySQL": {
    files: {
      "package.json": '{"dependencies": {"drizzle-orm": "1", "mysql2": "3"}}\n',
      "drizzle.config.ts":
        'export default defineConfig({ dialect: "mysql", dbCredentials: { url: process.env.MYSQL! } });\n',
      ".env.local": `MYSQL='mysql://root:${SECRET}@127.0.0.1:3307/shop'\n`,
    },
    providers: MYSQL,
    next: [fromEnv("MYSQL_URL", "MYSQL", "\\.env\\.local"), NEW],
  },
  "drizzle.config.js with SQLite": {
    files: {
      "package.json": "{}\n",
      "drizzle.config.js": "export default { dialect: 'sqlite', dbCredentials: { url: 'file:data/local.sqlite' } };\n",
    },
    databases: ["data/local.sqlite"],
    providers: {},
    next: [/import dev \.\/data\/local\.sqlite$/, NEW],
  },
  ".env with PostgreSQL and Redis": {
    files: {
      "package.json": "{}\n",
      ".env": `DATABASE_URL=postgres://me:${SECRET}@localhost/shop\nREDIS_URL=redis://localhost:6379/3\n`,
    },
    providers: { ...POSTGRES, cache: "valkey" },
    bases: { cache: { dev: 3 } },
    next: [/^export POSTGRES_URL=.* && export VALKEY_URL=.* && .*import dev POSTGRES_URL$/, NEW],
  },
  "compose.yaml with PostgreSQL and Valkey": {
    files: {
      "compose.yaml": `name: shop
services:
  web: { build: . }
  db:
    image: docker.io/pgvector/pgvector:pg17 # vectors
    environment:
      - POSTGRES_USER=app
      - POSTGRES_PASSWORD=${SECRET}
      - POSTGRES_DB=\${DB_NAME:-shop}
    ports:
    - "127.0.0.1:\${DB_PORT:-5433}:5432"
  cache:
    image: "valkey/valkey:8"
    ports: 
      - 6380:6379
volumes:
  db: {}
`,
      ".env": "DB_NAME=wine\n",
    },
    providers: { ...POSTGRES, cache: "valkey" },
    bases: { cache: { dev: 0 } },
    next: [
      /^export POSTGRES_URL=postgresql:\/\/app:PASSWORD@localhost:5433\/wine && export VALKEY_URL=redis:\/\/localhost:6380\/ && .*import dev POSTGRES_URL$/,
      NEW,
    ],
  },
  "docker-compose.yml with MariaDB, which .env names as its container": {
    files: {
      "docker-compose.yml": `services:
  mariadb:
    image: mariadb:11
    environment:
      MARIADB_ROOT_PASSWORD: '${SECRET}'
      MARIADB_DATABASE: shop
    ports:
      - target: 3306
        published: 3310
`,
      ".env": `DATABASE_URL=mysql://app:${SECRET}@mariadb:3306/shop\n`,
    },
    providers: MYSQL,
    next: [/^export MYSQL_URL=mysql:\/\/app:PASSWORD@localhost:3310\/shop && .*import dev MYSQL_URL$/, NEW],
  },
  "pyproject.toml, FastAPI on PostgreSQL": {
    files: {
      "pyproject.toml":
        '[project]\nname = "Wine_Shop"\ndependencies = [\n  "fastapi",\n  "sqlalchemy>=2",\n  "asyncpg>=0.30",\n]\n',
      ".env": `DATABASE_URL=postgresql+asyncpg://me:${SECRET}@localhost:5432/shop\n`,
    },
    project: "wine-shop",
    providers: POSTGRES,
    variables: { SQLALCHEMY_URL: "postgresql+asyncpg://{DATABASE_URL|rest}" },
    next: [fromEnv("POSTGRES_URL", "DATABASE_URL"), NEW],
  },
  "pyproject.toml of Poetry, SQLite by SQLAlchemy's URL": {
    files: {
      "pyproject.toml":
        '[tool.poetry]\nname = "notes"\n[tool.poetry.dependencies]\nSQLAlchemy = "^2"\naiosqlite = "*"\n',
      ".env": "DATABASE_URL=sqlite+aiosqlite:///./notes.db\n",
    },
    databases: ["cache.db", "notes.db"],
    project: "notes",
    providers: {},
    variables: { SQLALCHEMY_URL: "sqlite+aiosqlite:///{DATABASE_PATH}" },
    next: [/import dev \.\/notes\.db$/, NEW],
  },
  "manage.py, Django on SQLite": {
    files: {
      "manage.py": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
      "shop/settings.py":
        "DATABASES = {'default': {\n  'ENGINE': 'django.db.backends.sqlite3',\n  'NAME': BASE_DIR / 'db.sqlite3',\n}}\n",
      "requirements.txt": "Django==5.1\npsycopg[binary]  # for later\n",
    },
    databases: ["db.sqlite3"],
    providers: {},
    next: [/import dev \.\/db\.sqlite3$/, NEW],
  },
  "manage.py, Django on PostgreSQL": {
    files: {
      "manage.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")\n',
      "config/settings.py":
        '# "ENGINE": "django.db.backends.sqlite3",\nDATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "HOST": "localhost"}}\n',
    },
    providers: POSTGRES,
    next: [NEW],
  },
  "go.mod with pgx": {
    files: {
      "go.mod": "module github.com/acme/cellar/v2\n\ngo 1.24\n\nrequire (\n\tgithub.com/jackc/pgx/v5 v5.7.1\n)\n",
      ".env": `DATABASE_URL=postgres://me:${SECRET}@127.0.0.1:5432/cellar?sslmode=disable\n`,
    },
    project: "cellar",
    providers: POSTGRES,
    next: [fromEnv("POSTGRES_URL", "DATABASE_URL"), NEW],
  },
  "go.mod with SQLite": {
    files: { "go.mod": "module example.com/notes\n\nrequire modernc.org/sqlite v1.34.0\n" },
    project: "notes",
    providers: {},
    next: [NEW],
  },
  "Gemfile, Rails on SQLite": {
    files: {
      Gemfile: 'source "https://rubygems.org"\ngem "rails"\ngem "sqlite3", ">= 2.1"\n',
      "config/database.yml": "default: &default\n  adapter: sqlite3\n",
    },
    databases: ["storage/development.sqlite3", "storage/production_cache.sqlite3", "storage/test.sqlite3"],
    providers: {},
    next: [/import dev \.\/storage\/development\.sqlite3$/, NEW],
  },
  "Gemfile with pg": {
    files: { Gemfile: "gem 'rails'\ngem 'pg', '~> 1.5'\n" },
    providers: POSTGRES,
    next: [NEW],
  },
  "composer.json, Laravel on MySQL": {
    files: {
      "composer.json": '{"name": "acme/winery", "require": {"laravel/framework": "^12"}}\n',
      ".env": `DB_CONNECTION=mysql\nDB_HOST=127.0.0.1\nDB_PASSWORD=${SECRET}\n`,
    },
    project: "winery",
    providers: MYSQL,
    next: [NEW],
  },
  "Flask-SQLAlchemy on MySQL, by a variable of its own": {
    files: {
      "requirements.txt": "Flask-SQLAlchemy\nPyMySQL==1.1\n",
      ".env": `SHOP_DB=mysql+pymysql://root:${SECRET}@localhost/shop\nPYTHONDB=mysql://root@localhost/x\n`,
    },
    providers: MYSQL,
    variables: {
      SQLALCHEMY_DATABASE_URI: "mysql+pymysql://{DATABASE_URL|rest}",
      SHOP_DB: "mysql+pymysql://{DATABASE_URL|rest}",
    },
    next: [fromEnv("MYSQL_URL", "SHOP_DB"), NEW],
  },
  "dj-database-url, and a SQLite file by a variable of its own": {
    files: {
      "requirements.txt": "dj-database-url\n",
      ".env": "BLOG_DB=sqlite:///blog.sqlite3\nNODE_DB=file:x.db\nAPPRC=file:blog.sqlite3\n",
    },
    databases: ["blog.sqlite3"],
    providers: {},
    variables: { DJANGO_DATABASE_URL: "sqlite:///{DATABASE_PATH|url}", BLOG_DB: "sqlite:///{DATABASE_PATH}" },
    next: [/import dev \.\/blog\.sqlite3$/, NEW],
  },
  "a Makefile": {
    files: { Makefile: "build:\n\tcc -o app app.c\n" },
    databases: ["data/app.db"],
    providers: {},
    next: [/import dev \.\/data\/app\.db$/, NEW],
  },
  ".env.example alone": {
    files: { ".env.example": "DATABASE_URL=postgresql://user:password@localhost:5432/mydb\n", "package.json": "{}\n" },
    providers: POSTGRES,
    next: [/^export POSTGRES_URL=postgresql:\/\/user:PASSWORD@localhost:5432\/mydb && .*import dev POSTGRES_URL$/, NEW],
  },
  "packages of two databases, and a SQLite file": {
    files: { "package.json": '{"dependencies": {"pg": "8", "better-sqlite3": "12"}}\n' },
    databases: ["local.db"],
    providers: {},
    next: [/import dev \.\/local\.db$/, NEW],
  },
  "a vendor's packages: its stack is asked for, and none is made up": {
    files: {
      "package.json": '{"dependencies": {"@neondatabase/serverless": "1", "pg": "8"}}\n',
      ".env": `DATABASE_URL=postgresql://me:${SECRET}@ep-cool.eu.neon.tech/shop\n`,
    },
    providers: {},
    next: [NEW],
  },
};

async function fill(place: Place, { files, databases = [] }: Kind): Promise<void> {
  await place.git("init", "-q");
  for (const [name, text] of Object.entries(files)) await place.write(name, text);
  for (const name of databases) {
    await place.write(name, "");
    using database = new DatabaseSync(place.path(name));
    database.exec("CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')");
  }
}

function providersIn(config: Record<string, { provider?: string }>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(config).flatMap(([kind, one]) => one?.provider === undefined ? [] : [[kind, one.provider]]),
  );
}

for (const [what, kind] of Object.entries(PROJECTS)) {
  Deno.test(`init proposes what is there: ${what}`, async () => {
    await using place = await Place.make(null);
    await fill(place, kind);
    const { data } = await place.json("init");
    const config = JSON.parse((await place.read("forkstack.json"))!);
    assert.equal(config.project, kind.project ?? "shop");
    assert.deepEqual(providersIn(config), kind.providers);
    assert.equal(config.parent, Object.keys(kind.providers).length > 0 ? "dev" : undefined);
    for (const [one, bases] of Object.entries(kind.bases ?? {})) assert.deepEqual(config[one].bases, bases);
    assert.deepEqual(config.variables, kind.variables);
    assert.equal(data.next.length, kind.next.length, data.next.join("\n"));
    kind.next.forEach((pattern, at) => assert.match(data.next[at], pattern));
    const after = await place.digest();
    const again = await place.run("init");
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stdout, /is already set up: /);
    assert.equal(await place.digest(), after, "a second run changed something");
    for (const line of data.next) assert(again.stdout.includes(line), line);
    const written = ["forkstack.json", "deno.json", "package.json", ".gitignore"].map((name) => place.read(name));
    const told = [again.stdout, JSON.stringify(data), ...await Promise.all(written)].join("\n");
    assert(!told.includes(SECRET), "a password was told or written");
    for (const [name, text] of Object.entries(kind.files)) {
      if (!/package\.json|Makefile/.test(name)) assert.equal(await place.read(name), text, name);
    }
  });
}

Deno.test("--stack counts for more than what is there", async () => {
  await using place = await Place.make(null);
  await fill(place, PROJECTS[".env with PostgreSQL and Redis"]!);
  await place.ok("init", "--stack", "sqlite-local");
  const { $schema: _, ...config } = JSON.parse((await place.read("forkstack.json"))!);
  assert.deepEqual(config, { project: "shop" });
});

Deno.test("the lines of init copy a SQLite database to dev, and fork it: three commands", async () => {
  for (const what of ["prisma/schema.prisma with SQLite", "manage.py, Django on SQLite", "a SQLite file, *.db"]) {
    await using place = await Place.make(null);
    await fill(place, PROJECTS[what]!);
    const lines: string[] = (await place.json("init")).data.next;
    assert.equal(lines.length, 2, "with init: three commands");
    for (const line of lines) {
      const [, args] = /^(?:npm run envs:|deno task envs:|make envs-|forkstack )(.*)$/.exec(line) ?? [];
      assert(args !== undefined, line);
      await place.ok(...args.replace(" --", "").split(" "));
    }
    const url = (await place.ok("url")).stdout.trim();
    using database = new DatabaseSync(fileURLToPath(url));
    assert.deepEqual({ ...database.prepare("SELECT text FROM notes").get() }, { text: "mine" });
    assert.equal((await place.json("init")).data.next.length, 1, "dev has data");
  }
});

/** Things that a stranger's repository may hold where `init` looks. */
const HOSTILE: Readonly<Record<string, (place: Place) => Promise<unknown>>> = {
  "links out of the repository": async (place) => {
    await writeFile(join(place.above, "outside"), `DATABASE_URL=postgres://me:${SECRET}@localhost/theirs\n`);
    for (const name of [".env", "compose.yaml", "pyproject.toml", "app.db"]) {
      await symlink("../outside", place.path(name));
    }
  },
  "devices and pipes": async (place) => {
    await symlink("/dev/zero", place.path(".env"));
    execFileSync("mkfifo", [place.path("compose.yaml"), place.path("x.db")]);
  },
  "files of 20 GB": async (place) => {
    for (const name of [".env", "go.mod", "compose.yaml", "Gemfile", "app.db"]) {
      await place.write(name, "");
      await truncate(place.path(name), 20 * 2 ** 30);
    }
  },
  directories: async (place) => {
    for (const name of [".env", "compose.yaml", "go.mod", "manage.py", "app.db"]) await mkdir(place.path(name));
  },
  "text that is none": async (place) => {
    for (
      const name of ["composer.json", "compose.yaml", "pyproject.toml", "drizzle.config.ts", "prisma/schema.prisma"]
    ) {
      await place.write(name, new Uint8Array(5_000).map((_, at) => at * 7919 % 256));
    }
    await place.write("app.db", "no database");
  },
};

for (const [what, make] of Object.entries(HOSTILE)) {
  Deno.test(`init passes over ${what}`, async () => {
    await using place = await Place.make(null);
    await place.git("init", "-q");
    await make(place);
    const { stdout } = await place.ok("init", "--json");
    assert.deepEqual(JSON.parse(stdout).data.next.length, 1, stdout);
    assert.doesNotMatch(stdout, /theirs|s3cr3t/);
    const { $schema: _, ...config } = JSON.parse((await place.read("forkstack.json"))!);
    assert.deepEqual(config, { project: "shop" });
  });
}

Deno.test("no text of a project ends a word of the lines that init shows", async () => {
  const bad = "x;touch HERE;$(touch HERE)`touch HERE`'\"";
  const cases: Record<string, string>[] = [
    { ".env.example": `DATABASE_URL="postgres://${encodeURIComponent(bad)}@localhost/${encodeURIComponent(bad)}"\n` },
    { "compose.yaml": `services:\n  db:\n    image: postgres\n    environment:\n      POSTGRES_USER: ${bad}\n` },
    { "compose.yaml": `services:\n  db:\n    image: mysql\n    environment:\n    - MYSQL_DATABASE=$(touch HERE)\n` },
    { ".env.x$(touch HERE)": "DATABASE_URL=postgres://localhost/x\n" },
    { "a;touch HERE;$(touch HERE).db": "" },
  ];
  for (const files of cases) {
    await using place = await Place.make(null);
    await fill(place, {
      files,
      databases: Object.keys(files).filter((name) => /\.db$/.test(name)),
      providers: {},
      next: [],
    });
    const [line] = (await place.json("init")).data.next;
    assert.match(line, /export|import/);
    const words = line.replace(/(npm run|deno task) envs:|make envs-|forkstack /, "true ");
    execFileSync("sh", ["-c", words], { cwd: place.root });
    assert.equal(await place.read("HERE"), undefined, line);
    await run(place.root, ["list"]);
  }
});
