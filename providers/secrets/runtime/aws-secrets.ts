/**
 * AWS Secrets Manager, for the provider and the application: secrets named `{project}/{environment}/{key}`. The SDK
 * signs; its requests are sent by one client of ours, so that repetitions are decided in one place.
 *
 * - https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html
 * - https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html (lists lag up to five minutes)
 */
import { httpClient, vendorError } from "../../../core/http/client.ts";
import { forEach } from "../../../core/system/concurrency.ts";
import { repeatable } from "../../../core/system/repeat.ts";
import { loadPackage } from "../../../core/system/lazy.ts";
import { Secret } from "../../../core/secret.ts";
import { type ErrorCode, ForkstackError, type SecretsRequest, type SecretsSource } from "../../../mod.ts";
import type { SecretEntry } from "../../_shared/secret_entries.ts";
import { noSuchPlace } from "./_client.ts";

/** The name of the mark, below an environment's prefix. */
export const MARK = ".forkstack";
/** Most secrets that one call reads. */
const BATCH = 20;

/** The input of the SDK's commands, as far as it is used. */
export type Input = Readonly<Record<string, unknown>>;
/** A secret as it is read. */
export interface Value {
  readonly Name: string;
  readonly SecretString?: string;
  readonly SecretBinary?: Uint8Array;
}
/** Sends a command, e.g. `"GetSecretValue"`; returns `undefined` if the secret does not exist. */
// deno-lint-ignore no-explicit-any -- each answer is typed where it is read
export type AwsCall = (operation: string, input: Input) => Promise<any>;

/** The vendor's refusal, with its code, e.g. `"ResourceExistsException"`. */
export class Refused extends Error {
  readonly code: string;
  readonly exchange: { readonly request: Request; readonly response: Response } | undefined;

  constructor(code: string, exchange: { request: Request; response: Response } | undefined) {
    super(code);
    this.code = code;
    this.exchange = exchange;
  }
}

/** Options of the connection to AWS. */
export interface AwsConnection {
  readonly region: string;
  readonly endpoint?: string | undefined;
  /** The access keys. @default {those that the SDK finds: variables, profiles, roles} */
  readonly credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  readonly fetch: (request: Request) => Promise<Response>;
  readonly signal?: AbortSignal;
  /** Waits before another attempt at a throttled request. */
  readonly sleep: (ms: number) => Promise<void>;
}

/** The request that the SDK passes to its handler. */
interface Signed {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: Uint8Array;
}

const THROTTLED = /^(Throttling|ThrottlingException|TooManyRequestsException|RequestLimitExceeded)$/;
const TRIES = 10;

/**
 * Returns a function that sends commands by the SDK. Every call may be repeated: it reads, has a token, or sets a
 * state.
 */
export async function callerOf(
  { region, endpoint, credentials, fetch, signal, sleep }: AwsConnection,
): Promise<AwsCall> {
  const sdk = await loadPackage<
    // deno-lint-ignore no-explicit-any -- commands are named by their operation
    Record<string, new (input: any) => any>
  >("npm:@aws-sdk/client-secrets-manager@3.1162.0");
  const one = async (operation: string, input: Input) => {
    let met: { request: Request; response: Response } | undefined;
    let lost: unknown;
    const handle = async (signed: Signed) => {
      const request = requestOf(signed, signal);
      try {
        const answer = await fetch(request);
        const bytes = new Uint8Array(await answer.arrayBuffer());
        met = { request, response: answer };
        const headers = Object.fromEntries(answer.headers);
        return { response: { statusCode: answer.status, headers, body: bytes } };
      } catch (error) {
        lost = error;
        throw error;
      }
    };
    const client = new sdk.SecretsManagerClient!({
      region,
      endpoint,
      credentials,
      maxAttempts: 1,
      defaultUserAgentProvider: () => Promise.resolve([["forkstack"]]), // its own would ask for the system's release
      requestHandler: { handle },
    });
    try {
      return await client.send(new sdk[`${operation}Command`]!(input));
    } catch (error) {
      if (lost !== undefined) throw lost;
      if (met === undefined) throw error;
      throw new Refused(met.response.ok ? "Unreadable" : (error as Error).name, met);
    }
  };
  return async (operation, input) => {
    for (let attempt = 1;; attempt++) {
      try {
        return await one(operation, input);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        if (error.code === "ResourceNotFoundException") return undefined;
        if (!THROTTLED.test(error.code) || attempt === TRIES) throw error;
        await sleep(Math.ceil(Math.random() * Math.min(10_000, 100 * 2 ** attempt)));
      }
    }
  };
}

