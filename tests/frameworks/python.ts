/** Python's tools. */
import type { Use } from "./use.ts";

/** Requirements of pip, by the key that uses name. */
export const PYTHON_PACKAGES: Readonly<Record<string, readonly string[]>> = {
  sqlalchemy: ["sqlalchemy>=2"],
  all: [
    ...["sqlalchemy>=2", "sqlmodel", "alembic", "django", "dj-database-url", "peewee"],
    ...["aiosqlite", "greenlet", "psycopg[binary]", "psycopg2-binary", "asyncpg"],
  ],
};

const SQLALCHEMY_URL = ["SQLALCHEMY_URL", "sqlite:///{DATABASE_PATH}"] as const;
const DJANGO_DATABASE_URL = ["DJANGO_DATABASE_URL", "sqlite:///{DATABASE_PATH|url}"] as const;

function program(text: string) {
  return { files: { "main.py": text }, command: ["python3", "main.py"] };
}

const added = (imports: string, line: string, rest: string) => program(`import os\n${imports}\n${line}\n${rest}\n`);

const INSERT = `"INSERT INTO notes (text) VALUES ('added')"`;
const withEngine = `with engine.begin() as db:\n    db.execute(text(${INSERT}))`;

const ALEMBIC = (line: string) => ({
  files: {
    "alembic.ini": "[alembic]\nscript_location = migrations\n",
    "migrations/script.py.mako": "",
    "migrations/env.py": `import os
from alembic import context
from sqlalchemy import create_engine
config = context.config
${line}
with create_engine(config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
`,
    "migrations/versions/0001_added.py": `from alembic import op
revision = "0001"
down_revision = None
def upgrade():
    op.execute(${INSERT})
`,
  },
  command: ["python3", "-m", "alembic", "upgrade", "head"],
});

const DJANGO = (settings: string) =>
  program(`import os
import dj_database_url
import django
from django.conf import settings
settings.configure(
    ${settings}
)
django.setup()
from django.db import models
class Note(models.Model):
    text = models.TextField()
    class Meta:
        app_label = "notes"
        db_table = "notes"
        managed = False
Note.objects.create(text="added")
`);

const SQLMODEL = (line: string) =>
  added(
    "from sqlmodel import Field, Session, SQLModel, create_engine",
    line,
    `class Note(SQLModel, table=True):
    __tablename__ = "notes"
    id: int | None = Field(default=None, primary_key=True)
    text: str
with Session(engine) as session:
    session.add(Note(text="added"))
    session.commit()`,
  );

const PEEWEE = (line: string) =>
  added(
    "from peewee import Model, SqliteDatabase, TextField\nfrom playhouse.db_url import connect",
    line,
    `class Note(Model):
    text = TextField()
    class Meta:
        database = db
        table_name = "notes"
Note.create(text="added")`,
  );

const ASYNC = (line: string) =>
  added(
    "import asyncio\nfrom sqlalchemy import text\nfrom sqlalchemy.ext.asyncio import create_async_engine",
    line,
    `async def main():
    async with engine.begin() as db:
        await db.execute(text(${INSERT}))
    await engine.dispose()
asyncio.run(main())`,
  );

const ENGINE = "from sqlalchemy import create_engine, text";

