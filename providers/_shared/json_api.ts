/**
 * What the HTTP providers share: calls of a vendor's JSON API, answers checked against a schema, refusals told in words.
 */
import { present } from "./fields.ts";
import * as v from "npm:valibot@1.5.0";
import { readJson, vendorError } from "../../core/http/client.ts";
import { repeatable } from "../../core/system/repeat.ts";
import type { Context, Scope, Target } from "../../core/provider.ts";
import { type ErrorCode, ForkstackError } from "../../mod.ts";

/** A request and what came back; its body is still there after it was read. */
export interface VendorAnswer {
  readonly request: Request;
  readonly response: Response;
}

/** What a vendor's refusal means. */
export interface Refusal {
  /** The error's code, where it says more than the status. @default {by status} */
  readonly code?: ErrorCode;
  /** `"the plan does not allow it"` */
  readonly state: string;
  /** What to do next. */
  readonly hint: string;
}

/** One vendor's API. */
export interface Vendor<Options> {
  /** The provider's name in forkstack.json. */
  readonly provider: string;
  /** The vendor's own, e.g. `"Turso"`. */
  readonly label: string;
  /** Where it says whether it is up. */
  readonly statusPage: string;
  /** The variable of its token, and how to come by one. */
  readonly credential: { readonly variable: string; readonly hint: string };
  /** What the token must be allowed to do, for 403. */
  readonly scopes: (scope: Scope<Options>) => string;
  /** Where the paths begin, e.g. `"https://api.turso.tech/v1/organizations/acme"`. */
  readonly base: (scope: Scope<Options>) => string;
  /** Where paths begin that are sent with `root`. @default {base} */
  readonly root?: (scope: Scope<Options>) => string;
  /**
   * Adds to a request what proves who asks. It may ask the vendor for that first, by a call that `isAnonymous`.
   * @default {`authorization: Bearer` with the token}
   */
  readonly authorize?: (request: Request, context: Context, scope: Scope<Options>) => void | Promise<void>;
  /** The vendor's code in the body of a refusal. @default {its `code`} */
  readonly codeOf?: (body: Readonly<Record<string, unknown>>) => string | undefined;
  /** Refusals that the status alone does not explain. */
  readonly known?: (status: number, code: string | undefined, scope: Scope<Options>) => Refusal | undefined;
}

/** What a call may carry. */
export interface Sent {
  /** What is `undefined` is left out, also of the headers. */
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly json?: unknown;
  /** A body that is not ours to understand, in place of `json`. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** Goes without `authorize`: a login. @default {false} */
  readonly isAnonymous?: boolean;
  /** The path begins at the vendor's `root`. @default {false} */
  readonly root?: boolean;
  /** Goes after the path as it is: a URL where the vendor wants it so. */
  readonly tail?: string;
  /** As `RepeatableRequest.mayRepeat`. @default {by its method} */
  readonly mayRepeat?: boolean;
}

/**
 * The option `endpoint` of every HTTP provider; without a standard it may stay unset. `own` matches the vendor's other
 * hosts: all that are neither those, the standard one nor this machine work only with trust (core/project/trust.ts).
 */
