import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import config from "../../../deno.json" with { type: "json" };
import { COMMANDS } from "../../../core/cli/command_table.ts";
import { type Origin, origin, schemaPath, taskLine } from "../../../core/project/task_line.ts";

const CLONE: Origin = { kind: "clone", path: "/home/me/forkstack/cli.ts" };
const URL_: Origin = { kind: "url", url: "https://raw.githubusercontent.com/acme/forkstack/v1/cli.ts" };
/** The lock file of a clone. */
const locked = (path: string) => `--lock=${path}/deno.lock --unstable-npm-lazy-caching`;
/** Those of every provider too: `deno task gen` writes them. */
const PROGRAMS = config.permissions.cli.run.join(",");
const ALLOWED = "--allow-read --allow-write --allow-env";

Deno.test("taskLine() starts the program as it was started", () => {
  const cases: [from: Origin, command: string, root: string, hosts: string[], line: string][] = [
    [CLONE, "new", "/home/me/shop", [], `deno run -q -P=cli ${locked("../forkstack")} ../forkstack/cli.ts new`],
    [CLONE, "new", "/home/me/forkstack/examples/x", [], `deno run -q -P=cli ${locked("../..")} ../../cli.ts new`],
    [CLONE, "new", "/home/me", [], `deno run -q -P=cli ${locked("forkstack")} forkstack/cli.ts new`],
    [CLONE, "new", "/srv/shop", [], `deno run -q -P=cli ${locked("/home/me/forkstack")} /home/me/forkstack/cli.ts new`],
    [
      CLONE,
      "new",
      "/home/me/shop",
      ["a.example", "*.b.example"],
      `deno run -q -P=cli "--allow-net=a.example,*.b.example" ${locked("../forkstack")} ../forkstack/cli.ts new`,
    ],
    [CLONE, "serve", "/home/me/shop", [], `deno run -q -P=serve ${locked("../forkstack")} ../forkstack/cli.ts serve`],
    [
      CLONE,
      "run",
      "/srv/x",
      ["a.ex"],
      `deno run -q -P=run --allow-net=127.0.0.1,a.ex ${locked("/home/me/forkstack")} /home/me/forkstack/cli.ts run`,
    ],
    [
      CLONE,
      "secrets",
      "/home/me/shop",
      ["a.example"],
      `deno run -q -P=cli --allow-run --allow-net=a.example ${locked("../forkstack")} ../forkstack/cli.ts secrets`,
    ],
    [
      { kind: "clone", path: "/home/me/my tools/$x/cli.ts" },
      "new",
      "/home/me/shop",
      [],
      'deno run -q -P=cli "--lock=../my tools/\\$x/deno.lock" --unstable-npm-lazy-caching "../my tools/\\$x/cli.ts" new',
    ],
    [
      URL_,
      "list",
      "/home/me/shop",
      ["a.example"],
      `deno run -q --no-lock --node-modules-dir=none ${ALLOWED} --allow-run=${PROGRAMS} --allow-sys=hostname --allow-net=a.example ${URL_.url} list`,
    ],
    [
      URL_,
      "secrets",
      "/home/me/shop",
      [],
      `deno run -q --no-lock --node-modules-dir=none ${ALLOWED} --allow-sys=hostname --allow-run ${URL_.url} secrets`,
    ],
    [
      { kind: "url", url: "http://127.0.0.1:8000/cli.ts" },
      "serve",
      "/",
      [],
      `deno run -q --no-lock --node-modules-dir=none --allow-import=127.0.0.1:8000 ${ALLOWED} --allow-run=cp,git --allow-sys=hostname --allow-net=127.0.0.1 http://127.0.0.1:8000/cli.ts serve`,
    ],
    [{ kind: "package" }, "new", "/home/me/shop", ["a.example"], "forkstack new"],
    [{ kind: "binary" }, "secrets", "/home/me/shop", [], "forkstack secrets"],
  ];
  for (const [from, command, root, hosts, line] of cases) assert.equal(taskLine(from, command, root, hosts), line);
});

Deno.test("schemaPath() leads an editor to the schema where that is the same for everybody", () => {
  assert.equal(schemaPath(CLONE, "/home/me/shop"), "../forkstack/forkstack.schema.json");
  assert.equal(schemaPath(CLONE, "/home/me"), "./forkstack/forkstack.schema.json");
  assert.equal(schemaPath(CLONE, "/srv/shop"), undefined);
  assert.equal(
    schemaPath(URL_, "/srv/shop"),
    "https://raw.githubusercontent.com/acme/forkstack/v1/forkstack.schema.json",
  );
  assert.equal(schemaPath({ kind: "package" }, "/srv/shop"), undefined);
});

Deno.test("origin() is this clone", () => {
  assert.deepEqual(origin(), { kind: "clone", path: new URL("../../../cli.ts", import.meta.url).pathname });
});

Deno.test("the tasks of this repository are those that init would write", async () => {
  const { tasks, permissions } = JSON.parse(await readFile(new URL("../../../deno.json", import.meta.url), "utf8"));
  const path = fileURLToPath(new URL("../../../cli.ts", import.meta.url));
  const root = dirname(path);
  for (const command of Object.keys(COMMANDS)) {
    if (command === "completions") continue; // of a program in PATH
    const line = taskLine({ kind: "clone", path }, command, root, []);
    assert.equal(tasks[`envs:${command}`], line, command);
    const set = /-P=(\w+)/.exec(line)![1]!;
    const flags = taskLine({ kind: "url", url: "https://jsr.io/x/cli.ts" }, command, root, []).split(" ");
    const granted = Object.entries<true | string[]>(permissions[set]).map(([name, value]) =>
      `--allow-${name}${value === true ? "" : `=${value.join(",")}`}`
    );
    const isFree = line.includes("--allow-run");
    const expected = isFree ? granted.map((one) => one.replace(/^(--allow-run)=.*/, "$1")) : granted;
    assert.deepEqual(flags.filter((one) => one.startsWith("--allow-")).sort(), expected.sort(), command);
  }
});
