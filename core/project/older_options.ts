/**
 * Options as an older version of a provider named them: those of a row in the registry, and of a forkstack.json that
 * nobody has changed since.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";
import type { Provider } from "../provider.ts";
import { reasonOf } from "../text/printable.ts";

/** Options that are yet to be parsed. */
export type GivenOptions = Readonly<Record<string, unknown>>;

/** Gives options the names that they have today. */
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
