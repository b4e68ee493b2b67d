/** `variables` of forkstack.json: which templates are taken, and what the faults of the others are. */
import assert from "node:assert/strict";
import { parseConfig } from "../../../core/project/schema.ts";
import { isForkstackError } from "../../../mod.ts";
import { CATALOG } from "../../../providers/mod.ts";

const SERVERS = {
  database: { main: { provider: "postgres" }, logs: { provider: "turso", organization: "acme" } },
  cache: { provider: "valkey" },
};

function textOf(variables: unknown, kinds: object = {}): string {
  return JSON.stringify({ project: "shop", ...kinds, variables }, null, 2);
}

Deno.test("variables: every output of the stack is a placeholder, in each form, and a brace is written twice", async () => {
  const cases: [variables: Record<string, string>, kinds?: object][] = [
    [{ SQLALCHEMY_URL: "sqlite:///{DATABASE_PATH}", DJANGO_URL: "sqlite:///{DATABASE_PATH|url}" }],
    [
      { DATABASE_URL: "{MAIN_DATABASE_URL}", LOGS_DB: "{LOGS_DATABASE_URL|rest}?authToken={LOGS_DATABASE_AUTH_TOKEN}" },
      SERVERS,
    ],
    [
      {
        ODBC_DSN: "Driver={{PostgreSQL}};{MAIN_DATABASE_URL}",
        CELERY_BROKER_URL: "{REDIS_URL}",
        _x9_KEY: "{CACHE_PREFIX}",
      },
      SERVERS,
    ],
    [{
      APP_NAME: "{FORKSTACK_PROJECT}-{FORKSTACK_ENV}",
      CORS_ORIGIN: "{AWS_ENDPOINT_URL_S3}",
      PIPELINE_ID: "{BUCKET_NAME}",
    }],
    [
      Object.fromEntries(
        ("DB_PATH FLASK_SQLALCHEMY_DATABASE_URI FLASK_ENV AIRFLOW__DATABASE__SQL_ALCHEMY_CONN DATABASE_URL_UNPOOLED_2 BLOG_DB " +
          "COMPOSE_PROJECT_NAME AWS_STORAGE_BUCKET_NAME CELERY_RESULT_BACKEND ConnectionStrings__Shop UPLOADS_DIR dsn SENTRY_ENVIRONMENT VITE_LABEL")
          .split(" ").map((name) => [name, "x{FORKSTACK_ENV}"]),
      ),
    ],
    [{
      APP_URL: "http://{FORKSTACK_ENV}.localhost:3000/x",
      API_URL: "http://api:8080/{FORKSTACK_ENV}",
      AMQP_URL: "amqp://guest:guest@127.0.0.1:5672//{FORKSTACK_ENV}",
      FILES_URL: "s3://{BUCKET_NAME}/files",
      OPEN_URL: "file://{DATABASE_PATH}?mode=ro",
      JDBC_URL: "jdbc:sqlite:{DATABASE_PATH}",
      ABSOLUTE_URL: "sqlite:////{DATABASE_PATH|url}",
      KEY_PREFIX: "shop:{FORKSTACK_ENV}:",
    }],
    [
      Object.fromEntries(
        ("GREETING LOG_DIR LESSON_DB TERMS_OF MAKER MARIADB_URL MYSQL_URL PGBOUNCER_URL RUBY_DB CONFIG_DB OPTIONS_OF SRC " +
          "HOME_PAGE EDITOR_URL Perl")
          .split(" ").map((name) => [name, "https://{FORKSTACK_ENV}.example.com"]),
      ),
    ],
    [{ AWS_ENDPOINT_URL: "{AWS_ENDPOINT_URL_S3}", S3_API_URL: "{AWS_ENDPOINT_URL_S3}/v1" }],
    [{ MINE_URL: "{TOKEN_OF_MINE}" }, { database: { provider: "./mine.ts" } }], // known once its file is trusted and loaded
  ];
  for (const [variables, kinds] of cases) await parseConfig("forkstack.json", textOf(variables, kinds), CATALOG);
});

