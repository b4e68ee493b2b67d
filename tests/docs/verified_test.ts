/** Each server and client that a provider's file names is met in its tests. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Verified } from "../../core/provider.ts";
import { readProviders } from "../../tools/gen/providers.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TESTS = `${ROOT}tests/providers/`;
const FILES = readdirSync(TESTS);

/** Files that start a server, by its name. */
const SERVERS: Readonly<Record<string, readonly string[]>> = {
  MariaDB: ["mariadb_server.ts"],
  moto: ["moto.ts", "s3_servers.ts"],
  OpenBao: ["openbao.ts"],
  PostgreSQL: ["postgres_server.ts"],
  rclone: ["s3_servers.ts"],
  Redis: ["redis_server.ts"],
  s3rver: ["s3rver.ts"],
  SeaweedFS: ["s3_servers.ts"],
};

/** The texts of a provider's tests, each with those of the helpers that it imports. */
function testsOf(name: string): string[] {
  const own = FILES.filter((file) => file.endsWith("_test.ts") && file.split("_")[0] === name);
  return own.map((file) => {
    const text = readFileSync(TESTS + file, "utf8");
    const helpers = [...text.matchAll(/"\.\/(_[\w-]+\.ts)"/g)].map(([, helper]) => helper!);
    return [text, ...helpers.map((helper) => readFileSync(TESTS + helper, "utf8"))].join("\n");
  });
}

/** Names what is claimed and not met. */
function unmet({ live, servers = [], clients = [] }: Verified, tests: readonly string[], record: string): string[] {
  const starts = (server: string) => (text: string) =>
    text.includes("testProvider(") &&
    SERVERS[server]!.some((file) =>
      text.includes(`/emulators/${file}"`) && (file !== "s3_servers.ts" || text.includes(`testProgram("${server}"`))
    );
  // As a package: `"npm:neonctl@5.0.1"`, `"neonctl@5.0.1"`, `"@distilled.cloud/planetscale"`.
  const imports = (client: string) => (text: string) =>
    ["@", '"', "/"].some((end) => text.includes(`"${client}${end}`) || text.includes(`npm:${client}${end}`));
  return [
    ...servers.filter((one) => !(one in SERVERS) || !tests.some(starts(one))).map((one) => `server ${one}`),
    ...clients.filter((one) => !tests.some(imports(one))).map((one) => `client ${one}`),
    ...live === undefined || record.includes(`| ${live} |`) ? [] : [`live ${live}`],
  ];
}

Deno.test("each server and client that a provider's file names is in its tests, and a live run is on record", async () => {
  const record = readFileSync(`${ROOT}docs/verification.md`, "utf8");
  const problems: string[] = [];
  let count = 0;
  for (const [name, { verified = {} }] of [...(await readProviders(ROOT)).values()].flatMap((all) => [...all])) {
    count += (verified.servers?.length ?? 0) + (verified.clients?.length ?? 0);
    problems.push(...unmet(verified, testsOf(name), record).map((one) => `${name}: ${one}`));
  }
  assert.deepEqual(problems, []);
  assert(count > 20, `${count}`);
});

Deno.test("a claim without its test is found", () => {
  const text = `import { Moto } from "../emulators/moto.ts"; testProvider({}); import("npm:node-vault@0.12.0")`;
  assert.deepEqual(unmet({ servers: ["moto"], clients: ["node-vault"] }, [text], ""), []);
  assert.deepEqual(unmet({ servers: ["moto"] }, [text.replace("testProvider", "other")], ""), ["server moto"]);
  assert.deepEqual(unmet({ servers: ["Consul", "OpenBao"] }, [text], ""), ["server Consul", "server OpenBao"]);
  assert.deepEqual(unmet({ clients: ["node", "vault", "node-vault2"] }, [text], ""), [
    "client node",
    "client vault",
    "client node-vault2",
  ]);
  assert.deepEqual(unmet({ live: "2026-11" }, [text], "| neon | 2026-10 |"), ["live 2026-11"]);
});