const SQLITE: readonly Omit<Use, "database">[] = [
  {
    tool: "sqlite3",
    line: 'db = sqlite3.connect(os.environ["DATABASE_PATH"])',
    ...added(
      "import sqlite3",
      'db = sqlite3.connect(os.environ["DATABASE_PATH"])',
      `with db:\n    db.execute(${INSERT})`,
    ),
  },
  {
    tool: "SQLAlchemy",
    line: 'engine = create_engine(os.environ["SQLALCHEMY_URL"])',
    variable: SQLALCHEMY_URL,
    wrong: [['engine = create_engine(os.environ["DATABASE_URL"])', "an error"]],
    packages: "sqlalchemy",
    ...added(ENGINE, 'engine = create_engine(os.environ["SQLALCHEMY_URL"])', withEngine),
  },
  {
    tool: "SQLAlchemy, asyncio",
    line: 'engine = create_async_engine(os.environ["SQLALCHEMY_ASYNC_URL"])',
    variable: ["SQLALCHEMY_ASYNC_URL", "sqlite+aiosqlite:///{DATABASE_PATH}"],
    packages: "all",
    isLong: true,
    ...ASYNC('engine = create_async_engine(os.environ["SQLALCHEMY_ASYNC_URL"])'),
  },
  {
    tool: "SQLModel",
    line: 'engine = create_engine(os.environ["SQLALCHEMY_URL"])',
    variable: SQLALCHEMY_URL,
    packages: "all",
    isLong: true,
    ...SQLMODEL('engine = create_engine(os.environ["SQLALCHEMY_URL"])'),
  },
  {
    tool: "Alembic",
    line: 'config.set_main_option("sqlalchemy.url", os.environ["SQLALCHEMY_URL"].replace("%", "%%"))',
    variable: SQLALCHEMY_URL,
    packages: "all",
    isLong: true,
    ...ALEMBIC('config.set_main_option("sqlalchemy.url", os.environ["SQLALCHEMY_URL"].replace("%", "%%"))'),
  },
  {
    tool: "Django",
    line: 'DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE_PATH"]}},',
    packages: "all",
    isLong: true,
    ...DJANGO('DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE_PATH"]}},'),
  },
  {
    tool: "dj-database-url",
    line: 'DATABASES={"default": dj_database_url.config("DJANGO_DATABASE_URL")},',
    variable: DJANGO_DATABASE_URL,
    wrong: [
      ['DATABASES={"default": dj_database_url.config()},', "an error"],
      ['DATABASES={"default": dj_database_url.parse("sqlite:///" + os.environ["DATABASE_PATH"])},', "another file"],
    ],
    packages: "all",
    isLong: true,
    ...DJANGO('DATABASES={"default": dj_database_url.config("DJANGO_DATABASE_URL")},'),
  },
  {
    tool: "Peewee",
    line: 'db = SqliteDatabase(os.environ["DATABASE_PATH"])',
    packages: "all",
    isLong: true,
    ...PEEWEE('db = SqliteDatabase(os.environ["DATABASE_PATH"])'),
  },
];

const POSTGRES: readonly Omit<Use, "database">[] = [
  {
    tool: "psycopg",
    line: 'db = psycopg.connect(os.environ["DATABASE_URL"])',
    ...added(
      "import psycopg",
      'db = psycopg.connect(os.environ["DATABASE_URL"])',
      `with db:\n    db.execute(${INSERT})`,
    ),
  },
  {
    tool: "asyncpg",
    line: 'db = await asyncpg.connect(os.environ["DATABASE_URL"])',
    ...program(`import asyncio, os, asyncpg
async def main():
    db = await asyncpg.connect(os.environ["DATABASE_URL"])
    await db.execute(${INSERT})
    await db.close()
asyncio.run(main())
`),
  },
  {
    tool: "SQLAlchemy, psycopg2",
    line: 'engine = create_engine(os.environ["DATABASE_URL"])',
    ...added(ENGINE, 'engine = create_engine(os.environ["DATABASE_URL"])', withEngine),
  },
  {
    tool: "SQLAlchemy, psycopg",
    line: 'engine = create_engine(os.environ["SQLALCHEMY_URL"])',
    variable: ["SQLALCHEMY_URL", "postgresql+psycopg://{DATABASE_URL|rest}"],
    ...added(ENGINE, 'engine = create_engine(os.environ["SQLALCHEMY_URL"])', withEngine),
  },
  {
    tool: "SQLAlchemy, asyncpg",
    line: 'engine = create_async_engine(os.environ["SQLALCHEMY_ASYNC_URL"])',
    variable: ["SQLALCHEMY_ASYNC_URL", "postgresql+asyncpg://{DATABASE_URL|rest}"],
    ...ASYNC('engine = create_async_engine(os.environ["SQLALCHEMY_ASYNC_URL"])'),
  },
  {
    tool: "SQLModel",
    line: 'engine = create_engine(os.environ["SQLALCHEMY_URL"])',
    variable: ["SQLALCHEMY_URL", "postgresql+psycopg://{DATABASE_URL|rest}"],
    ...SQLMODEL('engine = create_engine(os.environ["SQLALCHEMY_URL"])'),
  },
  {
    tool: "Alembic",
    line: 'config.set_main_option("sqlalchemy.url", os.environ["DATABASE_URL"].replace("%", "%%"))',
    ...ALEMBIC('config.set_main_option("sqlalchemy.url", os.environ["DATABASE_URL"].replace("%", "%%"))'),
  },
  {
    tool: "Django, dj-database-url",
    line: 'DATABASES={"default": dj_database_url.config()},',
    ...DJANGO('DATABASES={"default": dj_database_url.config()},'),
  },
  {
    tool: "Peewee",
    line: 'db = connect(os.environ["DATABASE_URL"])',
    ...PEEWEE('db = connect(os.environ["DATABASE_URL"])'),
  },
];

/** All of them. */
export const PYTHON: readonly Use[] = [
  ...SQLITE.map((one) => ({ ...one, database: "SQLite" as const })),
  ...POSTGRES.map((one) => ({ ...one, database: "PostgreSQL" as const, packages: "all", isLong: true })),
];
