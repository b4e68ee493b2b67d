/**
 * Renaming of options from older versions of a provider: in rows of the registry, and in a forkstack.json that was not
 * changed since.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";
import type { Provider } from "../provider.ts";
import { reasonOf } from "../text/printable.ts";

/** Options before they are parsed. */
export type GivenOptions = Readonly<Record<string, unknown>>;

/** Returns options under today's names. */
export function upgradedOptions(
  { name, upgradeOptions }: Pick<Provider, "name" | "upgradeOptions">,
  given: GivenOptions,
): GivenOptions {
  if (upgradeOptions === undefined) return given;
  try {
    return { ...upgradeOptions({ ...given }) };
  } catch (error) {
    throw new ForkstackError(
      "PROVIDER_INVALID",
      `Cannot read options of provider "${name}": its upgradeOptions() fails: ${reasonOf(error)}`,
      {
        hint: "Fix upgradeOptions() in the file of the provider: it must return options for any that it is given",
        cause: error,
      },
    );
  }
}
