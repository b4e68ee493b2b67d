/** The emulator, held against the vendor's command line and the client that its community makes. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "../cli/run.ts";
import { startSupabase } from "../emulators/supabase.ts";
import { temporaryDirectory, testIf } from "../helpers.ts";
import { programOf } from "../tools.ts";
import { PROJECT, SEED, server, whyNoServer } from "./_supabase.ts";

const TOKEN = "sbp_0123456789abcdef0123456789abcdef01234567";

/** A project that the vendor's own tools see. */
async function openProject() {
  const tokens = { [TOKEN]: undefined };
  const supabase = await startSupabase({ server, projectRef: PROJECT, tokens, password: "secret", hidden: 1 });
  await supabase.fill(SEED);
  return supabase;
}

testIf(
  whyNoServer,
  "supabase: the community's client lists, makes, gets and deletes branches of the emulator",
  async () => {
    const { SupabaseManagementAPI } = await import("npm:supabase-management-js@2.0.2");
    await using supabase = await openProject();
    const client = new SupabaseManagementAPI({ accessToken: TOKEN, baseUrl: supabase.url });
    const names = async () =>
      ((await client.listAllBranches(PROJECT)).data as { name: string }[]).map(({ name }) => name);
    assert.deepEqual(await names(), ["main"]);
    const { data: made } = await client.createABranch(PROJECT, { branch_name: "shop-alice", with_data: true });
    assert.deepEqual([made.name, made.status, made.with_data], ["shop-alice", "CREATING_PROJECT", true]);
    await assert.rejects(client.createABranch(PROJECT, { branch_name: "shop-alice" }));
    for (let i = 0; i < 4; i++) await names(); // each look takes it a step on
    const { data: detail } = await client.getABranchConfig(made.project_ref);
    assert.deepEqual([detail.status, detail.db_user], ["ACTIVE_HEALTHY", "postgres"]);
    const { data: keys } = await client.getProjectApiKeys(made.project_ref, { reveal: true });
    assert.deepEqual(keys.map(({ type }) => type), ["legacy", "legacy", "publishable", "secret"]);
    const { data: [pooler] } = await client.getPoolerConfig(made.project_ref);
    assert.match(pooler!.connection_string, /^postgresql:\/\/postgres\.[a-z]{20}:\[YOUR-PASSWORD\]@/);
    assert.equal((await client.deleteABranch(made.project_ref)).data.message, "ok");
    await names();
    assert.deepEqual(await names(), ["main"]);
  },
);

testIf(
  whyNoServer,
  "supabase: the vendor's command line lists, makes, gets and deletes branches of the emulator",
  async () => {
    await using supabase = await openProject();
    using directory = temporaryDirectory();
    const profile = join(directory.path, "profile.yaml");
    const lines = [
      "name: emulator",
      `api_url: ${supabase.url}`,
      `dashboard_url: ${supabase.url}`,
      "project_host: example.com",
    ];
    await writeFile(profile, lines.join("\n"));
    const env = {
      HOME: directory.path,
      SUPABASE_ACCESS_TOKEN: TOKEN,
      SUPABASE_PROFILE: profile,
      SUPABASE_TELEMETRY_DISABLED: "1",
      DO_NOT_TRACK: "1",
    };
    const program = programOf("supabase@3.1.0", "supabase");
    const cli = async (...args: string[]) => {
      const command = [program, "--yes", "--output-format", "json", "branches", ...args, `--remote=${PROJECT}`];
      const { code, stdout, stderr } = await runCommand(directory.path, command, { env });
      assert.equal(code, 0, `${args.join(" ")}: ${stdout}${stderr}`);
      return stdout;
    };
    assert.match(await cli("list"), /"main"/);
    await cli("create", "shop-alice", "--with-data");
    const branch = supabase.find("shop-alice")!;
    assert.deepEqual([branch.withData, branch.persistent, branch.isDefault], [true, false, false]);
    await cli("list");
    await cli("list");
    await cli("list");
    const got = await cli("get", "shop-alice");
    for (const shown of [branch.password, branch.keys.anon, branch.keys.service_role, `postgres.${branch.ref}`]) {
      assert(got.includes(shown), `${shown} is not in ${got}`);
    }
    await cli("delete", "shop-alice");
    await cli("list");
    assert.equal(supabase.branches.size, 0);
  },
);
