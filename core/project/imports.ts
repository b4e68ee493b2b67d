/**
 * The imports of a file, found by a parser, and a check for any other way to load code. Code that a hash does not cover
 * must not run: what a parser cannot decide is refused.
 *
 * @module
 */
import { parse, type ParserPlugin } from "npm:@babel/parser@7.29.15";
import { bare, Bindings, literalOf, type Node, nodesIn, PROCESS_MODULE, TIMERS } from "./bindings.ts";

/** An import of another module. */
export interface Import {
  readonly specifier: string;
  /** Offset of the literal in the text, with its quotes. */
  readonly start: number;
  readonly end: number;
}

/** The result of scanning a file. */
export interface ImportScan {
  readonly imports: readonly Import[];
  /** Ways to load code that no hash covers, e.g. `line 3: eval`. */
  readonly refused: readonly string[];
}

/** Names that run a text as code, or load a module from elsewhere. */
const LOADERS = new Set([
  ...["eval", "Function", "WebAssembly", "Worker", "SharedWorker", "ShadowRealm", "importScripts"],
  ...["require", "createRequire", "mainModule", "dlopen"],
]);
/** Members that lead to such a name from any object: `(() => {}).constructor("…")` is `Function("…")`. */
const UNNAMED = new Set([
  ...["getBuiltinModule", "dlopen", "mainModule", "createRequire", "constructor", "_linkedBinding"],
  ...["getOwnPropertyDescriptor", "getOwnPropertyDescriptors", "__lookupGetter__"],
]);
/** Names of the global object. */
const GLOBALS = new Set(["globalThis", "self", "window", "global"]);
/** Objects that lead to code: the file may use a named property of one, but may not pass the object on. */
const GUARDED = new Set([...GLOBALS, "process", "Deno", "Bun", "Reflect"]);
/** Properties of guarded objects that load code, in addition to names that are refused everywhere. */
const UNSAFE = new Set(["binding", "internal", "core", "plugin", "FFI"]);
const SAFE_OF_REFLECT = new Set(["has", "ownKeys"]);
/** Built-in modules that load others, or run text. */
const LOADING_MODULES =
  /^(node:)?(module|vm|worker_threads|repl|cluster|inspector(\/promises)?|test(\/reporters)?|sea|wasi)$/;
const OPEN = "whose name is made as it runs";

/** Syntax nodes of TypeScript that hold code; every other one is a type, and gone at run time. */
const WITH_CODE = new Set([
  ...["TSAsExpression", "TSSatisfiesExpression", "TSNonNullExpression", "TSTypeAssertion", "TSInstantiationExpression"],
  ...["TSParameterProperty", "TSEnumDeclaration", "TSEnumMember", "TSModuleDeclaration", "TSModuleBlock"],
  ...["TSExportAssignment", "TSAbstractMethodDefinition", "TSAbstractPropertyDefinition", "TSAbstractAccessorProperty"],
]);
/** Fields that hold a name which is no reference, unless they are computed. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  MemberExpression: ["property"],
  Property: ["key"],
  MethodDefinition: ["key"],
  PropertyDefinition: ["key"],
  AccessorProperty: ["key"],
  TSAbstractMethodDefinition: ["key"],
  TSAbstractPropertyDefinition: ["key"],
  TSAbstractAccessorProperty: ["key"],
  TSEnumMember: ["id"],
  LabeledStatement: ["label"],
  BreakStatement: ["label"],
  ContinueStatement: ["label"],
};

/** Syntax plugins for https://github.com/estree/estree that runtimes know, or a compiler before them. */
const SYNTAX: ParserPlugin[] = [
  ["estree", { classFeatures: true }],
  ...["decorators", "decoratorAutoAccessors", "explicitResourceManagement", "deferredImportEvaluation"] as const,
];

