/** Tables of the documentation that are generated from the providers' files. */
import * as v from "npm:valibot@1.5.0";
import { typedOption } from "../../core/project/schema.ts";
import { type Declaration, type Kind, type Provider, type Question, Secret } from "../../core/provider.ts";
import { KINDS } from "../../mod.ts";
import { STACKS } from "../../providers/presets.ts";
import type { ProviderFile, Providers } from "./providers.ts";
import type { Table } from "./text.ts";

const yes = (is: boolean) => is ? "yes" : "no";

/** Cells of a provider, by column. */
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

/** A provider's file, with its kind and name. */
interface Entry {
  readonly kind: Kind;
  readonly name: string;
  readonly file: ProviderFile;
}

/**
 * Returns the tables by name: `"database providers"` and so on with the abilities of a kind's providers,
 * `"permissions"` with the needs of each, `"providers"` with all of them (`"providers in short"`: for the README), `"variables"` with their outputs, `"stacks"`
 * with the stacks of `init` and `"stacks compared"` with what these can do.
 */
export function providerTables(providers: Providers): Readonly<Record<string, () => Table>> {
  const kinds = [...providers].map(([kind, all]) => [`${kind} providers`, () => abilities(all)] as const);
  const entries = [...providers].flatMap(([kind, all]) =>
    [...all].map(([name, file]): Entry => ({ kind, name, file }))
  );
  return {
    ...Object.fromEntries(kinds),
    permissions: () => needs(entries),
    providers: () => overview(entries),
    "providers in short": () => inShort(entries),
    variables: () =>
      [...providers].reduce<Table>((table, [kind, all]) => [...table, ...variables(kind, all)], [
        ["kind", "variable", "given by", "secret", "names one environment's own"],
      ]),
    stacks: () => stacks(entries),
    "stacks compared": () => stacksCompared(entries),
  };
}

function overview(entries: readonly Entry[]): Table {
  return [
    ["kind", "`provider`", "what it is", "credentials", "verified by"],
    ...entries.map(({ kind, name, file }) => {
      const { title, page, credentials } = file.default;
      if (title === undefined || page === undefined) {
        throw new Error(`providers/${kind}/${name}.ts has no title or page`);
      }
      return [kind, code(name), `[${title}](${page})`, credentialsText(credentials), verifiedText(file)];
    }),
  ];
}

/** Lists the providers for the README. */
function inShort(entries: readonly Entry[]): Table {
  return [
    ["kind", "provider", "a fork is", "verified by"],
    ...entries.map(({ kind, name, file }) => {
      const { page, capabilities: { copy } } = file.default;
      return [kind, `[${name}](docs/${page})`, copy, verifiedText(file)];
    }),
  ];
}

/** Returns a cell about a provider's tests, the best proof first. */
function verifiedText({ default: { capabilities }, verified = {} }: ProviderFile): string {
  if (capabilities.embedded) return "real files";
  const { live, servers, clients = [] } = verified;
  const run = live === undefined ? [] : [`live (${live})`];
  run.push(servers === undefined ? "emulator" : `real ${servers.join(", ")}`);
  return [...run, ...clients.map(code)].join(", ");
}

/** Returns one word or two on what a provider's tests ran on at best. */
function groundOf({ default: { capabilities }, verified = {} }: ProviderFile): string {
  if (capabilities.embedded) return "real files";
  if (verified.live !== undefined) return "the live vendor";
  return verified.servers === undefined ? "emulator" : "real servers";
}

function credentialsText(credentials: Provider["credentials"]): string {
  if (credentials.length === 0) return "none";
  const isAny = credentials.length > 1 && credentials.every(({ required }) => !required);
  const all = credentials.map(({ variable, required }) => code(variable) + (required || isAny ? "" : " (optional)"));
  return isAny ? `some of ${all.join(", ")}` : all.join(", ");
}

