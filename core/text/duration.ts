/**
 * Durations and points in time, as people write and read them.
 *
 * @module
 */
import { ForkstackError } from "../../mod.ts";

const DURATION_UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

const LONGEST_DAYS = 3_650;

/** A duration like `90m`, `12h`, `3d` or `2w` in milliseconds. */
export function parseDuration(text: string, source: string): number {
  const [, count, unit] = /^(\d{1,12})([mhdw])$/.exec(text) ?? [];
  const ms = Number(count) * (DURATION_UNITS[unit] ?? NaN);
  if (ms > 0 && ms <= LONGEST_DAYS * DURATION_UNITS.d) return ms;
  throw new ForkstackError("USAGE", `Cannot use "${text}" as ${source}: ${durationProblem(ms)}`, {
    hint: "Durations look like 90m, 12h, 3d or 2w",
  });
}

function durationProblem(ms: number): string {
  if (Number.isNaN(ms)) return "it is not a duration";
  return ms === 0 ? "it must be longer than zero" : `it must be at most ${LONGEST_DAYS} days`;
}

/**
 * A point in a parent's past: an instant such as `2026-11-20T10:00:00Z`, a duration ago such as `2h`, or a position of
 * the vendor's own (an LSN such as `0/1F3D3A8`).
 */
export function parsePoint(text: string, now: Date): string {
  if (/^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/.test(text)) return text.toUpperCase();
  if (/^\d+[mhdw]$/.test(text)) return new Date(now.getTime() - parseDuration(text, "--at")).toISOString();
  const at = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text) ? new Date(text) : undefined;
  if (at === undefined || Number.isNaN(at.getTime())) {
    throw new ForkstackError("USAGE", `Cannot use "${text}" as --at: it is not a point in time`, {
      hint: "It looks like 2026-11-20T10:00:00Z, like 2h (ago), or is a position of the vendor's own (an LSN)",
    });
  }
  if (at <= now) return at.toISOString();
  throw new ForkstackError("USAGE", `Cannot use "${text}" as --at: it is in the future`, {
    hint: `It is ${now.toISOString()} now`,
  });
}

/** Milliseconds as people read them. */
export function duration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  return ms < 59_950 ? `${(ms / 1_000).toFixed(1)} s` : `${Math.round(ms / 60_000)} min`;
}

export function age(since: string, now: Date): string {
  return span(now.getTime() - Date.parse(since));
}

export function timeLeft(until: string, now: Date): string {
  const left = Date.parse(until) - now.getTime();
  return left > 0 ? `${rounded(left)} left` : `expired ${span(-left)} ago`;
}

const UNITS: readonly (readonly [sizeMs: number, name: string])[] = [[86_400_000, "d"], [3_600_000, "h"], [
  60_000,
  "min",
]];

/** A time to come, in the largest unit of which there are two: a moment after `2 d` was asked for, that is still left. */
function rounded(ms: number): string {
  const [sizeMs, name] = UNITS.find(([size]) => ms > (2 - 1 / 60) * size) ?? [1_000, "s"];
  return `${Math.max(1, Math.round(ms / sizeMs))} ${name}`;
}

function span(ms: number): string {
  const unit = UNITS.find(([size]) => ms >= size);
  return unit === undefined ? `${Math.max(0, Math.round(ms / 1_000))} s` : `${Math.floor(ms / unit[0])} ${unit[1]}`;
}
