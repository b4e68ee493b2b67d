/**
 * The errors, findings and hints that the sources make, read from their syntax trees, so that none is missing. Variable
 * parts of a text are in braces.
 */
import { parse } from "npm:@babel/parser@7.29.15";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ERROR_CODES } from "../../core/cli/error_codes.ts";

/** An error in the source. */
export interface ErrorText {
  /** The code; `"…"` if it is variable. */
  readonly code: string;
  readonly message: string;
  /** The hint; `undefined` if there is none. */
  readonly hint: string | undefined;
  /** Its file and line. */
  readonly at: string;
}

interface Node {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** The parts of an error. */
interface ErrorParts {
  readonly code: Text;
  readonly message: Text;
  readonly hint: Text;
}

/** A function that makes an error with one of its parameters as a part. */
interface Relay extends ErrorParts {
  readonly parameters: readonly (string | undefined)[];
}

/** A text in pieces: literal, or a parameter of the function around it. */
type Text = readonly (string | { readonly name: string })[];

const isNode = (value: unknown): value is Node => typeof (value as Node | null)?.type === "string";

const FUNCTION = /^(FunctionDeclaration|(Arrow)?FunctionExpression|(Class|ClassPrivate|Object)Method)$/;

function programOf(source: string): Node {
  const plugins = ["typescript", "explicitResourceManagement"] as const;
  const { program } = parse(source, { sourceType: "module", attachComment: false, plugins: [...plugins] });
  return program as unknown as Node;
}

/** Calls a function with every node, and with the functions and blocks around it, the innermost last. */
function visit(node: Node, take: (node: Node, around: readonly Node[]) => void, around: readonly Node[] = []): void {
  take(node, around);
  const inner = FUNCTION.test(node.type) || node.type === "BlockStatement" ? [...around, node] : around;
  for (const [key, value] of Object.entries(node)) {
    if (key === "loc") continue;
    for (const one of Array.isArray(value) ? value : [value]) if (isNode(one)) visit(one, take, inner);
  }
}

/** The names that an expression can use. */
interface Scope {
  readonly constants: ReadonlyMap<string, Node>;
  /** Returns the text of a call of a function that only returns one. */
  readonly textOfCall: (name: string) => Text | undefined;
}

/** Returns an expression as a text; of two branches both, one after the other. */
function textOf(node: Node | undefined, scope: Scope): Text {
  if (node === undefined) return [];
  const of = (one: unknown) => textOf(one as Node, scope);
  switch (node.type) {
    case "StringLiteral":
    case "NumericLiteral":
      return [String(node.value)];
    case "TemplateLiteral": {
      const [quasis, expressions] = [node.quasis as Node[], node.expressions as Node[]];
      return quasis.flatMap((quasi, at) => [
        (quasi.value as { cooked: string }).cooked,
        ...of(expressions[at]), // the last has none
      ]);
    }
    case "BinaryExpression":
      return node.operator === "+" ? [...of(node.left), ...of(node.right)] : [{ name: nameOf(node) }];
    case "ConditionalExpression":
      return ["[", ...of(node.consequent), " | ", ...of(node.alternate), "]"];
    case "LogicalExpression":
      return node.operator === "??" ? ["[", ...of(node.left), " | ", ...of(node.right), "]"] : of(node.right);
    case "TSAsExpression":
    case "TSNonNullExpression":
    case "AwaitExpression":
    case "SpreadElement":
      return of(node.expression ?? node.argument);
    case "ArrayExpression":
      return (node.elements as Node[]).flatMap((one, at) => at === 0 ? of(one) : [". ", ...of(one)]);
    case "Identifier": {
      const name = String(node.name);
      if (name === "undefined") return [];
      const constant = scope.constants.get(name);
      return constant === undefined ? [{ name }] : of(constant);
    }
    case "CallExpression": {
      const [callee, args] = [node.callee as Node, node.arguments as Node[]];
      const inner = callee.object as Node | undefined;
      const isJoin = /^(join|filter)$/.test(String((callee.property as Node | undefined)?.name));
      if (isJoin && /^(Array|Call)Expression$/.test(inner!.type)) return of(inner);
      const body = callee.type === "Identifier" ? scope.textOfCall(String(callee.name)) : undefined;
      const isPlain = callee.name === "shown" || callee.name === "redact";
      return body ?? (isPlain ? of(args[0]) : [{ name: nameOf(node) }]);
    }
    default:
      return [{ name: nameOf(node) }];
  }
}

/** Returns the word for an expression that is no text: the last name in it. */
function nameOf(node: Node | undefined): string {
  switch (node?.type) {
    case "Identifier":
      return String(node.name);
    case "StringLiteral":
    case "NumericLiteral":
      return String(node.value);
    case "MemberExpression":
    case "OptionalMemberExpression":
      return node.computed ? nameOf(node.object as Node) : nameOf(node.property as Node);
    case "CallExpression":
    case "NewExpression": {
      const [callee, args] = [node.callee as Node, node.arguments as Node[]];
      if (callee.type !== "MemberExpression") return nameOf(args[0] ?? callee);
      return /^(stringify|round|from|keys)$/.test(nameOf(callee)) ? nameOf(args[0]) : nameOf(callee.object as Node);
    }
    case "BinaryExpression":
      return nameOf(node.left as Node);
    case "TemplateLiteral":
      return nameOf((node.expressions as Node[])[0]);
    case "ArrayExpression":
      return nameOf((node.elements as Node[])[0]);
    default:
      return node === undefined ? "…" : nameOf((node.expression ?? node.argument ?? node.right ?? node.test) as Node);
  }
}

function parametersOf(node: Node): (string | undefined)[] {
  return (node.params as Node[] | undefined ?? []).map((one) => {
    const pattern = (one.type === "AssignmentPattern" ? one.left : one) as Node;
    return pattern.type === "Identifier" ? String(pattern.name) : undefined;
  });
}

const TEXTS = /^(StringLiteral|TemplateLiteral|ConditionalExpression|BinaryExpression|ObjectExpression)$/;

/** One file: the errors that it makes, and its relays, functions that make errors from parameters. */
class SourceFile {
  readonly path: string;
  readonly #program: Node;
  readonly #names = new Map<Node, string>();
  readonly #imported = new Map<string, string>();
  readonly #constants = new Map<Node, Map<string, Node>>();
  /** The texts of functions that only return one, in all files. */
  readonly #bodies: Map<string, () => Text>;

