/** `secrets <action>`: keys for people, values only where they were asked for. */
import { editSecretsFile, ForkstackError, parseEnvName, parseSecretsFile, setEnvVariable } from "../../../mod.ts";
import { actionsText, argumentsText, type CommandResult, type Invocation, usage } from "../command_line.ts";
import type { Engine } from "../../engine/engine.ts";
import { editText } from "../editor.ts";
import { pageHint } from "../parse.ts";
import { isTerminal, variable } from "../../system/host.ts";
import { type Changes, Secret, type Secrets } from "../../secret.ts";
import { shown } from "../../text/printable.ts";
import { type Keyring, openKeyring } from "../../lifecycle/secrets.ts";
import { globMatcher } from "../../system/glob.ts";
import { didYouMean } from "../../text/did_you_mean.ts";
import { meantEnv } from "../../workspace/current.ts";
import { text, withEngine } from "../session.ts";
import { protectedEnvs } from "../../project/project.ts";
import type { CommandFile } from "../command_file.ts";

/** Each action: what follows its name, whether it changes nothing, and what runs it. */
const ACTIONS = {
  list: { labels: ["[env]"], min: 0, max: 1, isLook: true, run: list },
  get: { labels: ["<key>", "[env]"], min: 1, max: 2, isLook: true, run: get },
  set: { labels: ["<key>", "[env]"], min: 1, max: 2, input: "value", isLook: false, run: set },
  unset: { labels: ["<key>", "[env]"], min: 1, max: 2, isLook: false, run: unset },
  diff: { labels: ["<env>", "[env]"], min: 1, max: 2, isLook: true, run: diff },
  copy: { labels: ["<key or pattern>", "<from>", "[to]"], min: 2, max: 3, isLook: false, run: copy },
  edit: { labels: ["[env]"], min: 0, max: 1, isLook: false, run: edit },
} as const;

/** `secrets <action> [key] [env] [env]` */
export const command: CommandFile = {
  order: 8,
  group: "data",
  summary: "list, read or change an environment's secrets",
  arguments: { labels: ["<action>", "[key]", "[env]", "[env]"], min: 1, max: 4 },
  meanings: {
    "<action>": "list, get, set, unset, diff, copy or edit",
    "[key]": "the key of a secret; for copy also a pattern; for list, diff and edit an environment",
    "[env]": "an environment. Default: the current one. The second one is the one to compare with or to copy to",
  },
  actions: ACTIONS,
  example: "secrets list",
  options: {
    reveal: "shared",
    resource: "shared",
    "dry-run": "shared",
  },
  about: [
    "Actions: list [env], get <key> [env], set <key> [env], unset <key> [env], diff <env> [env], copy <key or " +
    "A_*> <from> [to], edit [env].",
    "set reads the value from stdin, never from the command line. Values are printed only to a pipe or with " +
    "--reveal. A change in a protected environment asks first. edit opens VISUAL or EDITOR on a file that " +
    "only you can read, and always deletes the file. If two people edit the same key, the later save is " +
    "refused.",
  ],
  examples: [
    ["secrets list", "lists the keys of the current environment"],
    ["secrets set API_KEY alice < key.txt", "reads the value from a file"],
    ["secrets diff alice prod", "shows which keys differ, without values"],
    ["secrets copy 'STRIPE_*' prod alice", "copies the keys that match"],
  ],
  exits: {
    3: "",
    4: "the environment or the secret does not exist",
    5: "",
    6: "",
  },
  files: {
    ".forkstack/secrets/": "the secrets, if the provider is env-file",
    "VISUAL, EDITOR": "the editor that edit opens; default vi",
    credentials: "",
  },
  seeAlso: ["status", "docs/secrets.md"],
  task: { flags: ["--allow-run"] },
  run: runSecrets,
};

/** An action on its way: `names` are the arguments that follow it. */
interface Action {
  readonly call: Invocation;
  readonly engine: Engine;
  readonly names: readonly string[];
}

