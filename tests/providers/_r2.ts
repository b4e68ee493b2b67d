/** An account at Cloudflare that is full. */
import type { Emulator } from "../conformance.ts";
import { type R2, serveR2 } from "../emulators/r2.ts";
import { bucketWorld, markIn, put } from "./_s3.ts";
import type { Front as ProxyFront } from "./_vendor.ts";

export const ACCOUNT = "0123456789abcdef0123456789abcdef";

/** What stands between the provider and REST. */
export interface Front extends ProxyFront {
  current: R2;
}

export function r2Emulator(front?: Front): Emulator {
  return {
    async open({ credentials }) {
      const server = await serveR2({
        token: credentials.CLOUDFLARE_API_TOKEN!,
        tokenId: credentials.R2_ACCESS_KEY_ID!,
        pageSize: 2,
      });
      if (front !== undefined) front.current = server;
      const { directory } = server;
      const world = await bucketWorld({
        server,
        options: { endpoint: front?.endpoint ?? server.url, s3Endpoint: server.endpoint },
        noteOf: (name) => markIn(directory, name),
        setNote: (name, note) => put(directory, name, { ".forkstack.json": JSON.stringify(note) }),
      });
      return {
        ...world,
        ...(front === undefined ? {} : { context: { ...world.context, fetch: through(front) } }),
        canaries: () => [
          ...world.canaries!(),
          ...[...server.temporary.values()].flatMap(({ secret, session }) => [secret, session]),
        ],
      };
    },
  };
}

/** The specification's paths begin after what its server's address ends in. */
function through({ endpoint, onAnswer }: Front): (request: Request) => Promise<Response> {
  return async (request) => {
    const plain = new Request(request.url.replace(`${endpoint}/client/v4/`, `${endpoint}/`), request);
    const response = await fetch(plain.clone());
    if (plain.url.startsWith(endpoint)) await onAnswer(plain, response.clone());
    return response;
  };
}
