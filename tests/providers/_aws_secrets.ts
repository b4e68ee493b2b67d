/** AWS Secrets Manager's emulator as the conformance suite wants it: full. */
import type { Emulator, World } from "../conformance.ts";
import { AwsSecrets } from "../emulators/aws_secrets.ts";
import type { Moto } from "../emulators/moto.ts";
import { serve } from "../emulators/serve.ts";
import { CANARY, digest } from "./_doppler.ts";

const MARK = ".forkstack";

/** A secret of a world; without a value if its content is empty. */
interface Seed {
  readonly name: string;
  readonly content: { readonly SecretString?: string; readonly SecretBinary?: string };
  readonly tags: Readonly<Record<string, string>>;
  readonly description: string;
}

/** The secrets of a world: the parent's, neighbours', and two environments of others. */
function seeds(stack: string, resource: string): Seed[] {
  const text = (name: string, SecretString: string, tags = {}, description = "") => ({
    name,
    content: { SecretString },
    tags,
    description,
  });
  const others = [
    { stack: "another-stack", env: "carol", resource, operation: "theirs" },
    { stack, env: "dave", resource: "another.resource", operation: "theirs" },
  ];
  return [
    text("myapp/prod/API_KEY", CANARY, { team: "payments" }, "Of Stripe"),
    { name: "myapp/prod/tls/key", content: { SecretBinary: btoa(`\0\xff${CANARY}`) }, tags: {}, description: "" },
    text("myapp/prod/EMPTY_JSON", "{}"),
    { name: "myapp/prod/LATER", content: {}, tags: { owner: "Ann Łoś" }, description: "Ann adds its value" },
    text("other/alice/API_KEY", "theirs"),
    ...["alic", "alice2", "alice-2"].map((near) => text(`myapp/${near}/API_KEY`, `${near} ${CANARY}`)),
    ...others.flatMap((marker) => {
      const notes = { id: crypto.randomUUID(), ...marker, createdAt: "2026-01-01T00:00:00Z", state: "ready" };
      const tags = Object.fromEntries(Object.entries(notes).map(([key, value]) => [`forkstack:${key}`, value]));
      return [
        text(`myapp/${marker.env}/${MARK}`, JSON.stringify({ id: notes.id, paths: ["A"] }), tags),
        text(`myapp/${marker.env}/A`, CANARY, { "forkstack:id": notes.id }),
      ];
    }),
  ];
}

/** Parts of a world that are the same on the emulator and on moto. */
const PARTS = {
  project: "myapp",
  root: "/nowhere",
  parent: "prod",
  absentParent: "no-such-parent",
  titleOf: (env: string) => env,
  canaries: () => [CANARY],
};

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
      for (const { name, content, tags, description } of seeds(stack, resource)) {
        aws.put(name, content, tags, description);
      }
      aws.secrets.get("myapp/prod/API_KEY")!.tags.set("aws:cloudformation:stack-id", "theirs");
      const inside = (name: string) =>
        [...aws.secrets.values()].filter((one) =>
          one.name.startsWith(`myapp/${name}/`) && !one.name.endsWith(MARK) && one.deletedAt === undefined
        );
      const world: World = {
        ...PARTS,
        options: { endpoint: server.url },
        context: {
          files: {} as World["context"]["files"],
          fetch: (request) => isOverHttp ? fetch(request) : server.answer(request),
          sleep: (ms) => Promise.resolve(void (now += ms)),
        },
        things: () =>
          Promise.resolve(
            new Map([...aws.secrets.values()].map(({ name, arn, versions, current, tags, description, deletedAt }) => [
              `${name} ${tags.get("forkstack:id") ?? ""}`,
              digest([arn, [...versions], current, [...tags], description, deletedAt]),
            ])),
          ),
        contentOf: (name) =>
          Promise.resolve(
            digest(
              inside(name).map(({ name: secret, tags, description }) => [
                secret.slice(`myapp/${name}/`.length),
                aws.contentOf(secret),
                description,
                [...tags].filter(([key]) => !/^(forkstack|aws):/.test(key)).sort(),
              ]).sort(),
            ),
          ),
        change(name) {
          const stored = aws.secrets.get(`myapp/${name}/API_KEY`)!;
          stored.versions.set(stored.current = crypto.randomUUID(), { SecretString: "changed" });
          stored.description = "changed";
          stored.tags.delete("team");
          stored.tags.set("mine", "yes");
          const later = aws.secrets.get(`myapp/${name}/LATER`)!;
          later.versions.set(later.current = crypto.randomUUID(), { SecretString: "now" });
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
        async close() {
          await server[Symbol.asyncDispose]();
        },
      };
      return world;
    },
  };
}

const REGION = "eu-central-1";

