/**
 * The provider and the emulator, held against the vendor's own: its specification, by a proxy between the two, its
 * command line, and the client that its community makes.
 */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import provider from "../../providers/database/supabase.ts";
import { runCommand } from "../cli/run.ts";
import { conformanceCases } from "../conformance.ts";
import { FAULTS, specification, startPrism } from "../emulators/prism.ts";
import { serve } from "../emulators/serve.ts";
import { startSupabase } from "../emulators/supabase.ts";
import { temporaryDirectory, testIf } from "../helpers.ts";
import { type Front, NOTES, PROJECT, SEED, server, SKIP, supabaseEmulator, whyNoServer } from "./_supabase.ts";

const { path: SPECIFICATION, missing } = specification("supabase.json");
/** Where the specification is known to be wrong. */
const EXCEPTIONS: readonly { readonly reason: string; readonly is: RegExp }[] = [
  {
    reason: "of the routes of branches it lists success and 500 alone; refusals happen all the same",
    is:
      /^(GET|POST|PATCH|DELETE) \S+\/branches\S*: \[\{"location":\["response"\],"severity":"Warning","message":"Unable to match the returned status code with those defined in the document: 20[01],500"\}\] \{"message":/,
  },
  {
    reason: "an entitlement's config must match exactly one of three shapes, but a number's matches that of a flag too",
    is:
      /^GET \S+\/entitlements: \[\{"location":\["response","body","entitlements","0","config"\],"severity":"Error","code":"oneOf","message":"[^"]*"\}\] /,
  },
];
const TOKEN = "sbp_0123456789abcdef0123456789abcdef01234567";

Deno.test({
  name: `supabase: the suite breaks no rule of Supabase's specification${missing ? ` (skipped: ${missing})` : ""}`,
  ignore: missing !== undefined || whyNoServer !== undefined,
  async fn(test) {
    const front: { -readonly [Key in keyof Front]?: Front[Key] } = {};
    const listening = await serve(() => front.current!);
    try {
      await using prism = await startPrism(SPECIFICATION, listening.url);
      front.server = listening;
      front.endpoint = prism.url;
      front.onAnswer = prism.onAnswer;
      for (const withData of [true, false]) {
        const emulator = supabaseEmulator({ front: front as Front, seed: withData ? SEED : NOTES });
        const options = { projectRef: PROJECT, withData };
        for (
          const { name, skipped, run } of conformanceCases({
            provider,
            faults: [...FAULTS, "403", "409"],
            emulator,
            options,
            skip: SKIP,
          })
        ) {
          // What data a branch has changes no call: the long cases run once.
          const isLong = /any call/.test(name);
          if (skipped === undefined && (withData || !isLong)) {
            await test.step(`${name}${withData ? "" : ", without data"}`, run);
          }
        }
      }

      // It must be able to fail: a ref with a digit, and a create without its name.
      const headers = { authorization: "Bearer x", "content-type": "application/json" };
      for (const [path, body] of [["projects/abc/branches", "{}"], [`projects/${PROJECT}/branches`, "{}"]]) {
        const refused = await fetch(`${prism.url}/v1/${path}`, { method: "POST", headers, body });
        await refused.text();
        assert.match(refused.headers.get("content-type") ?? "", /problem\+json/);
      }
      assert.deepEqual(prism.violations.filter((one) => !EXCEPTIONS.some(({ is }) => is.test(one))), []);
      for (const { reason, is } of EXCEPTIONS) {
        assert(prism.violations.some((one) => is.test(one)), `no longer: ${reason}`);
      }
      assert(prism.answers > 500, `only ${prism.answers} answers went through the proxy`);
      console.log(`${prism.answers} answers through Prism, ${prism.violations.length} of them known exceptions`);
    } finally {
      await listening.close();
    }
  },
});

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
      NPM_CONFIG_CACHE: process.env.NPM_CONFIG_CACHE ?? join(process.env.HOME ?? "/root", ".npm"),
      SUPABASE_TELEMETRY_DISABLED: "1",
      DO_NOT_TRACK: "1",
    };
    const cli = async (...args: string[]) => {
      const command = [
        "npx",
        "-y",
        "supabase@3.1.0",
        "--yes",
        "--output-format",
        "json",
        "branches",
        ...args,
        `--remote=${PROJECT}`,
      ];
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