export function endpointOption<Standard extends string | undefined = undefined>(
  standard?: Standard,
  own?: RegExp,
): v.OptionalSchema<v.GenericSchema<string, string>, Standard> {
  return v.optional(
    v.pipe(
      v.string(),
      v.regex(
        /^(https:\/\/[^\s?#@/]+|http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d+)?)\/?$/,
        "must be an https URL without a path, or an http one on 127.0.0.1",
      ),
      v.check((url) => !/\p{C}/u.test(url) && URL.canParse(url), "must be the URL of a host"),
      hostMetadata((url) =>
        url.replace(/\/$/, "") === standard || own?.test(url.replace(/^https:\/\/|\/$/g, "")) === true
      ),
    ),
    standard as Standard,
  );
}

/** Marks an option that names a host; `isOwnHost` tells the vendor's own from those that need trust. */
export function hostMetadata(
  isOwnHost: (url: string) => boolean,
): v.MetadataAction<string, { isOwnHost: typeof isOwnHost }> {
  return v.metadata({ isOwnHost });
}

/**
 * What a provider of an HTTP API needs of the network: the hosts of its endpoints, and those at the vendor that the API
 * tells of. Beside an endpoint without TLS, which is an emulator, those are ports of the same machine.
 */
export function reaches(endpoints: readonly string[], ...beside: readonly string[]): { readonly net: string[] } {
  const urls = endpoints.map((endpoint) => new URL(endpoint));
  const local = beside.length === 0 ? undefined : urls.find(({ protocol }) => protocol === "http:")?.hostname;
  return { net: local === undefined ? [...urls.map(({ host }) => host), ...beside] : [local] };
}

/** The point in the past that a fork is wanted of, for a vendor that knows points by their time alone. */
export function instantOf({ at, resource }: Pick<Target<unknown>, "at" | "resource">, provider: string) {
  if (at === undefined || !at.includes("/")) return at;
  throw new ForkstackError("AT_INVALID", `Cannot fork as of "${at}": ${provider} knows no such positions`, {
    hint: "Give the time: --at 2026-11-20T10:00:00Z",
    details: { provider, resource },
  });
}

/** The error for a point in the past that the vendor no longer keeps, or that was before the parent. */
export function outOfReach(
  { at, resource }: Pick<Target<unknown>, "at" | "resource">,
  provider: string,
  cause: unknown,
): ForkstackError {
  return new ForkstackError("AT_OUT_OF_REACH", `Cannot fork as of "${at}": ${provider} has no data of then`, {
    hint: "Choose a later point: how far back it goes is a matter of the plan and of the parent's age",
    details: { provider, resource },
    cause,
  });
}

/** A value of an option that becomes a part of a path or a name at the vendor. */
export function slugOption(example: string): v.GenericSchema<string, string> {
  return v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, `must be a name like "${example}"`));
}

/** The calls of one vendor's API. */
export class Api<Options> {
  readonly #vendor: Vendor<Options>;

  constructor(vendor: Vendor<Options>) {
    this.#vendor = vendor;
  }

  /** Sends one request; each segment of the path is encoded. Any status is an answer. */
  async send(
    context: Context,
    scope: Scope<Options>,
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: readonly string[],
    { query = {}, json, text, headers = {}, root: isRoot, tail, mayRepeat, isAnonymous = false }: Sent = {},
  ): Promise<VendorAnswer> {
    const { base, root = base, authorize = (request) => this.#bear(request, context) } = this.#vendor;
    const whole = [(isRoot ? root : base)(scope).replace(/\/$/, ""), ...path.map(encodeURIComponent)];
    if (tail !== undefined) whole.push(tail);
    const url = new URL(whole.join("/"));
    for (const [name, value] of Object.entries(present(query))) url.searchParams.set(name, value);
    const request = new Request(url, {
      method,
      headers: present({ "content-type": json === undefined ? undefined : "application/json", ...headers }),
      body: text ?? JSON.stringify(json), // none of `undefined`
      signal: context.signal,
    });
    if (!isAnonymous) await authorize(request, context, scope);
    return { request, response: await context.fetch(repeatable(request, mayRepeat)) };
  }

  #bear({ headers }: Request, context: Context): void {
    headers.set("authorization", `Bearer ${this.token(context)}`);
  }

  /** How to come by the vendor's credential. */
  get credentialHint(): string {
    return this.#vendor.credential.hint;
  }

  /** The value of the vendor's credential, or of another variable that belongs to it. */
  token(context: Context, variable = this.#vendor.credential.variable): string {
    const { provider, credential: { hint } } = this.#vendor;
    const token = context.credentials[variable];
    if (token !== undefined) return token.reveal();
    throw new ForkstackError("CREDENTIALS_MISSING", `Cannot use ${provider}: ${variable} is not set`, {
      hint: `Set it: ${hint}`,
      details: { provider },
    });
  }