/**
 * Returns the signed request, without headers that fetch sets itself. Copies the body, because fetch does not accept
 * the SDK's bytes.
 */
function requestOf({ method, protocol, hostname, port, path, headers, body }: Signed, signal?: AbortSignal): Request {
  const request = new Request(`${protocol}//${hostname}${port === undefined ? "" : `:${port}`}${path}`, {
    method,
    headers,
    body: body && new Uint8Array(body),
    signal,
  });
  for (const name of ["host", "content-length"]) request.headers.delete(name);
  return repeatable(request, true);
}

/** Returns the error for a refusal. */
export function told(error: unknown, what: string, resource?: string): unknown {
  if (!(error instanceof Refused) || error.exchange === undefined) return error;
  const [code, state, hint] = REFUSALS.find(([, pattern]) => pattern.test(error.code))?.[0] ??
    [undefined, `AWS refused it (${error.code})`, "The cause says why"];
  const { request, response } = error.exchange;
  return vendorError(request, response, {
    provider: "aws-secrets",
    resource,
    code,
    message: `Cannot ${what}: ${state}`,
    hint,
  });
}

/** Meanings of AWS's codes: https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html */
const REFUSALS: readonly (readonly [readonly [ErrorCode, string, string], RegExp])[] = [
  [
    ["CREDENTIALS_REJECTED", "the credentials were refused", "Renew AWS_ACCESS_KEY_ID and what belongs to it"],
    /^(UnrecognizedClientException|InvalidSignatureException|ExpiredTokenException|ExpiredToken|MissingAuthentication|InvalidClientTokenId|IncompleteSignature|SignatureDoesNotMatch)/,
  ],
  [
    [
      "CREDENTIALS_DENIED",
      "the credentials may not do that",
      "Allow secretsmanager:CreateSecret, PutSecretValue, UpdateSecret, TagResource, UntagResource, DescribeSecret, " +
      "GetSecretValue, BatchGetSecretValue, ListSecrets, DeleteSecret and RestoreSecret",
    ],
    /^AccessDenied/,
  ],
  [["PLAN_LIMIT", "a quota of the account is used up", "Remove unused envs with `forkstack prune`"], /^LimitExceeded/],
  [["RATE_LIMITED", "AWS throttles the account", "Run the same command again"], THROTTLED],
  [["PROVIDER_REFUSED", "KMS refused the key", "Check the key and who may use it"], /^(Decryption|Encryption)Failure/],
  [["PROVIDER_UNAVAILABLE", "what answers is not AWS", "Check `endpoint` in forkstack.json"], /^Unreadable$/],
];

/**
 * Reads secrets whose names begin with one of these, and those of `known` in any case: a list may be minutes behind.
 */
