/**
 * A person's env files that bring another value than the environment's into a program, as `doctor` finds them.
 *
 * @module
 */
import { envFileOf } from "../../mod.ts";
import type { Engine } from "../engine/engine.ts";
import { adviceFile, envValuesOf } from "../workspace/advice_file.ts";
import { guardedNames } from "../workspace/variable_names.ts";
import type { Finding } from "./finding.ts";

/** Those that programs load in development, besides the one with forkstack's block. */
const ENV_FILES = [".env", ".env.development", ".env.development.local"];

/** Findings on the env files beside forkstack.json that set what each environment has a value of its own for. */
export async function examineEnvFiles({ project, resources }: Engine): Promise<Finding[]> {
  const guarded = resources.flatMap(guardedNames);
  const names = ENV_FILES.filter((name) => name !== envFileOf(project.config));
  const files = (await Promise.all(names.map((name) => adviceFile(project.root, name)))).filter((one) =>
    one !== undefined
  );
  return files.flatMap(({ path, text }) => {
    const values = envValuesOf(text);
    const set = guarded.filter((name) => values[name]);
    if (set.length === 0) return [];
    return [{
      severity: "warning",
      problem: `${path} sets ${
        set.join(", ")
      }: a program that loads it uses that in every environment, or stops with ENV_CONFLICT`,
      fix: `Take ${set.length === 1 ? "it" : "them"} out of ${path}: forkstack gives each environment its own`,
    }];
  });
}
