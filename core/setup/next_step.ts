/**
 * Commands that come after `init`: credentials, data for `dev`, the first fork.
 *
 * @module
 */
import { embeddedPath, KINDS } from "../../mod.ts";
import { files } from "../system/files.ts";
import { join } from "../system/host.ts";
import {
  basesOf,
  lackingCredentials,
  parentOf,
  type Project,
  type Resource,
  uncheckedTitle,
} from "../project/project.ts";
import { shellWord } from "../text/shell_word.ts";
import type { Clues, SettingEdit } from "./clues.ts";
import type { FoundStore, Proposal } from "./propose.ts";
import { shellValue } from "./store_address.ts";

/** The next commands. */
export interface NextSteps {
  /** Lines for a shell; what begins with `forkstack ` is called as it is called here. */
  readonly lines: readonly (readonly string[])[];
  /** Files that hold a password, of which only its place is shown: `"compose.yaml"`. */
  readonly passwordFiles: readonly string[];
  /** Lines that settings need for an environment to have its own database. */
  readonly edits: readonly SettingEdit[];
  /** True if credentials are missing that the project's files don't tell. */
  readonly needsCredentials: boolean;
}

/** A stack, and what its project's files tell. */
export interface NextFacts {
  readonly project: Project;
  readonly resources: readonly Resource[];
  readonly proposal: Proposal;
  readonly clues: Pick<Clues, "migrations" | "edits">;
  readonly isSet: (variable: string) => boolean;
}

/** Finds the commands that really come next. */
export async function nextSteps(facts: NextFacts): Promise<NextSteps> {
  const { project, resources, clues, proposal: { stores }, isSet } = facts;
  const lacking = resources.flatMap(({ provider }) => lackingCredentials(provider.credentials, isSet));
  const known = new Map(
    stores.filter((one) => lacking.includes(one.server.credential)).map((one) => [one.server.credential, one]),
  );
  const exports = [...known.values()].map((one) => `export ${one.server.credential}=${credentialOf(one)}`);
  const fill = await fillOf(facts);
  const from = fill === undefined || parentOf(project, resources, undefined) === "dev" ? "" : " --from dev";
  const first = fill === undefined ? [] : [fill];
  return {
    lines: [[...exports, ...first], [`forkstack new alice${from}`]].filter((line) => line.length > 0),
    passwordFiles: [
      ...new Set([...known.values()].filter((one) => !one.isReachable && hasPassword(one)).map(({ file }) => file)),
    ],
    edits: resources.some(({ key, provider }) => key === "database" && isEmbedded(provider)) ? clues.edits : [],
    needsCredentials: lacking.some((name) => !known.has(name)),
  };
}

/** Returns the command that fills `dev`; `undefined` if it has data, or nothing is known that could be copied. */
async function fillOf(
  { project, resources, proposal: { stores, file }, clues: { migrations } }: NextFacts,
): Promise<string | undefined> {
  const database = resources.find(({ key }) => key === "database");
  if (database === undefined || basesOf(project, "database")?.dev !== undefined) return undefined;
  if (isEmbedded(database.provider)) {
    const path = embeddedPath("database", project.stateRoot, uncheckedTitle(project, database, "dev"));
    if (((await files.stat(path))?.sizeBytes ?? 0) > 0) return undefined;
    if (file !== undefined) return `forkstack import dev ${shellWord(`./${file}`)}`;
    return migrations.length === 0 ? undefined : `forkstack run dev -- ${migrations[0]}`;
  }
  const store = stores.find(({ server }) => server.provider === database.provider.name);
  const isBegun = await files.stat(join(project.stateRoot, ".forkstack", "registry.db")) !== undefined;
  return store === undefined || isBegun ? undefined : `forkstack import dev ${store.server.credential}`;
}

function isEmbedded({ name }: Resource["provider"]): boolean {
  return KINDS.database.embedded?.provider === name;
}

function hasPassword({ server, user, variable }: FoundStore): boolean {
  return server.kind === "database" || variable !== undefined && user !== "";
}

/**
 * Returns the value of a credential as a shell reads it: from the env file that has it, or with a gap for the password,
 * which is shown nowhere. The texts are a stranger's: none can end a word.
 */
function credentialOf(store: FoundStore): string {
  const { file, variable, isReachable } = store;
  if (!isReachable || variable === undefined) return shellWord(storeUrl(store, "PASSWORD"));
  return shellValue(variable, shellWord(file));
}

/** Returns the URL of a server, without its password unless a text stands for it. */
export function storeUrl(store: FoundStore, password?: string): string {
  const { server, host, port, user, path } = store;
  const shown = password !== undefined && hasPassword(store) ? `:${password}` : "";
  const login = user === "" && shown === "" ? "" : `${encodeURIComponent(user)}${shown}@`;
  return `${server.schemes[0]}://${login}${host}:${port}/${encodeURIComponent(path)}`;
}
