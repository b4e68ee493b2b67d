/**
 * Runs examples/music as its README says, in a copy: setup, server and command line are processes of their own, with
 * the permissions that its deno.json grants them.
 *
 *     deno test -q -P=test tests/examples
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { derivedVariables, stateRoot } from "../../mod.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const CHINOOK = join(ROOT, "../shared/data/chinook/Chinook_Sqlite.sqlite");
const NOWHERE = "/nowhere/chinook.sqlite";
const HAS_CHINOOK = existsSync(CHINOOK);
const HAS_CLI = existsSync(join(ROOT, "cli.ts"));

const PNG = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1, 2, 3]);
const GIF = new TextEncoder().encode("GIF89a, as far as anybody looks");
const SCRIPT = `"><script>alert('x')</script>`;

// -------------------------------------------------------------------------------------------------------- a checkout

/** The repository as a user has it, as far as the example needs it, in a directory of its own. */
class Checkout implements AsyncDisposable {
  readonly root: string;
  readonly music: string;

  private constructor(root: string) {
    this.root = root;
    this.music = join(root, "examples", "music");
  }

  static async make(): Promise<Checkout> {
    const made = new Checkout(await Deno.makeTempDir({ prefix: "forkstack-music-" }));
    await Deno.mkdir(made.music, { recursive: true });
    for (const name of ["mod.ts", "cli.ts", "deno.json", "deno.lock", "core", "providers"]) {
      await copy(join(ROOT, name), join(made.root, name));
    }
    // Sources only: somebody may have run the example where it stands.
    for await (const { name, isFile } of Deno.readDir(join(ROOT, "examples/music"))) {
      if (!isFile || name === ".current-env" || name === ".env.local") continue;
      await copy(join(ROOT, "examples/music", name), join(made.music, name));
    }
    return made;
  }

  /** Paths of an environment's resources, by forkstack's own word; also of one that was deleted. */
  places(env: string) {
    const config = JSON.parse(Deno.readTextFileSync(join(this.music, "forkstack.json")));
    const of = derivedVariables(config, stateRoot(this.music), env);
    return {
      database: of.DATABASE_PATH!,
      bucket: of.BUCKET_PATH!,
      secrets: of.SECRETS_FILE!,
      local: of.LOCAL_PATH!,
    };
  }

  /** Every file of an environment's resources with its bytes. */
  async filesOf(env: string): Promise<Record<string, string>> {
    const { database, ...others } = this.places(env);
    const companions = ["", "-wal", "-shm", "-journal"].map((suffix) => database + suffix);
    return await snapshot([...companions, ...Object.values(others)]);
  }

  async token(env: string): Promise<string> {
    const text = await Deno.readTextFile(this.places(env).secrets);
    return /^ADMIN_TOKEN='?(.+?)'?$/m.exec(text)![1];
  }

  async deno(args: string[], env: Record<string, string> = {}) {
    const output = await new Deno.Command(Deno.execPath(), {
      args,
      cwd: this.music,
      clearEnv: true,
      env: { ...inherited(), ...env },
    }).output();
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code: output.code, stdout: decode(output.stdout), stderr: decode(output.stderr) };
  }

  async setup(chinook = NOWHERE): Promise<string> {
    const { code, stdout, stderr } = await this.deno(["task", "-q", "setup"], { CHINOOK: chinook });
    assert.equal(stderr, "");
    assert.equal(code, 0);
    return stdout;
  }

  async serve(env: Record<string, string> = {}): Promise<Server> {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-P=app", "main.ts", "--port", "0"],
      cwd: this.music,
      clearEnv: true,
      env: { ...inherited(), ...env },
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const stderr = new Response(child.stderr).text();
    let greeting = "";
    const stdout = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    while (!greeting.includes("\n")) {
      const { value, done } = await stdout.read();
      if (done) throw new Error(`The server did not start: ${await stderr}`);
      greeting += value;
    }
    return new Server(greeting, child, stdout, stderr);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root, { recursive: true });
  }
}

class Server implements AsyncDisposable {
  readonly greeting: string;
  readonly url: string;
  readonly #child: Deno.ChildProcess;
  readonly #stdout: ReadableStreamDefaultReader<string>;
  readonly #stderr: Promise<string>;

