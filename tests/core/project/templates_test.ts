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
      { DATABASE_URL: "{MAIN_DATABASE_URL}", LOGS: "{LOGS_DATABASE_URL|rest}?authToken={LOGS_DATABASE_AUTH_TOKEN}" },
      SERVERS,
    ],
    [
      { ODBC: "Driver={{PostgreSQL}};{MAIN_DATABASE_URL}", CELERY_BROKER_URL: "{REDIS_URL}", _x9: "{CACHE_PREFIX}" },
      SERVERS,
    ],
    [{
      APP_NAME: "{FORKSTACK_PROJECT}-{FORKSTACK_ENV}",
      CORS_ORIGIN: "{AWS_ENDPOINT_URL_S3}",
      PIPELINE: "{BUCKET_NAME}",
    }],
    [{ MINE: "{TOKEN_OF_MINE}" }, { database: { provider: "./mine.ts" } }], // known once its file is trusted and loaded
  ];
  for (const [variables, kinds] of cases) await parseConfig("forkstack.json", textOf(variables, kinds), CATALOG);
});

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
  ["A_URL", "{DATABASE_PATH}\nB=1", /must be one line of text/],
  ["DATABASE_URL", "{DATABASE_PATH}", /is a variable that a resource gives/],
  ["LOGS_DATABASE_AUTH_TOKEN", "{REDIS_URL}", /is a variable that a resource gives/, SERVERS],
  ["A-URL", "{DATABASE_PATH}", /is no name of a variable/],
  ["__proto__ ", "{DATABASE_PATH}", /is no name of a variable/],
  ...["FORKSTACK_ENV", "PORT", "ENV", "PATH", "Path", "LD_PRELOAD", "NODE_OPTIONS", "npm_config_registry", "PYTHONPATH"]
    .map((name) => [name, "{DATABASE_PATH}", /is reserved/] as const),
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
