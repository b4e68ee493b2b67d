/** A value that must not be printed: it shows as `[redacted]` wherever it is formatted. */
export class Secret {
  readonly #value: string;
  /** Known by `instanceof` also across two loaded copies of this file: a provider by URL brings its own. */
  get isSecret(): symbol {
    return Symbol.for("forkstack.secret");
  }

  /** What `instanceof` asks. */
  static [Symbol.hasInstance](value: unknown): boolean {
    return (value as Partial<Secret> | null | undefined)?.isSecret === Symbol.for("forkstack.secret");
  }

  /** Wraps the value. */
  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself; only for the wire, the environment's own file, and `--reveal`. */
  reveal(): string {
    return this.#value;
  }

  /** `[redacted]`. */
  toString(): string {
    return "[redacted]";
  }

  /** `[redacted]`. */
  toJSON(): string {
    return "[redacted]";
  }

  /** `[redacted]`, in Node's and Bun's inspection. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[redacted]";
  }

  /** `[redacted]`, in Deno's inspection. */
  [Symbol.for("Deno.customInspect")](): string {
    return "[redacted]";
  }
}

/** The variables of an environment, in the order in which they are written. */
export type Variables = Readonly<Record<string, string | Secret>>;

/** Values by key. */
export type Secrets = Readonly<Record<string, Secret>>;

/** Secrets to set, or with `null` to remove. */
export type Changes = Readonly<Record<string, Secret | null>>;
