/** The emulator, held against the vendor's own client and command line. */
import assert from "node:assert/strict";
import process from "node:process";
import { startNeon } from "../emulators/neon.ts";
import { run, temporaryDirectory, testIf } from "../helpers.ts";
import { programOf } from "../tools.ts";
import { ask, NOTES, server, whyNot } from "./_neon.ts";

const KEY = "napi_spec";

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
  const program = programOf("neonctl@5.0.1", "neonctl");
  const neonctl = async (...args: string[]) => {
    const to = ["--api-host", `${neon.url}/api/v2`, "--project-id", neon.project, "--no-analytics", "-o", "json"];
    const env = { ...process.env, NEON_API_KEY: KEY, NEON_CONFIG_DIR: home.path, CI: "1" };
    return (await run(program, [...args, ...to], { env, cwd: home.path })).stdout.trim();
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
