/**
 * Types that the lifecycle works with: a project, its registry, its providers, a clock; and what a provider may touch of them.
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
  /** Milliseconds that never go back, of this process alone. */
  readonly monotonicMs: () => number;
  /** Waits; rejects once the signal is aborted. */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** A variable of the process environment: a credential. */
  readonly read: (variable: string) => string | undefined;
  readonly newId: () => string;
  /** Tells the person something that stops nothing. */
  readonly warn: (text: string) => void;
  /** Says how far a long step on a resource has come. */
  readonly progress: (resource: string, text: string) => void;
  /** Asks the person; rejects where there is none, or if the answer is no. */
  readonly confirm: (question: string) => Promise<void>;
  /** Values that no error, log line or answer may show; grows as credentials are read and minted. */
  readonly secrets: Secret[];
  /** Options as a row recorded them, by today's schema of their provider; see schema.ts. */
  readonly recordedOptions: (...given: Parameters<typeof recordedOptions>) => Promise<RecordedOptions>;
  /** The provider that has, or had, this name: a built-in one, or a file that forkstack.json names. */
  readonly provider: (kind: Kind, name: string) => Promise<Provider | undefined>;
  /** Looks at such a resource and tells its variables, where that is to be had without the rest of the provider. */
  readonly teller?: (kind: Kind, name: string) => Promise<Teller | undefined>;
}

/** A resource whose variables can be told. */
export type Tellable = Omit<Resource, "provider"> & { readonly provider: Teller };

/** A resource that can be looked at. */
export type Inspectable = Pick<Resource, "key" | "options"> & { readonly provider: Inspector };

/** Told as each resource changes. */
export type Progress = (resource: ResourceReport) => void;

/** Everything a command needs. */
export interface Engine {
  readonly project: Project;
  readonly registry: Registry;
  readonly resources: readonly Resource[];
  /** Rejects options of a recorded resource, upgraded but not parsed, that name a host nobody trusts. */
  readonly assertTrusted?: (row: Pick<ResourceRow, "key" | "kind" | "options">, provider: Provider) => Promise<void>;
  readonly world: World;
  readonly owner: string;
  readonly signal: AbortSignal;
  readonly onProgress?: Progress;
  readonly onWait?: (holder: string, purpose: string) => void;
  /** Times of the lock; tests shorten them. */
  readonly lockTimes?: { readonly beatMs?: number; readonly staleMs?: number; readonly waitMs?: number };
}