  constructor(
    greeting: string,
    child: Deno.ChildProcess,
    stdout: ReadableStreamDefaultReader<string>,
    stderr: Promise<string>,
  ) {
    this.greeting = greeting;
    this.url = /http:\S+\d/.exec(greeting)![0];
    this.#child = child;
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  async text(path: string, init?: RequestInit): Promise<{ status: number; headers: Headers; body: string }> {
    const response = await fetch(this.url + path, init);
    return { status: response.status, headers: response.headers, body: await response.text() };
  }

  async json(path: string, init?: RequestInit) {
    const { status, body } = await this.text(path, init);
    return { status, body: JSON.parse(body) };
  }

  addTrack(token: string, name: string, album = "1") {
    return this.json(`/api/albums/${album}/tracks`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({ name, milliseconds: 61_000 }),
    });
  }

  putCover(token: string, album: string, body: BodyInit, type = "image/png") {
    const headers = { authorization: `Bearer ${token}`, "content-type": type };
    return this.text(`/covers/${album}`, { method: "PUT", headers, body });
  }

  /** The answer to a request whose path no client library has tidied up. */
  async raw(requestLine: string): Promise<string> {
    const { hostname, port } = new URL(this.url);
    using connection = await Deno.connect({ hostname, port: Number(port) });
    const request = `${requestLine} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`;
    await connection.write(new TextEncoder().encode(request));
    let answer = "";
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(64 * 1024);
    for (let read; (read = await connection.read(buffer)) !== null;) answer += decoder.decode(buffer.subarray(0, read));
    return answer;
  }

  /** Ends the server; what it said on stderr fails the test. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
    await this.#stdout.cancel();
    assert.equal(await this.#stderr, "");
  }
}

/** What processes need of ours, without anything that could name an environment or a resource. */
function inherited(): Record<string, string> {
  const kept = /^(PATH|HOME|TMPDIR|SystemRoot|DENO_\w+|XDG_\w+|npm_config_\w+|https?_proxy|no_proxy|SSL_CERT_\w+)$/i;
  const all = Object.entries(Deno.env.toObject()).filter(([name]) => kept.test(name));
  return { ...Object.fromEntries(all), NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" };
}

async function copy(from: string, to: string): Promise<void> {
  const info = await statOf(from);
  if (info === undefined) return;
  if (info.isFile) return await Deno.copyFile(from, to);
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) await copy(join(from, name), join(to, name));
}

async function snapshot(paths: readonly string[]): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  async function visit(path: string): Promise<void> {
    const info = await statOf(path);
    if (info?.isDirectory) {
      for await (const { name } of Deno.readDir(path)) await visit(join(path, name));
    } else if (info !== undefined) files[path] = (await Deno.readFile(path)).toBase64();
  }
  for (const path of paths) await visit(path);
  return Object.fromEntries(Object.entries(files).sort(([a], [b]) => a < b ? -1 : 1));
}

