import assert from "node:assert/strict";
import { exitCodeOf } from "../../../core/cli/errors.ts";
import { ERROR_CODES, EXIT_CODES } from "../../../core/cli/error_codes.ts";
import { CATALOG } from "../../../providers/mod.ts";
import { type ErrorCode, ForkstackError } from "../../../mod.ts";

/** STYLE.md's list: the exit code of every code, but for the words in between. */
const EXITS: Readonly<Record<number, string>> = {
  2: "USAGE CONFIRM_REQUIRED NAME_INVALID CONFIG_INVALID CONFIG_MISSING CONFIG_CLUSTER CONFIG_DEV_SERVER CONFIG_POOLER " +
    "CONFIG_REGION CONFIG_REGION_MISSING CONFIG_REPLICA CONFIG_SERVER_OLD ENV_BASE ENV_PROTECTED ENV_UNREADABLE ENV_UNSET " +
    "VALUE_INVALID VALUE_MISSING VALUE_TOO_LARGE VALUE_TOO_LONG VALUE_UNREADABLE VALUE_UNWRITABLE AT_INVALID " +
    "AT_OUT_OF_REACH AT_UNSUPPORTED DRY_RUN_UNSUPPORTED RESET_UNSUPPORTED IMPORT_REFUSED IMPORT_UNSUPPORTED PROVIDER_CHANGED PROVIDER_INVALID " +
    "PROVIDER_MISSING PROVIDER_UNKNOWN SANITIZE_FAILED NOT_PERMITTED NOT_TRUSTED NETWORK_DENIED FILE_UNREADABLE " +
    "GIT_FAILED TOOL_MISSING TOOL_OUTDATED TLS_FAILED TLS_REQUIRED",
  3: "CREDENTIALS_MISSING CREDENTIALS_REJECTED CREDENTIALS_DENIED CREDENTIALS_CLOCK CREDENTIALS_NOT_STORED CREDENTIALS_TLS",
  4: "NOT_FOUND ENV_NOT_FOUND ENV_UNKNOWN SECRET_NOT_FOUND SECRET_MISSING SANITIZE_NOT_FOUND PROVIDER_NOT_FOUND " +
    "COMPUTE_NOT_FOUND DATABASE_NOT_FOUND ROLE_NOT_FOUND ORGANIZATION_NOT_FOUND PROJECT_NOT_FOUND",
  5: "FOREIGN CONFLICT CONFLICT_CHILDREN CONFLICT_DEFAULT CONFLICT_PRODUCTION CONFLICT_PROTECTED " +
    "CONFLICT_SAFE_MIGRATIONS ENV_CONFLICT GIT_TRACKED LOCKED LOCK_LOST SECRETS_LOCKED PORT_IN_USE STATE_DAMAGED " +
    "REGISTRY_DAMAGED REGISTRY_FOREIGN REGISTRY_NEWER PARENT_AMBIGUOUS PARENT_BACKUP_FAILED PARENT_BRANCHING_OFF " +
    "PARENT_BUSY PARENT_EXPIRES PARENT_IS_BRANCH PARENT_MIGRATIONS PARENT_NEEDED PARENT_NOT_READY PARENT_OPEN " +
    "PARENT_OUTBOUND PARENT_PAUSED PARENT_UNUSABLE PLAN_LIMIT PLAN_LIMIT_DATA PLAN_LIMIT_DATABASES PLAN_LIMIT_MEMORY " +
    "PLAN_LIMIT_PASSWORDS PLAN_LIMIT_PAYMENT",
  6: "PROVIDER_UNAVAILABLE PROVIDER_REFUSED NETWORK_UNREACHABLE RATE_LIMITED RESOURCE_LOCKED NOT_READY TASK_FAILED " +
    "ANSWER_INVALID RESPONSE_TOO_LARGE REGISTRY_UNREACHABLE PACKAGE_UNAVAILABLE DISK_FULL DISK_FAILED DUMP_FAILED " +
    "SQL_FAILED",
  7: "COPY_INCOMPLETE DELETE_INCOMPLETE PRUNE_INCOMPLETE RESET_INCOMPLETE SEED_FAILED UNDO_INCOMPLETE",
  70: "UNEXPECTED",
  126: "COMMAND_NOT_EXECUTABLE",
  127: "COMMAND_NOT_FOUND",
  130: "CANCELLED INTERRUPTED",
};

Deno.test("exitCodeOf() gives every code the exit code of STYLE.md", async () => {
  const tested = Object.values(EXITS).flatMap((codes) => codes.split(" "));
  assert.deepEqual(tested.toSorted(), Object.keys(ERROR_CODES).toSorted());
  for (const [exit, codes] of Object.entries(EXITS)) {
    for (const code of codes.split(" ") as ErrorCode[]) {
      assert.equal(await exitCodeOf(new ForkstackError(code, "x")), Number(exit), code);
    }
  }
});

Deno.test("exitCodeOf() is 70 for what is no error of ours, or has a code that is in no table", async () => {
  const codes = [
    "SOMETHING_NEW",
    "PARENT_ODD",
    "CREDENTIALS_",
    "",
    "constructor",
    "__proto__",
  ] as unknown as ErrorCode[];
  for (const code of codes) assert.equal(await exitCodeOf(new ForkstackError(code, "x")), 70, code);
  for (const other of [new Error("x"), "x", undefined]) assert.equal(await exitCodeOf(other), 70);
});

Deno.test("no meaning names a vendor: core knows none", () => {
  const names = Object.values(CATALOG.providers).flatMap((one) => Object.keys(one)).flatMap((name) => name.split("-"));
  const ofNone = ["local", "secrets", "directory", "env", "file"];
  const vendors = names.filter((word) => !ofNone.includes(word)).concat("aws", "amazon", "cloudflare", "mariadb");
  for (const known of ["neon", "planetscale", "inngest", "redis", "supabase"]) assert(vendors.includes(known), known);
  for (const [code, { meaning }] of Object.entries(ERROR_CODES)) {
    const named = meaning.toLowerCase().match(/[a-z0-9]+/g)!.filter((word) => vendors.includes(word));
    assert.deepEqual(named, [], `${code}: ${meaning}`);
  }
});

Deno.test("every exit code and every code has a meaning of its own", () => {
  const meanings = Object.values(ERROR_CODES).map(({ meaning }) => meaning);
  assert.equal(new Set(meanings).size, meanings.length);
  for (const text of [...meanings, ...Object.values(EXIT_CODES)]) assert.match(text, /^[a-zA-Z`].{2,}[^.\s]$/);
});
