/** Names of base environments' resources, of which `bases` of forkstack.json may have told others than the derived ones. */
import type { Kind, Scope } from "../../core/provider.ts";
import { resourceTitle } from "../../mod.ts";

/** The derived name of prod's resource, by which a provider means the vendor's own main one; none if `bases` tells another. */
export function derivedProd(
  kind: Kind,
  { bases, project, resourceName }: Pick<Scope<unknown>, "bases" | "project" | "resourceName">,
): string | undefined {
  return bases?.prod === undefined ? resourceTitle(kind, project, "prod", resourceName) : undefined;
}
