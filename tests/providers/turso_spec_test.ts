/**
 * The provider and the emulator, held against the vendor's own: its specification, by a proxy between the two, and its
 * client.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import provider from "../../providers/database/turso.ts";
import { conformanceCases } from "../conformance.ts";
import { serveTurso, startTurso } from "../emulators/turso.ts";
import { temporaryDirectory } from "../helpers.ts";
import { type Front, seedFile, tursoEmulator } from "./_turso.ts";

const SPECIFICATION = fileURLToPath(new URL("../../../shared/openapi/turso.json", import.meta.url));

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

/** The proxy in front of a server: it answers in the server's place where a request or an answer breaks the rules. */
async function startPrism(upstream: string): Promise<{ url: string } & AsyncDisposable> {
  const port = await freePort();
  const args = ["-y", "@stoplight/prism-cli@5", "proxy", "--errors", "-h", "127.0.0.1", "-p", `${port}`];
  // A group of its own: npx starts node, and both must end.
  const child = spawn("npx", [...args, SPECIFICATION, upstream], { detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const closed = once(child, "close");
  let said = "";
  await new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (data) => {
        said = (said + data).slice(-10_000);
        if (said.includes("Prism is listening")) resolve();
      });
    }
    closed.then(() => reject(new Error(`Prism did not start: ${said}`)));
  });
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      process.kill(-child.pid!, "SIGKILL");
      await closed;
    },
  };
}

Deno.test({
  name: `turso: the suite breaks no rule of Turso's specification${
    existsSync(SPECIFICATION) ? "" : ` (skipped: there is no ${SPECIFICATION})`
  }`,
  ignore: !existsSync(SPECIFICATION),
  async fn(test) {
    const front: { -readonly [Key in keyof Front]?: Front[Key] } = {};
    const server = await serveTurso(() => front.current!);
    const violations: string[] = [];
    let answers = 0;
    try {
      await using prism = await startPrism(server.url);
      front.server = server;
      front.endpoint = prism.url;
      front.onAnswer = async (request, response) => {
        if (request.url.startsWith(prism.url)) answers++;
        const isViolation = response.headers.get("content-type")?.includes("problem+json") ||
          response.headers.has("sl-violations");
        const text = await response.text(); // not cancel(): of a clone it waits for the other
        if (!isViolation) return;
        const found = response.headers.get("sl-violations") ?? "";
        violations.push(`${request.method} ${request.url}: ${found} ${text}`);
      };
      const emulator = tursoEmulator(front as Front);
      for (const { name, skipped, run } of conformanceCases({ provider, emulator, options: { organization: "o" } })) {
        if (skipped === undefined) await test.step(name, run);
      }

      // It must be able to fail: a token call with a value that the specification does not have.
      const target = new URL("/v1/organizations/o/databases/x/auth/tokens?authorization=none", prism.url);
      const refused = await fetch(target, { method: "POST", headers: { authorization: "Bearer x" } });
      await refused.text();
      assert.match(refused.headers.get("content-type") ?? "", /problem\+json/);
    } finally {
      await server.close();
    }
    assert.deepEqual(violations, []);
    assert(answers > 500, `only ${answers} answers went through the proxy`);
    console.log(`${answers} answers through Prism, ${violations.length} violations`);
  },
});

Deno.test("turso: the vendor's client lists, makes, gets and deletes databases of the emulator", async () => {
  // deno-lint-ignore no-import-prefix -- forkstack itself does without it
  const { createClient } = await import("npm:@tursodatabase/api@2.0.5");
  using directory = temporaryDirectory();
  const seed = join(directory.path, "seed.db");
  seedFile(seed);
  const token = "header.platform.token";
  await using turso = await startTurso({ organization: "acme", tokens: { [token]: undefined } });
  turso.add("shop", seed);
  const client = createClient({ org: "acme", token, baseUrl: `${turso.url}/v1/` });
  assert.deepEqual((await client.databases.list()).map(({ name }) => name), ["shop"]);
  const made = await client.databases.create("shop-alice", {
    group: "default",
    seed: { type: "database", name: "shop" },
  });
  assert.deepEqual([made.name, made.hostname], ["shop-alice", `${turso.host}/shop-alice/`]);
  const found = await client.databases.get("shop-alice");
  assert.deepEqual([found.id, found.group], [made.id, "default"]);
  const { jwt } = await client.databases.createToken("shop-alice", { expiration: "1d", authorization: "read-only" });
  assert(turso.dataTokens.has(jwt));
  assert.equal((await client.databases.usage("shop-alice")).usage.storage_bytes, 8192);
  await assert.rejects(client.databases.create("shop-alice", { group: "default" }), /already exists/);
  await client.databases.delete("shop-alice");
  await assert.rejects(client.databases.get("shop-alice"), /could not find database/);
  assert.deepEqual((await client.databases.list()).map(({ name }) => name), ["shop"]);
});
