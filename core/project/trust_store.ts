/**
 * The items that a user trusted, kept in their own state directory: one file for each project of a repository, shared
 * by all worktrees. And the question to the user.
 *
 * @module
 */
import { lstatSync, realpathSync } from "node:fs";
import { isAbsolute, relative } from "node:path";
import { findUpwards, ForkstackError, isForkstackError } from "../../mod.ts";
import { disk } from "../system/disk.ts";
import { fileError, files, temporaryPath } from "../system/files.ts";
import { commonDirectory } from "../system/git_directory.ts";
import { dirname, isRunByDeno, join, system, variable } from "../system/host.ts";
import { load } from "../system/lazy.ts";
import { reasonOf, shown } from "../text/printable.ts";
import { itemsText, itemTitle, quotedLines, whatChanged } from "./trust_text.ts";
import { contentHash, identity, isKnown, namedBy, trustHash, unreadableScript } from "./trust_items.ts";
import type { Catalog } from "../catalog.ts";
import type { Project } from "./project.ts";
import type { Admission, Admitted, Item, Named, Person, Reach } from "./trusted.ts";

/** Most answers that are kept, the newest: git branches with other contents then need not ask at each switch. */
const MOST_ITEMS = 200;
const MAX_BYTES = 2 ** 20;

/** The identity of a project, the same in each of its worktrees. */
interface Identity {
  /** Git's common directory; without git, the project's own directory. */
  readonly repository: string;
  /** The path of the project in its checkout. */
  readonly project: string;
}

/** The trusted items of a project, newest last. */
interface Store extends Identity {
  readonly trusted: readonly Item[];
}

/** The items that a project names, with those that are trusted already. */
export interface Look extends Named {
  readonly hash: string | undefined;
  readonly store: Store;
}

/** Reads all items that a project names. A script by URL is fetched, unless it was kept when it was trusted. */
export async function lookAtTrust(
  project: Project,
  catalog: Catalog,
  { reach = "all", mayFetch = true }: { readonly reach?: Reach; readonly mayFetch?: boolean } = {},
): Promise<Look> {
  const store = await readStore(project);
  const fetched: Record<string, string> = {};
  const scriptOf = async (resource: string, url: string) =>
    await keptScript(store, resource, url) ??
      (mayFetch ? fetched[url] ??= await fetchScript(resource, url) : undefined);
  const named = await namedBy(project, { catalog, reach, scriptOf });
  return { ...named, hash: await trustHash(project, named.items), store };
}

/** Implements `admit`. */
export async function decideTrust(project: Project, { catalog, reach, person }: Admission): Promise<Admitted> {
  const wanted = variable("FORKSTACK_TRUST");
  const mayFetch = !person.isHasty && (person.mayAsk() || wanted !== undefined);
  const needed = await lookAtTrust(project, catalog, { reach, mayFetch });
  const known = new Set(needed.store.trusted.map(identity));
  const admitted = (more: readonly Item[] = []): Admitted => {
    for (const one of more) known.add(identity(one));
    return { code: needed.code, scripts: needed.scripts, isTrusted: (item) => known.has(identity(item)) };
  };
  if (needed.items.every((one) => isKnown(one) && known.has(identity(one)))) return admitted();
  const whole = reach === "all" ? needed : await lookAtTrust(project, catalog, { mayFetch }).catch(() => needed);
  if (whole.hash !== undefined && whole.hash === wanted) return admitted(whole.items);
  if (!person.mayAsk()) throw notTrusted(whole, wanted);
  await askTrust(whole, person);
  await keep(project, whole);
  return admitted(whole.items);
}

/** Lists the items that are not trusted yet. */
export function untrusted({ items, store }: Look): Item[] {
  const known = new Set(store.trusted.map(identity));
  return items.filter((one) => !known.has(identity(one)));
}

/** Shows the new items and asks; rejects unless the answer is yes. */
export async function askTrust(whole: Look, person: Pick<Person, "say">): Promise<void> {
  const news = untrusted(whole);
  person.say(itemsText(news, "Not trusted yet:"));
  for (const item of news) {
    const contents = await contentsOf(whole, item);
    if (contents !== "") person.say(contents);
  }
  const { ask: question } = await load<typeof import("../system/prompts.ts")>("core/system/prompts.ts");
  await question.agree(`Trust ${news.length === 1 ? "it" : `these ${news.length}`}?`, false);
}

