/** Inngest's emulator as the conformance suite wants it: full. */
import { resourceTitle } from "../../mod.ts";
import type { Emulator } from "../conformance.ts";
import { Inngest, type InngestOptions } from "../emulators/inngest.ts";
import { serve } from "../emulators/serve.ts";
import type { Specification } from "../emulators/specification.ts";
import { apiWorld } from "./_vendor.ts";

const titleOf = (env: string) => resourceTitle("queue", "myapp", env);

/** What is in use; of what is archived, what stood there at first. */
function thingsOf(inngest: Inngest, first: ReadonlySet<string>): Map<string, string> {
  const all = [...inngest.environments.values()].filter(({ id, isArchived }) => !isArchived || first.has(id));
  return new Map(all.map((one) => [`${one.name} ${one.id}`, JSON.stringify(one)]));
}

export function inngestEmulator(changed: Partial<InngestOptions> = {}, specification?: Specification): Emulator {
  return {
    worldsAtOnce: 4,
    async open(given) {
      const { credentials } = given;
      const inngest = new Inngest({ keys: { [credentials.INNGEST_API_KEY!]: true }, pageSize: 3, ...changed });
      const server = await serve(() => inngest);
      for (const near of ["alic", "alice2", "alice-2"]) inngest.add(titleOf(near));
      inngest.add("staging", "TEST");
      inngest.add(titleOf("alice")).isArchived = true;
      const first = new Set(inngest.environments.keys());
      return {
        ...apiWorld(server, given, specification),
        titleOf,
        things: () => Promise.resolve(thingsOf(inngest, first)),
        placeForeign: (name) => Promise.resolve(void first.add(inngest.add(name).id)),
        pageSize: 3,
        canaries: () =>
          [...inngest.environments.values()].flatMap((
            one,
          ) => [inngest.keyOf(one, "events"), inngest.keyOf(one, "signing")]),
        close: server.close,
      };
    },
  };
}
