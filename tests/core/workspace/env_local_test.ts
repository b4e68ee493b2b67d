/** `.env.local` over the life of environments: forkstack's block changes, and what a person wrote stays. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "npm:fast-check@4.10.2";
import { createEnvironment, planEnvironment } from "../../../core/lifecycle/create.ts";
import { deleteEnvironment } from "../../../core/lifecycle/delete.ts";
import type { Engine } from "../../../core/engine/engine.ts";
import { blockVariables, bytesOfText, textOfBytes } from "../../../core/workspace/env_block.ts";
import { files } from "../../../core/system/files.ts";
import { extendLease } from "../../../core/lifecycle/lease.ts";
import { resetEnvironment } from "../../../core/lifecycle/reset.ts";
import { switchEnvironment } from "../../../core/lifecycle/switch.ts";
import { changeFiles } from "../../../core/workspace/env_files.ts";
import { findEnvBlock, openStack, parseEnvFile } from "../../../mod.ts";
import { quotedFile } from "../../runtime_helpers.ts";
import { type Bench, bench, failure } from "../_engine.ts";

const read = (one: Bench, name: string) => textOfBytes(readFileSync(join(one.root, name)));
const write = (one: Bench, name: string, text: string) => writeFileSync(join(one.root, name), bytesOfText(text));
const local = (one: Bench) => existsSync(join(one.root, ".env.local")) ? read(one, ".env.local") : "";
const utf8 = (text: string) => textOfBytes(new TextEncoder().encode(text));

/** A file without forkstack's block. */
function personsOf(file: string): string {
  const mark = /^(\xEF\xBB\xBF)?/.exec(file)![0];
  const text = file.slice(mark.length);
  const block = findEnvBlock(text);
  return block === undefined ? file : mark + text.slice(0, block.begin) + text.slice(block.end);
}

async function make(engine: Engine, env: string): Promise<void> {
  await planEnvironment(engine, env, {});
  await createEnvironment(engine, env, {});
}

/** Every file below the project but the registry, by its path. */
function filesOf(one: Bench): Record<string, string> {
  const all = readdirSync(one.root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = all.map((entry) => join(entry.parentPath, entry.name)).filter((path) => !path.includes("registry.db"));
  return Object.fromEntries(paths.map((path) => [path.slice(one.root.length + 1), readFileSync(path, "latin1")]));
}

const COMMANDS: Readonly<Record<string, (engine: Engine) => Promise<unknown>>> = {
  "new alice": (engine) => make(engine, "alice"),
  "new bob": (engine) => make(engine, "bob"),
  "switch bob": (engine) => switchEnvironment(engine, "bob"),
  "switch alice": (engine) => switchEnvironment(engine, "alice"),
  "switch dev": (engine) => switchEnvironment(engine, "dev"),
  "delete alice": (engine) => deleteEnvironment(engine, "alice"),
  "delete bob": (engine) => deleteEnvironment(engine, "bob"),
  "reset alice": (engine) => resetEnvironment(engine, "alice"),
  "extend alice": (engine) => extendLease(engine, "alice", 60_000),
};

const line = fc.constantFrom(
  ...["# --- my ports", "export PORT=3001 # mine", "HASH=a#b", 'PEM="L1\\nL2"', 'Q="say \\"hi\\""', "REF=${PORT}0", ""],
  ...["  SPACED = x ", "KEY='a\r\nb'", "J=`{\n}`", "#>>> not ours", "# <<< forkstac", "\xE9=\xFF", "\tT=1", "A=don't"],
);
const persons = fc.tuple(
  fc.constantFrom("", "\xEF\xBB\xBF"),
  fc.array(fc.tuple(line, fc.constantFrom("\n", "\r\n")), { maxLength: 6 }),
  line,
).map(([mark, lines, last]) => mark + lines.flat().join("") + last);

Deno.test("every byte outside the block stays, over any sequence of commands and a person's own edits", async () => {
  const ended = new Map<string, number>();
  const step = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...Object.keys(COMMANDS)) }, fc.constant("a person"));
  await fc.assert(
    fc.asyncProperty(persons, fc.array(step, { minLength: 2, maxLength: 6 }), async (file, steps) => {
      await using one = await bench();
      write(one, ".env.local", file);
      await make(one.engine, "alice");
      await make(one.engine, "bob");
      let mine = file;
      for (const step of steps) {
        if (step === "a person") {
          write(one, ".env.local", `${local(one)}\n# another line\n`);
          mine += "\n# another line\n";
          continue;
        }
        const isDone = await COMMANDS[step](one.engine).then(() => true, () => false);
        if (isDone) ended.set(step, (ended.get(step) ?? 0) + 1);
        assert.equal(personsOf(local(one)), mine, step);
        if (!existsSync(join(one.root, ".current-env"))) continue;
        const current = read(one, ".current-env").trim();
        assert.deepEqual(blockVariables(local(one)), parseEnvFile(read(one, `.forkstack/envs/${current}.env`)), step);
        assert.equal(statSync(join(one.root, ".env.local")).mode & 0o777, 0o600);
      }
    }),
    { numRuns: 60 },
  );
  for (const command of Object.keys(COMMANDS)) assert(ended.get(command)! > 3, `${command} succeeded too seldom`);
});

