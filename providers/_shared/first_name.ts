/** First names: how a thing is found again at vendors that store no note but can rename. Apart, as node:crypto is slow to load. */
import { createHash } from "node:crypto";
import type { Target } from "../../core/provider.ts";

/** Hexadecimal digits at the end of a first name. */
const DIGITS = 12;

/**
 * A name that one operation alone gives, for vendors that store no note but can rename. A thing is made under it, its id
 * recorded, and then it gets its own name. After a lost reply what bears it is the operation's work.
 */
export function firstNameOf({ name, marker }: Pick<Target<unknown>, "name" | "marker">, maxLength: number): string {
  const digits = createHash("sha256").update(`${marker.operation} ${name}`).digest("hex").slice(0, DIGITS);
  return `${name.slice(0, maxLength - DIGITS - 1).replace(/-$/, "")}-${digits}`;
}

/** The name that a thing is to get after its first one, but for what was cut off; its name if it has none such. */
export function finalNameOf(name: string): string {
  return name.replace(new RegExp(`-[0-9a-f]{${DIGITS}}$`), "");
}