/** Scans a module for imports; throws a `SyntaxError` if it is no module. */
export function importsOf(text: string, isTypeScript: boolean): ImportScan {
  const plugins: ParserPlugin[] = isTypeScript ? [...SYNTAX, "typescript"] : SYNTAX;
  const options = { sourceType: "module", createImportExpressions: true, attachComment: false, plugins } as const;
  const program = parse(text, options).program as unknown as Node;
  const bindings = new Bindings(program);
  const imports: Import[] = [];
  const refused: string[] = [];
  const refuse = ({ loc }: Node, what: string): void => {
    refused.push(`line ${loc.start.line}: ${what}`);
  };

  const imported = (source: Node) => {
    const specifier = literalOf(source);
    if (specifier === undefined) return refuse(source, "an import whose name is made as it runs");
    imports.push({ specifier, start: source.start, end: source.end });
  };

  /** Checks a name that is taken out of a module or an object. */
  const named = (key: Node, isComputed = false) => {
    const name = bindings.nameOf(key, isComputed);
    if (name !== undefined && (LOADERS.has(name) || UNNAMED.has(name))) refuse(key, name);
  };

  /** Returns the guarded object that an expression is. */
  const guarded = (node: Node): string | undefined => {
    const { type, name, object, property, computed } = bare(node);
    if (type === "Identifier") {
      if (bindings.isProcess(name)) return "process";
      return GUARDED.has(name) && bindings.isGlobal(bare(node)) ? name : undefined;
    }
    if (type !== "MemberExpression" || !GLOBALS.has(guarded(object) ?? "")) return undefined;
    const found = bindings.nameOf(property, computed);
    return found !== undefined && GUARDED.has(found) ? found : undefined;
  };

  /** Returns true if a property of a guarded object leads to code. */
  const isUnsafe = (object: string, name: string) =>
    LOADERS.has(name) || UNSAFE.has(name) || (object === "Reflect" && !SAFE_OF_REFLECT.has(name)) ||
    (GLOBALS.has(object) && (GUARDED.has(name) || TIMERS.has(name)));

  /** Marks a place that passes on nothing but a yes or no, as `typeof` does. */
  const looked = (node: Node) => {
    const { type, name, object, property, computed } = bare(node);
    if (guarded(node) !== undefined || bindings.textOf(node) !== undefined) return;
    if (type === "Identifier" && (LOADERS.has(name) || TIMERS.has(name))) return;
    const isOfGuarded = type === "MemberExpression" && guarded(object) !== undefined;
    if (isOfGuarded && bindings.nameOf(property, computed) !== undefined) return;
    visit(node);
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
        for (const { imported: name, importKind } of node.specifiers) if (name && importKind !== "type") named(name);
        return imported(node.source);
      case "ExportAllDeclaration":
        if (node.exportKind === "type") return;
        if (PROCESS_MODULE.test(node.source.value)) refuse(node, "process as a value");
        return imported(node.source);
      case "ExportNamedDeclaration":
        if (node.exportKind === "type") return;
        if (!node.source) break;
        for (const { local } of node.specifiers) {
          named(local);
          const isWhole = bindings.nameOf(local, false) === "default" && PROCESS_MODULE.test(node.source.value);
          if (isWhole) refuse(local, "process as a value");
        }
        return imported(node.source);
      case "ImportExpression":
        if (PROCESS_MODULE.test(literalOf(node.source) ?? "")) refuse(node, "process as a value");
        imported(node.source);
        return node.options ? visit(node.options) : undefined;
      case "MetaProperty":
        return node.meta.name === "import" ? refuse(node, "import.meta") : undefined;
      case "Identifier":
        if ((LOADERS.has(node.name) || node.name === "getBuiltinModule") && bindings.isGlobal(node)) {
          refuse(node, node.name);
        }
        if (guarded(node) !== undefined || bindings.isTimer(node)) refuse(node, `${node.name} as a value`);
        return;
      case "Literal":
      case "TemplateLiteral":
      case "BinaryExpression": {
        const found = bindings.textOf(node);
        if (found !== undefined && UNNAMED.has(found)) return refuse(node, `the text "${found}"`);
        if (/^[!=]==?$/.test(node.operator)) {
          looked(node.left);
          looked(node.right);
          return;
        }
        if (node.operator === "in") {
          visit(node.left);
          looked(node.right);
          return;
        }
        break;
      }
      case "UnaryExpression":
        if (node.operator === "typeof" || node.operator === "!") return looked(node.argument);
        break;
      case "LogicalExpression":
        if (node.operator === "&&") {
          looked(node.left);
          visit(node.right);
          return;
        }
        break;
      case "IfStatement":
      case "ConditionalExpression":
        looked(node.test);
        visit(node.consequent);
        return node.alternate ? visit(node.alternate) : undefined;
      case "SwitchCase":
        if (node.test) looked(node.test);
        return node.consequent.forEach(visit);
      case "MemberExpression":
        return member(node);
      case "VariableDeclarator":
        if (taken(node.id, node.init)) return;
        break;
      case "AssignmentExpression":
        if (taken(node.left, node.right)) return;
        break;
      case "ObjectPattern":
        for (const { type, key, computed } of node.properties) if (type === "Property") named(key, computed);
        break;
      case "ClassDeclaration":
      case "ClassExpression":
        if (node.superClass && bindings.isOpen(node.superClass)) refuse(node, `a base ${OPEN}`);
        break;
      case "Decorator":
        if (bindings.isOpen(node.expression)) refuse(node, `a call of a property ${OPEN}`);
        break;
      case "TaggedTemplateExpression":
        if (bindings.isOpen(node.tag)) refuse(node, `a call of a property ${OPEN}`);
        break;
      case "CallExpression":
      case "NewExpression":
        if (call(node)) return;
    }
    children(node);
  };

  const member = (node: Node): void => {
    const name = bindings.nameOf(node.property, node.computed);
    const object = bare(node.object);
    const isConstructor = object.type === "MemberExpression" &&
      bindings.nameOf(object.property, object.computed) === "constructor";
    if (name === "name" && isConstructor) return visit(object.object);
    if (name !== undefined && UNNAMED.has(name)) refuse(node, name);
    const guard = guarded(object);
    if (guard === undefined) {
      const isOpen = name === undefined && !bindings.isPlainKey(node.property);
      if (isOpen && bindings.isFunction(object)) refuse(node, `a property of a function ${OPEN}`);
      return children(node);
    }
    if (name === undefined) refuse(node, `a property of ${guard} ${OPEN}`);
    else if (isUnsafe(guard, name)) refuse(node, `${guard}.${name}`);
    if (node.computed) visit(node.property);
  };

  /** Checks a pattern that takes properties out of a guarded object; returns true if it was one. */
  const taken = (pattern: Node, value: Node | null): boolean => {
    const guard = value && pattern.type === "ObjectPattern" ? guarded(value) : undefined;
    if (guard === undefined) return false;
    visit(pattern);
    takenOf(pattern, guard);
    return true;
  };

  const takenOf = (pattern: Node, guard: string): void => {
    for (const { type, key, computed, value, loc } of pattern.properties) {
      const name = type === "Property" ? bindings.nameOf(key, computed) : undefined;
      const at = { loc } as Node;
      const inner = value?.type === "AssignmentPattern" ? value.left : value;
      if (name === undefined) refuse(at, `a property of ${guard} ${OPEN}`);
      else if (GLOBALS.has(guard) && GUARDED.has(name) && inner.type === "ObjectPattern") takenOf(inner, name);
      else if (isUnsafe(guard, name)) refuse(at, `${guard}.${name}`);
    }
  };

  /** Checks a call with its parts; returns true if it needed a check. */
  const call = (node: Node): boolean => {
    const callee = bare(node.callee);
    const name = callee.type === "MemberExpression" ? bindings.nameOf(callee.property, callee.computed) : undefined;
    if (name === "getBuiltinModule") {
      const module = node.arguments.length === 1 ? bindings.textOf(node.arguments[0]) : undefined;
      if (module === undefined) refuse(node, "a module whose name is made as it runs");
      else if (LOADING_MODULES.test(module) || PROCESS_MODULE.test(module)) refuse(node, module);
      if (guarded(callee.object) === undefined) visit(callee.object);
      return true;
    }
    const isCalled = name !== undefined && /^(call|apply|bind)$/.test(name) && bindings.isOpen(callee.object);
    if (isCalled || bindings.isOpen(callee)) refuse(node, `a call of a property ${OPEN}`);
    const isOfGlobal = name !== undefined && TIMERS.has(name) && GLOBALS.has(guarded(callee.object) ?? "");
    const [first] = node.arguments;
    if (!isOfGlobal && !bindings.isTimer(callee)) {
      const isText = first && bindings.textOf(first) !== undefined && !bindings.isPlainKey(first);
      if (name !== undefined && TIMERS.has(name) && isText) refuse(node, `${name} with a text`);
      return false;
    }
    if (first && !bindings.isCallback(first)) refuse(node, `${name ?? callee.name} with what could be a text`);
    node.arguments.forEach(visit);
    return true;
  };

  const children = (node: Node) => {
    for (const [field, value] of Object.entries(node)) {
      if (!node.computed && NAMES[node.type]?.includes(field)) continue;
      for (const one of nodesIn(value)) visit(one);
    }
  };

  visit(program);
  return { imports, refused };
}

/**
 * Pattern for a package of an exact version, and a file of it: no part of the path begins with a dot, so that none
 * leaves it.
 */
const EXACT_PACKAGE = /^npm:(@[\w-][\w.-]*\/)?[\w-][\w.-]*@\d+\.\d+\.\d+(-[\w.-]+)?(\/[\w-][\w.-]*)*$/;

/** Returns the problem of an import of a package or a module of the runtime; `undefined` if there is none. */
export function problemOfImport(specifier: string): string | undefined {
  if (specifier.startsWith("node:")) {
    return LOADING_MODULES.test(specifier) ? "which loads other code" : undefined;
  }
  if (EXACT_PACKAGE.test(specifier)) return undefined;
  return specifier.startsWith("npm:")
    ? "which needs an exact version, like npm:name@1.2.3"
    : "which its hash does not cover";
}
