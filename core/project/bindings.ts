/**
 * The names in a file and their values, as far as a parser can know them: which text a key is, and whether a value is a
 * function. A name counts once for the whole file; if two scopes use it, all values of both count.
 *
 * @module
 */

/** A node of the parser's syntax tree. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly loc: { readonly start: { readonly line: number } };
  // deno-lint-ignore no-explicit-any -- each type of node has its own fields
  readonly [field: string]: any;
}

export const TIMERS = new Set(["setTimeout", "setInterval", "setImmediate"]);
export const PROCESS_MODULE = /^(node:)?process$/;

const FUNCTION = /^(ArrowFunctionExpression|(Function|Class)(Expression|Declaration))$/;
const IS_RUN = /^(ArrowFunctionExpression|Function(Expression|Declaration))$/;
const SCOPE =
  /^(ArrowFunctionExpression|Function(Expression|Declaration)|(Block|For|ForIn|ForOf)Statement|CatchClause|StaticBlock)$/;
const ARITHMETIC = new Set(["-", "*", "/", "%", "**", "|", "&", "^", "<<", ">>", ">>>"]);

/** The values of the names in a file. */
export class Bindings {
  /** Values by name; `undefined` is an unknown value, such as a parameter's. */
  readonly #values = new Map<string, (Node | undefined)[]>();
  readonly #texts = new Map<Node, string | undefined>();
  readonly #ofProcess = new Set<string>();
  /** Scopes in which a name of the file hides the global one. */
  readonly #scopes = new Map<string, Node[]>();

  constructor(program: Node) {
    this.#collect(program, program);
  }

  /** Returns true if a name is an import of all of `node:process`. */
  isProcess(name: string): boolean {
    return this.#ofProcess.has(name);
  }

  /** Returns true if an identifier is a global of the runtime, and not declared in the file around it. */
  isGlobal({ name, start, end }: Node): boolean {
    return !this.#scopes.get(name)?.some((scope) => scope.start <= start && end <= scope.end);
  }

  /** Returns true if an expression is the runtime's timer. */
  isTimer(node: Node): boolean {
    return node.type === "Identifier" && TIMERS.has(node.name) && this.isGlobal(node);
  }

  /** Returns the text of an expression that is constant. */
  textOf(node: Node): string | undefined {
    const one = bare(node);
    if (this.#texts.has(one)) return this.#texts.get(one);
    this.#texts.set(one, undefined); // where it leads back to itself
    const text = this.#fold(one);
    this.#texts.set(one, text);
    return text;
  }

  #fold(one: Node): string | undefined {
    switch (one.type) {
      case "Literal":
        return /^(string|number)$/.test(typeof one.value) ? String(one.value) : undefined;
      case "TemplateLiteral": {
        const texts = one.quasis.flatMap(({ value }: Node, i: number) =>
          i === 0 ? [value.cooked] : [this.textOf(one.expressions[i - 1]), value.cooked]
        );
        return texts.some((text: unknown) => typeof text !== "string") ? undefined : texts.join("");
      }
      case "BinaryExpression": {
        if (one.operator !== "+") return undefined;
        const [left, right] = [this.textOf(one.left), this.textOf(one.right)];
        return left === undefined || right === undefined ? undefined : left + right;
      }
      case "Identifier": {
        const values = this.#values.get(one.name);
        return values?.length === 1 && values[0] ? this.textOf(values[0]) : undefined;
      }
    }
  }

  /** Returns the name of a property, if it is constant. */
  nameOf(key: Node, isComputed: boolean): string | undefined {
    if (isComputed) return this.textOf(key);
    return key.type === "PrivateIdentifier" ? `#${key.name}` : key.name ?? literalOf(key);
  }

  /** Returns true if a key is a number or a symbol, and so no member's name. */
  isPlainKey(node: Node): boolean {
    return this.#isNumber(node) || this.#isSymbol(node);
  }

