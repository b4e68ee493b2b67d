/**
 * Names of the variables that forkstack writes and reads for the resources of a stack.
 *
 * @module
 */
import { type Declared, KINDS, variablePrefix } from "../../mod.ts";
import type { Tellable } from "../engine/engine.ts";

/** The variable that tells `mod.ts` which process variables belong to the environment although no file holds them. */
export const RUN_VARIABLE = "FORKSTACK_RUN";

/** Lists the variables of a resource that the getters of `mod.ts` read and its guard compares. */
export function guardedNames(resource: Pick<Declared, "kind" | "name">): string[] {
  return prefixed(resource, Object.values(KINDS[resource.kind].variables));
}

/** Puts a resource's own name, if it has one, before variables. */
export function prefixed({ name }: Pick<Declared, "name">, variables: readonly string[] = []): string[] {
  return variables.map((variable) => variablePrefix(name) + variable);
}

/**
 * Lists the variables that forkstack writes for these resources and for every environment, except those that the user
 * may set instead of a provider.
 */
export function variableNames(resources: readonly Pick<Tellable, "kind" | "name" | "provider">[]): string[] {
  const all = resources.flatMap((one) => {
    const declared = Object.entries(one.provider.variables).filter(([, { isPersonal }]) => !isPersonal);
    return [...kindNames(one), ...prefixed(one, declared.map(([variable]) => variable))];
  });
  return [...new Set(["FORKSTACK_ENV", "FORKSTACK_PROJECT", "FORKSTACK_EXPIRES_AT", RUN_VARIABLE, ...all])];
}

/** Lists the variables of all providers of a resource's kind. */
export function kindNames(resource: Pick<Declared, "kind" | "name">): string[] {
  return [...guardedNames(resource), ...prefixed(resource, KINDS[resource.kind].given)];
}
