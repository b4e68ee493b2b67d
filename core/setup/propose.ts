/**
 * Proposal of a stack for a project as it is: each kind by itself, from the project's own files. Pure.
 *
 * @module
 */
import { declaredResources, type Kind, KINDS } from "../../mod.ts";
import type { LaptopServer, Presets } from "../catalog.ts";
import type { Clues } from "./clues.ts";
import type { StoreAddress } from "./store_address.ts";

/** A server on this machine that a project uses. */
export interface FoundStore {
  readonly server: LaptopServer;
  /** The file that names it, and the variable with its URL there. */
  readonly file: string;
  readonly variable?: string;
  /** The driver that the URL names: `"asyncpg"`. */
  readonly driver?: string;
  /** True if that URL works from this machine as it is; one that names a container does not. */
  readonly isReachable: boolean;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** The database, as the path of a URL has it. */
  readonly path: string;
}

/** A stack that fits a project. */
export interface Proposal {
  /** The provider of each kind; absent if the files don't tell, empty for the embedded stack. */
  readonly providers?: Readonly<Partial<Record<Kind, string>>>;
  readonly stores: readonly FoundStore[];
  /** The SQLite file that holds the project's data, from its directory: `"prisma/dev.db"`. */
  readonly file?: string;
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
  const file = dataFile(facts);
  const embedded = KINDS.database.embedded!.provider;
  const database = databaseProvider(facts, all, file);
  const isUsed = ({ server: { kind, provider } }: FoundStore) => kind !== "database" || provider === database;
  const kinds = new Set(facts.presets.servers.map(({ kind }) => kind));
  const stores = [...kinds].flatMap((kind) => all.find((one) => one.server.kind === kind && isUsed(one)) ?? []);
  if (database === undefined && stores.length === 0) return { stores, file };
  const others = Object.fromEntries(stores.map(({ server }) => [server.kind, server.provider]));
  const isEmbedded = (database ?? embedded) === embedded && stores.length === 0;
  const whole: Record<string, string> = { ...embeddedStack(), database: database ?? embedded, ...others };
  const inOrder = Object.keys(KINDS).filter((kind) => kind in whole).map((kind) => [kind, whole[kind]]);
  return { providers: isEmbedded ? {} : Object.fromEntries(inOrder), stores, file };
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
  if (isVendors && databases.length === 0 && clues.paths.length === 0) return undefined;
  const dialects = providersFor(clues.dialects, presets);
  if (dialects.length === 1) return dialects[0];
  const fits = (provider: string) => dialects.length === 0 || dialects.includes(provider);
  const running = databases.filter(({ server }) => fits(server.provider)).map(({ server }) => server.provider);
  const byUrl = databases.find(({ server, variable }) => variable !== undefined && fits(server.provider));
  if (byUrl !== undefined) return byUrl.server.provider;
  if (clues.paths.length > 0 && fits(embedded)) return embedded;
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

/** Names of variables that hold an application's own URL, the likeliest first. */
const LIKELY = [/^(DATABASE|REDIS|CACHE)_URL$/, /DATABASE|^DB_/, /./];

/** Lists the servers on this machine, those of URLs first: a program uses them. */
function storesOf(addresses: readonly StoreAddress[], servers: readonly LaptopServer[]): FoundStore[] {
  const services = addresses.filter(({ service }) => service !== undefined);
  const urls = addresses.filter(({ variable, isHere }) => variable !== undefined && isHere);
  const place = ({ variable }: StoreAddress) => LIKELY.findIndex((pattern) => pattern.test(variable!));
  return [
    ...urls.sort((a, b) => place(a) - place(b)).flatMap((one) => storeOfUrl(one, services, servers)),
    ...services.flatMap((one) => storeOfService(one, servers)),
  ];
}

function storeOfUrl(
  { file, variable, scheme, driver, host, port, user, path }: StoreAddress,
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
    isReachable: !isName && !/\b(example|sample|template|dist)\b/.test(file),
    host: isName ? "localhost" : host,
    port: (container === undefined ? port : container.port) ?? server.port,
    user,
    path,
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

/** Parts of names that files with other data have. */
const ASIDE = /\b(tests?|backup|cache|prod(uction)?|example|sessions?|queue|cable)\b/i;
const USUAL = /(^|\/)(dev(elopment)?|db|database|app|data|main)\.\w+$/i;

/** Chooses the file with the data: one that a setting names, else by its name. */
function dataFile({ clues, sqliteFiles }: ProposalFacts): string | undefined {
  for (const path of clues.paths) {
    const named = path.replace(/^(\.?\/)+/, "");
    const found = sqliteFiles.find((one) => one === named || one.endsWith(`/${named}`));
    if (found !== undefined) return found;
  }
  const likely = sqliteFiles.filter((one) => !ASIDE.test(one));
  return likely.find((one) => USUAL.test(one)) ?? likely[0];
}
