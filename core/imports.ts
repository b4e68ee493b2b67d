/**
 * The imports of a file, found by a parser; and whether it could load code in any other way. Code that a hash does not
 * cover must not run by its name: what a parser can't decide is refused.
 *
 * @module
 */
import { tsPlugin } from "npm:@sveltejs/acorn-typescript@1.0.13";
import { Parser } from "npm:acorn@8.19.0";

/** An import of another module. */
export interface Import {
  readonly specifier: string;
  /** The literal's place in the text, with its quotes. */
  readonly start: number;
  readonly end: number;
}

/** What was found in a file. */
export interface Found {
  readonly imports: readonly Import[];
  /** Each way to load code that nothing covers, e.g. `line 3: eval`. */
  readonly refused: readonly string[];
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly loc: { readonly start: { readonly line: number } };
  // deno-lint-ignore no-explicit-any -- each type of node has its own fields
  readonly [field: string]: any;
}

/** Names that run text, or load a module, that is not in the file. */
const LOADERS = new Set([
  ...["eval", "Function", "WebAssembly", "Worker", "SharedWorker", "ShadowRealm", "importScripts"],
  ...["require", "createRequire", "mainModule", "dlopen"],
]);
/** Members that lead to such a thing from any object: `(() => {}).constructor("…")` is `Function("…")`. */
const UNNAMED = new Set(["getBuiltinModule", "dlopen", "mainModule", "createRequire", "constructor"]);
/** The global object by its names: a property of it is looked at by its name, so that it has to have one. */
const GLOBALS = new Set(["globalThis", "self", "window", "global"]);
/** Built-in modules that load others, or run text. */
const LOADING_MODULES =
  /^(node:)?(module|vm|worker_threads|repl|cluster|inspector(\/promises)?|test(\/reporters)?|sea|wasi)$/;
const TIMERS = new Set(["setTimeout", "setInterval", "setImmediate"]);

