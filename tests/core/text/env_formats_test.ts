/** Each format of `env`, read by the program it is for, or where that can't run here, by its documented rule. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { ENV_FORMATS, type EnvFormat, formatVariables, maskLines } from "../../../core/text/env_formats.ts";
import { isForkstackError } from "../../../mod.ts";
import { temporaryDirectory, testIf } from "../../helpers.ts";
import { whyMissing } from "../../tools.ts";

/** Values that a careless format would cut, expand or run. */
const LINE: Readonly<Record<string, string>> = {
  PLAIN: "postgresql://app:pw@db.example:5432/shop?sslmode=require",
  SPACES: "  a b  ",
  QUOTES: `it's "quoted" \\ \\' \\" \\\\`,
  DOLLAR: "$HOME ${HOME} $(touch /tmp/x) `touch /tmp/y`",
  HASH: "a#b #c",
  PERCENT: "%0A%25",
  EMPTY: "",
  UNICODE: "Grüße 😀 ‘typographic’ “quotes” ‛‚",
  EQUALS: "=a==b=",
  END: "ghadelimiter_0 EOF",
  BANG: "a!b !! ;|&<>(){}[]*?~",
  DASH: "-n",
};
const LINES: Readonly<Record<string, string>> = {
  ...LINE,
  MULTI: "-----BEGIN KEY-----\nab+/=\n\n  $x 'y' \"z\"\n-----END KEY-----\n",
  CRLF: "a\r\nb",
  LAST: "ends in a backslash \\",
};

/** Reads the environment of a program that was told the text. */
function environmentBy(command: string, ...args: string[]): Record<string, string> {
  const env = { PATH: process.env.PATH!, HOME: "/nonexistent", LC_ALL: "C.UTF-8" };
  const all = execFileSync(command, args, { env, encoding: "utf8" }).split("\0").filter(Boolean);
  return Object.fromEntries(all.map((one) => [one.slice(0, one.indexOf("=")), one.slice(one.indexOf("=") + 1)]));
}

function assertReads(read: Record<string, string>, wanted: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(wanted)) assert.equal(read[name], value, name);
}

/** Values that a format refuses, rather than change them. */
function refusedBy(format: EnvFormat, values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values).filter(([name, value]) => {
    try {
      formatVariables(format, { [name]: value });
      return false;
    } catch (error) {
      assert(isForkstackError(error) && error.code === "VALUE_UNWRITABLE" && !error.message.includes(value || "\0"));
      return true;
    }
  }).map(([name]) => name);
}

for (const shell of ["sh", "bash", "dash", "zsh", "busybox"]) {
  testIf(whyMissing(shell), `env --format shell: ${shell} gets every value whole`, () => {
    const text = `${formatVariables("shell", LINES)}\nexec env -0`;
    assertReads(environmentBy(shell, ...shell === "busybox" ? ["sh"] : [], "-c", text), LINES);
  });
}

testIf(whyMissing("fish"), "env --format fish: fish gets every value whole", () => {
  using place = temporaryDirectory();
  const path = join(place.path, "vars.fish");
  writeFileSync(path, `${formatVariables("fish", LINES)}\n`);
  assertReads(environmentBy("fish", "--no-config", "-c", `source ${path}; env -0`), LINES);
});

