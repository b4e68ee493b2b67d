/**
 * Every code that a `ForkstackError` can have. The compiler holds the table complete: a code of `ErrorCode` without a row
 * does not compile, nor does a row of another code. docs/errors.md is written from it by `deno task gen`.
 *
 * @module
 */
import type { ErrorCode } from "../../mod.ts";

/** One code, for a caller that decides what to do. */
export interface ErrorMeaning {
  /** The exit code of a command that ends with it; see `EXIT_CODES`. */
  readonly exit: ExitCode;
  /** The state that was found, in a few words. */
  readonly meaning: string;
  /** True if the same call may succeed later without a change; `"sometimes"` if the error itself decides. */
  readonly retryable: boolean | "sometimes";
}

/** The exit codes, and the meaning of each. */
export const EXIT_CODES = {
  0: "done",
  1: "a check found something",
  2: "the command line or forkstack.json is wrong; nothing was done",
  3: "a credential is missing, wrong or not allowed to do this",
  4: "the environment does not exist, or its parent has no such resource",
  5: "a conflict: someone else's resource or file, or someone is working on it",
  6: "a vendor or the registry did not answer; the same command may work later",
  7: "partly done: run the same command again, it continues",
  70: "unexpected: a fault in forkstack, or in a custom provider",
  126: "the program is not executable",
  127: "there is no such program",
  130: "interrupted, or the answer was no",
} as const;

/** An exit code of the command line. */
export type ExitCode = keyof typeof EXIT_CODES;

/** A code whose error is never retryable. */
function lasting(exit: ExitCode, meaning: string): ErrorMeaning {
  return { exit, meaning, retryable: false };
}

/** A code whose error is always retryable. */
function passing(exit: ExitCode, meaning: string): ErrorMeaning {
  return { exit, meaning, retryable: true };
}

/** A code whose error says itself whether it is retryable. */
function either(exit: ExitCode, meaning: string): ErrorMeaning {
  return { exit, meaning, retryable: "sometimes" };
}

