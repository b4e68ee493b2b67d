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
 * The endings by which a name says that its value is data of an app. A variable of another name may be one by which a
 * program finds its settings, its code or a server: nobody can list those, and a forkstack.json is not trusted to set
 * them.
 */
const DATA = new RegExp(
  `(?:^|_)(?:${
    [
      "UR[LI]S?|DSN|CONN|CONNECTION|CONNECTION_STRING|DB|DATABASE|SQLITE|POSTGRES|MYSQL|REDIS|BROKER|RESULT_BACKEND",
      "(?:DB|DATABASE|REDIS|CACHE|QUEUE)_(?:URL|URI|DSN)_\\w+|SCHEMA|BUCKET|QUEUE|TOPIC|NAMESPACE|TENANT|NAME|ID|REGION",
      "KEYS?|TOKEN|SECRET|ORIGINS?|STAGE|(?:CACHE|QUEUE|KEY|REDIS|BUCKET|TABLE|S3)_PREFIX",
      "(?:APP|FLASK|RAILS|RACK|SENTRY|DEPLOY)_ENV(?:IRONMENT)?",
      "(?:DB|DATABASE|SQLITE|BUCKET|STORAGE|UPLOADS?|MEDIA)_(?:PATH|FILE|FILENAME|DIR|ROOT)",
    ].join("|")
  })(?:_?\\d+)?$|^DATA_(?:PATH|DIR)$|^(?:(?:NEXT|NUXT|EXPO)_PUBLIC|VITE|REACT_APP)_\\w+$|^ConnectionStrings__\\w+$`,
  "i",
);

/** Names of the checkout, and of programs that find code by names with such endings, too. */
const RESERVED =
  /^(?:PYTHON\w*|(?:FORKSTACK|LD|DYLD|GIT|SSH|NODE|NPM|DENO|BUN|YARN|PNPM|PIP|UV|LUA|GEM|BUNDLE|CARGO|RUSTC|XDG|DOTNET|CORECLR|COR)_\w*)$/i;

/** A host that is near by: of this machine, or of a name without a dot. */
const NEAR =
  "(?:[^/?#@\\s\0]*@)?(?:(?:[a-z\x01][\\w\x01-]*\\.)*localhost|[a-z\x01][\\w\x01-]*|127\\.0\\.0\\.1|\\[::1\\])" +
  "(?::\\d+)?(?=[/?#]|$)";

/**
 * Finds a host in a template in which `\0` stands for a URL of a resource and `\1` for another value. Clients send a
 * person's credentials to the host of a URL (`OPENAI_BASE_URL`, `SENTRY_URL`), so that it must be a resource's, or near
 * by. Browsers' parsers take `https:/a` and `https:\\a` for `https://a`.
 * https://url.spec.whatwg.org/#special-authority-slashes-state (2026-11)
 */
const FAR_HOST = new RegExp(
  [
    `(?:https?|wss?|ftp):(?!//(?:\0|${NEAR}))`,
    `(?<=^|[:=,;\\s"'(])//(?!/|$|\0|${NEAR})`,
    `\0(?![/?#;&\\s"'})]|$)`,
  ].join("|"),
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
      await templateFault(template, { known: [...outputs, ...OF_EACH], isComplete, project: String(input.project) });
    return fault && { variable, ...fault };
  });
  return (await Promise.all(problems)).filter((one) => one !== undefined);
}

type Fault = Omit<TemplateProblem, "variable">;

function nameFault(variable: string, outputs: readonly string[]): Fault | undefined {
  const hint = 'Choose another name, like "SQLALCHEMY_URL": docs/variables.md lists the endings';
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable)) return { text: "is no name of a variable", hint };
  if (outputs.includes(variable)) return { text: "is a variable that a resource gives", hint };
  return DATA.test(variable) && !RESERVED.test(variable) ? undefined : { text: "is reserved", hint };
}

async function templateFault(
  template: string,
  { known, isComplete, project }: {
    readonly known: readonly string[];
    readonly isComplete: boolean;
    readonly project: string;
  },
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
  if (FAR_HOST.test(withStandIns(template, project))) {
    return {
      text: "names a host of its own, to which a program could send credentials",
      hint: 'Take the host from a resource, as in "https://{DATABASE_URL|rest}", or set it in an env file of your own',
    };
  }
  if (placeholders.some(([, name]) => name !== "FORKSTACK_PROJECT")) return undefined;
  return {
    text: "has no placeholder of an environment, so that its value would be the same in all",
    hint: "Set it in an env file of your own",
  };
}

/** A template with signs for its values: a path, a URL or its rest, or another; the project's name is the repository's. */
function withStandIns(template: string, project: string): string {
  return template.replace(TEMPLATE_PART, (part, name?: string, form?: string) => {
    if (name === undefined) return part[0]!;
    if (form === "rest" || /_(?:UR[LI]|ADDR)/.test(name)) return "\0";
    if (form === "url" || /_(?:PATH|FILE)$/.test(name)) return "/\x01";
    return name === "FORKSTACK_PROJECT" ? project : "\x01";
  });
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
