/** Variables of the embedded providers. In a separate file without packages: `forkstack switch dev` waits for it. */
import type { Context, Held, Kind, Scope } from "../../core/provider.ts";
import { Secret } from "../../core/secret.ts";
import { sweepTemporary } from "../../core/system/files.ts";
import { join } from "../../core/system/host.ts";
import { readPrivate } from "../../core/system/private.ts";
import { fileUrl, ForkstackError } from "../../mod.ts";

type Outputs = Record<string, string | Secret>;

/** The resource whose variables are read, with its context. */
export interface EmbeddedSpec {
  readonly path: string;
  readonly held: Held;
  readonly context: Context;
  readonly scope: Scope<unknown>;
}

/** Functions that return the variables of the embedded provider of each kind. */
export const OUTPUTS: Readonly<Partial<Record<Kind, (asked: EmbeddedSpec) => Outputs | Promise<Outputs>>>> = {
  database: ({ path }) => ({ DATABASE_URL: fileUrl(path), DATABASE_PATH: path }),
  storage: async ({ path, held, context, scope }) => ({
    BUCKET_NAME: held.name,
    BUCKET_PATH: path,
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${(scope.options as { port?: number }).port ?? DEFAULT_PORT}`,
    AWS_REGION: "us-east-1", // what clients take for granted where nobody names one
    AWS_ACCESS_KEY_ID: held.name,
    AWS_SECRET_ACCESS_KEY: new Secret(await secretOf(context, scope.root, `${held.name}\n${held.id}`)),
  }),
  secrets: ({ path }) => ({ SECRETS_FILE: path }),
  local: ({ path }) => ({ LOCAL_PATH: path }),
};

/** Port of the local S3 server. */
export const DEFAULT_PORT = 7833;

/** Returns the path of the file with the project's secret, from which the keys of its buckets are derived. */
export function keyPath(root: string): string {
  return join(root, ".forkstack", "buckets.key");
}

/**
 * Derives the secret of one bucket's key from the project's secret. So none is stored per environment, and the key of a
 * deleted environment does not open a later one of the same name.
 */
async function secretOf(context: Context, root: string, bucket: string): Promise<string> {
  const encoder = new TextEncoder();
  const project = await projectSecret(context, keyPath(root));
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(project), hmac, false, ["sign"]);
  const signed = await crypto.subtle.sign("HMAC", key, encoder.encode(bucket));
  return hexOf(new Uint8Array(signed)).slice(0, 40); // as long as AWS's
}

/** Returns the project's secret, which is created when first needed. */
async function projectSecret(context: Context, path: string): Promise<string> {
  for (let attempt = 1;; attempt++) {
    const text = await readPrivate(path);
    if (text !== undefined && isKey(text)) {
      await sweepTemporary(context.files, path);
      return text.trim();
    }
    if (text !== undefined || attempt === 3) {
      throw new ForkstackError("STATE_DAMAGED", `Cannot use the key file "${path}": it is not what forkstack wrote`, {
        hint: "Remove it and the files in .forkstack/envs/, then switch to the environment again: all get new keys",
      });
    }
    try {
      const made = hexOf(crypto.getRandomValues(new Uint8Array(32)));
      await context.files.write(path, `${made}\n`, { exclusive: true });
    } catch (error) {
      // Another was first, and its is as good; or it took ours, half written, for left behind.
      if (!/^(EEXIST|ENOENT)$/.test((error as { code?: string }).code ?? "")) throw error;
    }
  }
}

/** Returns true if a text is a random key; a key that is easily guessed was put there by somebody. */
function isKey(text: string): boolean {
  if (!/^[0-9a-f]{64}\n?$/.test(text)) return false;
  const key = text.trim();
  const bytes = key.match(/../g)!.map((one) => parseInt(one, 16));
  const steps = new Set(bytes.slice(1).map((byte, at) => (byte - bytes[at]! + 256) % 256));
  const isRepeated = [1, 2, 4, 8, 16, 32].some((size) => key === key.slice(0, size).repeat(64 / size));
  return !isRepeated && steps.size > 8 && new Set(bytes).size > 16; // by chance less than once in 10^15
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