/** Returns the contents of an item's files: complete if new, else the changes since they were trusted. */
export async function contentsOf({ code, scripts, store }: Look, item: Item): Promise<string> {
  const earlier = store.trusted.findLast((one) => isSamePlace(one, item));
  const before = earlier?.files;
  const texts = item.kind === "script" ? { [item.name]: scripts[item.resource]! } : code[item.resource]?.files;
  const parts = Object.entries(item.files ?? {}).map(async ([name, hash]) => {
    if (before?.[name] === hash) return "";
    const now = texts?.[name] ?? "";
    const old = before?.[name] === undefined ? undefined : await readKept(before[name]);
    if (old === undefined) return `--- ${shown(name)}\n${quotedLines(now)}`;
    const { differenceOf } = await load<typeof import("../text/difference.ts")>("core/text/difference.ts");
    return `--- ${shown(name)}, what changed\n${quotedLines(differenceOf(old, now))}`;
  });
  const changed = earlier === undefined ? [] : whatChanged(earlier, item);
  return [...changed, ...await Promise.all(parts)].filter(Boolean).join("\n");
}

/** Returns true if two items have the same place, with different contents. */
export function isSamePlace(one: Item, other: Item): boolean {
  return one.kind === other.kind && one.resource === other.resource && one.option === other.option &&
    (/^(host|registry|base|command)$/.test(one.kind) || one.name === other.name);
}

/** The error for untrusted items without a terminal. */
export function notTrusted(whole: Look, given = variable("FORKSTACK_TRUST")): ForkstackError {
  const { hash } = whole;
  const news = untrusted(whole);
  const what = news.map(itemTitle).join("; ");
  const isOther = given !== undefined && hash !== undefined;
  return new ForkstackError(
    "NOT_TRUSTED",
    `Cannot use what forkstack.json names: ${
      isOther ? "FORKSTACK_TRUST is the hash of something else" : "not trusted yet"
    }: ${what}`,
    {
      hint: hash === undefined
        ? "Read it, then run `forkstack trust`; for CI `forkstack trust --dry-run` prints what FORKSTACK_TRUST must hold"
        : `Read it, then run \`forkstack trust\`; in CI set FORKSTACK_TRUST=${hash}`,
    },
  );
}

/** Saves the items that were shown as trusted, with their texts, to show differences later. */
export async function keep(project: Project, { items, code, scripts, store }: Look): Promise<void> {
  const directory = stateDirectory();
  const news = new Set(items.map(identity));
  const trusted = [...store.trusted.filter((one) => !news.has(identity(one))), ...items].slice(-MOST_ITEMS);
  try {
    await secure(directory, true);
    for (
      const text of [
        ...Object.values(scripts),
        ...Object.values(code).flatMap(({ files }) => Object.values(files)),
      ]
    ) {
      await files.write(join(directory, "kept", await contentHash(text)), text);
    }
    const { repository, project: at } = store;
    const text = `${JSON.stringify({ schema: 1, repository, project: at, trusted }, null, 2)}\n`;
    await files.write(await storePath(store), text);
  } catch (error) {
    throw fileError(error, `keep what is trusted of "${project.root}"`);
  }
}

/** Removes all trust of a project; returns the number of items. */
export async function revoke(project: Project): Promise<number> {
  const store = await readStore(project);
  if (store.trusted.length > 0) await files.remove(await storePath(store));
  return store.trusted.length;
}

async function readStore(project: Project): Promise<Store> {
  const identity = await identityOf(project.root);
  if (homeOfState() === undefined) return { ...identity, trusted: [] };
  const path = await storePath(identity);
  await secure(stateDirectory(), false);
  const text = await ownText(path);
  const found = text === undefined ? undefined : parsed(text);
  // A copy of another repository's file is none of this one's.
  const isOurs = found?.repository === identity.repository && found.project === identity.project;
  return { ...identity, trusted: isOurs ? found.trusted : [] };
}

function parsed(text: string): Store | undefined {
  try {
    const found = JSON.parse(text);
    return Array.isArray(found?.trusted) ? found : undefined;
  } catch {
    return undefined; // damaged: nothing is trusted by it, and the next answer writes it anew
  }
}

async function storePath({ repository, project }: Identity): Promise<string> {
  return join(stateDirectory(), "trust", `${await contentHash(`${repository}\n${project}`)}.json`);
}

