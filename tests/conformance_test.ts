/**
 * The suite's own test: a small vendor behind HTTP with a provider that passes, and providers broken on purpose, each of
 * which a named case must catch.
 */
import assert from "node:assert/strict";
import * as v from "npm:valibot@1.5.0";
import type {
  Context,
  Created,
  Fork,
  Held,
  Inspection,
  Marker,
  Outputs,
  Provider,
  Replacement,
  Scope,
  Target,
} from "../core/provider.ts";
import { Secret } from "../core/secret.ts";
import { ForkstackError } from "../mod.ts";
import { conformanceCases, type Emulator, testProvider, type World } from "./conformance.ts";
import { FAULTS } from "./faults.ts";

// ------------------------------------------------------------------------------------------------------ the vendor

interface Box {
  readonly id: string;
  readonly name: string;
  readonly parent?: string;
  note: string;
  readonly createdAt: string;
  readonly token: string;
  content: string;
}

/** A vendor of boxes with unique names of at most 40 characters, two to a page. */
class Vendor {
  readonly boxes = new Map<string, Box>();
  readonly tokens: string[] = [];
  readonly leases = new Map<string, number>();
  readonly #apiKey: string;
  #ids = 0;

  constructor(apiKey: string) {
    this.#apiKey = apiKey;
  }

  add(name: string, note: string, content: string, parent?: string): Box {
    const id = `box-${++this.#ids}`;
    const token = `canary-token-${crypto.randomUUID()}`;
    this.tokens.push(token);
    const box = { id, name, note, content, createdAt: "2026-01-01T00:00:00Z", token, ...(parent ? { parent } : {}) };
    this.boxes.set(id, box);
    return box;
  }

  async answer(request: Request): Promise<Response> {
    if (request.headers.get("authorization") !== `Bearer ${this.#apiKey}`) return Response.json({}, { status: 401 });
    const url = new URL(request.url);
    const [, , id, part] = url.pathname.split("/");
    const all = [...this.boxes.values()];
    if (id === undefined && request.method === "GET") {
      const name = url.searchParams.get("name");
      const from = Number(url.searchParams.get("from") ?? 0);
      const found = name === null ? all : all.filter((box) => box.name === name);
      const page = found.slice(from, from + 2).map(({ token: _, content: __, ...box }) => box);
      return Response.json({ boxes: page, ...(from + 2 < found.length ? { next: from + 2 } : {}) });
    }
    if (id === undefined && request.method === "POST") {
      const wanted = await request.json() as { name: string; parent?: string; note: string; expiresAt?: string };
      const all = [...this.boxes.values()]; // as it is now
      if (wanted.name.length > 40) return Response.json({ code: "name_too_long" }, { status: 422 });
      if (all.some((box) => box.name === wanted.name)) return Response.json({ code: "exists" }, { status: 409 });
      const parent = wanted.parent === undefined ? undefined : this.boxes.get(wanted.parent);
      if (wanted.parent !== undefined && parent === undefined) return Response.json({}, { status: 404 });
      const { token: _, content: __, ...box } = this.add(wanted.name, wanted.note, parent?.content ?? "", parent?.id);
      if (wanted.expiresAt !== undefined) this.leases.set(box.id, Date.parse(wanted.expiresAt));
      return Response.json(box, { status: 201 });
    }
    const box = this.boxes.get(id ?? "");
    if (box === undefined) return Response.json({ code: "no_such_box" }, { status: 404 });
    if (request.method === "DELETE") {
      this.boxes.delete(box.id);
      return new Response(null, { status: 204 });
    }
    if (request.method === "PUT") {
      const { from, expiresAt, note } = await request.json() as { from?: string; expiresAt?: string; note?: string };
      if (note !== undefined) box.note = note;
      if (from !== undefined) box.content = this.boxes.get(from)!.content;
      if (expiresAt !== undefined) this.leases.set(box.id, Date.parse(expiresAt));
      return new Response(null, { status: 204 });
    }
    if (request.method === "PATCH") {
      box.content += (await request.json() as { add: string }).add;
      return new Response(null, { status: 204 });
    }
    return Response.json(part === "token" ? { token: box.token } : { ...box, token: undefined, content: undefined });
  }
}

