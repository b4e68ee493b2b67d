/** `init`: an existing project made ready. */
import { ForkstackError, NAME_PATTERN, parseEnvName } from "../../../mod.ts";
import type { CommandResult, Invocation } from "../command_line.ts";
import type { Catalog, Presets } from "../../catalog.ts";
import { loadResources } from "../../project/open_project.ts";
import { fileError, files } from "../../system/files.ts";
import { cwd, join } from "../../system/host.ts";
import { type CredentialReport, type InitPlan, planInit } from "../../setup/plan_setup.ts";
import { commandsWithTask, origin, schemaPath } from "../../project/task_line.ts";
import * as output from "../output.ts";
import { type Ask, ask as onTerminal } from "../../system/prompts.ts";
import { parseConfig } from "../../project/schema.ts";
import { contradiction, draftOf, fill, gapsOf, missingOptions, providersOf } from "../../setup/draft_config.ts";
import { text } from "../session.ts";
import type { Project, Resource } from "../../project/project.ts";
import { signsOf, type Survey, survey } from "../../setup/survey.ts";
import { makeBaseDirectories } from "../../workspace/base_directories.ts";
import { writeProjectFiles } from "../../workspace/staged_files.ts";
import { localCommands, paint, type Style } from "../style.ts";
import type { CommandFile } from "../command_file.ts";

/** `init` */
export const command: CommandFile = {
  order: 14,
  group: "project",
  summary: "set up forkstack in an existing project",
  example: "init --stack sqlite-local",
  options: {
    stack: {
      type: "string",
      help: "the providers: sqlite-local, neon-s3-vault, ...",
      value: "<stack>",
      default: "asked on a terminal, else sqlite-local",
    },
    project: {
      type: "string",
      help: "the name of the project",
      value: "<project>",
      default: "from package.json or deno.json, the git remote, or the directory",
    },
    set: {
      type: "string",
      multiple: true,
      help: "set an option in forkstack.json: database.organization=acme; repeatable",
      value: "<key=value>",
      default: "asked on a terminal, else see docs/choosing-a-stack.md",
    },
    "dry-run": "shared",
  },
  about: [
    "Writes what the project is missing, all of it or nothing: forkstack.json, lines in .gitignore, and a " +
    "task envs:… for each command, in deno.json or as scripts in package.json. On a terminal it asks for what " +
    "it needs, and asks again before it writes. Your own lines never change. Run it again to add what is " +
    "missing later.",
    "It lists the credentials that the stack needs, whether they are set and where to get them, and warns " +
    "about an .env file that leads to production. It prints no values.",
  ],
  examples: [
    ["init", "asks; without a terminal it sets up the local stack"],
    ["init --stack neon-s3-vault --set database.projectId=late-frost-12345", "a named stack with an option"],
    ["init --stack postgres-s3 --set ttl=3d --yes", "does not ask"],
    ["init --dry-run", "shows every line and writes nothing"],
  ],
  exits: {
    5: "forkstack.json exists and says something else, or files changed during the run",
  },
  files: {
    "forkstack.json": "describes the stack; not changed if it exists",
    "deno.json, package.json": "the tasks",
    ".gitignore": "keeps forkstack's files out of git",
    ".env": "checked for values that lead to production",
  },
  seeAlso: ["new", "doctor", "docs/getting-started.md"],
  task: { isOmitted: "always" },
  run: runInit,
};

const STANDARD = "sqlite-local";

/** A person's wishes for a new forkstack.json. */
interface Wishes {
  readonly project?: string;
  readonly stack?: string;
  readonly settings: readonly string[];
}

export async function runInit({ flags, io }: Invocation, ask = onTerminal): Promise<CommandResult> {
  const { catalog } = io;
  const asked = flags.yes !== true && io.mayAsk() ? ask : undefined;
  const name = text(flags.project);
  const wishes: Wishes = {
    project: name === undefined ? undefined : projectName(name),
    stack: text(flags.stack),
    settings: Array.isArray(flags.set) ? flags.set : [],
  };
  const isDry = flags["dry-run"] === true;
  try {
    const found = await survey(cwd(), catalog);
    const project = found.project.isNew
      ? await begun(catalog, { found, wishes, ask: asked })
      : await kept(catalog, found.project, wishes);
    const { resources } = await loadResources(project, { catalog, reach: "nothing" });
    const from = origin();
    const commands = commandsWithTask(from);
    const look = async (now: Survey) => await planInit({ ...now, project }, resources, { origin: from, commands });
    const plan = await look(found);
    if (!isDry && plan.files.length > 0) {
      if (asked !== undefined) {
        await asked.agree(`Write ${plan.files.map(({ name }) => name).join(", ")}?`);
        const now = await survey(cwd(), catalog); // a person's answer takes its time
        const isSame = now.project.isNew === project.isNew &&
          JSON.stringify((await look(now)).written) === JSON.stringify(plan.written);
        if (!isSame) throw changedMeanwhile(project);
      }
      io.signal.throwIfAborted();
      await writeProjectFiles({ project, world: { files } }, plan.written);
    }
    if (!isDry) await makeBaseDirectories({ project, world: { files } }, "dev");
    return {
      data: {
        project: project.name,
        root: project.root,
        resources: resources.map(({ provider, ...one }) => ({
          ...output.resourceIdentity(one),
          provider: provider.name,
        })),
        files: plan.files,
        kept: plan.kept,
        credentials: plan.credentials,
        warnings: plan.warnings,
        dryRun: isDry ? true : undefined,
      },
      text: (style) => initText(project, resources, { ...plan, isDry }, { ...style, command: plan.command }),
    };
  } catch (error) {
    throw fileError(error, `make "${cwd()}" ready`);
  }
}

