/** Errors of `import`, for all providers. */
import type { Target } from "../../core/provider.ts";
import { ForkstackError } from "../../mod.ts";

/** The error for data that an import would replace without having been told to. */
export function holdsData({ marker }: Pick<Target<unknown>, "marker">, what: string): ForkstackError {
  return new ForkstackError("CONFLICT", `Cannot import into ${marker.resource}: "${what}" holds data already`, {
    hint: "Pass --replace to put the imported data in its place",
    details: { env: marker.env, resource: marker.resource },
  });
}

/** The error for data, or a place for it, that is not of the right form. */
export function refused({ marker }: Pick<Target<unknown>, "marker">, state: string): ForkstackError {
  return new ForkstackError("IMPORT_REFUSED", `Cannot import into ${marker.resource}: ${state}`, {
    hint: "`forkstack import --help` lists what can be imported",
    details: { env: marker.env, resource: marker.resource },
  });
}
