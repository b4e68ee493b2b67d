/**
 * First names: temporary names by which things are found again at vendors that store no note but can rename. In a
 * separate file, because node:crypto is slow to load.
 */
import { createHash } from "node:crypto";
import type { Target } from "../../core/provider.ts";

/** Hexadecimal digits at the end of a first name. */
const DIGITS = 12;

/**
 * Returns a name that only one operation uses, for vendors that store no note but can rename. A thing is created under
 * it, its id is recorded, and then it is renamed. After a lost reply a thing of this name is the operation's own.
 */
export function firstNameOf({ name, marker }: Pick<Target<unknown>, "name" | "marker">, maxLength: number): string {
  const digits = createHash("sha256").update(`${marker.operation} ${name}`).digest("hex").slice(0, DIGITS);
  return `${name.slice(0, maxLength - DIGITS - 1).replace(/-$/, "")}-${digits}`;
}

/** Returns the final name of a thing with a first name, possibly cut at its end; any other name unchanged. */
export function finalNameOf(name: string): string {
  return name.replace(new RegExp(`-[0-9a-f]{${DIGITS}}$`), "");
}