  constructor(path: string, source: string, bodies: Map<string, () => Text>) {
    [this.path, this.#bodies] = [path, bodies];
    this.#program = programOf(source);
    visit(this.#program, (node, around) => {
      const [id, init] = [node.id as Node | null, node.init as Node | null];
      if (node.type === "FunctionDeclaration" && id) {
        this.#names.set(node, String(id.name));
        const all = (node.body as { body?: Node[] }).body ?? [];
        const [only] = all;
        const given = only?.argument as Node | undefined;
        if (
          all.length === 1 && only!.type === "ReturnStatement" && /^(String|Template)Literal$/.test(given?.type ?? "")
        ) {
          this.#bodies.set(`${path} ${id.name}`, () => this.#text(given, [...around, node]));
        }
      }
      if (node.type === "ImportDeclaration") {
        const from = new URL((node.source as Node).value as string, `file:///${path}`).pathname.slice(1);
        for (const one of node.specifiers as Node[]) {
          const name = (one.imported as Node | undefined)?.name;
          if (name !== undefined) this.#imported.set(String((one.local as Node).name), `${from} ${name}`);
        }
      }
      if (node.type !== "VariableDeclarator" || id?.type !== "Identifier" || !init) return;
      if (FUNCTION.test(init.type)) this.#names.set(init, String(id.name));
      if (!TEXTS.test(init.type)) return;
      const scope = around.at(-1) ?? this.#program;
      if (!this.#constants.has(scope)) this.#constants.set(scope, new Map());
      this.#constants.get(scope)!.set(String(id.name), init);
    });
  }

  /** Lists the errors made here, directly and by calls of relays; adds the relays of this file to `found`. */
  read(relays: ReadonlyMap<string, Relay>, found: Map<string, Relay>): ErrorText[] {
    const errors: ErrorText[] = [];
    visit(this.#program, (node, around) => {
      const made = this.#made(node, around) ?? this.#relayed(node, around, relays) ?? this.#row(node, around);
      if (made === undefined) return;
      const relay = this.#relayOf(made, around);
      if (relay !== undefined) {
        return void found.set(`${this.path} ${relay.name}`, { ...made, parameters: relay.parameters });
      }
      const { line } = (node.loc as { start: { line: number } }).start;
      const [code, message, hint] = [made.code, made.message, made.hint].map(plain);
      errors.push({ code: code!, message: message!, hint: hint === "" ? undefined : hint, at: `${this.path}:${line}` });
    });
    return errors;
  }

