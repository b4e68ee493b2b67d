/**
 * The tasks of a project, and the permissions of each.
 * Written by `deno task gen` from core/cli/commands/*.ts and deno.json: change those.
 *
 * @module
 */
import type { Task } from "./task.ts";

/** One set of deno.json, for a task that cannot name it. */
interface PermissionSet {
  /** But for its hosts. */
  readonly flags: readonly string[];
  /** Its hosts: a flag of a task replaces them. */
  readonly net: readonly string[];
}

/** The sets. */
export const SETS: Readonly<Record<NonNullable<Task["set"]>, PermissionSet>> = {
  cli: {
    flags: [
      "--allow-read",
      "--allow-write",
      "--allow-env",
      "--allow-run=cp,git,mariadb,mariadb-dump,mysql,mysqldump,pg_dump,pg_restore",
      "--allow-sys=hostname",
    ],
    net: [],
  },
  run: {
    flags: ["--allow-read", "--allow-write", "--allow-env", "--allow-run", "--allow-sys=hostname"],
    net: ["127.0.0.1"],
  },
  serve: {
    flags: ["--allow-read", "--allow-write", "--allow-env", "--allow-run=cp,git", "--allow-sys=hostname"],
    net: ["127.0.0.1"],
  },
};

/** The task of each command. */
export const TASKS: Readonly<Record<string, Task>> = {
  new: {},
  switch: {},
  delete: {},
  run: { set: "run" },
  reset: {},
  extend: {},
  prune: {},
  secrets: { flags: ["--allow-run"] },
  doctor: {},
  list: {},
  status: {},
  trust: {},
  permissions: { isOmitted: "outside Deno" },
  init: { isOmitted: "always" },
  serve: { set: "serve" },
  completions: { isOmitted: "always" },
  url: {},
  import: {},
  seed: { set: "run" },
  env: {},
  connect: { set: "run" },
};