/** Returns the table of variables that providers of a kind output, with their declarations. */
function variables(kind: Kind, all: ReadonlyMap<string, ProviderFile>): Table {
  const declared = [...all].flatMap(([name, { default: { variables } }]) =>
    Object.entries(variables).map(([variable, declaration]) => ({ name, variable, declaration }))
  );
  return [...Map.groupBy(declared, ({ variable }) => variable)].map(([variable, givers]) => {
    const told = (claim: (declaration: Declaration) => boolean | undefined) => {
      const others = givers.filter(({ declaration }) => !claim(declaration)).map(({ name }) => code(name));
      if (others.length === 0) return "yes";
      return others.length === givers.length ? "no" : `yes; of ${others.join(", ")} no`;
    };
    const names = givers.length === all.size && all.size > 1 ? "each" : givers.map(({ name }) => code(name)).join(", ");
    const isPersonal = givers.some(({ declaration }) => declaration.isPersonal);
    return [
      kind,
      code(variable),
      isPersonal ? `${names}, or you` : names,
      told(({ isSecret }) => isSecret),
      told(({ isIdentity }) => isIdentity),
    ];
  });
}

/** Kinds that each named stack has a provider of. */
const STACKED: readonly Kind[] = ["database", "storage", "secrets"];

/** Returns the providers of each named stack, in the order of `STACKED`. */
function stackEntries(entries: readonly Entry[]): Map<string, Entry[]> {
  const chosen = Object.entries(STACKS).map(([stack, { providers }]) => {
    const names = STACKED.map((kind) => [kind, providers[kind] ?? KINDS[kind].embedded!.provider] as const);
    return [
      stack,
      names.map(([kind, name]) => entries.find((one) => one.kind === kind && one.name === name)!),
    ] as const;
  });
  return new Map(chosen);
}

function stacks(entries: readonly Entry[]): Table {
  return [
    ["`--stack`", ...STACKED, "to be told"],
    ...Array.from(stackEntries(entries), ([stack, chosen]) => {
      const told = chosen.flatMap(({ kind, file: { questions = {} } }) =>
        Object.entries(questions).map(([option, question]) => questionText(`${kind}.${option}`, question))
      );
      return [code(stack), ...chosen.map(({ name }) => code(name)), told.length === 0 ? "nothing" : told.join("; ")];
    }),
  ];
}

function stacksCompared(entries: readonly Entry[]): Table {
  return [
    ["stack", ...STACKED.map((kind) => `fork of the ${kind}`), "`--at`", "`reset`", "keeps no mark", "verified on"],
    ...Array.from(stackEntries(entries), ([stack, chosen]) => {
      const named = (is: (provider: Provider) => boolean) =>
        chosen.filter(({ file }) => is(file.default)).map(({ name }) => code(name)).join(", ") || "none";
      return [
        `[${code(stack)}](stacks/${stack}.md)`,
        ...chosen.map(({ file }) => file.default.capabilities.copy),
        named(({ capabilities }) => capabilities.pointInTime),
        chosen.every(({ file }) => file.default.reset) ? "all" : named(({ reset }) => reset !== undefined),
        named(({ capabilities }) => capabilities.ownership === "recorded"),
        [...new Set(chosen.map(({ file }) => groundOf(file)))].join(", "),
      ];
    }),
  ];
}

/** Returns an option that `init` asks for, with its suggested answer. */
function questionText(option: string, { variable, isProject = false }: Question): string {
  const usual = variable === undefined ? undefined : code(variable);
  return [code(option), usual ?? (isProject ? "the project's name" : undefined)].filter(Boolean).join(": ");
}

function abilities(all: ReadonlyMap<string, ProviderFile>): Table {
  return [
    ["provider", ...Object.keys(COLUMNS)],
    ...[...all].map(([name, file]) => [code(name), ...Object.values(COLUMNS).map((of) => of(file.default))]),
  ];
}

function needs(entries: readonly Entry[]): Table {
  return [
    ["provider", "`net`", "`run`"],
    ...entries.map(({ kind, name, file }) => {
      const { net, run } = neededBy(kind, file);
      return [code(name), net.join(", "), run.map(code).join(", ")];
    }),
  ];
}

/** Lists the programs that any provider runs, by the examples in its file. */
export function programsOf(providers: Providers): string[] {
  const all = [...providers].flatMap(([kind, those]) =>
    [...those.values()].flatMap((file) => neededBy(kind, file).run)
  );
  return [...new Set(all)].sort();
}

/** Returns a provider's hosts and programs, by the example options and credentials in its file. */
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
