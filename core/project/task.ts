/** Tasks that run commands, in a project that is set up for forkstack. */

/** The task of a command. */
export interface Task {
  /** Its set of permissions in deno.json. @default {"cli"} */
  readonly set?: "cli" | "serve" | "run";
  /** Deno's permissions in addition to the set. */
  readonly flags?: readonly string[];
  /** Projects that have no such task: all, or all but Deno's. */
  readonly isOmitted?: "always" | "outside Deno";
}
