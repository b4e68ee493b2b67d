/** Tables of the documentation that the providers' files know. */
import * as v from "npm:valibot@1.5.0";
import { typedOption } from "../../core/project/schema.ts";
import { type Kind, type Provider, Secret } from "../../core/provider.ts";
import type { ProviderFile, Providers } from "./providers.ts";
import type { Table } from "./text.ts";

const yes = (is: boolean) => is ? "yes" : "no";

/** What a column says of a provider. */
const COLUMNS: Readonly<Record<string, (provider: Provider) => string>> = {
  "data comes": ({ capabilities }) => capabilities.copy,
  "as of the past": ({ capabilities }) => yes(capabilities.pointInTime),
  "whose it is": ({ capabilities }) => capabilities.ownership,
  "ends with its lease": ({ capabilities }) => yes(capabilities.nativeExpiry),
  "login ends with it": ({ capabilities }) => yes(capabilities.outputsExpire),
  "usage": ({ capabilities }) => capabilities.usage,
  "`reset`": ({ reset }) => yes(reset !== undefined),
  "`sanitize`": ({ execute }) => yes(execute !== undefined),
};

/** By name: `"database providers"` and so on with what those of a kind can do, and `"permissions"` with what each needs. */
export function providerTables(providers: Providers): Readonly<Record<string, () => Table>> {
  const kinds = [...providers].map(([kind, all]) => [`${kind} providers`, () => abilities(all)] as const);
  return { ...Object.fromEntries(kinds), permissions: () => needs(providers) };
}

function abilities(all: ReadonlyMap<string, ProviderFile>): Table {
  return [
    ["provider", ...Object.keys(COLUMNS)],
    ...[...all].map(([name, file]) => [code(name), ...Object.values(COLUMNS).map((of) => of(file.default))]),
  ];
}

function needs(providers: Providers): Table {
  const files = [...providers].flatMap(([kind, all]) => [...all].map(([name, file]) => ({ kind, name, file })));
  return [
    ["provider", "`net`", "`run`"],
    ...files.map(({ kind, name, file }) => {
      const { net, run } = neededBy(kind, file);
      return [code(name), net.join(", "), run.map(code).join(", ")];
    }),
  ];
}

/** Its hosts and programs, by the options and the credentials that its file has as examples. */
function neededBy(kind: Kind, { default: provider, questions = {}, examples = {} }: ProviderFile) {
  const asked = Object.entries(questions).map(([option, { example }]) => [
    option,
    typedOption(provider.options, option, example),
  ]);
  const told = v.safeParse(provider.options as v.GenericSchema, Object.fromEntries(asked));
  if (!told.success) throw new Error(`providers/${kind}/${provider.name}.ts: the examples of its questions do not fit`);
  const credentials = Object.entries(examples).map(([variable, example]) => [variable, new Secret(example)]);
  const { net = [], run = [] } = provider.permissions?.(told.output, Object.fromEntries(credentials)) ?? {};
  const hosts = new Map(Object.entries(examples).map(([variable, example]) => [new URL(example).host, variable]));
  return {
    net: [...new Set(net)].map((host) => hosts.has(host) ? `the host in \`${hosts.get(host)}\`` : code(host)),
    run: [...new Set(run)],
  };
}

function code(text: string): string {
  return `\`${text}\``;
}