  /** The answer as the API documents it; anything else is an error. `what` as in `make database "x"`. */
  async read<T>(
    schema: v.GenericSchema<unknown, T>,
    answer: VendorAnswer,
    scope: Scope<Options>,
    what: string,
  ): Promise<T> {
    if (!answer.response.ok) throw await this.refusal(answer, scope, what);
    const result = v.safeParse(schema, await readJson(answer.response));
    if (result.success) return result.output;
    const places = result.issues.map((issue) => v.getDotPath(issue)).join(", ");
    throw this.strange(answer, scope, `${what}: ${places} is not as documented`);
  }

  /** Every page of a list; one that leads back to an earlier page is an error. */
  async *pages<Page>(
    schema: v.GenericSchema<unknown, Page>,
    scope: Scope<Options>,
    what: string,
    send: (cursor: string | undefined) => Promise<VendorAnswer>,
    cursorOf: (page: Page) => string | null | undefined,
  ): AsyncIterable<Page> {
    const seen = new Set<string>();
    let cursor: string | undefined;
    for (;;) {
      const answer = await send(cursor);
      const page = await this.read(schema, answer, scope, what);
      yield page;
      const next: string | null | undefined = cursorOf(page);
      if (!next) return;
      if (seen.has(next)) throw this.strange(answer, scope, `${what}: a page leads back to an earlier one`);
      seen.add(next);
      cursor = next;
    }
  }

  /** The vendor's own code in the body of a refusal. */
  async codeOf({ response }: VendorAnswer): Promise<string | undefined> {
    let body: unknown;
    try {
      body = JSON.parse(await response.clone().text());
    } catch {
      return undefined; // no code is all that can be read from it
    }
    if (typeof body !== "object" || body === null) return undefined;
    const { codeOf = (one) => one.code as string | undefined } = this.#vendor;
    const code = codeOf(body as Record<string, unknown>);
    return typeof code === "string" ? code : undefined;
  }

  /** The error for an answer that is no success. */
  async refusal(answer: VendorAnswer, scope: Scope<Options>, what: string): Promise<ForkstackError> {
    const { request, response } = answer;
    const { provider, known } = this.#vendor;
    const { status } = response;
    const vendorCode = await this.codeOf(answer);
    await response.text().catch(() => {}); // it may have been read
    const { code, state, hint } = known?.(status, vendorCode, scope) ?? this.#usual(status, scope);
    return vendorError(request, response, {
      provider,
      resource: scope.resource,
      code,
      message: `Cannot ${what}: ${state}`,
      hint,
    });
  }

  /** What a status says at every vendor. */
  #usual(status: number, scope: Scope<Options>): Refusal {
    const { label, statusPage, credential, scopes } = this.#vendor;
    if (status === 401) {
      return { state: "the token was refused", hint: `Set ${credential.variable} again: ${credential.hint}` };
    }
    if (status === 403) return { state: "the token may not do that", hint: scopes(scope) };
    if (status === 423) {
      return { state: "it is locked", hint: "Wait until the vendor is done with it, then run the same command again" };
    }
    if (status === 429 || status >= 500) {
      return { state: `${label} answers ${status}`, hint: `Run the same command again; see ${statusPage}` };
    }
    return { state: `${label} refused it (${status})`, hint: "The cause says why; see also the limits of the plan" };
  }

  /** The error for an answer that the vendor's API does not give. */
  strange({ request, response }: VendorAnswer, scope: Scope<Options>, what: string): ForkstackError {
    const { provider, label } = this.#vendor;
    return vendorError(request, response, {
      provider,
      resource: scope.resource,
      code: "PROVIDER_UNAVAILABLE",
      message: `Cannot ${what}`,
      hint: `Run the same command again; if \`endpoint\` is set in forkstack.json, check that it is ${label}'s API`,
    });
  }
}
