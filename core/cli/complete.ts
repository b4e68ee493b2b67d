/**
 * Candidates for the word at which somebody pressed Tab. The scripts of `forkstack completions` ask with the words of the command line.
 * It reads what is on this machine, changes nothing, asks no network; in doubt it says nothing.
 *
 * @module
 */
import { declaredResources, parseEnvName } from "../../mod.ts";
import type { Catalog } from "../catalog.ts";
import type { Option } from "./command.ts";
import { argumentsText } from "./command_line.ts";
import { COMMANDS, listedOptions, type OptionName, OPTIONS } from "./command_table.ts";
import { openProject } from "../project/open_project.ts";
import { files } from "../system/files.ts";
import { cwd, join } from "../system/host.ts";
import { BASE_ENVS, type Project } from "../project/project.ts";

/** Candidates, each with a short description. */
type Candidates = Record<string, string>;

/** While another process writes, names are asked of the files alone after so long: somebody waits for the Tab. */
const BUSY_MS = 200;

/** Nothing else can be told to a shell: what it inserts, it may run. */
const HARMLESS = /^[\w.,%+@/=-]+$/;

/** A line for each word that fits at the end of `words`, the last of which is begun or empty: the word, a tab, about it. */
export async function completions(words: readonly string[], catalog: Catalog): Promise<string> {
  const joined = words.filter((word, at) => word !== "=" || !words[at - 1]?.startsWith("--")); // bash: --from = al
  if (joined.length < words.length && words.at(-1) === "=") joined.push("");
  const inline = /^(--[^=]+=)(.*)$/s.exec(joined.at(-1) ?? "");
  const prefix = inline?.[1] ?? "";
  const begun = inline?.[2] ?? joined.at(-1) ?? "";
  const before = joined.slice(0, -1);
  if (inline !== null) before.push(prefix.slice(0, -1));
  const found = await candidates({ before, begun, catalog }).catch(() => ({}));
  return Object.entries(found)
    .filter(([word]) => word.startsWith(begun) && HARMLESS.test(word))
    .map(([word, about]) => `${prefix}${word}\t${about.replace(/[^ -~]/g, "")}`)
    .join("\n");
}

async function candidates(
  { before, begun, catalog }: { readonly before: readonly string[]; readonly begun: string; readonly catalog: Catalog },
): Promise<Candidates> {
  const [command, ...rest] = before;
  if (command === undefined) {
    if (!begun.startsWith("-")) return { ...commands(), help: "show the help of a command" };
    return { "--help": "show the commands", "--version": "show the version" };
  }
  if (command === "help" && rest.length === 0) return commands();
  if (!Object.hasOwn(COMMANDS, command) || rest.includes("--")) return {};
  const own = listedOptions(COMMANDS[command]);
  const given: OptionName[] = [];
  const positionals: string[] = [];
  let open: OptionName | undefined; // waits for its value
  for (const word of rest) {
    const option = own.find((name) => word.replace(/=.*/s, "") === `--${name}` || word === shortOf(name));
    if (open !== undefined) open = undefined;
    else if (option === undefined) positionals.push(word);
    else {
      given.push(option);
      open = "value" in OPTIONS[option] && !word.includes("=") ? option : undefined;
    }
  }
  if (open !== undefined) return await values(labelOf(open), command, catalog);
  const label = labelsOf(command, positionals)[positionals.length];
  const options = () =>
    Object.fromEntries(
      own.filter((name) => !given.includes(name)).map((name) => [`--${name}`, OPTIONS[name].help]),
    );
  return begun.startsWith("-") || label === undefined ? options() : await values(label, command, catalog);
}

function commands(): Candidates {
  return Object.fromEntries(Object.entries(COMMANDS).map(([name, { summary }]) => [name, summary]));
}

function shortOf(name: OptionName): string | undefined {
  const { short }: Option = OPTIONS[name];
  return short === undefined ? undefined : `-${short}`;
}

function labelOf(name: OptionName): string {
  const { value = "" }: Option = OPTIONS[name];
  return value;
}

/** Returns the arguments of a command in order, as its synopsis names them. */
function labelsOf(command: string, [action]: readonly string[]): readonly string[] {
  const { arguments: takes, actions } = COMMANDS[command];
  if (actions === undefined || action === undefined) return takes?.labels ?? [];
  return Object.hasOwn(actions, action) ? ["<action>", ...actions[action].labels] : [];
}

/** Returns the candidates for an argument that the synopsis calls so. */
async function values(label: string, command: string, catalog: Catalog): Promise<Candidates> {
  switch (label.replace(/[<>[\]]/g, "")) {
    case "env":
    case "from":
    case "to":
      return await environments(catalog, COMMANDS[command].arguments?.withoutBases !== true);
    case "resource":
      return resources(await openProject(cwd(), { init: false, catalog }));
    case "action":
      return Object.fromEntries(
        Object.entries(COMMANDS[command].actions ?? {}).map(([name, one]) => [name, argumentsText(one)]),
      );
    case "stack": {
      const { stacks } = await catalog.presets();
      return Object.fromEntries(Object.entries(stacks).map(([name, { title }]) => [name, title]));
    }
    default:
      return COMMANDS[command].arguments?.choices ?? {};
  }
}

/** The environments that this machine knows of; those that can't be deleted only where they are wanted. */
async function environments(catalog: Catalog, withBase: boolean): Promise<Candidates> {
  const project = await openProject(cwd(), { init: false, catalog });
  const found: Candidates = withBase ? Object.fromEntries(BASE_ENVS.map((name) => [name, "always exists"])) : {};
  for (const file of await files.list(join(project.stateRoot, ".forkstack", "envs"))) {
    const name = /^(.+)\.env$/.exec(file)?.[1] ?? "";
    if (isName(name) && !BASE_ENVS.includes(name)) found[name] = "";
  }
  const rows = await recorded(project, catalog).catch(() => []);
  for (const { name, parent, status } of rows) {
    if (isName(name) && isName(parent)) found[name] = `${status}, forked from ${parent}`;
  }
  return found;
}

/** Lists the environments of the project's own registry; one that a team shares is not asked. */
async function recorded(
  project: Project,
  catalog: Catalog,
): Promise<{ name: string; parent: string; status: string }[]> {
  const { isRegistryThere, registryFile } = await import("../state/registry_file.ts"); // an option needs none of it
  const path = await registryFile(project);
  if (path === undefined) return [];
  const { admit, NOBODY } = await import("../project/trust.ts");
  await admit(project, { catalog, reach: "registry", person: { ...NOBODY, isHasty: true } });
  if (!await isRegistryThere(project, path)) return [];
  const { DatabaseSync } = await import("node:sqlite");
  const database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS });
  try {
    const rows = database.prepare("SELECT name, parent, status FROM environments ORDER BY name").all();
    return rows as { name: string; parent: string; status: string }[];
  } finally {
    database.close();
  }
}

function resources({ config }: Project): Candidates {
  const secrets = declaredResources(config).filter(({ kind }) => kind === "secrets");
  return Object.fromEntries(secrets.flatMap(({ name, provider }) => name === undefined ? [] : [[name, provider]]));
}

function isName(text: string): boolean {
  try {
    return parseEnvName(text) === text;
  } catch {
    return false;
  }
}
