/**
 * Proposal of a stack for a project as it is: each kind by itself, from the project's own files. Pure.
 *
 * @module
 */
import { declaredResources, envFileOf, type Kind, KINDS } from "../../mod.ts";
import type { LaptopServer, Presets } from "../catalog.ts";
import type { Clues } from "./clues.ts";
import { shellWord } from "../text/shell_word.ts";
import { type FileAddress, FOR_TESTS, type StoreAddress } from "./store_address.ts";

/** A server on this machine that a project uses. */
export interface FoundStore {
  readonly server: LaptopServer;
  /** The file that names it, and the variable with its URL there. */
  readonly file: string;
  readonly variable?: string;
  /** The driver that the URL names: `"asyncpg"`. */
  readonly driver?: string;
  /** True if that URL works from this machine as a shell reads it there; one that names a container does not. */
  readonly isReachable: boolean;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** The database, as the path of a URL has it. */
  readonly path: string;
  /** The reason for which it can't be proposed: `"path"` for a logical database that has no number. */
  readonly fault?: StoreAddress["fault"] | "path";
}

/** A problem that does not stop `init`, but a later command. */
export interface Warning {
  readonly problem: string;
  readonly fix: string;
}

/** A stack that fits a project. */
export interface Proposal {
  /** The provider of each kind; absent if the files don't tell, empty for the embedded stack. */
  readonly providers?: Readonly<Partial<Record<Kind, string>>>;
  readonly stores: readonly FoundStore[];
  /** The SQLite file that holds the project's data, from its directory: `"prisma/dev.db"`. */
  readonly file?: string;
  /** Templates of the variables in env files that lead to that file: `{ DB_URL: "sqlite:///{DATABASE_PATH}" }`. */
  readonly fileVariables: Readonly<Record<string, string>>;
  /** Settings that name what can't be proposed. */
  readonly warnings: readonly Warning[];
}

/** Facts that a proposal is made from. */
export interface ProposalFacts {
  readonly clues: Clues;
  readonly presets: Pick<Presets, "servers" | "embeddedClients">;
  /** True if hosts or packages lead to a vendor's stack. */
  readonly isVendors: boolean;
  /** SQLite files of the project, from its directory. */
  readonly sqliteFiles: readonly string[];
}

/** Proposes a provider for each kind. What runs on this machine, and a setting that names it, count for most. */
export function proposalOf(facts: ProposalFacts): Proposal {
  const all = storesOf(facts.clues.addresses, facts.presets.servers);
  const { file, ...named } = dataFile(facts);
  const embedded = KINDS.database.embedded!.provider;
  const database = databaseProvider(facts, all, file);
  const isUsed = ({ server: { kind, provider }, fault }: FoundStore) =>
    kind === "database" ? provider === database : fault === undefined;
  const kinds = new Set(facts.presets.servers.map(({ kind }) => kind));
  const first = [...kinds].flatMap((kind) => all.find((one) => one.server.kind === kind && isUsed(one)) ?? []);
  const stores = first.filter(({ fault }) => fault === undefined); // another database is not what a program uses
  const rest = { ...named, stores, file, warnings: [...faultsOf(all), ...named.warnings] };
  if (database === undefined && stores.length === 0) return rest;
  const others = Object.fromEntries(stores.map(({ server }) => [server.kind, server.provider]));
  const isEmbedded = (database ?? embedded) === embedded && stores.length === 0;
  const whole: Record<string, string> = { ...embeddedStack(), database: database ?? embedded, ...others };
  const inOrder = Object.keys(KINDS).filter((kind) => kind in whole).map((kind) => [kind, whole[kind]]);
  return { ...rest, providers: isEmbedded ? {} : Object.fromEntries(inOrder) };
}