/** Returns the identity of a directory's project, by git's common directory. */
export async function identityOf(root: string): Promise<Identity> {
  const real = realpathSync(root);
  const top = findUpwards(real, ".git");
  if (top === undefined) return { repository: real, project: "" };
  const repository = await commonDirectory(top) ?? join(top, ".git"); // of a file that no repository knows, itself
  return { repository, project: relative(top, real).replaceAll("\\", "/") };
}

/**
 * Returns the directory of the user's own state, as configured or by
 * https://specifications.freedesktop.org/basedir/latest/
 */
function homeOfState(): string | undefined {
  for (const named of [variable("FORKSTACK_STATE"), variable("XDG_STATE_HOME")]) {
    if (named !== undefined && isAbsolute(named)) return named;
  }
  if (system() === "windows") return variable("LOCALAPPDATA");
  const home = variable("HOME");
  return home === undefined || !isAbsolute(home) ? undefined : join(home, ".local", "state");
}

function stateDirectory(): string {
  const home = homeOfState();
  if (home !== undefined) return join(home, "forkstack");
  throw new ForkstackError("NOT_PERMITTED", "Cannot store what you trust: neither XDG_STATE_HOME nor HOME is set", {
    hint: "Set one of them to a directory of yours, or FORKSTACK_TRUST to the hash",
  });
}

/**
 * Checks that the directories belong to this user alone; with `isMade` creates them. Directories above them are not
 * checked.
 */
async function secure(directory: string, isMade: boolean): Promise<void> {
  for (const path of [directory, join(directory, "trust"), join(directory, "kept")]) {
    if (isMade) await disk.makeDirectory(path, 0o700);
    await assertOwn(path, "directory");
  }
}

async function ownText(path: string): Promise<string | undefined> {
  await assertOwn(path, "file");
  return await files.read(path);
}

async function assertOwn(path: string, type: "file" | "directory"): Promise<void> {
  const state = await strangeness(path, type);
  if (state === undefined) return;
  throw new ForkstackError("NOT_PERMITTED", `Cannot use "${path}", which keeps what you trusted: ${state}`, {
    hint: "Look at it. If it is not yours, remove it, then run `forkstack trust`",
  });
}

/** Returns the reason why a file or a directory may be another user's; `undefined` if it is missing or safe. */
async function strangeness(path: string, type: "file" | "directory"): Promise<string | undefined> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  if (found.isSymbolicLink()) return "it is a link";
  if ((type === "file") !== found.isFile()) return `it is no ${type}`;
  if (system() === "windows") return undefined;
  if ((found.mode & 0o022) !== 0) return "others may write to it";
  const owner = await ownUid(type === "directory" ? path : dirname(path));
  return found.uid === owner ? undefined : "another user owns it";
}

/** Returns this user's id; Deno without the permission creates a file to read its owner. */
async function ownUid(directory: string): Promise<number> {
  if (!isRunByDeno()) return process.getuid!();
  const probe = temporaryPath(join(directory, "probe"));
  try {
    await disk.writeNew(probe, "", 0o600);
    return lstatSync(probe).uid;
  } catch (error) {
    throw fileError(error, `write in "${directory}"`);
  } finally {
    await disk.remove(probe);
  }
}

async function readKept(hash: string): Promise<string | undefined> {
  if (!/^[0-9a-f]{64}$/.test(hash)) return undefined;
  const text = await ownText(join(stateDirectory(), "kept", hash));
  return text !== undefined && await contentHash(text) === hash ? text : undefined;
}

/** Returns the script of a URL as it was when it was trusted. */
async function keptScript(store: Store, resource: string, url: string): Promise<string | undefined> {
  const place: Item = { kind: "script", resource, name: url };
  const hash = store.trusted.findLast((one) => isSamePlace(one, place))?.files?.[url];
  return hash === undefined ? undefined : await readKept(hash);
}

async function fetchScript(resource: string, url: string): Promise<string> {
  const { httpClient } = await load<typeof import("../http/client.ts")>("core/http/client.ts");
  const response = await httpClient({ maxBytes: MAX_BYTES, tries: 3 })(new Request(url)).catch((error) => {
    if (!isForkstackError(error) || error.code === "NETWORK_DENIED") throw error;
    throw new ForkstackError(error.code, `Cannot read the script of ${resource}: ${reasonOf(error)}`, {
      hint: error.hint,
      retryable: error.retryable,
      cause: error,
    });
  });
  const text = await response.text();
  const { origin } = new URL(url);
  if (!response.ok) throw unreadableScript(resource, origin, `it answers ${response.status}`);
  if (text.trim() === "") throw unreadableScript(resource, origin, "it is empty");
  return text;
}
