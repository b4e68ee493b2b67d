/** Real PgBouncer in front of a real PostgreSQL, as a user that is not root. */
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import postgres from "npm:postgres@3.4.9";
import { temporaryDirectory } from "../helpers.ts";
import { AS_NOBODY, NOBODY, WHY_ROOT, whyMissing } from "../tools.ts";
import { freePort, untilUp } from "./ports.ts";
import type { Server } from "./postgres_server.ts";

/** Why it can't be started. */
export const whyNoPgBouncer: string | undefined = WHY_ROOT ?? whyMissing("pgbouncer");

/** Runs a statement on a connection of its own; the server keeps its end of it, for the pooler. */
export async function askThrough(url: string, text: string): Promise<unknown[]> {
  const sql = postgres(url, { max: 1, prepare: false, fetch_types: false, onnotice: () => {} });
  try {
    return [...await sql.unsafe(text)];
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** A pooler for every database and role of a server; disposing of it ends it. */
export async function startPgBouncer(
  server: Server,
  mode: "session" | "transaction" | "statement",
): Promise<{ readonly port: number } & AsyncDisposable> {
  const directory = temporaryDirectory("forkstack-pgbouncer-");
  const port = freePort();
  const write = (name: string, text: string) => {
    fs.writeFileSync(join(directory.path, name), text);
    if (AS_NOBODY.length > 0) fs.chownSync(join(directory.path, name), NOBODY, NOBODY);
  };
  if (AS_NOBODY.length > 0) fs.chownSync(directory.path, NOBODY, NOBODY);
  write("users", `"postgres" "${server.password}"\n`);
  write(
    "pgbouncer.ini",
    `[databases]
* = host=127.0.0.1 port=${server.port} auth_user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${join(directory.path, "users")}
auth_query = SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1
pool_mode = ${mode}
`,
  );
  const [file, ...args] = [...AS_NOBODY, "pgbouncer", "-q", join(directory.path, "pgbouncer.ini")];
  const child = spawn(file!, args, { cwd: directory.path, stdio: "ignore" });
  const closed = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const onUnload = () => child.kill("SIGKILL");
  globalThis.addEventListener("unload", onUnload);
  await untilUp(child, () => askThrough(server.url("postgres", port), "SELECT 1"));
  return {
    port,
    async [Symbol.asyncDispose]() {
      globalThis.removeEventListener("unload", onUnload);
      child.kill("SIGKILL");
      await closed;
      directory[Symbol.dispose]();
    },
  };
}
