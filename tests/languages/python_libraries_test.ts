/** The Python reader in the libraries that it serves, by `python3` and their newest versions: real forks, real files. */
import assert from "node:assert/strict";
import { OpenBao, WHY_NO_OPENBAO } from "../emulators/openbao.ts";
import { testIf } from "../helpers.ts";
import { whyMissing } from "../tools.ts";
import { PYTHON_READER, pythonPackages, pythonVariables, Shop, whyWithout } from "./shop.ts";

const PACKAGES = pythonPackages("sqlalchemy>=2", "django", "pydantic-settings", "pytest");
const why = whyWithout(PACKAGES);
const VARIABLES = pythonVariables(PYTHON_READER, ..."path" in PACKAGES ? [PACKAGES.path] : []);

const ROWS = `import sqlite3, forkstack
print(sqlite3.connect(forkstack.database_path()).execute("SELECT name FROM artists ORDER BY name").fetchall())`;

/** Adds a row by a program in each of two forks; each has its own, and dev what it had. */
function isolated(program: (name: string) => string): void {
  using shop = new Shop({}, VARIABLES);
  shop.run("forkstack", "switch", "dev");
  shop.python(`import sqlite3, forkstack
with sqlite3.connect(forkstack.database_path()) as db: db.execute("CREATE TABLE artists (id INTEGER PRIMARY KEY, name TEXT)")`);
  for (const env of ["alice", "bob"]) {
    shop.run("forkstack", "new", env);
    shop.python(program(env));
  }
  for (const [env, expected] of Object.entries({ dev: "[]", alice: "[('alice',)]", bob: "[('bob',)]" })) {
    shop.run("forkstack", "switch", env);
    assert.equal(shop.python(ROWS), expected, env);
  }
}

testIf(
  why,
  "SQLAlchemy opens the fork's database by sqlalchemy_url()",
  () =>
    isolated((name) =>
      `import sqlalchemy, forkstack
with sqlalchemy.create_engine(forkstack.sqlalchemy_url()).begin() as db:
    db.execute(sqlalchemy.text("INSERT INTO artists (name) VALUES (:name)"), {"name": "${name}"})`
    ),
);

testIf(why, "a path with a ? in SQLAlchemy is that file, or an error, and no other", () => {
  using shop = new Shop({ database: { provider: "sqlite", bases: { dev: "what?x=1.db" } } }, VARIABLES);
  const told = shop.python(`import forkstack, os, sqlalchemy, sqlite3
try:
    with sqlalchemy.create_engine(forkstack.sqlalchemy_url()).begin() as db:
        db.execute(sqlalchemy.text("CREATE TABLE t (a)"))
    print(sqlite3.connect(forkstack.database_path()).execute("SELECT name FROM sqlite_master").fetchall())
except forkstack.ForkstackError as error:
    print(error.code)
print(sorted(name for name in os.listdir() if name.startswith("what")))`);
  assert.match(told, /^(\[\('t',\)\]\n\['what\?x=1\.db'\]|VALUE_INVALID\n\[\])$/);
});

testIf(
  why,
  "Django opens the fork's database by django_database()",
  () =>
    isolated((name) =>
      `import django, forkstack
from django.conf import settings
settings.configure(DATABASES={"default": forkstack.django_database()})
django.setup()
from django.db import connection
connection.cursor().execute("INSERT INTO artists (name) VALUES (%s)", ["${name}"])`
    ),
);

testIf(why, "pydantic-settings reads variables and secrets of the environment", () => {
  using shop = new Shop({}, VARIABLES);
  shop.run("forkstack", "new", "alice");
  const told = shop.python(`import forkstack
from forkstack.pydantic import ForkstackSource
from pydantic_settings import BaseSettings
class Settings(BaseSettings):
    bucket_name: str
    stripe_key: str
    hosts: list[str]
    level: str = "info"
    @classmethod
    def settings_customise_sources(cls, settings_cls, **others):
        return (ForkstackSource(settings_cls), *others.values())
forkstack.set_secret("STRIPE_KEY", "sk_test_1")
forkstack.set_secret("HOSTS", '["a","b"]')
print(Settings().model_dump())`);
  assert.equal(
    told,
    "{'bucket_name': 'shop-bucket-alice', 'stripe_key': 'sk_test_1', 'hosts': ['a', 'b'], 'level': 'info'}",
  );
});

testIf(why, "pytest --forkstack runs the tests in an environment that is gone afterwards", () => {
  using shop = new Shop({}, VARIABLES);
  shop.write(
    "test_shop.py",
    `import forkstack
def test_env(forkstack_env):
    assert forkstack_env.startswith("test-") and forkstack.current_env() == forkstack_env
    assert f"shop-{forkstack_env}.db" in forkstack.database_url()
`,
  );
  shop.run("python3", "-m", "pytest", "-q", "-p", "forkstack.pytest_plugin", "-p", "no:cacheprovider", "--forkstack");
  assert.doesNotMatch(shop.run("forkstack", "list"), /test-/);
});

testIf(whyMissing("python3"), "secrets are set and read by the command line, whatever is in them", () => {
  using shop = new Shop({}, VARIABLES);
  shop.run("forkstack", "new", "alice");
  const told = shop.python(`import forkstack
for value in ["plain", "a b", "'", '"$x"', "two\\nlines", "\\r", "forkstack-uri:x", "é", "' \\" \` \\n #"]:
    forkstack.set_secret("API_KEY", value)
    assert forkstack.get_secret("API_KEY") == value, (value, forkstack.get_secret("API_KEY"))
    assert forkstack.all_secrets() == {"API_KEY": value}
assert forkstack.get_secret("NONE", 7) == 7
try:
    forkstack.get_secret("NONE")
except forkstack.ForkstackError as error:
    print(error.code, error.hint)`);
  assert.equal(told, "SECRET_MISSING Set it with \`forkstack secrets set NONE\`, or pass a default");
});

testIf(WHY_NO_OPENBAO, "secrets of a vendor come through the command line: a real OpenBao", async () => {
  await using bao = await OpenBao.start();
  const variables = { ...VARIABLES, VAULT_TOKEN: bao.root };
  using shop = new Shop({ secrets: { provider: "vault", endpoint: bao.url } }, variables);
  await bao.ask("POST", "secret/data/shop/prod/STRIPE", { data: { value: "sk_test_1" } });
  shop.run("forkstack", "new", "alice");
  const told = shop.python(`import forkstack
before = forkstack.all_secrets()
forkstack.set_secret("MORE", "x")
print(before, sorted(forkstack.all_secrets()))`);
  assert.match(told, /sk_test_1.*MORE/);
});
