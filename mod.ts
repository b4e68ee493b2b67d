/**
 * The runtime of forkstack: the current environment, and the names and values of its database, bucket, secrets, cache,
 * queue and local directory. One file, `node:` built-ins only, nothing done on import; it runs in Deno, Bun and
 * Node 22.18+, imported by URL, from a package, or copied.
 *
 * ```ts
 * import { getBucketName, getDatabaseUrl, getSecret } from "./mod.ts";
 * ```
 *
 * A getter returns a value of the current environment or throws; it never returns another environment's value.
 *
 * @module
 */
// ---- getters

/**
 * The current environment: `FORKSTACK_ENV`, then `ENV` unless it holds a `/`, then `.current-env`, then `"dev"`, but in
 * a linked git worktree.
 *
 * @throws {ForkstackError} NAME_INVALID if that is not a legal name.
 * @throws {ForkstackError} ENV_UNSET in a linked git worktree that points to none.
 * @throws {ForkstackError} ENV_UNKNOWN if it was never made here, or was deleted.
 * @throws {ForkstackError} ENV_CONFLICT if files or variables contradict each other: see docs/environments.md.
 */
export function getCurrentEnv(): string {
  return stack().current();
}

/** The project's name, from forkstack.json or `FORKSTACK_PROJECT`. */
export function getProjectName(): string {
  return stack().project;
}

/** The database's URL, e.g. `"file:///app/.forkstack/sqlite/myapp-alice.db"`. */
export function getDatabaseUrl(name?: string): string {
  return stack().of("database", "DATABASE_URL", name);
}

/** The database's file, e.g. `"/app/.forkstack/sqlite/myapp-alice.db"`, of `sqlite`. */
export function getDatabasePath(name?: string): string {
  return stack().of("database", "DATABASE_PATH", name);
}

/** The database's token, or `undefined` if its provider has none. */
export function getDatabaseAuthToken(name?: string): string | undefined {
  return stack().optionalOf("database", "DATABASE_AUTH_TOKEN", name);
}

/** The bucket's name, e.g. `"myapp-bucket-alice"`. */
export function getBucketName(name?: string): string {
  return stack().of("storage", "BUCKET_NAME", name);
}

/** The settings of an S3 client for the bucket, or the directory of a local one. */
export function getStorageConfig(name?: string): StorageConfig {
  return stack().storage(name);
}

/** The directory for databases in files, e.g. `"/app/myapp.alice.db"`; the first call makes it if the process may. */
export function getLocalPath(name?: string): string {
  return stack().localPath(name);
}

/** The cache's URL, e.g. `"rediss://..."`. */
export function getCacheUrl(name?: string): string {
  return stack().of("cache", "CACHE_URL", name);
}

/** The queue's URL. */
export function getQueueUrl(name?: string): string {
  return stack().of("queue", "QUEUE_URL", name);
}

/** The beginning of every queue name of this environment. */
export function getQueuePrefix(name?: string): string {
  return stack().of("queue", "QUEUE_PREFIX", name);
}

/** Any variable by its full name: `"UPLOADS_BUCKET_NAME"`, or one of `variables` in forkstack.json. */
export function getVariable(name: string): string {
  return stack().variable(name);
}

/**
 * One secret: in a deployment from the process environment; else from the environment's file, then from the provider,
 * which is asked for all of them at once, and again after five minutes.
 *
 * @param options `default` is returned if nothing gives the secret; without it that is an error.
 * @throws {ForkstackError} SECRET_MISSING, naming the key and the environment.
 */
export async function getSecret(key: string, options?: { readonly default?: string }): Promise<string> {
  return await stack().secret(key, options?.default);
}

/** All secrets that the provider holds for the current environment. */
export async function getAllSecrets(): Promise<Record<string, string>> {
  return await stack().secrets();
}

/** Sets a secret at the provider. */
export async function setSecret(key: string, value: string): Promise<void> {
  await stack().setSecret(key, value);
}

/** Opens the stack of a directory other than the process's own, or under other variables. */
export function openStack(options: OpenOptions = {}): Stack {
  return new Stack(options);
}

let current: Stack | undefined;

/** The process's own stack, opened once. */
const stack = (): Stack => current ??= new Stack();

/** Settings of an S3 client; those that the provider does not use are absent. */
export interface StorageConfig {
  /** The bucket's name, e.g. `"myapp-bucket-alice"`. */
  readonly bucket: string;
  /** The S3 endpoint, e.g. `"https://t3.storage.dev"`. */
  readonly endpoint?: string;
  /** The S3 region, e.g. `"auto"`. */
  readonly region?: string;
  /** The access key made for this environment. */
  readonly accessKeyId?: string;
  /** The secret half of the access key. */
  readonly secretAccessKey?: string;
  /** The third part of keys that expire. */
  readonly sessionToken?: string;
  /** The bucket's directory, if the provider is `local`. */
  readonly path?: string;
}

/** Reads one variable of the process environment; `undefined` if it is unset. */
export type ReadVariable = (name: string) => string | undefined;

/** Options of `openStack()`. */
export interface OpenOptions {
  /** The directory from which forkstack.json is searched upwards. @default {process.cwd()} */
  readonly cwd?: string;
  /** The process environment. @default {process.env, one variable at a time} */
  readonly read?: ReadVariable;
}

// ---- the stack of a directory

/** One environment's values; its methods are the getters of the same names, which use the process's own stack. */
export class Stack {
  /** The source that decided which environment is current; `"nothing"` in a linked git worktree without a pointer. */
  readonly decidedBy: DecidedBy;
  /** The directory of `.current-env`: that of forkstack.json, or in a linked git worktree its like. */
  readonly root: string | undefined;
  readonly #cwd: string;
  readonly #config: Config | undefined;
  readonly #source: ReadVariable;
  readonly #denied: Set<string> = new Set();
  readonly #env: string | undefined;
  readonly #facts: Facts; // those that are known without the files of variables
  readonly #known: Map<string, unknown> = new Map();
  #answers: Answers = { untilMs: 0, secrets: new Map() };

