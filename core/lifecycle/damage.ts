/**
 * Rows of the registry that fail their check: `doctor` tells them, `doctor --rebuild` forgets them.
 *
 * @module
 */
import { isForkstackError } from "../../mod.ts";
import type { Engine } from "../engine/engine.ts";
import type { DamagedRow } from "../state/records.ts";
import { statements } from "../state/statements.ts";
import { recordedResource } from "../engine/context.ts";

/** Lists all damaged rows, including those with options that the provider would refuse. */
export async function damagedRows(engine: Engine): Promise<DamagedRow[]> {
  const found = await engine.registry.damaged();
  for (const row of await engine.registry.allResources()) {
    const error = await recordedResource(engine, row).then(() => undefined, (error) => error);
    if (!isForkstackError(error) || error.code !== "REGISTRY_DAMAGED") continue;
    found.push({ table: "resources", error, env: row.env, forget: statements.dropResource(row.env, row.key) });
  }
  return found;
}

/** Forgets damaged rows, once the person agrees. Nothing that they speak of is touched. */
export async function forgetDamaged(engine: Engine): Promise<void> {
  const damaged = await damagedRows(engine);
  if (damaged.length === 0) return;
  const told = damaged.slice(0, 5).map(({ error }) => error.message.replace(/^Cannot /, "")).join("; ");
  await engine.world.confirm(`Forget ${damaged.length} damaged ${damaged.length === 1 ? "row" : "rows"} (${told})?`);
  await engine.registry.forget(damaged);
}
