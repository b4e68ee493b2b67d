/**
 * Opening a project: forkstack.json is found, parsed, checked against its schema, and its providers are loaded.
 *
 * @module
 */
import {
  assertOwned,
  chosenState,
  declaredResources,
  envFileOf,
  envNameOf,
  findProject,
  ForkstackError,
  isForkstackError,
  stateRoot,
} from "../../mod.ts";
import { disk } from "../system/disk.ts";
import { fileError, files } from "../system/files.ts";
import { basename, join, variable } from "../system/host.ts";
import { load } from "../system/lazy.ts";
import { checkState } from "./state_ownership.ts";
import type { Catalog } from "../catalog.ts";
import type { Provider } from "../provider.ts";
import type { Config } from "./schema.ts";
import { byKey } from "../text/printable.ts";
import { admit, NOBODY } from "./trust.ts";
import { VERSION } from "../system/version.ts";
import { answersTo, isBuiltIn, keyOf, type Project, type Resource } from "./project.ts";
import type { Admission, Admitted } from "./trusted.ts";

export type { Config } from "./schema.ts";

/**
 * Finds the project of a directory, searching upwards. Without a forkstack.json it throws, or with `init` begins a new
 * project here, except in a home or shared directory; with `mustBeProject` only beside a manifest or at the top of a
 * git repository. State of another checkout or user is refused; with `isStateless` it is not checked.
 */
export async function openProject(
  cwd: string,
  options: { init: boolean; catalog: Catalog; mustBeProject?: boolean; isStateless?: boolean },
): Promise<Project> {
  const { catalog, mustBeProject = false, isStateless = false } = options;
  const found = findProject(cwd);
  if (found?.configRoot === undefined && !options.init) {
    const { initLine } = await load<typeof import("./begin.ts")>("core/project/begin.ts");
    throw new ForkstackError("CONFIG_MISSING", `Cannot find forkstack.json in "${cwd}" or above`, {
      hint: `Change to your project directory, or set up a project here: \`${initLine(cwd)}\``,
    });
  }
  if (found?.configRoot === undefined) {
    const { checkBeginning } = await load<typeof import("./begin.ts")>("core/project/begin.ts");
    await checkBeginning(cwd, { mustBeProject });
    const name = envNameOf(basename(cwd)) || "app";
    const roots = { root: cwd, stateRoot: stateOf(cwd, cwd) };
    const project = { ...roots, name, stack: name, config: { project: name }, isNew: true };
    if (!isStateless) await withState(roots.stateRoot, () => checkState(project));
    return project;
  }
  const { root, configRoot } = found;
  if (configRoot !== cwd) {
    assertOwned(join(configRoot, "forkstack.json"), cwd);
    await (await load<typeof import("./begin.ts")>("core/project/begin.ts")).checkFound(configRoot);
  }
  const state = stateOf(root, cwd);
  const path = join(configRoot, "forkstack.json");
  const text = await files.read(path).then((read = "") => read.replace(/^\uFEFF/, ""), (error) => {
    throw fileError(error, `read "${path}"`);
  });
  const { config, isSealed } = await withState(state, async () => {
    if (!isStateless) await checkState({ root, stateRoot: state, config: named(text) });
    return await readConfig(configRoot, text, { catalog, state: isStateless ? undefined : state });
  });
  const stack = config.stack ?? config.project;
  const roots = { root, configRoot: configRoot === root ? undefined : configRoot, stateRoot: state };
  return { ...roots, name: config.project, stack, config, isNew: false, isSealed };
}

/** Reads the state; if another user's permissions deny it, throws an error that says so, with ways out. */
async function withState<T>(state: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const known = fileError(error, `read "${join(state, ".forkstack")}"`);
    if (isForkstackError(error) || !isForkstackError(known) || known.code !== "NOT_PERMITTED") throw known;
    throw new ForkstackError(known.code, known.message, {
      hint: "Run as the user who made it, give it to yours with chown, or choose another place with FORKSTACK_STATE",
      cause: error,
    });
  }
}

/** Returns the directory that holds `.forkstack/`: the user's choice, or the main worktree's. */
function stateOf(root: string, cwd: string): string {
  return chosenState(variable("FORKSTACK_STATE"), [root, cwd]) ?? stateRoot(root);
}

/**
 * Parses the part of forkstack.json that names its files, before its state may be read; a later check reports all
 * problems.
 */
function named(text: string): Config {
  try {
    const { envFile } = JSON.parse(text);
    envFileOf({ envFile });
    return { project: "", envFile };
  } catch {
    return { project: "" };
  }
}

async function readConfig(
  root: string,
  text: string,
  { catalog, state }: { readonly catalog: Catalog; readonly state?: string },
): Promise<{ config: Config; isSealed: boolean }> {
  const path = join(root, "forkstack.json");
  if (state !== undefined && (await sealedFiles(state, text)).includes(await stampOf(root))) {
    return { config: JSON.parse(text), isSealed: true };
  }
  const { parseConfig } = await load<typeof import("./schema.ts")>("core/project/schema.ts");
  return { config: await parseConfig(path, text, catalog), isSealed: false };
}

