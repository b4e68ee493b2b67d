/** Trust from the command line: what is asked, what is refused before it, and that nothing ran or was sent by then. */
import assert from "node:assert/strict";
import { chmod, chown, cp, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { testIf } from "../helpers.ts";
import { commandOf, Place, run, transcript } from "./run.ts";
import { onTerminal, terminalTest } from "./terminal.ts";

const FILE = "providers/mine.ts";

/** A provider's file that says so when it is loaded, in the place. */
const marking = (place: Place, name = "it-ran") => `
  process.getBuiltinModule("node:fs").writeFileSync(${JSON.stringify(place.path(name))}, "");
  export default 1;
`;

/** A project that names code of its own, which nobody trusts yet. */
async function project(config: Record<string, unknown> = {}): Promise<Place> {
  const place = await Place.make({ database: { provider: `./${FILE}` }, ...config });
  await place.write(FILE, marking(place));
  return place;
}

async function hashOf(place: Place): Promise<string> {
  return (await place.json("trust", "--dry-run")).data.hash;
}

async function withHash(place: Place, hash: string, ...args: string[]) {
  const { stdout } = await run(place.root, [...args, "--json"], { env: { FORKSTACK_TRUST: hash } });
  return JSON.parse(stdout).error?.code;
}

const trustDirectory = (place: Place) => join(place.above, ".state", "forkstack");

/** Listens on this machine under a name that forkstack does not take for this machine; counts who comes. */
async function canary() {
  let count = 0;
  const asked = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    count++;
    asked.resolve();
    socket.on("error", () => {}).destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://LOCALHOST:${port}`,
    /** Ends a run that has come once: each try again takes its time. */
    stop: (kill: (signal: Deno.Signal) => void) => void asked.promise.then(() => kill("SIGKILL")),
    get count() {
      return count;
    },
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const TOKENS: Readonly<Record<string, string>> = Object.fromEntries(
  ("TURSO_API_TOKEN NEON_API_KEY PLANETSCALE_SERVICE_TOKEN_ID PLANETSCALE_SERVICE_TOKEN SUPABASE_ACCESS_TOKEN " +
    "UPSTASH_EMAIL UPSTASH_API_KEY REDIS_CLOUD_ACCOUNT_KEY REDIS_CLOUD_SECRET_KEY REDIS_CLOUD_API_KEY QSTASH_TOKEN INNGEST_API_KEY " +
    "DOPPLER_TOKEN VAULT_TOKEN AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY CLOUDFLARE_API_TOKEN CLOUDFLARE_ACCOUNT_ID " +
    "TIGRIS_STORAGE_ACCESS_KEY_ID TIGRIS_STORAGE_SECRET_ACCESS_KEY").split(" ").map((name) => [name, "canary"]),
);

const WITH_ENDPOINT: readonly [kind: string, options: Record<string, unknown>, option?: string][] = [
  ["database", { provider: "turso", organization: "acme" }],
  ["database", { provider: "neon", projectId: "late-frost-12345" }],
  ["database", { provider: "planetscale", organization: "acme", database: "shop" }],
  ["database", { provider: "supabase", projectRef: "abcdefghijklmnopqrst" }],
  ["storage", { provider: "s3" }],
  ["storage", { provider: "r2", account: "0".repeat(32) }],
  ["storage", { provider: "r2", account: "0".repeat(32) }, "s3Endpoint"],
  ["storage", { provider: "tigris" }],
  ["storage", { provider: "tigris" }, "iamEndpoint"],
  ["secrets", { provider: "doppler", project: "shop" }],
  ["secrets", { provider: "vault" }],
  ["secrets", { provider: "aws-secrets", region: "eu-central-1" }],
  ["cache", { provider: "upstash-redis" }],
  ["cache", { provider: "redis-cloud", subscription: 1 }],
  ["queue", { provider: "qstash" }],
  ["queue", { provider: "inngest" }],
  ["queue", { provider: "inngest" }, "eventEndpoint"],
];

for (const [kind, options, option = "endpoint"] of WITH_ENDPOINT) {
  Deno.test(`${options.provider}: before trust in its ${option}, nothing is sent there`, async () => {
    await using host = await canary();
    await using place = await Place.make({ [kind]: { ...options, [option]: host.url } });
    const granted = { env: TOKENS, allow: ["--allow-net", "--allow-sys"] };
    for (const args of [["new", "alice", "--yes"], ["doctor", "--dry-run"]]) {
      const { code, stdout } = await run(place.root, [...args, "--json"], granted);
      assert.deepEqual([code, JSON.parse(stdout).error?.code], [2, "NOT_TRUSTED"], stdout);
    }
    assert.equal(await place.read(".forkstack/registry.db"), undefined, "nothing was begun");
    assert.equal(host.count, 0);
    if (!/^(turso|s3|vault)$/.test(String(options.provider))) return; // the others ask in the same way
    await place.trust();
    await run(place.root, ["switch", "prod"], { ...granted, onStart: host.stop });
    assert(host.count > 0, "with trust it is asked");
  });
}

const LOOKING: readonly (readonly string[])[] = [
  ["list"],
  ["status"],
  ["status", "alice"],
  ["completions", "bash"],
  ["completions", "--", "switch", ""],
  ["help"],
  ["help", "new"],
  ["new", "--help"],
  ["--version"],
  ["permissions"],
  ["new", "alice", "--dry-run"],
  ["new", "--dry-run", "--empty"],
  ["new", "bob", "--at", "2h", "--dry-run"],
  ["switch", "dev", "--dry-run"],
  ["switch", "alice", "--dry-run"],
  ["delete", "alice", "--dry-run"],
  ["reset", "alice", "--dry-run"],
  ["prune", "--dry-run"],
  ["doctor", "--dry-run"],
  ["doctor", "--dry-run", "--rebuild"],
  ["init", "--dry-run", "--yes"],
  ["secrets", "list", "dev", "--dry-run"],
  ["secrets", "unset", "KEY", "dev", "--dry-run"],
  ["trust", "--dry-run"],
  ["trust", "--revoke", "--dry-run"],
];

for (const isTrusted of [false, true]) {
  Deno.test(`commands that only look run nothing of the repository, ${isTrusted ? "trusted" : "or not"}`, async () => {
    await using place = await project({ secrets: { provider: `./${FILE}` } });
    if (isTrusted) await place.trust();
    for (const args of LOOKING) {
      const { code, stderr } = await place.run(...args);
      assert.equal(await place.read("it-ran"), undefined, args.join(" "));
      assert.doesNotMatch(stderr, /NOT_TRUSTED|not trusted/, args.join(" "));
      assert(code !== null && [0, 2, 4].includes(code), `${args.join(" ")}: ${code} ${stderr}`);
    }
    for (const args of [["list"], ["status"], ["permissions"], ["new", "alice", "--dry-run"], ["init", "--dry-run"]]) {
      assert.equal((await place.run(...args)).code, 0, args.join(" "));
    }
    const { code } = await place.run("new", "alice");
    assert.equal(code, 2);
    assert.equal(await place.read("it-ran") !== undefined, isTrusted, "it does say so when it is loaded");
  });
}

Deno.test("off a terminal: NOT_TRUSTED, --yes of other commands says nothing to it, and trust --yes does", async () => {
  await using place = await project({ storage: { provider: "s3", endpoint: "https://s3.acme.example" } });
  const hash = await hashOf(place);
  const refused = `! error: Cannot use what forkstack.json names: not trusted yet: ` +
    `provider "./providers/mine.ts" of database; endpoint "https://s3.acme.example" of storage\n` +
    `!   hint: Read it, then run \`forkstack trust\`; in CI set FORKSTACK_TRUST=${hash}\n=> 2`;
  for (
    const args of [
      ...[["new", "alice"], ["new", "alice", "--yes"], ["switch", "prod"], ["delete", "alice", "--yes"], ["doctor"]],
      ...[["prune", "--yes"], ["run", "prod", "--", "true"], ["secrets", "list"], ["serve"], ["trust"]],
    ]
  ) assert.equal(await transcript(place, args), refused, args.join(" "));
  assert.equal(await place.read("it-ran"), undefined);
  assert.equal(await place.read(".forkstack/registry.db"), undefined);
  assert.equal(
    await transcript(place, ["trust", "--yes"]),
    `Trusted: provider "./providers/mine.ts" of database; endpoint "https://s3.acme.example" of storage
! Trusted from now on:
!   provider "./providers/mine.ts" of database: runs as you, with your credentials
!     ./providers/mine.ts sha256 ${(await place.json("trust")).data.items[0].files["./providers/mine.ts"]}
!   endpoint "https://s3.acme.example" of storage: gets credentials and data
=> 0`,
  );
  assert.equal((await place.json("new", "alice")).error.code, "PROVIDER_INVALID", "it is loaded, and is no provider");
  assert.match((await place.ok("trust")).stdout, /^Trusted already: provider/);
  const { data } = await place.json("trust", "--dry-run");
  assert.deepEqual(data.items.map(({ state }: { state: string }) => state), ["trusted", "trusted"]);
  assert.match((await place.ok("trust", "--revoke")).stdout, /Nothing of this project is trusted any more/);
  assert.equal((await place.json("doctor")).error.code, "NOT_TRUSTED");
  assert.match((await place.ok("trust", "--revoke")).stdout, /Nothing of this project was trusted/);
});

Deno.test("a project that names nothing of the kind is never asked, and has no state in the home directory", async () => {
  await using place = await Place.make({
    storage: { provider: "s3", endpoint: "http://127.0.0.1:9000" },
    queue: { provider: "qstash", endpoint: "https://qstash-us-east-1.upstash.io" },
    registry: { url: "http://127.0.0.1:1" },
  });
  assert.notEqual((await place.json("doctor")).error.code, "NOT_TRUSTED");
  assert.match((await place.ok("trust")).stdout, /^Nothing to trust/);
  assert.deepEqual(await readdir(place.above), ["shop"]);
});

Deno.test("FORKSTACK_TRUST lets in exactly what it is the hash of, and keeps nothing", async () => {
  await using place = await project();
  await using other = await project({ project: "other" });
  const hash = await hashOf(place);
  assert.notEqual(hash, await hashOf(other));
  assert.equal(await withHash(place, hash, "new", "alice"), "PROVIDER_INVALID", "it is loaded");
  await rm(place.path("it-ran"));
  for (const wrong of [await hashOf(other), hash.toUpperCase(), hash.slice(1), `${hash}\n`, "*", "true", "1"]) {
    assert.equal(await withHash(place, wrong, "new", "alice"), "NOT_TRUSTED", wrong);
  }
  await place.write(FILE, `${marking(place)}// changed`);
  assert.equal(await withHash(place, hash, "new", "alice"), "NOT_TRUSTED");
  assert.equal(await place.read("it-ran"), undefined);
  assert.deepEqual((await readdir(place.above)).sort(), ["shop"]);
});

Deno.test("a change of what was shown is asked about again, by whatever way it came; other settings are not", async () => {
  const config = { project: "shop", database: { provider: `./${FILE}`, region: "a" } };
  await using place = await project(config);
  await place.write("providers/inner.ts", "export const a = 1;");
  await place.write(FILE, `import "./inner.ts";${marking(place)}`);
  await place.trust();
  const code = async () => (await place.json("doctor")).error.code;
  const declare = (more: object) => place.write("forkstack.json", JSON.stringify({ ...config, ...more }));
  assert.equal(await code(), "PROVIDER_INVALID", "it is loaded");
  await declare({ ttl: "7d", parent: "dev" });
  assert.equal(await code(), "PROVIDER_INVALID");
  await rm(place.path("it-ran"));

  await place.write("providers/inner.ts", "export const a = 2;");
  assert.equal(await code(), "NOT_TRUSTED", "a file that it imports");
  await place.write("providers/inner.ts", "export const a = 1;");
  await declare({ database: { ...config.database, region: "b" } });
  assert.equal(await code(), "NOT_TRUSTED", "an option that only the provider understands");
  await declare({ storage: { provider: "s3", endpoint: "https://s3.acme.example" } });
  assert.equal(await code(), "NOT_TRUSTED", "one more thing");
  await declare({});
  await rename(place.path(FILE), place.path("elsewhere.ts"));
  await place.write("elsewhere.ts", `${marking(place)}// swapped`);
  await symlink("../elsewhere.ts", place.path(FILE));
  assert.equal(await code(), "NOT_TRUSTED", "a link to another file");
  assert.equal(await place.read("it-ran"), undefined, "nothing of them ran");
});

Deno.test("a new worktree does not ask again; a copy elsewhere, and a .git file that only claims so, do", async () => {
  await using place = await project();
  await place.write(".gitignore", "it-ran\n");
  await place.git("init", "-q");
  await place.git("add", ".");
  await place.git("commit", "-qm", "x");
  await place.trust();
  await place.git("worktree", "add", "-q", "../linked");
  const code = async (name: string) => {
    const { stdout } = await run(join(place.above, name), ["doctor", "--json"]);
    return JSON.parse(stdout).error.code;
  };
  assert.equal(await code("linked"), "PROVIDER_INVALID", "it is loaded");
  await cp(place.root, join(place.above, "copy"), { recursive: true });
  assert.equal(await code("copy"), "NOT_TRUSTED");
  await mkdir(join(place.above, "claims", "providers"), { recursive: true });
  for (const name of ["forkstack.json", FILE]) await cp(place.path(name), join(place.above, "claims", name));
  await cp(join(place.above, "linked", ".git"), join(place.above, "claims", ".git"));
  assert.equal(await code("claims"), "NOT_TRUSTED", "git knows the worktree at another path");
});

Deno.test("what was kept for another repository, or cannot be this user's, is not believed", async () => {
  await using place = await project();
  await using other = await project();
  await other.trust();
  const [name] = await readdir(join(trustDirectory(other), "trust"));
  await place.trust();
  const [own] = await readdir(join(trustDirectory(place), "trust"));
  assert.notEqual(name, own);
  const path = join(trustDirectory(place), "trust", own!);
  const text = await readFile(path, "utf8");
  const code = async () => (await place.json("doctor")).error.code;
  assert.equal(await code(), "PROVIDER_INVALID", "it is loaded");
  await cp(join(trustDirectory(other), "trust", name!), path);
  assert.equal(await code(), "NOT_TRUSTED", "another repository's, under this one's name");
  for (const damaged of ["", "{}", '{"trusted": 1}', "null", text.slice(0, 100)]) {
    await writeFile(path, damaged);
    assert.equal(await code(), "NOT_TRUSTED", damaged);
  }

  await writeFile(path, text);
  await chmod(path, 0o666);
  assert.equal(await code(), "NOT_PERMITTED", "others may write to it");
  await rm(path);
  await writeFile(join(place.above, "aside.json"), text);
  await symlink(join(place.above, "aside.json"), path);
  assert.equal(await code(), "NOT_PERMITTED", "a link");
  await rm(path);
  await writeFile(path, text, { mode: 0o600 });
  assert.equal(await code(), "PROVIDER_INVALID", "as it was");
  await chmod(join(trustDirectory(place), "trust"), 0o777);
  assert.equal(await code(), "NOT_PERMITTED", "a directory that others may write to");
  await chmod(join(trustDirectory(place), "trust"), 0o700);
  await rename(trustDirectory(place), join(place.above, "aside"));
  await symlink(join(place.above, "aside"), trustDirectory(place));
  assert.equal(await code(), "NOT_PERMITTED", "a state directory that is a link");
});

testIf(
  process.getuid?.() === 0 ? undefined : "only root can give a file to somebody else",
  "what another user owns in the state directory is not believed, nor written to",
  async () => {
    await using place = await project();
    await place.trust();
    const [own] = await readdir(join(trustDirectory(place), "trust"));
    for (
      const path of [
        join(trustDirectory(place), "trust", own!),
        join(trustDirectory(place), "trust"),
        trustDirectory(place),
      ]
    ) {
      await chown(path, 65_534, 65_534);
      for (const args of [["doctor"], ["trust", "--yes"]]) {
        const { error } = await place.json(...args);
        assert.deepEqual([error?.code, /another user owns it/.test(error?.message)], ["NOT_PERMITTED", true], path);
      }
      await chown(path, 0, 0);
    }
    assert.equal(await place.read("it-ran"), undefined);
  },
);

Deno.test("the registry is not opened without trust: list, status and plans say so, and a Tab is silent", async () => {
  for (const url of ["libsql://shop-registry.acme.example", "file:///tmp/of-somebody-else/registry.db"]) {
    await using place = await Place.make({ registry: { url } });
    for (
      const args of [["list"], ["status"], ["new", "alice"], ["new", "alice", "--dry-run"], ["prune", "--dry-run"]]
    ) {
      const { error, code } = await place.json(...args);
      assert.deepEqual([code, error?.code], [2, "NOT_TRUSTED"], args.join(" "));
      assert(error.message.includes(`registry "${url}"`));
    }
    assert.doesNotMatch((await place.ok("completions", "--", "switch", "")).stdout, /alice/);
    await place.trust();
    assert.notEqual((await place.json("list")).error?.code, "NOT_TRUSTED");
  }
});

Deno.test("a host that only the registry names gets nothing", async () => {
  await using host = await canary();
  const turso = { provider: "turso", organization: "acme" };
  await using place = await Place.make();
  const { DatabaseSync } = await import("node:sqlite");
  await place.write("forkstack.json", '{ "project": "shop" }');
  await place.ok("new", "alice", "--no-switch");
  {
    using database = new DatabaseSync(place.path(".forkstack/registry.db"));
    const options = JSON.stringify({ ...turso, provider: undefined, endpoint: host.url, group: "default" });
    database.exec("DELETE FROM resources WHERE key <> 'database'");
    database.prepare("UPDATE resources SET provider = 'turso', options = ?").run(options);
  }
  const database = { ...turso, endpoint: "http://127.0.0.1:1" };
  await place.write("forkstack.json", JSON.stringify({ project: "shop", database }));
  const granted = { env: TOKENS, allow: ["--allow-net"] };
  for (const args of [["doctor"], ["extend", "alice", "2d"], ["delete", "alice", "--yes"]]) {
    const { stdout } = await run(place.root, [...args, "--json"], granted);
    assert.match(stdout, /the registry names it, forkstack\.json does not/, args.join(" "));
  }
  assert.equal(host.count, 0);
  await place.write(
    "forkstack.json",
    JSON.stringify({ project: "shop", database: { ...database, endpoint: host.url } }),
  );
  await place.trust();
  await place.write("forkstack.json", JSON.stringify({ project: "shop", database }));
  await run(place.root, ["delete", "alice", "--yes"], { ...granted, onStart: host.stop });
  assert(host.count > 0, "one that was trusted before is asked");
});

const onIt = (place: Place, args: string[], steps: Parameters<typeof onTerminal>[2]) =>
  onTerminal(place.root, commandOf(args), steps, { env: { XDG_STATE_HOME: join(place.above, ".state") } });

terminalTest("on a terminal the command asks, shows the text, and by default the answer is no", async () => {
  await using place = await project();
  for (const type of ["\r", "n", "\x03"]) {
    const { code, shown } = await onIt(place, ["new", "alice", "--yes"], [{ until: "Trust it\\?", type }]);
    assert.equal(code, 130, shown);
    assert.match(shown, /provider "\.\/providers\/mine\.ts" of database: runs as you, with your credentials/);
    assert.match(shown, /\| {3}process\.getBuiltinModule\("node:fs"\)\.writeFileSync\(".+it-ran"/);
  }
  assert.equal(await place.read("it-ran"), undefined);
  assert.deepEqual(await readdir(place.above), ["shop"]);
  const yes = await onIt(place, ["doctor"], [{ until: "Trust it\\?", type: "y" }]);
  assert.match(yes.shown, /PROVIDER_INVALID|must be a provider/);
  assert(await place.read("it-ran") !== undefined, "it was loaded");
  assert.equal((await place.json("doctor")).error.code, "PROVIDER_INVALID", "and is not asked about again");
});

terminalTest(
  "a change shows the difference alone; a file that is swapped under the question does not run",
  async () => {
    await using place = await project();
    await place.write(FILE, `${"// a line\n".repeat(20)}${marking(place)}// old end\n`);
    await place.trust();
    await place.write(FILE, `${"// a line\n".repeat(20)}${marking(place)}// new \x1b]0;end\n`);
    const { shown } = await onIt(place, ["trust"], [{ until: "Trust it\\?", type: "y" }]);
    assert.match(shown, /mine\.ts, what changed/);
    assert.match(shown, /\| -\/\/ old end/);
    assert.match(shown, /\| \+\/\/ new \\u\{1b\}\]0;end/);
    assert((shown.match(/a line/g) ?? []).length <= 3, shown);

    const config = { project: "shop", database: { provider: `./${FILE}`, region: "a" } };
    await place.write(
      "forkstack.json",
      JSON.stringify({ ...config, storage: { provider: "s3", endpoint: "https://a.example" } }),
    );
    await place.trust();
    config.database.region = "b";
    await place.write(
      "forkstack.json",
      JSON.stringify({ ...config, storage: { provider: "s3", endpoint: "https://b.example" } }),
    );
    const moved = await onIt(place, ["trust"], [{ until: "Trust these 2\\?", type: "y" }]);
    assert.match(moved.shown, /before: endpoint "https:\/\/a\.example" of storage/);
    assert.match(moved.shown, /options before: \{"region":"a"\}/);
    assert.doesNotMatch(moved.shown, /writeFileSync/, "the text is as it was");

    await place.write("forkstack.json", JSON.stringify({ project: "shop", database: { provider: `./${FILE}` } }));
    await place.write(FILE, `${marking(place)}// as shown\n`);
    const evil = marking(place, "evil-ran");
    const swap = { until: "Trust it\\?", write: [place.path(FILE), evil] as const, type: "y" };
    await onIt(place, ["doctor"], [swap]);
    assert(await place.read("it-ran") !== undefined, "what was shown ran");
    assert.equal((await place.json("doctor")).error.code, "NOT_TRUSTED", "what stands there now is asked about");
    assert.equal(await place.read("evil-ran"), undefined);
  },
);
