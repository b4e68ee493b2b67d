import { debianBinaries, startServer } from "../../emulators/postgres_server.ts";
import { type Case, NOTES } from "./_case.ts";

const debian = debianBinaries();
const whyNoDebian = "reason" in debian ? debian.reason : undefined;

const postgres = (options: object): Case["open"] => async (defer) => {
  const server = defer(await startServer((debian as { bin: string }).bin));
  await server.query("CREATE DATABASE shop");
  await server.query("REVOKE CONNECT ON DATABASE shop FROM PUBLIC");
  await server.query(NOTES, "shop");
  return { options, env: { POSTGRES_URL: server.url() } };
};

export const cases: readonly Case[] = [
  // Without a strategy a dump is made only of a parent in use.
  { kind: "database", name: "postgres", how: "by dump", missing: whyNoDebian, open: postgres({ strategy: "dump" }) },
  {
    kind: "database",
    name: "postgres",
    how: "by template",
    missing: whyNoDebian,
    open: postgres({ strategy: "template" }),
  },
];
