/**
 * Checks on a registry that was copied along with its project: while the original project exists, only the original may
 * change the forks at vendors.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";
import type { Engine } from "./engine.ts";
import { basename, dirname } from "../system/host.ts";
import type { Original, ResourceRow } from "../state/records.ts";

/** Returns the directory of an original, as shown to people. */
export function originalName({ directory }: Original): string {
  return basename(directory) === ".forkstack" ? dirname(directory) : directory;
}

/**
 * Refuses to delete or reset forks at a vendor that belong to the original of this copied registry. Not refused: forks
 * inside the state directory, which were copied along, and forks that this copy has created since.
 *
 * @throws {ForkstackError} FOREIGN, naming the original
 */
export async function assertNotOriginals(
  engine: Engine,
  rows: readonly Pick<ResourceRow, "env" | "key" | "kind" | "provider" | "operation" | "title">[],
  verb: "delete" | "reset",
): Promise<void> {
  const { originals } = engine.registry;
  if (originals.length === 0) return;
  for (const row of rows) {
    if ((await engine.world.provider(row.kind, row.provider))?.capabilities.embedded) continue;
    for (const original of originals) {
      if (!await engine.registry.knewOperation(row.operation, original.seq)) continue;
      const name = originalName(original);
      throw new ForkstackError(
        "FOREIGN",
        `Cannot ${verb} ${row.key} "${row.title}" of environment "${row.env}": this directory is a copy of "${name}", which made it`,
        {
          hint: `Run the command in "${name}"; if that is no longer a project, remove its .forkstack first`,
          details: { env: row.env, resource: row.key, provider: row.provider },
        },
      );
    }
  }
}
