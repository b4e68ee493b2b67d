/**
 * The stacks that `init` knows by name. A provider's file has the questions that `init` asks of it: for the options
 * without which it does not work, and those whose default few can use. Everything else is a line in forkstack.json.
 *
 * @module
 */
import type { Presets } from "../core/catalog.ts";

/** The stacks, the one for everybody first. */
export const STACKS: Presets["stacks"] = {
  "sqlite-local": { title: "SQLite and a local bucket: no account, no server", providers: {} },
  "turso-tigris-doppler": {
    title: "Turso, Tigris, Doppler",
    providers: { database: "turso", storage: "tigris", secrets: "doppler" },
    signs: /\.turso\.io$|^@libsql\/|^@tursodatabase\//m,
  },
  "neon-s3-vault": {
    title: "Neon, Amazon S3, HashiCorp Vault",
    providers: { database: "neon", storage: "s3", secrets: "vault" },
    signs: /\.neon\.tech$|^@neondatabase\//m,
  },
  "planetscale-r2-doppler": {
    title: "PlanetScale, Cloudflare R2, Doppler",
    providers: { database: "planetscale", storage: "r2", secrets: "doppler" },
    signs: /\.psdb\.cloud$|^@planetscale\//m,
  },
  "supabase-tigris": {
    title: "Supabase, Tigris, secrets in files",
    providers: { database: "supabase", storage: "tigris", secrets: "env-file" },
    signs: /\.supabase\.(co|com)$|^@supabase\//m,
  },
};
