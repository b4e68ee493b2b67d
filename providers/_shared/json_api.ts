/**
 * The common part of the HTTP providers: calls of a vendor's JSON API, answers checked against a schema, refusals
 * explained.
 */
import { present } from "./fields.ts";
import * as v from "npm:valibot@1.5.0";
import { readJson, vendorError } from "../../core/http/client.ts";
import { repeatable } from "../../core/system/repeat.ts";
import type { Context, Scope, Target } from "../../core/provider.ts";
import { type ErrorCode, ForkstackError } from "../../mod.ts";

/** A request and its answer; the body can be read again. */
export interface VendorAnswer {
  readonly request: Request;
  readonly response: Response;
}

/** The meaning of a vendor's refusal. */
export interface Refusal {
  /** The error's code, if it says more than the status. @default {by status} */
  readonly code?: ErrorCode;
  /** The state in the message: `"the plan does not allow it"`. */
  readonly state: string;
  /** The next thing to do. */
  readonly hint: string;
}

/** The API of one vendor. */
export interface Vendor<Options> {
  /** The provider's name in forkstack.json. */
  readonly provider: string;
  /** The vendor's name, e.g. `"Turso"`. */
  readonly label: string;
  /** URL of the page that shows whether the vendor is available. */
  readonly statusPage: string;
  /** The variable of its token, and a hint on how to get one. */
  readonly credential: { readonly variable: string; readonly hint: string };
  /** Returns the rights that the token needs, for errors with 403. */
  readonly scopes: (scope: Scope<Options>) => string;
  /** Returns the URL before the paths, e.g. `"https://api.turso.tech/v1/organizations/acme"`. */
  readonly base: (scope: Scope<Options>) => string;
  /** Returns the URL before paths that are sent with `root`. @default {base} */
  readonly root?: (scope: Scope<Options>) => string;
  /**
   * Adds the credentials to a request. It may get them from the vendor first, by a call with `isAnonymous`. @default
   * {`authorization: Bearer` with the token}
   */
  readonly authorize?: (request: Request, context: Context, scope: Scope<Options>) => void | Promise<void>;
  /** Returns the vendor's code from the body of a refusal. @default {its `code`} */
  readonly codeOf?: (body: Readonly<Record<string, unknown>>) => string | undefined;
  /** Explains refusals whose status alone says too little; `undefined` for others. */
  readonly known?: (status: number, code: string | undefined, scope: Scope<Options>) => Refusal | undefined;
}

/** The parts of a call besides method and path. */
export interface Sent {
  /** Query parameters; those that are `undefined` are left out, also of the headers. */
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly json?: unknown;
  /** A body as text, instead of `json`. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** Send it without `authorize`, as for a login. @default {false} */
  readonly isAnonymous?: boolean;
  /** Send the path after the vendor's `root`. @default {false} */
  readonly root?: boolean;
  /** Text that is appended to the path without encoding: a URL, where the vendor takes one. */
  readonly tail?: string;
  /** True if a repetition does no harm, as `RepeatableRequest.mayRepeat`. @default {by its method} */
  readonly mayRepeat?: boolean;
}

/**
 * Creates the option `endpoint` of an HTTP provider; without a standard it may stay unset. `own` matches the vendor's
 * other hosts: any host that is neither one of those, the standard one nor this machine needs trust
 * (core/project/trust.ts).
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

/** Marks an option that names a host; `isOwnHost` is true for the vendor's own hosts, which need no trust. */
export function hostMetadata(
  isOwnHost: (url: string) => boolean,
): v.MetadataAction<string, { isOwnHost: typeof isOwnHost }> {
  return v.metadata({ isOwnHost });
}

/**
 * Returns the network permissions of a provider: the hosts of its endpoints, and the vendor's hosts that the API names.
 * With an endpoint without TLS, which is an emulator, those are ports of the same machine.
 */
export function reaches(endpoints: readonly string[], ...beside: readonly string[]): { readonly net: string[] } {
  const urls = endpoints.map((endpoint) => new URL(endpoint));
  const local = beside.length === 0 ? undefined : urls.find(({ protocol }) => protocol === "http:")?.hostname;
  return { net: local === undefined ? [...urls.map(({ host }) => host), ...beside] : [local] };
}

/** Returns the requested point in the past, for a vendor that accepts instants only. */
export function instantOf({ at, resource }: Pick<Target<unknown>, "at" | "resource">, provider: string) {
  if (at === undefined || !at.includes("/")) return at;
  throw new ForkstackError("AT_INVALID", `Cannot fork as of "${at}": ${provider} does not know such positions`, {
    hint: "Give the time: --at 2026-11-20T10:00:00Z",
    details: { provider, resource },
  });
}

/** The error for a point in the past that the vendor no longer keeps, or that is before the parent's creation. */
export function outOfReach(
  { at, resource }: Pick<Target<unknown>, "at" | "resource">,
  provider: string,
  cause: unknown,
): ForkstackError {
  return new ForkstackError("AT_OUT_OF_REACH", `Cannot fork as of "${at}": ${provider} has no data from that time`, {
    hint: "Choose a later point: the plan and the parent's age limit how far back it goes",
    details: { provider, resource },
    cause,
  });
}

/** Creates the schema of an option that becomes a part of a path or a name at the vendor. */
export function slugOption(example: string): v.GenericSchema<string, string> {
  return v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, `must be a name like "${example}"`));
}

/** The calls of one vendor's API. */
export class Api<Options> {
  readonly #vendor: Vendor<Options>;

  constructor(vendor: Vendor<Options>) {
    this.#vendor = vendor;
  }

  /** Sends one request and returns its answer, whatever its status; encodes each segment of the path. */
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

  /** Hint on how to get the vendor's credential. */
  get credentialHint(): string {
    return this.#vendor.credential.hint;
  }

  /** Returns the value of the vendor's credential, or of another variable that belongs to it. */
  token(context: Context, variable = this.#vendor.credential.variable): string {
    const { provider, credential: { hint } } = this.#vendor;
    const token = context.credentials[variable];
    if (token !== undefined) return token.reveal();
    throw new ForkstackError("CREDENTIALS_MISSING", `Cannot use ${provider}: ${variable} is not set`, {
      hint: `Set it: ${hint}`,
      details: { provider },
    });
  }

  /** Returns the body of an answer that matches the schema; throws for any other. `what` as in `make database "x"`. */
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

  /** Yields every page of a list; throws if one leads back to an earlier page. */
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

  /** Returns the vendor's own code from the body of a refusal. */
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

  /** Returns the error for an answer without success. */
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

  /** Returns the meaning of a status at any vendor. */
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

  /** Returns the error for an answer that the vendor's API does not document. */
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
