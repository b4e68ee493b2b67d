/**
 * A vendor's own specification in this process: each request that a provider sends, and each answer of its emulator, is
 * held against the OpenAPI file. The schemas are Ajv's to judge; here is what lies around them: paths, parameters,
 * bodies, statuses, credentials.
 *
 * @see https://spec.openapis.org/oas/v3.0.4
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv, type AnySchema, type ErrorObject, type ValidateFunction } from "npm:ajv@8.20.0";
import addFormats from "npm:ajv-formats@3.0.1";
import { load as parseYaml } from "npm:js-yaml@5.5.0";
import { SIZE } from "../sizes.ts";

// deno-lint-ignore no-explicit-any -- a file of others, of which only the read parts have a known shape
type Part = any;

/** How a specification is read. */
export interface Reading {
  /** The path of the vendor's address, which the specification's own paths lack, e.g. `"/v1"`. @default {""} */
  readonly base?: string;
  /** The path as the specification has it, or `undefined` of a request that it says nothing about. */
  readonly pathOf?: (path: string) => string | undefined;
  /** Known errors of the specification: why -> what is said of them, `"POST /v1/x: answer 422: ..."`. Each must be met. */
  readonly exceptions?: Readonly<Record<string, RegExp>>;
  /** Mends a file that is no whole YAML. */
  readonly mend?: (text: string) => string;
  /** Mends what nothing could keep to. */
  readonly correct?: (specification: Part) => void;
}

/** One exchange as it was sent. */
export interface Exchange {
  readonly request: Request;
  readonly sent: string;
  readonly response: Response;
  readonly received: string;
}

/** Where a vendor's specification lies, if it is there. */
export function specificationPath(file: string): string {
  return fileURLToPath(new URL(`../../../shared/openapi/${file}`, import.meta.url));
}

/** A specification, and what was held against it. */
export class Specification {
  readonly #root: Part;
  readonly #reading: Reading;
  readonly #bodies = newAjv();
  readonly #parameters = newAjv({ coerceTypes: "array" });
  readonly #compiled = new Map<string, ValidateFunction>();
  readonly #routes: { readonly pattern: RegExp; readonly names: string[]; readonly path: string }[];
  readonly #excepted = new Set<string>();
  /** How many exchanges it said something about. */
  answers = 0;

  /** Reads a file of ../shared/openapi; `undefined` where that is not there. */
  static read(file: string, reading: Reading = {}): Specification | undefined {
    const path = specificationPath(file);
    if (!existsSync(path)) return undefined;
    const text = (reading.mend ?? String)(readFileSync(path, "utf8"));
    return new Specification(file.endsWith(".json") ? JSON.parse(text) : parseYaml(text), reading);
  }

