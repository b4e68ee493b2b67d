/** Texts of generated files. */

/** A generated file. */
export interface Generated {
  /** Its path from the top of the repository. */
  readonly path: string;
  readonly text: string;
}

/** A table of the documentation: its header and rows. */
export type Table = readonly (readonly string[])[];

/** Returns the first lines of a generated file of TypeScript. */
export function head(from: string, about: string): string {
  return `/**\n * ${about}\n * Written by \`deno task gen\` from ${from}: change those.\n *\n * @module\n */\n`;
}

/** Formats plain data as an expression, without undefined fields. */
export function constant(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(constant).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).filter(([, one]) => one !== undefined).map(([key, one]) => {
    return `${/^([A-Za-z_]\w*|\d+)$/.test(key) ? key : JSON.stringify(key)}: ${constant(one)}`;
  });
  return `{ ${entries.join(", ")} }`;
}
