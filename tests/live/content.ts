/** What a resource holds, read and changed as an application would: by the variables that it is given. */
import { createHash } from "node:crypto";
import { Secret } from "../../core/secret.ts";

type Outputs = Readonly<Record<string, string | Secret>>;

/** A digest of what is there. */
export async function digestOf(outputs: Outputs): Promise<string> {
  return await withDatabase(outputs, async (query) => {
    const schema = await query("SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'libsql%' ORDER BY name");
    return createHash("sha256").update(JSON.stringify(schema)).digest("hex");
  });
}

/** Adds something. */
export async function changeBy(outputs: Outputs): Promise<void> {
  await withDatabase(outputs, (query) => query("CREATE TABLE mine (x INTEGER)"));
}

async function withDatabase<T>(outputs: Outputs, work: (query: (sql: string) => Promise<unknown>) => Promise<T>) {
  const [url, token] = [outputs.DATABASE_URL, outputs.DATABASE_AUTH_TOKEN].map((one) =>
    one instanceof Secret ? one.reveal() : one
  );
  if (!url?.startsWith("libsql:")) throw new Error("a live run reads libsql: URLs alone, so far");
  const { createClient } = await import("@libsql/client/web");
  const client = createClient({ url, authToken: token });
  try {
    return await work(async (sql) => (await client.execute(sql)).rows);
  } finally {
    client.close();
  }
}
