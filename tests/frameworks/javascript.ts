/** JavaScript's tools. */
import type { Use } from "./use.ts";

const BUILDERS = [
  ...["drizzle-orm@0.45.4", "knex@3.3.0", "kysely@0.28.19", "typeorm@1.1.1", "reflect-metadata@0.2.2"],
];

/** Packages of npm, by the key that uses name; those with a native part that npm has built, or that is compiled. */
export const NPM_PACKAGES: Readonly<Record<string, readonly string[]>> = {
  libsql: ["@libsql/client@0.18.0", "drizzle-orm@0.45.4"],
  native: ["better-sqlite3@12", ...BUILDERS],
  sequelizeSqlite: ["sequelize@6.37.8", "sqlite3@5"],
  sequelizePostgres: ["sequelize@6.37.8", "pg@8.23.1"],
  servers: ["pg@8.23.1", "postgres@3.4.9", ...BUILDERS],
  mikroSqlite: ["@mikro-orm/core@7.2.0", "@mikro-orm/sqlite@7.2.0"],
  mikroPostgres: ["@mikro-orm/core@7.2.0", "@mikro-orm/postgresql@7.2.0"],
  prismaNative: ["prisma@7.10.0", "@prisma/client@7.10.0", "@prisma/adapter-better-sqlite3@7.10.0"],
  prisma: ["prisma@7.10.0", "@prisma/client@7.10.0", "@prisma/adapter-libsql@7.10.0", "@prisma/adapter-pg@7.10.0"],
};

const INSERT = "INSERT INTO notes (text) VALUES ('added')";

const script = (command: readonly string[], name: string, text: string) => ({
  files: { [name]: `${text}\n` },
  command: [...command, name],
});
const node = (imports: string, line: string, rest: string) =>
  script(["node"], "main.mjs", `${imports}\n${line}\n${rest}`);
const bun = (imports: string, line: string, rest: string) => script(["bun"], "main.ts", `${imports}\n${line}\n${rest}`);

const NOTES = `const notes = table("notes", { text: text() });`;
const TYPEORM_NOTE =
  `const Note = new EntitySchema({ name: "notes", columns: { id: { type: Number, primary: true, generated: true }, text: { type: String } } });`;
const TYPEORM_REST = `await source.initialize();
await source.getRepository(Note).insert({ text: "added" });
await source.destroy();`;
const KYSELY_REST = `const db = new Kysely({ dialect });
await db.insertInto("notes").values({ text: "added" }).execute();
await db.destroy();`;
const KNEX_REST = `await db("notes").insert({ text: "added" });
await db.destroy();`;
const SEQUELIZE_REST = `await sequelize.query("${INSERT}");
await sequelize.close();`;
const MIKRO_REST = `await orm.em.getConnection().execute("${INSERT}");
await orm.close();`;

const prisma = (provider: string, adapter: string, imported: string, line: string) => ({
  files: {
    "schema.prisma": `generator client {
  provider   = "prisma-client-js"
  output     = "./generated"
  engineType = "client"
}
datasource db {
  provider = "${provider}"
}
model notes {
  id   Int    @id @default(autoincrement())
  text String
}
`,
    "main.mjs": `import { ${imported} } from "${adapter}";
import { PrismaClient } from "./generated/index.js";
${line}
const prisma = new PrismaClient({ adapter });
await prisma.notes.create({ data: { text: "added" } });
await prisma.$disconnect();
`,
  },
  // `generate` fetches an engine that only `migrate` uses, unless it is told of one.
  command: [
    ...["env", "PRISMA_SCHEMA_ENGINE_BINARY=/bin/true"],
    ...["sh", "-c", "node_modules/.bin/prisma generate --schema schema.prisma >&2 && node main.mjs"],
  ],
  packages: "prisma",
  isLong: true,
});