testIf(
  whyMissing("python3"),
  "env --format dotenv: python-dotenv and Node get every value whole, or it is refused",
  () => {
    const refused = refusedBy("dotenv", LINES);
    assert.deepEqual(refused.sort(), ["CRLF", "MULTI", "QUOTES"].filter((name) => refused.includes(name)).sort());
    const held = Object.fromEntries(Object.entries(LINES).filter(([name]) => !refused.includes(name)));
    assert(Object.keys(held).length >= 10);
    using place = temporaryDirectory();
    const path = join(place.path, "vars.env");
    writeFileSync(path, `${formatVariables("dotenv", held)}\n`);
    const script = "import dotenv, json, sys; print(json.dumps(dotenv.dotenv_values(sys.argv[1], interpolate=False)))";
    // Python knows no back quotes, the last resort for what holds both others, and takes a backslash before the closing
    // quote for its escape: docs/variables.md.
    const plain = Object.fromEntries(
      Object.entries(held).filter(([name, value]) => !/=`|\\'$/.test(formatVariables("dotenv", { [name]: value }))),
    );
    const { status } = spawnSync("python3", ["-c", "import dotenv"]);
    if (status === 0) {
      const forPython = join(place.path, "python.env");
      writeFileSync(forPython, `${formatVariables("dotenv", plain)}\n`);
      assertReads(JSON.parse(execFileSync("python3", ["-c", script, forPython], { encoding: "utf8" })), plain);
    }
    const node = execFileSync("node", [`--env-file=${path}`, "-p", "JSON.stringify(process.env)"], {
      encoding: "utf8",
    });
    assertReads(JSON.parse(node), held);
  },
);

Deno.test("env --format docker: a line is a name and its value as it is; line breaks are refused", () => {
  assert.deepEqual(refusedBy("docker", LINES), ["MULTI", "CRLF"]);
  // github.com/docker/cli/pkg/kvfile: lines; white space before the name and lines that begin with # are left out
  const lines = formatVariables("docker", LINE).split("\n");
  assertReads(
    Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)])),
    LINE,
  );
  assert(lines.every((line) => !/^[\s#]/.test(line)));
});

Deno.test("env --format github: the runner's rule gives every value whole, and no value ends its own delimiter", () => {
  const values = { ...LINES, TRAP: "ghadelimiter_\nghadelimiter_00000000-0000-0000-0000-000000000000\nA=b\nB<<C\nC" };
  const text = `${formatVariables("github", values)}\n`;
  const read: Record<string, string> = {};
  const lines = text.split("\n");
  for (let at = 0; at < lines.length - 1;) { // actions/runner: FileCommandManager, NAME<<delimiter
    const [, name, end] = /^([^=]+?)<<(.+)$/.exec(lines[at++]!)!;
    const from = at;
    while (lines[at] !== end) at++;
    read[name!] = lines.slice(from, at++).join("\n");
  }
  assertReads(read, values);
  const delimiters = text.match(/<<(ghadelimiter_[0-9a-f-]{36})\n/g)!;
  assert.equal(new Set(delimiters).size, Object.keys(values).length);
  assert.notEqual(formatVariables("github", { A: "b" }), formatVariables("github", { A: "b" }));
});

Deno.test("maskLines() hides each line of a secret, with the escapes of workflow commands", () => {
  assert.deepEqual(maskLines(["pw", "a%b", "x\ny\r\n\nx", "", " "]), [
    "::add-mask::pw",
    "::add-mask::a%25b",
    "::add-mask::x",
    "::add-mask::y",
  ]);
});

Deno.test("env --format gitlab: values without white space and quotes at their start; others are refused", () => {
  const refused = refusedBy("gitlab", { ...LINES, QUOTED: '"a"', SINGLE: "'a'" });
  assert.deepEqual(refused, [
    "SPACES",
    "QUOTES",
    "DOLLAR",
    "HASH",
    "UNICODE",
    "END",
    "BANG",
    "MULTI",
    "CRLF",
    "LAST",
    "QUOTED",
    "SINGLE",
  ]);
  const held = Object.fromEntries(Object.entries(LINE).filter(([name]) => !refused.includes(name)));
  const read = formatVariables("gitlab", held).split("\n").map((line) =>
    /^(.*?)=(.*)$/.exec(line)!.slice(1).map((part) => part.trim())
  );
  assertReads(Object.fromEntries(read), held);
});

Deno.test("env --format systemd: the rule of EnvironmentFile= gives every value whole", () => {
  const read: Record<string, string> = {};
  const text = `${formatVariables("systemd", LINES)}\n`;
  // systemd.exec(5): in double quotes a backslash before " \ ` $ is taken away, before a newline both are
  const assignment = /([A-Z_]+)="((?:[^"\\]|\\[^])*)"\n/gy;
  let end = 0;
  for (const match of text.matchAll(assignment)) {
    assert.equal(match.index, end);
    end = match.index + match[0].length;
    read[match[1]!] = match[2]!.replace(/\\(["\\`$])/g, "$1").replaceAll("\\\n", "");
  }
  assert.equal(end, text.length);
  assertReads(read, LINES);
});

Deno.test("env --format powershell: the rule of single quotes gives every value whole", () => {
  const read: Record<string, string> = {};
  // about_Quoting_Rules, and the tokenizer: ' ‘ ’ ‚ ‛ all end a string, and two of them are one
  const assignment = /\$env:([A-Z_]+) = '((?:[^'‘’‚‛]|['‘’‚‛]{2})*)'(?:\n|$)/gy;
  const text = formatVariables("powershell", LINES);
  for (const match of text.matchAll(assignment)) {
    read[match[1]!] = match[2]!.replace(/(['‘’‚‛])['‘’‚‛]/g, "$1");
  }
  assertReads(read, LINES);
});

Deno.test("env --format json is JSON; every format refuses a NUL and what is no name", () => {
  assert.deepEqual(JSON.parse(formatVariables("json", LINES)), LINES);
  for (const format of ENV_FORMATS.filter((one) => one !== "json")) {
    assert.equal(formatVariables(format, {}), "");
    assert.deepEqual(refusedBy(format, { A: "a\0b" }), ["A"], format);
    for (const name of ["A-B", "1A", "A=B", "A\nB", "", "A B", "$(x)"]) {
      assert.deepEqual(refusedBy(format, { [name]: "value" }), [name], `${format} ${name}`);
    }
  }
});
