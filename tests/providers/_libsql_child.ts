/**
 * The libSQL client at a database, for sqlite_test.ts, in a process of its own because its native part needs
 * `--allow-ffi`: prints the answer to the query in its second argument.
 */
import process from "node:process";
import { createClient } from "npm:@libsql/client@0.18.0";

const [url, query] = process.argv.slice(2) as [string, string];
const client = createClient({ url });
console.log(JSON.stringify((await client.execute(query)).rows[0]));
client.close();