const SQLITE: readonly Omit<Use, "database">[] = [
  {
    tool: "node:sqlite",
    line: "const db = new DatabaseSync(process.env.DATABASE_PATH);",
    ...script(
      ["node22"],
      "main.mjs",
      `import { DatabaseSync } from "node:sqlite";
const db = new DatabaseSync(process.env.DATABASE_PATH);
db.exec("${INSERT}");`,
    ),
  },
  {
    tool: "better-sqlite3",
    line: "const db = new Database(process.env.DATABASE_PATH);",
    wrong: [["const db = new Database(process.env.DATABASE_URL);", "an error"]],
    packages: "native",
    isLong: true,
    ...node(
      'import Database from "better-sqlite3";',
      "const db = new Database(process.env.DATABASE_PATH);",
      `db.exec("${INSERT}");`,
    ),
  },
  {
    tool: "libSQL",
    line: "const db = createClient({ url: process.env.DATABASE_URL });",
    packages: "libsql",
    ...node(
      'import { createClient } from "@libsql/client";',
      "const db = createClient({ url: process.env.DATABASE_URL });",
      `await db.execute("${INSERT}");`,
    ),
  },
  {
    tool: "Drizzle, libSQL",
    line: "const db = drizzle(process.env.DATABASE_URL);",
    packages: "libsql",
    ...node(
      'import { drizzle } from "drizzle-orm/libsql";\nimport { sqliteTable as table, text } from "drizzle-orm/sqlite-core";',
      "const db = drizzle(process.env.DATABASE_URL);",
      `${NOTES}\nawait db.insert(notes).values({ text: "added" });`,
    ),
  },
  {
    tool: "Drizzle, better-sqlite3",
    line: "const db = drizzle(process.env.DATABASE_PATH);",
    packages: "native",
    isLong: true,
    ...node(
      'import { drizzle } from "drizzle-orm/better-sqlite3";\nimport { sqliteTable as table, text } from "drizzle-orm/sqlite-core";',
      "const db = drizzle(process.env.DATABASE_PATH);",
      `${NOTES}\nawait db.insert(notes).values({ text: "added" });`,
    ),
  },
  {
    tool: "Knex",
    line:
      'const db = knex({ client: "better-sqlite3", connection: { filename: process.env.DATABASE_PATH }, useNullAsDefault: true });',
    wrong: [[
      'const db = knex({ client: "better-sqlite3", connection: { filename: process.env.DATABASE_URL }, useNullAsDefault: true });',
      "an error",
    ]],
    packages: "native",
    isLong: true,
    ...node(
      'import knex from "knex";',
      'const db = knex({ client: "better-sqlite3", connection: { filename: process.env.DATABASE_PATH }, useNullAsDefault: true });',
      KNEX_REST,
    ),
  },
  {
    tool: "Kysely",
    line: "const dialect = new SqliteDialect({ database: new Database(process.env.DATABASE_PATH) });",
    packages: "native",
    isLong: true,
    ...node(
      'import Database from "better-sqlite3";\nimport { Kysely, SqliteDialect } from "kysely";',
      "const dialect = new SqliteDialect({ database: new Database(process.env.DATABASE_PATH) });",
      KYSELY_REST,
    ),
  },
  {
    tool: "TypeORM",
    line:
      'const source = new DataSource({ type: "better-sqlite3", database: process.env.DATABASE_PATH, entities: [Note] });',
    wrong: [[
      'const source = new DataSource({ type: "better-sqlite3", database: process.env.DATABASE_URL, entities: [Note] });',
      "another file",
    ]],
    packages: "native",
    isLong: true,
    ...node(
      `import "reflect-metadata";\nimport { DataSource, EntitySchema } from "typeorm";\n${TYPEORM_NOTE}`,
      'const source = new DataSource({ type: "better-sqlite3", database: process.env.DATABASE_PATH, entities: [Note] });',
      TYPEORM_REST,
    ),
  },
  {
    tool: "Sequelize",
    line: 'const sequelize = new Sequelize({ dialect: "sqlite", storage: process.env.DATABASE_PATH });',
    wrong: [[
      'const sequelize = new Sequelize({ dialect: "sqlite", storage: process.env.DATABASE_URL });',
      "another file",
    ]],
    packages: "sequelizeSqlite",
    isLong: true,
    ...node(
      'import { Sequelize } from "sequelize";',
      'const sequelize = new Sequelize({ dialect: "sqlite", storage: process.env.DATABASE_PATH });',
      SEQUELIZE_REST,
    ),
  },
  {
    tool: "MikroORM",
    line: "const orm = await MikroORM.init({ dbName: process.env.DATABASE_PATH, entities: [Note] });",
    wrong: [[
      "const orm = await MikroORM.init({ dbName: process.env.DATABASE_URL, entities: [Note] });",
      "an error",
    ]],
    packages: "mikroSqlite",
    isLong: true,
    ...script(
      ["node22"],
      "main.mjs",
      [
        'import { EntitySchema, MikroORM } from "@mikro-orm/sqlite";\nconst Note = new EntitySchema({ name: "notes", properties: { id: { type: "number", primary: true }, text: { type: "string" } } });',
        "const orm = await MikroORM.init({ dbName: process.env.DATABASE_PATH, entities: [Note] });",
        MIKRO_REST,
      ].join("\n"),
    ),
  },
  {
    tool: "Prisma, libSQL",
    line: "const adapter = new PrismaLibSql({ url: process.env.DATABASE_URL });",
    ...prisma(
      "sqlite",
      "@prisma/adapter-libsql",
      "PrismaLibSql",
      "const adapter = new PrismaLibSql({ url: process.env.DATABASE_URL });",
    ),
  },
  {
    tool: "Prisma, better-sqlite3",
    line: "const adapter = new PrismaBetterSqlite3({ url: process.env.PRISMA_URL });",
    variable: ["PRISMA_URL", "file:{DATABASE_PATH}"],
    wrong: [["const adapter = new PrismaBetterSqlite3({ url: process.env.DATABASE_URL });", "an error"]],
    ...prisma(
      "sqlite",
      "@prisma/adapter-better-sqlite3",
      "PrismaBetterSqlite3",
      "const adapter = new PrismaBetterSqlite3({ url: process.env.PRISMA_URL });",
    ),
    packages: "prismaNative",
  },
  {
    tool: "bun:sqlite",
    line: "const db = new Database(process.env.DATABASE_PATH);",
    wrong: [["const db = new Database(process.env.DATABASE_URL);", "an error"]],
    ...bun(
      'import { Database } from "bun:sqlite";',
      "const db = new Database(process.env.DATABASE_PATH);",
      `db.run("${INSERT}");`,
    ),
  },
  {
    tool: "Bun.sql",
    line: "const db = new SQL(process.env.DATABASE_URL);",
    ...bun(
      'import { SQL } from "bun";',
      "const db = new SQL(process.env.DATABASE_URL);",
      `await db\`${INSERT}\`;\nawait db.close();`,
    ),
  },
];