export async function valuesAt(
  call: AwsCall,
  prefixes: readonly string[],
  known: readonly string[] = [],
): Promise<Value[]> {
  const found = new Map<string, Value>();
  const keep = (values: readonly Value[] = []) => {
    for (const value of values) found.set(value.Name, value);
  };
  const Filters = [{ Key: "name", Values: prefixes }];
  for (let NextToken: string | undefined, seen = new Set<string>();;) {
    const page = await batch(call, { Filters, MaxResults: BATCH, NextToken });
    keep(
      page === undefined
        ? await singly(call, (await listAt(call, Filters)).map(({ Name }) => Name))
        : page.SecretValues,
    );
    NextToken = page?.NextToken;
    if (!NextToken) break;
    if (seen.has(NextToken)) throw repeatedPage("read the secrets");
    seen = seen.add(NextToken);
  }
  const rest = known.filter((name) => !found.has(name));
  for (let at = 0; at < rest.length; at += BATCH) {
    const SecretIdList = rest.slice(at, at + BATCH);
    const page = await batch(call, { SecretIdList });
    keep(page === undefined ? await singly(call, SecretIdList) : page.SecretValues);
  }
  return [...found.values()].filter(({ Name }) => prefixes.some((prefix) => Name.startsWith(prefix)));
}

function repeatedPage(what: string): ForkstackError {
  return new ForkstackError("PROVIDER_UNAVAILABLE", `Cannot ${what}: a page leads back to an earlier one`, {
    hint: "Check `endpoint` in forkstack.json",
  });
}

/** A secret in a list. */
export interface Summary {
  readonly Description?: string | undefined;
  readonly Tags?: readonly { readonly Key: string; readonly Value: string }[] | undefined;
}

/** Lists the secrets that match filters, all pages; a list may be minutes behind. */
export async function listAt(call: AwsCall, Filters: unknown): Promise<(Summary & { readonly Name: string })[]> {
  const found: (Summary & { readonly Name: string })[] = [];
  const seen = new Set<string>();
  let NextToken: string | undefined;
  for (;;) {
    const page = await call("ListSecrets", { Filters, MaxResults: 100, NextToken }) as {
      SecretList?: typeof found;
      NextToken?: string;
    };
    found.push(...page.SecretList ?? []);
    NextToken = page.NextToken;
    if (!NextToken) return found;
    if (seen.has(NextToken)) throw repeatedPage("list the secrets");
    seen.add(NextToken);
  }
}

/** Reads secrets one by one, eight at once, without those that are gone, have no value or wait for their deletion. */
export async function singly(call: AwsCall, names: readonly string[]): Promise<Value[]> {
  const found: Value[] = [];
  await forEach(names, async (SecretId) => {
    const value = await call("GetSecretValue", { SecretId }).catch(unlessUnusable);
    if (value !== undefined) found.push(value);
  }, {});
  return found;
}

/** Turns the refusal of a secret that waits for its deletion into `undefined`. */
function unlessUnusable(error: unknown): undefined {
  if (error instanceof Refused && error.code === "InvalidRequestException") return undefined;
  throw error;
}

/**
 * Reads a batch of secrets; a success may contain errors of single secrets. `undefined`: the batch failed as a whole since
 * one of them has no value or waits for its deletion, as moto does (seen in November 2026); for AWS it is not known.
 */
async function batch(
  call: AwsCall,
  input: Input,
): Promise<{ SecretValues?: Value[]; NextToken?: string } | undefined> {
  const page = await call("BatchGetSecretValue", input).catch(unlessUnusable) as {
    SecretValues?: Value[];
    NextToken?: string;
    Errors?: { SecretId?: string; ErrorCode?: string }[];
  } | undefined;
  if (page === undefined) return undefined;
  const failed = (page.Errors ?? []).find(({ ErrorCode }) =>
    !/^(ResourceNotFoundException|InvalidRequestException)$/.test(ErrorCode ?? "") // gone, or waiting for its end
  );
  if (failed === undefined) return page;
  throw new ForkstackError(
    /^AccessDenied/.test(failed.ErrorCode ?? "") ? "CREDENTIALS_DENIED" : "PROVIDER_REFUSED",
    `Cannot read secret "${failed.SecretId}": ${failed.ErrorCode}`,
    { hint: "Allow secretsmanager:GetSecretValue and its KMS key", details: { provider: "aws-secrets" } },
  );
}

