/** `init`: an existing project made ready. */
import { declaredResources, envFileOf, ForkstackError, KINDS, NAME_PATTERN, parseEnvName } from "../../../mod.ts";
import type { CommandResult, Invocation } from "../command_line.ts";
import type { Catalog, LaptopServer } from "../../catalog.ts";
import { loadResources, openProject } from "../../project/open_project.ts";
import { fileError, files } from "../../system/files.ts";
import { cwd, dirname, join, variable } from "../../system/host.ts";
import { disk } from "../../system/disk.ts";
import { load } from "../../system/lazy.ts";
import { type CredentialReport, type InitPlan, planInit } from "../../setup/plan_setup.ts";
import { commandsWithTask, origin, schemaPath } from "../../project/task_line.ts";
import { COMMANDS } from "../command_table.ts";
import * as output from "../output.ts";
import { type Ask, ask as onTerminal } from "../../system/prompts.ts";
import { parseConfig } from "../../project/schema.ts";
import {
  contradiction,
  draftOf,
  fill,
  gapsOf,
  missingOptions,
  type Providers,
  providersOf,
} from "../../setup/draft_config.ts";
import { type NextSteps, nextSteps } from "../../setup/next_step.ts";
import { type Proposal, proposalOf } from "../../setup/propose.ts";
import { text } from "../session.ts";
import type { Project, Resource } from "../../project/project.ts";
import { signsOf, type Survey, survey } from "../../setup/survey.ts";
import { variablesFor } from "../../setup/variable_forms.ts";
import { templateProblems } from "../../project/templates.ts";
import { makeBaseDirectories } from "../../workspace/base_directories.ts";
import { writeProjectFiles } from "../../workspace/staged_files.ts";
import { commandLine, localCommands, paint, type Style } from "../style.ts";
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
      default: "what the project's files tell, else sqlite-local; asked on a terminal",
    },
    template: {
      type: "string",
      help: "begin a new project from a template: music, python, django, go, ...",
      value: "<name>",
      default: "none: the project is there",
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
    "task envs:… for each command, in deno.json, as scripts in package.json, or as targets of Make (make envs-new " +
    "alice) for Python, Go and other languages. On a terminal it asks for what " +
    "it needs, and asks again before it writes. Your own lines never change. Run it again to add what is " +
    "missing later.",
    "The stack fits what is there: env files, compose file, Prisma, Drizzle, Django, packages of any language, and a " +
    "SQLite file tell which database and cache the project uses on this machine. It ends with the commands that " +
    "copy the data of that database into dev, and fork it.",
    "It lists the credentials that the stack needs, whether they are set and where to get them, and warns " +
    "about an .env file that leads to production. It prints no passwords.",
  ],
  examples: [
    ["init", "asks; without a terminal it sets up what the project's files tell"],
    [
      "init --stack neon-s3-vault --set database.projectId=late-frost-12345 --yes",
      "a named stack with an option; does not ask",
    ],
    ["init --dry-run", "shows every line and writes nothing"],
    ["init --template python", "begins a new project here: FastAPI, SQLAlchemy, Alembic"],
  ],
  exits: {
    5: "forkstack.json exists and says something else, a file is in the place of a template's, or files changed during the run",
  },
  files: {
    "forkstack.json": "describes the stack; not changed if it exists",
    "deno.json, package.json, Makefile":
      "the tasks; Make's are in envs.mk, and forkstack.deno.json has the program's URL",
    ".gitignore": "keeps forkstack's files out of git",
    ".env*, compose.yaml, manifests, *.db": "tell which database and cache the project uses",
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
    const template = text(flags.template);
    if (template !== undefined) {
      const begun = await beginFrom(template, { catalog, wishes, isDry, ask: asked });
      if (isDry) return begun;
    }
    const found = await survey(cwd(), catalog);
    const { proposal, vendors } = await proposed(catalog, found);
    const project = found.project.isNew
      ? await begun(catalog, { found, wishes, ask: asked, proposal, vendors })
      : await kept(catalog, found.project, wishes);
    const { resources } = await loadResources(project, { catalog, reach: "nothing" });
    const from = origin();
    const commands = commandsWithTask(from);
    const summaries = Object.fromEntries(commands.map((name) => [name, COMMANDS[name]!.summary]));
    const look = async (now: Survey) =>
      await planInit({ ...now, project }, resources, { origin: from, commands, summaries, stores: proposal.stores });
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
    const isSet = (name: string) => variable(name) !== undefined;
    const next = await nextSteps({ project, resources, proposal, clues: found.clues, isSet });
    const warnings = [...proposal.warnings, ...plan.warnings];
    const { command } = plan;
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
        warnings,
        next: next.lines.map((line) => nextLine(line, { command })),
        edits: next.edits.length > 0 ? next.edits : undefined,
        dryRun: isDry ? true : undefined,
      },
      text: (style) => initText(project, resources, { ...plan, warnings, next, isDry }, { ...style, command }),
    };
  } catch (error) {
    throw fileError(error, `make "${cwd()}" ready`);
  }
}

