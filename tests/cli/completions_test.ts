/**
 * Tab, in real shells: what the program answers, and what bash, zsh and fish make of it.
 */
import assert from "node:assert/strict";
import { chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import process from "node:process";
import { COMMANDS, listedOptions } from "../../core/cli/command_table.ts";
import { testIf } from "../helpers.ts";
import { whyMissing } from "../tools.ts";
import { commandOf, Place, run, runCommand } from "./run.ts";
import { onTerminal, whyNoTerminal } from "./terminal.ts";

type Shell = "bash" | "zsh" | "fish";

const SHELLS = Object.keys(COMMANDS.completions!.arguments!.choices!) as Shell[];

/** What is offered after these words, the last of which is begun. */
async function offered(place: Place, ...words: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await place.run("completions", "--", ...words);
  assert.deepEqual([code, stderr], [0, ""], words.join(" "));
  return stdout.split("\n").filter(Boolean).map((line) => line.split("\t")[0]!);
}

/** A place with the environments alice and al-2. */
async function placeWithTwo(): Promise<Place> {
  const place = await Place.make();
  await place.ok("new", "alice");
  await place.ok("new", "al-2", "--no-switch");
  return place;
}

/** A directory for PATH with the program by its name. */
async function programDirectory(place: Place): Promise<string> {
  const directory = join(place.above, "bin");
  const quoted = commandOf([]).map((part) => `'${part}'`).join(" ");
  await mkdir(directory);
  await writeFile(join(directory, "forkstack"), `#!/bin/sh\nexec ${quoted} "$@"\n`);
  await chmod(join(directory, "forkstack"), 0o755);
  return directory;
}

Deno.test("what is offered fits its place: commands, options not yet given, environments, actions, shells", async () => {
  await using place = await placeWithTwo();
  const optionsOf = (command: string, ...given: string[]) =>
    listedOptions(COMMANDS[command]!).map((name) => `--${name}`).filter((name) => !given.includes(name));
  const all = ["dev", "prod", "al-2", "alice"];
  const cases: [words: string[], offered: string[]][] = [
    [[""], [...Object.keys(COMMANDS), "help"]],
    [["s"], [...Object.keys(COMMANDS), "help"].filter((name) => name.startsWith("s"))],
    [["--v"], ["--version"]],
    [["help", "res"], ["reset"]],
    [["nope", ""], []],
    [["switch", ""], all],
    [["switch", "al"], ["al-2", "alice"]],
    [["switch", "alice", ""], optionsOf("switch")],
    [["status", "--json", "ali"], ["alice"]],
    [["delete", ""], ["al-2", "alice"]],
    [["new", ""], []],
    [["new", "bob", "--from", ""], all],
    [["new", "bob", "--from", "ali"], ["alice"]],
    [["new", "bob", "--from=ali"], ["--from=alice"]],
    [["new", "bob", "--from", "=", "ali"], ["alice"]],
    [["new", "bob", "--from", "="], all],
    [["new", "bob", "--from", "=", "dev", "--f"], []],
    [["new", "bob", "--from", "dev", "--"], optionsOf("new", "--from")],
    [["new", "bob", "--from=dev", "-y", "--"], optionsOf("new", "--from", "--yes")],
    [["new", "bob", "--ttl", ""], []],
    [["extend", "alice", ""], []],
    [["secrets", "di"], ["diff"]],
    [["secrets", "diff", "alice", "a"], ["al-2", "alice"]],
    [["secrets", "get", ""], []],
    [["secrets", "get", "API_KEY", "ali"], ["alice"]],
    [["secrets", "copy", "A_*", "prod", "ali"], ["alice"]],
    [["secrets", "nope", ""], optionsOf("secrets")],
    [["completions", ""], SHELLS],
    [["list", "--", ""], []],
  ];
  const before = await place.digest();
  for (const [words, expected] of cases) assert.deepEqual(await offered(place, ...words), expected, words.join(" "));
  assert.equal(await place.digest(), before);
});

Deno.test("each option and each argument of each command is offered in its place, by the one list there is", async () => {
  await using place = await placeWithTwo();
  for (const command of Object.keys(COMMANDS)) {
    const { stdout } = await place.run("completions", "--", command, "-");
    const { stdout: help } = await place.run(command, "-h");
    const described = stdout.trimEnd().split("\n").map((line) => line.split("\t"));
    for (const [option, about] of described) assert(help.includes(`${option}`) && help.includes(about!), option);
    assert.equal(described.length, listedOptions(COMMANDS[command]!).length);
  }
});

Deno.test("a resource is offered where the stack has several", async () => {
  const secrets = { app: { provider: "env-file" }, billing: { provider: "env-file" } };
  await using place = await Place.make({ secrets });
  assert.deepEqual(await offered(place, "secrets", "list", "--resource", ""), ["app", "billing"]);
});

Deno.test("where something is wrong nothing is said, and nothing is made", async () => {
  await using nowhere = await Place.make(null);
  assert.deepEqual(await offered(nowhere, "switch", ""), []);
  assert.equal(await nowhere.digest(), "");
  await using fresh = await Place.make();
  const untouched = await fresh.digest();
  assert.deepEqual(await offered(fresh, "switch", ""), ["dev", "prod"]);
  assert.equal(await fresh.digest(), untouched);
  await using broken = await Place.make("{ not json");
  assert.deepEqual(await offered(broken, "switch", ""), []);
  await using damaged = await placeWithTwo();
  await damaged.write(".forkstack/registry.db", "not a database");
  assert.deepEqual(await offered(damaged, "switch", "al"), ["al-2", "alice"], "its files still tell");
});

Deno.test("a registry that a team shares is not asked: no network for a Tab", async () => {
  let calls = 0;
  const server = createServer((socket) => {
    calls++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await using place = await Place.make({ registry: { url } });
    await place.write(".forkstack/envs/alice.env", "FORKSTACK_ENV='alice'\n");
    const command = commandOf(["completions", "--", "switch", ""], "--allow-net=127.0.0.1");
    const { stdout, stderr } = await runCommand(place.root, command);
    assert.deepEqual([stdout.match(/^\S+/gm), stderr, calls], [["dev", "prod", "alice"], "", 0]);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

/** Names that would run something if a shell took them for code. */
const NASTY = ["$(touch pwned)", "`touch pwned`", "x;touch pwned", "x\ntouch pwned", "x'\"", "-x", "Ünïcode", "a b"];

Deno.test("names that forkstack would not make are never offered, whoever wrote them", async () => {
  await using place = await placeWithTwo();
  for (const name of NASTY) await place.write(`.forkstack/envs/${name}.env`, "");
  const database = new DatabaseSync(place.path(".forkstack", "registry.db"));
  const insert = database.prepare(
    "INSERT INTO environments SELECT ?, ?, status, owner, ?, created_at, NULL, NULL, NULL FROM environments WHERE name = 'alice'",
  );
  for (const name of NASTY) insert.run(`${name}2`, "dev", `${name}2`);
  insert.run("bob", "$(touch pwned)\u001b[31m", "bob");
  database.close();
  assert.deepEqual(await offered(place, "delete", ""), ["al-2", "alice"]);
  for (const shell of SHELLS) if (whyMissing(shell) === undefined) await tab(place, shell, "switch x");
  assert(!(await readdir(place.root)).includes("pwned"));
});

/** What a shell offers for a line that ends with a Tab, by its own means. */
async function tab(place: Place, shell: Shell, line: string): Promise<string[]> {
  const directory = join(place.above, "bin");
  if (!(await readdir(place.above)).includes("bin")) await programDirectory(place);
  const env = { PATH: `${directory}:${process.env.PATH}` };
  const script = join(place.above, `script.${shell}`);
  await writeFile(script, (await run(place.root, ["completions", shell])).stdout);
  const words = line.split(" ");
  const quoted = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  const programs = {
    bash: `. ${script}; COMP_WORDS=(forkstack ${quoted}); COMP_CWORD=${words.length}; _forkstack
      printf '%s\\n' "\${COMPREPLY[@]}"`,
    // Only a line editor can call a widget; what `_describe` is given is what would be offered.
    zsh: `compdef() { :; }; . ${script}; _describe() { print -rl -- "\${(@P)2%%:*}"; }
      words=(forkstack ${quoted}); CURRENT=${words.length + 1}; PREFIX=\${words[-1]}; _forkstack`,
    fish: `source ${script}; complete -C 'forkstack ${line}' | string replace -r '\\t.*' ''; true`,
  };
  const flags = { bash: ["--norc", "-ic"], zsh: ["-f", "-c"], fish: ["--no-config", "-c"] }[shell];
  const { stdout, stderr, code } = await runCommand(place.root, [shell, ...flags, programs[shell]], { env });
  const complaints = stderr.replace(/^bash: (cannot set terminal|no job control).*\n/gm, "");
  assert.deepEqual([complaints, code], ["", 0], `${shell}: ${line}`);
  return stdout.split("\n").filter(Boolean).sort();
}

for (const shell of SHELLS) {
  testIf(
    whyMissing(shell),
    `${shell}: the script offers what the program says, and runs none of it`,
    async () => {
      await using place = await placeWithTwo();
      assert.deepEqual(await tab(place, shell, "switch al"), ["al-2", "alice"]);
      assert.deepEqual(await tab(place, shell, ""), [...Object.keys(COMMANDS), "help"].sort());
      assert.deepEqual(await tab(place, shell, "new bob --fr"), ["--from"]);
      assert.deepEqual(await tab(place, shell, "new bob --from ali"), ["alice"]);
      assert.deepEqual(await tab(place, shell, "switch zoe"), []);
      assert.deepEqual(await tab(place, shell, "switch $(touch pwned)"), []);
      assert(!(await readdir(place.root)).includes("pwned"));
    },
  );

  testIf(
    whyMissing(shell) ?? whyNoTerminal,
    `${shell}: a Tab at the prompt, set up as the help says; after -- the shell's own`,
    async () => {
      await using place = await placeWithTwo();
      const home = place.above;
      const env = {
        PATH: `${await programDirectory(place)}:${process.env.PATH}`,
        HOME: home,
        ZDOTDIR: home,
        XDG_CONFIG_HOME: home,
        TERM: "dumb",
        NO_COLOR: "1",
        DENO_DIR: process.env.DENO_DIR ?? join(process.env.HOME!, ".cache", "deno"),
      };
      await place.ok("switch", "dev");
      await writeFile(join(home, ".bashrc"), `PS1="READY> "\neval "$(forkstack completions bash)"\n`);
      const ours = `eval "$(forkstack completions zsh)"`;
      await writeFile(join(home, ".zshrc"), `PS1="READY> "\nautoload -U compinit; compinit -u -D\n${ours}\n`);
      await mkdir(join(home, "fish", "completions"), { recursive: true });
      const fish = (await place.ok("completions", "fish")).stdout;
      await writeFile(join(home, "fish", "completions", "forkstack.fish"), fish);
      await writeFile(join(home, "fish", "config.fish"), "function fish_prompt; echo 'READY> '; end\n");
      await onTerminal(place.root, [shell, "-i"], [
        { until: "READY> ", type: "forkstack switch ali\t" },
        { until: "ce", type: "\r" },
        { until: "Now on alice[\\s\\S]*READY> ", type: "forkstack run alice -- forkst\t" },
        { until: "ack", type: "\x15exit\r" }, // the program's own name, by the shell
      ], { env });
      assert.equal(await place.read(".current-env"), "alice\n");
    },
  );
}

testIf(whyMissing("bash"), "a shell function of that name brings completion to Deno tasks", async () => {
  await using place = await placeWithTwo();
  const task = (name: string) => commandOf([name]).join(" ");
  const tasks = { "envs:completions": task("completions"), "envs:switch": task("switch") };
  await place.write("deno.json", JSON.stringify({ tasks }));
  const { stdout: page } = await place.run("completions", "--help");
  const [, definition] = /(forkstack\(\) \{.*?; \})/.exec(page.replace(/\n */g, " ")) ?? [];
  const { stdout, stderr } = await runCommand(place.root, [
    "bash",
    "--norc",
    "-c",
    `${definition}; eval "$(forkstack completions bash)"
    COMP_WORDS=(forkstack switch ali); COMP_CWORD=2; _forkstack; printf '%s\\n' "\${COMPREPLY[@]}"; forkstack switch alice`,
  ]);
  assert.match(stdout, /^alice\nNow on alice\n/, stderr);
});

Deno.test("a shell without a script is an error that names those with one", async () => {
  await using place = await Place.make(null);
  const { code, stderr } = await place.run("completions", "bsh");
  assert.equal(code, 2);
  assert.match(stderr, /^error: .* unknown shell; did you mean "bash".*\n {2}hint: Use one of bash, zsh, fish\n$/);
  const { error } = await place.json("completions");
  assert.deepEqual([error.code, error.hint], ["USAGE", "One of bash, zsh, fish"]);
  assert.deepEqual((await place.json("completions", "fish")).data.shell, "fish");
});
