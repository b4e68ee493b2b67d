/** What Bun itself loads from a directory is told from what the shell had. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ENV_FILES, loadedFrom } from "../../../core/workspace/loaded_env.ts";
import { run, temporaryDirectory, testIf } from "../../helpers.ts";
import { whyNot } from "../../cli/run.ts";

Deno.test("a variable of the shell's stays, one of a file's does not, and in doubt it is the file's", () => {
  const text = [
    ...["A=1", "export B='two'", "C: 3", " D = 4 # four", 'E="a', "INNER=5", 'b"', "F=plain", "G=", "#H=1", "I.J=1"],
  ].join("\n");
  const of = (variables: Record<string, string>, more = "") => loadedFrom(`${text}\n${more}`, variables).sort();
  assert.deepEqual(of({ A: "1", B: "two", D: "4", F: "plain" }), ["A", "B", "D", "F"]);
  assert.deepEqual(of({ A: "mine", B: "mine", F: "mine", H: "1", Z: "1" }), []);
  assert.deepEqual(of({ C: "3", "I.J": "1" }), ["C", "I.J"], "read otherwise by Bun than by us");
  assert.deepEqual(of({ V: "https://evil.example" }, "HOST=evil.example\nV=https://$HOST"), ["V"]);
  assert.deepEqual(of({ V: "x\ny" }, 'V="x\\ny"'), ["V"]);
  assert.deepEqual(loadedFrom("", { A: "1" }), []);
});

testIf(await whyNot("bun", "--version"), "whatever Bun loads is found, in each mode", async () => {
  using directory = temporaryDirectory();
  ENV_FILES.forEach((file, at) => {
    const lines = [
      `V_${at}=${at}`,
      `BOTH=${file}`,
      `EXP_${at}=https://$BOTH/\${V_${at}}`,
      `Q_${at}='a b' # c`,
      `M_${at}="x`,
      `y_${at}=1"`,
    ];
    writeFileSync(join(directory.path, file), `${lines.join("\n")}\nexport X_${at}=1\n  S_${at} = 1\nC_${at}: 2\n`);
  });
  const script = join(directory.path, "show.mjs");
  writeFileSync(script, "console.log(JSON.stringify(process.env))");
  const { readFileSync } = await import("node:fs");
  for (const mode of ["production", "development", "test", "staging"]) {
    const env = { PATH: process.env.PATH!, HOME: directory.path, NODE_ENV: mode, V_0: "of the shell" };
    const { stdout } = await run("bun", [script], { cwd: directory.path, env });
    const variables = JSON.parse(stdout) as Record<string, string>;
    assert(Object.keys(variables).some((name) => name.startsWith("EXP_")), "Bun loads something");
    for (const file of ENV_FILES) {
      for (const name of loadedFrom(readFileSync(join(directory.path, file), "utf8"), variables)) {
        delete variables[name];
      }
    }
    const left = Object.keys(variables).filter((name) => /^([VQMXSC]|EXP|y)_\d$|^BOTH$/.test(name));
    assert.deepEqual(left, [], mode);
  }
});

const QUIRKS: readonly string[] = [
  ...["V=a\f", "V=a\v", "V=a\xa0", "V=\va", "V=\u2003a", "V=a\x00b", "V=a\rW=1", "#c\rV=1", "\ufeffV=1", "V=a\u2028b"],
  ...["V\n=1", "V\n\n =1", "export\nV=1", "export V\n=1", "\fV=1", "V=1\nV=2", "V='x'#y", 'V="x\ny"', "V=x\r\n", "V="],
];

testIf(
  await whyNot("bun", "--version"),
  "a line that Bun reads otherwise than we do is the file's all the same",
  async () => {
    using directory = temporaryDirectory();
    const script = join(directory.path, "show.mjs");
    writeFileSync(script, "console.log(JSON.stringify(process.env))");
    let loaded = 0;
    for (const text of QUIRKS) {
      writeFileSync(join(directory.path, ".env"), `${text}\n`);
      const env = { PATH: process.env.PATH!, HOME: directory.path };
      const { stdout } = await run("bun", [script], { cwd: directory.path, env });
      const { V } = JSON.parse(stdout);
      if (V === undefined) continue;
      loaded++;
      assert.deepEqual(loadedFrom(`${text}\n`, { V }), ["V"], JSON.stringify(text));
    }
    assert(loaded >= 10, `Bun loads ${loaded} of them`);
  },
);
