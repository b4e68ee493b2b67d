/** Such circumstances of several checkouts, and at vendors. */
import { chmod, rm } from "node:fs/promises";
import { serveAws } from "../emulators/aws_s3.ts";
import { startDoppler } from "../emulators/doppler.ts";
import { startTurso } from "../emulators/turso.ts";
import { put } from "../providers/_s3.ts";
import { seedFile } from "../providers/_turso.ts";
import { WITHOUT_RIGHTS } from "../tools.ts";
import { type Place, repository, run, type RunOptions } from "./run.ts";
import { all, said, text, thrown, type Told } from "./hint_scenarios.ts";

/** A repository with a linked worktree beside it. */
async function linked(): Promise<{ place: Place; tree: string }> {
  const place = await repository();
  await place.write(".gitignore", "");
  await place.git("worktree", "add", "-q", "../tree");
  return { place, tree: place.path("..", "tree") };
}

/** Scenarios of several checkouts, and of git. */
export const OF_GIT: Readonly<Record<string, () => Promise<{ place: Place; told: Told }>>> = {
  async "a branch of another's name"() {
    const place = await repository();
    await place.git("branch", "feature-login");
    await place.git("switch", "-q", "-c", "feature/Login");
    return { place, told: await text(place, "new") };
  },
  async "a worktree on nothing"() {
    const { place, tree } = await linked();
    await place.ok("new", "alice", "--no-switch");
    const used = await thrown(tree, (stack) => stack.secret("A"));
    return { place, told: { text: used, cwd: tree } };
  },
  async "deleted where a worktree uses it"() {
    const { place, tree } = await linked();
    await place.ok("new", "alice");
    await run(tree, ["switch", "alice"]);
    return { place, told: { text: await said(place, ["delete", "alice", "--yes"]) } };
  },
  async "deleted in a worktree"() {
    const { place, tree } = await linked();
    await run(tree, ["new", "alice"]);
    return { place, told: { text: await said(place, ["delete", "alice", "--yes"], {}, tree), cwd: tree } };
  },
  async "half deleted in a worktree"() {
    const { place, tree } = await linked();
    await run(tree, ["new", "alice"]);
    await chmod(place.path(".forkstack", "secrets"), 0o555);
    const printed = await said(place, ["delete", "alice", "--yes"], { within: WITHOUT_RIGHTS }, tree);
    const mend = () => chmod(place.path(".forkstack", "secrets"), 0o755);
    return { place, told: { text: printed, cwd: tree, mend } };
  },
  async "a worktree on what is gone"() {
    const { place, tree } = await linked();
    await place.ok("new", "alice");
    await run(tree, ["switch", "alice"]);
    await place.ok("delete", "alice", "--yes");
    return { place, told: await text(place, "doctor") };
  },
  async "a worktree that is gone"() {
    const { place, tree } = await linked();
    await place.ok("new", "alice", "--no-switch");
    await run(tree, ["switch", "alice"]);
    await rm(tree, { recursive: true });
    return { place, told: await text(place, "doctor") };
  },
  async "the state is in git, and ours"() {
    const place = await repository();
    await place.ok("new", "alice");
    await place.git("add", "-f", ".forkstack");
    const printed = await all(place, "list");
    return { place, told: { text: printed.slice(0, printed.indexOf("what came")) } };
  },
  async "the state is in git, and another's"() {
    const place = await repository();
    await place.ok("new", "alice");
    await place.git("add", "-f", ".forkstack");
    await place.git("commit", "-qm", "theirs");
    const printed = await all(place, "list");
    return { place, told: { text: printed.slice(printed.indexOf("what came")) } };
  },
  async "git has no answer"() {
    const place = await repository();
    await place.write(".git/config", "[broken");
    return { place, told: { text: await all(place, "new"), codes: [128] } }; // it says what is broken
  },
};

/** A vendor's stand-in: the stack that uses it, its credentials, and what ends with the test. */
export interface AtVendor {
  readonly config: object;
  readonly env: Readonly<Record<string, string>>;
  readonly ends: AsyncDisposable;
}

export async function atTurso(place: Place, maxDatabases?: number): Promise<AtVendor> {
  const token = "header.platform-canary.token";
  const turso = await startTurso({ organization: "acme", tokens: { [token]: undefined }, maxDatabases });
  seedFile(place.path("..", "seed.db"));
  turso.add("shop", place.path("..", "seed.db"));
  const database = { provider: "turso", organization: "acme", endpoint: turso.url };
  return { config: { database }, env: { TURSO_API_TOKEN: token }, ends: turso };
}

async function atDoppler(maxConfigs?: number): Promise<AtVendor> {
  const token = "dp.sa.canary-0123456789";
  const doppler = await startDoppler({ project: "shop", tokens: [token], maxConfigs });
  doppler.config("prd")!.secrets.set("API_KEY", "live");
  const secrets = { provider: "doppler", project: "shop", endpoint: doppler.url };
  return { config: { secrets }, env: { DOPPLER_TOKEN: token }, ends: doppler };
}

async function atS3(): Promise<AtVendor> {
  const s3 = await serveAws({ maxBuckets: 1 });
  await put(s3.directory, "shop-bucket-prod", { "a/b": "of prod" });
  const { region, endpoint, credentials: { accessKeyId, secretAccessKey } } = s3;
  const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
  return { config: { storage: { provider: "s3", region, endpoint } }, env, ends: s3 };
}

/** A scenario at a vendor, with the variables that its credentials need. */
export interface VendorScenario {
  /** @default {Turso} */
  readonly open?: (place: Place) => Promise<AtVendor>;
  readonly run: (place: Place, options: RunOptions) => Promise<Told>;
}

const made = async (place: Place, options: RunOptions, ...names: string[]): Promise<Told> => {
  const texts: string[] = [];
  for (const name of names) texts.push(await said(place, ["new", name], options));
  return { text: texts.at(-1)!, options };
};

/** Scenarios at vendors. */
export const AT_VENDORS: Readonly<Record<string, VendorScenario>> = {
  "the limit of Turso's plan": {
    open: (place) => atTurso(place, 1),
    run: (place, options) => made(place, options, "alice"),
  },
  "the limit of Doppler's plan": {
    open: () => atDoppler(),
    run: (place, options) => made(place, options, ..."abcdefghijk"),
  },
  "the limit of the store": { open: atS3, run: (place, options) => made(place, options, "alice") },
  "a backup is kept": {
    open: () => atDoppler(),
    async run(place, options) {
      await said(place, ["new", "alice"], options);
      await said(place, ["delete", "alice", "--yes"], options);
      return {
        text: await said(place, ["list"], options) + await said(place, ["doctor"], options),
        options,
        codes: [4],
      };
    },
  },
  "an app has no value": {
    async run(place, options) {
      await place.write(".current-env", "prod\n");
      return { text: await thrown(place.root, (stack) => stack.of("database", "DATABASE_URL")), options };
    },
  },
  "no value for a URL": {
    run: async (place, options) => ({ text: await said(place, ["url", "database", "prod"], options), options }),
  },
  "a vendor that can't reset": {
    async run(place, options) {
      await said(place, ["new", "alice"], options);
      return { text: await said(place, ["reset", "alice", "--yes"], options), options };
    },
  },
  "another provider than before": {
    async run(place, options) {
      const now = await place.read("forkstack.json");
      await place.write("forkstack.json", '{"project": "shop", "database": {"provider": "sqlite"}}');
      await said(place, ["new", "alice"], options);
      await place.write("forkstack.json", now!);
      return { text: await said(place, ["new", "alice"], options) + await said(place, ["doctor"], options), options };
    },
  },
};
