/**
 * A finding of `doctor`.
 *
 * @module
 */

/** One thing that is not as it should be. */
export interface Finding {
  readonly severity: "error" | "warning" | "info";
  readonly environment?: string;
  readonly resource?: string;
  readonly problem: string;
  /** The command that mends it, or what to look at. */
  readonly fix: string;
  /** Further effects of the mending, for the question. */
  readonly effect?: string;
  /** Mends it, where that is safe without being asked. */
  readonly mend?: () => Promise<void>;
}