const POSTGRES: readonly Omit<Use, "database">[] = [
  {
    tool: "pg",
    line: "const db = new pg.Client(process.env.DATABASE_URL);",
    ...node(
      'import pg from "pg";',
      "const db = new pg.Client(process.env.DATABASE_URL);",
      `await db.connect();\nawait db.query("${INSERT}");\nawait db.end();`,
    ),
  },
  {
    tool: "Postgres.js",
    line: "const sql = postgres(process.env.DATABASE_URL);",
    ...node(
      'import postgres from "postgres";',
      "const sql = postgres(process.env.DATABASE_URL);",
      `await sql\`${INSERT}\`;\nawait sql.end();`,
    ),
  },
  {
    tool: "Drizzle",
    line: "const db = drizzle(process.env.DATABASE_URL);",
    ...node(
      'import { drizzle } from "drizzle-orm/node-postgres";\nimport { pgTable as table, text } from "drizzle-orm/pg-core";',
      "const db = drizzle(process.env.DATABASE_URL);",
      `${NOTES}\nawait db.insert(notes).values({ text: "added" });\nawait db.$client.end();`,
    ),
  },
  {
    tool: "Knex",
    line: 'const db = knex({ client: "pg", connection: process.env.DATABASE_URL });',
    ...node(
      'import knex from "knex";',
      'const db = knex({ client: "pg", connection: process.env.DATABASE_URL });',
      KNEX_REST,
    ),
  },
  {
    tool: "Kysely",
    line: "const dialect = new PostgresDialect({ pool: new pg.Pool({ connectionString: process.env.DATABASE_URL }) });",
    ...node(
      'import pg from "pg";\nimport { Kysely, PostgresDialect } from "kysely";',
      "const dialect = new PostgresDialect({ pool: new pg.Pool({ connectionString: process.env.DATABASE_URL }) });",
      KYSELY_REST,
    ),
  },
  {
    tool: "TypeORM",
    line: 'const source = new DataSource({ type: "postgres", url: process.env.DATABASE_URL, entities: [Note] });',
    ...node(
      `import "reflect-metadata";\nimport { DataSource, EntitySchema } from "typeorm";\n${TYPEORM_NOTE}`,
      'const source = new DataSource({ type: "postgres", url: process.env.DATABASE_URL, entities: [Note] });',
      TYPEORM_REST,
    ),
  },
  {
    tool: "Sequelize",
    line: "const sequelize = new Sequelize(process.env.DATABASE_URL);",
    packages: "sequelizePostgres",
    ...node(
      'import { Sequelize } from "sequelize";',
      "const sequelize = new Sequelize(process.env.DATABASE_URL);",
      SEQUELIZE_REST,
    ),
  },
  {
    tool: "MikroORM",
    line: "const orm = await MikroORM.init({ clientUrl: process.env.DATABASE_URL, entities: [Note] });",
    packages: "mikroPostgres",
    ...node(
      'import { EntitySchema, MikroORM } from "@mikro-orm/postgresql";\nconst Note = new EntitySchema({ name: "notes", properties: { id: { type: "number", primary: true }, text: { type: "string" } } });',
      "const orm = await MikroORM.init({ clientUrl: process.env.DATABASE_URL, entities: [Note] });",
      MIKRO_REST,
    ),
  },
  {
    tool: "Prisma",
    line: "const adapter = new PrismaPg({ connectionString: process.env.DATABASE_URL });",
    ...prisma(
      "postgresql",
      "@prisma/adapter-pg",
      "PrismaPg",
      "const adapter = new PrismaPg({ connectionString: process.env.DATABASE_URL });",
    ),
  },
  {
    tool: "Bun.sql",
    line: "const db = new SQL(process.env.DATABASE_URL);",
    packages: undefined,
    ...bun(
      'import { SQL } from "bun";',
      "const db = new SQL(process.env.DATABASE_URL);",
      `await db\`${INSERT}\`;\nawait db.close();`,
    ),
  },
];

/** All of them. */
export const JAVASCRIPT: readonly Use[] = [
  ...SQLITE.map((one) => ({ ...one, database: "SQLite" as const })),
  ...POSTGRES.map((one) => ({ packages: "servers", ...one, database: "PostgreSQL" as const, isLong: true })),
];
