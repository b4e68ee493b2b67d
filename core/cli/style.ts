/**
 * Colours, and commands as they are run in this project.
 *
 * @module
 */
import { shownLines } from "../text/printable.ts";

/** How text is dressed; decided for each stream. */
export interface Style {
  readonly color: boolean;
  /** The prefix of commands here: `"deno task envs:"` or `"forkstack "`. */
  readonly command: string;
}

/** Select Graphic Rendition: what begins and what ends it. */
const PAINTS = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

/** A text in a format, where the stream takes one. */
export function paint(style: Style, format: keyof typeof PAINTS, text: string): string {
  const [begin, end] = PAINTS[format];
  return style.color ? `${OURS}${begin}m${text}${OURS}${end}m` : text;
}

/** Stands for our own escapes until `dressed`, so that nothing that comes with data is taken for one of them. */
const OURS = `\ufdd0${Math.random()}\ufdd1`;

/** A text as the stream gets it: our formats as escapes, and every other character that would not show by its number. */
export function dressed(text: string): string {
  return text.split(OURS).map(shownLines).join("\x1b[");
}

/** Commands in a text as they are called here. */
export function localCommands(text: string, style: Pick<Style, "command">): string {
  return text.replaceAll(/`forkstack ([^`]*)/g, (_, line: string) => `\`${commandLine(line, style)}`);
}

/** A command line as it works here. npm takes options for its own, `--dry-run` and `--yes` too, unless `--` comes first. */
export function commandLine(line: string, { command }: Pick<Style, "command">): string {
  const isForNpm = command.startsWith("npm run ") && / -/.test(line);
  return command + (isForNpm ? line.replace(" ", " -- ") : line);
}
