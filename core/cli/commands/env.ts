import {
  declaredResources,
  ForkstackError,
  parseEnvName,
  TEMPLATE_PART,
  templatesOf,
  variablePrefix,
} from "../../../mod.ts";
import { type CommandResult, type Invocation, usage } from "../command_line.ts";
import type { Catalog } from "../../catalog.ts";
import { isBuiltIn, type Project } from "../../project/project.ts";
import { variable } from "../../system/host.ts";
import { didYouMean } from "../../text/did_you_mean.ts";
import { ENV_FORMATS, type EnvFormat, formatVariables, maskLines } from "../../text/env_formats.ts";
import { text } from "../session.ts";
import type { CommandFile } from "../command_file.ts";
import { settingsOf } from "./run.ts";

/** `env [env] [key]` */
export const command: CommandFile = {
  order: 20,
  group: "data",
  summary: "print an environment's variables for other tools",
  arguments: { labels: ["[env]", "[key]"], min: 0, max: 2 },
  meanings: {
    "[env]": "an environment. Default: the current one",
    "[key]": "one variable, e.g. DATABASE_URL: its value alone is printed",
  },
  example: "env alice --format docker",
  without: ["yes"],
  options: {
    format: {
      type: "string",
      help: "shell, dotenv, json, docker, github, gitlab, systemd, fish or powershell",
      value: "<format>",
      default: "shell",
    },
    secrets: "shared",
    resource: "shared",
    reveal: "shared",
  },
  about: [
    "Prints the variables of an environment as another program reads them. Variables that give access to something, " +
    "such as a URL with a password, are left out, and named on stderr; --reveal prints them too. A value that a format " +
    "cannot hold whole is an error.",
    "In GitHub Actions --format github also has the log hide what is secret.",
  ],
  examples: [
    ["env --reveal", 'for a shell: eval "$(forkstack env --reveal)"'],
    ["env alice DATABASE_URL --reveal", "prints one value"],
    ["env pr-42 --format github --reveal", "for a step of GitHub Actions: append it to $GITHUB_ENV"],
  ],
  exits: { 3: "", 4: "", 5: "", 6: "" },
  files: {
    ".forkstack/envs/<env>.env": "the variables of the environment; only you can read them (mode 0600)",
    GITHUB_ACTIONS: "true in a step of GitHub Actions, which then gets its masks on stderr",
  },
  seeAlso: ["url", "connect", "run", "docs/variables.md"],
  run: runEnv,
};

/** Names of variables, which no environment can have. */
const KEY = /^[A-Z_][A-Z0-9_]*$/;

async function runEnv({ name, more, flags, io }: Invocation): Promise<CommandResult> {
  const format = await formatOf(text(flags.format) ?? "shell");
  const isKeyAlone = name !== undefined && more === undefined && KEY.test(name);
  const [named, key] = isKeyAlone ? [undefined, name] : [name, more];
  const wanted = named === undefined ? undefined : parseEnvName(named);
  const { project, env, written, told, secrets } = await settingsOf({ name: wanted, flags, io });
  const plain = await plainNames(project, io.catalog);
  const own = { FORKSTACK_ENV: env, FORKSTACK_PROJECT: project.name, ...told ?? written };
  const revealed = Object.fromEntries(Object.entries(secrets).map(([one, value]) => [one, value.reveal()]));
  const all: Record<string, string> = { ...revealed, ...own };
  const isShown = (one: string) => flags.reveal === true || plain.has(one);
  if (key !== undefined) return await single(key, { env, all, isShown });
  const names = Object.keys(all);
  const shown = Object.fromEntries(Object.entries(all).filter(([one]) => isShown(one)));
  const hidden = names.filter((one) => !isShown(one));
  if (hidden.length > 0) io.say(`Left out, as they may hold passwords: ${hidden.join(", ")}. --reveal prints them`);
  if (format === "github" && variable("GITHUB_ACTIONS") === "true") {
    // GitHub reads commands from stderr too; stdout goes to the file of variables.
    for (const line of maskLines(names.filter((one) => !plain.has(one) && isShown(one)).map((one) => all[one]!))) {
      io.say(line);
    }
  }
  return {
    data: { environment: env, variables: shown, hidden: hidden.length > 0 ? hidden : undefined },
    isValue: true,
    text: () => formatVariables(format, shown),
  };
}

async function single(
  key: string,
  { env, all, isShown }: {
    readonly env: string;
    readonly all: Readonly<Record<string, string>>;
    readonly isShown: (name: string) => boolean;
  },
): Promise<CommandResult> {
  const value = Object.hasOwn(all, key) ? all[key] : undefined;
  if (value === undefined) {
    const near = await didYouMean(key, Object.keys(all));
    throw new ForkstackError("VALUE_MISSING", `Cannot print ${key} of environment "${env}": it has none${near}`, {
      hint: `\`forkstack status ${env}\` lists the variables`,
      details: { env },
    });
  }
  if (!isShown(key)) {
    throw usage(`Cannot print ${key} of environment "${env}": it may hold a password`, "Pass --reveal");
  }
  return { data: { environment: env, variables: { [key]: value } }, isValue: true, text: () => value };
}

async function formatOf(given: string): Promise<EnvFormat> {
  const found = ENV_FORMATS.find((one) => one === given);
  if (found !== undefined) return found;
  const near = await didYouMean(given, ENV_FORMATS);
  throw usage(`Cannot print variables in format "${given}": there is no such format${near}`, ENV_FORMATS.join(", "));
}

/** Names of the variables that give access to nothing; of a provider of the repository's own, none is known. */
async function plainNames({ config }: Project, catalog: Catalog): Promise<ReadonlySet<string>> {
  const names = declaredResources(config).map(async ({ kind, name, provider: by }) => {
    if (!isBuiltIn(catalog, kind, by)) return [];
    const { default: { variables } } = await catalog.providers[kind][by]!();
    return Object.entries(variables).filter(([, { isSecret }]) => !isSecret)
      .map(([one]) => `${variablePrefix(name)}${one}`);
  });
  const plain = new Set(["FORKSTACK_ENV", "FORKSTACK_PROJECT", "FORKSTACK_EXPIRES_AT"]);
  for (const one of (await Promise.all(names)).flat()) plain.add(one);
  const shaped = Array.from(templatesOf(config)).filter(([, template]) =>
    Array.from(template.matchAll(TEMPLATE_PART)).every(([, one]) => one === undefined || plain.has(one))
  );
  return new Set([...plain, ...shaped.map(([name]) => name)]);
}
