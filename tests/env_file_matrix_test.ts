/** What formatEnvLine() writes, read back by every reader of env files that DESIGN.md names. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { parse } from "npm:dotenv@18.0.10";
import fc from "npm:fast-check@4.10.2";
import { formatEnvLine, isForkstackError, parseEnvFile, readEnvFile, setEnvVariable } from "../mod.ts";
import { installReaders } from "./env_readers.ts";
import { bun, node22, type Project, run, type Runtime, runtimeTest, temporaryProject } from "./runtime_helpers.ts";

/** Values by what they have in common, and the readers that are known to differ on them. */
const CLASSES: Readonly<Record<string, { values: readonly string[]; except?: readonly string[] }>> = {
  "plain values": {
    values: [
      ...["", "abc", "1", "true", "postgres://u:p@host:5432/db?sslmode=require", "a=b", "==", "-", "+", ":=", "%PATH%"],
      ...["/home/müller/日本.db", "e\u0301", "a,b", "@", "file:///srv/shop-alice.db", "null", "0x10", "a:=b", "?"],
    ],
  },
  "addresses": { values: ["postgres://u:p@host:5432/db?sslmode=require&x=%20", "redis://[::1]:6379/0"] },
  "spaces": { values: [" ", "a b", " a ", "\ta\t", "\u00a0a\u00a0", "\ufeffa"] },
  "comment signs": { values: ["#", "a#b", "a #b", "#ab", "a# b"] },
  "newlines": { values: ["\n", "a\nb", "\na\n", "a\nB=c\n# d", "-----BEGIN KEY-----\nabc/+=\n-----END KEY-----\n"] },
  "double quotes and backticks": { values: ['"', 'a"b', '{"a": "b c"}', "`", "a`b", "`id`", '"`"'] },
  "shell signs": { values: ["a;b", "a&b|c", "!", "~", "*", "(a)", "<a>", "%PATH%", "[a]", "a\\b", "a\\nb", "\\t"] },
  "other scripts": { values: ["é", "日本語", "😀", "\u2028", "\u0085", "\u001b[1m"] },
  "single quotes": { values: ["'", "it's", "a 'b' c", "it's #1", "it's\ntwo", "''", " 'a' ", "it's \\d"] },
  // Bun, Next and Vite expand $ in every quote, python-dotenv ${...}; compose-go knows no backticks.
  "dollars": { values: ["$", "a$", "$HOME", "a$HOME b", "$1", "$$", "$(id)"], except: ["bun", "next", "vite"] },
  "braced dollars": { values: ["${HOME}", "a${HOME:-b}", "${"], except: ["bun", "next", "vite", "python-dotenv"] },
  "doubled backslashes": { values: ["\\\\b", "a\\\\b", "\\\\\\\\x"], except: ["python-dotenv"] },
  "a final backslash": { values: ["\\", "\\\\", "C:\\dir\\", "ab\\"], except: ["sh"] },
  "a final backslash after a space": { values: ["a b\\", "a;b\\"], except: ["bun", "compose-go", "python-dotenv"] },
  "single and double quotes": { values: [`it's "a"`, `a'"`, `a"'b`], except: ["sh"] },
  "single quotes and dollars": {
    values: ["it's $HOME", "'$'"],
    except: ["bun", "compose-go", "next", "vite", "python-dotenv", "sh"],
  },
  "single quotes and backticks": { values: ["it's `a`", "`'"], except: ["sh"] },
  "single quotes and escapes": { values: ["it's\\n", "'\\\\n"], except: ["compose-go", "python-dotenv", "sh"] },
  "three quotes": { values: ["a'b\"c`d", 'it\'s `a` "b"'], except: ["sh"] },
};

/** Reads variables from a file as a program started with it sees them. */
type Reader = (file: string, names: readonly string[], at: Project) => Record<string, string | undefined>;

const PRINT = `import process from "node:process";
const names = JSON.parse(process.argv.at(-1));
console.log(JSON.stringify(Object.fromEntries(names.map((name) => [name, process.env[name]]))));`;

/** A reader that is a command; it prints the variables as JSON. */
function command(args: (file: string, print: string) => [string, ...string[]]): Reader {
  return (file, names, at) => {
    at.write("print.mjs", PRINT);
    const [program, ...rest] = args(file, join(at.path, "print.mjs"));
    const { code, stdout, stderr } = run([program, ...rest, JSON.stringify(names)], { cwd: at.path });
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };
}

const PYTHON = `import json, sys
from dotenv import dotenv_values
print(json.dumps(dotenv_values(sys.argv[1])))`;

function python(): Runtime {
  const { code } = run(["python3", "-c", "import dotenv"]);
  return code === 0 ? { command: ["python3"] } : { missing: "python3 with the module dotenv is not installed" };
}

