/** Opens what the commands share: a project, its registry and its world. */
import { isForkstackError } from "../../mod.ts";
import { type Io, noticeExpired } from "./command_line.ts";
import { loadResources, openProject } from "../project/open_project.ts";
import type { Engine, World } from "../engine/engine.ts";
import { fileError, files } from "../system/files.ts";
import { cwd, hostname, sleep, variable } from "../system/host.ts";
import { load } from "../system/lazy.ts";
import { openRegistry } from "../state/open_registry.ts";
import { admit } from "../project/trust.ts";
import type { Secret } from "../secret.ts";
import { shown } from "../text/printable.ts";
import { namesPaths, type Project, type Resource } from "../project/project.ts";
import type { Reach } from "../project/trusted.ts";

/** Options for opening the project of a command. */
export interface Opening {
  /** The parts that are opened; see `Reach`. @default {"all"} */
  readonly reach?: Reach | ((project: Project) => Promise<Reach>);
  /** Returns true if no provider is needed: none is loaded then, unless their options are still to be checked. */
  readonly isLight?: (project: Project) => Promise<boolean>;
  /** The command has opened it before: what is noticed of it was told. @default {false} */
  readonly isAgain?: boolean;
}

/**
 * Opens what a command works with, once a person trusts it as far as the command reaches. Only `new` begins a project
 * (`plan`: how it would), and `doctor --rebuild` a registry; `plan` and `look` change nothing, and `use` notes in the
 * registry what was used, if it may.
 */
export async function withEngine<T>(
  io: Io,
  mode: "begin" | "plan" | "look" | "use" | "work" | "restore",
  work: (engine: Engine) => Promise<T>,
  { reach: most = "all", isLight, isAgain = false }: Opening = {},
): Promise<T> {
  const { catalog } = io;
  const project = await openProject(cwd(), { init: mode === "begin" || mode === "plan", catalog, mustBeProject: true });
  const isShort = await isLight?.(project) === true && (mode === "look" || !namesPaths(project));
  const wanted = async () => typeof most === "function" ? await most(project) : most;
  const reach = isShort ? "registry" : await wanted();
  const { resources, isTrusted } = isShort && project.isSealed
    ? { resources: [], ...await admit(project, { catalog, reach, person: io }) }
    : await loadResources(project, { catalog, reach, person: io });
  try {
    // Never closed: the process ends with the command, and SQLite would wait for the disk to check its log in.
    const missing = mode === "begin" || mode === "restore" ? "create" : "empty";
    const access = mode === "plan" || mode === "look" ? "look" : "work";
    const registry = await openRegistry(project, missing, access).catch(async (error) => {
      if (mode !== "use" || !isForkstackError(error) || error.code !== "NOT_PERMITTED") throw error;
      return await openRegistry(project, missing, "look");
    });
    io.atEnd(() => registry.close());
    if (mode !== "begin" && !isAgain) await noticeExpired(registry, io);
    return await work({
      project,
      registry,
      resources,
      async assertTrusted(row, provider) {
        const { assertTrusted } = await load<typeof import("../project/trust_items.ts")>("core/project/trust_items.ts");
        assertTrusted(row, provider, { catalog, resources, isTrusted });
      },
      world: realWorld(io, resources),
      owner: ownerName(),
      signal: io.signal,
      onProgress: io.onProgress,
      onWait: (holder, purpose) => io.say(`Waiting: ${holder} is working on this environment (${purpose})`),
    });
  } catch (error) {
    throw fileError(error, `work in "${project.root}"`);
  }
}

function realWorld(io: Io, resources: readonly Resource[]): World {
  let client: World["fetch"] | undefined;
  const secrets: Secret[] = [];
  return {
    secrets,
    async fetch(request, options) {
      client ??= (await load<typeof import("../http/client.ts")>("core/http/client.ts")).httpClient({
        signal: io.signal,
        secrets,
        log: io.say,
      });
      return await client(request, options);
    },
    files,
    now: io.now,
    monotonicMs: () => performance.now(),
    sleep,
    read: variable,
    newId: () => crypto.randomUUID(),
    warn: (text) => io.say(`warning: ${shown(text)}`),
    progress: (resource, text) => io.say(`  . ${resource.padEnd(16)} ${shown(text)}`),
    confirm: io.confirm,
    async recordedOptions(schema, recorded) {
      const { recordedOptions } = await load<typeof import("../project/schema.ts")>("core/project/schema.ts");
      return recordedOptions(schema, recorded);
    },
    teller: io.catalog.teller,
    async provider(kind, name) {
      const { findProvider } = await load<typeof import("../project/provider_lookup.ts")>(
        "core/project/provider_lookup.ts",
      );
      return await findProvider({ catalog: io.catalog, resources }, kind, name);
    },
  };
}

function ownerName(): string {
  const user = variable("USER") ?? variable("LOGNAME") ?? variable("USERNAME") ?? "someone";
  return `${user}@${hostname()}`;
}

/** An option that takes a value. */
export function text(flag: string | boolean | string[] | undefined): string | undefined {
  return typeof flag === "string" ? flag : undefined;
}