  /** Returns true if a value is certainly a function or a class. */
  isFunction(node: Node): boolean {
    return this.#some(node, ({ type }) => FUNCTION.test(type));
  }

  /** Returns true if a value is a property with an unknown name, of anything but a literal. */
  isOpen(node: Node): boolean {
    return this.#some(
      node,
      ({ type, object, property, computed }) =>
        type === "MemberExpression" && this.nameOf(property, computed) === undefined && !this.isPlainKey(property) &&
        !this.#every(object, (one) => /^(Object|Array)Expression$/.test(one.type)),
    );
  }

  /** Returns true if an expression is certainly no text. */
  isCallback(node: Node): boolean {
    if (this.textOf(node) !== undefined) return false;
    return !this.#some(node, ({ type, callee }) => {
      if (/^(Identifier|MemberExpression|(Conditional|Logical|Sequence|Assignment)Expression)$/.test(type)) {
        return false;
      }
      if (FUNCTION.test(type)) return false;
      return !(type === "CallExpression" && bare(callee).property?.name === "bind");
    });
  }

  #isNumber(node: Node, seen = new Set<Node>()): boolean {
    return this.#every(node, ({ type, value, operator, left, right, callee }) => {
      if (type === "Literal") return typeof value === "number";
      if (type === "UpdateExpression") return true;
      if (type === "UnaryExpression") return /^[-+~]$/.test(operator);
      if (type === "CallExpression") return callee.name === "Number" && !this.#values.has("Number");
      if (type !== "BinaryExpression") return false;
      return ARITHMETIC.has(operator) ||
        (operator === "+" && this.#isNumber(left, seen) && this.#isNumber(right, seen));
    }, seen);
  }

  #isSymbol(node: Node): boolean {
    if (this.#values.has("Symbol")) return false;
    return this.#every(node, (one) => {
      const { type, object, name } = one.type === "CallExpression" ? bare(one.callee) : one;
      return type === "MemberExpression"
        ? object.name === "Symbol"
        : one.type === "CallExpression" && name === "Symbol";
    });
  }

  /** Returns true if the test holds for one of the possible values of an expression. */
  #some(node: Node, is: (one: Node) => boolean, seen = new Set<Node>()): boolean {
    const one = bare(node);
    if (seen.has(one)) return false;
    seen.add(one);
    const values = this.#valuesOf(one);
    return is(one) || values.some((value) => value !== undefined && this.#some(value, is, seen));
  }

  /** Returns true if all possible values of an expression are known and pass the test. */
  #every(node: Node, is: (one: Node) => boolean, seen = new Set<Node>()): boolean {
    const one = bare(node);
    if (seen.has(one)) return true;
    seen.add(one);
    const values = this.#valuesOf(one);
    if (values.length === 0) return is(one);
    return values.every((value) => value !== undefined && this.#every(value, is, seen));
  }

  #valuesOf(node: Node): readonly (Node | undefined)[] {
    switch (node.type) {
      case "Identifier":
        return this.#values.get(node.name) ?? [];
      case "ConditionalExpression":
        return [node.consequent, node.alternate];
      case "LogicalExpression":
        return [node.left, node.right];
      case "SequenceExpression":
        return node.expressions.slice(-1);
      case "AssignmentExpression":
        return [node.right];
      case "AwaitExpression":
        return [node.argument];
      default:
        return [];
    }
  }

  /** Reads the declarations of a node, valid in `scope`. */
  #collect(node: Node, scope: Node | undefined): void {
    const { type } = node;
    if (node.declare === true) return;
    if (type === "ImportDeclaration") return this.#import(node, scope);
    if (type === "VariableDeclaration") {
      for (const one of node.declarations) {
        this.#bind(one.id, one.init ?? undefined, node.kind === "var" ? undefined : scope);
      }
    }
    if (/^(Function|Class)Declaration$/.test(type) && node.id) this.#bind(node.id, node, scope);
    if (/^((Function|Class)Expression|TSEnumDeclaration)$/.test(type) && node.id) this.#bind(node.id, node);
    if (/^TSModule/.test(type)) scope = undefined; // may be gone when the file runs
    if (SCOPE.test(type)) scope = node;
    if (type === "SwitchStatement") scope = undefined; // what is switched on lies outside of it
    if (IS_RUN.test(type)) { for (const one of node.params) this.#bind(one, undefined, scope); }
    if (type === "CatchClause" && node.param) this.#bind(node.param, undefined, scope);
    if (/^For(In|Of)Statement$/.test(type) && node.left.type !== "VariableDeclaration") this.#bind(node.left);
    if (type === "AssignmentExpression") {
      const isSame = /^(=|\|\|=|&&=|\?\?=)$/.test(node.operator);
      const made = { ...node, type: "BinaryExpression", operator: node.operator.slice(0, -1) };
      this.#bind(node.left, isSame ? node.right : made);
    }
    for (const value of Object.values(node)) for (const one of nodesIn(value)) this.#collect(one, scope);
  }

  #import({ specifiers, source, importKind }: Node, scope?: Node): void {
    if (importKind === "type") return;
    for (const { type, imported, local, importKind } of specifiers) {
      if (importKind === "type") continue;
      const isWhole = type !== "ImportSpecifier" || (imported.name ?? imported.value) === "default";
      if (isWhole && PROCESS_MODULE.test(source.value)) this.#ofProcess.add(local.name);
      this.#bind(local, undefined, /^(node:)?timers$/.test(source.value) ? undefined : scope);
    }
  }

  /** Assigns values to the names of a pattern. */
  #bind(pattern: Node, value?: Node, scope?: Node): void {
    switch (pattern.type) {
      case "Identifier":
        listIn(this.#values, pattern.name).push(value);
        if (scope) listIn(this.#scopes, pattern.name).push(scope);
        return;
      case "AssignmentPattern":
        this.#bind(pattern.left, value, scope);
        return this.#bind(pattern.left, pattern.right, scope);
      case "RestElement":
        return this.#bind(pattern.argument, undefined, scope);
      case "TSParameterProperty":
        return this.#bind(pattern.parameter, undefined, scope);
      case "ArrayPattern":
        for (const [i, one] of pattern.elements.entries()) {
          const isKnown = value?.type === "ArrayExpression" && value.elements[i]?.type !== "SpreadElement";
          if (one) this.#bind(one, isKnown ? value.elements[i] ?? undefined : undefined, scope);
        }
        return;
      case "ObjectPattern":
        for (const { type, key, computed, value: inner, argument } of pattern.properties) {
          const taken = { ...pattern, type: "MemberExpression", object: value ?? pattern, property: key, computed };
          if (type === "RestElement") this.#bind(argument, undefined, scope);
          else this.#bind(inner, taken, scope);
        }
    }
  }
}

function listIn<T>(lists: Map<string, T[]>, name: string): T[] {
  const list = lists.get(name) ?? [];
  lists.set(name, list);
  return list;
}

/** Returns the text of a literal. */
export function literalOf(node: Node): string | undefined {
  if (node.type === "Literal" && typeof node.value === "string") return node.value;
  return node.type === "TemplateLiteral" && node.expressions.length === 0 ? node.quasis[0].value.cooked : undefined;
}

/** Returns an expression without parentheses and types around it. */
export function bare(node: Node): Node {
  return /^(ChainExpression|ParenthesizedExpression|TS\w+)$/.test(node.type) && node.expression
    ? bare(node.expression)
    : node;
}

/** Lists the nodes in a field. */
export function nodesIn(value: unknown): Node[] {
  return [value].flat().filter((one): one is Node =>
    typeof one === "object" && one !== null && typeof (one as Node).type === "string"
  );
}