function changedMeanwhile({ root }: Project): ForkstackError {
  return new ForkstackError("CONFLICT", `Cannot set up "${root}": its files changed during the run`, {
    hint: "Nothing was written; run the same command again",
  });
}

function projectName(value: string): string {
  const name = parseEnvName(value, "project name");
  return NAME_PATTERN.test(value) ? value : name; // `development` is a fair name for a project
}

/** A project that has its forkstack.json: a person's, so that it must say already what is asked for. */
async function kept(catalog: Catalog, project: Project, wishes: Wishes): Promise<Project> {
  const at = await contradiction(catalog, project.config, wishes);
  if (at === undefined) return project;
  const path = join(project.root, "forkstack.json");
  throw new ForkstackError("CONFLICT", `Cannot change "${path}": it exists, and its "${at}" is different`, {
    hint: "Edit the file, or run `forkstack init` without these options",
  });
}

/** A project with a new forkstack.json: by the options, by answers where somebody can be asked, else by what is there. */
async function begun(
  catalog: Catalog,
  { found, wishes, ask }: { readonly found: Survey; readonly wishes: Wishes; readonly ask: Ask | undefined },
): Promise<Project> {
  const name = wishes.project ?? await ask?.text("What is the project called?", {
    initial: found.project.name,
    example: "myapp",
    check: (value) => NAME_PATTERN.test(value) ? undefined : 'Must be like "myapp": a-z, 0-9 and "-" inside',
  }) ?? found.project.name;
  const { stacks } = await catalog.presets();
  const stack = wishes.stack ?? await ask?.choose(
    "Which stack?",
    Object.entries(stacks).map(([value, { title }]) => ({ value, label: value, hint: title })),
    likelyStack(found, stacks),
  ) ?? STANDARD;
  const $schema = schemaPath(origin(), found.project.root);
  const begin: Record<string, string> = $schema === undefined ? { project: name } : { $schema, project: name };
  const draft = await draftOf(catalog, {
    begin,
    providers: await providersOf(catalog, stack),
    settings: wishes.settings,
  });
  const gaps = await gapsOf(catalog, draft);
  const open = gaps.filter(({ initial }) => initial === undefined);
  if (ask === undefined && open.length > 0) throw missingOptions(stack, open);
  for (const gap of gaps) {
    const { ask: question, initial, example, check, kind, option } = gap;
    const answer = await ask?.text(question, { initial, example, check });
    await fill(catalog, draft, { kind, option, answer: answer ?? initial! });
  }
  const path = join(found.project.root, "forkstack.json");
  const config = await parseConfig(path, JSON.stringify(draft), catalog);
  return { ...found.project, name: config.project, stack: config.stack ?? config.project, config };
}

/** The stack whose database the project seems to use already. */
function likelyStack(found: Survey, stacks: Presets["stacks"]): string {
  const signs = signsOf(found);
  return Object.entries(stacks).find(([, { signs: pattern }]) => pattern?.test(signs))?.[0] ?? STANDARD;
}

function initText(
  { name, root }: Project,
  resources: readonly Resource[],
  { files, kept, credentials, warnings, isDry }: InitPlan & { readonly isDry: boolean },
  style: Style,
): string {
  const what = resources.map(({ key, provider }) => `${key} ${provider.name}`).join(", ");
  const lines = files.length === 0
    ? [`${paint(style, "bold", name)} is already set up: ${what}`]
    : [`${isDry ? "Would set up" : "Set up"} ${paint(style, "bold", name)} in ${root}: ${what}`];
  for (const file of files) {
    const mark = paint(style, "green", file.state === "created" ? "+" : "~");
    const names = file.added.map((line) => /^envs:\w+(?=: )/.exec(line)?.[0] ?? line);
    const isShort = !isDry && file.name !== "forkstack.json";
    lines.push(`  ${mark} ${file.name}${isShort ? `: ${names.join(", ")}` : ""}`);
    if (!isShort) lines.push(...file.added.map((line) => paint(style, "dim", `      ${line}`)));
  }
  if (kept.length > 0) lines.push(`Not changed, although forkstack would write something else: ${kept.join(", ")}`);
  lines.push(...credentials.map((one) => credentialLine(one, style)));
  for (const { problem, fix } of warnings) {
    lines.push(`${paint(style, "yellow", "warning:")} ${localCommands(problem, style)}`);
    lines.push(`  ${paint(style, "cyan", "fix:")} ${localCommands(fix, style)}`);
  }
  const next = credentials.some(({ state }) => state === "missing") ? "set the credentials, then " : "";
  lines.push(paint(style, "dim", localCommands(`Next: ${next}\`forkstack new alice\``, style)));
  return lines.join("\n");
}

function credentialLine({ provider, state, variables, hint }: CredentialReport, style: Style): string {
  const names = variables.filter((one) => one.state === state).map(({ variable }) => variable);
  const told = `${provider} needs ${names.join(", ")}`;
  return state === "set"
    ? `${told}: ${paint(style, "green", "set")}`
    : `${told}: ${paint(style, "yellow", "missing")}${hint === undefined ? "" : `; ${hint}`}`;
}