/** Returns secrets as entries; binary ones as base64. */
export function entriesOf(values: readonly Value[], prefix: string): SecretEntry[] {
  return values.filter(({ Name }) => Name.startsWith(prefix) && Name !== prefix + MARK).map((value) => {
    const path = value.Name.slice(prefix.length);
    const isBinary = value.SecretString === undefined;
    const text = isBinary ? base64(value.SecretBinary ?? new Uint8Array()) : value.SecretString!;
    return { path, values: { [path]: new Secret(text) }, form: isBinary ? "binary" : undefined };
  }).sort((a, b) => a.path < b.path ? -1 : 1);
}

/** Returns the value of an entry in AWS's format; nothing of one without a value. */
export function contentOf({ path, values, form }: SecretEntry): Input {
  const text = values[path]?.reveal();
  if (text === undefined) return {};
  if (form !== "binary") return { SecretString: text };
  return { SecretBinary: Uint8Array.from(atob(text), (one) => one.charCodeAt(0)) };
}

function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (one) => String.fromCharCode(one)).join(""));
}

/** Returns the paths in an environment's mark; none if forkstack did not write it so. */
export async function knownPaths(call: AwsCall, prefix: string): Promise<{ paths?: string[] } | undefined> {
  const mark = await call("GetSecretValue", { SecretId: prefix + MARK }).catch((error) => {
    if (error instanceof Refused && error.code === "InvalidRequestException") return undefined; // waits for its end
    throw error;
  });
  if (mark === undefined) return undefined;
  try {
    const { paths } = JSON.parse((mark as Value).SecretString ?? "{}") as { paths?: unknown };
    const isList = Array.isArray(paths) && paths.every((one) => typeof one === "string");
    return isList ? { paths } : {};
  } catch {
    return {};
  }
}

/** Opens the secrets of an environment, without a request yet. */
export async function openSecrets({ env, project, title, options, read }: SecretsRequest): Promise<SecretsSource> {
  const { region, endpoint } = options as { region: string; endpoint?: string };
  const prefix = read("SECRETS_PREFIX") ?? `${project}/${title}/`;
  const client = httpClient();
  let call: AwsCall;
  try {
    const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
    call = await callerOf({ region: read("SECRETS_REGION") ?? region, endpoint, fetch: client, sleep });
  } catch (error) {
    throw new ForkstackError("PROVIDER_MISSING", "Cannot read the secrets: AWS's SDK cannot be loaded", {
      hint: "Add @aws-sdk/client-secrets-manager to the application's own dependencies",
      cause: error,
    });
  }
  const explained = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw told(error, what);
    }
  };
  return {
    all: () =>
      explained(`read the secrets of "${env}"`, async () => {
        const mark = await knownPaths(call, prefix);
        const entries = entriesOf(await valuesAt(call, [prefix], mark?.paths?.map((path) => prefix + path)), prefix);
        if (entries.length === 0 && mark === undefined) {
          throw noSuchPlace({ provider: "aws-secrets", label: "AWS", variable: "" }, `secrets at "${prefix}"`);
        }
        return Object.fromEntries(entries.map(({ path, values }) => [path, values[path]!.reveal()]));
      }),
    write: (changes) =>
      explained(`change the secrets of "${env}"`, async () => {
        for (const [key, value] of Object.entries(changes)) {
          const content = { SecretString: value, ClientRequestToken: crypto.randomUUID() };
          const SecretId = prefix + key;
          if (value !== null && await call("PutSecretValue", { SecretId, ...content }) !== undefined) continue;
          throw new ForkstackError("SECRET_NOT_FOUND", `Cannot change secret "${key}": "${SecretId}" is not there`, {
            hint: `Make or remove it with \`forkstack secrets set ${key}\`, which marks it as the environment's`,
          });
        }
      }),
  };
}
