/** The one file that `deno task compile --bun` makes; CI runs all of tests/cli against it as well. */
import assert from "node:assert/strict";
import { compileWithBun } from "../../tools/build/compile.ts";
import config from "../../deno.json" with { type: "json" };
import { PROVIDERS } from "../../providers/mod.ts";
import { type Project, type Ran, run, temporaryProject } from "../runtime_helpers.ts";

const REPO = new URL("../../", import.meta.url).pathname;

let built: Project;
let program: string;

Deno.test.beforeAll(async () => {
  built = temporaryProject();
  [program] = await compileWithBun(undefined, built.path);
});

Deno.test.afterAll(() => built?.[Symbol.dispose]());

/** Runs the binary where there is no other program to find. */
function forkstack(at: Project, args: readonly string[], env: Record<string, string> = {}): Ran {
  return run([program, ...args], { cwd: at.path, env: { PATH: "/nowhere", npm_lifecycle_event: "npx", ...env } });
}

Deno.test("the binary makes, lists and deletes an environment where there is no Deno, Bun or Node", () => {
  using at = temporaryProject({ "go.mod": "module shop\n" });
  assert.equal(forkstack(at, ["--version"]).stdout, `${config.version}\n`);
  const made = forkstack(at, ["new", "alice"]);
  assert.match(made.stdout, /^alice is ready: 4 resources/, made.stderr);
  assert.match(made.stdout, /forkstack switch dev` goes back/);
  assert.match(forkstack(at, ["list"]).stdout, /^\* {2}alice {2}ready/m);
  const ended = forkstack(at, ["delete", "alice", "--yes"]);
  assert.match(ended.stdout, /^Deleted/, ended.stderr);
});

Deno.test("the binary has every built-in provider", () => {
  const cases = Object.entries(PROVIDERS).flatMap(([kind, of]) => Object.keys(of).map((name) => [kind, name] as const));
  assert(cases.length > 15);
  for (const [kind, provider] of cases) {
    using at = temporaryProject({
      "forkstack.json": JSON.stringify({ project: "shop", [kind]: { provider, nonsense: 1 } }),
    });
    const { code, stdout } = forkstack(at, ["new", "alice", "--json"]);
    const { error } = JSON.parse(stdout);
    assert.deepEqual([code, error.code], [2, "CONFIG_INVALID"], `${provider}: ${error.message}`);
    assert.match(error.message + error.hint, /nonsense/, provider); // its own schema has read them
  }
});

Deno.test("what Bun would load from the directory, the binary does not", () => {
  using at = temporaryProject({
    ".env": "FORKSTACK_ENV=other\nFORKSTACK_REGISTRY_TOKEN=x\n",
    "bunfig.toml": 'preload = ["./preload.ts"]\n',
    "preload.ts": 'console.log("preloaded");\n',
  });
  assert.match(forkstack(at, ["new", "alice"]).stdout, /^alice is ready/);
  assert.match(forkstack(at, ["new", "bob"]).stdout, /^bob is ready/); // .env.local is alice's by now
  assert.match(forkstack(at, ["list"]).stdout, /^\* {2}bob {4}ready/m);
  assert.match(forkstack(at, ["switch", "alice"]).stdout, /^Now on alice\nNext: restart the app\n$/);
});

Deno.test("the compiler says which targets there are, and what to do where Deno's bases cannot be fetched", () => {
  const compile = (target: string) => {
    const env = { HTTPS_PROXY: "http://127.0.0.1:9", NO_COLOR: "1" };
    return run([Deno.execPath(), "task", "-q", "compile", target], { cwd: REPO, env });
  };
  const unknown = compile("windows-arm64");
  assert.deepEqual([unknown.code, unknown.stdout], [2, ""]);
  assert.match(unknown.stderr, /Cannot compile for "windows-arm64": the targets are linux-x64, .*windows-x64\n$/);
  const offline = compile("darwin-arm64");
  assert.deepEqual([offline.code, offline.stdout], [1, ""]);
  assert.match(offline.stderr, /^error: Cannot compile forkstack for darwin-arm64: the base .* from dl\.deno\.land\n/);
  assert.match(offline.stderr, /hint: `deno task compile --bun`/);
});
