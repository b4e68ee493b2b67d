/** The readers and examples in Python and Go, as the linters and type checkers of their languages see them. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { REPO } from "../../tools/build/_tools.ts";
import { temporaryDirectory, testIf } from "../helpers.ts";
import { run } from "../runtime_helpers.ts";
import { SIZE } from "../sizes.ts";
import { whyMissing } from "../tools.ts";
import { pythonPackages, pythonVariables, whyWithout } from "./shop.ts";

const LANGUAGES = join(REPO, "languages");
const EXAMPLES = join(REPO, "examples");

/** Runs a checker, which finds nothing. */
function finds(command: readonly [string, ...string[]], cwd: string, env: Readonly<Record<string, string>> = {}): void {
  const { code, stdout, stderr } = run(command, { cwd, env });
  assert.deepEqual([
    code,
    stdout.replace(/^(All checks passed!|Success: .*|\d+ files already formatted)$/gm, "").trim(),
  ], [
    0,
    "",
  ], stderr);
}

testIf(whyMissing("gofmt"), "gofmt would change nothing in the Go reader and its example", () => {
  finds(["gofmt", "-l", join(LANGUAGES, "go"), join(EXAMPLES, "go")], REPO);
});

// They install what they call, or compile.
if (SIZE === "full") {
  testIf(whyMissing("go"), "go vet finds nothing in the Go reader and its example", () => {
    const { GOCACHE = join(process.env.HOME ?? REPO, ".cache", "go-build") } = process.env;
    for (const directory of [LANGUAGES, EXAMPLES]) finds(["go", "vet", "./..."], join(directory, "go"), { GOCACHE });
  });

  const linter = pythonPackages("ruff==0.17.6");
  testIf(
    whyWithout(linter),
    "ruff finds nothing in the Python reader and its examples, and would change nothing",
    () => {
      assert("path" in linter);
      const env = pythonVariables(linter.path);
      const config = `--config=${join(LANGUAGES, "python", "pyproject.toml")}`;
      const directories = [join(LANGUAGES, "python"), join(EXAMPLES, "python"), join(EXAMPLES, "django")];
      for (const directory of directories) {
        assert(readdirSync(directory).some((name) => name.endsWith(".py")));
        finds(["python3", "-m", "ruff", "check", "--no-cache", config, "."], directory, env);
        finds(["python3", "-m", "ruff", "format", "--no-cache", "--check", config, "."], directory, env);
      }
    },
  );

  const checker = pythonPackages("mypy==2.4.1", "hatchling", "pydantic-settings", "pytest", "sqlalchemy>=2");
  testIf(whyWithout(checker), "mypy --strict finds nothing in the Python reader", () => {
    assert("path" in checker);
    using cache = temporaryDirectory();
    const command = [
      "python3",
      "-m",
      "mypy",
      "--strict",
      `--cache-dir=${cache.path}`,
      "src",
      "hatch_build.py",
    ] as const;
    finds(command, join(LANGUAGES, "python"), pythonVariables(checker.path));
  });
}