Deno.test("a credential that went away at the parent is nowhere after a switch, and no getter gives it", async () => {
  const GONE = "canary-credential";
  for (const isOld of [false, true]) {
    let credentials: Record<string, string> = { ADMIN_TOKEN: GONE, DATABASE_AUTH_TOKEN: GONE };
    await using one = await bench({
      kinds: ["database"],
      changed: { outputs: (_context, { name }) => Promise.resolve({ DATABASE_URL: `fake://${name}`, ...credentials }) },
    });
    write(one, ".env.local", "MINE=1\n");
    await switchEnvironment(one.engine, "dev");
    if (isOld) write(one, ".env.local", `${quotedFile(read(one, ".forkstack/envs/dev.env"))}# yours, kept\nMINE='1'\n`);
    assert(local(one).includes(GONE));
    credentials = {};
    await switchEnvironment(one.engine, "dev");
    assert.deepEqual(Object.entries(filesOf(one)).filter(([, text]) => text.includes(GONE)), []);
    assert.equal(personsOf(local(one)), isOld ? "MINE='1'\n" : "MINE=1\n");
    for (const env of ["alice", "bob"]) {
      await make(one.engine, env);
      assert.deepEqual(Object.entries(filesOf(one)).filter(([, text]) => text.includes(GONE)), []);
      const stack = openStack({ cwd: one.root, read: () => undefined });
      assert.equal(stack.of("database", "DATABASE_URL"), `fake://shop-${env}`);
      assert.equal(stack.optionalOf("database", "DATABASE_AUTH_TOKEN"), undefined);
    }
  }
});

Deno.test("a file of 0.1.0 becomes a block by new and switch, and a person's lines stay", async () => {
  for (const command of ["switch dev", "new bob", "switch alice"]) {
    await using one = await bench();
    await make(one.engine, "alice");
    const old = `${quotedFile(read(one, ".forkstack/envs/alice.env"))}export PORT=1 # mine\nKEY='quoted'\n`;
    write(one, ".env.local", `\xEF\xBB\xBF${old}`);
    await COMMANDS[command](one.engine);
    assert.equal(personsOf(local(one)), "\xEF\xBB\xBFexport PORT=1 # mine\nKEY='quoted'\n", command);
    assert.equal(blockVariables(local(one)).FORKSTACK_ENV, command.split(" ")[1]);
  }
});

Deno.test("a variable that only the provider knows is refused too, and what was made is undone", async () => {
  await using one = await bench({
    changed: { outputs: () => Promise.resolve({ DATABASE_URL: "fake://x", VENDOR_REGION: "x" }) },
  });
  write(one, ".env.local", "A=1\nVENDOR_REGION=mine\n");
  const error = await failure(make(one.engine, "alice"));
  assert.equal(error.code, "ENV_CONFLICT");
  assert.match(error.message, /line 2 sets VENDOR_REGION/);
  assert.match(error.hint!, /nothing was left behind/);
  assert.equal(local(one), "A=1\nVENDOR_REGION=mine\n");
  assert.equal(one.vendor.held.size, 0);
});

Deno.test("a person's line of what a provider declares is refused before anything is made, but where a person may set it", async () => {
  const own = { isSecret: false, isIdentity: true };
  const variables = {
    DATABASE_URL: own,
    VENDOR_REGION: { isSecret: false, isIdentity: false },
    VENDOR_KEY: { isSecret: true, isIdentity: true },
    APP_KEY: { ...own, isPersonal: true },
  };
  for (const name of ["VENDOR_REGION", "VENDOR_KEY", "APP_KEY", "OTHER"]) {
    await using one = await bench({ kinds: ["database"], changed: { variables } });
    write(one, ".env.local", `A=1\n${name}=mine\n`);
    if (name.startsWith("VENDOR_")) {
      const error = await failure(make(one.engine, "alice"));
      assert.equal(error.code, "ENV_CONFLICT");
      assert.match(error.message, new RegExp(`line 2 sets ${name}`));
      assert.deepEqual(one.vendor.wanted, [], "nobody was asked to make it");
    } else await make(one.engine, "alice");
    assert.equal(personsOf(local(one)), `A=1\n${name}=mine\n`);
  }
});

