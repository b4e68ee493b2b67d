/**
 * Search for the provider of a recorded resource, by its name at the time of the record.
 *
 * @module
 */
import type { Kind } from "../../mod.ts";
import type { Catalog } from "../catalog.ts";
import type { Provider } from "../provider.ts";
import { checked } from "./checked_provider.ts";
import { answersTo, isBuiltIn, type Resource } from "./project.ts";

/**
 * Finds the provider of a kind with this name, today's or an earlier one: one that forkstack.json declares, or a
 * built-in one. `undefined` if there is none.
 */
export async function findProvider(
  { catalog, resources }: { readonly catalog: Pick<Catalog, "providers">; readonly resources: readonly Resource[] },
  kind: Kind,
  name: string,
): Promise<Provider | undefined> {
  const declared = resources.filter((one) => one.kind === kind);
  const now = declared.find(({ provider }) => provider.name === name)?.provider;
  if (now !== undefined) return now;
  const builtIn = catalog.providers[kind];
  if (isBuiltIn(catalog, kind, name)) return checked((await builtIn[name]!()).default);
  const earlier = declared.find(({ provider }) => answersTo(provider, name))?.provider;
  if (earlier !== undefined) return earlier;
  for (const load of Object.values(builtIn)) {
    const { default: provider } = await load();
    if (answersTo(provider, name)) return checked(provider);
  }
  return declared.find(({ isUnread }) => isUnread)?.provider; // whichever it is: nothing of the repository runs
}
