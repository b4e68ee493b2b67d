/**
 * The app: pages and API over the resources of the current environment. Nothing here knows which environment that is;
 * it takes what the getters of forkstack's `mod.ts` return.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { getBucketName, getCurrentEnv, getLocalPath, getSecret, isForkstackError } from "../../mod.ts";
import { COVER_TYPES, Covers, imageTypeOf } from "./covers.ts";
import { Library } from "./library.ts";
import { type Change, homePage } from "./page.ts";
import { type Call, createHandler, HttpError, readBody, type Route } from "./web.ts";

const MAX_COVER_BYTES = 2 * 1024 * 1024;
const MAX_JSON_BYTES = 10 * 1024;
const MAX_LIMIT = 100;

/** The app, without a socket. */
export interface App {
  readonly env: string;
  readonly fetch: (request: Request) => Promise<Response>;
  readonly close: () => void;
}

/**
 * Opens the current environment's resources.
 *
 * @throws {ForkstackError} NOT_FOUND if one is missing.
 */
export function createApp(): App {
  const env = getCurrentEnv();
  const changesFile = join(getLocalPath(), "changes.jsonl");
  const covers = new Covers();
  const library = new Library();

  const stats = () => ({
    env,
    database: library.title,
    bucket: getBucketName(),
    ...library.counts(),
    covers: covers.albumIds().size,
  });

  const routes: Route[] = [
    ["GET", "/", ({ url }) => {
      const search = searchOf(url);
      const page = homePage({
        stats: stats(),
        search,
        ...library.albums(search, 60),
        found: search === "" ? undefined : library.tracks(search, 50),
        withCover: covers.albumIds(),
        changes: readChanges(changesFile).slice(-5).reverse(),
      });
      return new Response(page.text, { headers: { "content-type": "text/html; charset=utf-8" } });
    }],

    ["GET", "/api/stats", () => Response.json(stats())],

    ["GET", "/api/tracks", ({ url }) => {
      const limit = numberOf(url.searchParams.get("limit") ?? "20", "limit", MAX_LIMIT);
      return Response.json({ env, ...library.tracks(searchOf(url), limit) });
    }],

    ["POST", "/api/albums/:albumId/tracks", async (call) => {
      await authorize(call.request);
      const albumId = albumIdOf(call);
      const { name, milliseconds } = parseTrack(await readBody(call.request, MAX_JSON_BYTES));
      const track = library.addTrack(albumId, name, milliseconds, (added) => {
        const change: Change = { at: new Date().toISOString(), env, track: added.name, album: added.album ?? "" };
        appendFileSync(changesFile, `${JSON.stringify(change)}\n`);
      });
      return Response.json({ env, track }, { status: 201 });
    }],

    ["GET", "/covers/:albumId", (call) => {
      const cover = covers.get(albumIdOf(call));
      if (cover === undefined) throw new HttpError(404, "This album has no cover");
      return new Response(cover.bytes, { headers: { "content-type": cover.type, "cache-control": "no-cache" } });
    }],

    ["PUT", "/covers/:albumId", async (call) => {
      await authorize(call.request);
      const albumId = albumIdOf(call);
      const bytes = await readBody(call.request, MAX_COVER_BYTES);
      const type = imageTypeOf(bytes);
      if (type === undefined || type !== call.request.headers.get("content-type")) {
        throw new HttpError(
          415,
          `The body must be an image, and its Content-Type say which: ${COVER_TYPES.join(", ")}`,
        );
      }
      return new Response(null, { status: covers.put(albumId, bytes) === "created" ? 201 : 204 });
    }],
  ];

  function albumIdOf({ path }: Call): number {
    const albumId = numberOf(path.albumId ?? "", "the album's id", Number.MAX_SAFE_INTEGER);
    if (library.hasAlbum(albumId)) return albumId;
    throw new HttpError(404, `There is no album ${albumId}`);
  }

  return { env, fetch: createHandler(routes, failed), close: () => library.close() };
}

/** Lets a write pass only with the environment's ADMIN_TOKEN; without that secret, none passes. */
async function authorize(request: Request): Promise<void> {
  const token = await getSecret("ADMIN_TOKEN");
  const given = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
  // Digests have one length, which timingSafeEqual asks for, and hide how long the token is.
  const digest = (text: string) => createHash("sha256").update(text).digest();
  if (timingSafeEqual(digest(given), digest(token))) return;
  throw new HttpError(401, "Send this environment's ADMIN_TOKEN: Authorization: Bearer <token>", {
    "www-authenticate": "Bearer",
  });
}

function searchOf(url: URL): string {
  return (url.searchParams.get("q") ?? "").trim().slice(0, 100);
}

function numberOf(text: string, name: string, max: number): number {
  const number = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : NaN;
  if (number <= max) return number;
  throw new HttpError(400, `Cannot read ${name}: it must be a number from 1 to ${max}`);
}

function parseTrack(body: Uint8Array): { name: string; milliseconds: number } {
  let given: { name?: unknown; milliseconds?: unknown } | null;
  try {
    given = JSON.parse(new TextDecoder().decode(body));
  } catch {
    throw new HttpError(400, 'The body must be JSON like {"name": "Song", "milliseconds": 180000}');
  }
  const name = typeof given?.name === "string" ? given.name.trim() : "";
  const milliseconds = given?.milliseconds ?? 0;
  if (name === "" || name.length > 200) throw new HttpError(400, '"name" must be text of 1 to 200 characters');
  if (!Number.isSafeInteger(milliseconds) || (milliseconds as number) < 0) {
    throw new HttpError(400, '"milliseconds" must be a whole number');
  }
  return { name, milliseconds: milliseconds as number };
}

function readChanges(path: string): Change[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

/** forkstack's own errors are meant to be read and hold no secret; of any other, only the log learns. */
function failed(error: unknown): Response {
  if (isForkstackError(error)) {
    const { code, message, hint } = error;
    return Response.json({ error: { code, message, hint } }, { status: 503 });
  }
  console.error(error);
  return Response.json({ error: { message: "Internal error; the server's log says more" } }, { status: 500 });
}
