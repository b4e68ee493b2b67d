/** The Go reader. */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { baseVariables, temporaryDirectory } from "../helpers.ts";
import type { Runtime } from "../runtime_helpers.ts";
import { SIZE } from "../sizes.ts";
import { whyMissing } from "../tools.ts";
import { type Ask, testMutations, testReader } from "./readers.ts";

const MODULE = fileURLToPath(new URL("../../languages/go", import.meta.url));
const why = whyMissing("go");
const GO: Runtime = why === undefined ? { command: ["go"] } : { missing: why };

const ask: Ask = (_, questions, sources = MODULE) => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "questions.json");
  writeFileSync(path, JSON.stringify(questions));
  const cache = process.env.GOCACHE ?? join(process.env.HOME ?? directory.path, ".cache", "go-build");
  const env = { ...baseVariables(), GOCACHE: cache, GOFLAGS: "-count=1", FORKSTACK_QUESTIONS: path };
  const args = ["test", "-vet=off", "-run", "TestAnswers", "."];
  const { status, stdout, stderr } = spawnSync("go", args, { cwd: sources, env, encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
  return JSON.parse(readFileSync(`${path}.said`, "utf8"));
};

testReader("the Go reader", GO, ask);

/** Rules of the reader, each as its text and one that lacks it. */
const MUTATIONS = {
  "long forms of names": ['"production": "prod"', '"production": "production"'],
  "ENV with a slash names none": ['value == nil || strings.Contains(*value, "/")', "value == nil"],
  "a linked worktree has no default": ["case !facts.IsLinkedWorktree:", "default:"],
  "the file's environment": ["file != nil && (!isSame(file.Env, way.env) || isOther(file.Project))", "false"],
  "a pointer that came along": ["isByPlace && facts.IsPointerCopied", "false"],
  "a block without a pointer": ["isByPlace && block != nil && pointer == nil", "false"],
  "the block's project": ["isByPlace && block != nil && isSame(block.Env, way.env) && isOther(block.Project)", "false"],
  "a loaded file of another environment": ["way.isFileLoaded && unaliased(wanted) != textOf(way.env)", "false"],
  "the process's project": ["way.isNamed && facts.Process.Project != nil && isOther(facts.Process.Project)", "false"],
  "was never made": ['env == "dev" || env == "prod" || way.isRun || file != nil', 'env != ""'],
  "a stale place in a file": ["given.file != nil && !given.isPlace", "given.file != nil"],
  "a deployment has no state": ["isDeployment = !hasState", "isDeployment = hasState || true"],
  "a value of the process that differs": ["if isDeployed ||", "if true || isDeployed ||"],
  "run vouches": ["way.isRun && given.isVouched", "false"],
  "a person's line": ["case given.person != nil:", "case false:"],
  "a line that a resource gives": ["if !isGiven && !isShaped {", "if true || !isGiven && !isShaped {"],
  "a place that is shaped": [
    "given.isPlace = true\n\t\tif given.derived",
    "given.isPlace = false\n\t\tif given.derived",
  ],
  "the path in a deployment's URL": ["given.process = s.pathInProcess(name)", "_ = s.pathInProcess(name)"],
  "shaped ones shape no other": [
    "isShaped := s.templates()[name]; isShaped {\n\t\treturn nil, nil",
    "isShaped := s.templates()[name]; isShaped {\n\t\treturn &name, nil",
  ],
  "a doubled brace": ["return part[:1]", "return part"],
  "a form": ['strings.TrimPrefix(fileURL(path), "file://")', "path"],
  "bare layouts": ["found.isBare = found.isBare ||", "found.isBare = false &&"],
  "the repository's own list of worktrees": ["if !isListed {", "if !isListed && false {"],
  "bases": ['if path == "" {\n\t\t\tpath = join(state', 'if path == "" || true {\n\t\t\tpath = join(state'],
} as const;

// Each is compiled.
if (SIZE === "full") {
  testMutations({
    reader: "the Go reader",
    runtime: GO,
    ask,
    source: readFileSync(join(MODULE, "forkstack.go"), "utf8"),
    mutations: MUTATIONS,
    write(at, text) {
      mkdirSync(join(at.path, "mutated"), { recursive: true });
      for (const name of ["go.mod", "answers_test.go"]) cpSync(join(MODULE, name), join(at.path, "mutated", name));
      at.write("mutated/forkstack.go", text);
      return join(at.path, "mutated");
    },
  });
}
