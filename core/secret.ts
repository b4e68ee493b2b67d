/** A value that must not be printed: it shows as `[redacted]` wherever it is formatted. */
export class Secret {
  readonly #value: string;
  /** The key that `instanceof` uses, also across two loaded copies of this file: a provider by URL brings its own. */
  get isSecret(): symbol {
    return Symbol.for("forkstack.secret");
  }

  /** Implements `instanceof`. */
  static [Symbol.hasInstance](value: unknown): boolean {
    return (value as Partial<Secret> | null | undefined)?.isSecret === Symbol.for("forkstack.secret");
  }

  /** Wraps the value. */
  constructor(value: string) {
    this.#value = value;
  }

  /** Returns the value itself; only for requests, the environment's own file, and `--reveal`. */
  reveal(): string {
    return this.#value;
  }

  /** Returns `[redacted]`. */
  toString(): string {
    return "[redacted]";
  }

  /** Returns `[redacted]`. */
  toJSON(): string {
    return "[redacted]";
  }

  /** Returns `[redacted]`, for inspection in Node and Bun. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[redacted]";
  }

  /** Returns `[redacted]`, for inspection in Deno. */
  [Symbol.for("Deno.customInspect")](): string {
    return "[redacted]";
  }
}

/** The variables of an environment, in the order in which they are written. */
export type Variables = Readonly<Record<string, string | Secret>>;

/** Secrets by key. */
export type Secrets = Readonly<Record<string, Secret>>;

/** Secrets to set by key; `null` removes the key. */
export type Changes = Readonly<Record<string, Secret | null>>;