  constructor(root: Part, reading: Reading = {}) {
    reading.correct?.(root);
    this.#root = modern(root);
    this.#reading = reading;
    for (const ajv of [this.#bodies, this.#parameters]) ajv.addSchema({ ...this.#root, $id: "vendor:" }, "vendor:");
    // A path without a parameter goes before one with.
    this.#routes = Object.keys(this.#root.paths).sort((a, b) => a.split("{").length - b.split("{").length).map(
      (path) => {
        const names = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name!);
        const source = path.split(/\{[^}]+\}/).map((text) => text.replace(/[.*+?^$()|[\]\\]/g, "\\$&")).join("([^/]+)");
        return { pattern: new RegExp(`^${source}$`), names, path };
      },
    );
  }

  /** Known exceptions that were not met so far, by their reason. */
  get unmet(): string[] {
    return Object.keys(this.#reading.exceptions ?? {}).filter((reason) => !this.#excepted.has(reason));
  }

  /** What an exchange breaks, but for the known exceptions. */
  violationsOf(exchange: Exchange): string[] {
    const { method, url } = exchange.request;
    const { pathname } = new URL(url);
    const { base = "", pathOf = (path) => path, exceptions = {} } = this.#reading;
    const path = pathOf(pathname.startsWith(`${base}/`) ? pathname.slice(base.length) : pathname);
    if (path === undefined) return [];
    this.answers++;
    return [...this.#problems(exchange, path)].map((problem) => `${method} ${pathname}: ${problem}`).filter((found) => {
      const reason = Object.keys(exceptions).find((reason) => exceptions[reason]!.test(found));
      if (reason !== undefined) this.#excepted.add(reason);
      return reason === undefined;
    });
  }

  *#problems({ request, sent, response, received }: Exchange, path: string): Generator<string> {
    const method = request.method.toLowerCase();
    const matches = this.#routes.map((route) => ({ ...route, found: route.pattern.exec(path) }))
      .filter(({ found, path }) => found !== null && method in this.#root.paths[path]);
    const [route] = matches;
    if (route === undefined) return yield "no such path or method";
    const item = this.#root.paths[route.path];
    const at = `/paths/${escaped(route.path)}`;
    const operation = item[method];
    const given = Object.fromEntries(route.names.map((name, i) => [name, decodeURIComponent(route.found![i + 1]!)]));
    yield* this.#credentials(request, operation);
    const own = (operation.parameters ?? []).map((_: Part, i: number) => `${at}/${method}/parameters/${i}`);
    const shared = (item.parameters ?? []).map((_: Part, i: number) => `${at}/parameters/${i}`);
    yield* this.#checkParameters(request, given, [...own, ...shared]);
    yield* this.#checkBody(request, sent, `${at}/${method}/requestBody`);
    yield* this.#checkAnswer(response, received, `${at}/${method}/responses`);
  }

  *#credentials(request: Request, operation: Part): Generator<string> {
    const wanted: Part[] = operation.security ?? this.#root.security ?? [];
    const schemes = this.#root.components?.securitySchemes ?? {};
    const isGiven = (name: string) => {
      const scheme = schemes[name];
      const value = request.headers.get("authorization") ?? "";
      if (scheme?.type === "apiKey" && scheme.in === "header") return request.headers.has(scheme.name);
      if (scheme?.type === "http") return new RegExp(`^${scheme.scheme} .`, "i").test(value);
      return scheme?.type === "apiKey" || /^bearer ./i.test(value);
    };
    if (wanted.length > 0 && !wanted.some((one) => Object.keys(one).every(isGiven))) {
      yield `no credentials of ${JSON.stringify(wanted)}`;
    }
  }

  *#checkParameters(request: Request, given: Record<string, string>, pointers: string[]): Generator<string> {
    const query = new URL(request.url).searchParams;
    const known = new Set<string>();
    for (const pointer of pointers) {
      const [parameter, at] = this.#resolved(pointer);
      const { name, in: place, required } = parameter;
      if (place === "query") known.add(name.replace(/\[\]$/, "")).add(name);
      if (place === "cookie" || (place === "header" && /^(accept|content-type|authorization)$/i.test(name))) continue;
      const values = place === "path"
        ? [given[name]]
        : place === "header"
        ? [request.headers.get(name)].filter((value) => value !== null)
        : query.getAll(name);
      if (values.length === 0) {
        if (required) yield `the ${place} parameter "${name}" is missing`;
        continue;
      }
      const isList = this.#resolved(`${at}/schema`)[0]?.type === "array";
      const value = !isList ? values[0] : values.length > 1 || parameter.explode ? values : values[0]!.split(",");
      if (parameter.schema) yield* this.#check(this.#parameters, `${at}/schema`, value, `${place} parameter "${name}"`);
    }
    for (const name of query.keys()) if (!known.has(name)) yield `there is no query parameter "${name}"`;
  }

  *#checkBody(request: Request, sent: string, pointer: string): Generator<string> {
    const [body, at] = this.#resolved(pointer);
    if (body === undefined) {
      if (sent !== "" && sent !== "{}") yield "it takes no body";
      return;
    }
    if (sent === "") {
      if (body.required) yield "it needs a body";
      return;
    }
    yield* this.#checkContent(body, at, request.headers.get("content-type"), sent, "body");
  }

  *#checkAnswer(response: Response, received: string, pointer: string): Generator<string> {
    const responses = this.#resolved(pointer)[0] ?? {};
    const { status } = response;
    const key = [`${status}`, `${String(status)[0]}XX`, `${String(status)[0]}xx`, "default"].find((key) =>
      key in responses
    );
    if (key === undefined) return yield `answer ${status}: there are ${Object.keys(responses)}`;
    const [answer, at] = this.#resolved(`${pointer}/${key}`);
    if (received === "" || answer.content === undefined) return;
    yield* this.#checkContent(answer, at, response.headers.get("content-type"), received, `answer ${status}`);
  }

  *#checkContent(part: Part, at: string, type: string | null, text: string, what: string): Generator<string> {
    const plain = (type ?? "").split(";")[0]!.trim().toLowerCase();
    const media = Object.keys(part.content).find((key) => {
      const pattern = key.split(";")[0]!.trim().toLowerCase();
      return pattern === plain || pattern === "*/*" || pattern === plain.replace(/\/.*/, "/*");
    });
    if (media === undefined) return yield `${what}: its type "${plain}" is none of ${Object.keys(part.content)}`;
    if (!/\bjson$/.test(plain) || part.content[media].schema === undefined) return;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return yield `${what}: it is no JSON`;
    }
    yield* this.#check(this.#bodies, `${at}/content/${escaped(media)}/schema`, value, what);
  }

  *#check(ajv: Ajv, pointer: string, value: unknown, what: string): Generator<string> {
    const key = `${ajv === this.#bodies} ${pointer}`;
    let validate = this.#compiled.get(key);
    if (validate === undefined) {
      // In an object: where types are coerced, that needs a place to put the value.
      const schema: AnySchema = { type: "object", properties: { it: { $ref: `vendor:#${encodeURI(pointer)}` } } };
      this.#compiled.set(key, validate = ajv.compile(schema));
    }
    if (!validate({ it: value })) yield* (validate.errors ?? []).map((error) => `${what}${textOf(error)}`);
  }

  /** What a JSON pointer leads to, and where that really is, as it may refer elsewhere. */
  #resolved(pointer: string): [part: Part, at: string] {
    const steps = pointer.split("/").slice(1).map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
    const part = steps.reduce((part, step) => part?.[step], this.#root);
    return typeof part?.$ref === "string" ? this.#resolved(decodeURIComponent(part.$ref.slice(1))) : [part, pointer];
  }
}