Deno.test("a conflicting line that a person adds later stops switch, and neither delete nor extend", async () => {
  await using one = await bench();
  await make(one.engine, "alice");
  write(one, ".env.local", `${local(one)}DATABASE_URL=mine\n`);
  const before = local(one);
  for (const command of ["switch dev", "switch alice", "new alice", "new bob"]) {
    const error = await failure(COMMANDS[command](one.engine));
    assert.deepEqual([error.code, local(one)], ["ENV_CONFLICT", before], command);
    assert.match(error.message, new RegExp(`line ${before.split("\n").length - 1} sets DATABASE_URL`));
  }
  await COMMANDS["extend alice"](one.engine);
  await COMMANDS["delete alice"](one.engine);
  assert.equal(personsOf(local(one)), "DATABASE_URL=mine\n");
});

// ---- two at once

/** The real files, with a person's editor that saves right before the given swap of `.env.local`. */
function withEditor(one: Bench, at: number, save: (path: string) => void): Engine {
  let swaps = 0;
  const world = {
    ...one.engine.world,
    files: {
      ...files,
      swap: async (from: string, to: string, expected: Uint8Array | undefined) => {
        if (to.endsWith(".env.local") && ++swaps === at) save(to);
        return await files.swap(from, to, expected);
      },
    },
  };
  return { ...one.engine, world };
}

Deno.test("what an editor saves while a command is at work stays, however the editor saves", async () => {
  const inPlace = (path: string) => writeFileSync(path, "\nSAVED='late'\n", { flag: "a" });
  const anew = (path: string) => {
    Deno.writeTextFileSync(`${path}~`, `# anew\n${existsSync(path) ? readFileSync(path, "utf8") : ""}`);
    Deno.renameSync(`${path}~`, path);
  };
  for (const text of [undefined, "MINE=1", "\uFEFFMINE=1\r\n"]) {
    for (const save of [inPlace, anew]) {
      await using one = await bench();
      if (text !== undefined) write(one, ".env.local", utf8(text));
      const truth = join(one.root, "truth");
      if (text !== undefined) write(one, "truth", utf8(text));
      save(truth);
      await switchEnvironment(withEditor(one, 1, save), "dev");
      const expected = readFileSync(truth, "latin1");
      // The editor that writes anew put its comment before the byte order mark.
      assert.equal(personsOf(local(one)), expected);
      assert.equal(blockVariables(local(one)).FORKSTACK_ENV, "dev");
    }
  }
});

