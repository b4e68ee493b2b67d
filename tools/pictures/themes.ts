/** Colours of terminals, in the form of xresources: the text's own, then the sixteen. */

function theme(background: string, foreground: string, colours: readonly string[]): string {
  const all = colours.map((colour, at) => `*.color${at}: ${colour}`);
  const own = [`*.foreground: ${foreground}`, `*.colorBD: ${foreground}`, `*.cursorColor: ${foreground}`];
  return [`*.background: ${background}`, ...own, ...all].join("\n");
}

// deno-fmt-ignore
export const THEMES = {
  dark: theme("#0d1117", "#d1d7e0", [
    "#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4",
    "#8b949e", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#f0f6fc",
  ]),
  light: theme("#ffffff", "#1f2328", [
    "#24292f", "#cf222e", "#116329", "#4d2d00", "#0969da", "#8250df", "#1b7c83", "#6e7781",
    "#57606a", "#a40e26", "#1a7f37", "#633c01", "#218bff", "#a475f9", "#3192aa", "#8c959f",
  ]),
} as const;