function newAjv(more: { coerceTypes?: "array" } = {}): Ajv {
  const ajv = new Ajv({ strict: false, logger: false, validateSchema: false, addUsedSchema: false, ...more });
  addFormats.default(ajv);
  return ajv;
}

function textOf({ instancePath, message, params }: ErrorObject): string {
  return `${instancePath.replace(/^\/it/, "")}: ${message} ${JSON.stringify(params)}`;
}

function escaped(step: string): string {
  return step.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** OpenAPI 3.0's schemas as JSON Schema has them: `nullable`, and limits that are themselves excluded. */
function modern(part: Part): Part {
  if (Array.isArray(part)) return part.map(modern);
  if (typeof part !== "object" || part === null) return part;
  const { nullable, ...rest } = Object.fromEntries(Object.entries(part).map(([key, value]) => [key, modern(value)]));
  for (const [excluding, limit] of [["exclusiveMinimum", "minimum"], ["exclusiveMaximum", "maximum"]] as const) {
    if (typeof rest[excluding] !== "boolean") continue;
    if (rest[excluding]) rest[excluding] = rest[limit];
    else delete rest[excluding];
  }
  if (nullable === undefined) return rest;
  if (typeof nullable !== "boolean") return { nullable, ...rest }; // a property of that name
  return nullable ? { anyOf: [rest, { type: "null" }] } : rest;
}

/** Has a specification that knows of successes alone take any other status as well. */
export function withErrors(specification: Part): void {
  const operations: Part[] = Object.values(specification.paths).flatMap((path) => Object.values(path as object));
  for (const { responses } of operations) if (responses) responses.default ??= { description: "an error" };
}

/** A request with a JSON body and credentials, as a broken one for `testSpecification`. */
export function jsonRequest(url: string, method = "GET", authorization = "Bearer x"): Request {
  return new Request(url, { method, headers: { authorization, "content-type": "application/json" } });
}

/** A `fetch` whose exchanges are held against a specification, and what broke it. */
export function heldTo(
  specification: Specification | undefined,
  send: (request: Request) => Promise<Response>,
): { readonly fetch: (request: Request) => Promise<Response>; readonly violations: () => readonly string[] } {
  const violations: string[] = [];
  async function fetch(request: Request): Promise<Response> {
    const sent = await request.clone().text();
    const response = await send(request);
    const received = await response.clone().text(); // not cancel(): of a clone it waits for the other
    violations.push(...specification!.violationsOf({ request, sent, response, received }));
    return response;
  }
  return { fetch: specification === undefined ? send : fetch, violations: () => violations };
}

/** What a specification said of all that the suite before it sent; `broken` is an exchange that it must refuse. */
export function testSpecification(
  vendor: string,
  specification: Specification | undefined,
  broken: { readonly request: Request; readonly sent?: string; readonly status?: number; readonly is: RegExp },
  least = 500,
): void {
  const name = `${vendor}: the suite broke no rule of the vendor's specification`;
  if (specification === undefined) {
    return Deno.test.ignore(`${name} (skipped: there is no ../shared/openapi)`, () => {});
  }
  Deno.test(name, () => {
    const { answers, unmet } = specification;
    const response = new Response(null, { status: broken.status ?? 200 });
    const found = specification.violationsOf({ sent: "", ...broken, response, received: "" });
    assert(found.some((one) => broken.is.test(one)), `it must be able to fail: ${found}`);
    assert(answers >= least, `only ${answers} answers were held against it: run this file whole`);
    // Some are met where a certain fault breaks a certain call.
    if (SIZE === "full") assert.deepEqual(unmet, [], "these exceptions were not met: drop them");
  });
}