  /** Use `openStack()`. */
  constructor({ cwd = deno?.cwd() ?? process.cwd(), read }: OpenOptions = {}) {
    this.#cwd = withoutEnd(cwd);
    this.#source = read ?? ((name) => deno === undefined ? process.env[name] : deno.env.get(name));
    const [env, deployment] = [this.#raw("FORKSTACK_ENV"), this.#raw("ENV")];
    const isNamed = env !== undefined || deploymentOf(deployment) !== undefined;
    // A deployment needs no files: its process environment holds it all.
    const place = isNamed ? attempt(() => findProject(this.#cwd)) : findProject(this.#cwd);
    this.root = place?.root;
    this.#config = place?.configRoot === undefined ? undefined : readConfig(place.configRoot, this.#cwd);
    const pointer = this.#text(".current-env");
    if (!isNamed && pointer === undefined && this.#denied.size > 0) {
      const message = "Cannot tell the current environment: FORKSTACK_ENV and ENV are not readable";
      throw new ForkstackError("ENV_UNREADABLE", message, { hint: "Grant --allow-env=FORKSTACK_ENV,ENV" });
    }
    const run = this.#raw("FORKSTACK_RUN")?.split(" ")[0];
    this.#facts = {
      process: { env, deployment, project: this.#variable("FORKSTACK_PROJECT"), run },
      project: this.#config?.project,
      pointer,
      isLinkedWorktree: place?.isLinkedWorktree,
    };
    ({ env: this.#env, decidedBy: this.decidedBy } = decide(this.#facts));
  }

  /** The current environment, e.g. `"alice"`, before the guard has looked at it; throws ENV_UNSET if none is named. */
  get env(): string {
    return this.#env ?? this.current();
  }

  /** The current environment, if the guard agrees; see `getCurrentEnv()`. */
  current(): string {
    return this.#once("#current", () => guard(this.#written.facts).env);
  }

  /** The project's name. */
  get project(): string {
    const { project, process } = this.#facts;
    const name = project ?? process?.project ?? textIn(this.#written.own, "FORKSTACK_PROJECT");
    if (name !== undefined) return name;
    const hint = 'Create forkstack.json with {"project": "myapp"}, or set FORKSTACK_PROJECT';
    throw new ForkstackError("CONFIG_MISSING", "Cannot name the project: no forkstack.json was found", { hint });
  }

  /** The directory that holds `.forkstack/`; `undefined` without a project directory. */
  get stateRoot(): string | undefined {
    return this.#once("#state root", () => this.root && this.#stateOf(this.root));
  }

  /** The directory of a checkout's state: the user's choice holds for all checkouts. */
  #stateOf(root: string): string {
    return chosenState(this.#variable("FORKSTACK_STATE"), [this.root!, this.#cwd]) ?? stateRoot(root);
  }

  /** @internal The one resource of a kind that is meant, or an error that names the choices. */
  resource(kind: Kind, name?: string): Declared | undefined {
    if (this.#config === undefined) return name === undefined ? undefined : { kind, name, provider: "", options: {} };
    const all = declaredResources(this.#config).filter((one) => one.kind === kind);
    const found = name === undefined ? all : all.filter((one) => one.name === name);
    if (found.length === 1 || (name === undefined && all.length === 0)) return found[0];
    const choices = all.map((one) => `"${one.name}"`).join(", ") || "none";
    if (name === undefined) throw new RangeError(`There is more than one ${kind}: name one of ${choices}`);
    throw new RangeError(`forkstack.json has no ${kind} "${name}", but ${choices}`);
  }

  #named(kind: Kind, variable: string, name?: string): string {
    return variablePrefix(this.resource(kind, name)?.name) + variable;
  }

  /**
   * A variable of one resource: `BUCKET_NAME` of `uploads` is `UPLOADS_BUCKET_NAME`.
   *
   * @throws {ForkstackError} VALUE_MISSING if nothing gives a value; ENV_UNSET, ENV_UNKNOWN, ENV_CONFLICT.
   */
  of(kind: Kind, variable: string, name?: string): string {
    return this.optionalOf(kind, variable, name) ?? this.variable(this.#named(kind, variable, name));
  }

  /** A variable by its full name; see `getVariable()`. Throws as `of()` does. */
  variable(full: string): string {
    const value = this.#once(`#variable ${full}`, () => this.#find(full));
    if (value !== undefined) return value;
    const grant = this.#denied.has(full) ? `Grant --allow-env=${full}, or run` : "Run";
    const hint = `${grant} \`forkstack switch ${this.env}\`; in a deployment set the variable beside FORKSTACK_ENV`;
    throw guardError("VALUE_MISSING", this.#facts, `read ${full}`, "nothing gives a value", { hint });
  }

  /** A variable of one resource; `undefined` if nothing gives a value. */
  optionalOf(kind: Kind, variable: string, name?: string): string | undefined {
    const key = name === undefined ? variable : `${name} ${variable}`;
    return this.#once(key, () => this.#find(this.#named(kind, variable, name)));
  }

  /** The settings of an S3 client; see `getStorageConfig()`. */
  storage(name?: string): StorageConfig {
    return this.#once(name === undefined ? "#storage" : `#storage ${name}`, () => {
      this.of("storage", "BUCKET_NAME", name);
      const all = Object.entries(KINDS.storage.variables)
        .map(([field, variable]) => [field, this.optionalOf("storage", variable, name)]);
      const given: unknown = Object.fromEntries(all.filter(([, value]) => value !== undefined));
      return Object.freeze(given as StorageConfig);
    });
  }

  /** The directory for databases in files; see `getLocalPath()`. */
  localPath(name?: string): string {
    const path = this.of("local", "LOCAL_PATH", name);
    return this.#once(`#directory ${path}`, () => {
      const isOurs = path === this.#written.places.get(this.#named("local", "LOCAL_PATH", name));
      const mayMake = isOurs && look(path) === undefined && isGranted({ name: "write", path });
      // Whoever writes there is told if it cannot be made.
      if (mayMake) attempt(() => (deno ?? builtin("node:fs")).mkdirSync(path, { mode: 0o700 }));
      return path;
    });
  }

  /** One secret; see `getSecret()`. */
  async secret(key: string, fallback?: string): Promise<string> {
    const { secrets } = this.#fresh();
    const known = secrets.get(key);
    if (known !== undefined) return known;
    this.current(); // first: the secrets of an environment in doubt are asked of nobody
    const from = attempt(() => this.#guarded(key).from); // a value of the process may agree with the provider's alone
    const isThere = from === "process" || this.#written.own?.has(key);
    const provided = isThere ? undefined : (await this.#provided()).get(key);
    const value = this.#find(key, provided) || fallback; // an empty one counts as unset, as a variable does
    if (value === undefined) {
      const hint = `Set it with \`forkstack secrets set ${key}\`, or pass a default`;
      throw guardError("SECRET_MISSING", this.#facts, `read secret "${key}"`, "it is not set", { hint });
    }
    if (value !== fallback) secrets.set(key, value);
    return value;
  }

  /** All secrets of this environment; see `getAllSecrets()`. */
  async secrets(): Promise<Record<string, string>> {
    this.#fresh();
    this.current();
    return Object.fromEntries(Array.from(await this.#provided(), ([key, value]) => [key, this.#find(key, value)!]));
  }

  /** Sets one secret; see `setSecret()`. */
  async setSecret(key: string, value: string): Promise<void> {
    const isKey = /^[A-Za-z_][A-Za-z0-9_]*$/.test(key);
    if (!isKey) throw new RangeError(`A secret's key must be like "API_KEY", not "${key}"`);
    this.current();
    const source = await this.#secretsSource();
    const message = "Cannot set a secret: no forkstack.json declares where";
    const hint = 'Add "secrets": {"provider": "env-file"} to forkstack.json';
    if (source === undefined) throw new ForkstackError("CONFIG_MISSING", message, { hint });
    await source.write({ [key]: value });
    this.#answers.untilMs = 0;
  }

  /** A result that stays the same: made at the first call, unless it throws. */
  #once<Result>(key: string, make: () => Result): Result {
    if (!this.#known.has(key)) this.#known.set(key, make());
    return this.#known.get(key) as Result;
  }

  /** The provider's answers, none older than five minutes. */
  #fresh(): Answers {
    const now = nowMs();
    if (now >= this.#answers.untilMs) this.#answers = { untilMs: now + SECRETS_MAX_AGE_MS, secrets: new Map() };
    return this.#answers;
  }

  #find(variable: string, provided?: string): string | undefined {
    const { value, from } = this.#guarded(variable, provided);
    const place = this.#written.places.get(variable.replace(/DATABASE_URL$/, "DATABASE_PATH"));
    if (from === "derived" && place !== undefined) assertState(this.stateRoot!, place, this.#cwd);
    return whole(value);
  }

  #guarded(variable: string, provided?: string): Guarded {
    const { own, block, person, places, facts } = this.#written;
    const template = templatesOf(this.#config).get(variable);
    return guard(facts, variable, {
      process: this.#variable(variable) ?? this.#pathInProcess(variable),
      isVouched: this.#variable("FORKSTACK_RUN")?.split(" ").includes(variable, 1),
      file: own?.get(variable),
      block: block?.get(variable),
      derived: template === undefined ? places.get(variable) ?? this.#bucketName(variable) : this.#filled(template),
      isPlace: places.has(variable) || template !== undefined,
      provided,
      person: template !== undefined || this.#isGiven(variable) ? undefined : person.get(variable),
      processName: this.#processName(variable),
      loadedFrom: () => this.#loadedFrom(variable),
    });
  }

  /** The variable by which the process gives a value: that of a file may be in its database's URL. */
  #processName(variable: string): string {
    return [variable, variable.replace(/_PATH$/, "_URL")].find((one) => this.#variable(one)) ?? variable;
  }

  /** A person's env file, here or at the top of the project, that sets what the process has. */
  #loadedFrom(variable: string): string | undefined {
    const set = this.#processName(variable);
    return [this.#cwd, this.root ?? ""].flatMap((one) => LOADED.map((name) => join(one, name))).find((path) =>
      isGranted({ name: "read", path }) &&
      attempt(() => readSharedFile(readText(path) ?? "").person.get(set)) === this.#variable(set)
    );
  }

  /** The file in the database's URL that a process has, as that of a deployment may alone. */
  #pathInProcess(variable: string): string | undefined {
    const url = /DATABASE_PATH$/.test(variable) ? this.#variable(variable.replace(/PATH$/, "URL")) : undefined;
    const path = /^file:(?:\/\/(?:localhost)?(?=\/))?([^?#]+)/.exec(url ?? "")?.[1];
    return path && attempt(() => decodeURIComponent(path).replace(/^\/(?=[A-Za-z]:)/, ""));
  }

  #filled(template: string): string | undefined {
    const own = new Map([["FORKSTACK_ENV", this.env], ["FORKSTACK_PROJECT", this.project]]);
    const isShaped = (name: string) => templatesOf(this.#config).has(name); // and shapes no other
    return fillTemplate(template, (name) => own.get(name) ?? (isShaped(name) ? undefined : this.#find(name)));
  }

  /** The variables in the files of this environment and a person, those that are derived, and the facts that follow. */
  get #written() {
    return this.#once("#written", () => {
      const [config, env, { pointer }] = [this.#config, this.#env, this.#facts];
      const envFile = envFileOf(config ?? {});
      const { block, person, directory } = readSharedFile(envFile && this.#text(envFile) || "", envFile);
      const path = this.root && env && this.#state("envs", `${env}.env`);
      const text = path && readText(path);
      const own = text === undefined ? undefined : readEnvFile(text, `"${path}"`);
      const listsEnvs = () => namesIn(this.#state("envs")).some((name) => name.endsWith(".env"));
      const findsState = () => own !== undefined || look(this.#state("registry.db")) !== undefined || listsEnvs();
      const hasState = () => this.root !== undefined && this.#once("#has state", findsState);
      const isElsewhere = directory !== undefined && directory !== this.root && pointer !== undefined;
      const facts: Facts = {
        ...this.#facts,
        envFile,
        block: saidBy(block),
        file: saidBy(own),
        person: { env: textIn(person, "FORKSTACK_ENV"), deployment: textIn(person, "ENV") },
        isPointerCopied: isElsewhere && this.#isCopied(directory, hasState()),
        get hasState() {
          return hasState(); // only when it decides: it may have to list thousands of files
        },
      };
      const derived = config && env ? derivedVariables(config, this.stateRoot!, env, this.root) : {};
      return { own, block, person, facts, places: new Map(Object.entries(derived)) };
    });
  }

  /** Tells whether the pointer was written for another directory that still has it and has the same state. */
  #isCopied(from: string, isStateHere: boolean): boolean {
    const { root, stateRoot: state } = this;
    const isHeld = attempt(() => {
      if (!isGranted({ name: "read", path: from })) return undefined;
      if (isSamePlace(from, root!)) return false;
      if (isStateHere && !isSamePlace(this.#stateOf(from), state!)) return false; // its state came along
      return look(join(from, ".current-env"), "lstatSync") !== undefined; // else moved, or mounted elsewhere
    });
    return isHeld ?? state !== root; // unseen, it can have no state but its own or the main worktree's
  }

  /** Tells whether a resource gives a variable: a person's own line is then not read. */
  #isGiven(variable: string): boolean {
    return declaredResources(this.#config ?? {}).some(({ kind, name }) => {
      const { variables, given = [], namespace } = KINDS[kind];
      const prefix = variablePrefix(name);
      return [...Object.values(variables), ...given].some((one) => prefix + one === variable) ||
        (namespace !== undefined && variable.startsWith(prefix + namespace));
    });
  }

  /** A path in `.forkstack/`, if it is this checkout's and this user's. */
  #state(...names: readonly string[]): string {
    const path = join(this.stateRoot!, ".forkstack", ...names);
    assertState(this.stateRoot!, path, this.#cwd);
    return path;
  }

  /** The text of a pointer. A link may lead to another checkout's, so `.current-env` must be none. */
  #text(file: string): string | undefined {
    if (this.root === undefined) return undefined;
    const path = join(this.root, file);
    assertOwned(path, this.#cwd, file !== ".current-env");
    return readText(path);
  }

  /** A variable of the process that is not empty. */
  #variable(name: string): string | undefined {
    return this.#raw(name) || undefined;
  }

  #raw(name: string): string | undefined {
    try {
      const value: unknown = /^[^=\0]+$/.test(name) && this.#source(name); // for others Deno throws
      return typeof value === "string" ? value : undefined; // in Node, that of "toString" is a function
    } catch (error) {
      if (!/^(NotCapable|PermissionDenied)$/.test((error as Error).name)) throw error;
      this.#denied.add(name);
      return undefined;
    }
  }

  /** The name of a bucket, which follows from the variable's own name if there is no forkstack.json. */
  #bucketName(variable: string): string | undefined {
    const name = variable.replace(/_?BUCKET_NAME$/, "").toLowerCase().replaceAll("_", "-") || undefined;
    const unread: Declared = { kind: "storage", name, provider: "", options: {} };
    const all = this.#config === undefined ? [unread] : declaredResources(this.#config);
    const one = all.find(({ kind, name }) => kind === "storage" && `${variablePrefix(name)}BUCKET_NAME` === variable);
    return one && attempt(() => declaredTitle(one, this.project, this.env));
  }

  #provided(): Promise<ReadonlyMap<string, string>> {
    const answers = this.#answers;
    answers.all ??= this.#secretsSource().then(async (source) => new Map(Object.entries(await source?.all() ?? {})));
    answers.all.catch(() => answers.all = undefined); // the next call asks again
    return answers.all;
  }

  async #secretsSource(): Promise<SecretsSource | undefined> {
    const one = this.resource("secrets");
    if (one === undefined) return undefined;
    if (one.provider === "env-file") return envFileSecrets(this.of("secrets", "SECRETS_FILE"));
    // Beside this file in a checkout, a package and on a URL's origin; a lone copy has no providers.
    const file = `./providers/secrets/runtime/${one.provider}${/\.js([?#]|$)/.test(import.meta.url) ? ".js" : ".ts"}`;
    let module: { openSecrets(request: SecretsRequest): SecretsSource | Promise<SecretsSource> };
    try {
      if (!/^[a-z0-9-]+$/.test(one.provider)) throw new RangeError("Only a built-in provider can be loaded here");
      module = await import(new URL(file, import.meta.url).href);
    } catch (cause) {
      const hint = "Import forkstack from its URL or package, or set the secrets in the process";
      const state = `provider "${one.provider}" cannot be loaded`;
      throw guardError("PROVIDER_MISSING", this.#facts, "read the secrets", state, { hint, cause });
    }
    return module.openSecrets({
      env: this.env,
      project: this.project,
      title: declaredTitle(one, this.project, this.env),
      options: one.options,
      read: (name) => this.#find(`${variablePrefix(one.name)}${name}`),
      credential: (name) => this.#variable(name),
    });
  }
}

// ---- names

/** The kinds of resource that an environment can have. */
export type Kind = "database" | "storage" | "secrets" | "cache" | "queue" | "local";

/** @internal Facts of a kind of resource, whichever provider it has; its variables are without `variablePrefix()`. */
export interface KindFacts {
  readonly variables: Readonly<Record<string, string>>; // that the getters read, by field
  readonly given?: readonly string[]; // further ones that its providers give
  readonly namespace?: string; // the beginning of all that its clients read
  /** The name at the vendor, of the project's and the resource's. @default {joined by "-", but for "prod"} */
  readonly title?: (names: readonly string[], env: string) => string;
  /** The provider without account and server, and its path under the state's root, from which its variables follow. */
  readonly embedded?: { readonly provider: string; readonly options?: Json; readonly path: (title: string) => string };
}

/** @internal The kinds of resource, in the order of forkstack.json. */
export const KINDS: Readonly<Record<Kind, KindFacts>> = {
  database: {
    variables: { url: "DATABASE_URL", authToken: "DATABASE_AUTH_TOKEN", path: "DATABASE_PATH" },
    embedded: { provider: "sqlite", path: (title) => `.forkstack/sqlite/${title}.db` },
  },
  storage: {
    variables: {
      bucket: "BUCKET_NAME",
      endpoint: "AWS_ENDPOINT_URL_S3",
      region: "AWS_REGION",
      accessKeyId: "AWS_ACCESS_KEY_ID",
      secretAccessKey: "AWS_SECRET_ACCESS_KEY",
      sessionToken: "AWS_SESSION_TOKEN",
      path: "BUCKET_PATH",
    } satisfies Record<keyof StorageConfig, string>,
    namespace: "AWS_",
    title: (names, env) => `${names.join("-")}-bucket-${env}`,
    embedded: { provider: "local", path: (title) => `.forkstack/buckets/${title}` },
  },
  secrets: {
    variables: { path: "SECRETS_FILE" },
    title: ([, ...name], env) => [...name, env].join("-"),
    embedded: { provider: "env-file", path: (title) => `.forkstack/secrets/${title}.env` },
  },
  cache: { variables: { url: "CACHE_URL" }, given: ["REDIS_URL", "CACHE_PREFIX"] },
  queue: { variables: { url: "QUEUE_URL", prefix: "QUEUE_PREFIX" } },
  local: {
    variables: { path: "LOCAL_PATH" },
    title: (names, env) => `${[...names, env].join(".")}.db`,
    // Made at first use: else each environment leaves a directory in the root.
    embedded: { provider: "directory", options: { make: "first use" }, path: (title) => title },
  },
};

/** @internal Project and environment names: DNS labels, which every vendor can hold. */
export const NAME_PATTERN: RegExp = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

const MAX_NAME_LENGTH = 63;
const isName = (value: unknown): value is string =>
  typeof value === "string" && value.length <= MAX_NAME_LENGTH && NAME_PATTERN.test(value);
const ALIASES: ReadonlyMap<string, string> = new Map([["production", "prod"], ["development", "dev"]]);

/** @internal Checks a name as a person wrote it, which may be a long form; throws NAME_INVALID, naming its source. */
export function parseEnvName(value: string, source = "environment name"): string {
  const name = ALIASES.get(value) ?? value;
  if (isName(name)) return name;
  const shown = JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  const rule = `it must be 1 to ${MAX_NAME_LENGTH} characters of a-z, 0-9 and "-" inside`;
  const near = envNameOf(value);
  const hint = near && near !== value ? `Use "${near}"` : 'Names look like "alice" or "pr-42"';
  throw unusable("NAME_INVALID", `${shown} as ${source}`, rule, hint);
}

// https://pubs.opengroup.org/onlinepubs/9799919799/utilities/sh.html
/** @internal The environment that a process's `ENV` names. With a `/` it names none: POSIX shells keep a path there. */
export function deploymentOf(value: string | undefined): string | undefined {
  return value?.includes("/") ? undefined : value;
}

/** Letters that Unicode does not split into a plain letter and an accent. */
const PLAIN: Readonly<Record<string, string>> = { ß: "ss", æ: "ae", œ: "oe", ø: "o", ł: "l", đ: "d", ð: "d", þ: "th" };

/**
 * @internal The legal name nearest to any text: `feature-login` of the git branch `feature/Login`, `muller` of `Müller`;
 * `""` if none.
 */
export function envNameOf(text: string): string {
  const letters = text.slice(0, 200).normalize("NFKD").toLowerCase().replace(/\p{M}/gu, "");
  const dashed = letters.replace(/[^a-z0-9]/g, (one) => PLAIN[one] ?? "-").replace(/-+/g, "-");
  return dashed.slice(0, MAX_NAME_LENGTH).replace(/^-+|-+$/g, "");
}

/** The name of a resource at its vendor, derived so that it needs no state, e.g. `"myapp-uploads-bucket-alice"`. */
export function resourceTitle(kind: Kind, project: string, env: string, name?: string): string {
  const names = name === undefined ? [project] : [project, name];
  return KINDS[kind].title?.(names, env) ?? (env === "prod" ? names : [...names, env]).join("-");
}

const isEmbedded = ({ kind, provider }: Declared): boolean => KINDS[kind].embedded?.provider === provider;

/** @internal The name or path of a base environment's resource that its `bases` has; throws CONFIG_INVALID. */
export function baseOf({ kind, options }: Declared, env: string): string | undefined {
  const value: unknown = env === "dev" || env === "prod" ? Object(options.bases)[env] : undefined;
  if (value === undefined || (typeof value === "string" && value !== "")) return value;
  if (typeof value === "number") return String(value);
  throw unusable(
    "CONFIG_INVALID",
    "forkstack.json",
    `"bases" of "${kind}" has no name of "${env}"`,
    'Write a name, like "shop_dev"',
  );
}

/** @internal The name of a declared resource: for a base environment that of its `bases`, but for a path, or a derived one. */
export function declaredTitle(one: Declared, project: string, env: string): string {
  return (isEmbedded(one) ? undefined : baseOf(one, env)) ?? resourceTitle(one.kind, project, env, one.name);
}

/** @internal The absolute path in a base environment of an embedded resource, if its `bases` has one; `root` is the project's. */
export function basePath(one: Declared, env: string, root: string): string | undefined {
  const path = isEmbedded(one) ? baseOf(one, env) : undefined;
  if (path === undefined || /^(?:\/|[A-Za-z]:[\\/])/.test(path)) return path && withoutEnd(join(path));
  return builtin("node:path").resolve(mainRoot(root), path);
}

/** @internal The prefix of a named resource's variables: `UPLOADS_` for `uploads`, nothing for an unnamed one. */
export function variablePrefix(name?: string): string {
  return name === undefined ? "" : `${name.toUpperCase().replaceAll("-", "_")}_`;
}

/** @internal The absolute path of a resource of an embedded provider, under the root of the state. */
export function embeddedPath(kind: Kind, root: string, title: string): string {
  return join(root, KINDS[kind].embedded!.path(title));
}

// ---- forkstack.json

/** @internal One resource of forkstack.json, as far as the runtime reads it. */
export interface Declared {
  readonly kind: Kind; // e.g. `"storage"`
  readonly name?: string; // e.g. `"uploads"`, if its kind is a map of named ones
  readonly provider: string; // e.g. `"tigris"`
  readonly options: Json; // the whole of its entry, `provider` included
}

type Json = Readonly<Record<string, unknown>>;
type Config = Json & { readonly project: string };

/** @internal The resources that a forkstack.json declares, or else the embedded ones; throws CONFIG_INVALID. */
export function declaredResources(config: Json): Declared[] {
  const kinds = Object.keys(KINDS) as Kind[];
  const isEmbedded = kinds.every((kind) => config[kind] === undefined);
  return kinds.flatMap((kind) => {
    const { embedded } = KINDS[kind];
    const own = embedded && { provider: embedded.provider, ...embedded.options };
    const value = (isEmbedded ? own : config[kind]) as Json | string | null | undefined;
    if (value === undefined) return [];
    const isMap = typeof value === "object" && value !== null && typeof value.provider !== "string";
    return (isMap ? Object.entries(value) : [[undefined, value] as const]).map(([name, entry]) => {
      const options: Json = Object(entry);
      const { provider } = options;
      if (typeof provider === "string") return { kind, ...(name === undefined ? {} : { name }), provider, options };
      const hint = 'Write {"provider": "..."}, or a map of those by name';
      throw unusable("CONFIG_INVALID", "forkstack.json", `"${kind}" names no provider`, hint);
    });
  });
}

/** @internal Env files that forkstack.json may name: `.env.production`, `config/shop.env`; in no hidden directory. */
export const ENV_FILE_PATTERN: RegExp = /^(?:[\w@-][\w.@-]*\/)*(?:\.env(?:\.[\w.-]+)?|\w[\w.-]*\.env)$/;

/** @internal The env file of the project that holds forkstack's block, if one may; throws CONFIG_INVALID. */
export function envFileOf({ envFile = ".env.local" }: Json): string | undefined {
  if (envFile === false) return undefined;
  if (typeof envFile === "string" && ENV_FILE_PATTERN.test(envFile)) return envFile;
  const hint = 'Write a name like ".env", or false for none';
  throw unusable("CONFIG_INVALID", "forkstack.json", '"envFile" names no env file of the project', hint);
}

function readConfig(directory: string, cwd: string): Config {
  const path = join(directory, "forkstack.json");
  if (directory !== cwd) assertOwned(path, cwd);
  const text = readText(path) ?? "";
  let config: Config | null;
  try {
    config = JSON.parse(text);
  } catch (cause) {
    const hint = "`forkstack status` names the line and column";
    throw new ForkstackError("CONFIG_INVALID", `Cannot read ${path}: it is not valid JSON`, { cause, hint });
  }
  if (isName(config?.project)) return config!;
  const hint = "`forkstack status` names every problem in it";
  throw unusable("CONFIG_INVALID", path, '"project" must be a name like "myapp"', hint);
}

/** @internal Variables that follow from forkstack.json and its and the state's place alone: those of embedded providers. */
export function derivedVariables(config: Config, state: string, env: string, root = state): Record<string, string> {
  return Object.fromEntries(
    declaredResources(config).filter(isEmbedded).flatMap((one) => {
      const { kind, name } = one;
      const title = resourceTitle(kind, config.project, env, name);
      const path = basePath(one, env, root) ?? embeddedPath(kind, state, title);
      const gives: Readonly<Record<string, string>> = { url: fileUrl(path), path, bucket: title };
      return Object.entries(KINDS[kind].variables).filter(([field]) => field in gives)
        .map(([field, variable]) => [variablePrefix(name) + variable, gives[field]!]);
    }),
  );
}

/** @internal The templates of `variables` in forkstack.json, by the variable that each shapes. */
export function templatesOf(config?: Json): Map<string, string> {
  const all = Object.entries(Object(config?.variables));
  return new Map(all.filter((one): one is [string, string] => typeof one[1] === "string"));
}

/** @internal A part of a template: a placeholder with its name and form, a doubled brace, or a lone one. */
export const TEMPLATE_PART: RegExp = /\{\{|\}\}|\{([A-Za-z_]\w*)(?:\|(\w+))?\}|[{}]/g;

/** @internal Forms of a value in a template: of a path, percent-encoded for a URL; of a URL, without its scheme. */
export const TEMPLATE_FORMS: ReadonlyMap<string, (value: string) => string> = new Map([
  ["", String],
  ["url", (path: string) => fileUrl(path).slice("file://".length)],
  ["rest", (url: string) => url.replace(/^[A-Za-z][A-Za-z0-9+.-]*:\/\//, "")],
]);

/** @internal A template with values in place of its placeholders; `undefined` if one is missing. */
export function fillTemplate(template: string, valueOf: (name: string) => string | undefined): string | undefined {
  let isWhole = true;
  const text = template.replace(TEMPLATE_PART, (part, name?: string, form = "") => {
    if (name === undefined) return part[0]!;
    const value = valueOf(name);
    const shaped = value === undefined ? undefined : TEMPLATE_FORMS.get(form)?.(value);
    isWhole &&= shaped !== undefined;
    return shaped ?? "";
  });
  return isWhole ? text : undefined;
}

// ---- directories

/** @internal The nearest directory that holds `file`, from an absolute path up to `top`; throws FILE_UNREADABLE. */
export function findUpwards(from: string, file: string, top?: string): string | undefined {
  for (let at = withoutEnd(join(from));; at = parentOf(at)) {
    if (look(join(at, file)) !== undefined) return at;
    if (at === top || parentOf(at) === at) return undefined;
  }
}

/** @internal Reads a checkout's `.git` file: `isLinked` for any worktree, `common` if its repository lists it. */
export function readGitFile(top: string): { gitDir: string; isLinked: boolean; common?: string } {
  const { basename, dirname, resolve } = builtin("node:path");
  const named = /^gitdir: (.+)$/m.exec(readText(join(top, ".git")) ?? "")?.[1];
  const gitDir = resolve(top, named ?? "");
  const shared = named === undefined ? undefined : readText(join(gitDir, "commondir"));
  if (shared === undefined) { // a submodule, or a worktree whose repository was moved away
    return { gitDir, isLinked: basename(dirname(gitDir)) === "worktrees" && look(gitDir) === undefined };
  }
  const common = resolve(gitDir, shared.trim());
  // Anybody can write a `.git` file. Only the repository's own list says that this one belongs to it:
  // https://git-scm.com/docs/gitrepository-layout (worktrees/<id>/gitdir)
  const listed = resolve(gitDir, readText(join(gitDir, "gitdir"))?.trim() ?? "");
  const isListed = basename(listed) === ".git" && isSamePlace(dirname(listed), top) &&
    isSamePlace(dirname(realPath(gitDir)), join(common, "worktrees"));
  return { gitDir, isLinked: true, common: isListed ? common : undefined };
}

/** The checkout of a directory, and the main worktree of a linked one, or its common git directory if that is bare. */
function checkoutOf(directory: string) {
  // `--allow-read=<project>` is a fair grant: what lies above is then none of ours.
  const top = attempt(() => findUpwards(directory, ".git"));
  if (top === undefined || !isOwned(join(top, ".git"), directory)) return undefined;
  if (look(join(top, ".git"))?.isDirectory) return { top, isLinked: false };
  const { isLinked, common } = readGitFile(top);
  if (common === undefined) return { top, isLinked };
  // With extensions.worktreeConfig, git keeps `bare` in a file of its own: https://git-scm.com/docs/git-worktree
  const configs = [readText(join(common, "config")), readText(join(common, "config.worktree"))];
  const isBare = configs.some((text) => /^\s*bare\s*=\s*true\s*$/im.test(text ?? ""));
  const main = /[\\/]\.git$/.test(common) ? parentOf(common) : undefined;
  return { top, isLinked, isBare, main: isBare ? common : main };
}

/** @internal The directory of `.forkstack/`: a linked worktree's is the main one's, or a bare repository's own. */
export function stateRoot(root: string): string {
  const { top, main, isBare } = checkoutOf(root) ?? { top: root };
  if (main === undefined) return root;
  const below = builtin("node:path").relative(realPath(top), realPath(root));
  if (below === "") return main;
  return isBare ? join(main, ".forkstack", "projects", below) : join(main, below); // `refs` and `hooks` are git's own
}

/** @internal The project's directory in the main worktree, which has the data; its own in a bare layout. */
export const mainRoot = (root: string): string => checkoutOf(root)?.isBare ? root : stateRoot(root);

/**
 * @internal The project of a directory: where `.current-env` is, and forkstack.json, which may be the main worktree's.
 * The search upwards ends at the top of the git checkout. Throws FILE_UNREADABLE.
 */
export function findProject(cwd: string): { root: string; configRoot?: string; isLinkedWorktree: boolean } | undefined {
  cwd = join(cwd);
  const { top, main, isBare, isLinked: isLinkedWorktree = false } = checkoutOf(cwd) ?? {};
  const own = findUpwards(cwd, "forkstack.json", top);
  if (own !== undefined) return { root: own, configRoot: own, isLinkedWorktree };
  const like = main === undefined || isBare ? undefined : main + cwd.slice(top!.length);
  const configRoot = like && findUpwards(like, "forkstack.json", main);
  if (configRoot) return { root: top + configRoot.slice(main!.length), configRoot, isLinkedWorktree };
  const root = findUpwards(cwd, ".current-env", top);
  return root === undefined ? undefined : { root, isLinkedWorktree };
}

/** Env files that runtimes load into the process: https://bun.com/docs/runtime/env */
const LOADED = ["", ".production", ".development", ".test"].flatMap((mode) => [`.env${mode}`, `.env${mode}.local`]);
const SETS_STATE = /^[ \t]*(?:export[ \t]+)?FORKSTACK_STATE[ \t]*[=:]/m;

/** @internal The user's choice of a directory for `.forkstack/`, which env files in `directories` may not make. */
export function chosenState(path: string | undefined, directories: readonly string[]): string | undefined {
  if (!path) return undefined;
  // What this process can't read, another has loaded nothing of.
  const chosenBy = (file: string) => SETS_STATE.test(attempt(() => readText(file)) ?? "");
  const file = directories.flatMap((directory) => LOADED.map((name) => join(directory, name))).find(chosenBy);
  if (file !== undefined) {
    const hint = "Remove the line: the shell may set it, a file of the project may not";
    throw unusable("NOT_PERMITTED", "FORKSTACK_STATE", `${JSON.stringify(file)} sets it`, hint);
  }
  if (/^(?:\/|[A-Za-z]:[\\/])/.test(path)) return withoutEnd(join(path));
  const hint = 'Set it to a path like "/home/alice/.local/state/shop", or unset it';
  throw unusable("VALUE_INVALID", "FORKSTACK_STATE", `${JSON.stringify(path)} is not an absolute path`, hint);
}

/** @internal Tells whether this user, root or the owner of the working directory owns a path, or nothing is there. */
export function isOwned(path: string, cwd: string): boolean {
  const owner = look(path, "lstatSync")?.uid; // 0 or none, too, where the system has no owners
  return !owner || owner === ownUid() || owner === look(cwd)?.uid;
}

/** @internal Throws NOT_PERMITTED for what `isOwned()` refuses, if there is a `cwd`, and, if asked, for a link. */
export function assertOwned(path: string, cwd: string | undefined, mayBeLink = true): void {
  const shown = JSON.stringify(path);
  if (!mayBeLink && look(path, "lstatSync")?.isLink === true) {
    throw unusable("NOT_PERMITTED", shown, "it is a link", "Remove it, or put what it leads to in its place");
  }
  if (cwd === undefined || isOwned(path, cwd)) return;
  const grant = deno !== undefined && ownUid() === undefined ? ", or if it is yours grant --allow-sys=uid" : "";
  throw unusable("NOT_PERMITTED", shown, "another user owns it", `Remove it, make it yours with chown${grant}`);
}

/** @internal Throws NOT_PERMITTED if another user owns the `.forkstack/` of a path, or a link is at or in it. */
export function assertState(root: string, path: string, cwd: string): void {
  const names = path.slice(join(root, "/").length).split("/");
  if (names[0] !== ".forkstack") return;
  const all = names.map((_, index) => join(root, ...names.slice(0, index + 1)));
  for (const at of all) assertOwned(at, at.endsWith("/.forkstack") ? cwd : undefined, false);
}

/** The user of this process; `undefined` if there are none, and in Deno if it may not be asked: that would prompt. */
function ownUid(): number | undefined {
  if (deno === undefined) return process.getuid?.();
  return isGranted({ name: "sys", kind: "uid" }) ? deno.uid() ?? undefined : undefined;
}

// ---- env files

// Measured (tests/env_file_matrix_test.ts): all read plain values, and all that know quotes agree in single ones, but
// for a final backslash. In double quotes $ and \n differ; other bare values, and backticks, fail in some.
/** The quotes in the order in which most programs read a value back the same, each with what it cannot hold. */
const QUOTES: readonly (readonly [quote: string, unheld: RegExp])[] = [
  ["", /^(?!(?:[\p{L}\p{M}\p{N}_.,:/@%+=?-]*|[\w.,:/@%+={}\\-]*\\)$)/u],
  ["'", /'/],
  ['"', /["$`]|\\(?:[\\nr]|$)/],
  ["", /^\s|\s$|^['"`]|[\n#$]/],
  ["`", /`/],
  ['"', /["$]|\\(?:[\\nr]|$)/],
];

/** The quote for a value; `undefined` if no program could read it back. */
const quoteOf = (value: string): string | undefined =>
  /[\0\r\ufffd]|\p{Cs}/u.test(value) ? undefined : QUOTES.find(([, unheld]) => !unheld.test(value))?.[0];

/** @internal One line `NAME=value`, quoted so that most readers agree: docs/variables.md; throws VALUE_UNWRITABLE. */
export function formatEnvLine(name: string, value: string): string {
  const quote = quoteOf(value);
  if (quote !== undefined) return `${name}=${quote}${value}${quote}`;
  throw new ForkstackError("VALUE_UNWRITABLE", `Cannot write variable "${name}": no env file reader could hold it`, {
    hint:
      "A value cannot have NUL, a carriage return or U+FFFD; one with all three quotes cannot have a newline, # or $ either",
  });
}

/**
 * @internal One assignment in an env file: name, space, the value in single, double (whole, or up to a quote that does
 * not end it) or back quotes, or bare, and what follows on the line. It reads and edits, so that an edit sees what a
 * reader does. Not node:util's parseEnv: Bun's takes \' for an escape, and Node's ends a value at \".
 */
export const ENV_ASSIGNMENT: RegExp =
  /(?<![^\r\n])[ \t]*(?:export[ \t]+)?([\w.-]+)[ \t]*=([ \t]*)(?:'([^']*)'|"([^"\\]*(?:\\[^][^"\\]*)*)"(?=[ \t\r]*(?:#[^\n]*)?(?![^\n]))|"([^"]*)"|`([^`]*)`|([^\n]*))([^\n]*)\n?/g;

/** @internal A value in an env file, or the error that says where it can't be read whole. */
export type EnvValue = string | ForkstackError;
type EnvValues = ReadonlyMap<string, EnvValue>;

/** @internal The values in the text of an env file, each whole or an error: nobody may ask for those. */
export function readEnvFile(text: string, name = "an env file"): Map<string, EnvValue> {
  const lines = text.replace(/^\uFEFF/, "").replace(/\r\n?/g, "\n");
  return new Map(Array.from(lines.matchAll(ENV_ASSIGNMENT), (match) => [match[1], valueOf(match, name)]));
}

/** @internal The variables in an env file, as Node reads them but for `\"`; throws VALUE_UNREADABLE with the line. */
export function parseEnvFile(text: string, name?: string): Record<string, string> {
  return Object.fromEntries(Array.from(readEnvFile(text, name), ([key, value]) => [key, whole(value)!]));
}

function whole(value: EnvValue | undefined): string | undefined {
  if (value instanceof ForkstackError) throw value;
  return value;
}

const textIn = (file: EnvValues | undefined, name: string): string | undefined => attempt(() => whole(file?.get(name)));

function valueOf(match: RegExpExecArray, file: string): EnvValue {
  const [all, name, space, single, double, cut, back, bare = "", rest] = match;
  const text = space + bare;
  const [plain] = text.split("#", 1);
  // Node ends the value at \", and all others take it for an escape; if that is all, they agree.
  const escaped = double?.includes('\\"') ? double : "";
  const value = single ?? back ??
    double?.replace(escaped ? /\\([^])/g : /\\(n)/g, (_, sign) => sign === "n" ? "\n" : sign) ??
    plain.replace(/^[ \t]+|[ \t]+$/g, "");
  const faults: readonly (readonly [isFault: boolean | undefined, part: string, state: string])[] = [
    [/^['"`]/.test(bare), bare, "the quote is not closed"],
    [plain !== text && !/[ \t]$/.test(plain), text.slice(plain.length), "some programs end the value at this #"],
    [/^[ \t]*[^# \t]/.test(rest), rest.replace(/^[ \t]+/, ""), "text follows the closing quote"],
    [cut !== undefined, `"${cut}"${rest}`, "the quote is not closed, since its last one is escaped"],
    [/\\[^"\\n]/.test(escaped.replace(/\\[\\"]/g, "")), `"${double}"${rest}`, "programs differ on its escapes"],
    [value.includes("\ufffd"), all.slice(all.indexOf("=") + 1), "it is not UTF-8"],
  ];
  const [, part, state] = faults.find(([isFault]) => isFault) ?? [];
  if (part === undefined) return value;
  const before = match.input.slice(0, match.index + all.trimEnd().length - part.trimEnd().length).split("\n");
  const at = `line ${before.length}, column ${before.at(-1)!.length + 1}`;
  return new ForkstackError("VALUE_UNREADABLE", `Cannot read variable "${name}" of ${file}: ${at}: ${state}`, {
    hint: "Put the whole value into single quotes, or into double ones if it has a single one",
  });
}

/** @internal The text of an env file with one variable set, added or (`null`) removed; all other lines stay. */
export function setEnvVariable(text: string, name: string, value: string | null): string {
  const line = value === null ? "" : `${formatEnvLine(name, value)}\n`;
  let isSet = false;
  const edited = text.replace(ENV_ASSIGNMENT, (assignment, key) => {
    if (key !== name) return assignment;
    if (isSet) return "";
    isSet = true;
    return readEnvFile(assignment).get(name) === value ? assignment : line;
  });
  return isSet || line === "" ? edited : edited.replace(/[^\n]$/, "$&\n") + line;
}

/** @internal forkstack's part of an env file; all other lines are a person's. */
export interface EnvBlock {
  readonly begin: number; // the offset of its first line, a marker
  readonly end: number; // the offset of what follows its last one
  readonly own: string; // the lines between the markers
  readonly directory?: string; // that it was written for; absent in the format of 0.1.0, which has no markers
}

const MARKER_LINE = /(?<![^\r\n])[ \t]*#[ \t]*(?:>>>|<<<)[ \t]*forkstack[^\r\n]*(?:\r?\n)?/g;
const FORMAT_0_1_0 =
  /^(FORKSTACK_ENV='[^'\r\n]*'\r?\nFORKSTACK_PROJECT='[^'\r\n]*'(?:\r?\n|$)[^]*?)(?:(?<=\n)# yours, kept\r?(?:\n|$)|$)/;

/** @internal forkstack's block in an env file's text without its byte order mark; ENV_CONFLICT for damaged markers. */
export function findEnvBlock(text: string, name = ".env.local"): EnvBlock | undefined {
  const markers = Array.from(text.matchAll(MARKER_LINE));
  const [first, last, more] = markers;
  if (first === undefined) {
    const [all, own] = FORMAT_0_1_0.exec(text) ?? [];
    return all === undefined ? undefined : { begin: 0, end: all.length, own: own! };
  }
  const lineOf = (index: number) => text.slice(0, index).split("\n").length;
  const damaged = ({ index }: RegExpExecArray, state: string) => {
    const hint = "Leave one pair of marker lines, or delete them and all between, then switch to the environment again";
    return unusable("ENV_CONFLICT", name, `line ${lineOf(index)}, a marker, ${state}`, hint);
  };
  const values = Array.from(text.matchAll(ENV_ASSIGNMENT));
  for (const marker of markers.slice(0, 3)) {
    const around = values.find(({ 0: all, index }) => index < marker.index && marker.index < index + all.length);
    if (around) throw damaged(marker, `is inside the value of ${around[1]} in line ${lineOf(around.index)}`);
  }
  const begun = /^# >>> forkstack (\{.*\})[ \t\r\n]*$/.exec(first[0]);
  const directory: unknown = attempt(() => JSON.parse(begun![1]).directory);
  if (typeof directory !== "string") throw damaged(first, "begins no block");
  if (last === undefined) throw damaged(first, "has no end marker below it");
  if (!/^# <<< forkstack[ \t\r\n]*$/.test(last[0])) throw damaged(last, "does not end the block before it");
  if (more !== undefined) throw damaged(more, "follows a block: there may be one");
  const own = text.slice(first.index + first[0].length, last.index);
  return { begin: first.index, end: last.index + last[0].length, own, directory };
}

/** The values of an env file that is shared with a person, those of forkstack's block apart. */
function readSharedFile(text: string, name?: string) {
  const found = findEnvBlock(text, name);
  const { begin, end, own } = found ?? { begin: 0, end: 0, own: "" };
  // Without the other's lines but with their ends, so that an error names the line in the file.
  const blank = (from: number, to: number) => text.slice(from, to).replace(/[^\r\n]+/g, "");
  const block = found && readEnvFile(blank(0, text.indexOf(own, begin)) + own, name);
  const person = readEnvFile(text.slice(0, begin) + blank(begin, end) + text.slice(end), name);
  return { block, person, directory: found?.directory };
}

// ---- the guard

/** @internal The environment and the project that a file or a process names. */
export type Said = { readonly env?: string; readonly project?: string };

const saidBy = (file?: EnvValues): Said | undefined =>
  file && { env: textIn(file, "FORKSTACK_ENV"), project: textIn(file, "FORKSTACK_PROJECT") };

/** @internal Facts of a checkout and its process, from which the environment is decided. */
export interface Facts {
  /** `FORKSTACK_ENV`, `FORKSTACK_PROJECT`, `ENV`, and the environment for which `FORKSTACK_RUN` vouches. */
  readonly process?: Said & { readonly deployment?: string; readonly run?: string };
  readonly project?: string; // of forkstack.json
  readonly pointer?: string; // the text of `.current-env`
  readonly isPointerCopied?: boolean; // written for another directory, which still holds it and has the same state
  readonly isLinkedWorktree?: boolean;
  readonly envFile?: string; // its name
  readonly block?: Said; // forkstack's in the env file
  readonly person?: { readonly env?: string; readonly deployment?: string }; // a person's lines of it
  readonly hasState?: boolean; // there is a registry, or a file of any environment
  readonly file?: Said; // the environment's own under `.forkstack/envs/`
}

/** @internal Candidates for one value; empty text counts as none. */
export interface Candidates {
  readonly process?: string; // the process environment
  readonly isVouched?: boolean; // `FORKSTACK_RUN` names the variable
  readonly file?: EnvValue; // the environment's own
  readonly block?: EnvValue; // forkstack's in the env file, whosever it is
  readonly derived?: string; // what follows from forkstack.json and the root of the state
  readonly isPlace?: boolean; // it is a place, so that a file may be stale
  readonly provided?: string; // by the secrets provider
  readonly person?: EnvValue; // a person's line of the env file, for a key that no resource gives
  readonly processName?: string; // the variable that the process has, where it is not the one asked for
  readonly loadedFrom?: () => string | undefined; // the env file that sets what the process has; for the error alone
}

/** The source that decided which environment is current; in a linked git worktree there is no default. */
export type DecidedBy = "FORKSTACK_ENV" | "ENV" | ".current-env" | "default" | "nothing";

/** @internal A value of the current environment and its source; both absent if nothing gives one. */
export interface Guarded {
  readonly env: string;
  readonly value?: EnvValue;
  readonly from?: "process" | "file" | "derived" | "provider" | "person";
}

/** The environment that the facts name, before the guard has looked at what contradicts it, and how it came about. */
function decide({ process = {}, pointer, isLinkedWorktree, block, person }: Facts) {
  const named: readonly (readonly [DecidedBy, string | undefined])[] = [
    ["FORKSTACK_ENV", process.env],
    ["ENV", deploymentOf(process.deployment)],
    [".current-env", pointer?.trim()],
    ["default", isLinkedWorktree ? undefined : "dev"],
  ];
  const [decidedBy, name] = named.find(([, value]) => value !== undefined) ?? ["nothing", undefined];
  const env = name === undefined ? undefined : parseEnvName(name, decidedBy);
  const isRun = env !== undefined && process.run === env; // by `forkstack run`, which has looked
  const isNamed = decidedBy === "FORKSTACK_ENV" || decidedBy === "ENV";
  // A file that was loaded before the start brings the FORKSTACK_ENV that decides: a block, or a person's line.
  const isByFile = (said?: Said) => !isRun && decidedBy === "FORKSTACK_ENV" && said?.env === env;
  const isBlockLoaded = isByFile(block) && process.project !== undefined;
  return { env, decidedBy, isRun, isNamed, isBlockLoaded, isFileLoaded: isBlockLoaded || isByFile(person) };
}

/** The environment, if nothing contradicts it and it was made. */
function certainEnv(facts: Facts, { env, isRun, isNamed, isFileLoaded }: ReturnType<typeof decide>): string {
  const { process = {}, project, envFile = ".env.local", block, file, person, isPointerCopied } = facts;
  const pointer = facts.pointer?.trim();
  const isByPlace = !isRun && (!isNamed || isFileLoaded);
  const isOther = (said: Said) => project !== undefined && said.project !== project;
  const isOurs = (said: Said) => said.env === env && !isOther(said);
  const says = ({ env = "", project = "" }: Said) => `says environment "${env}" of project "${project}"`;
  const chosen = process.deployment === person?.deployment ? undefined : deploymentOf(process.deployment);
  const wanted = chosen ?? pointer ?? env ?? "";
  const wantedBy = `${chosen === undefined ? ".current-env" : "ENV"} says ${JSON.stringify(wanted.slice(0, 40))}`;
  const isOtherProcess = isNamed && process.project !== undefined && isOther(process);
  const contradiction = [
    isOtherProcess && `the process environment is that of project "${process.project}"`,
    file && !isOurs(file) && `their file ${says(file)}`,
    isByPlace && isPointerCopied && "the pointer is of another directory, which is on it too",
    isByPlace && block && pointer === undefined &&
    `${envFile} has a block of "${block.env}", and there is no .current-env`,
    isByPlace && block?.env === env && block && !isOurs(block) && `the block in ${envFile} ${says(block)}`,
    isFileLoaded && (ALIASES.get(wanted) ?? wanted) !== env &&
    `${envFile}, loaded into the process, is of "${env}", but ${wantedBy}`,
  ].find((state) => typeof state === "string");
  if (contradiction) {
    const command = isOtherProcess ? "unset FORKSTACK_PROJECT" : `forkstack switch ${env ?? "dev"}`;
    const hint = `Make them agree with \`${command}\``;
    throw guardError("ENV_CONFLICT", facts, "use the variables", contradiction, { hint });
  }
  if (env === undefined) {
    const hint = "Use an environment here with `forkstack switch dev`, or create one with `forkstack new`";
    throw guardError("ENV_UNSET", facts, "use an environment", "this git worktree points to none", { hint });
  }
  const isMade = env === "dev" || env === "prod" || isRun || file !== undefined;
  if (isMade || !(isByPlace || facts.hasState)) return env;
  const hint = `Create it with \`forkstack new ${env}\`, or use another with \`forkstack switch dev\``;
  throw guardError("ENV_UNKNOWN", facts, "use the variables", "it was never made here, or was deleted", { hint });
}

/**
 * @internal The guard: from the facts, the current environment and its value of a variable, or an error; never another
 * environment's. It reads nothing. docs/environments.md has the table of its answers.
 */
export function guard(facts: Facts, variable?: string, candidates: Candidates = {}): Guarded {
  const way = decide(facts);
  const env = certainEnv(facts, way);
  const { process: inProcess, file, block, derived, isPlace, provided, person } = candidates;
  const given = Object.entries({ file: isPlace ? undefined : file, derived, provider: provided, person });
  const [from, value] = given.find(([, value]) => value !== undefined) as [Guarded["from"], EnvValue] | undefined ?? [];
  if (inProcess === undefined) return { env, value, from };
  const isOwnBlock = facts.block?.env === env;
  const isDeployment = way.isNamed && !way.isRun && !way.isBlockLoaded && !facts.hasState;
  const isDeployed = isDeployment && (facts.block === undefined || isOwnBlock || block !== inProcess);
  if (isDeployed || (way.isRun && candidates.isVouched)) return { env, value: inProcess, from: "process" };
  const own = isDeployment ? [] : [value, file, isOwnBlock ? block : undefined];
  if (own.some((one) => one === inProcess || (way.isFileLoaded && isChanged(one, inProcess)))) {
    return { env, value, from };
  }
  const path = candidates.loadedFrom?.();
  const culprit = candidates.processName ?? variable;
  const isNameless = !way.isNamed && facts.pointer === undefined && !facts.hasState;
  const unset = isNameless
    ? `In a deployment set FORKSTACK_ENV=prod beside it; elsewhere unset ${culprit}`
    : `Unset ${culprit}; in a deployment, leave .forkstack and ${facts.envFile ?? ".env.local"} out of it`;
  const hint = path === undefined ? unset : `Take ${culprit} out of "${path}", or do not load that file`;
  const state = `the process environment holds a different value${path === undefined ? "" : `, that of "${path}"`}`;
  throw guardError("ENV_CONFLICT", facts, `read ${variable}`, state, { hint });
}

function guardError(code: ErrorCode, facts: Facts, what: string, state: string, options: ErrorOptions): ForkstackError {
  const { env, decidedBy } = decide(facts);
  const whose = env === undefined ? "" : ` of environment "${env}" (decided by ${decidedBy})`;
  return new ForkstackError(code, `Cannot ${what}${whose}: ${state}`, { ...options, details: env ? { env } : {} });
}

/** Tells whether the process may have it from a file that Bun read: with what follows `$` or an escape expanded. */
function isChanged(written: EnvValue | undefined, inProcess: string): boolean {
  if (typeof written !== "string") return written !== undefined;
  const at = written.search(/[$\\'`]/);
  return at >= 0 && inProcess.replace(/^['"`]/, "").startsWith(written.slice(0, at)); // it may keep the quote, too
}

// ---- secrets

/** @internal A request to `openSecrets()` of `providers/secrets/runtime/<provider>.ts`. */
export interface SecretsRequest {
  readonly env: string;
  readonly project: string;
  readonly title: string; // see `resourceTitle()`
  readonly options: Json; // the resource's entry in forkstack.json
  readonly read: ReadVariable; // reads a variable of the environment, under the guard, e.g. `DOPPLER_CONFIG`
  readonly credential: ReadVariable; // reads the process environment alone
}

/** @internal A source of secrets: `all` of an environment; `write` sets some, and removes those that are `null`. */
export interface SecretsSource {
  all(): Promise<Record<string, string>>;
  write(changes: Readonly<Record<string, string | null>>): Promise<void>;
}

/** The answers of a source, and until when they are good. */
type Answers = { untilMs: number; readonly secrets: Map<string, string>; all?: Promise<ReadonlyMap<string, string>> };

const SECRETS_MAX_AGE_MS = 300_000;
const ENCODED = "forkstack-uri:"; // the beginning of a value, percent-encoded, that an env file can't hold as it is

/** @internal The secrets in an env file's text; their values may hold anything. */
export function parseSecretsFile(text: string, name?: string): Record<string, string> {
  const plain = (value: string) => value.startsWith(ENCODED) ? decodeURIComponent(value.slice(ENCODED.length)) : value;
  return Object.fromEntries(Object.entries(parseEnvFile(text, name)).map(([key, value]) => [key, plain(value)]));
}

/** @internal The text with some secrets set or removed; comments, order and all other lines stay. */
export function editSecretsFile(text: string, changes: Readonly<Record<string, string | null>>): string {
  return Object.entries(changes).reduce((edited, [key, value]) => {
    const isPlain = value === null || (!value.startsWith(ENCODED) && quoteOf(value) !== undefined);
    const held = isPlain ? value : attempt(() => ENCODED + encodeURIComponent(value)) ?? value;
    return setEnvVariable(edited, key, held);
  }, text);
}

/** @internal The secrets in one file, locked while it is changed. */
export function envFileSecrets(path: string): SecretsSource {
  return {
    all: () => Promise.resolve(parseSecretsFile(readText(path) ?? "", `"${path}"`)),
    async write(changes) {
      const { mkdirSync, renameSync, rmSync, writeFileSync } = builtin("node:fs");
      const made = mkdirSync(parentOf(path), { recursive: true, mode: 0o700 });
      if (made?.endsWith(".forkstack")) writeFileSync(join(made, ".gitignore"), "*\n", { mode: 0o600 });
      await exclusively(path, (isOurs) => {
        const temporary = `${path}.forkstack-${crypto.randomUUID().slice(0, 8)}`; // the command line sweeps such names
        try {
          const text = editSecretsFile(readText(path) ?? "", changes);
          writeFileSync(temporary, text, { mode: 0o600, flag: "wx" });
          if (!isOurs()) throw lockLost(path);
          renameSync(temporary, path);
        } finally {
          rmSync(temporary, { force: true });
        }
      });
    },
  };
}

const LOCK_STALE_MS = 10_000; // one is held for a few file operations
const LOCK_WAIT_MS = 15_000;

/** Runs `work` while no other process does for the same path; takes over the lock of one that died. */
async function exclusively(path: string, work: (isOurs: () => boolean) => void): Promise<void> {
  const { rmSync, writeFileSync } = builtin("node:fs");
  const [lock, token] = [`${path}.lock`, crypto.randomUUID()];
  const isOurs = () => readText(lock) === token;
  const isStale = () => (look(lock)?.mtime?.getTime() ?? Infinity) < nowMs() - LOCK_STALE_MS;
  let isTaken = false;
  for (const deadline = nowMs() + LOCK_WAIT_MS; !isTaken;) {
    try {
      writeFileSync(lock, token, { mode: 0o600, flag: "wx" });
      isTaken = true;
    } catch (error) {
      if ((error as { code?: string }).code !== "EEXIST") throw error;
      // Under a lock of its own, so that nobody removes the fresh lock of whoever was quicker.
      if (isStale()) await exclusively(lock, () => isStale() && rmSync(lock));
      else if (nowMs() > deadline) throw lockLost(path);
      else await new Promise((resolve) => setTimeout(resolve, 2 + Math.random() * 10));
    }
  }
  try {
    work(isOurs);
  } finally {
    if (isOurs()) rmSync(lock, { force: true });
  }
}

function lockLost(path: string): ForkstackError {
  const hint = `Try again; if nothing is writing, delete "${path}.lock"`;
  const message = `Cannot write "${path}": another process holds its lock`;
  return new ForkstackError("SECRETS_LOCKED", message, { hint, retryable: true });
}

// ---- errors

/** @internal Codes of errors of the command line and of providers: core/cli/other_codes.d.ts lists them as `codes`. */
// deno-lint-ignore no-empty-interface
export interface OtherCodes {}

/** A code of an error: of those in this file, or any other. docs/errors.md has the meaning and exit code of each. */
// deno-fmt-ignore
export type ErrorCode =
  | "NAME_INVALID" | "CONFIG_INVALID" | "CONFIG_MISSING" | "ENV_CONFLICT" | "ENV_UNKNOWN" | "ENV_UNREADABLE"
  | "ENV_UNSET" | "VALUE_INVALID" | "VALUE_MISSING" | "VALUE_UNREADABLE" | "VALUE_UNWRITABLE" | "SECRET_MISSING"
  | "SECRETS_LOCKED" | "PROVIDER_MISSING" | "NOT_PERMITTED" | "FILE_UNREADABLE" | "TOOL_OUTDATED"
  | (OtherCodes extends { readonly codes: infer Code extends string } ? Code : string & Record<never, never>);

/** The place of an error; every field is safe to print. */
export interface ErrorDetails {
  /** The provider's name in forkstack.json, e.g. `"neon"`. */
  readonly provider?: string;
  /** The resource, e.g. `"database"` or `"storage.uploads"`. */
  readonly resource?: string;
  /** The environment, e.g. `"alice"`. */
  readonly env?: string;
  /** The HTTP status of a vendor's answer. */
  readonly status?: number;
  /** The vendor's id of the request, to quote to its support. */
  readonly requestId?: string;
}

/** The fields of an error besides its code and message. */
export type ErrorOptions = Partial<Pick<ForkstackError, "hint" | "retryable" | "details" | "cause">>;

/** The one error class of forkstack. `code` is stable: switch on it, never on the message. */
export class ForkstackError extends Error {
  /** The mark of `isForkstackError()`, the same in two loaded copies of this file. */
  readonly isForkstack: symbol = Symbol.for("forkstack.error");
  /** Stable, UPPER_SNAKE: `"ENV_CONFLICT"`, `"NOT_FOUND"`, `"FOREIGN"`. */
  readonly code: ErrorCode;
  /** The next step: a command, a setting, a page to read. */
  readonly hint: string | undefined;
  /** The same call may succeed later. @default {false} */
  readonly retryable: boolean;
  /** The place of the error. */
  readonly details: ErrorDetails;

  /** An error with a stable code; its message as "Cannot verb kind name: state found". */
  constructor(code: ErrorCode, message: string, { hint, retryable = false, details = {}, cause }: ErrorOptions = {}) {
    super(message, { cause });
    this.name = "ForkstackError";
    this.code = code;
    this.hint = hint;
    this.retryable = retryable;
    this.details = details;
  }
}

const unusable = (code: ErrorCode, what: string, state: string, hint: string): ForkstackError =>
  new ForkstackError(code, `Cannot use ${what}: ${state}`, { hint });

/** Tells whether a caught value is a `ForkstackError`, whichever copy of this file made it. */
export function isForkstackError(value: unknown): value is ForkstackError {
  return value instanceof Error && (value as Partial<ForkstackError>).isForkstack === Symbol.for("forkstack.error");
}

// ---- the system

// Deno's own calls where they are there, else built-ins at first use: `process` costs a Deno process 10 ms, and
// `node:fs` 18 ms.
const deno = (globalThis as { Deno?: typeof Deno }).Deno;

/** A module of Node's own, which all three runtimes have. */
function builtin<Name extends "node:fs" | "node:path">(name: Name) {
  if (process.getBuiltinModule !== undefined) return process.getBuiltinModule(name);
  const hint = "Run the app with Node 20.16, 22.3 or later, or with Deno or Bun";
  throw unusable("TOOL_OUTDATED", `forkstack in Node ${process.versions.node}`, "it is too old", hint);
}

/** Milliseconds since 1970, by the one clock of this process, which no change of the system's time moves. */
const nowMs = (): number => performance.timeOrigin + performance.now();
const join = (...parts: string[]): string => parts.join("/").replace(/\/{2,}/g, "/");
const parentOf = (path: string): string => path.replace(/[\\/][^\\/]*$/, "") || "/";
const withoutEnd = (path: string): string => path.replace(/(.)[\\/]+$/, "$1");

/** Tells whether Deno would give a permission without asking; the other runtimes do. */
const isGranted = (permission: Deno.PermissionDescriptor): boolean =>
  deno === undefined || deno.permissions.querySync(permission).state === "granted";

/** The entry at a path; `uid` is absent, or 0, if the system has no owners. */
function look(path: string, call: "statSync" | "lstatSync" = "statSync") {
  return ifThere(path, () => {
    if (deno !== undefined) {
      const { isFile, isDirectory, isSymlink: isLink, uid, mtime } = deno[call](path);
      return { isFile, isDirectory, isLink, uid, mtime };
    }
    const found = builtin("node:fs")[call](path);
    const [isFile, isDirectory, isLink] = [found.isFile(), found.isDirectory(), found.isSymbolicLink()];
    return { isFile, isDirectory, isLink, uid: found.uid, mtime: found.mtime };
  });
}

function readText(path: string): string | undefined {
  return ifThere(path, () => {
    const { isFile = true, isDirectory } = look(path) ?? {};
    // It may never end, or hold up its reader for ever.
    if (!isFile && !isDirectory) throw Object.assign(new Error(path), { code: "it is a pipe or a device" });
    return (deno?.readTextFileSync(path) ?? builtin("node:fs").readFileSync(path, "utf8")).replace(/^\uFEFF/, "");
  });
}

function namesIn(path: string): string[] {
  const read = () =>
    deno === undefined ? builtin("node:fs").readdirSync(path) : Array.from(deno.readDirSync(path), ({ name }) => name);
  return ifThere(path, read) ?? [];
}

/** The path without links; as it is if nothing is there. */
function realPath(path: string): string {
  return ifThere(path, () => deno?.realPathSync(path) ?? builtin("node:fs").realpathSync(path)) ?? path;
}

const isSamePlace = (one: string, other: string): boolean => one === other || realPath(one) === realPath(other);

/** @internal The `file:` URL of an absolute path. */
export function fileUrl(path: string): string {
  const [drive, slash] = /^[A-Za-z]:/.test(path) ? ["/", "/"] : ["", "\\"];
  return `file://${drive}${encodeURI(path.replaceAll("\\", slash)).replace(/[?#]/g, encodeURIComponent)}`;
}

/** A result of looking at a path; `undefined` if nothing is there. */
function ifThere<Result>(path: string, work: () => Result): Result | undefined {
  try {
    return work();
  } catch (cause) {
    const { code } = cause as { code?: string };
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    if (isForkstackError(cause)) throw cause;
    const hint = "Check the file's permissions, and in Deno --allow-read";
    throw new ForkstackError("FILE_UNREADABLE", `Cannot read "${path}": ${code ?? "not permitted"}`, { cause, hint });
  }
}

/** A result, or `undefined` if there is none because of an error that says nothing to the caller. */
function attempt<Result>(work: () => Result): Result | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
