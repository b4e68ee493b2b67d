/**
 * What can go wrong between a provider and its vendor, and a wrapper that lets exactly one call of a run go wrong so.
 */
import type { Context, Files } from "../core/provider.ts";

/** One use of `context.fetch` or `context.files`, or one command on a socket. */
export interface Call {
  /** From 0, in the order in which they began. */
  readonly n: number;
  /** E.g. `"files.write"` or `"fetch POST /branches"`. */
  readonly what: string;
  readonly channel: "fetch" | "files" | "sockets";
  /** It can change something outside. */
  readonly isChange: boolean;
}

/** One way in which a call goes wrong. */
export interface Fault {
  readonly name: string;
  readonly channel: Call["channel"] | "any";
  /** Only a call that changes something can go wrong so. */
  readonly onChangesOnly?: boolean;
  /** Every later call of the run fails too, as if the process had died: nothing is tidied up. */
  readonly isCrash?: boolean;
  /** The vendor tells an untruth, so that a wrong answer is no fault of the provider. */
  readonly isLie?: boolean;
  /** Does the call's work, or not, and then fails. */
  readonly strike: (act: () => Promise<unknown>) => Promise<unknown>;
}

function before(error: () => Error): Fault["strike"] {
  return () => Promise.reject(error());
}

function after(error: () => Error): Fault["strike"] {
  return async (act) => {
    const answer = await act();
    if (answer instanceof Response) await answer.body?.cancel();
    throw error();
  };
}

function fileError(code: string): () => Error {
  return () => Object.assign(new Error(`${code}: broken on purpose`), { code });
}

function answer(status: number, headers: Record<string, string> = {}): Response {
  return Response.json({ message: "broken on purpose" }, { status, headers });
}

function refused(status: number, headers?: Record<string, string>): Partial<Fault> & Pick<Fault, "strike"> {
  return { strike: () => Promise.resolve(answer(status, headers)) };
}

async function truncate(act: () => Promise<unknown>): Promise<Response> {
  const whole = await act() as Response;
  const text = await whole.text();
  if (text === "") return new Response(null, { status: whole.status, headers: whole.headers });
  return new Response(text.slice(0, Math.floor(text.length / 2)), { status: whole.status, headers: whole.headers });
}

const lost = () => new TypeError("connection closed before the message completed");
const died = () => new Error("the process died here");

/** Every fault, each tried at every call. */
export const FAULTS: readonly Fault[] = [
  { name: "ENOSPC", channel: "files", onChangesOnly: true, strike: before(fileError("ENOSPC")) },
  { name: "EACCES", channel: "files", strike: before(fileError("EACCES")) },
  { name: "EIO", channel: "files", strike: before(fileError("EIO")) },
  { name: "EIO after it was done", channel: "files", onChangesOnly: true, strike: after(fileError("EIO")) },
  { name: "refused connection", channel: "fetch", strike: before(() => new TypeError("connection refused")) },
  { name: "lost reply", channel: "fetch", strike: after(lost) },
  { name: "timeout", channel: "fetch", strike: after(() => new DOMException("Signal timed out", "TimeoutError")) },
  { name: "truncated body", channel: "fetch", strike: truncate },
  {
    name: "502 after it was done",
    channel: "fetch",
    onChangesOnly: true,
    strike: async (act) => {
      await (await act() as Response).body?.cancel();
      return answer(502);
    },
  },
  { name: "500", channel: "fetch", ...refused(500) },
  { name: "429", channel: "fetch", ...refused(429, { "retry-after": "1" }) },
  { name: "401", channel: "fetch", ...refused(401) },
  { name: "403", channel: "fetch", ...refused(403) },
  { name: "404", channel: "fetch", isLie: true, ...refused(404) },
  { name: "409", channel: "fetch", ...refused(409) },
  { name: "423", channel: "fetch", ...refused(423) },
  { name: "connection cut", channel: "sockets", strike: before(() => new TypeError("connection reset")) },
  { name: "connection cut after it was done", channel: "sockets", onChangesOnly: true, strike: after(lost) },
  { name: "death before", channel: "any", isCrash: true, strike: before(died) },
  { name: "death after", channel: "any", isCrash: true, onChangesOnly: true, strike: after(died) },
];

/** Those for a further run of calls that met all of them elsewhere. */
export const FEW_FAULTS: readonly string[] = ["lost reply", "429", "death after"];

/** The faults that a call can meet. */
export function faultsOf(call: Call): Fault[] {
  return FAULTS.filter((fault) =>
    (fault.channel === "any" || fault.channel === call.channel) && (!fault.onChangesOnly || call.isChange)
  );
}

/** What to do at which call. */
export interface Plan {
  readonly at: number;
  readonly fault?: Fault;
  /** Runs when the call begins. */
  readonly meanwhile?: () => void | Promise<void>;
}

/** Does a call, or not, as planned; throws where it is to break. */
export type Pass = (what: string, isChange: boolean, act: () => Promise<unknown>) => Promise<unknown>;

/** What a provider reaches the outside by. */
export interface Reach extends Pick<Context, "fetch" | "files"> {
  /** For a provider of sockets: a context whose every command goes through `pass`, by a proxy on its way. */
  readonly sockets?: (pass: Pass) => Partial<Context>;
}

/** More calls than these in one run, and it is taken for one that never ends. */
const MAX_CALLS = 5_000;

const CHANGING_FILES: ReadonlySet<string> = new Set<keyof Files>([
  "write",
  "makeDirectory",
  "copy",
  "share",
  "publish",
  "replace",
  "remove",
]);

/** Passes calls on, notes each of them, and breaks the one that the plan names. */
export function watched(reach: Reach, plan?: Plan): Reach & { readonly calls: Call[] } {
  const calls: Call[] = [];
  async function pass(call: Omit<Call, "n">, act: () => Promise<unknown>): Promise<unknown> {
    const n = calls.length;
    if (n === MAX_CALLS) throw new Error(`${MAX_CALLS} calls in one run: it never ends`);
    calls.push({ ...call, n });
    if (plan?.at === n) {
      await plan.meanwhile?.();
      if (plan.fault !== undefined && faultsOf({ ...call, n }).includes(plan.fault)) {
        return await plan.fault.strike(act);
      }
    }
    if (plan?.fault?.isCrash && n > plan.at) throw died();
    return await act();
  }
  const files = Object.fromEntries(
    Object.entries(reach.files).map(([name, operation]) => [
      name,
      (...args: never[]) =>
        pass(
          { what: `files.${name}`, channel: "files", isChange: CHANGING_FILES.has(name) },
          () => (operation as (...args: never[]) => Promise<unknown>).apply(reach.files, args),
        ),
    ]),
  ) as unknown as Files;
  return {
    calls,
    ...reach.sockets?.((what, isChange, act) => pass({ what, channel: "sockets", isChange }, act)),
    files,
    fetch: (request) =>
      pass({
        what: `fetch ${request.method} ${new URL(request.url).pathname}`,
        channel: "fetch",
        isChange: !/^(GET|HEAD|OPTIONS)$/.test(request.method),
      }, () => reach.fetch(request)) as Promise<Response>,
  };
}