  #made(node: Node, around: readonly Node[]): ErrorParts | undefined {
    if (node.type !== "NewExpression" || (node.callee as Node).name !== "ForkstackError") return undefined;
    const [code, message, options] = node.arguments as (Node | undefined)[];
    const constants = this.#constantsOf(around);
    const given = options?.type === "Identifier" ? constants.get(String(options.name)) : options;
    const hint = (given?.properties as Node[] | undefined)?.find((one) =>
      (one.key as Node | undefined)?.name === "hint"
    );
    const parts = [code, message, hint?.value as Node | undefined];
    const [a, b, c] = parts.map((one) => this.#text(one, around));
    return { code: a!, message: b!, hint: c! };
  }

  #relayed(node: Node, around: readonly Node[], relays: ReadonlyMap<string, Relay>): ErrorParts | undefined {
    if (node.type !== "CallExpression") return undefined;
    const name = String((node.callee as Node).name);
    const relay = relays.get(this.#imported.get(name) ?? `${this.path} ${name}`);
    if (relay === undefined) return undefined;
    const given = new Map(relay.parameters.map((one, at) => [one, (node.arguments as Node[])[at]]));
    const fill = (text: Text): Text =>
      text.flatMap((piece) => {
        if (typeof piece === "string" || !given.has(piece.name)) return [piece];
        return this.#text(given.get(piece.name), around);
      });
    return { code: fill(relay.code), message: fill(relay.message), hint: fill(relay.hint) };
  }

  /** Reads a row of a table: `{ code, state, hint }`, or `["DISK_FULL", "the disk is full", "Free some space"]`. */
  #row(node: Node, around: readonly Node[]): ErrorParts | undefined {
    const of = (one: Node | undefined) => this.#text(one, around);
    if (node.type === "ArrayExpression") {
      const [code, message, hint] = (node.elements as (Node | null)[]).map((one) => one ?? undefined);
      const isCode = (one: Node | undefined) =>
        one?.type === "StringLiteral" && Object.hasOwn(ERROR_CODES, String(one.value));
      if (!isCode(code) || message === undefined || isCode(message)) return undefined; // two codes: a list of them
      const isFlag = message.type === "BooleanLiteral"; // whether it may pass: the message is the server's
      return { code: of(code), message: isFlag ? [{ name: "what the server said" }] : of(message), hint: of(hint) };
    }
    if (node.type !== "ObjectExpression") return undefined;
    const property = (...names: string[]) =>
      (node.properties as Node[]).find((one) => names.includes(String((one.key as Node | undefined)?.name)))
        ?.value as Node | undefined;
    const [message, hint] = [property("message", "state", "problem"), property("hint", "fix")];
    if (message === undefined || hint === undefined) return undefined;
    return { code: of(property("code")), message: of(message), hint: of(hint) };
  }