Deno.test("a line of ours that an editor saves while a command is at work stops it, and the edit stays", async () => {
  await using one = await bench();
  write(one, ".env.local", "MINE=1\n");
  const engine = withEditor(one, 1, (path) => writeFileSync(path, "MINE=1\nDATABASE_URL=mine\n"));
  assert.equal((await failure(switchEnvironment(engine, "dev"))).code, "ENV_CONFLICT");
  assert.equal(local(one), "MINE=1\nDATABASE_URL=mine\n");
  assert.deepEqual(Object.keys(filesOf(one)).filter((path) => /\.forkstack-|current-env|envs\//.test(path)), []);
});

Deno.test("a file that another program changes all the time is a conflict in the end, and nothing is written", async () => {
  await using one = await bench();
  write(one, ".env.local", "MINE=1\n");
  let saves = 0;
  const swap: typeof files.swap = async (from, to, expected) => {
    if (to.endsWith(".env.local")) writeFileSync(to, `SAVE=${saves++}\n`);
    return await files.swap(from, to, expected);
  };
  const engine = { ...one.engine, world: { ...one.engine.world, files: { ...files, swap } } };
  assert.equal((await failure(switchEnvironment(engine, "dev"))).code, "CONFLICT");
  assert.equal(local(one), `SAVE=${saves - 1}\n`);
  assert(!existsSync(join(one.root, ".current-env")));
});

Deno.test("undo puts the file back as it was, its mode too, and keeps what was saved after the command wrote", async () => {
  for (const text of ["MINE=1", "# \xE9\r\n", "", undefined]) {
    for (const isSaved of [false, true]) {
      await using one = await bench();
      if (text !== undefined) {
        write(one, ".env.local", text);
        chmodSync(join(one.root, ".env.local"), 0o644);
      }
      const verify = () => {
        assert.equal(blockVariables(local(one)).FORKSTACK_ENV, "alice");
        if (isSaved) write(one, ".env.local", `${local(one)}\nSAVED=1\n`);
        throw new Error("gone meanwhile");
      };
      const wanted = { env: "alice", variables: { A: "1" }, activate: true };
      await assert.rejects(changeFiles(one.engine, wanted, () => Promise.resolve().then(verify)), /gone meanwhile/);
      const after = existsSync(join(one.root, ".env.local")) ? local(one) : undefined;
      assert.equal(after, isSaved ? `${text ?? ""}\nSAVED=1\n` : text);
      if (text !== undefined) assert.equal(statSync(join(one.root, ".env.local")).mode & 0o777, 0o644);
    }
  }
});

Deno.test("a shell that appends all the time while environments change loses no line", async () => {
  // A shell that stood still between opening the file and writing to it, longer than is looked back, loses that one
  // line: see docs/variables.md. A machine under load does that now and then; a rule that is wrong does it each time.
  const lost: string[][] = [];
  do lost.push(await lostLines(400)); while (lost.at(-1)!.length > 0 && lost.length < 8);
  assert.deepEqual(lost.at(-1), [], `lost in ${lost.length} runs: ${lost.join("; ")}`);
});

/** The lines that a shell appended, one every two milliseconds, and that are gone afterwards. */
async function lostLines(lines: number): Promise<string[]> {
  await using one = await bench();
  await make(one.engine, "alice");
  const script = `i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo "L$i=1" >> .env.local; sleep 0.002; done`;
  const child = spawn("sh", ["-c", script], { cwd: one.root, stdio: "ignore" });
  const ended = new Promise<boolean>((resolve) => child.on("close", () => resolve(true)));
  let [isOver, switches] = [false, 0];
  void ended.then(() => isOver = true);
  for (; !isOver; switches++) await switchEnvironment(one.engine, switches % 2 === 0 ? "dev" : "alice");
  assert(switches > 10, `only ${switches} switches`);
  const found = personsOf(local(one)).split("\n").filter(Boolean);
  const appended = Array.from({ length: lines }, (_, at) => `L${at + 1}=1`);
  assert.deepEqual(found.filter((line) => !appended.includes(line)), []);
  assert.equal(new Set(found).size, found.length, "no line stands twice");
  assert(found.length >= lines * 0.95, `${found.length} of ${lines} are left`);
  return appended.filter((line) => !found.includes(line));
}

Deno.test("commands at once, each in its own way, agree in the end and keep a person's lines", async () => {
  await using one = await bench();
  await make(one.engine, "alice");
  await make(one.engine, "bob");
  write(one, ".env.local", `# mine\r\n${local(one)}MINE='1'`);
  const commands = ["switch alice", "switch dev", "extend alice", "switch dev", "new bob", "switch alice"];
  for (let round = 0; round < 5; round++) {
    await Promise.all(commands.map((command) => COMMANDS[command](one.engine)));
    assert.equal(personsOf(local(one)), "# mine\r\nMINE='1'");
    assert.equal(blockVariables(local(one)).FORKSTACK_ENV, read(one, ".current-env").trim());
  }
});

// ---- who may read it

Deno.test("a file that others could read is closed as credentials go in, and that is said once", async () => {
  await using one = await bench();
  write(one, ".env.local", "MINE=1\n");
  chmodSync(join(one.root, ".env.local"), 0o664);
  await switchEnvironment(one.engine, "dev");
  assert.equal(statSync(join(one.root, ".env.local")).mode & 0o777, 0o600);
  assert.match(one.warnings.join("\n"), /\.env\.local" holds credentials now, so that only you .*mode 600, was 664$/);
  await switchEnvironment(one.engine, "dev");
  assert.equal(one.warnings.length, 1);
});

Deno.test("each file of ours that was open to all is closed when it is written again", async () => {
  await using one = await bench();
  await make(one.engine, "alice");
  const paths = [".forkstack/envs/alice.env", ".forkstack/envs/dev.env", ".env.local", ".current-env"];
  await switchEnvironment(one.engine, "dev");
  for (const path of paths) chmodSync(join(one.root, path), 0o644);
  await COMMANDS["switch dev"](one.engine);
  await COMMANDS["extend alice"](one.engine);
  await changeFiles(one.engine, { env: "alice", variables: { A: "1" }, activate: true });
  for (const path of paths) assert.equal(statSync(join(one.root, path)).mode & 0o777, 0o600, path);
});
