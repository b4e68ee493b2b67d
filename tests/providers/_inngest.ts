/** Inngest's emulator as the conformance suite wants it: full. */
import { resourceTitle } from "../../mod.ts";
import type { Emulator } from "../conformance.ts";
import { Inngest, type InngestOptions } from "../emulators/inngest.ts";
import { serve } from "../emulators/serve.ts";
import { apiWorld, type Front as ProxyFront } from "./_vendor.ts";

/** Something between the provider and the emulator's server. */
export interface Front extends ProxyFront {
  current?: Inngest;
}

const titleOf = (env: string) => resourceTitle("queue", "myapp", env);

/** What is in use; of what is archived, what stood there at first. */
function thingsOf(inngest: Inngest, first: ReadonlySet<string>): Map<string, string> {
  const all = [...inngest.environments.values()].filter(({ id, isArchived }) => !isArchived || first.has(id));
  return new Map(all.map((one) => [`${one.name} ${one.id}`, JSON.stringify(one)]));
}

export function inngestEmulator(changed: Partial<InngestOptions> = {}, front?: Front): Emulator {
  return {
    async open({ credentials }) {
      const inngest = new Inngest({ keys: { [credentials.INNGEST_API_KEY!]: true }, pageSize: 3, ...changed });
      const server = front ? undefined : await serve(() => inngest);
      if (front) front.current = inngest;
      for (const near of ["alic", "alice2", "alice-2"]) inngest.add(titleOf(near));
      inngest.add("staging", "TEST");
      inngest.add(titleOf("alice")).isArchived = true;
      const first = new Set(inngest.environments.keys());
      return {
        ...apiWorld(front?.endpoint ?? server!.url, front),
        titleOf,
        things: () => Promise.resolve(thingsOf(inngest, first)),
        placeForeign: (name) => Promise.resolve(void first.add(inngest.add(name).id)),
        pageSize: 3,
        canaries: () =>
          [...inngest.environments.values()].flatMap((
            one,
          ) => [inngest.keyOf(one, "events"), inngest.keyOf(one, "signing")]),
        close: async () => await server?.close(),
      };
    },
  };
}