  #text(node: Node | undefined, around: readonly Node[]): Text {
    const textOfCall = (name: string) => this.#bodies.get(this.#imported.get(name) ?? `${this.path} ${name}`)?.();
    return textOf(node, { constants: this.#constantsOf(around), textOfCall });
  }

  /** Returns named texts that are visible inside these functions; an inner one hides an outer one's. */
  #constantsOf(around: readonly Node[]): Map<string, Node> {
    const found = new Map(this.#constants.get(this.#program));
    for (const scope of around) {
      for (const name of parametersOf(scope)) found.delete(name ?? "");
      for (const [name, value] of this.#constants.get(scope) ?? []) found.set(name, value);
    }
    return found;
  }

  /** Returns the function around that gets a part of an error as a parameter: its callers make the error. */
  #relayOf(made: ErrorParts, around: readonly Node[]): { name: string; parameters: Relay["parameters"] } | undefined {
    const whole = [made.code, made.message, made.hint].flatMap(([first, ...more]) =>
      typeof first === "object" && more.length === 0 ? [first.name] : []
    );
    for (const scope of around.toReversed()) {
      const [name, parameters] = [this.#names.get(scope), parametersOf(scope)];
      if (name !== undefined && whole.some((one) => parameters.includes(one))) return { name, parameters };
    }
    return undefined;
  }
}

const plain = (text: Text): string =>
  text.map((piece) => typeof piece === "string" ? piece : `{${piece.name}}`).join("");

/** Parses every source that users run. */
async function sources(root: string): Promise<(readonly [path: string, source: string])[]> {
  const paths = ["mod.ts"];
  for (const room of ["core", "providers"]) {
    for (const inside of await readdir(join(root, room), { recursive: true })) {
      if (inside.endsWith(".ts")) paths.push(`${room}/${inside.replaceAll("\\", "/")}`);
    }
  }
  return await Promise.all(paths.sort().map(async (path) => [path, await readFile(join(root, path), "utf8")] as const));
}

/** Lists every error that the sources make, by file and line. */
export async function errorTexts(root: string): Promise<ErrorText[]> {
  const bodies = new Map<string, () => Text>();
  const files = (await sources(root)).map(([path, source]) => new SourceFile(path, source, bodies));
  let relays = new Map<string, Relay>();
  for (let depth = 0;; depth++) { // what a relay gives may be another's
    const found = new Map<string, Relay>();
    const errors = files.flatMap((file) => file.read(relays, found));
    if (depth === 4) return errors;
    relays = found;
  }
}

/** A text in the source that names a command line between backticks. */
export interface CommandText {
  /** The text; variable parts are `{}`. */
  readonly text: string;
  /** Its files and lines. */
  readonly at: readonly string[];
}

/** A command line: a program's name with a word after it, or one that is put together elsewhere. */
const COMMAND = /`(?:[a-z][\w.-]* |\{\}`)/;

/** Lists every text with a command line, but for pages of help and templates, by the syntax tree: hints, findings, next steps. */
export async function commandTexts(root: string): Promise<CommandText[]> {
  const found = new Map<string, string[]>();
  for (const [path, source] of await sources(root)) {
    if (path === "core/cli/help_pages.ts" || path.startsWith("core/setup/templates/")) continue;
    visit(programOf(source), (node, around) => {
      if (path.startsWith("core/cli/commands/") && around.length === 0) return; // the page of the command
      const pieces = node.type === "TemplateLiteral"
        ? (node.quasis as { value: { cooked: string } }[]).map(({ value }) => value.cooked)
        : [];
      const text = node.type === "StringLiteral" ? String(node.value) : pieces.join("{}");
      if (!COMMAND.test(text)) return;
      const { line } = (node.loc as { start: { line: number } }).start;
      found.set(text, [...found.get(text) ?? [], `${path}:${line}`]);
    });
  }
  return [...found].map(([text, at]) => ({ text, at }));
}
