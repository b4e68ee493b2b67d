/**
 * Statements in place of tricks: rules for `deno lint` over the code that ships. A ternary inside a ternary is early
 * returns, a switch or a table; what a comma joins are statements of their own; an object or an array that is spread on a
 * condition is a field that may be `undefined`, or a statement; five parameters are fields of an object.
 *
 * An exception stands where it is: `// deno-lint-ignore statements/most-parameters -- why`.
 *
 * @module
 */
const SHIPPED = /[\\/](core|providers|tools)[\\/]|[\\/]cli\.ts$/;
const TESTS = /[\\/]tests[\\/]/;
const MOST_PARAMETERS = 4;
/**
 * Names of parameters that do not count. Every method of a provider gets its context and a scope or target first
 * (core/provider.ts), and the functions of its file pass them on: nobody mistakes them for one another.
 */
const HANDED_ON = ["context", "scope", "target"];

const plugin: Deno.lint.Plugin = {
  name: "statements",
  rules: {
    "no-nested-ternary": rule((report) => ({
      "ConditionalExpression > ConditionalExpression"(node) {
        report(node, "A ternary inside a ternary: early returns, a switch or a table read better");
      },
    })),
    "no-comma": rule((report) => ({
      SequenceExpression(node) {
        report(node, "A comma joins expressions: make them statements of their own");
      },
    })),
    "no-conditional-spread": rule((report) => ({
      SpreadElement({ argument }) {
        const { type } = argument;
        const isConditional = type === "ConditionalExpression" ||
          type === "LogicalExpression" && argument.operator === "&&";
        if (isConditional) {
          report(argument, "Spread on a condition: let the field be undefined, or add it by a statement");
        }
      },
    })),
    "most-parameters": rule((report) => {
      type Node = Deno.lint.FunctionDeclaration | Deno.lint.FunctionExpression | Deno.lint.ArrowFunctionExpression;
      const check = (node: Node) => {
        const own = node.params.filter((one) => one.type !== "Identifier" || !HANDED_ON.includes(one.name));
        if (own.length <= MOST_PARAMETERS) return;
        report(node, `${own.length} parameters by position: give those that belong together as one object`);
      };
      return { FunctionDeclaration: check, FunctionExpression: check, ArrowFunctionExpression: check };
    }),
  },
};
export default plugin;

type Report = (node: Deno.lint.Node, message: string) => void;

/** Wraps a rule so that it looks at shipped code only. */
function rule(visitor: (report: Report) => Deno.lint.LintVisitor): Deno.lint.Rule {
  return {
    create(context) {
      const isShipped = SHIPPED.test(context.filename) && !TESTS.test(context.filename);
      return isShipped ? visitor((node, message) => context.report({ node, message })) : {};
    },
  };
}
