/**
 * The little of a web framework that this app needs: escaped HTML, JSON errors, a bounded body, a table of routes.
 */

/** Text that is HTML already; all else is escaped where it is put into a template. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Piece = string | number | Html | readonly Html[];

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** A template whose values cannot become markup: ``html`<p>${untrusted}</p>` ``. */
export function html(strings: TemplateStringsArray, ...values: readonly Piece[]): Html {
  const piece = (value: Piece): string => {
    if (value instanceof Html) return value.text;
    if (typeof value === "object") return value.map(piece).join("");
    return String(value).replace(/[&<>"']/g, (character) => ESCAPES[character]);
  };
  return new Html(strings.reduce((text, part, index) => text + piece(values[index - 1]) + part));
}

/** A request that is answered with an error on purpose; the message is shown to the client. */
export class HttpError extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/** The whole body, or 413 as soon as it is larger than `maxBytes`, whatever its Content-Length says. */
export async function readBody(request: Request, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = Number(request.headers.get("content-length") ?? 0);
  const check = () => {
    if (sizeBytes > maxBytes) throw new HttpError(413, `The body must be at most ${maxBytes} bytes`);
  };
  check();
  sizeBytes = 0;
  for await (const chunk of request.body ?? []) {
    sizeBytes += chunk.length;
    check();
    chunks.push(chunk);
  }
  const body = new Uint8Array(sizeBytes);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}

/** What a route is given: the request, its URL, and the named parts of the path as they stand in it, still encoded. */
export interface Call {
  readonly request: Request;
  readonly url: URL;
  readonly path: Readonly<Record<string, string | undefined>>;
}

/** `["GET", "/covers/:albumId", handler]` */
export type Route = readonly [method: string, path: string, handler: (call: Call) => Response | Promise<Response>];

const HEADERS = {
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; form-action 'self'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** The routes as one function for `Deno.serve`; `failed` makes the answer to an error that is no `HttpError`. */
export function createHandler(
  routes: readonly Route[],
  failed: (error: unknown) => Response,
): (request: Request) => Promise<Response> {
  const table = routes.map(([method, pathname, handler]) => ({
    method,
    pattern: new URLPattern({ pathname }),
    handler,
  }));

  async function answer(request: Request): Promise<Response> {
    const method = request.method === "HEAD" ? "GET" : request.method;
    const allowed: string[] = [];
    for (const route of table) {
      const match = route.pattern.exec(request.url);
      if (match === null) continue;
      allowed.push(route.method);
      if (route.method !== method) continue;
      return await route.handler({ request, url: new URL(request.url), path: match.pathname.groups });
    }
    if (allowed.length === 0) throw new HttpError(404, "There is no such page");
    throw new HttpError(405, `Use ${allowed.join(" or ")}`, { allow: allowed.join(", ") });
  }

  return async (request) => {
    let response: Response;
    try {
      response = await answer(request);
    } catch (error) {
      response = error instanceof HttpError
        ? Response.json({ error: { message: error.message } }, { status: error.status, headers: error.headers })
        : failed(error);
    }
    for (const [name, value] of Object.entries(HEADERS)) response.headers.set(name, value);
    return response;
  };
}
