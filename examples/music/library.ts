/**
 * The database: Chinook's Artist, Album and Track, in the SQLite file of the current environment.
 */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { ForkstackError, getCurrentEnv, getDatabaseUrl } from "../../mod.ts";

export interface Album {
  readonly id: number;
  readonly title: string;
  readonly artist: string;
  readonly tracks: number;
}

export interface Track {
  readonly id: number;
  readonly name: string;
  readonly milliseconds: number;
  readonly albumId: number | null;
  readonly album: string | null;
  readonly artist: string | null;
}

/** The environment's database file, e.g. `"/app/.forkstack/sqlite/music-alice.db"`. */
export function databasePath(): string {
  const url = getDatabaseUrl();
  if (url.startsWith("file:")) return fileURLToPath(url);
  throw new ForkstackError("CONFIG_INVALID", 'Cannot open the database: this example needs provider "sqlite"');
}

const ALBUMS = `FROM Album JOIN Artist USING (ArtistId) WHERE ?1 = '' OR Title LIKE ?1 ESCAPE '\\'
  OR Artist.Name LIKE ?1 ESCAPE '\\' OR AlbumId IN (SELECT AlbumId FROM Track WHERE Name LIKE ?1 ESCAPE '\\')`;

const TRACKS = `FROM Track LEFT JOIN Album USING (AlbumId) LEFT JOIN Artist USING (ArtistId)
  WHERE ?1 = '' OR Track.Name LIKE ?1 ESCAPE '\\' OR Title LIKE ?1 ESCAPE '\\' OR Artist.Name LIKE ?1 ESCAPE '\\'`;

const TRACK = "SELECT TrackId AS id, Track.Name AS name, Milliseconds AS milliseconds, " +
  "AlbumId AS albumId, Title AS album, Artist.Name AS artist";

/** What the app asks of the database. */
export class Library {
  /** The database's name, e.g. `"music-alice"`. */
  readonly title: string;
  readonly #database: DatabaseSync;

  /** Opens the current environment's database, and never makes one: an empty one would hide a missing one. */
  constructor() {
    const path = databasePath();
    if (!existsSync(path)) {
      const env = getCurrentEnv();
      throw new ForkstackError("NOT_FOUND", `Cannot open the database of environment "${env}": there is no "${path}"`, {
        hint: env === "dev" ? "Run `deno task setup`" : `Run \`deno task envs:new ${env}\``,
      });
    }
    this.title = basename(path, ".db");
    this.#database = new DatabaseSync(path, { timeout: 5_000 });
    try {
      this.#database.prepare(`SELECT count(*) ${ALBUMS}`).get("");
    } catch (cause) {
      this.#database.close();
      throw new ForkstackError("NOT_FOUND", `Cannot use "${path}": it lacks the tables of Chinook`, {
        hint: "Move it away and run `deno task setup` in environment dev, then make the other ones again",
        cause,
      });
    }
  }

  close(): void {
    this.#database.close();
  }

  counts(): { artists: number; albums: number; tracks: number } {
    const count = (table: string) => this.#count(`SELECT count(*) AS n FROM ${table}`);
    return { artists: count("Artist"), albums: count("Album"), tracks: count("Track") };
  }

  /** Albums with their track counts; found by title, artist or the name of a track. */
  albums(search: string, limit: number): { total: number; albums: Album[] } {
    const pattern = patternOf(search);
    const albums = this.#database.prepare(
      `SELECT AlbumId AS id, Title AS title, Artist.Name AS artist,
      (SELECT count(*) FROM Track WHERE Track.AlbumId = Album.AlbumId) AS tracks
      ${ALBUMS} ORDER BY Artist.Name COLLATE NOCASE, Title COLLATE NOCASE LIMIT ?2`,
    ).all(pattern, limit);
    return { total: this.#count(`SELECT count(*) AS n ${ALBUMS}`, pattern), albums: albums as unknown as Album[] };
  }

  /** Tracks found by name, album or artist. */
  tracks(search: string, limit: number): { total: number; tracks: Track[] } {
    const pattern = patternOf(search);
    const tracks = this.#database.prepare(`${TRACK} ${TRACKS} ORDER BY TrackId LIMIT ?2`).all(pattern, limit);
    return { total: this.#count(`SELECT count(*) AS n ${TRACKS}`, pattern), tracks: tracks as unknown as Track[] };
  }

  hasAlbum(albumId: number): boolean {
    return this.#count("SELECT count(*) AS n FROM Album WHERE AlbumId = ?", albumId) === 1;
  }

  /** Adds a track; `also` runs in the same transaction, which its failure undoes. */
  addTrack(albumId: number, name: string, milliseconds: number, also: (track: Track) => void): Track {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const { lastInsertRowid } = this.#database.prepare(
        "INSERT INTO Track (Name, AlbumId, MediaTypeId, Milliseconds, UnitPrice) VALUES (?, ?, 1, ?, 0.99)",
      ).run(name, albumId, milliseconds);
      const track = this.#database.prepare(`${TRACK} ${TRACKS.split("WHERE")[0]} WHERE TrackId = ?`)
        .get(lastInsertRowid) as unknown as Track;
      also(track);
      this.#database.exec("COMMIT");
      return track;
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  #count(sql: string, ...values: (string | number)[]): number {
    return (this.#database.prepare(sql).get(...values) as { n: number }).n;
  }
}

function patternOf(search: string): string {
  return search === "" ? "" : `%${search.replace(/[\\%_]/g, "\\$&")}%`;
}
