/**
 * The templates of `variables` in forkstack.json: which placeholders exist, and which variables they may shape.
 *
 * @module
 */
import { type Declared, declaredResources, TEMPLATE_FORMS, TEMPLATE_PART, variablePrefix } from "../../mod.ts";
import type { Catalog } from "../catalog.ts";
import { didYouMean } from "../text/did_you_mean.ts";

/** A fault of one template. */
export interface TemplateProblem {
  readonly variable: string;
  readonly text: string;
  readonly hint?: string;
}

/** The variables that an environment has in addition to its resources'. */
const OF_EACH = ["FORKSTACK_ENV", "FORKSTACK_PROJECT"];

/**
 * Variables of the checkout, and those by which a shell, a loader or an interpreter finds code: a forkstack.json is not
 * trusted to name that.
 */
const RESERVED = new RegExp(
  `^(?:${
    [
      "PORT|ENV|BASH_ENV|BASHOPTS|SHELLOPTS|SHELL|IFS|PS\\d|PROMPT_COMMAND|(?:CD)?PATH|PATHEXT|COMSPEC|HOME|PWD|USER",
      "TMP|TEMP|TMPDIR|EDITOR|VISUAL|PAGER|BROWSER|CLASSPATH|_?JAVA_(?:TOOL_)?OPTIONS|JDK_JAVA_OPTIONS",
      "PERL5\\w*|PERLLIB|RUBY(?:OPT|LIB|PATH|SHELL)|PHPRC|PHP_INI_SCAN_DIR|GO(?:FLAGS|PATH|ROOT|ENV|PROXY)|RUSTFLAGS",
      "PYTHON\\w*|(?:FORKSTACK|LD|DYLD|GIT|SSH|NODE|NPM|DENO|BUN|YARN|PNPM|PIP|UV|LUA|GEM|BUNDLE|CARGO|RUSTC|XDG)_\\w*",
      "(?:DOTNET|CORECLR|COR)_\\w*",
    ].join("|")
  })$`,
  "i",
);

/** Lists the faults of `variables`; names of a provider that is not built in are not known yet. */
export async function templateProblems(
  input: Readonly<Record<string, unknown>>,
  catalog: Catalog,
): Promise<TemplateProblem[]> {
  const templates = Object.entries(Object(input.variables)).filter((one): one is [string, string] =>
    typeof one[1] === "string"
  );
  if (templates.length === 0) return [];
  const told = await Promise.all(declared(input).map((one) => namesOf(one, catalog)));
  const isComplete = !told.includes(undefined);
  const outputs = [...told.flatMap((names) => names ?? [])];
  const problems = templates.map(async ([variable, template]): Promise<TemplateProblem | undefined> => {
    const fault = nameFault(variable, outputs) ?? await templateFault(template, [...outputs, ...OF_EACH], isComplete);
    return fault && { variable, ...fault };
  });
  return (await Promise.all(problems)).filter((one) => one !== undefined);
}

type Fault = Omit<TemplateProblem, "variable">;

function nameFault(variable: string, outputs: readonly string[]): Fault | undefined {
  const hint = 'Choose another name, like "SQLALCHEMY_URL"';
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable)) return { text: "is no name of a variable", hint };
  if (outputs.includes(variable)) return { text: "is a variable that a resource gives", hint };
  return RESERVED.test(variable) ? { text: "is reserved", hint } : undefined;
}

async function templateFault(
  template: string,
  known: readonly string[],
  isComplete: boolean,
): Promise<Fault | undefined> {
  if (/\p{C}/u.test(template)) return { text: "must be one line of text" };
  const parts = Array.from(template.matchAll(TEMPLATE_PART));
  if (parts.some(([part]) => part === "{" || part === "}")) {
    return { text: "has a brace that is part of no placeholder", hint: "Write {{ and }} for a brace itself" };
  }
  const placeholders = parts.filter(([, name]) => name !== undefined);
  const unknown = placeholders.find(([, name]) => isComplete && !known.includes(name!));
  if (unknown !== undefined) {
    const near = await didYouMean(unknown[1]!, known);
    return {
      text: `has the placeholder "${unknown[0]}", which no resource gives${near}`,
      hint: `The placeholders: ${known.join(", ")}`,
    };
  }
  const unformed = placeholders.find(([, , form = ""]) => !TEMPLATE_FORMS.has(form));
  if (unformed !== undefined) {
    const forms = Array.from(TEMPLATE_FORMS.keys()).filter(Boolean).map((form) => `{${unformed[1]}|${form}}`);
    return { text: `has the placeholder "${unformed[0]}" in no known form`, hint: `The forms: ${forms.join(", ")}` };
  }
  if (placeholders.some(([, name]) => name !== "FORKSTACK_PROJECT")) return undefined;
  return {
    text: "has no placeholder of an environment, so that its value would be the same in all",
    hint: "Set it in an env file of your own",
  };
}

function declared(input: Readonly<Record<string, unknown>>): readonly Declared[] {
  try {
    return declaredResources(input);
  } catch {
    return [{ kind: "database", provider: "", options: {} }]; // told by the schema; its variables are not known
  }
}

/** Names of the variables of a resource; `undefined` if its provider is not built in. */
async function namesOf({ kind, name, provider: by }: Declared, catalog: Catalog): Promise<string[] | undefined> {
  if (!Object.hasOwn(catalog.providers[kind], by)) return undefined;
  const { default: { variables } } = await catalog.providers[kind][by]!();
  return Object.keys(variables).map((one) => variablePrefix(name) + one);
}
