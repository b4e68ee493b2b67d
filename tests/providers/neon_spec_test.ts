/**
 * The provider and the emulator, held against the vendor's own: its specification, by a proxy between the two, its
 * client and its command line.
 */
import assert from "node:assert/strict";
import process from "node:process";
import provider from "../../providers/database/neon.ts";
import { conformanceCases } from "../conformance.ts";
import { startNeon } from "../emulators/neon.ts";
import { FAULTS, specification, startPrism } from "../emulators/prism.ts";
import { serve } from "../emulators/serve.ts";
import { run, temporaryDirectory, testIf } from "../helpers.ts";
import { ask, type Front, neonEmulator, NOTES, server, whyNot } from "./_neon.ts";

const { path: SPECIFICATION, missing } = specification("neon.yaml");
const KEY = "napi_spec";

Deno.test({
  name: `neon: the suite breaks no rule of Neon's specification${missing ? ` (skipped: ${missing})` : ""}`,
  ignore: missing !== undefined || server === undefined,
  async fn(test) {
    const front: { -readonly [Key in keyof Front]?: Front[Key] } = {};
    const served = await serve(() => front.current!);
    try {
      await using prism = await startPrism(SPECIFICATION, `${served.url}/api/v2`);
      front.server = served;
      front.fetch = async (request) => {
        // The specification's paths begin after /api/v2.
        const url = request.url.replace(`${served.url}/api/v2`, prism.url);
        const response = await fetch(new Request(url, request));
        await prism.onAnswer(new Request(url, { method: request.method }), response.clone());
        return response;
      };
      const emulator = neonEmulator({}, front as Front);
      const options = { projectId: "late-frost-12345" };
      for (const { name, skipped, run } of conformanceCases({ provider, faults: FAULTS, emulator, options })) {
        if (skipped === undefined) await test.step(name, run);
      }

      // It must be able to fail: a number where the specification has none.
      const refused = await fetch(new URL("/projects/x/branches?limit=0", prism.url), {
        headers: { authorization: "Bearer x" },
      });
      await refused.text();
      assert.match(refused.headers.get("content-type") ?? "", /problem\+json/);
      assert.deepEqual([...new Set(prism.violations)].slice(0, 5), []);
      assert(prism.answers > 500, `only ${prism.answers} answers went through the proxy`);
      console.log(`${prism.answers} answers through Prism, ${prism.violations.length} violations`);
    } finally {
      await served.close();
    }
  },
});

/** A project with the branches main, prod's, and shop-dev. */
async function openProject() {
  const neon = await startNeon(server!, { keys: { [KEY]: {} } });
  const main = await neon.add("main", { isDefault: true, databases: { neondb: NOTES } });
  await neon.add("shop-dev", { parent: main });
  return { neon, main };
}

testIf(
  whyNot,
  "neon: the vendor's client lists, makes, gets, changes and deletes branches of the emulator",
  async () => {
    const { createApiClient, EndpointType } = await import("npm:@neondatabase/api-client@2.7.3");
    const { neon, main } = await openProject();
    await using _ = neon;
    const client = createApiClient({ apiKey: KEY, baseURL: `${neon.url}/api/v2` });
    const projectId = neon.project;
    const names = async () =>
      (await client.listProjectBranches({ projectId, sort_by: "name", sort_order: "asc" })).data.branches
        .map(({ name }) => name);
    assert.deepEqual(await names(), ["main", "shop-dev"]);
    const { data: made } = await client.createProjectBranch(projectId, {
      branch: { name: "shop-alice", parent_id: main.id },
      endpoints: [{ type: EndpointType.ReadWrite }],
      annotation_value: { forkstack: "a note" },
    });
    for (const { id } of made.operations) {
      while ((await client.getProjectOperation(projectId, id)).data.operation.status !== "finished");
    }
    const { data: found } = await client.getProjectBranch(projectId, made.branch.id);
    assert.deepEqual([found.branch.current_state, found.annotation.value], ["ready", { forkstack: "a note" }]);
    const told = made.connection_uris![0]!.connection_uri;
    assert.deepEqual(await ask(told, "SELECT count(*)::int AS n FROM notes"), [{ n: 1 }]);
    const wanted = { projectId, branch_id: found.branch.id, database_name: "neondb", role_name: "neondb_owner" };
    const { data: { uri } } = await client.getConnectionUri({ ...wanted, pooled: true });
    assert.equal(new URL(uri).host, made.connection_uris![0]!.connection_parameters.pooler_host);
    const expires_at = new Date(Date.now() + 3_600_000).toISOString();
    await client.updateProjectBranch(projectId, found.branch.id, { branch: { expires_at } });
    const isTaken = (error: { response?: { status?: number; data?: { code?: string } } }) =>
      error.response?.status === 409 && error.response.data?.code === "BRANCH_ALREADY_EXISTS";
    await assert.rejects(client.createProjectBranch(projectId, { branch: { name: "shop-alice" } }), isTaken);
    const { data: { operations } } = await client.deleteProjectBranch({ projectId, branchId: found.branch.id });
    for (const { id } of operations) {
      while ((await client.getProjectOperation(projectId, id)).data.operation.status !== "finished");
    }
    assert.deepEqual(await names(), ["main", "shop-dev"]);
    assert.equal((await client.deleteProjectBranch({ projectId, branchId: found.branch.id })).status, 204);
  },
);

testIf(whyNot, "neon: neonctl lists, makes, gets and deletes branches of the emulator", async () => {
  const { neon } = await openProject();
  await using _ = neon;
  using home = temporaryDirectory();
  const neonctl = async (...args: string[]) => {
    const to = ["--api-host", `${neon.url}/api/v2`, "--project-id", neon.project, "--no-analytics", "-o", "json"];
    const env = { ...process.env, NEON_API_KEY: KEY, NEON_CONFIG_DIR: home.path, CI: "1" };
    return (await run("npx", ["-y", "neonctl@5.0.1", ...args, ...to], { env, cwd: home.path })).stdout.trim();
  };
  const json = async (...args: string[]) => JSON.parse(await neonctl("branches", ...args));
  const names = async () => (await json("list")).map(({ name }: { name: string }) => name).sort();
  assert.deepEqual(await names(), ["main", "shop-dev"]);
  const { branch } = await json("create", "--name", "shop-alice", "--parent", "main");
  assert.equal(neon.branch("shop-alice").id, branch.id);
  assert.equal((await json("get", "shop-alice")).id, branch.id);
  const uri = (await neonctl("connection-string", "shop-alice", "--ssl", "omit")).replaceAll('"', "");
  assert.deepEqual(await ask(uri, "SELECT count(*)::int AS n FROM notes"), [{ n: 1 }]);
  assert.equal((await json("delete", "shop-alice")).id, branch.id);
  for (let i = 0; i < 6; i++) await (await fetch(neon.url)).text(); // it does not wait, and time goes by requests
  assert.deepEqual(await names(), ["main", "shop-dev"]);
});