async function runSecrets(call: Invocation): Promise<CommandResult> {
  const { name = "", more, rest } = call;
  if (!Object.hasOwn(ACTIONS, name)) {
    const near = await didYouMean(name, Object.keys(ACTIONS));
    throw usage(`Cannot run "secrets ${name}": unknown action${near}`, `Actions: ${actionsText(ACTIONS)}`);
  }
  const action = ACTIONS[name as keyof typeof ACTIONS];
  const names = [more, ...rest].filter((one) => one !== undefined);
  if (names.length < action.min || names.length > action.max) {
    throw usage(`Cannot run "secrets ${name}": it takes ${argumentsText(action)}`, pageHint("secrets"));
  }
  const isDry = call.flags["dry-run"] === true;
  const mode = action.isLook || isDry ? "look" : "work";
  return await withEngine(call.io, mode, (engine) => action.run({ call, engine, names }), {
    reach: isDry ? "vendors" : "all",
  });
}

async function list({ call, engine, names: [env] }: Action): Promise<CommandResult> {
  const keyring = await open(call, engine, env);
  const secrets = await keyring.read();
  const { reveal } = call.flags;
  const listed = Object.entries(secrets).map(([key, value]) => reveal ? { key, value: value.reveal() } : { key });
  return {
    data: { environment: keyring.env, secrets: listed },
    isValue: reveal === true,
    text: () =>
      reveal
        ? editSecretsFile("", plain(secrets)).trimEnd()
        : Object.keys(secrets).map(shown).join("\n") || `${keyring.env} has no secrets`,
  };
}

async function get({ call, engine, names: [key, env] }: Action): Promise<CommandResult> {
  const keyring = await open(call, engine, env);
  const value = (await keyring.read())[key!];
  if (value === undefined) throw missing(keyring.env, key!);
  const { reveal } = call.flags;
  const isShown = reveal || (!isTerminal("stdout") && !call.flags.json);
  return {
    data: { environment: keyring.env, key, value: reveal ? value.reveal() : undefined },
    isValue: isShown === true,
    text: () => isShown ? value.reveal() : `${key} is set in ${keyring.env}; --reveal shows it`,
  };
}

async function set({ call, engine, names: [key, env] }: Action): Promise<CommandResult> {
  const keyring = await open(call, engine, checkedKey(key!) && env);
  const value = await call.io.readSecret(`Value of ${key} in ${keyring.env}`);
  if (value === "") {
    throw usage(`Cannot set "${key}": no value came on stdin`, `To remove it: \`forkstack secrets unset ${key}\``);
  }
  return await change({ call, engine }, keyring, { [key!]: new Secret(value) });
}

async function unset({ call, engine, names: [key, env] }: Action): Promise<CommandResult> {
  const keyring = await open(call, engine, env);
  if (!Object.hasOwn(await keyring.read(), key!)) throw missing(keyring.env, key!);
  return await change({ call, engine }, keyring, { [key!]: null });
}

async function diff({ call, engine, names: [one, other] }: Action): Promise<CommandResult> {
  const [a, b] = [await open(call, engine, one), await open(call, engine, other)];
  const [left, right] = await Promise.all([a.read(), b.read()]);
  const onlyIn = (these: Secrets, those: Secrets) => Object.keys(these).filter((key) => !Object.hasOwn(those, key));
  const common = Object.keys(left).filter((key) => Object.hasOwn(right, key));
  const different = common.filter((key) => left[key]!.reveal() !== right[key]!.reveal());
  const data = {
    environments: [a.env, b.env],
    onlyIn: { [a.env]: onlyIn(left, right), [b.env]: onlyIn(right, left) },
    different,
    same: common.length - different.length,
  };
  const lines = [
    ...Object.entries(data.onlyIn).flatMap(([env, keys]) => keys.map((key) => `only in ${env}: ${shown(key)}`)),
    ...different.map((key) => `differs: ${shown(key)}`),
  ];
  return { data, text: () => [...lines, `${data.same} are the same in ${a.env} and ${b.env}`].join("\n") };
}

async function copy({ call, engine, names: [pattern, from, to] }: Action): Promise<CommandResult> {
  const [source, keyring] = [await open(call, engine, from), await open(call, engine, to)];
  const isWanted = globMatcher(pattern!);
  const found = Object.entries(await source.read()).filter(([key]) => isWanted(key));
  if (found.length === 0) throw missing(source.env, pattern!);
  return await change({ call, engine }, keyring, Object.fromEntries(found));
}

