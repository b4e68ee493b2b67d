/** The vendor's command line, and the client that its community makes. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ClientCase, given, program } from "../_client.ts";

const nameOf = (env: string) => `shop-${env}`;

export const clients: readonly ClientCase[] = [{
  nameOf,
  assertShown(shown) {
    const { status, db_user, db_pass } = shown as Record<string, string>;
    assert.deepEqual([status, db_user], ["ACTIVE_HEALTHY", "postgres"]);
    assert.match(db_pass!, /./);
  },
  client: "supabase-management-js@2.0.2",
  async open(ready) {
    const { SupabaseManagementAPI } = await import("npm:supabase-management-js@2.0.2");
    const [accessToken, baseUrl] = [given(ready, "SUPABASE_ACCESS_TOKEN"), given(ready, "endpoint")];
    const client = new SupabaseManagementAPI({ accessToken, baseUrl });
    const project = given(ready, "projectRef");
    const all = async () =>
      (await client.listAllBranches(project)).data as unknown as { name: string; project_ref: string }[];
    const refOf = async (name: string) => (await all()).find((one) => one.name === name)!.project_ref;
    return {
      names: async () => (await all()).map(({ name }) => name),
      show: async (name) => (await client.getABranchConfig(await refOf(name))).data,
      create: async (name) => await client.createABranch(project, { branch_name: name, with_data: true }),
      remove: async (name) => await client.deleteABranch(await refOf(name)),
      rename: async (name, to) => await client.updateABranchConfig(await refOf(name), { branch_name: to }),
    };
  },
}, {
  nameOf,
  // It shows a branch by the variables of an application.
  assertShown(shown) {
    const { SUPABASE_URL, POSTGRES_URL } = shown as Record<string, string>;
    const ref = /^https:\/\/([a-z]{20})\.supabase\.co$/.exec(SUPABASE_URL!)?.[1];
    assert.equal(new URL(POSTGRES_URL!).username, `postgres.${ref}`);
  },
  client: "supabase@3.1.0",
  isProgram: true,
  async open(ready, home) {
    const profile = join(home, "profile.yaml");
    const url = given(ready, "endpoint");
    await writeFile(
      profile,
      `name: emulator\napi_url: ${url}\ndashboard_url: ${url}\nproject_host: example.com\n`,
    );
    const supabase = await program("supabase", ["supabase@3.1.0"], home, {
      SUPABASE_ACCESS_TOKEN: given(ready, "SUPABASE_ACCESS_TOKEN"),
      SUPABASE_PROFILE: profile,
      SUPABASE_TELEMETRY_DISABLED: "1",
    });
    const branches = async (...args: string[]) =>
      await supabase.json(
        "--yes",
        "--output-format",
        "json",
        "branches",
        ...args,
        `--remote=${given(ready, "projectRef")}`,
      );
    return {
      names: async () => (await branches("list")).branches.map(({ name }: { name: string }) => name),
      show: async (name) => await branches("get", name),
      create: async (name) => await branches("create", name, "--with-data"),
      remove: async (name) => await branches("delete", name),
      rename: async (name, to) => await branches("update", name, "--name", to),
    };
  },
}];
