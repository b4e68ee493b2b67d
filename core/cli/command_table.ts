/**
 * The commands and their options, as start-up and completion read them.
 * Written by `deno task gen` from core/cli/commands/*.ts and core/cli/shared.ts: change those.
 *
 * @module
 */
import type { Command } from "./command.ts";

/** Every option. */
export const OPTIONS = {
  from: { type: "string", help: "fork this environment instead of the default parent", value: "<env>" },
  at: {
    type: "string",
    help: "fork the parent at a point in time: 2026-11-20T10:00:00Z, 2h (ago), or an LSN",
    value: "<point>",
  },
  ttl: { type: "string", help: "expire after this time: 90m, 12h, 3d or 2w", value: "<time>" },
  empty: { type: "boolean", help: "start without data" },
  "no-switch": { type: "boolean", help: "do not switch to it" },
  purge: { type: "boolean", help: "also delete backups" },
  "if-exists": { type: "boolean", help: "succeed if the environment does not exist" },
  idle: { type: "string", help: "delete those not switched to for this time instead", value: "<time>" },
  deep: { type: "boolean", help: "read all data of SQLite databases, too" },
  fix: { type: "boolean", help: "make the safe fixes" },
  rebuild: { type: "boolean", help: "restore a lost registry from the marks on the resources" },
  revoke: { type: "boolean", help: "trust nothing of this project any more" },
  stack: { type: "string", help: "the providers: sqlite-local, neon-s3-vault, ...", value: "<stack>" },
  template: {
    type: "string",
    help: "begin a new project from a template: music, python, django, go, ...",
    value: "<name>",
  },
  project: { type: "string", help: "the name of the project", value: "<project>" },
  set: {
    type: "string",
    multiple: true,
    help: "set an option in forkstack.json: database.organization=acme; repeatable",
    value: "<key=value>",
  },
  port: { type: "string", help: "listen on this port", value: "<port>" },
  replace: { type: "boolean", help: "replace the data that dev has (asks first)" },
  format: {
    type: "string",
    help: "shell, dotenv, json, docker, github, gitlab, systemd, fish or powershell",
    value: "<format>",
  },
  adopt: { type: "boolean", help: "also take over resources of another registry, which must be lost" },
  cors: {
    type: "string",
    multiple: true,
    help: "let browser pages of this origin read the buckets; repeatable",
    value: "<origin>",
  },
  "dry-run": { type: "boolean", help: "print the plan and change nothing" },
  resource: {
    type: "string",
    help: "which resource: of reset, with commas between; of the secrets, if there are several",
    value: "<resource>",
  },
  secrets: { type: "boolean", help: "also pass the secrets as variables" },
  reveal: { type: "boolean", help: "show the values" },
  yes: { type: "boolean", short: "y", help: "confirm; do not ask" },
  json: { type: "boolean", help: "print one JSON document on stdout" },
  "no-color": { type: "boolean", help: "print without colors" },
  help: { type: "boolean", short: "h", help: "show this help" },
} as const;

/** An option's name without its dashes. */
export type OptionName = keyof typeof OPTIONS;

/** Options of every command. */
export const COMMON: readonly OptionName[] = ["yes", "json", "no-color", "help"];

/** The options of a command that do something, its own first. */
export function listedOptions({ options, without = [] }: Command<OptionName>): OptionName[] {
  return [...options, ...COMMON.filter((name) => !without.some((one) => one === name))];
}