/** Nodes of TypeScript that hold code; every other one is a type, and gone when the file runs. */
const WITH_CODE = new Set([
  ...["TSAsExpression", "TSSatisfiesExpression", "TSNonNullExpression", "TSTypeAssertion", "TSInstantiationExpression"],
  ...["TSParameterProperty", "TSEnumDeclaration", "TSEnumMember", "TSModuleDeclaration", "TSModuleBlock"],
  ...["TSExportAssignment", "TSAbstractMethodDefinition", "TSAbstractPropertyDefinition"],
]);
/** Fields that hold a name and no reference, unless they are computed. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  MemberExpression: ["property"],
  Property: ["key"],
  MethodDefinition: ["key"],
  PropertyDefinition: ["key"],
  AccessorProperty: ["key"],
  TSAbstractMethodDefinition: ["key"],
  TSAbstractPropertyDefinition: ["key"],
  TSEnumMember: ["id"],
  LabeledStatement: ["label"],
  BreakStatement: ["label"],
  ContinueStatement: ["label"],
};

/** Reads a module; throws a `SyntaxError` where it is none. */
export function importsOf(text: string, isTypeScript: boolean): Found {
  // deno-lint-ignore no-explicit-any -- the plugin's types are those of an older acorn
  const parser = isTypeScript ? Parser.extend(tsPlugin() as any) : Parser;
  const options = { sourceType: "module", ecmaVersion: "latest", locations: true, allowHashBang: true } as const;
  const imports: Import[] = [];
  const refused: string[] = [];
  const refuse = ({ loc }: Node, what: string) => void refused.push(`line ${loc.start.line}: ${what}`);

  const imported = (source: Node) => {
    const specifier = textOf(source);
    if (specifier === undefined) return refuse(source, "an import whose name is made as it runs");
    imports.push({ specifier, start: source.start, end: source.end });
  };

  /** A thing that is taken out of a module or an object by its name. */
  const named = (key: Node) => {
    const name = nameOf(key, false);
    if (name !== undefined && (LOADERS.has(name) || UNNAMED.has(name))) refuse(key, name);
  };

  const visit = (node: Node): void => {
    if (node.declare === true || (node.type.startsWith("TS") && !WITH_CODE.has(node.type))) {
      return /^TS(ImportEquals|ExternalModuleReference)/.test(node.type)
        ? refuse(node, "import … = require")
        : undefined;
    }
    switch (node.type) {
      case "ImportDeclaration":
        if (node.importKind === "type") return;
        for (const { imported: name } of node.specifiers) if (name) named(name);
        return imported(node.source);
      case "ExportAllDeclaration":
        return node.exportKind === "type" ? undefined : imported(node.source);
      case "ExportNamedDeclaration":
        if (node.exportKind === "type") return;
        if (!node.source) break;
        for (const { local } of node.specifiers) named(local);
        return imported(node.source);
      case "ImportExpression":
        imported(node.source);
        return node.options ? visit(node.options) : undefined;
      case "MetaProperty":
        return node.meta.name === "import" ? refuse(node, "import.meta") : undefined;
      case "Identifier":
        if (LOADERS.has(node.name) || node.name === "getBuiltinModule") refuse(node, node.name);
        if (GLOBALS.has(node.name)) refuse(node, `${node.name} as a value`);
        return;
      case "MemberExpression":
        if (member(node)) return;
        break;
      case "ObjectPattern":
        for (const { type, key, computed } of node.properties) {
          if (type === "Property" && !(computed && textOf(key) === undefined)) named(key);
        }
        break;
      case "CallExpression":
      case "NewExpression":
        if (call(node)) return;
    }
    children(node);
  };

  /** Whether a member was seen to, its parts too. */
  const member = (node: Node): boolean => {
    const name = nameOf(node.property, node.computed);
    const { type, name: object } = bare(node.object);
    const isOfGlobal = type === "Identifier" && (GLOBALS.has(object) || object === "process");
    if (name === "name" && isConstructor(bare(node.object))) {
      visit(bare(node.object).object);
      return true;
    }
    if (name !== undefined && UNNAMED.has(name)) refuse(node, name);
    if (!isOfGlobal) return false;
    if (name === undefined) refuse(node, `a property of ${object} whose name is made as it runs`);
    else if (LOADERS.has(name) || GLOBALS.has(name)) refuse(node, `${object}.${name}`);
    if (node.computed) visit(node.property);
    return true;
  };

  /** Whether a call was seen to, its parts too. */
  const call = (node: Node): boolean => {
    const callee = bare(node.callee);
    const name = callee.type === "MemberExpression" ? nameOf(callee.property, callee.computed) : undefined;
    if (name === "getBuiltinModule") {
      const module = node.arguments.length === 1 ? textOf(node.arguments[0]) : undefined;
      if (module === undefined) refuse(node, "a module whose name is made as it runs");
      else if (LOADING_MODULES.test(module)) refuse(node, module);
      if (callee.object.type !== "Identifier") visit(callee.object);
      return true;
    }
    const timer = callee.type === "Identifier" ? callee.name : name;
    if (TIMERS.has(timer) && /^(Literal|TemplateLiteral|BinaryExpression)$/.test(node.arguments[0]?.type)) {
      refuse(node, `${timer} with a text`);
    }
    return false;
  };

  const children = (node: Node) => {
    for (const [field, value] of Object.entries(node)) {
      if (!node.computed && NAMES[node.type]?.includes(field)) continue;
      for (const one of Array.isArray(value) ? value : [value]) {
        if (typeof one === "object" && one !== null && typeof one.type === "string") visit(one);
      }
    }
  };

  visit(parser.parse(text, options) as unknown as Node);
  return { imports, refused };
}

/** What is wrong with an import of a package or a module of the runtime; `undefined`: nothing. */
export function problemOfImport(specifier: string): string | undefined {
  if (specifier.startsWith("node:")) {
    return LOADING_MODULES.test(specifier) ? "which loads other code" : undefined;
  }
  if (/^npm:(@[\w.-]+\/)?[\w.-]+@\d+\.\d+\.\d+(-[\w.]+)?(\/[\w./-]+)?$/.test(specifier)) return undefined;
  return specifier.startsWith("npm:")
    ? "which needs an exact version, like npm:name@1.2.3"
    : "which its hash does not cover";
}

/** A text that stands there as it is. */
function textOf(node: Node): string | undefined {
  if (node.type === "Literal" && typeof node.value === "string") return node.value;
  return node.type === "TemplateLiteral" && node.expressions.length === 0 ? node.quasis[0].value.cooked : undefined;
}

/** The name of a property, where it stands there as it is. */
function nameOf(node: Node, isComputed: boolean): string | undefined {
  return isComputed ? textOf(node) : node.name ?? textOf(node);
}

function isConstructor({ type, property, computed }: Node): boolean {
  return type === "MemberExpression" && nameOf(property, computed) === "constructor";
}

/** An expression without parentheses and types around it. */
function bare(node: Node): Node {
  return /^(ChainExpression|ParenthesizedExpression|TS\w+)$/.test(node.type) ? bare(node.expression) : node;
}
