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
 * Variables of the checkout, and those by which a shell, an interpreter or a client finds code, settings, a server or a
 * person's credentials: a forkstack.json is not trusted to name that. By groups, since new ones are named as others are.
 */
const RESERVED = new RegExp(
  `^(?:${
    [
      "PORT|ENV|IFS|PS\\d|CDPATH|PATH|PATHEXT|COMSPEC|PWD|USER|LANG|DISPLAY|PREFIX|CC|CXX|CLASSPATH|TMP|TEMP|TMPDIR",
      "PG[A-Z]+|PSQL\\w*|LIBMYSQL\\w*|MYSQL_(?:HOME|HOST|PWD|TEST_LOGIN_FILE|HISTFILE|GROUP_SUFFIX|TCP_PORT|UNIX_PORT)",
      "SQLITE_HISTORY|LESS(?:OPEN|CLOSE|KEY\\w*)?|MAKE(?:FILES)?|TERM(?:INFO|CAP)?|PERL(?:LIB|[5_]\\w*)|PYTHON\\w*|SSLKEYLOGFILE|MPLBACKEND|KERAS_BACKEND|DOTENV_\\w+",
      "RUBY(?:OPT|LIB|PATH|SHELL)|GO(?:FLAGS|PATH|ROOT|ENV|PROXY)|AWS_(?:PROFILE|ROLE\\w*|CONTAINER\\w*|WEB_IDENTITY\\w*)",
      "(?:FORKSTACK|LD|DYLD|GIT|SSH|NODE|NPM|DENO|BUN|YARN|PNPM|PIP|UV|LUA|GEM|BUNDLE|CARGO|RUSTC|XDG|DOTNET|CORECLR)_\\w*",
      "(?:COR|REDISCLI|VALKEYCLI|OPENSSL|SSL|CURL|DOCKER|KUBE|GCONV|ERL|R|JULIA|CONDA|ASDF|VIRTUAL|LC|SUDO)_\\w*",
      "(?:QT|GST|BABEL|RIPGREP|TESSDATA)_\\w*|COMPOSE_FILE|FLASK_APP",
      // By their ends, whatever comes before: `HTTPS_PROXY`, `KUBECONFIG`, `INPUTRC`, `JAVA_OPTS`, `MYSQL_PAGER`.
      "\\w*(?:PROXY|PAGER|EDITOR|VISUAL|BROWSER|SHELL|SHELLOPTS|BASHOPTS|BASH_ENV|HOME|FLAGS|OPTIONS|PRELOAD|CONFIG|INIT)",
      "\\w*_(?:RC|RCFILE|OPTS?|ARGS|CONF|CONFIG_\\w+|PLUGINS?|PLUGIN_DIR|MODULES?|LOAD_PATH|PLUGIN_PATH|LIBRARY_PATH|LIBS)",
      "\\w*_(?:CERT_FILE|CERT_DIR|CA_BUNDLE|CREDENTIALS(?:_FILE)?|COMMAND|CMD|STARTUP|PROFILE\\w*)|\\w*[^S_\\W]RC",
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
    const fault = nameFault(variable, outputs) ??
      await templateFault(template, [...outputs, ...OF_EACH], isComplete);
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
  const [control] = /\p{C}/u.exec(template) ?? [];
  if (control !== undefined) {
    const at = Array.from(template.slice(0, template.indexOf(control))).length + 1;
    return { text: `has ${controlName(control)} as character ${at}`, hint: "Write it as one line of visible text" };
  }
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

/** The name of a character that cannot be seen: `"a tab"`, `"U+200B"`. */
function controlName(character: string): string {
  const code = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
  return CONTROLS[character] ?? `the invisible character U+${code}`;
}

const CONTROLS: Readonly<Record<string, string>> = { "\t": "a tab", "\n": "a line break", "\r": "a line break" };

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
