/** Generates the files about providers: the catalog's list, the questions of `init`, the schema of forkstack.json. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { jsonSchema } from "../../core/project/schema.ts";
import type { Catalog } from "../../core/catalog.ts";
import type { Kind, Provider, Question, Verified } from "../../core/provider.ts";
import { CATALOG } from "../../providers/mod.ts";
import { constant, type Generated, head } from "./text.ts";

/** The module of a provider's file. */
export interface ProviderFile {
  readonly default: Provider;
  readonly questions?: Readonly<Record<string, Question>>;
  /** An example of a credential that is a URL, by its variable, for the documentation. */
  readonly examples?: Readonly<Record<string, string>>;
  /** Servers and clients of its tests. @default {an emulator; of an embedded provider, this machine} */
  readonly verified?: Verified;
}

/** All providers by kind and name: those of the catalog in its order, then new ones by name. */
export type Providers = ReadonlyMap<Kind, ReadonlyMap<string, ProviderFile>>;

const LIST = /(\n {2}\/\/ generated\n)[^]*?(\n {2}\/\/ end\n)/;

/** Reads the directory of each kind; a file without a default export is a part of another file. */
export async function readProviders(root: string): Promise<Providers> {
  const kinds = Object.keys(CATALOG.providers) as Kind[];
  return new Map(
    await Promise.all(kinds.map(async (kind) => {
      const files = (await readdir(join(root, "providers", kind))).filter((file) => file.endsWith(".ts"));
      const known = Object.keys(CATALOG.providers[kind]);
      const place = (name: string) => known.includes(name) ? known.indexOf(name) : known.length;
      const found = await Promise.all(files.map(async (file): Promise<[string, Partial<ProviderFile>]> => {
        return [file.slice(0, -".ts".length), await import(`../../providers/${kind}/${file}`)];
      }));
      const providers = found.filter((one): one is [string, ProviderFile] => one[1].default !== undefined);
      for (const [name, { default: provider }] of providers) {
        if (provider.name === name && provider.kind === kind) continue;
        throw new Error(`providers/${kind}/${name}.ts is of ${provider.kind} provider "${provider.name}"`);
      }
      const sorted = providers.sort(([a], [b]) => place(a) - place(b) || (a < b ? -1 : 1));
      return [kind, new Map(sorted)] as const;
    })),
  );
}

/** Lists the paths of the providers' files. */
export function providerPaths(providers: Providers): string[] {
  return [...providers].flatMap(([kind, all]) => [...all.keys()].map((name) => `providers/${kind}/${name}.ts`));
}

/** Generates the files about providers. */
export async function providerFiles(root: string, providers: Providers): Promise<Generated[]> {
  return [
    await list(root, providers),
    questionsFile(providers),
    identitiesFile(providers),
    await schemaFile(providers),
  ];
}

async function list(root: string, providers: Providers): Promise<Generated> {
  const path = "providers/mod.ts";
  const lines = [...providers].map(([kind, all]) => {
    return `  ${kind}: providers(${[kind, ...all.keys()].map((one) => JSON.stringify(one)).join(", ")}),`;
  });
  const text = await readFile(join(root, path), "utf8");
  if (!LIST.test(text)) throw new Error(`${path} has no place for the list`);
  return { path, text: text.replace(LIST, (_, open, close) => open + lines.join("\n") + close) };
}

function questionsFile(providers: Providers): Generated {
  const all = [...providers.values()].flatMap((those) => [...those]);
  const questions = Object.fromEntries(all.map(([name, file]) => [name, file.questions]));
  return {
    path: "providers/questions.ts",
    text: head("the providers' files", "The questions that `init` asks of each provider, option by option.") +
      `import type { Presets } from "../core/catalog.ts";\n\n` +
      `/** By provider and option, each under its name in forkstack.json. */\n` +
      `export const QUESTIONS: Presets["questions"] = ${constant(questions)};\n`,
  };
}

function identitiesFile(providers: Providers): Generated {
  const identities = Object.fromEntries(
    [...providers].map(([kind, those]) => [
      kind,
      Object.fromEntries([...those].map(([name, file]) => [name, identitiesOf(file.default)])),
    ]),
  );
  return {
    path: "providers/identities.ts",
    text: head("the providers' files", "Variables that name one thing of one environment, as each provider declares.") +
      `import type { Identities } from "../core/catalog.ts";\n\n` +
      `/** By kind and provider. */\nexport const IDENTITIES: Identities = ${constant(identities)};\n`,
  };
}

function identitiesOf({ variables }: Provider): string[] {
  return Object.entries(variables).filter(([, one]) => one.isIdentity && !one.isPersonal).map(([name]) => name);
}

async function schemaFile(all: Providers): Promise<Generated> {
  const providers = Object.fromEntries(
    [...all].map(([kind, those]) => [
      kind,
      Object.fromEntries([...those].map(([name, file]) => [name, () => Promise.resolve(file)])),
    ]),
  ) as Catalog["providers"];
  return {
    path: "forkstack.schema.json",
    text: JSON.stringify(await jsonSchema({ ...CATALOG, providers }), null, 2),
  };
}
