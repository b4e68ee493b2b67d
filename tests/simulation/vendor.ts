/**
 * A vendor as it really is, whoever asks: resources with ids and names, made and removed in a while, listed with a lag.
 * What the providers can't see (`maker`) is the truth that the invariants are held against.
 */
import type { Kind } from "../../mod.ts";

/** How one vendor behaves. */
export interface Traits {
  readonly name: string;
  readonly kind: Kind;
  /** `marked`: it stores our note. `marked-after`: by a call of its own. `recorded`: it has no place for one. */
  readonly ownership: "marked" | "marked-after" | "recorded";
  readonly canReset: boolean;
  readonly canExtend: boolean;
  readonly latencyMs: number;
  /** How long a fork is pending, and how long one that is deleted still bears its name. */
  readonly readyMs: number;
  readonly goneMs: number;
  /** How far the list is behind; by name and by id it is exact. */
  readonly listLagMs: number;
}

/** Who asked for a resource: one of the simulated processes, or nobody of ours. */
export interface Maker {
  readonly env: string;
  readonly resource: string;
  readonly operation: string;
}

/** One resource. */
export interface Item {
  readonly id: string;
  readonly name: string;
  note?: string;
  /** The name of what it is a fork of. */
  readonly source?: string;
  readonly createdMs: number;
  readonly readyMs: number;
  goneMs?: number;
  /** The name of what its data came from, and how often it was replaced. */
  data: string;
  generation: number;
  expiresAt?: string;
  readonly maker: Maker | "outside";
  /** It waits to take another's place. */
  readonly isStaged: boolean;
}

/** What can be asked. */
export type Request =
  | { readonly op: "find"; readonly name: string }
  | { readonly op: "get"; readonly id: string }
  | { readonly op: "list" }
  | {
    readonly op: "create";
    readonly name: string;
    readonly parent?: string;
    readonly note?: string;
    readonly isStaged: boolean;
    readonly maker: Maker;
  }
  | { readonly op: "mark"; readonly id: string; readonly note: string }
  | { readonly op: "delete"; readonly id: string }
  | { readonly op: "swap"; readonly id: string; readonly by: string }
  | { readonly op: "extend"; readonly id: string; readonly expiresAt: string };

/** A resource as the vendor shows it. */
export interface Shown {
  readonly id: string;
  readonly name: string;
  readonly note?: string;
  readonly source?: string;
  readonly createdMs: number;
  readonly state: "pending" | "ready" | "deleting";
}

/** What the vendor says. */
export interface Answer {
  readonly status: number;
  readonly item?: Shown;
  readonly items?: readonly Shown[];
}

/** Whether a request changes anything. */
export function isMutation({ op }: Request): boolean {
  return op === "create" || op === "mark" || op === "delete" || op === "swap" || op === "extend";
}

/** One vendor with everything it holds. */
export class Vendor {
  readonly traits: Traits;
  readonly #items: Item[] = [];
  readonly #now: () => number;
  #made = 0;

  /** An empty one. */
  constructor(traits: Traits, now: () => number) {
    this.traits = traits;
    this.#now = now;
  }

  /** What is there now. */
  items(): Item[] {
    return this.#items.filter((item) => this.isThere(item));
  }

  /** Whether a resource still bears its name. */
  isThere(item: Item): boolean {
    return item.goneMs === undefined || item.goneMs > this.#now();
  }

  /** Puts a resource there that no simulated process asked for. */
  place(name: string, maker: Maker | "outside", note?: string): Item {
    return this.#add({ name, note, maker, data: name, readyMs: this.#now(), isStaged: false });
  }

  byId(id: string): Item | undefined {
    return this.#items.find((item) => item.id === id && this.isThere(item));
  }

  /** Acts, at once and whole. */
  act(request: Request): Answer {
    switch (request.op) {
      case "find":
        return this.#found(this.#items.find((item) => item.name === request.name && this.isThere(item)));
      case "get":
        return this.#found(this.byId(request.id));
      case "list":
        return { status: 200, items: this.#listed() };
      case "create":
        return this.#create(request);
      case "mark": {
        const item = this.byId(request.id);
        if (item !== undefined) item.note = request.note;
        return this.#found(item);
      }
      case "delete": {
        const item = this.byId(request.id);
        if (item !== undefined) item.goneMs ??= this.#now() + this.traits.goneMs;
        return this.#found(item);
      }
      case "swap": {
        const [item, by] = [this.byId(request.id), this.byId(request.by)];
        if (item?.goneMs !== undefined || by?.goneMs !== undefined || item === undefined || by === undefined) {
          return { status: 404 };
        }
        [item.data, item.generation, by.goneMs] = [by.data, item.generation + 1, this.#now()];
        return this.#found(item);
      }
      case "extend": {
        const item = this.byId(request.id);
        if (item !== undefined) item.expiresAt = request.expiresAt;
        return this.#found(item);
      }
    }
  }

  #create(request: Extract<Request, { op: "create" }>): Answer {
    const holder = this.#items.find((item) => item.name === request.name && this.isThere(item));
    if (holder !== undefined) return { status: 409 };
    const parent = request.parent === undefined
      ? undefined
      : this.#items.find((item) => item.name === request.parent && item.goneMs === undefined);
    if (request.parent !== undefined && parent === undefined) return { status: 404 };
    const { name, note, maker, isStaged } = request;
    const readyMs = this.#now() + this.traits.readyMs;
    const item = this.#add({
      name,
      note,
      maker,
      data: parent?.name ?? "empty",
      source: parent?.name,
      readyMs,
      isStaged,
    });
    return { status: 201, item: this.#shown(item) };
  }

  #add(given: Omit<Item, "id" | "createdMs" | "generation">): Item {
    const item = { ...given, id: `${this.traits.name}-${++this.#made}`, createdMs: this.#now(), generation: 0 };
    this.#items.push(item);
    return item;
  }

  #listed(): Shown[] {
    const asOf = this.#now() - this.traits.listLagMs;
    return this.#items
      .filter((item) => item.createdMs <= asOf && (item.goneMs === undefined || item.goneMs > asOf))
      .map((item) => this.#shown(item));
  }

  #found(item: Item | undefined): Answer {
    return item === undefined ? { status: 404 } : { status: 200, item: this.#shown(item) };
  }

  #shown({ id, name, note, source, createdMs, goneMs, readyMs }: Item): Shown {
    const state = goneMs !== undefined ? "deleting" : readyMs <= this.#now() ? "ready" : "pending";
    return {
      id,
      name,
      ...(note === undefined ? {} : { note }),
      ...(source === undefined ? {} : { source }),
      createdMs,
      state,
    };
  }
}
