/** The installer, against a server of this machine, with a stand-in for the program: what is right, what is not, what is left. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { arch, platform } from "node:os";
import { join } from "node:path";
import { temporaryDirectory } from "../helpers.ts";
import { SIZE } from "../sizes.ts";

const SCRIPT = readFileSync(new URL("../../tools/release/install.sh", import.meta.url), "utf8");
const NAME = `forkstack-${platform()}-${arch()}`;
const PROGRAM = "#!/bin/sh\necho 9.9.9\n";
const sumOf = (text: string) => createHash("sha256").update(text).digest("hex");

/** Runs the installer in a home of its own, with these files at the server. */
async function install(files: Readonly<Record<string, string>>, options: { programs?: readonly string[] } = {}) {
  const at = temporaryDirectory();
  const asked: string[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, (request) => {
    const name = new URL(request.url).pathname.slice(1);
    asked.push(name);
    const text = files[name];
    return text === undefined ? new Response("none", { status: 404 }) : new Response(text);
  });
  const bin = join(at.path, "home", ".local", "bin");
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, "forkstack"), "the old one");
  const script = join(at.path, "install.sh");
  writeFileSync(script, SCRIPT.replace("@DOWNLOAD@", `http://127.0.0.1:${server.addr.port}`));
  let path = "/usr/bin:/bin";
  if (options.programs !== undefined) {
    path = join(at.path, "path");
    mkdirSync(path);
    for (const name of options.programs) {
      const found = ["/usr/bin", "/bin"].map((place) => join(place, name)).find((one) => existsSync(one));
      assert(found !== undefined, name);
      symlinkSync(found, join(path, name));
    }
  }
  const { code, stdout, stderr } = await new Deno.Command("/bin/sh", {
    args: [script],
    clearEnv: true,
    env: { HOME: join(at.path, "home"), PATH: path },
  }).output();
  await server.shutdown();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return {
    code,
    out: out!,
    err: err!,
    asked,
    bin,
    left: readdirSync(bin),
    installed: readFileSync(join(bin, "forkstack"), "utf8"),
    [Symbol.dispose]: () => at[Symbol.dispose](),
  };
}

const RIGHT = { [NAME]: PROGRAM, SHA256SUMS: `${sumOf("x")}  other\n${sumOf(PROGRAM)}  ${NAME}\n` };
/** Programs that the installer needs, besides one to fetch and one to check. */
const NEEDED = ["uname", "mkdir", "mktemp", "rm", "awk", "chmod", "mv", "cut", "ls", "sh"];

Deno.test("install.sh puts the program in its place, and says what comes next", async () => {
  using done = await install(RIGHT);
  assert.deepEqual([done.code, done.err], [0, ""]);
  assert.equal(done.installed, PROGRAM);
  assert.match(done.out, /^Installed forkstack 9\.9\.9: .*\.local\/bin\/forkstack\nNext: add .* to PATH, then: /);
  assert.deepEqual(done.left, ["forkstack"]);
  assert.deepEqual(done.asked.sort(), ["SHA256SUMS", NAME].sort());
});

Deno.test("install.sh goes by wget where curl is missing, and fails plainly without both", async () => {
  using done = await install(RIGHT, { programs: [...NEEDED, "wget", "sha256sum"] });
  assert.deepEqual([done.code, done.installed], [0, PROGRAM], done.err);
  using none = await install(RIGHT, { programs: [...NEEDED, "sha256sum"] });
  assert.equal(none.code, 1);
  assert.match(none.err, /neither curl nor wget is installed/);
});

const WRONG: Readonly<Record<string, { readonly files: Record<string, string>; readonly says: RegExp }>> = {
  "a program that is not the listed one": {
    files: { ...RIGHT, [NAME]: `${PROGRAM}echo more\n` },
    says: /its SHA-256 is [0-9a-f]{64}, and SHA256SUMS says [0-9a-f]{64}/,
  },
  "a program that is cut off": { files: { ...RIGHT, [NAME]: PROGRAM.slice(0, -3) }, says: /its SHA-256 is/ },
  "a list without the program": {
    files: { ...RIGHT, SHA256SUMS: `${sumOf(PROGRAM)}  ${NAME}.exe\n` },
    says: /no line for it/,
  },
  "no list": { files: { [NAME]: PROGRAM }, says: /Cannot fetch .*SHA256SUMS/ },
  "no program for this machine": { files: { SHA256SUMS: RIGHT.SHA256SUMS }, says: /Cannot fetch .*forkstack-/ },
  "a program that does not run here": {
    files: { [NAME]: "#!/bin/sh\nexit 3\n", SHA256SUMS: `${sumOf("#!/bin/sh\nexit 3\n")}  ${NAME}\n` },
    says: /does not run on this machine/,
  },
};

for (const [what, { files, says }] of Object.entries(WRONG)) {
  Deno.test(`install.sh: ${what} ends with 1, and the old program stays alone`, async () => {
    using done = await install(files);
    assert.equal(done.code, 1);
    assert.match(done.err, says);
    assert.deepEqual([done.left, done.installed], [["forkstack"], "the old one"]);
  });
}

Deno.test("install.sh fetches over https alone, but for this machine", async () => {
  for (const download of ["http://example.com/x", "ftp://127.0.0.1:1", "http://127.0.0.1.example.com:80", "/tmp"]) {
    const { code, stderr } = await new Deno.Command("/bin/sh", {
      args: ["-c", SCRIPT],
      env: { FORKSTACK_DOWNLOAD: download, HOME: "/nonexistent" },
    }).output();
    assert.equal(code, 1);
    assert.match(new TextDecoder().decode(stderr), /only https/);
  }
});

Deno.test("install.sh that is cut off anywhere installs nothing", async () => {
  using at = temporaryDirectory();
  for (const share of [0.3, 0.7, 0.95]) {
    const script = join(at.path, "cut.sh");
    writeFileSync(script, SCRIPT.slice(0, Math.floor(SCRIPT.length * share)));
    chmodSync(script, 0o755);
    await new Deno.Command("/bin/sh", { args: [script], env: { HOME: at.path }, stdout: "null", stderr: "null" })
      .output();
    assert(!existsSync(join(at.path, ".local")));
  }
});

Deno.test({
  name: "deno task release --dry-run makes what install.sh installs",
  ignore: SIZE !== "full",
  async fn() {
    const root = new URL("../../", import.meta.url);
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "release", "--dry-run"],
      cwd: root,
    })
      .output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    const release = new URL("dist/release/", root);
    const sums = readFileSync(new URL("SHA256SUMS", release), "utf8");
    for (const line of sums.trimEnd().split("\n")) {
      const [sum, name] = line.split("  ") as [string, string];
      assert.equal(createHash("sha256").update(readFileSync(new URL(name, release))).digest("hex"), sum, name);
    }
    const server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen() {} },
      (request) => new Response(readFileSync(new URL(`.${new URL(request.url).pathname}`, release))),
    );
    using home = temporaryDirectory();
    const done = await new Deno.Command("/bin/sh", {
      args: [new URL("install.sh", release).pathname],
      env: { HOME: home.path, FORKSTACK_DOWNLOAD: `http://127.0.0.1:${server.addr.port}` },
    }).output();
    await server.shutdown();
    assert.equal(done.code, 0, new TextDecoder().decode(done.stderr));
    assert.match(new TextDecoder().decode(done.stdout), /^Installed forkstack \d+\.\d+\.\d+: /);
  },
});