function program(name: string, ...look: string[]): Runtime {
  return run([name, ...look]).code === 0 ? { command: [name] } : { missing: `${name} is not installed` };
}

/** A reader of the `.env.local` of a directory. */
function ofDirectory(...command: [string, ...string[]]): Reader {
  return (file) => {
    using at = temporaryProject({ ".env.local": Deno.readTextFileSync(file) });
    return printed(...command, at.path);
  };
}

/** The output of a command, read as JSON. */
function printed(...command: [string, ...string[]]): Record<string, string> {
  const { code, stdout, stderr } = run(command);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

const INSTALLED = installReaders(node22());
Deno.test.afterAll(() => INSTALLED.directory[Symbol.dispose]());

const here: Runtime = { command: [Deno.execPath()] };
const READERS: Readonly<Record<string, readonly [Runtime, (program: string, ...more: string[]) => Reader]>> = {
  "deno": [here, (deno) => command((file, print) => [deno, "run", "--no-config", "-E", `--env-file=${file}`, print])],
  "node": [node22(), (node) => command((file, print) => [node, `--env-file=${file}`, print])],
  "bun": [bun(), (bun) => command((file, print) => [bun, `--env-file=${file}`, print])],
  "npm dotenv": [here, () => (file) => parse(Deno.readTextFileSync(file))],
  "python-dotenv": [python(), (python) => (file) => {
    const { code, stdout, stderr } = run([python, "-c", PYTHON, file]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  }],
  "next": [INSTALLED.next, ofDirectory],
  "vite": [INSTALLED.vite, ofDirectory],
  "compose-go": [INSTALLED.compose, (...command) => (file) => printed(...command, file)],
  "sh": [
    here,
    (deno) =>
      command((file, print) => ["sh", "-c", 'set -a; . "$1"; shift; exec "$@"', "sh", file, deno, "run", "-E", print]),
  ],
  "parseEnvFile()": [here, () => (file) => parseEnvFile(Deno.readTextFileSync(file))],
};

for (const [name, [runtime, reader]] of Object.entries(READERS)) {
  const classes = Object.entries(CLASSES).filter(([, { except }]) => !except?.includes(name));
  runtimeTest(
    `formatEnvLine() writes what ${name} reads: ${classes.map(([one]) => one).join(", ")}`,
    runtime,
    (words) => {
      using at = temporaryProject();
      // All in one file: a value read wrongly may also swallow the next one.
      const values = classes.flatMap(([one, { values }]) => values.map((value) => ({ one, value })));
      const wanted = Object.fromEntries(values.map(({ value }, index) => [`V${index}`, value]));
      at.write("all.env", textOf(wanted));
      const got = reader(...words)(join(at.path, "all.env"), Object.keys(wanted), at);
      for (const [index, { one, value }] of values.entries()) {
        assert.equal(got[`V${index}`], value, `${name} reads ${JSON.stringify(value)} of "${one}"`);
      }
    },
  );
}

// The exceptions above are facts, not excuses: once a reader agrees, its exception goes.
for (const [one, { values, except }] of Object.entries(CLASSES)) {
  for (const name of except ?? []) {
    const [runtime, reader] = READERS[name];
    runtimeTest(`${name} still differs on ${one}`, runtime, (words) => {
      using at = temporaryProject();
      const isWrong = values.some((value, index) => {
        at.write(`${index}.env`, `${formatEnvLine("V", value)}\nNEXT='1'\n`);
        try {
          const { V, NEXT } = reader(...words)(join(at.path, `${index}.env`), ["V", "NEXT"], at);
          return V !== value || NEXT !== "1";
        } catch {
          return true; // sh stops at an open quote
        }
      });
      assert(isWrong, `${name} reads every value of "${one}": remove the exception`);
    });
  }
}

/** Readers that know no quotes, or other ones, or expand: each must agree on plain values. */
const PLAIN_READERS: Readonly<Record<string, readonly [Runtime, (program: string, ...more: string[]) => Reader]>> = {
  "make's include": [program("make", "--version"), (make) => (file, names, at) => {
    at.write("print.mjs", PRINT);
    at.write("names.json", JSON.stringify(names));
    const deno = `${Deno.execPath()} run -E ${join(at.path, "print.mjs")}`;
    at.write("Makefile", `include ${file}\nexport\nall: ; @${deno} "$$(cat names.json)"\n`);
    const { code, stdout, stderr } = run([make, "-s"], { cwd: at.path });
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  }],
  "docker run --env-file": [INSTALLED.docker, (...command) => (file) => printed(...command, file)],
  // Of environment.d, which EnvironmentFile= shares its parser with. It leaves out what is empty, and quotes for a shell.
  "systemd": [INSTALLED.systemd, (generator) => (file, names) => {
    using at = temporaryProject({ "environment.d/all.conf": Deno.readTextFileSync(file) });
    const { code, stdout, stderr } = run([generator], { env: { XDG_CONFIG_HOME: at.path } });
    assert.equal(code, 0, stderr);
    const lines = Array.from(stdout.matchAll(/^(\w+)=("?)(.*)\2$/gm), ([, name, , value]) => [name, value]);
    return { ...Object.fromEntries(names.map((name) => [name, ""])), ...Object.fromEntries(lines) };
  }],
  "direnv": [program("direnv", "version"), (direnv) => (file, _names, at) => {
    const { code, stdout, stderr } = run([direnv, "dotenv", "json", file], { cwd: at.path });
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  }],
  // As its documentation has it, since it needs a daemon: the value is all after the first "=", with no quotes.
  // https://docs.docker.com/reference/cli/docker/container/run/#env
  "docker run --env-file, by its documented rule": [
    here,
    () => (file) =>
      Object.fromEntries(
        linesOf(file).map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
      ),
  ],
  // As its documentation has it, since it needs an init system: quotes and backslashes have a meaning, and the rest is
  // the value. https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#EnvironmentFile=
  "systemd's EnvironmentFile, by its documented rule": [
    here,
    () => (file) =>
      Object.fromEntries(
        linesOf(file).map((line) => {
          assert.doesNotMatch(line, /["'\\]/);
          return [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1).trim()];
        }),
      ),
  ],
};

function linesOf(file: string): string[] {
  return Deno.readTextFileSync(file).split("\n").filter((line) => line !== "" && !/^[#;]/.test(line));
}

for (const [name, [runtime, reader]] of Object.entries(PLAIN_READERS)) {
  runtimeTest(`formatEnvLine() writes plain values so that ${name} reads them`, runtime, (words) => {
    using at = temporaryProject();
    const { values } = CLASSES["plain values"];
    const wanted = Object.fromEntries(values.map((value, index) => [`V${index}`, value]));
    at.write("all.env", textOf(wanted));
    const got = reader(...words)(join(at.path, "all.env"), Object.keys(wanted), at);
    assert.deepEqual(Object.fromEntries(Object.keys(wanted).map((one) => [one, got[one]])), wanted);
  });
}

function textOf(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables).map(([key, value]) => `${formatEnvLine(key, value)}\n`).join("");
}

// ---- any value

const BYTES = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
const anyValue = fc.oneof(
  fc.string({ unit: fc.constantFrom(...BYTES), maxLength: 12 }),
  fc.string({ unit: fc.constantFrom(..."aZ09 =#$\\'\"`\n\t{}&;", "\\n", "\ufffd", "é", "\u0085"), maxLength: 8 }),
  fc.string({ unit: "grapheme", maxLength: 8 }),
  fc.stringMatching(/^[A-Za-z0-9_.,:\/@%+=?-]{0,20}$/),
);

/** Values on which a reader differs, in general. */
const DIFFERS: Readonly<Record<string, RegExp>> = {
  "bun": /\$|\\$/,
  "npm dotenv": /\\$/, // in quotes it reads on, if a later line has the quote at its end
  "python-dotenv": /\$\{|\\|'[^]*["$`#\n]|["$`#\n][^]*'/,
  "next": /\$|\\$/,
  "vite": /\$|\\$/,
  "compose-go": /'|\\$/,
  "sh": /\\$|'[^]*["$`\\]|["$`\\][^]*'/,
  ...Object.fromEntries(Object.keys(PLAIN_READERS).map((name) => [name, /[^\p{L}\p{M}\p{N}_.,:/@%+=?-]/u])),
};

for (const [name, [runtime, reader]] of Object.entries({ ...READERS, ...PLAIN_READERS })) {
  runtimeTest(`${name} reads any value as it was written, or it is VALUE_UNWRITABLE`, runtime, (words) => {
    using at = temporaryProject();
    const values = fc.sample(anyValue, 2_000).filter((value) => {
      if (DIFFERS[name]?.test(value)) return false;
      try {
        return formatEnvLine("X", value) !== "";
      } catch (error) {
        assert(isForkstackError(error) && error.code === "VALUE_UNWRITABLE", String(error));
        return false;
      }
    });
    assert(values.length > 300, `${values.length} values`);
    const wanted = Object.fromEntries(values.map((value, index) => [`V${index}`, value]));
    at.write("any.env", textOf(wanted));
    const got = reader(...words)(join(at.path, "any.env"), Object.keys(wanted), at);
    for (const [key, value] of Object.entries(wanted)) {
      assert.equal(got[key], value, `${name}: ${JSON.stringify(value)}`);
    }
  });
}

// ---- what others wrote

/** A line as 0.1.0 wrote it. */
function lineOf010(name: string, value: string): string | undefined {
  const has = (pattern: RegExp) => pattern.test(value);
  if (has(/[\0\r]|\p{Cs}/u)) return undefined;
  const isDouble = !has(/["$]|\\(?:[\\nr]|$)/);
  if (has(/^[\w.,:/@%+={}\\-]*\\$/)) return `${name}=${value}`;
  if (!has(/'/)) return `${name}='${value}'`;
  if (isDouble && !has(/`/)) return `${name}="${value}"`;
  if (!has(/^\s|\s$|^['"`]|[\n#$]/)) return `${name}=${value}`;
  return has(/`/) ? isDouble ? `${name}="${value}"` : undefined : `${name}=\`${value}\``;
}

Deno.test("parseEnvFile() reads any line of 0.1.0 as it was written, and an edit of another leaves it", () => {
  fc.assert(
    fc.property(anyValue.filter((value) => !value.includes("\ufffd")), (value) => {
      const line = lineOf010("X", value);
      if (line === undefined) return;
      const text = `A='1'\n${line}\nB='2'\n`;
      assert.deepEqual(parseEnvFile(text), { A: "1", X: value, B: "2" });
      assert.equal(setEnvVariable(text, "X", value), text, "a line that says the same stays");
      assert.equal(setEnvVariable(text, "B", "3"), `A='1'\n${line}\nB=3\n`);
    }),
    { numRuns: 5_000 },
  );
});

/** All ways to write a value on one line, with what may follow it. */
function isWhole(written: string, value: string): boolean {
  const inDouble = value.replaceAll("\n", "\\n");
  const escaped = value.replace(/["\\]/g, "\\$&").replaceAll("\n", "\\n");
  const isQuoted = [`'${value}'`, `\`${value}\``, `"${value}"`, `"${inDouble}"`, `"${escaped}"`].some((whole) =>
    written.startsWith(whole) && /^[ \t]*(#[^]*)?$/.test(written.slice(whole.length))
  );
  return isQuoted || (written.startsWith(value) && /^([ \t]+#[^]*|[ \t]*)$/.test(written.slice(value.length)));
}

Deno.test("readEnvFile() of any line by hand gives the value whole, or an error with line and column", () => {
  const unit = fc.constantFrom(..."ab{}:,1 \t#$\\\\\"\"''`=\u00a0\u2028", '\\"', "\\n", "\\\\", " #");
  const line = fc.tuple(fc.constantFrom("", "", "'", '"', "`", '"{\\"'), fc.string({ unit, maxLength: 12 }));
  let read = 0;
  fc.assert(
    fc.property(line, ([begin, rest]) => {
      const written = (begin + rest).replace(/^[ \t]+(?!#)/, "");
      const file = readEnvFile(`A=1\nX=${written}\n`, '"x.env"');
      const value = file.get("X")!;
      if (typeof value === "string") {
        read++;
        return assert(isWhole(written, value) || isWhole(written.trim(), value), `${written} is not ${value}`);
      }
      assert.equal(value.code, "VALUE_UNREADABLE");
      const [, column] = /^Cannot read variable "X" of "x\.env": line 2, column (\d+): /.exec(value.message)!;
      assert(Number(column) >= 3 && Number(column) <= written.length + 3, value.message);
    }),
    { numRuns: 20_000 },
  );
  assert(read > 2_000, `${read} values were read`);
});

Deno.test("a value that would be read in part is an error that names its place, and none of it", () => {
  const cases: [text: string, at: string][] = [
    ['A=1\nKEY="a"b\n', "line 2, column 8"],
    ["KEY='it''s'", "line 1, column 9"],
    ['\n  export KEY = "never closed\nA=1', "line 2, column 16"],
    ["KEY='-----BEGIN\r\nabc", "line 1, column 5"],
    ["KEY=postgres://u:p#w@h/db", "line 1, column 19"],
    ["COLOR=#fff", "line 1, column 7"],
    ['KEY="a\\"b\\tc"', "line 1, column 5"],
    ['KEY="C:\\dir\\"\nA="x"', "line 1, column 5"],
    ["A=1\r\nKEY=`a` b # c", "line 2, column 9"],
    ["KEY='caf\ufffd'", "line 1, column 5"],
  ];
  for (const [text, at] of cases) {
    assert.throws(() => parseEnvFile(text, "its file"), (error) => {
      assert(isForkstackError(error) && error.code === "VALUE_UNREADABLE" && error.hint !== undefined);
      assert(error.message.includes(` of its file: ${at}: `), `${text}: ${error.message}`);
      return !/postgres|fff|BEGIN|caf|never/.test(error.message);
    });
  }
  const whole = {
    'K="{\\"a\\":1}"': '{"a":1}',
    'K="{\\"a\\":\\"x\\\\ny\\"}" # c': '{"a":"x\\ny"}',
    "K=\u00a0a": "\u00a0a",
  };
  for (const [text, K] of Object.entries(whole)) assert.deepEqual(parseEnvFile(text), { K });
});
