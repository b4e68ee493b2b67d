/** What a resource holds, read and changed as an application would: by the variables that it is given. */
import { createHash } from "node:crypto";
import { Secret } from "../../core/secret.ts";

type Outputs = Readonly<Record<string, string | Secret>>;

const SCHEMA = {
  libsql: "SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'libsql%' ORDER BY name",
  postgres:
    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
};

/** A digest of what is there. */
export async function digestOf(outputs: Outputs): Promise<string> {
  return await withDatabase(outputs, async (query, kind) => {
    return createHash("sha256").update(JSON.stringify(await query(SCHEMA[kind]))).digest("hex");
  });
}

/** Adds something. */
export async function changeBy(outputs: Outputs): Promise<void> {
  await withDatabase(outputs, (query) => query("CREATE TABLE mine (x INTEGER)"));
}

async function withDatabase<T>(
  outputs: Outputs,
  work: (query: (sql: string) => Promise<unknown>, kind: keyof typeof SCHEMA) => Promise<T>,
) {
  const [url, token] = [outputs.DATABASE_URL, outputs.DATABASE_AUTH_TOKEN].map((one) =>
    one instanceof Secret ? one.reveal() : one
  );
  if (/^postgres(ql)?:/.test(url ?? "")) {
    const { default: postgres } = await import("npm:postgres@3.4.9");
    const sql = postgres(url!, { max: 1, onnotice: () => {} });
    try {
      return await work(async (text) => [...await sql.unsafe(text)], "postgres");
    } finally {
      await sql.end({ timeout: 1 });
    }
  }
  if (!url?.startsWith("libsql:")) throw new Error("a live run reads libsql: and postgres: URLs alone, so far");
  const { createClient } = await import("npm:@libsql/client@0.18.0/web");
  const client = createClient({ url, authToken: token });
  try {
    return await work(async (sql) => (await client.execute(sql)).rows, "libsql");
  } finally {
    client.close();
  }
}