/** Every code, in the order of the exit codes. */
export const ERROR_CODES: Readonly<Record<ErrorCode, ErrorMeaning>> = {
  USAGE: lasting(2, "the command line cannot be understood"),
  CONFIRM_REQUIRED: lasting(2, "a question must be answered, and there is no terminal: pass `--yes`"),
  NAME_INVALID: lasting(2, "a name does not match the rule, or is too long for the vendor"),
  CONFIG_INVALID: lasting(2, "forkstack.json, or an option in it, is wrong"),
  CONFIG_MISSING: lasting(2, "there is no forkstack.json, or it does not declare what is needed"),
  CONFIG_CLUSTER: lasting(2, "the server is a cluster"),
  CONFIG_DEV_SERVER: lasting(2, "the endpoint is a dev server, which has one environment"),
  CONFIG_POOLER: lasting(2, "the URL leads through a pooler"),
  CONFIG_REGION: lasting(2, "the bucket is in another region than forkstack.json says"),
  CONFIG_REGION_MISSING: lasting(2, "the vendor needs a region, and none is known"),
  CONFIG_REPLICA: lasting(2, "the server is a replica"),
  CONFIG_SERVER_OLD: lasting(2, "the server's version is too old"),
  ENV_BASE: lasting(2, "`dev` and `prod` always exist and cannot be created"),
  ENV_PROTECTED: lasting(2, "the environment is protected"),
  ENV_UNREADABLE: lasting(2, "the variables that name the environment may not be read"),
  ENV_UNSET: lasting(2, "this checkout points to no environment"),
  VALUE_INVALID: lasting(2, "a variable's value is wrong"),
  VALUE_MISSING: lasting(2, "nothing gives a value for the variable"),
  VALUE_TOO_LARGE: lasting(2, "a secret is larger than the vendor takes"),
  VALUE_TOO_LONG: lasting(2, "arguments and variables are longer than the system takes"),
  VALUE_UNREADABLE: lasting(2, "a value in an env file cannot be read whole"),
  VALUE_UNWRITABLE: lasting(2, "no reader of env files could hold the value"),
  AT_INVALID: lasting(2, "the point in time of `--at` is wrong"),
  AT_OUT_OF_REACH: lasting(2, "the point in time is before what the vendor keeps"),
  AT_UNSUPPORTED: lasting(2, "a provider of the stack cannot fork a point in time"),
  DRY_RUN_UNSUPPORTED: lasting(2, "a custom provider cannot be looked at without running its code"),
  RESET_UNSUPPORTED: lasting(2, "a provider of the stack cannot reset"),
  IMPORT_REFUSED: lasting(2, "the data cannot be imported as it is"),
  IMPORT_UNSUPPORTED: lasting(2, "no provider of the stack imports data of this form"),
  PROVIDER_CHANGED: lasting(2, "the custom provider's file differs from the hash in forkstack.json"),
  PROVIDER_INVALID: lasting(2, "the custom provider's file is refused"),
  PROVIDER_MISSING: lasting(2, "the app lacks the module or package that reads the secrets"),
  PROVIDER_UNKNOWN: lasting(2, "the registry names a provider that this forkstack does not have"),
  SANITIZE_FAILED: lasting(2, "the `sanitize` script failed"),
  NOT_PERMITTED: lasting(2, "this user, or Deno's permissions, may not do it"),
  NOT_TRUSTED: lasting(2, "the repository names code, hosts or files that were not trusted"),
  NETWORK_DENIED: lasting(2, "Deno's permissions do not allow the host"),
  FILE_UNREADABLE: lasting(2, "a file cannot be read"),
  GIT_FAILED: lasting(2, "git failed or did not answer"),
  TOOL_MISSING: lasting(2, "a program that is needed is not installed"),
  TOOL_OUTDATED: lasting(2, "a program or runtime is too old"),
  TLS_FAILED: lasting(2, "the server's certificate cannot be trusted"),
  TLS_REQUIRED: lasting(2, "the server wants TLS, and the URL turns it off"),

  CREDENTIALS_MISSING: lasting(3, "a credential is not set"),
  CREDENTIALS_REJECTED: lasting(3, "the vendor does not know the credential"),
  CREDENTIALS_DENIED: lasting(3, "the credential is not allowed to do this"),
  CREDENTIALS_CLOCK: lasting(3, "the clock of this machine is wrong, so that signatures are refused"),
  CREDENTIALS_NOT_STORED: lasting(3, "the vendor stores no passwords, so that none can be read back"),
  CREDENTIALS_TLS: lasting(3, "TLS fails on the way to the server, or its plan has none"),

  NOT_FOUND: lasting(4, "a resource, or the parent's resource, does not exist"),
  ENV_NOT_FOUND: lasting(4, "the environment does not exist"),
  ENV_UNKNOWN: lasting(4, "the current environment was never made here, or was deleted"),
  SECRET_NOT_FOUND: lasting(4, "the environment has no such secret"),
  SECRET_MISSING: lasting(4, "the app asked for a secret that is not set"),
  SANITIZE_NOT_FOUND: lasting(4, "the `sanitize` script does not exist"),
  PROVIDER_NOT_FOUND: lasting(4, "the custom provider's file does not exist"),
  COMPUTE_NOT_FOUND: lasting(4, "the branch has no compute"),
  DATABASE_NOT_FOUND: lasting(4, "the database that forkstack.json names does not exist, or may not be seen"),
  ROLE_NOT_FOUND: lasting(4, "the role that forkstack.json names does not exist"),
  ORGANIZATION_NOT_FOUND: lasting(
    4,
    "the organization that forkstack.json names does not exist, or the token is not for it",
  ),
  PROJECT_NOT_FOUND: lasting(4, "the vendor's project does not exist, or the key may not see it"),

  FOREIGN: lasting(5, "it belongs to something else: forkstack did not make it, or another registry did"),
  CONFLICT: either(5, "the state that was found contradicts the command"),
  CONFLICT_CHILDREN: lasting(5, "other branches were forked from the branch"),
  CONFLICT_DEFAULT: lasting(5, "the branch is the vendor's default branch"),
  CONFLICT_PRODUCTION: lasting(5, "the branch is a production branch"),
  CONFLICT_PROTECTED: lasting(5, "the branch is protected at the vendor"),
  CONFLICT_SAFE_MIGRATIONS: lasting(5, "safe migrations are on for the branch"),
  ENV_CONFLICT: lasting(5, "the process, the pointer and the files disagree about the environment or a value"),
  GIT_TRACKED: lasting(5, "git tracks forkstack's state"),
  LOCKED: passing(5, "another worker is working on the environment"),
  LOCK_LOST: passing(5, "another worker has taken the environment over"),
  SECRETS_LOCKED: passing(5, "another process is writing the secrets file"),
  PORT_IN_USE: lasting(5, "another program listens on the port"),
  STATE_DAMAGED: lasting(5, "a file of forkstack's state is damaged"),
  REGISTRY_DAMAGED: lasting(5, "a row of the registry is damaged"),
  REGISTRY_FOREIGN: lasting(5, "the registry is another project's"),
  REGISTRY_NEWER: lasting(5, "the registry was written by a newer forkstack"),
  PARENT_AMBIGUOUS: lasting(5, "two databases have the parent's name"),
  PARENT_BACKUP_FAILED: lasting(5, "the vendor could not back the parent up"),
  PARENT_BRANCHING_OFF: lasting(5, "branching is off for the vendor's project"),
  PARENT_BUSY: passing(5, "the parent is in use"),
  PARENT_EXPIRES: lasting(5, "the parent's lease ends, and such a branch can have no children"),
  PARENT_IS_BRANCH: lasting(5, "the vendor makes no branches of branches"),
  PARENT_MIGRATIONS: lasting(5, "the parent's migrations fail on the fork"),
  PARENT_NEEDED: lasting(5, "the vendor makes no empty forks"),
  PARENT_NOT_READY: lasting(5, "the parent is not ready"),
  PARENT_OPEN: lasting(5, "every role of the server may connect to the parent"),
  PARENT_OUTBOUND: lasting(5, "a copy of the parent would reach other servers"),
  PARENT_PAUSED: lasting(5, "the vendor's project is paused"),
  PARENT_UNUSABLE: lasting(5, "the parent cannot be forked as it is"),
  PLAN_LIMIT: either(5, "the plan's limit at the vendor is reached"),
  PLAN_LIMIT_DATA: lasting(5, "the plan, or the parent database, has no branches with data"),
  PLAN_LIMIT_DATABASES: lasting(5, "no logical database of the server is free"),
  PLAN_LIMIT_MEMORY: lasting(5, "the server's memory is used up"),
  PLAN_LIMIT_PASSWORDS: lasting(5, "the branch has all the passwords that it can have"),
  PLAN_LIMIT_PAYMENT: lasting(5, "the account has no valid means of payment"),

  PROVIDER_UNAVAILABLE: either(6, "the vendor did not answer, or answered with a fault of its own"),
  PROVIDER_REFUSED: lasting(6, "the vendor refused, for a reason that only its answer says"),
  NETWORK_UNREACHABLE: passing(6, "this machine has no way to the host"),
  RATE_LIMITED: passing(6, "the vendor wants fewer requests"),
  RESOURCE_LOCKED: either(6, "the vendor has locked the resource for a while"),
  NOT_READY: either(6, "the resource was made and is not ready yet"),
  TASK_FAILED: lasting(6, "a task at the vendor failed"),
  ANSWER_INVALID: lasting(6, "a provider's answer is not of the agreed form"),
  RESPONSE_TOO_LARGE: lasting(6, "an answer is larger than the limit"),
  REGISTRY_UNREACHABLE: passing(6, "the shared registry did not answer"),
  PACKAGE_UNAVAILABLE: passing(6, "a package could not be fetched"),
  DISK_FULL: lasting(6, "the disk, or the quota, is full"),
  DISK_FAILED: lasting(6, "the disk failed"),
  DUMP_FAILED: lasting(6, "the program that dumps or restores failed"),
  SQL_FAILED: lasting(6, "a statement failed"),

  COPY_INCOMPLETE: passing(7, "not all objects of the parent were copied"),
  DELETE_INCOMPLETE: passing(7, "not everything was deleted"),
  PRUNE_INCOMPLETE: passing(7, "not every expired environment was deleted"),
  RESET_INCOMPLETE: passing(7, "not every resource was reset"),
  SEED_FAILED: lasting(7, "the environment stands, and its seed command failed"),
  UNDO_INCOMPLETE: lasting(7, "the command failed, and not everything could be undone"),

  UNEXPECTED: lasting(70, "a fault in forkstack, or in a custom provider"),

  COMMAND_NOT_EXECUTABLE: lasting(126, "the program is not executable"),
  COMMAND_NOT_FOUND: lasting(127, "the program does not exist"),

  CANCELLED: lasting(130, "the answer was no"),
  INTERRUPTED: lasting(130, "the command was interrupted"),
};
