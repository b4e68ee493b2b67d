/** One provider's vendor, ready to be forked under the set of permissions that is printed for it. */
import type { Kind } from "../../../core/provider.ts";
import { serve, type Vendor } from "../../emulators/serve.ts";
import type { Place } from "../run.ts";

/** A provider's vendor, with a parent there. */
export interface Ready {
  readonly options?: object;
  readonly env?: Readonly<Record<string, string>>;
}

/** Ends a thing with the test. */
export type Defer = <Thing extends AsyncDisposable>(thing: Thing) => Thing;

/** A case: its file has the provider's name, and exports them as `cases`. */
export interface Case {
  readonly kind: Kind;
  readonly name: string;
  /** The name of this case among several of a provider. */
  readonly how?: string;
  /** The reason for not running it here. */
  readonly missing?: string | undefined;
  /** Starts the vendor; what it gives to `defer` is ended with the test. */
  open(defer: Defer, place: Place): Promise<Ready>;
}

/** Serves an emulator, and gives its URL. */
export async function vendor<One extends Vendor>(
  defer: (thing: AsyncDisposable) => unknown,
  one: One,
): Promise<string> {
  const served = await serve(() => one);
  defer(served);
  return served.url;
}

/** Keys of no account. */
export const KEYS = { AWS_ACCESS_KEY_ID: "test-key", AWS_SECRET_ACCESS_KEY: "test-secret" };

/** A table with a column for a text. */
export const NOTES = "CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL)";