/** Writes the files of a template, all or none, where no project is yet; what follows meets the project that is there. */
async function beginFrom(
  template: string,
  { catalog, wishes, isDry, ask }: {
    readonly catalog: Catalog;
    readonly wishes: Wishes;
    readonly isDry: boolean;
    readonly ask: Ask | undefined;
  },
): Promise<CommandResult> {
  const project = await openProject(cwd(), { init: true, catalog, isStateless: true });
  const root = cwd();
  if (project.root !== root) {
    throw new ForkstackError("CONFLICT", `Cannot begin a project in "${root}": it is inside of "${project.root}"`, {
      hint: "Make a new directory outside of it, go there, and run the same command again",
    });
  }
  const name = wishes.project ?? project.name;
  const { templateFiles } = await load<typeof import("../../setup/template.ts")>("core/setup/template.ts");
  const written = await templateFiles(template, { root, project: name, origin: origin() });
  const names = written.map(([path]) => path.slice(root.length + 1));
  if (!isDry && written.length > 0) {
    await ask?.agree(`Write the ${names.length} files of template ${template}?`);
    for (const [path] of written) await disk.makeDirectory(dirname(path), 0o755);
    await writeProjectFiles({ project, world: { files } }, written);
  }
  return {
    data: {
      project: name,
      root,
      files: names.map((one) => ({ name: one, state: "created", added: [] })),
      dryRun: true,
    },
    text: () =>
      [`Would begin ${name} in ${root} from template ${template}:`, ...names.map((one) => `  + ${one}`)].join("\n"),
  };
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

/** Proposes a stack by a project's files; `vendors` is the one whose products it seems to use already. */
async function proposed(catalog: Catalog, found: Survey): Promise<{ proposal: Proposal; vendors: string | undefined }> {
  const presets = await catalog.presets();
  const signs = signsOf(found);
  const vendors = Object.entries(presets.stacks).find(([, { signs: pattern }]) => pattern?.test(signs))?.[0];
  return { proposal: proposalOf({ ...found, presets, isVendors: vendors !== undefined }), vendors };
}

/** A project with a new forkstack.json: by the options, by answers where somebody can be asked, else by what is there. */
async function begun(
  catalog: Catalog,
  { found, wishes, ask, proposal, vendors }: {
    readonly found: Survey;
    readonly wishes: Wishes;
    readonly ask: Ask | undefined;
    readonly proposal: Proposal;
    readonly vendors: string | undefined;
  },
): Promise<Project> {
  const name = wishes.project ?? await ask?.text("What is the project called?", {
    initial: found.project.name,
    example: "myapp",
    check: (value) => NAME_PATTERN.test(value) ? undefined : 'Must be like "myapp": a-z, 0-9 and "-" inside',
  }) ?? found.project.name;
  const { stack, providers } = await chosenStack(catalog, { stack: wishes.stack, ask, proposal, vendors });
  const $schema = schemaPath(origin(), found.project.root);
  const isProposed = providers === proposal.providers && Object.keys(providers).length > 0;
  const begin: Record<string, string> = $schema === undefined ? { project: name } : { $schema, project: name };
  if (isProposed) begin.parent = "dev"; // prod is on no laptop
  const draft = await draftOf(catalog, { begin, providers, settings: wishes.settings });
  if (isProposed) nameBases(draft, proposal);
  await shapeVariables(catalog, draft, found, proposal);
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

/** The stack by the option or an answer, else the proposed one, else the one for everybody. */
async function chosenStack(
  catalog: Catalog,
  { stack: wanted, ask, proposal, vendors }: {
    readonly stack: string | undefined;
    readonly ask: Ask | undefined;
    readonly proposal: Proposal;
    readonly vendors: string | undefined;
  },
): Promise<{ stack: string; providers: Providers }> {
  const { stacks } = await catalog.presets();
  const known = Object.entries(stacks).map(([value, { title }]) => ({ value, label: value, hint: title }));
  const { providers = {} } = proposal;
  const label = Object.values(providers).join("-");
  const asFound = label === "" ? [] : [{ value: "", label, hint: "as this project's files tell" }];
  const likely = asFound[0]?.value ?? (proposal.providers === undefined ? vendors : undefined) ?? STANDARD;
  const unasked = label === "" ? STANDARD : "";
  const stack = wanted ?? await ask?.choose("Which stack?", [...asFound, ...known], likely) ?? unasked;
  return stack === "" ? { stack: label, providers } : { stack, providers: await providersOf(catalog, stack) };
}

/** Writes the base environments of servers whose `dev` is what is there already. */
function nameBases(draft: Record<string, unknown>, { stores }: Proposal): void {
  for (const { server: { kind, provider, base }, path } of stores) {
    const entry = draft[kind] as Record<string, unknown> | undefined;
    if (base !== undefined && entry?.provider === provider) entry.bases ??= { dev: base(path) };
  }
}

/** Writes the variables that the project's tools want, but those that forkstack.json may not have. */
async function shapeVariables(
  catalog: Catalog,
  draft: Record<string, unknown>,
  { clues }: Survey,
  { stores, fileVariables }: Proposal,
): Promise<void> {
  const { servers } = await catalog.presets();
  const used = new Map(declaredResources(draft).map(({ kind, provider }) => [kind, provider]));
  const isUsed = ({ kind, provider }: LaptopServer) => used.get(kind) === provider;
  const isEmbedded = used.get("database") === KINDS.database.embedded?.provider;
  const scheme = isEmbedded ? "file" : servers.find((one) => one.kind === "database" && isUsed(one))?.schemes[0];
  const own = stores.filter(({ server, file }) => isUsed(server) && file !== envFileOf({})); // there `new` would stop
  const variables = variablesFor(clues, { stores: own, fileVariables }, scheme ?? "");
  for (const { variable } of await templateProblems({ ...draft, variables }, catalog)) delete variables[variable];
  if (Object.keys(variables).length > 0) draft.variables = variables;
}

function initText(
  { name, root }: Project,
  resources: readonly Resource[],
  { files, kept, credentials, warnings, next, isDry }: InitPlan & { readonly next: NextSteps; readonly isDry: boolean },
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
  lines.push(...nextText(next, style).map((line) => paint(style, "dim", line)));
  for (const { file, line, needs } of next.edits) {
    const also = needs === undefined ? "" : `, with \`${needs}\` above`;
    lines.push(`In ${file}, for each environment to have its own file${also}: ${line}`);
  }
  return lines.join("\n");
}

function nextText({ lines, passwordFiles, needsCredentials }: NextSteps, style: Style): string[] {
  const commands = lines.map((line) => nextLine(line, style));
  const first = needsCredentials ? "set the credentials, then " : "";
  if (commands.length === 1) return [`Next: ${first}\`${commands[0]}\``];
  const gap = passwordFiles.length === 0
    ? ""
    : `put the password of ${passwordFiles.join(" and ")} for PASSWORD, then `;
  return [`Next: ${first}${gap}`.replace(/(:|, then)? $/, ":"), ...commands.map((line) => `  ${line}`)];
}

/** One line for a shell, with our own commands as they are called here. */
function nextLine(parts: readonly string[], style: Pick<Style, "command">): string {
  return parts.map((part) => part.replace(/^forkstack (.*)$/s, (_, line) => commandLine(line, style))).join(" && ");
}

function credentialLine({ provider, state, variables, hint }: CredentialReport, style: Style): string {
  const names = variables.filter((one) => one.state === state).map(({ variable }) => variable);
  const told = `${provider} needs ${names.join(", ")}`;
  return state === "set"
    ? `${told}: ${paint(style, "green", "set")}`
    : `${told}: ${paint(style, "yellow", "missing")}${hint === undefined ? "" : `; ${hint}`}`;
}
