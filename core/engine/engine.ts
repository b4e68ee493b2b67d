/**
 * Types that the lifecycle works with: a project, its registry, its providers, a clock.
 *
 * @module
 */
import type { Kind } from "../../mod.ts";
import type { Files } from "../system/files.ts";
import type { HttpClient } from "../http/client.ts";
import type { Inspector, Provider, Teller } from "../provider.ts";
import type { Registry } from "../state/registry.ts";
import type { RecordedOptions, recordedOptions } from "../project/schema.ts";
import type { Secret } from "../secret.ts";
import type { ResourceRow } from "../state/records.ts";
import type { Project, Resource } from "../project/project.ts";
import type { ResourceReport } from "./resource_report.ts";

/** The outside world of the engine; tests and the simulation put their own in its place. */
export interface World {
  /** Sends a request, as `httpClient` does. */
  readonly fetch: HttpClient;
  readonly files: Files;
  readonly now: () => Date;
  /** Returns milliseconds that never decrease; comparable within this process only. */
  readonly monotonicMs: () => number;
  /** Waits; rejects once the signal is aborted. */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** Returns a variable of the process environment, e.g. a credential; `undefined` if unset. */
  readonly read: (variable: string) => string | undefined;
  readonly newId: () => string;
  /** Prints a warning that stops nothing. */
  readonly warn: (text: string) => void;
  /** Reports the progress of a long step on a resource. */
  readonly progress: (resource: string, text: string) => void;
  /** Asks the user; rejects if nobody can be asked, or if the answer is no. */
  readonly confirm: (question: string) => Promise<void>;
  /** Values that must not appear in any error, log line or result; grows as credentials are read and minted. */
  readonly secrets: Secret[];
  /** Parses the options of a row by today's schema of their provider; see schema.ts. */
  readonly recordedOptions: (...given: Parameters<typeof recordedOptions>) => Promise<RecordedOptions>;
  /** Loads the provider that has, or had, this name: a built-in one, or a custom one that forkstack.json names. */
  readonly provider: (kind: Kind, name: string) => Promise<Provider | undefined>;
  /**
   * Loads the part of a provider that looks at a resource and reads its variables; `undefined` if it has no such part.
   */
  readonly teller?: (kind: Kind, name: string) => Promise<Teller | undefined>;
}

/** A resource with the part of its provider that reads its variables. */
export type Tellable = Omit<Resource, "provider"> & { readonly provider: Teller };

/** A resource with the part of its provider that looks at it. */
export type Inspectable = Pick<Resource, "key" | "options"> & { readonly provider: Inspector };

/** A callback for each change of a resource. */
export type Progress = (resource: ResourceReport) => void;

/** The values that every command works with. */
export interface Engine {
  readonly project: Project;
  readonly registry: Registry;
  readonly resources: readonly Resource[];
  /** Rejects options of a recorded resource, upgraded but not parsed, that name a host which is not trusted. */
  readonly assertTrusted?: (row: Pick<ResourceRow, "key" | "kind" | "options">, provider: Provider) => Promise<void>;
  readonly world: World;
  readonly owner: string;
  readonly signal: AbortSignal;
  readonly onProgress?: Progress;
  readonly onWait?: (holder: string, purpose: string) => void;
  /** Times of the lock in milliseconds; tests shorten them. */
  readonly lockTimes?: { readonly beatMs?: number; readonly staleMs?: number; readonly waitMs?: number };
}
