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
  at: { type: "string", help: "as the parent was then: 2026-11-20T10:00:00Z, 2h (ago), or an LSN", value: "<point>" },
  ttl: { type: "string", help: "how long it may live: 90m, 12h, 3d or 2w", value: "<time>" },
  empty: { type: "boolean", help: "start without the parent's data" },
  "no-switch": { type: "boolean", help: "leave the current environment as it is" },
  purge: { type: "boolean", help: "keep no backup, and take earlier ones away" },
  "if-exists": { type: "boolean", help: "it is no error that there is no such environment" },
  secrets: { type: "boolean", help: "with the environment's secrets as variables, too" },
  idle: { type: "string", help: "those not switched to for this long, not the expired ones", value: "<time>" },
  reveal: { type: "boolean", help: "show the values" },
  fix: { type: "boolean", help: "mend what is safe to mend" },
  rebuild: { type: "boolean", help: "find the environments again by their marks, where the registry was lost" },
  revoke: { type: "boolean", help: "take back all that was trusted of this project" },
  stack: { type: "string", help: "what it is made of: sqlite-local, neon-s3-vault, ...", value: "<stack>" },
  project: { type: "string", help: "what the project is called", value: "<project>" },
  set: {
    type: "string",
    multiple: true,
    help: "an option of forkstack.json: database.organization=acme; several times",
    value: "<key=value>",
  },
  port: { type: "string", help: "listen there instead of the port of forkstack.json", value: "<port>" },
  adopt: { type: "boolean", help: "also what another registry made, which was lost" },
  cors: {
    type: "string",
    multiple: true,
    help: "let pages of this origin read the buckets, in a browser; several times",
    value: "<origin>",
  },
  "dry-run": { type: "boolean", help: "print what would be done, and change nothing" },
  resource: { type: "string", help: "which one, where the stack has several", value: "<resource>" },
  yes: { type: "boolean", short: "y", help: "do not ask" },
  json: { type: "boolean", help: "one JSON document on stdout" },
  "no-color": { type: "boolean", help: "plain text" },
  help: { type: "boolean", short: "h", help: "this text" },
} as const;

/** An option's name without its dashes. */
export type OptionName = keyof typeof OPTIONS;

/** Options of every command. */
export const COMMON: readonly OptionName[] = ["yes", "json", "no-color", "help"];

/** Every command, in the order of help. */
export const COMMANDS: Readonly<Record<string, Command<OptionName>>> = {
  new: {
    summary: "make an environment with a copy of the whole stack, and switch to it",
    arguments: { labels: ["[name]"], min: 0, max: 1 },
    example: "new alice",
    options: ["from", "at", "ttl", "empty", "adopt", "no-switch", "dry-run"],
  },
  switch: {
    summary: "point this directory at another environment",
    arguments: { labels: ["<env>"], min: 1, max: 1 },
    example: "switch alice",
    options: ["dry-run"],
  },
  delete: {
    summary: "take an environment away, with everything it holds",
    arguments: { labels: ["<env>"], min: 1, max: 1, withoutBases: true },
    example: "delete alice --yes",
    options: ["purge", "if-exists", "adopt", "dry-run"],
  },
  run: {
    summary: "run a program with an environment's variables, without switching to it",
    arguments: { labels: ["[env]"], min: 0, max: 1 },
    example: "run alice -- npm start",
    options: ["secrets", "resource", "cors"],
    runsProgram: true,
  },
  reset: {
    summary: "fork an environment again from its parent, under the same names",
    arguments: { labels: ["<env>"], min: 1, max: 1, withoutBases: true },
    example: "reset alice",
    options: ["dry-run"],
  },
  extend: {
    summary: "let an environment live longer",
    arguments: { labels: ["<env>", "<time>"], min: 2, max: 2, withoutBases: true },
    example: "extend alice 2d",
    options: [],
  },
  prune: {
    summary: "delete the environments whose lease has ended",
    example: "prune --dry-run",
    options: ["idle", "dry-run"],
  },
  secrets: {
    summary: "list, get, set, unset, diff, copy or edit the secrets of an environment",
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
    example: "secrets diff alice prod",
    options: ["reveal", "resource", "dry-run"],
  },
  doctor: {
    summary: "show what is unfinished, orphaned, drifted, expired or foreign, and how to mend it",
    example: "doctor",
    options: ["fix", "rebuild", "adopt", "dry-run"],
  },
  list: { summary: "show the environments", example: "list", options: [] },
  status: {
    summary: "show one environment with its resources",
    arguments: { labels: ["[env]"], min: 0, max: 1 },
    example: "status alice",
    options: [],
  },
  trust: {
    summary: "show the code, hosts and files that this repository names, and let forkstack use them",
    example: "trust",
    options: ["revoke", "dry-run"],
  },
  permissions: {
    summary: "print the set of Deno's permissions that this stack needs, for deno.json",
    example: "permissions",
    options: [],
  },
  init: {
    summary: "make an existing project ready: forkstack.json, tasks, .gitignore, a look at the credentials",
    example: "init --stack sqlite-local",
    options: ["stack", "project", "set", "dry-run"],
  },
  serve: { summary: "serve the local buckets over S3 until Ctrl-C", example: "serve", options: ["cors", "port"] },
  completions: {
    summary: "print the script that completes commands on Tab: bash, zsh or fish",
    arguments: {
      labels: ["<shell>"],
      min: 1,
      max: 1,
      choices: { bash: "the script for bash", zsh: "the script for zsh", fish: "the script for fish" },
    },
    example: "completions bash",
    options: [],
  },
};
