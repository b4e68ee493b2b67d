/** The repository's files by URL, as a web server gives them. */
import { readFile } from "node:fs/promises";
import { serve, type Served } from "./serve.ts";

/** Serves them; `asked` are the paths of what was. */
export async function origin(): Promise<Served & { readonly asked: string[] }> {
  const asked: string[] = [];
  const served = await serve(() => ({ handle }));
  async function handle(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    asked.push(pathname);
    const text = await readFile(new URL(`../..${pathname}`, import.meta.url), "utf8").catch(() => undefined);
    return text === undefined
      ? new Response(null, { status: 404 })
      : new Response(text, { headers: { "content-type": "application/typescript" } });
  }
  return Object.assign(served, { asked });
}