/** Records that forkstack.json is valid, so that a short command need not load the schema. */
export async function sealConfig(project: Project): Promise<void> {
  if (project.isSealed) return;
  const text = (await files.read(configPath(project)) ?? "{}").replace(/^\uFEFF/, "");
  if (JSON.stringify(JSON.parse(text)) !== JSON.stringify(project.config)) return; // edited meanwhile
  const stamp = await stampOf(project.configRoot ?? project.root);
  const sealed = await sealedFiles(project.stateRoot, text);
  if (sealed.includes(stamp)) return;
  const seal = `${VERSION} ${[stamp, ...sealed].slice(0, 20).join(" ")}\n${text}`;
  await files.write(sealPath(project.stateRoot), seal).catch(() => {}); // only a shortcut
}

/** Returns the path of the project's forkstack.json. */
function configPath({ root, configRoot = root }: Project): string {
  return join(configRoot, "forkstack.json");
}

function sealPath(root: string): string {
  return join(root, ".forkstack", "checked.json");
}

/** Lists the sealed files, one in each worktree, that were valid with this text. */
async function sealedFiles(state: string, text: string): Promise<string[]> {
  const [, version, stamps, sealed] = /^(\S+) ([^\n]*)\n(.*)$/s.exec(await files.read(sealPath(state)) ?? "") ?? [];
  return version === VERSION && sealed === text ? stamps!.split(" ") : [];
}

/** Returns a stamp of this very file: a seal that came with a repository has another stamp, and proves nothing. */
async function stampOf(root: string): Promise<string> {
  return String(await disk.stamp(join(root, "forkstack.json")));
}

/** The resources of a stack, and the code and scripts that may be used. */
export interface Loaded {
  readonly resources: readonly Resource[];
  readonly isTrusted: Admitted["isTrusted"];
}

/** Loads the stack's providers and checks their options, as far as the command reaches and the user trusts them. */
export async function loadResources(
  project: Project,
  { catalog, reach, person = NOBODY }: Omit<Admission, "person"> & Partial<Admission>,
): Promise<Loaded> {
  const [{ parseResource }, { checked }] = await Promise.all([
    load<typeof import("./schema.ts")>("core/project/schema.ts"),
    load<typeof import("./checked_provider.ts")>("core/project/checked_provider.ts"),
  ]);
  const path = configPath(project);
  const declared = declaredResources(project.config).map(({ kind, name, provider: file, options }) => {
    const { provider: _, ...given } = options;
    return { key: keyOf(kind, name), kind, name, file, given };
  });
  type Declared = typeof declared[number];
  const isOfCatalog = ({ kind, file }: Declared) => isBuiltIn(catalog, kind, file);
  const withOptions = async ({ given, ...one }: Declared, provider: Provider, texts: Admitted["scripts"] = {}) => {
    const { options, sanitize } = await parseResource(provider, given, one.key, path);
    const script = sanitize && { place: sanitize, text: texts[one.key] };
    return { ...one, provider, options, sanitize: script as Resource["sanitize"] };
  };
  const builtIn = async (one: Declared) => checked((await catalog.providers[one.kind][one.file]!()).default);
  // What is wrong with forkstack.json is told before anybody is asked to trust it.
  for (const one of declared.filter(isOfCatalog)) await withOptions(one, await builtIn(one));
  const { code, scripts, isTrusted } = await admit(project, { catalog, reach, person });
  const resources = await Promise.all(declared.map(async (one) => {
    const { key, kind, file, given: { sanitize: _, bases: ___, ...options } } = one as Declared & {
      given: Record<string, unknown>;
    };
    if (isOfCatalog(one)) return await withOptions(one, await builtIn(one), scripts);
    const { loadCustom, unreadProvider } = await load<typeof import("./custom_provider.ts")>(
      "core/project/custom_provider.ts",
    );
    if (reach === "all") {
      return await withOptions(
        one,
        checked(await loadCustom(project, { kind, key, code: code[key]!, catalog })),
        scripts,
      );
    }
    const { given: __, ...plain } = one;
    return { ...plain, provider: unreadProvider(kind, key, file), options, isUnread: true as const };
  }));
  for (const { key, kind, provider, file } of resources) {
    const other = resources.find((one) =>
      one.kind === kind && one.file !== file && namesOf(one.provider).some((name) => answersTo(provider, name))
    );
    if (other === undefined) continue; // else a recorded resource would not tell which of the two made it
    throw new ForkstackError(
      "PROVIDER_INVALID",
      `Cannot use ${key}: "${other.file}" and "${file}" are both called "${
        namesOf(other.provider).find((name) => answersTo(provider, name))
      }"`,
      {
        hint: "Give one of them another name, or other `aliases`",
        details: { resource: key, provider: provider.name },
      },
    );
  }
  const sorted = resources.map(({ file: _, ...resource }) => resource).sort(byKey);
  return { resources: sorted, isTrusted };
}

function namesOf({ name, aliases = [] }: Provider): readonly string[] {
  return [name, ...aliases];
}
