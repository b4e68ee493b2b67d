/**
 * Prisma's schema engine as its command line calls it (`PRISMA_SCHEMA_ENGINE_BINARY`): the same engine by its WebAssembly
 * form, which npm has. The usual one is fetched from binaries.prisma.sh, which many machines do not reach.
 *
 * Only for SQLite, and `migrate dev` fails in this form; `db push` works.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import process from "node:process";

// Not in a lock file: at full size alone, and only where a guide has Prisma.
const WASM = "npm:@prisma/schema-engine-wasm@8.1.0-2.59be4fda12412a79eeb9c2ae727b6aa723593323";
const ADAPTER = "npm:@prisma/adapter-libsql@7.10.0";
const UTILITIES = "npm:@prisma/driver-adapter-utils@7.10.0";

const args = process.argv.slice(2);
if (args.includes("cli")) process.exit(0); // `cli can-connect-to-database`: the file is made when it is opened

const { url } = JSON.parse(args[args.indexOf("--datasource") + 1]!);
const datamodels = args.flatMap((arg, at) => args[at - 1] === "--datamodels" ? [[arg, readFileSync(arg, "utf8")]] : []);
const [{ SchemaEngine }, { PrismaLibSql }, { bindMigrationAwareSqlAdapterFactory }] = await Promise.all(
  [WASM, ADAPTER, UTILITIES].map((specifier) => import(specifier)),
);
const adapter = bindMigrationAwareSqlAdapterFactory(new PrismaLibSql({ url }));
const engine = await SchemaEngine.new({ datamodels }, () => {}, adapter);

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  const answer = await engine[method](params).then(
    (result: unknown) => ({ result: result ?? null }),
    ({ message, code }: Error & { code?: string }) => ({
      error: { code: 4466, message, data: { is_panic: false, message, error_code: code } },
    }),
  );
  console.log(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
}
