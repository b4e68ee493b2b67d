/**
 * Proposal of `variables` for forkstack.json: the forms that a project's own tools want, and its own names. Pure.
 *
 * @module
 */
import type { Clues } from "./clues.ts";
import type { FoundStore, Proposal } from "./propose.ts";

/** A package that wants a form of its own, if the database has this scheme; of several drivers the first counts. */
interface Form {
  readonly client: RegExp;
  readonly variable: string;
  /** By the scheme of the database: the drivers' packages with their templates. */
  readonly templates: Readonly<Record<string, readonly (readonly [driver: RegExp, template: string])[]>>;
}

const ANY = /^/;

/** https://docs.sqlalchemy.org/en/20/core/engines.html (2026-11); psycopg2 and mysqlclient take the URL without a driver. */
const SQLALCHEMY: Form["templates"] = {
  file: [[/^aiosqlite$/, "sqlite+aiosqlite:///{DATABASE_PATH}"], [ANY, "sqlite:///{DATABASE_PATH}"]],
  postgresql: [
    [/^asyncpg$/, "postgresql+asyncpg://{DATABASE_URL|rest}"],
    [/^psycopg$/, "postgresql+psycopg://{DATABASE_URL|rest}"],
    [/^pg8000$/, "postgresql+pg8000://{DATABASE_URL|rest}"],
    [ANY, "{DATABASE_URL}"],
  ],
  mysql: [
    [/^aiomysql$/, "mysql+aiomysql://{DATABASE_URL|rest}"],
    [/^asyncmy$/, "mysql+asyncmy://{DATABASE_URL|rest}"],
    [/^pymysql$/, "mysql+pymysql://{DATABASE_URL|rest}"],
    [ANY, "{DATABASE_URL}"],
  ],
};

const FORMS: readonly Form[] = [
  { client: /^flask-sqlalchemy$/, variable: "SQLALCHEMY_DATABASE_URI", templates: SQLALCHEMY },
  { client: /^(sqlalchemy|sqlmodel|alembic)$/, variable: "SQLALCHEMY_URL", templates: SQLALCHEMY },
  {
    // It decodes the path: https://github.com/jazzband/dj-database-url#url-schema (2026-11)
    client: /^dj-database-url$/,
    variable: "DJANGO_DATABASE_URL",
    templates: { file: [[ANY, "sqlite:///{DATABASE_PATH|url}"]] },
  },
];

/** Variables that an environment has by itself. */
const GIVEN = /^(DATABASE_(URL|PATH)|REDIS_URL|CACHE_URL)$/;

/** Proposes variables for a stack whose database has URLs of this scheme: `"postgresql"`, or `"file"`. */
export function variablesFor(
  { clients }: Pick<Clues, "clients">,
  { stores, fileVariables }: { readonly stores: readonly FoundStore[] } & Pick<Proposal, "fileVariables">,
  scheme: string,
): Record<string, string> {
  const own = stores.flatMap(({ variable, driver, server }) => {
    if (variable === undefined || GIVEN.test(variable) || variable === server.credential) return [];
    const url = server.kind === "cache" ? "REDIS_URL" : "DATABASE_URL";
    return [[variable, driver === undefined ? `{${url}}` : `${server.schemes[0]}+${driver}://{${url}|rest}`]];
  });
  const files = scheme === "file" ? Object.entries(fileVariables).filter(([name]) => !GIVEN.test(name)) : [];
  const tools = FORMS.flatMap(({ client, variable, templates }) => {
    if (!clients.some((name) => client.test(name))) return [];
    const [, template] = (templates[scheme] ?? []).find(([driver]) => clients.some((one) => driver.test(one))) ?? [];
    return template === undefined ? [] : [[variable, template]];
  });
  return Object.fromEntries([...tools, ...own, ...files]);
}