const emulator: Emulator = {
  open({ stack, resource, credentials }) {
    const vendor = new Vendor(credentials.BOX_API_KEY!);
    const titleOf = (env: string) => `myapp-${env}`;
    const note = (marker: Partial<Marker>) => JSON.stringify({ stack, resource, operation: "long ago", ...marker });
    vendor.add("myapp", "", "what prod holds");
    for (const near of ["alic", "alice2", "alice-2", "alice-bucket"]) vendor.add(titleOf(near), "", "a look-alike");
    vendor.add(titleOf("carol"), note({ stack: "another", env: "carol" }), "of another stack");
    vendor.add(titleOf("dave"), note({ resource: "another", env: "dave" }), "of another resource");
    let now = Date.parse("2026-01-01T00:00:00Z");
    const named = (name: string) => [...vendor.boxes.values()].find((box) => box.name === name)!;
    const world: World = {
      project: "myapp",
      root: "/nowhere",
      context: { fetch: (request) => vendor.answer(request), files: {} as Context["files"] },
      parent: "myapp",
      absentParent: "no-such-parent",
      titleOf,
      things: () => Promise.resolve(new Map([...vendor.boxes.values()].map((box) => [box.id, JSON.stringify(box)]))),
      contentOf: (name) => Promise.resolve(named(name).content),
      change: (name) => Promise.resolve(void (named(name).content += " and mine")),
      placeForeign(name, { isEmpty, markOf } = {}) {
        vendor.add(name, markOf === undefined ? "" : named(markOf).note, isEmpty ? "" : "somebody else's");
        return Promise.resolve();
      },
      rehand: (fork, marker) => Promise.resolve(void (vendor.boxes.get(fork.id)!.note = JSON.stringify(marker))),
      advance(ms) {
        now += ms;
        for (const [id, end] of vendor.leases) if (end <= now) vendor.boxes.delete(id);
        return Promise.resolve();
      },
      canaries: () => vendor.tokens,
      close: () => Promise.resolve(),
    };
    return Promise.resolve(world);
  },
};

// ---------------------------------------------------------------------------------------------------- the provider

type NoOptions = Record<never, never>;
type Row = Omit<Box, "token" | "content">;

/** A fault of a provider. */
type Flaw =
  | "asks a host that it does not declare"
  | "adopts by name"
  | "adopts another operation's"
  | "deletes by name"
  | "deletes without reading the marker"
  | "leaks its key in an error"
  | "logs its token"
  | "hands out its token in the open"
  | "swallows a failed call"
  | "creates twice on retry"
  | "lists foreign ones"
  | "lists the first page only"
  | "lists by the journal"
  | "answers a probe without asking"
  | "claims usage that it has not"
  | "has usage that it does not claim"
  | "changes the parent"
  | "takes a failed delete for done"
  | "gives a loser of two creates an error"
  | "claims names that the vendor refuses"
  | "cuts long names"
  | "makes an empty one of a missing parent"
  | "ignores the parent"
  | "claims an expiry that never comes"
  | "takes any option"
  | "expires without a claim"
  | "can't extend a lease"
  | "forgets to extend a lease"
  | "resets before the commit"
  | "resets to nothing"
  | "claims outputs that can be read again"
  | "hands back other variables than it gives"
  | "hands back its parent's variables"
  | "hands back its token in the open"
  | "gives a variable that it does not declare"
  | "takes its token for no secret"
  | "takes its URL for everybody's"
  | "believes a copied mark"
  | "takes another registry's fork for its own"
  | "adopts by age"
  | "adopts on a rerun"
  | "takes over in silence"
  | "forgets that something was there already"
  | "force-deletes on undo"
  | "force-deletes what a row names"
  | "goes by the name on record"
  | "forgets how the environment was made"
  | "marks another's fork as its own"
  | "can't change its mark"
  | "throws on an old row"
  | "upgrades a row in place"
  | "changes today's options as it upgrades";

/**
 * Returns a provider of boxes. `ownership`: it uses the vendor's note, or the record of its answers as if there were
 * none.
 */