/** A secret as moto tells of it. */
export interface MotoSecret {
  readonly content?: Seed["content"];
  readonly tags: Readonly<Record<string, string>>;
  readonly description: string;
  readonly versions: readonly string[];
  readonly deletedAt: number | undefined;
}

/** Makes a secret at moto, as somebody else does. */
export async function motoPut(
  moto: Moto,
  name: string,
  content: Seed["content"],
  tags: Readonly<Record<string, string>> = {},
  description = "",
): Promise<void> {
  const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
  const more = description === "" ? {} : { Description: description };
  const ClientRequestToken = crypto.randomUUID();
  await moto.ask("secretsmanager", REGION, "CreateSecret", {
    Name: name,
    ...content,
    ...more,
    Tags,
    ClientRequestToken,
  });
}

/** Reads all secrets at moto, also those that wait for their deletion, whose contents it does not tell. */
export async function motoSecrets(moto: Moto): Promise<Map<string, MotoSecret>> {
  const ask = (operation: string, input: unknown) => moto.ask("secretsmanager", REGION, operation, input);
  const { SecretList } = await ask("ListSecrets", { IncludePlannedDeletion: true, MaxResults: 100 });
  // deno-lint-ignore no-explicit-any -- as the API has it
  const all = SecretList.map(async (one: any) => {
    const versions = Object.keys(one.SecretVersionsToStages ?? {}).sort();
    const isRead = one.DeletedDate === null && versions.length > 0;
    const { SecretString, SecretBinary } = isRead ? await ask("GetSecretValue", { SecretId: one.ARN }) : {};
    return [one.Name, {
      content: { SecretString, SecretBinary },
      tags: Object.fromEntries((one.Tags ?? []).map(({ Key, Value }: Record<string, string>) => [Key, Value])),
      description: one.Description ?? "",
      versions,
      deletedAt: one.DeletedDate ?? undefined,
    }];
  });
  return new Map(await Promise.all(all));
}

/** The suite's world on a real moto, which starts anew for each. */
export function motoEmulator(moto: Moto): Emulator {
  const ask = (operation: string, input: unknown) => moto.ask("secretsmanager", REGION, operation, input);
  return {
    async open({ stack, resource }) {
      await moto.reset();
      for (const { name, content, tags, description } of seeds(stack, resource)) {
        await motoPut(moto, name, content, tags, description);
      }
      return {
        ...PARTS,
        options: { endpoint: moto.url },
        context: { files: {} as World["context"]["files"], fetch: (request) => fetch(request) },
        async things() {
          const all = [...await motoSecrets(moto)];
          return new Map(all.map(([name, one]) => [`${name} ${one.tags["forkstack:id"] ?? ""}`, digest(one)]));
        },
        async contentOf(name) {
          const prefix = `myapp/${name}/`;
          const all = [...await motoSecrets(moto)].filter(([secret, { deletedAt }]) =>
            secret.startsWith(prefix) && !secret.endsWith(MARK) && deletedAt === undefined
          );
          const lines = all.map(([secret, { content, tags, description }]) => [
            secret.slice(prefix.length),
            content,
            description,
            Object.entries(tags).filter(([key]) => !key.startsWith("forkstack:")).sort(),
          ]);
          return digest(lines.sort());
        },
        async change(name) {
          const SecretId = `myapp/${name}/API_KEY`;
          const ClientRequestToken = crypto.randomUUID();
          await ask("UpdateSecret", { SecretId, SecretString: "changed", Description: "changed", ClientRequestToken });
          await ask("UntagResource", { SecretId, TagKeys: ["team"] });
          await ask("TagResource", { SecretId, Tags: [{ Key: "mine", Value: "yes" }] });
          const later = { SecretId: `myapp/${name}/LATER`, SecretString: "now", ClientRequestToken };
          await ask("PutSecretValue", later);
        },
        async placeForeign(name, { isEmpty, markOf } = {}) {
          const mark = markOf === undefined ? undefined : (await motoSecrets(moto)).get(`myapp/${markOf}/${MARK}`)!;
          if (mark) await motoPut(moto, `myapp/${name}/${MARK}`, mark.content!, mark.tags);
          if (!isEmpty) await motoPut(moto, `myapp/${name}/THEIRS`, { SecretString: CANARY }, mark?.tags);
          else if (!mark) await motoPut(moto, `myapp/${name}/THEIRS`, {});
        },
        async rehand(fork, marker) {
          const Tags = Object.entries(marker).map(([key, Value]) => ({ Key: `forkstack:${key}`, Value }));
          await ask("TagResource", { SecretId: `myapp/${fork.name}/${MARK}`, Tags });
        },
        close: () => Promise.resolve(),
      };
    },
  };
}
