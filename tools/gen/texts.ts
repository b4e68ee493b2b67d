/**
 * `deno task texts`: prints what people read of the command line, each text once: the overview, the pages of help
 * without what they share, and every error and finding with its hint, by code. Those of one vendor are few and concern
 * its users alone: `deno task texts neon` prints them, `deno task texts providers` those of all.
 */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { COMMANDS, COMMON, OPTIONS } from "../../core/cli/command_table.ts";
import { GROUPS, type Option } from "../../core/cli/command.ts";
import { ERROR_CODES, EXIT_CODES } from "../../core/cli/error_codes.ts";
import { DEFAULTS, PAGES } from "../../core/cli/help_pages.ts";
import { SHARED_FILES, SHARED_OPTIONS } from "../../core/cli/shared.ts";
import type { ErrorCode } from "../../mod.ts";
import { type ErrorText, errorTexts } from "./error_texts.ts";

/** Returns everything but what single vendors say. */
export function texts(all: readonly ErrorText[]): string {
  const own = all.filter(({ at }) => vendorOf(at) === undefined);
  return [overview(), ...Object.keys(COMMANDS).map(page), shared(), errors(own)].join("\n\n");
}

/** Returns the errors of one vendor, or with `"providers"` of all. */
export function vendorTexts(all: readonly ErrorText[], vendor: string): string {
  const isMeant = ({ at }: ErrorText) => vendor === "providers" ? vendorOf(at) !== undefined : vendorOf(at) === vendor;
  return errors(all.filter(isMeant));
}

/** Returns the vendor whose file makes an error; `undefined` for core. */
function vendorOf(at: string): string | undefined {
  const file = /^providers\/\w+\/(?:runtime\/)?([\w-]+)\.ts/.exec(at)?.[1];
  return file && /^(redis_cloud)/.test(file) ? "redis-cloud" : file?.replace(/_.*/, "");
}

function overview(): string {
  const lines = GROUPS.map((group) => {
    const own = Object.entries(COMMANDS).filter(([, one]) => one.group === group);
    return `${group}: ${own.map(([name, { summary }]) => `${name} (${summary})`).join(", ")}`;
  });
  return ["OVERVIEW", ...lines].join("\n");
}

function page(name: string): string {
  const { about, meanings = {}, examples, exits = {}, files = {} } = PAGES[name]!;
  const own = ([file, text]: [string, string]) =>
    !Object.values<string>(SHARED_FILES).includes(text) && text !== "" && file;
  const command = COMMANDS[name]!;
  const options = command.options.filter((one) => !Object.hasOwn(SHARED_OPTIONS, one));
  const exit = Object.entries(exits).filter(([, text]) => text !== "").map(([code, text]) => `exit ${code}: ${text}`);
  const lines = [
    `${
      [name, ...command.arguments?.labels ?? []].join(" ") + (command.runsProgram ? " -- …" : "")
    }: ${command.summary}`,
    ...about.map((paragraph) => `  ${paragraph.trim()}`),
    list(Object.entries(meanings)),
    list(options.map((one) => [signature(one), `${OPTIONS[one].help}${defaultOf(one)}`])),
    list(examples.map(([line, what]) => [`\`${line}\``, what])),
    list(Object.entries(files).filter(own)),
    exit.length === 0 ? "" : `  ${exit.join(" | ")}`,
  ];
  return lines.filter(Boolean).join("\n");
}

function defaultOf(option: string): string {
  return Object.hasOwn(DEFAULTS, option) ? `. Default: ${DEFAULTS[option as keyof typeof DEFAULTS]}` : "";
}

function list(entries: readonly (readonly [string, string])[]): string {
  return entries.length === 0 ? "" : `  ${entries.map(([left, right]) => `${left} ${right}`).join(" | ")}`;
}

function signature(name: keyof typeof OPTIONS): string {
  const { value }: Option = OPTIONS[name];
  return `--${name}${value === undefined ? "" : ` ${value}`}`;
}

/** Returns what several pages have: options, files, exit codes. */
function shared(): string {
  const options = (Object.keys(SHARED_OPTIONS) as (keyof typeof SHARED_OPTIONS)[]).map((one) =>
    [
      `${signature(one)}${(COMMON as readonly string[]).includes(one) ? " (all)" : ""}`,
      `${OPTIONS[one].help}${defaultOf(one)}`,
    ] as const
  );
  return [
    "ON SEVERAL PAGES",
    ...options.map(([left, right]) => `  ${left} ${right}`),
    ...Object.entries(SHARED_FILES).map(([file, text]) => `  ${file} ${text}`),
    ...Object.entries(EXIT_CODES).map(([code, meaning]) => `  exit ${code}: ${meaning}`),
  ].join("\n");
}

/** Lists errors and findings, a line for each hint of a code: `CODE  text | text / hint`. */
function errors(all: readonly ErrorText[]): string {
  const order = Object.keys(ERROR_CODES);
  const placeOf = ({ code }: ErrorText) => order.includes(code) ? order.indexOf(code) : order.length;
  const sorted = all.filter(hasWords).toSorted((a, b) => placeOf(a) - placeOf(b));
  const named = ({ code, hint }: ErrorText) => `${codeOf(code)}\n${hint}`;
  const groups = [...Map.groupBy(sorted, named).values()].map((group) => {
    const [{ code, hint }] = group as [ErrorText];
    const messages = [...new Set(group.map(({ message }) => message))].join(" | ");
    return `${codeOf(code)}  ${messages}${hint === undefined ? "" : ` / ${hint}`}`;
  });
  return ["ERRORS AND FINDINGS", ...new Set(groups)].join("\n");
}

/** Returns true if an error says something of its own, and does not only hand on what another one says. */
export function hasWords({ message, hint = "" }: ErrorText): boolean {
  return /\w/.test(`${message} ${hint}`.replace(/\{[^}]*\}/g, ""));
}

/** Returns the code of an error; of a finding, and where the place decides the code, a dash. */
function codeOf(code: string): string {
  return Object.hasOwn(ERROR_CODES, code as ErrorCode) ? code : "-";
}

if (import.meta.main) {
  const root = resolve(fileURLToPath(new URL("../..", import.meta.url)));
  const [vendor] = process.argv.slice(2);
  const all = await errorTexts(root);
  console.log(vendor === undefined ? texts(all) : vendorTexts(all, vendor));
}