/** By which programs find settings, code, a server or credentials; some are told by nobody's list. */
const PROGRAMS = `PSQLRC PGSERVICEFILE PGSERVICE PGHOSTADDR PGHOST PGUSER PGDATABASE PGSYSCONFDIR PGPASSFILE PGOPTIONS
  PSQL_PAGER PSQL_EDITOR MYSQL_HOME MYSQL_TEST_LOGIN_FILE LIBMYSQL_PLUGINS LIBMYSQL_PLUGIN_DIR REDISCLI_RCFILE LESSOPEN
  OPENSSL_CONF OPENSSL_MODULES GCONV_PATH MAKEFLAGS ERL_FLAGS R_PROFILE_USER R_LIBS_USER JULIA_LOAD_PATH VIMINIT
  DOCKER_HOST HTTPS_PROXY all_proxy SSL_CERT_FILE KUBECONFIG AWS_CONFIG_FILE AWS_PROFILE AWS_CA_BUNDLE SQLITE_HISTORY
  VIRTUAL_ENV CONDA_DEFAULT_ENV MPLBACKEND KERAS_BACKEND FLASK_APP DJANGO_SETTINGS_MODULE ASDF_DATA_DIR TERMINFO INPUTRC
  COMPOSE_FILE QT_PLUGIN_PATH GST_PLUGIN_PATH BABEL_CACHE_PATH NETRC CURL_HOME RIPGREP_CONFIG_PATH DOTENV_CONFIG_PATH
  PREFIX TESSDATA_PREFIX JAVA_OPTS MAVEN_ARGS PIP_INDEX_URL UV_INDEX_URL npm_config_registry_url SSLKEYLOGFILE CC`;

const REFUSED: readonly (readonly [variable: string, template: string, problem: RegExp, kinds?: object])[] = [
  [
    "A_URL",
    "{DATABSE_PATH}",
    /has the placeholder "\{DATABSE_PATH\}", which no resource gives; did you mean "DATABASE_PATH"/,
  ],
  ["A_URL", "{DATABASE_URL}", /which no resource gives/, SERVERS],
  ["A_URL", "{B_URL}", /which no resource gives/],
  ["A_URL", "{HOME}/x", /which no resource gives/],
  ["A_URL", "{DATABASE_PATH|uri}", /in no known form/],
  ["A_URL", "{DATABASE_PATH|toString}", /in no known form/],
  ["A_URL", "{ DATABASE_PATH }", /has a brace that is part of no placeholder/],
  ["A_URL", "{DATABASE_PATH}}", /has a brace/],
  ["A_URL", "sqlite:///dev.db", /has no placeholder of an environment/],
  ["A_URL", "{FORKSTACK_PROJECT}", /has no placeholder of an environment/],
  ["A_URL", "{DATABASE_PATH}\nB=1", /has a line break as character 16/],
  ["A_URL", "a\t{DATABASE_PATH}", /has a tab as character 2/],
  ["A_URL", "\u{1F600}{DATABASE_PATH}\r", /has a line break as character 17/],
  ["A_URL", "{DATABASE_PATH}\u200b", /has the invisible character U\+200B as character 16/],
  ["DATABASE_URL", "{DATABASE_PATH}", /is a variable that a resource gives/],
  ["LOGS_DATABASE_AUTH_TOKEN", "{REDIS_URL}", /is a variable that a resource gives/, SERVERS],
  ["A-URL", "{DATABASE_PATH}", /is no name of a variable/],
  ["__proto__ ", "{DATABASE_PATH}", /is no name of a variable/],
  ...["FORKSTACK_ENV", "PORT", "ENV", "PATH", "Path", "LD_PRELOAD", "NODE_OPTIONS", "npm_config_registry", "PYTHONPATH"]
    .map((name) => [name, "{DATABASE_PATH}", /is reserved/] as const),
  ...PROGRAMS.split(/\s+/).map((name) => [name, "{LOCAL_PATH}/../.evil", /is reserved/] as const),
];

Deno.test("variables: what no environment could give, and what would replace another variable, is CONFIG_INVALID with its line", async () => {
  for (const [variable, template, problem, kinds] of REFUSED) {
    const text = textOf({ GOOD_URL: "x{FORKSTACK_ENV}", [variable]: template }, kinds);
    const line = text.split("\n").findIndex((one) => one.includes(`${JSON.stringify(variable)}: `)) + 1;
    await assert.rejects(parseConfig("forkstack.json", text, CATALOG), (error) => {
      assert(isForkstackError(error) && error.code === "CONFIG_INVALID" && error.hint, String(error));
      assert.match(error.message, problem);
      assert(error.message.includes(`line ${line}: "variables.${variable}"`), `${error.message}\n${text}`);
      assert(!error.message.includes("GOOD_URL"));
      return true;
    });
  }
});
