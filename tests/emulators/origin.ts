/** The repository's files by URL, with the content type that a raw-file host gives whatever it holds. */
import { readFile } from "node:fs/promises";
import { serve, type Served } from "./serve.ts";

/** Serves the files; `asked` are the requested paths. */
export async function origin(): Promise<Served & { readonly asked: string[] }> {
  const asked: string[] = [];
  const served = await serve(() => ({ handle }));
  async function handle(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    asked.push(pathname);
    const text = await readFile(new URL(`../..${pathname}`, import.meta.url), "utf8").catch(() => undefined);
    return text === undefined ? new Response(null, { status: 404 }) : new Response(text, {
      headers: { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" },
    });
  }
  return Object.assign(served, { asked });
}