async function statOf(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

// ------------------------------------------------------------------------------------------------------------- setup

const SOURCES = [
  { data: "a small database", chinook: NOWHERE, says: "made a small database", artists: 3, albums: 3, tracks: 8 },
  ...(HAS_CHINOOK
    ? [{ data: "Chinook", chinook: CHINOOK, says: "copied Chinook", artists: 275, albums: 347, tracks: 3503 }]
    : []),
];

for (const { data, chinook, says, ...counts } of SOURCES) {
  Deno.test(`music: setup fills dev with ${data}, and keeps what is there when run again`, async () => {
    await using checkout = await Checkout.make();
    const first = await checkout.setup(chinook);
    assert.match(first, new RegExp(`${says}.* music-dev \\(${counts.tracks} tracks\\)`));
    const { database, secrets } = checkout.places("dev");
    assert.equal((await Deno.stat(database)).mode! & 0o200, 0o200, "writable, also where its source is not");
    assert.equal((await Deno.stat(secrets)).mode! & 0o777, 0o600);
    assert.ok(!first.includes(await checkout.token("dev")), "the token is not printed");

    const before = await checkout.filesOf("dev");
    assert.match(await checkout.setup(chinook === NOWHERE && HAS_CHINOOK ? CHINOOK : NOWHERE), /kept music-dev/);
    assert.deepEqual(await checkout.filesOf("dev"), before);
  });

  Deno.test(`music: the server shows ${data}`, async () => {
    await using checkout = await Checkout.make();
    await checkout.setup(chinook);
    await using server = await checkout.serve();
    assert.match(server.greeting, /^music \[dev\] http:\/\/127\.0\.0\.1:\d+\/\n$/);

    const stats = { env: "dev", database: "music-dev", bucket: "music-bucket-dev", ...counts, covers: 0 };
    assert.deepEqual(await server.json("/api/stats"), { status: 200, body: stats });

    const home = await server.text("/");
    assert.equal(home.status, 200);
    assert.equal(home.headers.get("content-type"), "text/html; charset=utf-8");
    assert.match(home.body, /environment <strong>dev<\/strong>/);
    assert.ok(home.body.includes(`<dd>${counts.tracks.toLocaleString("en")}</dd>`));
    assert.match(home.body, /<small>\d+\s+tracks<\/small>/);

    const tracks = await server.json("/api/tracks?limit=5");
    assert.equal(tracks.body.env, "dev");
    assert.equal(tracks.body.total, counts.tracks);
    assert.deepEqual(tracks.body.tracks.map(({ id }: { id: number }) => id), [1, 2, 3, 4, 5]);
    const { name, artist } = tracks.body.tracks[0];
    const found = await server.json(`/api/tracks?q=${encodeURIComponent(artist.toUpperCase())}`);
    assert.ok(found.body.tracks.some((track: { name: string }) => track.name === name));
    assert.ok(found.body.total < counts.tracks);
    assert.ok((await server.text(`/?q=${encodeURIComponent(name)}`)).body.includes(artist));
  });
}

Deno.test("music: setup touches no environment but dev", async () => {
  await using checkout = await Checkout.make();
  const before = await snapshot([checkout.root]);
  const named = await checkout.deno(["task", "-q", "setup"], { FORKSTACK_ENV: "alice" });
  await Deno.writeTextFile(join(checkout.music, ".current-env"), "prod\n");
  const current = await checkout.deno(["task", "-q", "setup"]);
  await Deno.remove(join(checkout.music, ".current-env"));
  for (const [{ code, stderr }, env] of [[named, "alice"], [current, "prod"]] as const) {
    assert.equal(code, 1);
    assert.ok(stderr.includes(`Cannot set up environment "${env}"`), stderr);
    assert.match(stderr, /hint: Run `deno task envs:switch dev`/);
  }
  assert.deepEqual(await snapshot([checkout.root]), before);
});

Deno.test("music: setup leaves a file alone that is not its database", async () => {
  await using checkout = await Checkout.make();
  const { database } = checkout.places("dev");
  await Deno.mkdir(join(database, ".."), { recursive: true });
  await Deno.writeTextFile(database, "somebody's notes");
  const { code, stderr } = await checkout.deno(["task", "-q", "setup"], { CHINOOK: NOWHERE });
  assert.equal(code, 1);
  assert.match(stderr, /lacks the tables of Chinook/);
  assert.equal(await Deno.readTextFile(database), "somebody's notes");
});

// ------------------------------------------------------------------------------------------------------------ server

Deno.test("music: the server says what to run where setup was not, and makes nothing", async () => {
  await using checkout = await Checkout.make();
  const before = await snapshot([checkout.root]);
  const { code, stderr } = await checkout.deno(["run", "-q", "-P=app", "main.ts", "--port", "0"]);
  assert.equal(code, 1);
  assert.match(stderr, /environment "dev".*\n {2}hint: Run `deno task setup`/);
  const alice = await checkout.deno(["run", "-q", "-P=app", "main.ts", "--port", "0"], { FORKSTACK_ENV: "alice" });
  assert.match(alice.stderr, /environment "alice".*\n {2}hint: Run `deno task envs:new alice`/);
  assert.deepEqual(await snapshot([checkout.root]), before);

  await checkout.setup();
  const { database } = checkout.places("dev");
  await Deno.remove(database);
  const lost = await checkout.deno(["run", "-q", "-P=app", "main.ts", "--port", "0"]);
  assert.match(lost.stderr, /^error: Cannot open the database of environment "dev"/);
  assert.ok(!existsSync(database), "an empty database would hide that it is lost");
});

Deno.test("music: the server takes its port from --port before PORT, and refuses what is none", async () => {
  await using checkout = await Checkout.make();
  await checkout.setup();
  await using _server = await checkout.serve({ PORT: "not read" });
  const { code, stderr } = await checkout.deno(["run", "-q", "-P=app", "main.ts"], { PORT: "70000" });
  assert.equal(code, 1);
  assert.match(stderr, /^error: The port must be from 0 to 65535\n$/);
});

Deno.test("music: a write needs the environment's token, and without one changes nothing", async () => {
  await using checkout = await Checkout.make();
  await checkout.setup();
  const token = await checkout.token("dev");
  const before = await checkout.filesOf("dev");
  await using server = await checkout.serve();
  for (const wrong of ["", "x", `${token}x`, token.slice(1), token.toLowerCase()]) {
    const added = await server.addTrack(wrong, "No");
    assert.equal(added.status, 401);
    assert.match(added.body.error.message, /ADMIN_TOKEN/);
    const put = await server.putCover(wrong, "1", PNG);
    assert.equal(put.status, 401);
    assert.equal(put.headers.get("www-authenticate"), "Bearer");
    assert.ok(!put.body.includes(token));
  }
  assert.equal((await server.json("/api/albums/1/tracks", { method: "POST", body: "{}" })).status, 401);
  assert.deepEqual(await checkout.filesOf("dev"), before);

  const { status, body } = await server.addTrack(token, "Yes");
  assert.equal(status, 201);
  assert.equal(body.track.name, "Yes");
  assert.equal((await server.json("/api/tracks?q=Yes")).body.total, 1);
  assert.match((await server.text("/")).body, /Last added[^]*Yes/);
});

Deno.test("music: without the secret every write is refused, naming it", async () => {
  await using checkout = await Checkout.make();
  await checkout.setup();
  await Deno.remove(checkout.places("dev").secrets);
  await using server = await checkout.serve();
  for (const token of ["", "undefined", "null"]) {
    const { status, body } = await server.addTrack(token, "No");
    assert.equal(status, 503);
    assert.equal(body.error.code, "SECRET_MISSING");
    assert.match(body.error.message, /"ADMIN_TOKEN" of environment "dev"/);
  }
  assert.equal((await server.json("/api/stats")).body.tracks, 8);
});

Deno.test("music: nothing that was searched or stored becomes markup", async () => {
  await using checkout = await Checkout.make();
  await checkout.setup();
  await using server = await checkout.serve();
  assert.equal((await server.addTrack(await checkout.token("dev"), SCRIPT)).status, 201);
  for (const path of ["/", `/?q=${encodeURIComponent(SCRIPT)}`]) {
    const { body, headers } = await server.text(path);
    assert.ok(!/<script|"><|alert\('/.test(body), body);
    assert.ok(body.includes("&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)"));
    assert.match(headers.get("content-security-policy")!, /default-src 'none'/);
    assert.equal(headers.get("x-content-type-options"), "nosniff");
  }
});

Deno.test("music: bad requests are told what is wanted", async () => {
  await using checkout = await Checkout.make();
  await checkout.setup();
  const token = await checkout.token("dev");
  await using server = await checkout.serve();
  for (const limit of ["0", "101", "-1", "1.5", "x", ""]) {
    assert.equal((await server.json(`/api/tracks?limit=${limit}`)).status, 400, limit);
  }
  assert.equal((await server.json("/nothing")).status, 404);
  assert.equal((await server.text("/api/stats", { method: "DELETE" })).headers.get("allow"), "GET");
  assert.equal((await server.addTrack(token, "")).status, 400);
  assert.equal((await server.addTrack(token, "x".repeat(201))).status, 400);
  assert.equal((await server.addTrack(token, "x".repeat(20_000))).status, 413);
  assert.equal((await server.addTrack(token, "x", "999999")).status, 404);
  const headers = { authorization: `Bearer ${token}` };
  for (const body of ["{", "null", '{"name": 1}', '{"name": "x", "milliseconds": "1; DROP TABLE Track"}']) {
    assert.equal((await server.json("/api/albums/1/tracks", { method: "POST", headers, body })).status, 400, body);
  }
  for (const search of ["%", "_", "\\", "' OR 1 = 1 --"]) {
    assert.equal((await server.json(`/api/tracks?q=${encodeURIComponent(search)}`)).body.total, 0, search);
  }
});

Deno.test("music: a cover comes back with its bytes and its type, and is replaced whole", async () => {
  await using checkout = await Checkout.make();
  await checkout.setup();
  const token = await checkout.token("dev");
  await using server = await checkout.serve();
  assert.equal((await server.text("/covers/1")).status, 404);
  for (const [bytes, type, status] of [[PNG, "image/png", 201], [GIF, "image/gif", 204]] as const) {
    assert.equal((await server.putCover(token, "1", bytes, type)).status, status);
    const got = await fetch(`${server.url}/covers/1`);
    assert.equal(got.headers.get("content-type"), type);
    assert.deepEqual(await got.bytes(), bytes);
  }
  assert.deepEqual(Object.keys(await snapshot([checkout.places("dev").bucket])), [
    join(checkout.places("dev").bucket, "covers/1"),
  ]);
  assert.equal((await server.json("/api/stats")).body.covers, 1);
  assert.match((await server.text("/")).body, /<img src="\/covers\/1"/);
});

Deno.test("music: a cover must be an image of the type it says, and at most 2 MiB", async () => {
  await using checkout = await Checkout.make();
  await checkout.setup();
  const token = await checkout.token("dev");
  await using server = await checkout.serve();
  const page = new TextEncoder().encode("<svg onload=alert(1)>");
  for (const [bytes, type] of [[PNG, "image/gif"], [page, "image/png"], [page, "image/svg+xml"], [PNG, "text/html"]]) {
    assert.equal((await server.putCover(token, "1", bytes as Uint8Array<ArrayBuffer>, type as string)).status, 415);
  }
  const large = new Uint8Array(2 * 1024 * 1024 + 1);
  large.set(PNG);
  const inPieces = new ReadableStream({
    start(controller) {
      for (let at = 0; at < large.length; at += 65_536) controller.enqueue(large.slice(at, at + 65_536));
      controller.close();
    },
  });
  for (const body of [large, inPieces]) assert.equal((await server.putCover(token, "1", body)).status, 413);
  assert.deepEqual(await snapshot([checkout.places("dev").bucket]), {});
  assert.equal((await server.putCover(token, "1", large.subarray(0, large.length - 1))).status, 201);
});

Deno.test("music: no request reads or writes outside the bucket", async () => {
  await using checkout = await Checkout.make();
  await checkout.setup();
  const token = await checkout.token("dev");
  const before = await snapshot([checkout.root]);
  await using server = await checkout.serve();
  const paths = [
    "..%2F..%2F..%2Fsecrets%2Fdev.env",
    "%2e%2e%2f1",
    "..%5C1",
    "%2Fetc%2Fpasswd",
    "1%00",
    "1%2F..%2F..%2F1",
  ];
  for (const path of [...paths, "1.tmp", "01", "0", "-1", "1e0", "0x1", " 1", "99999999999999999999", "4"]) {
    for (const { status, body } of [await server.text(`/covers/${path}`), await server.putCover(token, path, PNG)]) {
      assert.ok([400, 404, 405].includes(status), `${path}: ${status}`);
      assert.ok(!body.includes(token) && !body.includes("root:"));
    }
  }
  for (
    const path of ["/covers/../../../secrets/dev.env", "/covers//etc/passwd", "/covers/..\\..\\x", "//covers/../1"]
  ) {
    const answer = await server.raw(`GET ${path}`);
    assert.match(answer, /^HTTP\/1\.1 4\d\d /, path);
    assert.ok(!answer.includes(token) && !answer.includes("root:"));
  }
  assert.deepEqual(await snapshot([checkout.root]), before);
});

Deno.test("music: createApp() answers without a socket, with no net permission", async () => {
  await using checkout = await Checkout.make();
  await checkout.setup();
  await Deno.writeTextFile(
    join(checkout.music, "probe.ts"),
    `import { createApp } from "./app.ts";
    const app = createApp();
    const response = await app.fetch(new Request("http://app.test/api/stats"));
    console.log(await response.text());
    app.close();`,
  );
  const { stdout, stderr } = await checkout.deno(["run", "-q", "-P=setup", "probe.ts"]);
  assert.equal(stderr, "");
  assert.equal(JSON.parse(stdout).tracks, 8);
});

// --------------------------------------------------------------------------------------------------------- isolation

if (HAS_CLI) {
  const { data, chinook, tracks } = SOURCES.at(-1)!;

  Deno.test(`music: what alice does to her fork of ${data} leaves dev as it was, byte for byte`, async () => {
    await using checkout = await Checkout.make();
    await checkout.setup(chinook);
    const devToken = await checkout.token("dev");
    {
      await using server = await checkout.serve();
      assert.equal((await server.addTrack(devToken, "Dev's own")).status, 201);
      assert.equal((await server.putCover(devToken, "1", PNG)).status, 201);
    }
    const before = await checkout.filesOf("dev");
    assert.equal(Object.keys(before).length, 4, "database, cover, secrets and changes.jsonl");

    const made = await checkout.deno(["task", "-q", "envs:new", "alice", "--json"]);
    assert.equal(made.code, 0, made.stdout + made.stderr);
    const { ok, data } = JSON.parse(made.stdout);
    assert.equal(ok, true);
    assert.equal(data.environment.name, "alice");
    assert.deepEqual(await checkout.filesOf("dev"), before, "after envs:new");

    // A second secret and a second token, written by a program of the user's own.
    await Deno.writeTextFile(
      join(checkout.music, "probe.ts"),
      `import { appendFileSync } from "node:fs";
      import { getCurrentEnv, getLocalPath, setSecret } from "../../mod.ts";
      await setSecret("ADMIN_TOKEN", "token-of-alice");
      await setSecret("API_KEY", "key-of-alice");
      appendFileSync(getLocalPath() + "/notes.txt", "hers");
      console.log(getCurrentEnv());`,
    );
    const probe = await checkout.deno(["run", "-q", "-P=setup", "probe.ts"]);
    assert.deepEqual(probe, { code: 0, stdout: "alice\n", stderr: "" });

    {
      await using server = await checkout.serve();
      assert.match(server.greeting, /^music \[alice\]/);
      const stats = (await server.json("/api/stats")).body;
      assert.equal(stats.database, "music-alice");
      assert.equal(stats.bucket, "music-bucket-alice");
      assert.equal(stats.tracks, tracks + 1, "all that dev had");
      assert.equal((await server.text("/covers/1")).headers.get("content-type"), "image/png");
      assert.match((await server.text("/")).body, /<strong>alice<\/strong>[^]*Dev&#39;s own/);

      assert.equal((await server.addTrack(devToken, "No")).status, 401);
      assert.equal((await server.addTrack("token-of-alice", "Alice's own")).status, 201);
      assert.equal((await server.putCover("token-of-alice", "1", GIF, "image/gif")).status, 204);
      assert.equal((await server.putCover("token-of-alice", "2", PNG)).status, 201);
      assert.equal((await server.json("/api/stats")).body.tracks, tracks + 2);
    }
    assert.deepEqual(await checkout.filesOf("dev"), before, "after alice's writes");
    const hers = Object.values(await checkout.filesOf("alice"));
    assert.equal(hers.length, 6);
    assert.ok(hers.every((bytes) => !Object.values(before).includes(bytes) || bytes === PNG.toBase64()));

    for (const args of [["envs:switch", "dev"], ["envs:delete", "alice", "--yes"]]) {
      const { code, stdout, stderr } = await checkout.deno(["task", "-q", ...args, "--json"]);
      assert.equal(code, 0, stdout + stderr);
    }
    assert.deepEqual(await checkout.filesOf("dev"), before, "after envs:delete");
    assert.deepEqual(await checkout.filesOf("alice"), {});

    await using server = await checkout.serve();
    assert.match(server.greeting, /^music \[dev\]/);
    assert.equal((await server.json("/api/stats")).body.tracks, tracks + 1);
    assert.equal((await server.json("/api/tracks?q=Alice's own")).body.total, 0);
    assert.equal((await server.addTrack("token-of-alice", "No")).status, 401);
    assert.equal((await server.text("/covers/2")).status, 404);
  });
}
