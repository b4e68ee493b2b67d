/** Modules and packages that code loads by name, found by a parser. */
import { parse } from "npm:@babel/parser@7.29.15";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** The names in one module. */
export interface Source {
  /** Paths in calls of `load()`, e.g. `"core/project/schema.ts"`. */
  readonly modules: readonly string[];
  /** Packages in calls of `loadPackage()`, e.g. `"npm:ioredis@6.0.0"`. */
  readonly packages: readonly string[];
  /** Specifiers of all imports and exports, types included. */
  readonly specifiers: readonly string[];
}

interface Node {
  readonly type: string;
  readonly value?: unknown;
  readonly name?: string;
  readonly callee?: Node;
  readonly arguments?: readonly Node[];
  readonly typeParameters?: { readonly params: readonly Node[] };
  readonly exprName?: Node;
  readonly argument?: Node;
  readonly source?: Node | null;
  readonly loc?: { readonly start: { readonly line: number } };
}

/** Calls a function with every node of a tree. */
function visit(value: object, take: (node: Node) => void): void {
  if (typeof (value as Node).type === "string") take(value as Node);
  for (const key in value) {
    const inner = (value as Record<string, unknown>)[key];
    if (key !== "loc" && typeof inner === "object" && inner !== null) visit(inner, take);
  }
}

function treeOf(text: string): object {
  return parse(text, {
    sourceType: "module",
    attachComment: false,
    plugins: ["typescript", "explicitResourceManagement"],
  }).program;
}

function textOf(node: Node | null | undefined): string | undefined {
  return node?.type === "StringLiteral" ? String(node.value) : undefined;
}

/** Returns the specifier that a node imports or exports from, types included. */
function specifierOf({ type, source, argument, callee, arguments: given }: Node): string | undefined {
  return textOf(source) ?? (type === "TSImportType" ? textOf(argument) : undefined) ??
    (callee?.type === "Import" ? textOf(given?.[0]) : undefined);
}

/** Lists the specifiers in a text of TypeScript or JavaScript: of imports, exports and types. */
export function specifiersIn(text: string): string[] {
  const specifiers: string[] = [];
  visit(treeOf(text), (node) => specifiers.push(...[specifierOf(node)].filter((one) => one !== undefined)));
  return specifiers;
}

/**
 * Parses a module.
 *
 * @throws {Error} if the type of a `load()` is that of another module than it loads.
 */
export function readSource(path: string, text: string): Source {
  const modules: string[] = [], packages: string[] = [], specifiers: string[] = [];
  visit(treeOf(text), (node) => {
    const imported = specifierOf(node);
    if (imported !== undefined) specifiers.push(imported);
    if (node.type !== "CallExpression" || node.callee?.type !== "Identifier") return;
    const asked = textOf(node.arguments?.[0]);
    if (asked === undefined) return; // one of a list, which is written too
    if (node.callee.name === "loadPackage") packages.push(asked);
    if (node.callee.name !== "load") return;
    const [type] = node.typeParameters?.params ?? [];
    const typed = type?.type === "TSTypeQuery" ? textOf(type.exprName?.argument) : undefined;
    if (typed === undefined || new URL(typed, `file:///${path}`).pathname !== `/${asked}`) {
      throw new Error(`${path}:${node.loc?.start.line}: load("${asked}") has not the type of what it loads`);
    }
    modules.push(asked);
  });
  return { modules, packages, specifiers };
}

/** Reads every module of core and providers, and the other published ones, by path. */
export async function readSources(root: string): Promise<Map<string, Source>> {
  const { publish: { include } } = JSON.parse(await readFile(join(root, "deno.json"), "utf8"));
  const paths: string[] = (include as string[]).filter((name) => name.endsWith(".ts"));
  for (const name of ["core", "providers"]) {
    for (const inside of await readdir(join(root, name), { recursive: true })) {
      if (inside.endsWith(".ts")) paths.push(`${name}/${inside.replaceAll("\\", "/")}`);
    }
  }
  const read = async (path: string) => [path, readSource(path, await readFile(join(root, path), "utf8"))] as const;
  return new Map(await Promise.all(paths.sort().map(read)));
}