/** Lists warnings about URLs that lead to this machine and can't be proposed. They show no part of a URL. */
function faultsOf(stores: readonly FoundStore[]): Warning[] {
  return stores.flatMap(({ server: { kind, credential, schemes, port }, file, variable, fault }) => {
    if (fault === undefined || FOR_NOBODY.test(file)) return [];
    const copy = kind === "database" ? `; \`forkstack import dev ${credential}\` copies its data` : "";
    const [state, fix] = {
      socket: [
        "leads to a Unix socket, or names no host, which is not supported",
        `Set ${credential} to the server's address, ${schemes[0]}://USER:PASSWORD@localhost:${port}/DATABASE${copy}`,
      ],
      unreadable: [
        "can't be read without doubt",
        "Check its port, write / ? # @ % in its password as %2F %3F %23 %40 %25, then run init again",
      ],
      path: ["names no database by its number", "End it like /0, then run init again"],
    }[fault] as [string, string];
    return [{ problem: `${file}: the URL in ${variable} ${state}: it is passed over`, fix }];
  });
}

/** Returns the providers of a forkstack.json that names none, by kind. */
export function embeddedStack(): Record<string, string> {
  return Object.fromEntries(declaredResources({}).map(({ kind, provider }) => [kind, provider]));
}

/** Decides which database a project uses; `undefined` if its files don't tell, or tell of a vendor's. */
function databaseProvider(
  { clues, presets, isVendors }: ProposalFacts,
  stores: readonly FoundStore[],
  file: string | undefined,
): string | undefined {
  const embedded = KINDS.database.embedded!.provider;
  const databases = stores.filter(({ server }) => server.kind === "database");
  const isNamed = namedFiles(clues).length > 0;
  if (isVendors && databases.length === 0 && !isNamed) return undefined;
  const dialects = providersFor(clues.dialects, presets);
  if (dialects.length === 1) return dialects[0];
  const fits = (provider: string) => dialects.length === 0 || dialects.includes(provider);
  const running = databases.filter(({ server }) => fits(server.provider)).map(({ server }) => server.provider);
  const byUrl = databases.find(({ server, variable }) => variable !== undefined && fits(server.provider));
  if (byUrl !== undefined) return byUrl.server.provider;
  if (isNamed && fits(embedded)) return embedded;
  if (running.length > 0) return running[0];
  const packages = providersFor(clues.clients, presets);
  if (packages.length === 1) return packages[0];
  if (file !== undefined || packages.includes(embedded)) return embedded;
  return packages[0] ?? remoteProvider(clues.addresses, presets.servers);
}

/** Lists the providers of databases whose clients have these names. */
function providersFor(names: readonly string[], { servers, embeddedClients }: ProposalFacts["presets"]): string[] {
  const patterns = servers.filter(({ kind }) => kind === "database").map((one) => [one.provider, one.clients] as const);
  const all = [...patterns, [KINDS.database.embedded!.provider, embeddedClients.database] as const];
  return all.filter(([, clients]) => names.some((name) => clients?.test(name))).map(([provider]) => provider);
}

function remoteProvider(addresses: readonly StoreAddress[], servers: readonly LaptopServer[]): string | undefined {
  const databases = servers.filter(({ kind }) => kind === "database");
  return databases.find(({ schemes }) => addresses.some(({ scheme }) => schemes.includes(scheme)))?.provider;
}

/** Env files that show what to write. */
const FOR_NOBODY = /\b(example|sample|template|dist)\b/;
/** Names of variables that hold an application's own URL, the likeliest first. */
const LIKELY = [/^(DATABASE|REDIS|CACHE)_URL$/, /DATABASE|^DB_/, /./];

/** Lists the servers on this machine, those of URLs first: a program uses them. */
function storesOf(addresses: readonly StoreAddress[], servers: readonly LaptopServer[]): FoundStore[] {
  const services = addresses.filter(({ service }) => service !== undefined);
  const urls = addresses.filter(({ variable, isHere }) =>
    variable !== undefined && isHere && !FOR_TESTS.test(variable)
  );
  const place = ({ variable }: StoreAddress) => LIKELY.findIndex((pattern) => pattern.test(variable!));
  return [
    ...urls.sort((a, b) => place(a) - place(b)).flatMap((one) => storeOfUrl(one, services, servers)),
    ...services.flatMap((one) => storeOfService(one, servers)),
  ];
}

