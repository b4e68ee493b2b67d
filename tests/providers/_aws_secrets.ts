/** AWS Secrets Manager's emulator as the conformance suite wants it: full. */
import type { Emulator, World } from "../conformance.ts";
import { AwsSecrets } from "../emulators/aws_secrets.ts";
import { serve } from "../emulators/serve.ts";
import { CANARY, digest } from "./_doppler.ts";

const MARK = ".forkstack";

export function awsEmulator(): Emulator {
  return {
    worldsAtOnce: 4,
    async open({ stack, resource, credentials, isOverHttp }) {
      const key = { secret: credentials.AWS_SECRET_ACCESS_KEY!, session: credentials.AWS_SESSION_TOKEN! };
      const aws = new AwsSecrets({
        region: "eu-central-1",
        keys: { [credentials.AWS_ACCESS_KEY_ID!]: key },
        pageSize: 4,
      });
      let now = Date.parse("2026-01-01T00:00:00Z");
      aws.now = () => now++; // each call is later than the one before
      const server = await serve(() => aws);
      aws.put("myapp/prod/API_KEY", CANARY, { team: "payments" });
      aws.put("myapp/prod/tls/key", { SecretBinary: btoa(`\0\xff${CANARY}`) });
      aws.put("myapp/prod/EMPTY_JSON", "{}");
      aws.put("other/alice/API_KEY", "theirs");
      for (const near of ["alic", "alice2", "alice-2"]) aws.put(`myapp/${near}/API_KEY`, `${near} ${CANARY}`);
      const others = [
        { stack: "another-stack", env: "carol", resource, operation: "theirs" },
        { stack, env: "dave", resource: "another.resource", operation: "theirs" },
      ];
      for (const marker of others) {
        const notes = { id: crypto.randomUUID(), ...marker, createdAt: "2026-01-01T00:00:00Z", state: "ready" };
        const tags = Object.fromEntries(Object.entries(notes).map(([key, value]) => [`forkstack:${key}`, value]));
        aws.put(`myapp/${marker.env}/${MARK}`, JSON.stringify({ id: notes.id, paths: ["A"] }), tags);
        aws.put(`myapp/${marker.env}/A`, CANARY, { "forkstack:id": notes.id });
      }
      const inside = (name: string) =>
        [...aws.secrets.values()].filter((one) =>
          one.name.startsWith(`myapp/${name}/`) && !one.name.endsWith(MARK) && one.deletedAt === undefined
        );
      const world: World = {
        project: "myapp",
        root: "/nowhere",
        options: { endpoint: server.url },
        context: {
          files: {} as World["context"]["files"],
          fetch: (request) => isOverHttp ? fetch(request) : server.answer(request),
          sleep: (ms) => Promise.resolve(void (now += ms)),
        },
        parent: "prod",
        absentParent: "no-such-parent",
        titleOf: (env) => env,
        things: () =>
          Promise.resolve(
            new Map([...aws.secrets.values()].map(({ name, arn, versions, current, tags, deletedAt }) => [
              `${name} ${tags.get("forkstack:id") ?? ""}`,
              digest([arn, [...versions], current, [...tags], deletedAt]),
            ])),
          ),
        contentOf: (name) =>
          Promise.resolve(
            digest(
              inside(name).map((one) => [one.name.slice(`myapp/${name}/`.length), aws.contentOf(one.name)]).sort(),
            ),
          ),
        change(name) {
          const stored = aws.secrets.get(`myapp/${name}/API_KEY`)!;
          stored.versions.set(stored.current = crypto.randomUUID(), { SecretString: "changed" });
          return Promise.resolve();
        },
        placeForeign(name, { isEmpty, markOf } = {}) {
          const mark = markOf === undefined ? undefined : aws.secrets.get(`myapp/${markOf}/${MARK}`)!;
          const tags = mark && Object.fromEntries(mark.tags);
          if (mark) aws.put(`myapp/${name}/${MARK}`, mark.versions.get(mark.current)!, tags);
          if (!isEmpty) aws.put(`myapp/${name}/THEIRS`, CANARY, tags);
          else if (!mark) aws.putEmpty(`myapp/${name}/THEIRS`);
          return Promise.resolve();
        },
        rehand(fork, marker) {
          const { tags } = aws.secrets.get(`myapp/${fork.name}/${MARK}`)!;
          for (const [key, value] of Object.entries(marker)) tags.set(`forkstack:${key}`, value);
          return Promise.resolve();
        },
        pageSize: 4,
        canaries: () => [CANARY],
        async close() {
          await server[Symbol.asyncDispose]();
        },
      };
      return world;
    },
  };
}
