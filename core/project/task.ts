/** The task of a command, in a project that forkstack is set up for. */

/** The task that runs a command. */
export interface Task {
  /** The set of permissions in deno.json. @default {"cli"} */
  readonly set?: "cli" | "serve" | "run";
  /** Deno's permissions beside those of the set. */
  readonly flags?: readonly string[];
  /** Where a project has no such task: nowhere, or but for Deno. */
  readonly isOmitted?: "always" | "outside Deno";
}
