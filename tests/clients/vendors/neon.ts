/** The vendor's client of its API, and its command line. */
import assert from "node:assert/strict";
import { type ClientCase, given, program } from "../_client.ts";

const common = {
  nameOf: (env: string) => `shop-${env}`,
  assertShown(shown: unknown) {
    const { parent_id, protected: isProtected, expires_at, current_state } = shown as Record<string, string>;
    assert.match(parent_id!, /^br-/);
    assert.deepEqual([isProtected, current_state], [false, "ready"]);
    assert(Date.parse(expires_at!) > Date.now(), "the lease is Neon's as well");
  },
};

export const clients: readonly ClientCase[] = [{
  ...common,
  client: "@neondatabase/api-client@2.7.3",
  async open(ready) {
    const { createApiClient } = await import("npm:@neondatabase/api-client@2.7.3");
    const projectId = given(ready, "projectId");
    const client = createApiClient({
      apiKey: given(ready, "NEON_API_KEY"),
      baseURL: `${given(ready, "endpoint")}/api/v2`,
    });
    const all = async () => (await client.listProjectBranches({ projectId })).data.branches;
    const idOf = async (name: string) => (await all()).find((one) => one.name === name)!.id;
    return {
      names: async () => (await all()).map(({ name }) => name),
      show: async (name) => (await client.getProjectBranch(projectId, await idOf(name))).data.branch,
      create: async (name) => await client.createProjectBranch(projectId, { branch: { name } }),
      remove: async (name) => await client.deleteProjectBranch({ projectId, branchId: await idOf(name) }),
      rename: async (name, to) =>
        await client.updateProjectBranch(projectId, await idOf(name), { branch: { name: to } }),
    };
  },
}, {
  ...common,
  client: "neonctl@5.0.1",
  isProgram: true,
  async open(ready, home) {
    const env = { NEON_API_KEY: given(ready, "NEON_API_KEY"), NEON_CONFIG_DIR: home };
    const neonctl = await program("neonctl", ["neonctl@5.0.1"], home, env);
    const to = ["--api-host", `${given(ready, "endpoint")}/api/v2`, "--project-id", given(ready, "projectId")];
    const branches = async (...args: string[]) =>
      await neonctl.json("branches", ...args, ...to, "--no-analytics", "-o", "json");
    return {
      names: async () => (await branches("list")).map(({ name }: { name: string }) => name),
      show: async (name) => await branches("get", name),
      create: async (name) => await branches("create", "--name", name),
      remove: async (name) => await branches("delete", name),
      rename: async (name, to) => await branches("rename", name, to),
    };
  },
}];