/** Every command, in the order of help. */
export const COMMANDS: Readonly<Record<string, Command<OptionName>>> = {
  new: {
    group: "environments",
    summary: "create an environment and switch to it",
    arguments: { labels: ["[name]"], min: 0, max: 1 },
    example: "new alice",
    options: ["from", "at", "ttl", "empty", "adopt", "no-switch", "dry-run"],
  },
  switch: {
    group: "environments",
    summary: "use another environment in this directory",
    arguments: { labels: ["<env>"], min: 1, max: 1 },
    example: "switch alice",
    options: ["dry-run"],
    without: ["yes"],
  },
  delete: {
    group: "environments",
    summary: "delete an environment with all its resources",
    arguments: { labels: ["<env>"], min: 1, max: 1, withoutBases: true },
    example: "delete alice --yes",
    options: ["purge", "if-exists", "adopt", "dry-run"],
  },
  run: {
    group: "environments",
    summary: "run a program with an environment's variables",
    arguments: { labels: ["[env]"], min: 0, max: 1 },
    example: "run alice -- npm start",
    options: ["secrets", "resource", "cors"],
    without: ["yes", "json"],
    runsProgram: true,
  },
  reset: {
    group: "environments",
    summary: "fork an environment again from its parent",
    arguments: { labels: ["<env>"], min: 1, max: 1, withoutBases: true },
    example: "reset alice",
    options: ["resource", "dry-run"],
  },
  extend: {
    group: "environments",
    summary: "give an environment more time",
    row: { with: ["prune"], summary: "give more time, or delete what has expired" },
    arguments: { labels: ["<env>", "<time>"], min: 2, max: 2, withoutBases: true },
    example: "extend alice 2d",
    options: [],
    without: ["yes"],
  },
  prune: {
    group: "environments",
    summary: "delete the environments that have expired",
    example: "prune --dry-run",
    options: ["idle", "dry-run"],
  },
  secrets: {
    group: "data",
    summary: "list, read or change an environment's secrets",
    arguments: { labels: ["<action>", "[key]", "[env]", "[env]"], min: 1, max: 4 },
    actions: {
      list: { labels: ["[env]"], min: 0, max: 1 },
      get: { labels: ["<key>", "[env]"], min: 1, max: 2 },
      set: { labels: ["<key>", "[env]"], min: 1, max: 2, input: "value" },
      unset: { labels: ["<key>", "[env]"], min: 1, max: 2 },
      diff: { labels: ["<env>", "[env]"], min: 1, max: 2 },
      copy: { labels: ["<key or pattern>", "<from>", "[to]"], min: 2, max: 3 },
      edit: { labels: ["[env]"], min: 0, max: 1 },
    },
    example: "secrets list",
    options: ["reveal", "resource", "dry-run"],
  },
  doctor: {
    group: "project",
    summary: "find problems and show how to fix them",
    example: "doctor",
    options: ["deep", "fix", "rebuild", "adopt", "dry-run"],
  },
  list: { group: "environments", summary: "list the environments", example: "list", options: [], without: ["yes"] },
  status: {
    group: "environments",
    summary: "show one environment and its resources",
    arguments: { labels: ["[env]"], min: 0, max: 1 },
    example: "status",
    options: [],
    without: ["yes"],
  },
  trust: {
    group: "team",
    summary: "allow the code and hosts this repository names",
    example: "trust",
    options: ["revoke", "dry-run"],
  },
  permissions: {
    group: "project",
    summary: "print the Deno permissions this stack needs",
    example: "permissions",
    options: [],
    without: ["yes"],
  },
  init: {
    group: "project",
    summary: "set up forkstack in an existing project",
    example: "init --stack sqlite-local",
    options: ["stack", "template", "project", "set", "dry-run"],
  },
  serve: {
    group: "data",
    summary: "serve the local buckets over S3 until Ctrl-C",
    example: "serve",
    options: ["cors", "port"],
    without: ["yes"],
  },
  completions: {
    group: "project",
    summary: "print the Tab completion script of your shell",
    arguments: {
      labels: ["<shell>"],
      min: 1,
      max: 1,
      choices: { bash: "the script for bash", zsh: "the script for zsh", fish: "the script for fish" },
    },
    example: "completions bash",
    options: [],
    without: ["yes"],
  },
  url: {
    group: "data",
    summary: "print the URL of a database, cache or queue",
    row: { with: ["env", "connect"], summary: "print a URL or all variables; open a client" },
    arguments: { labels: ["[resource]", "[env]"], min: 0, max: 2 },
    example: "url database alice",
    options: ["reveal"],
    without: ["yes"],
  },
  import: {
    group: "data",
    summary: "copy an existing database or directory to dev",
    row: { with: ["seed"], summary: "fill dev: copy data, or run your seed command" },
    arguments: { labels: ["<env>", "<source>", "[resource]"], min: 2, max: 3 },
    example: "import dev ./prisma/dev.db",
    options: ["replace", "dry-run"],
  },
  seed: {
    group: "data",
    summary: "run your seed command in an environment",
    arguments: { labels: ["[env]"], min: 0, max: 1 },
    example: "seed alice",
    options: ["dry-run"],
  },
  env: {
    group: "data",
    summary: "print an environment's variables for other tools",
    arguments: { labels: ["[env]", "[key]"], min: 0, max: 2 },
    example: "env alice --format docker",
    options: ["format", "secrets", "resource", "reveal"],
    without: ["yes"],
  },
  connect: {
    group: "data",
    summary: "open a client of a database, cache or queue",
    arguments: { labels: ["[resource]", "[env]"], min: 0, max: 2 },
    example: "connect database alice",
    options: [],
    without: ["yes", "json"],
  },
};