async function edit({ call, engine, names: [env] }: Action): Promise<CommandResult> {
  if (!hasEditor(call.flags.json === true)) {
    throw usage(
      "Cannot edit: there is no terminal for an editor",
      "Set one secret with the action `set`, which reads stdin; " + pageHint("secrets"),
    );
  }
  const keyring = await open(call, engine, env);
  const before = await keyring.read();
  const head = `# Secrets of ${keyring.env}. What is saved here is what it has from then on.\n`;
  const edited = await editText(engine.project.stateRoot, `${keyring.env}.env`, editSecretsFile(head, plain(before)));
  const after = parseSecretsFile(edited, "what was saved");
  checkLines(edited, Object.keys(after));
  const changes: Record<string, Secret | null> = {};
  for (const key of Object.keys(before)) if (!Object.hasOwn(after, key)) changes[key] = null;
  for (const [key, value] of Object.entries(after)) {
    if (before[key]?.reveal() !== value) changes[checkedKey(key)] = new Secret(value);
  }
  return await change({ call, engine }, keyring, changes, (now) => {
    const moved = Object.keys(changes).filter((key) => now[key]?.reveal() !== before[key]?.reveal());
    if (moved.length === 0) return;
    throw new ForkstackError("CONFLICT", `Cannot save ${moved.join(", ")}: someone else changed it during the edit`, {
      hint: "Nothing was saved; run the same command again",
      details: { env: keyring.env, resource: keyring.resource },
    });
  });
}

/** Returns true if an editor can open: on a terminal, or without one where a variable names an editor. */
function hasEditor(isJson: boolean): boolean {
  if (isTerminal("stdin") && isTerminal("stdout")) return true;
  return !isJson && [variable("VISUAL"), variable("EDITOR")].some(Boolean);
}

/** A line that is neither a variable nor a comment would be a secret lost by a slip of the keyboard. */
function checkLines(edited: string, keys: readonly string[]): void {
  const rest = keys.reduce((left, key) => setEnvVariable(left, key, null), edited.replace(/\r\n?/g, "\n"));
  const at = rest.split("\n").findIndex((line) => line.trim() !== "" && !line.trim().startsWith("#"));
  if (at >= 0) throw usage("Cannot save: a line is not KEY=value; nothing was changed", "Comments begin with #");
}

async function open({ flags }: Invocation, engine: Engine, env: string | undefined): Promise<Keyring> {
  const name = env === undefined ? meantEnv(engine.project) : parseEnvName(env);
  return await openKeyring(engine, name, text(flags.resource));
}

/** Writes, after asking where others live by what is changed. */
async function change(
  { call: { flags, io }, engine }: Pick<Action, "call" | "engine">,
  keyring: Keyring,
  changes: Changes,
  check?: (now: Secrets) => void,
): Promise<CommandResult> {
  const of = (isUnset: boolean) => Object.keys(changes).filter((key) => (changes[key] === null) === isUnset).sort();
  const data = {
    environment: keyring.env,
    set: of(false),
    unset: of(true),
    dryRun: flags["dry-run"] ? true : undefined,
  };
  const parts = [["set", data.set], ["unset", data.unset]] as const;
  const what = parts.flatMap(([verb, keys]) => keys.length > 0 ? [`${verb} ${keys.join(", ")}`] : []).join("; ");
  if (what === "") return { data, text: () => `Nothing to change in ${keyring.env}` };
  if (flags["dry-run"]) return { data, text: () => `Would change ${keyring.env}: ${what}` };
  if (protectedEnvs(engine.project).includes(keyring.env)) {
    await io.confirm(`${keyring.env} is protected. Change it: ${what}?`);
  }
  await keyring.write(changes, check);
  return { data, text: () => `Changed ${keyring.env}: ${what}` };
}

function plain(secrets: Secrets): Record<string, string> {
  return Object.fromEntries(Object.entries(secrets).map(([key, value]) => [key, value.reveal()]));
}

function checkedKey(key: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) return key;
  throw usage(`Cannot use "${key}" as a key: it must be like "API_KEY"`, "Use letters, digits and _; no digit first");
}

function missing(env: string, key: string): ForkstackError {
  return new ForkstackError("SECRET_NOT_FOUND", `Cannot find secret "${key}": environment "${env}" has none`, {
    hint: `\`forkstack secrets list ${env}\` shows its keys`,
    details: { env },
  });
}
