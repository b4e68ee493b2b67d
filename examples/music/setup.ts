/**
 * Fills environment `dev` with data to fork: a database, an empty bucket, a local directory, the secret ADMIN_TOKEN.
 * What is there already stays; no other environment is ever touched.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import {
  ForkstackError,
  getCurrentEnv,
  getLocalPath,
  getSecret,
  isForkstackError,
  openStack,
  setSecret,
} from "../../mod.ts";
import { bucketPath } from "./covers.ts";
import { databasePath, Library } from "./library.ts";

const CHINOOK = "../../../shared/data/chinook/Chinook_Sqlite.sqlite";

try {
  const env = getCurrentEnv();
  if (env !== "dev") {
    throw new ForkstackError("ENV_CONFLICT", `Cannot set up environment "${env}": only "dev" is filled with data`, {
      hint: "Run `deno task envs:switch dev` first; other environments are forks of it",
    });
  }
  fillDatabase(databasePath());
  for (const path of [bucketPath(), getLocalPath()]) {
    console.log(`${existsSync(path) ? "kept" : "made"} ${basename(path)}/`);
    mkdirSync(path, { recursive: true });
  }
  await fillSecrets(openStack().of("secrets", "SECRETS_FILE"));
  console.log("environment dev is ready: `deno task start` serves it");
} catch (error) {
  console.error(`error: ${(error as Error).message}`);
  if (isForkstackError(error) && error.hint !== undefined) console.error(`  hint: ${error.hint}`);
  process.exitCode = 1;
}

/** Makes the database under a temporary name first: what has its own name is whole. */
function fillDatabase(path: string): void {
  let done = "kept";
  if (!existsSync(path)) {
    const source = process.env.CHINOOK || fileURLToPath(new URL(CHINOOK, import.meta.url));
    const temporary = `${path}.${process.pid}.tmp`;
    mkdirSync(dirname(path), { recursive: true });
    try {
      if (existsSync(source)) {
        writeFileSync(temporary, readFileSync(source)); // a copy would keep the mode, which may be read-only
        done = "copied Chinook to";
      } else {
        makeSmallDatabase(temporary);
        done = "found no Chinook, made a small database of its own:";
      }
      renameSync(temporary, path);
    } finally {
      rmSync(temporary, { force: true });
    }
  }
  const library = new Library();
  console.log(`${done} ${library.title} (${library.counts().tracks} tracks)`);
  library.close();
}

async function fillSecrets(path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const isThere = await getSecret("ADMIN_TOKEN", { default: "" }) !== "";
  if (!isThere) await setSecret("ADMIN_TOKEN", randomBytes(24).toString("base64url"));
  console.log(`${isThere ? "kept" : "set"} secret ADMIN_TOKEN in ${path}`);
}

/** The columns are Chinook's, as far as the app reads or writes them. */
function makeSmallDatabase(path: string): void {
  const database = new DatabaseSync(path);
  database.exec(`
    BEGIN;
    CREATE TABLE Artist (ArtistId INTEGER PRIMARY KEY, Name NVARCHAR(120));
    CREATE TABLE Album (AlbumId INTEGER PRIMARY KEY, Title NVARCHAR(160) NOT NULL,
      ArtistId INTEGER NOT NULL REFERENCES Artist (ArtistId));
    CREATE TABLE Track (TrackId INTEGER PRIMARY KEY, Name NVARCHAR(200) NOT NULL,
      AlbumId INTEGER REFERENCES Album (AlbumId), MediaTypeId INTEGER NOT NULL, Milliseconds INTEGER NOT NULL,
      UnitPrice NUMERIC(10,2) NOT NULL);
    CREATE INDEX IFK_AlbumArtistId ON Album (ArtistId);
    CREATE INDEX IFK_TrackAlbumId ON Track (AlbumId);
    INSERT INTO Artist VALUES (1, 'Johann Sebastian Bach'), (2, 'Erik Satie'), (3, 'Scott Joplin');
    INSERT INTO Album VALUES (1, 'Goldberg Variations', 1), (2, 'Gymnopédies', 2), (3, 'Rags', 3);
    INSERT INTO Track VALUES
      (1, 'Aria', 1, 1, 180000, 0.99), (2, 'Variatio 1', 1, 1, 110000, 0.99), (3, 'Variatio 2', 1, 1, 95000, 0.99),
      (4, 'Gymnopédie No. 1', 2, 1, 200000, 0.99), (5, 'Gymnopédie No. 2', 2, 1, 170000, 0.99),
      (6, 'Gymnopédie No. 3', 2, 1, 150000, 0.99),
      (7, 'Maple Leaf Rag', 3, 1, 190000, 0.99), (8, 'The Entertainer', 3, 1, 240000, 0.99);
    COMMIT;`);
  database.close();
}