function boxProvider(flaw?: Flaw, ownership: "marked" | "recorded" = "marked"): Provider<NoOptions> {
  const is = (one: Flaw) => one === flaw;

  async function call<T>(context: Context, method: string, path: string, body?: unknown): Promise<T | undefined> {
    const key = context.credentials.BOX_API_KEY?.reveal();
    if (key === undefined) {
      throw new ForkstackError("CREDENTIALS_MISSING", "Cannot reach boxes: BOX_API_KEY is not set");
    }
    const request = new Request(`https://boxes.test/boxes${path}`, {
      method,
      headers: { authorization: `Bearer ${key}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const response = await context.fetch(request);
    const text = await response.text();
    if (response.ok) return text === "" ? undefined : JSON.parse(text);
    if (is("leaks its key in an error")) throw new Error(`${response.status} with key ${key}`);
    const code = response.status === 404 ? "NOT_FOUND" : response.status === 409 ? "CONFLICT" : "PROVIDER_REFUSED";
    throw new ForkstackError(code, `Cannot ${method} ${path.split("?")[0]}: ${response.status}`);
  }

  async function rows(context: Context, name?: string): Promise<Row[]> {
    const all: Row[] = [];
    for (let from: number | undefined = 0; from !== undefined;) {
      const query = new URLSearchParams({ from: String(from), ...(name === undefined ? {} : { name }) });
      const page: { boxes: Row[]; next?: number } = (await call(context, "GET", `?${query}`))!;
      all.push(...page.boxes);
      from = is("lists the first page only") ? undefined : page.next;
    }
    return all;
  }

  async function markerOf(context: Context, row: Row): Promise<Marker | undefined> {
    if (is("believes a copied mark")) return row.note === "" ? undefined : JSON.parse(row.note) as Marker;
    if (is("lists by the journal")) return (await context.recorded(row.name))[0]?.marker;
    if (ownership === "marked") return context.markerOf(row.name, row.note);
    const told = await context.recorded(row.name);
    return told.find(({ id }) => id === row.id || is("goes by the name on record"))?.marker;
  }

  /** Returns true if an unmarked box is this run's after a lost reply, by the parent that it is a fork of. */
  async function isProven(context: Context, target: Target<NoOptions>, row: Row): Promise<boolean> {
    if (is("adopts by age")) return row.createdAt >= target.begunAt.replace(".000Z", "Z");
    if (is("adopts on a rerun")) return target.isResumed ?? false;
    if (is("force-deletes on undo") && target.isResumed) return true;
    if (ownership === "marked" || !target.isResumed || target.parent === undefined || !row.parent) return false;
    return (await rows(context, target.parent))[0]?.id === row.parent;
  }

  async function forkOf(context: Context, row: Row): Promise<Fork | undefined> {
    const marker = await markerOf(context, row);
    if (marker === undefined) return undefined;
    const { id, name, parent, createdAt } = row;
    return { id, name, createdAt, marker, ...(parent ? { parentId: parent } : { copy: "empty" as const }) };
  }

  function isSame(one: Marker, other: Marker): boolean {
    const keys = ["stack", "env", "resource", ...(is("takes another registry's fork for its own") ? [] : ["registry"])];
    return keys.every((key) => one[key as keyof Marker] === other[key as keyof Marker]);
  }

  async function inspect(context: Context, target: Target<NoOptions>): Promise<Inspection> {
    const [row] = await rows(context, target.name);
    if (row === undefined) return { state: "absent" };
    const fork = await forkOf(context, row);
    const isOurs = fork && isSame(fork.marker, target.marker);
    if (fork === undefined && await isProven(context, target, row)) {
      const { id, name, createdAt } = row;
      return {
        state: "ready",
        fork: { id, name, createdAt, marker: target.marker, ...(row.parent ? { parentId: row.parent } : {}) },
      };
    }
    if (is("adopts by name")) return { state: "ready", fork: fork ?? { ...row, marker: target.marker } };
    return fork && isOurs ? { state: "ready", fork } : { state: "foreign", id: row.id, reason: "it is not ours" };
  }

  async function create(context: Context, target: Target<NoOptions>): Promise<Created> {
    const name = is("cuts long names") ? target.name.slice(0, 30) : target.name;
    for (let attempt = 1;; attempt++) {
      const seen = await inspect(context, { ...target, name });
      if (seen.state === "foreign") {
        if (is("takes over in silence") && target.isResumed) {
          return { id: seen.id, name, createdAt: "2026-01-01T00:00:00Z", marker: target.marker };
        }
        const isForgetful = is("forgets that something was there already") && target.isResumed;
        if (isForgetful && await context.takeOver(name, seen.id, () => Promise.resolve(true))) {
          return { id: seen.id, name, createdAt: "2026-01-01T00:00:00Z", marker: target.marker };
        }
        throw new ForkstackError("FOREIGN", `Cannot make box "${name}": it is not ours`);
      }
      if (seen.state !== "absent") {
        if (seen.fork.marker.operation === target.marker.operation || is("adopts another operation's")) {
          await context.record("box", seen.fork.id);
          return seen.fork;
        }
        if (is("adopts by name")) return seen.fork;
        throw new ForkstackError("FOREIGN", `Cannot make box "${name}": another operation made it`);
      }
      const [parent] = target.parent === undefined ? [] : await rows(context, target.parent);
      const isMissing = target.parent !== undefined && parent === undefined;
      if (isMissing && !is("makes an empty one of a missing parent")) {
        throw new ForkstackError("NOT_FOUND", `Cannot fork box "${target.parent}": there is none`);
      }
      if (is("changes the parent") && parent) await call(context, "PATCH", `/${parent.id}`, { add: "!" });
      const body = {
        name,
        parent: is("ignores the parent") ? undefined : parent?.id,
        note: ownership === "marked" ? noteOf(target.marker) : "",
        expiresAt: is("claims an expiry that never comes") ? undefined : target.expiresAt,
      };
      try {
        const row = (await call<Row>(context, "POST", "", body))!;
        if (is("logs its token")) console.log(await call(context, "GET", `/${row.id}/token`));
        await context.record("box", row.id);
        const made = (await forkOf(context, row))!;
        if (ownership === "marked" && !flaw?.startsWith("hands back")) return made;
        const handed = await outputs(context, is("hands back its parent's variables") ? parent! : made);
        const { BOX_TOKEN: _, ...rest } = handed;
        return { ...made, outputs: is("hands back other variables than it gives") ? rest : handed };
      } catch (error) {
        if (is("creates twice on retry")) {
          const row = (await call<Row>(context, "POST", "", { ...body, name: `${body.name}-${attempt}` }))!;
          return { ...(await forkOf(context, row))!, name };
        }
        if (is("swallows a failed call")) {
          return { id: "box-0", name, createdAt: "2026-01-01T00:00:00Z", marker: target.marker };
        }
        const isLost = (error as { code?: string }).code === "CONFLICT" && !is("gives a loser of two creates an error");
        if (!isLost || attempt === 3) throw error;
      }
    }
  }

  async function remove(context: Context, fork: Fork): Promise<"deleted" | "absent"> {
    if (is("deletes by name")) {
      const [row] = await rows(context, fork.name);
      if (row === undefined) return "absent";
      await call(context, "DELETE", `/${row.id}`);
      return "deleted";
    }
    try {
      const row = (await call<Row>(context, "GET", `/${fork.id}`))!;
      const marker = await markerOf(context, row);
      const isForced = is("deletes without reading the marker") ||
        (marker === undefined && /^(force-deletes|adopts)/.test(flaw ?? ""));
      if (!(marker && isSame(marker, fork.marker)) && !isForced) {
        throw new ForkstackError("FOREIGN", `Cannot delete box "${fork.name}": it changed hands`);
      }
      await call(context, "DELETE", `/${fork.id}`).catch((error) => {
        if (!is("takes a failed delete for done")) throw error;
      });
      return "deleted";
    } catch (error) {
      if ((error as { code?: string }).code === "NOT_FOUND") return "absent";
      throw error;
    }
  }

  async function* list(context: Context, scope: Scope<NoOptions>): AsyncIterable<Fork> {
    for (const row of await rows(context)) {
      const fork = await forkOf(context, row);
      if (fork === undefined) continue;
      const isOurs = fork.marker.stack === scope.stack && fork.marker.resource === scope.resource;
      if (isOurs || is("lists foreign ones")) yield fork;
    }
  }

  async function probe(context: Context, held: Held): Promise<void> {
    if (!is("answers a probe without asking")) await call(context, "GET", `/${held.id}`);
  }

  async function outputs(context: Context, held: Held): Promise<Outputs> {
    const { token } = (await call<{ token: string }>(context, "GET", `/${held.id}/token`))!;
    const shown = is("claims outputs that can be read again") ? `${token}-${crypto.randomUUID()}` : token;
    const CACHE_URL = `https://boxes.test/${held.id}`;
    const isOpen = is("hands out its token in the open") || is("hands back its token in the open");
    return { CACHE_URL, BOX_TOKEN: isOpen ? shown : new Secret(shown) };
  }

  async function reset(context: Context, fork: Fork): Promise<Replacement> {
    const commit = async () => {
      const from = is("resets to nothing") ? fork.id : fork.parentId;
      await call(context, "PUT", `/${fork.id}`, { from });
      return fork;
    };
    if (is("resets before the commit")) await commit();
    return { commit, discard: () => Promise.resolve() };
  }

  async function extend(context: Context, fork: Fork, expiresAt: string): Promise<void> {
    if (!is("forgets to extend a lease")) await call(context, "PUT", `/${fork.id}`, { expiresAt });
  }

  function noteOf({ made, ...marker }: Marker): string {
    return JSON.stringify(is("forgets how the environment was made") ? marker : { ...marker, made });
  }

  async function remark(context: Context, fork: Fork): Promise<void> {
    const row = (await call<Row>(context, "GET", `/${fork.id}`))!;
    const marker = await markerOf(context, row);
    const isOurs = (marker !== undefined && isSame(marker, fork.marker)) || is("marks another's fork as its own");
    if (isOurs && !is("can't change its mark")) {
      await call(context, "PUT", `/${fork.id}`, { note: noteOf(fork.marker) });
    }
  }

  const hasUsage = !is("claims usage that it has not");
  return {
    name: "box",
    kind: "cache",
    capabilities: {
      copy: "full-copy",
      ownership,
      outputs: "rereadable",
      nativeExpiry: !is("expires without a claim"),
      usage: is("has usage that it does not claim") ? "none" : "bytes",
      pointInTime: false,
      outputsExpire: false,
      parentMayBeAbsent: false,
      name: { maxLength: is("claims names that the vendor refuses") ? 63 : 40, pattern: /^[a-z0-9-]+$/ },
    },
    credentials: [{ variable: "BOX_API_KEY", required: true }],
    variables: {
      CACHE_URL: { isSecret: false, isIdentity: !is("takes its URL for everybody's") },
      ...(is("gives a variable that it does not declare")
        ? {}
        : { BOX_TOKEN: { isSecret: !is("takes its token for no secret"), isIdentity: true } }),
    },
    permissions: () => ({ net: [is("asks a host that it does not declare") ? "*.boxes.test" : "boxes.test:443"] }),
    options: is("takes any option") ? v.object({}) : v.strictObject({}),
    upgradeOptions(given) {
      if (is("throws on an old row")) (given.size as string).trim();
      if (is("upgrades a row in place")) delete (given as Record<string, unknown>).noSuchOption;
      return is("changes today's options as it upgrades") ? { ...given, version: 2 } : given;
    },
    inspect,
    create,
    delete: remove,
    list,
    probe,
    outputs,
    reset,
    ...(ownership === "marked" ? { remark } : {}),
    ...(is("can't extend a lease") || is("expires without a claim") ? {} : { extend }),
    ...(hasUsage ? { usage: async (context, held) => (await probe(context, held), { sizeBytes: 0 }) } : {}),
  };
}

testProvider({ provider: boxProvider(), emulator });
testProvider({ provider: boxProvider(undefined, "recorded"), emulator }, { as: "box without marks" });

const REMARK = "its mark says how the environment was made, and remark() changes no more than that";
const UPGRADE = "upgradeOptions() leaves today's options, changes nothing in place, and takes whatever a row holds";
const CAUGHT_BY: Readonly<Record<Flaw, string>> = {
  "asks a host that it does not declare": "goes from absent to ready and back, each step twice",
  "adopts by name": "refuses a resource of somebody else at our name",
  "adopts another operation's": "refuses a fork of another stack, environment, resource or operation",
  "deletes by name": "delete() goes by the id alone",
  "deletes without reading the marker": "delete() leaves a fork whose marker changed hands",
  "leaks its key in an error": "create() broken at any call can be undone, and run again",
  "logs its token": "secrets stay inside",
  "hands out its token in the open": "secrets stay inside",
  "swallows a failed call": "create() broken at any call can be undone, and run again",
  "creates twice on retry": "create() broken at any call can be undone, and run again",
  "lists foreign ones": "list() yields our forks of this resource, all of them and no others",
  "lists the first page only": "list() yields our forks of this resource, all of them and no others",
  "lists by the journal": "list() finds a fork as capabilities.ownership claims",
  "answers a probe without asking": "probe() answers only where something does",
  "claims usage that it has not": "usage() is there if capabilities.usage claims it",
  "has usage that it does not claim": "usage() is there if capabilities.usage claims it",
  "changes the parent": "goes from absent to ready and back, each step twice",
  "takes a failed delete for done": "delete() broken at any call can be run again",
  "gives a loser of two creates an error": "two creates at once give one fork",
  "claims names that the vendor refuses": "names at the limit of capabilities.name are accepted",
  "cuts long names": "names at the limit of capabilities.name are accepted",
  "makes an empty one of a missing parent": "a parent that holds nothing",
  "ignores the parent": "goes from absent to ready and back, each step twice",
  "claims an expiry that never comes": "the vendor ends a lease if capabilities.nativeExpiry claims it",
  "takes any option": "an unknown option is refused",
  "expires without a claim": "the vendor ends a lease if capabilities.nativeExpiry claims it",
  "can't extend a lease": "the vendor ends a lease if capabilities.nativeExpiry claims it",
  "forgets to extend a lease": "the vendor ends a lease if capabilities.nativeExpiry claims it",
  "resets before the commit": "reset() keeps the old data until commit()",
  "resets to nothing": "reset() keeps the old data until commit()",
  "claims outputs that can be read again": "outputs() are as capabilities.outputs claims",
  "hands back other variables than it gives": "what create() hands back is what outputs() gives",
  "hands back its parent's variables": "what create() hands back is what outputs() gives",
  "hands back its token in the open": "goes from absent to ready and back, each step twice",
  "gives a variable that it does not declare":
    "outputs() gives what is declared: secrets as secrets, and what differs as an environment's own",
  "takes its token for no secret":
    "outputs() gives what is declared: secrets as secrets, and what differs as an environment's own",
  "takes its URL for everybody's":
    "outputs() gives what is declared: secrets as secrets, and what differs as an environment's own",
  "believes a copied mark": "a mark of ours that was copied onto another thing is not ours",
  "takes another registry's fork for its own": "refuses a fork of another stack, environment, resource or operation",
  "adopts by age": "what somebody else made between the look and the create stays",
  "adopts on a rerun":
    "what somebody else made after the run was killed is not adopted by its rerun, but if it is empty, and told",
  "takes over in silence":
    "what somebody else made after the run was killed is not adopted by its rerun, but if it is empty, and told",
  "forgets that something was there already":
    "what the vendor said is there already is not taken over by a rerun, though the run was killed at that answer",
  "force-deletes on undo": "what somebody else made after the run was killed is not deleted by its undo",
  "force-deletes what a row names": "what somebody else made before the run is refused, and stays",
  "forgets how the environment was made": REMARK,
  "marks another's fork as its own": REMARK,
  "can't change its mark": REMARK,
  "throws on an old row": UPGRADE,
  "upgrades a row in place": UPGRADE,
  "changes today's options as it upgrades": UPGRADE,
  "goes by the name on record": "another's thing at the name of a fork that is gone is not ours",
};
/** Flaws of a provider whose vendor stores no note. */
const WITHOUT_MARKS: readonly Flaw[] = ["goes by the name on record", "forgets that something was there already"];

for (const [flaw, name] of Object.entries(CAUGHT_BY) as [Flaw, string][]) {
  Deno.test(`conformanceCases() catches a provider that ${flaw}`, async () => {
    const provider = boxProvider(flaw, WITHOUT_MARKS.includes(flaw) ? "recorded" : "marked");
    const one = conformanceCases({ provider, emulator, faults: FAULTS.map((fault) => fault.name) }).find((one) =>
      one.name === name
    );
    assert(one, `there is no case "${name}"`);
    await assert.rejects(one.run());
  });
}

Deno.test("conformanceCases() skips a case with its reason, and fails for one that does not exist", async () => {
  const name = "list() yields our forks of this resource, all of them and no others";
  const skip = { [name]: "this vendor can't", "no such case": "it was renamed" };
  const cases = conformanceCases({ provider: boxProvider(), emulator, skip });
  assert.equal(cases.find((one) => one.name === name)?.skipped, "this vendor can't");
  const unknown = cases.find((one) => one.name.includes("no such case"));
  assert(unknown && unknown.skipped === undefined);
  await assert.rejects(unknown.run(), /there is no such case/);
});
