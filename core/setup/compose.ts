/**
 * Containers of a compose file that hold data. Of YAML, as much is read as compose files are written in: blocks by
 * indentation, lists, quoted and plain values. Anchors, flow collections and several documents are passed over.
 *
 * @module
 */
import type { StoreAddress } from "./store_address.ts";

/** One line: how far it is indented, its key, and the rest. */
interface Line {
  readonly indent: number;
  readonly key: string;
  readonly value: string;
  /** True for an entry of a list. */
  readonly isEntry: boolean;
}

/** Lists the services of a compose file with their images, published ports and variables; they run on this machine. */
export function composeAddresses(
  { path: file, text, values }: {
    readonly path: string;
    readonly text: string;
    readonly values: Readonly<Record<string, string>>;
  },
): StoreAddress[] {
  const lines = text.split(/\r?\n/).flatMap((line) => lineOf(line, values) ?? []);
  const services = childrenOf(lines, lines.findIndex(({ indent, key }) => indent === 0 && key === "services"));
  return blocksOf(services).map(([{ key: service }, ...block]) => {
    const image = block.find(({ key }) => key === "image")?.value ?? "";
    const at = (key: string) => childrenOf(block, block.findIndex((line) => line.key === key && line.value === ""));
    const environment = Object.fromEntries(at("environment").map(({ key, value }) => [key, value]));
    const [inside = "", outside] = at("ports").map(portsOf).find((ports) => ports !== undefined) ?? [];
    return {
      file,
      service,
      scheme: image.replace(/^.*\//, "").replace(/[:@].*$/, "").toLowerCase(),
      host: "localhost",
      port: Number(outside ?? inside) || undefined,
      user: "",
      path: "",
      environment,
      isHere: true,
    };
  }).filter(({ scheme }) => scheme !== "");
}

function lineOf(text: string, values: Readonly<Record<string, string>>): Line | undefined {
  const [, space = "", dash, rest = ""] = /^( *)(- +)?(.*)$/.exec(text.trimEnd()) ?? [];
  if (rest === "" || rest.startsWith("#") || rest === "---") return undefined;
  const isEntry = dash !== undefined;
  const bare = unquoted(rest);
  // `KEY: value`, or in a list `KEY=value`; a port of a list is neither.
  const [, key = "", value = ""] = /^["']?([\w.$ {}-]+?)["']?:(?:\s+(.*))?$/.exec(rest) ??
    (isEntry ? /^([A-Za-z_]\w*)=(.*)$/.exec(bare) : null) ?? [];
  return {
    indent: space.length + (dash?.length ?? 0),
    key,
    value: filled(key === "" ? bare : unquoted(value), values),
    isEntry,
  };
}

function unquoted(text: string): string {
  const [, , quoted] = /^(["'])(.*?)\1/.exec(text) ?? [];
  return quoted ?? text.replace(/ #.*$/, "").trimEnd();
}

/** Fills `${NAME}`, `${NAME:-default}` and `$NAME` from env files. */
export function filled(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(
    /\$(?:\{(\w+)(?::?-([^}]*))?[^}]*\}|(\w+))/g,
    (_, braced: string | undefined, otherwise = "", plain: string | undefined) => {
      const name = braced ?? plain!;
      return Object.hasOwn(values, name) && values[name] !== "" ? values[name]! : otherwise;
    },
  );
}

/** Lists the lines that belong to the one at an index; a list may be indented as its key is. */
function childrenOf(lines: readonly Line[], at: number): Line[] {
  if (at < 0) return [];
  const { indent } = lines[at]!;
  const rest = lines.slice(at + 1);
  const end = rest.findIndex((line) => line.indent <= indent);
  return end < 0 ? rest : rest.slice(0, end);
}

/** Splits lines into blocks, each of which begins with a key as little indented as the first. */
function blocksOf(lines: readonly Line[]): [Line, ...Line[]][] {
  const [first] = lines;
  const blocks: [Line, ...Line[]][] = [];
  for (const line of lines) {
    if (line.indent === first!.indent && !line.isEntry) blocks.push([line]);
    else blocks.at(-1)?.push(line);
  }
  return blocks;
}

/** Returns the two sides of a published port: `"127.0.0.1:5433:5432"`, or the long form's lines one by one. */
function portsOf({ key, value }: Line): [inside: string, outside?: string] | undefined {
  if (key === "published") return [value, value];
  const [, outside, inside] = key === "" ? /(?:(?:^|:)(\d+):)?(\d+)(?:\/tcp)?$/.exec(value) ?? [] : [];
  return inside === undefined ? undefined : [inside, outside];
}
