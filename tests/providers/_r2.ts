/** An account at Cloudflare that is full. */
import type { Emulator } from "../conformance.ts";
import { serveR2 } from "../emulators/r2.ts";
import { unconnected } from "../emulators/serve.ts";
import { heldTo, type Specification } from "../emulators/specification.ts";
import { bucketWorld, markIn, put } from "./_s3.ts";

export const ACCOUNT = "0123456789abcdef0123456789abcdef";

export function r2Emulator(specification?: Specification): Emulator {
  return {
    worldsAtOnce: 4,
    async open({ credentials, isOverHttp }) {
      const server = await serveR2({
        token: credentials.CLOUDFLARE_API_TOKEN!,
        tokenId: credentials.R2_ACCESS_KEY_ID!,
        pageSize: 2,
      });
      const { directory } = server;
      const world = await bucketWorld({
        server,
        isOverHttp,
        options: { endpoint: server.url, s3Endpoint: server.endpoint },
        noteOf: (name) => markIn(directory, name),
        setNote: (name, note) => put(directory, name, { ".forkstack.json": JSON.stringify(note) }),
      });
      const held = heldTo(
        specification,
        (request) => isOverHttp ? fetch(request) : unconnected(request, server.handle),
      );
      return {
        ...world,
        context: {
          ...world.context,
          fetch: (request) =>
            request.url.startsWith(`${server.url}/client/v4/`) ? held.fetch(request) : world.context.fetch(request),
        },
        violations: held.violations,
        canaries: () => [
          ...world.canaries!(),
          ...[...server.temporary.values()].flatMap(({ secret, session }) => [secret, session]),
        ],
      };
    },
  };
}
