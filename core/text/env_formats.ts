/**
 * Variables as text for other programs: each format holds a value whole, or the value is an error.
 *
 * - shell: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html (2.2.2)
 * - docker: https://docs.docker.com/reference/cli/docker/container/run/#env
 * - github: https://docs.github.com/actions/reference/workflow-commands-for-github-actions (environment files)
 * - gitlab: https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsdotenv
 * - systemd: https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html (EnvironmentFile=)
 * - fish: https://fishshell.com/docs/current/language.html#quotes
 * - powershell: https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_quoting_rules
 *
 * @module
 */
import { ForkstackError, formatEnvLine } from "../../mod.ts";

/** One format of a single variable, without a newline at its end. */
type Format = (name: string, value: string) => string;

/** The formats of `forkstack env`, in the order of help; `json` is of all variables together. */
const LINES = {
  shell: (name, value) => `export ${name}='${value.replaceAll("'", "'\\''")}'`,
  dotenv: formatEnvLine,
  docker: (name, value) => `${name}=${held(name, value, /[\r\n]/, "a Docker env file has no line breaks in values")}`,
  github(name, value) {
    const end = `ghadelimiter_${crypto.randomUUID()}`; // random, so that no value can end it
    return `${name}<<${end}\n${value}\n${end}`;
  },
  gitlab: (name, value) =>
    `${name}=${held(name, value, /\s|^["']/, "a dotenv report of GitLab has no space, line break or leading quote")}`,
  systemd: (name, value) => `${name}="${value.replace(/["\\`$]/g, "\\$&")}"`,
  fish: (name, value) => `set -gx ${name} '${value.replace(/['\\]/g, "\\$&")}'`,
  // PowerShell takes typographic quotes for quotes.
  powershell: (name, value) => `$env:${name} = '${value.replace(/['\u2018-\u201b]/g, "$&$&")}'`,
} as const satisfies Record<string, Format>;

/** The name of a format. */
export type EnvFormat = keyof typeof LINES | "json";

/** Every format, in the order of help. */
export const ENV_FORMATS: readonly EnvFormat[] = [
  "shell",
  "dotenv",
  "json",
  "docker",
  "github",
  "gitlab",
  "systemd",
  "fish",
  "powershell",
];

/**
 * Formats variables, without a newline at the end.
 *
 * @throws {ForkstackError} VALUE_UNWRITABLE for a value that the format cannot hold whole.
 */
export function formatVariables(format: EnvFormat, variables: Readonly<Record<string, string>>): string {
  if (format === "json") return JSON.stringify(variables, null, 2);
  const line: Format = LINES[format];
  return Object.entries(variables).map(([name, value]) => {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw unwritable(name, "it is no variable's name");
    return line(name, held(name, value, /\0/, "no environment holds a NUL"));
  }).join("\n");
}

/**
 * Returns the lines that have GitHub Actions hide values in its log: one for each line of a value. `%` and line ends are
 * escaped as its commands want them.
 */
export function maskLines(values: readonly string[]): string[] {
  const lines = values.flatMap((value) => value.split(/[\r\n]+/)).filter((line) => line.trim() !== "");
  return [...new Set(lines)].map((line) => `::add-mask::${line.replaceAll("%", "%25")}`);
}

function held(name: string, value: string, unheld: RegExp, why: string): string {
  if (unheld.test(value)) throw unwritable(name, why);
  return value;
}

function unwritable(name: string, why: string): ForkstackError {
  return new ForkstackError("VALUE_UNWRITABLE", `Cannot write variable "${name.slice(0, 60)}" in this format: ${why}`, {
    hint: "Choose another format, or print one variable: `forkstack env <env> <KEY> --reveal`",
  });
}