function storeOfUrl(
  { file, variable, scheme, driver, host, port, user, path, isPlain = false, fault }: StoreAddress,
  services: readonly StoreAddress[],
  servers: readonly LaptopServer[],
): FoundStore[] {
  const server = servers.find(({ schemes }) => schemes.includes(scheme));
  if (server === undefined) return [];
  const container = services.find(({ service }) => service === host);
  const isName = /^[\w-]+$/.test(host) && host !== "localhost"; // a container's
  return [{
    server,
    file,
    variable,
    driver,
    isReachable: isPlain && !isName && !FOR_NOBODY.test(file),
    host: isName ? "localhost" : host,
    port: (container === undefined ? port : container.port) ?? server.port,
    user,
    path,
    fault: fault ?? (server.base !== undefined && server.base(path) === undefined ? "path" : undefined),
  }];
}

function storeOfService(
  { file, scheme, host, port, environment = {} }: StoreAddress,
  servers: readonly LaptopServer[],
): FoundStore[] {
  const server = servers.find(({ image }) => image.test(scheme));
  if (server === undefined) return [];
  const told = ({ variables, value }: LaptopServer["container"]["user"]) =>
    variables.map((name) => Object.hasOwn(environment, name) ? environment[name] : undefined).find(Boolean) ?? value;
  const { user, database } = server.container;
  return [{
    server,
    file,
    isReachable: false,
    host,
    port: port ?? server.port,
    user: told(user),
    path: told(database),
  }];
}

/** Parts of names that files with other data have, and the variables that lead to them. */
const ASIDE =
  /(?<![a-z])(tests?|testing|shadow|backups?|cache|prod(uction)?|example|sessions?|queue|cable|jobs?|logs?)(?![a-z])/i;
const USUAL = /(^|\/)(dev(elopment)?|db|database|app|data|main)\.\w+$/i;

function isAside(name: string): boolean {
  return ASIDE.test(name.replace(/([a-z])([A-Z])/g, "$1_$2"));
}

/** Lists the files with the data of an environment that settings name: those that the likeliest variables name. */
function namedFiles({ fileAddresses }: Clues): FileAddress[] {
  const place = ({ variable }: FileAddress) =>
    variable === undefined ? 0 : LIKELY.findIndex((pattern) => pattern.test(variable));
  const isData = ({ variable, path }: FileAddress) =>
    !/(^|\/)\.forkstack\//.test(path) && // an environment's own
    (variable === undefined ||
      !FOR_TESTS.test(variable) && (LIKELY[0]!.test(variable) || ![variable, path].some(isAside)));
  const all = fileAddresses.filter(isData);
  const best = Math.min(...all.map(place));
  return all.filter((one) => place(one) === best);
}

/** Chooses the file with the data: one that a setting names, and no other if it is missing; else by its name. */
function dataFile(
  { clues, sqliteFiles }: ProposalFacts,
): Pick<Proposal, "file" | "fileVariables" | "warnings"> {
  const likely = sqliteFiles.filter((one) => !isAside(one));
  const byName = likely.find((one) => USUAL.test(one)) ?? likely[0];
  const [first, ...others] = namedFiles(clues);
  if (first === undefined) return { file: byName, fileVariables: {}, warnings: [] };
  const found = ({ path }: FileAddress) => sqliteFiles.find((one) => one === path || one === `instance/${path}`); // Flask's
  const file = [first, ...others].map(found).find((one) => one !== undefined);
  const isChosen = (one: FileAddress) => (found(one) ?? one.path) === (file ?? first.path);
  const own = clues.fileAddresses.filter((one) =>
    isChosen(one) && (file !== undefined || one.isDatabase) && !FOR_TESTS.test(one.variable ?? "") &&
    one.file !== envFileOf({}) // there `new` would stop
  );
  const isOutside = /^(\/|\.\.\/)/.test(first.path);
  const line = `\`forkstack import dev ${byName === undefined ? "<file>" : shellWord(`./${byName}`)}\``;
  return {
    file,
    fileVariables: Object.fromEntries(
      own.flatMap(({ variable, template }) => variable === undefined || !template ? [] : [[variable, template]]),
    ),
    warnings: file !== undefined || byName === undefined && !isOutside ? [] : [{
      problem: `${first.file} names ${JSON.stringify(first.path)}, which is no SQLite file in this project: ` +
        "no data is copied",
      fix: `Import the file that has the data, e.g. ${line}`,
    }],
  };
}
