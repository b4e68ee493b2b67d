/** What formatEnvLine() writes, read back by every reader of env files that DESIGN.md names. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { parse } from "npm:dotenv@18.0.10";
import { formatEnvLine, parseEnvFile } from "../mod.ts";
import { bun, node22, type Project, run, type Runtime, runtimeTest, temporaryProject } from "./runtime_helpers.ts";

/** Values by what they have in common, and the readers that are known to differ on them. */
const CLASSES: Readonly<Record<string, { values: readonly string[]; except?: readonly string[] }>> = {
  "plain values": {
    values: ["", "abc", "1", "true", "postgres://u:p@host:5432/db?sslmode=require&x=%20", "a=b", "=="],
  },
  "spaces": { values: [" ", "a b", " a ", "\ta\t", "\u00a0a\u00a0", "\ufeffa"] },
  "comment signs": { values: ["#", "a#b", "a #b", "#ab", "a# b"] },
  "newlines": { values: ["\n", "a\nb", "\na\n", "a\nB=c\n# d", "-----BEGIN KEY-----\nabc/+=\n-----END KEY-----\n"] },
  "double quotes and backticks": { values: ['"', 'a"b', '{"a": "b c"}', "`", "a`b", "`id`", '"`"'] },
  "shell signs": { values: ["a;b", "a&b|c", "!", "~", "*", "(a)", "<a>", "%PATH%", "[a]", "a\\b", "a\\nb", "\\t"] },
  "other scripts": { values: ["é", "日本語", "😀", "\u2028", "\u0085", "\u001b[1m"] },
  "single quotes": { values: ["'", "it's", "a 'b' c", "it's #1", "it's\ntwo", "''", " 'a' ", "it's \\d"] },
  // Bun expands $ in every quote, python-dotenv ${...}.
  "dollars": { values: ["$", "a$", "$HOME", "a$HOME b", "$1", "$$", "$(id)"], except: ["bun"] },
  "braced dollars": { values: ["${HOME}", "a${HOME:-b}", "${"], except: ["bun", "python-dotenv"] },
  "doubled backslashes": { values: ["\\\\b", "a\\\\b", "\\\\\\\\x"], except: ["python-dotenv"] },
  "a final backslash": { values: ["\\", "\\\\", "C:\\dir\\", "ab\\"], except: ["sh"] },
  "a final backslash after a space": { values: ["a b\\", "a;b\\"], except: ["bun", "python-dotenv"] },
  "single and double quotes": { values: [`it's "a"`, `a'"`, `a"'b`], except: ["sh"] },
  "single quotes and dollars": { values: ["it's $HOME", "'$'"], except: ["bun", "python-dotenv", "sh"] },
  "single quotes and backticks": { values: ["it's `a`", "`'"], except: ["sh"] },
  "single quotes and escapes": { values: ["it's\\n", "'\\\\n"], except: ["python-dotenv", "sh"] },
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

const here: Runtime = { command: [Deno.execPath()] };
const READERS: Readonly<Record<string, readonly [Runtime, (program: string) => Reader]>> = {
  "deno": [here, (deno) => command((file, print) => [deno, "run", "--no-config", "-E", `--env-file=${file}`, print])],
  "node": [node22(), (node) => command((file, print) => [node, `--env-file=${file}`, print])],
  "bun": [bun(), (bun) => command((file, print) => [bun, `--env-file=${file}`, print])],
  "npm dotenv": [here, () => (file) => parse(Deno.readTextFileSync(file))],
  "python-dotenv": [python(), (python) => (file) => {
    const { code, stdout, stderr } = run([python, "-c", PYTHON, file]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  }],
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
    ([program]) => {
      using at = temporaryProject();
      // All in one file: a value read wrongly may also swallow the next one.
      const values = classes.flatMap(([one, { values }]) => values.map((value) => ({ one, value })));
      const wanted = Object.fromEntries(values.map(({ value }, index) => [`V${index}`, value]));
      at.write("all.env", Object.entries(wanted).map(([key, value]) => `${formatEnvLine(key, value)}\n`).join(""));
      const got = reader(program)(join(at.path, "all.env"), Object.keys(wanted), at);
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
    runtimeTest(`${name} still differs on ${one}`, runtime, ([program]) => {
      using at = temporaryProject();
      const isWrong = values.some((value, index) => {
        at.write(`${index}.env`, `${formatEnvLine("V", value)}\nNEXT='1'\n`);
        try {
          const { V, NEXT } = reader(program)(join(at.path, `${index}.env`), ["V", "NEXT"], at);
          return V !== value || NEXT !== "1";
        } catch {
          return true; // sh stops at an open quote
        }
      });
      assert(isWrong, `${name} reads every value of "${one}": remove the exception`);
    });
  }
}
