import { deepStrictEqual as equal, ok, strictEqual as is } from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type LockOptions, withLock, type Worker } from "../../../core/state/lock.ts";
import { Registry } from "../../../core/state/registry.ts";
import { openFile } from "../../../core/state/sql.ts";
import { startHrana } from "../../emulators/hrana.ts";
import { temporaryDirectory } from "../../helpers.ts";
import { sleep } from "../../../core/system/host.ts";
import { failure } from "../_engine.ts";
import type { Lock } from "../../../core/state/records.ts";
import { statements } from "../../../core/state/statements.ts";
import { openServer } from "../../../core/state/open_registry.ts";

const PROJECT = { name: "shop" };
const STALE_MS = 400;

/** A registry that other processes can open too. */
interface Shared extends AsyncDisposable {
  /** Its file or its URL. */
  readonly place: string;
  readonly locks: string;
  readonly registry: Registry;
}

async function onFile(): Promise<Shared> {
  const directory = temporaryDirectory();
  const place = join(directory.path, "registry.db");
  const locks = join(directory.path, "locks");
  const registry = await Registry.open(await openFile(place), PROJECT, locks);
  return {
    ...{ place, locks, registry },
    [Symbol.asyncDispose]() {
      registry.close();
      return Promise.resolve(directory[Symbol.dispose]());
    },
  };
}

async function onServer(): Promise<Shared> {
  const server = await startHrana({ path: ":memory:" });
  const registry = await Registry.open(await openServer(server.url, undefined), PROJECT);
  return {
    ...{ place: server.url, locks: "", registry },
    async [Symbol.asyncDispose]() {
      registry.close();
      await server.close();
    },
  };
}

function options(changed: Partial<LockOptions> = {}): LockOptions {
  return {
    clock: { monotonicMs: () => performance.now(), sleep },
    owner: "tester@here",
    signal: new AbortController().signal,
    beatMs: 50,
    staleMs: STALE_MS,
    waitMs: 20_000,
    ...changed,
  };
}

/** Another process that holds the lock. */
class Holder implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  static async start({ place, locks }: Shared): Promise<Holder> {
    const script = fileURLToPath(new URL("_lock_child.ts", import.meta.url));
    const holder = new Holder(
      spawn(process.execPath, ["run", "-q", "--no-check", "-A", script, place, locks], {
        stdio: ["pipe", "pipe", "inherit"],
      }) as never,
    );
    is(await holder.line(), "held");
    return holder;
  }

  async line(): Promise<string | undefined> {
    return (await this.#lines.next()).value;
  }

  async ask(line: string): Promise<string | undefined> {
    this.#child.stdin.write(`${line}\n`);
    return await this.line();
  }

  async signal(name: NodeJS.Signals): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    process.kill(this.#child.pid!, name); // child.kill() sends no second one
    if (name === "SIGKILL") await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    await this.signal("SIGKILL");
  }
}

/** Takes the lock, and how long that took. */
async function taken(registry: Registry, changed: Partial<LockOptions> = {}): Promise<number> {
  const began = performance.now();
  return await withLock(
    registry,
    { env: "alice", purpose: "delete" },
    options(changed),
    () => Promise.resolve(performance.now() - began),
  );
}

/** Holds the lock in this process until told to let go. */
function hold(registry: Registry, changed: Partial<LockOptions> = {}) {
  let letGo = () => {};
  const held = Promise.withResolvers<Worker>();
  const ended = withLock(
    registry,
    { env: "alice", purpose: "create" },
    options({ owner: "bob@there", ...changed }),
    (worker) => {
      held.resolve(worker);
      return new Promise<void>((resolve) => letGo = resolve);
    },
  );
  return { worker: held.promise, end: () => (letGo(), ended) };
}

Deno.test("a holder that was killed on this machine is followed at once", async () => {
  await using shared = await onFile();
  await using holder = await Holder.start(shared);
  const token = (await shared.registry.lock("alice"))!.token;
  await holder.signal("SIGKILL");
  const waits: Lock[] = [];
  // Its beat would not be given up for an hour.
  const tookMs = await taken(shared.registry, { staleMs: 3_600_000, onWait: (lock) => waits.push(lock) });
  ok(tookMs < 2_000, `${tookMs} ms`);
  equal(waits, [], "nobody is waited for");
  await withLock(shared.registry, { env: "alice", purpose: "x" }, options(), async () => {
    is((await shared.registry.lock("alice"))!.token, token + 2);
  });
  equal(readdirSync(shared.locks), [], "no sign is left behind");
});

for (const [where, start] of [["this machine", onFile], ["a server", onServer]] as const) {
  Deno.test(`a stopped holder is followed once its beat stood still, and woken writes no more, on ${where}`, async () => {
    await using shared = await start();
    await using holder = await Holder.start(shared);
    is(await holder.ask("write"), "written");
    await holder.signal("SIGSTOP");
    const waits: Lock[] = [];
    await withLock(
      shared.registry,
      { env: "alice", purpose: "delete" },
      options({ onWait: (lock) => waits.push(lock) }),
      async (worker) => {
        equal(waits.map(({ purpose }) => purpose), ["create"]);
        await worker.write([statements.dropEnvironment("alice")]);
        await holder.signal("SIGCONT");
        // It is told by its next beat or by its next write, whichever comes first.
        const told = [await holder.ask("write"), await holder.line()].sort();
        equal(told, ["LOCK_LOST", "aborted LOCK_LOST"]);
        equal((await shared.registry.journal("alice")).length, 1, "its late write has left nothing");
      },
    );
  });
}

Deno.test("a holder that was killed is followed once its beat stood still, on a server", async () => {
  await using shared = await onServer();
  await using holder = await Holder.start(shared);
  await holder.signal("SIGKILL");
  const tookMs = await taken(shared.registry);
  ok(tookMs >= STALE_MS, `${tookMs} ms`);
});

Deno.test("a holder that lives is waited for, however long, and told of once", async () => {
  await using shared = await onFile();
  const holder = hold(shared.registry);
  const { signal } = await holder.worker;
  const waits: Lock[] = [];
  const waiter = taken(shared.registry, { onWait: (lock) => waits.push(lock) });
  await sleep(STALE_MS * 2.5);
  ok(!signal.aborted, "a holder that beats is not taken over");
  await holder.end();
  ok(await waiter >= STALE_MS * 2);
  equal(waits.map(({ owner, purpose }) => [owner.replace(/#.*/, ""), purpose]), [["bob@there", "create"]]);
});

Deno.test("a wait that is too long is LOCKED, and names the holder", async () => {
  await using shared = await onFile();
  const holder = hold(shared.registry);
  await holder.worker;
  const error = await failure(taken(shared.registry, { waitMs: 150 }));
  is(error.code, "LOCKED");
  ok(error.retryable);
  ok(error.message.includes("bob@there is working on it (create)"), error.message);
  await holder.end();
  equal(readdirSync(shared.locks), []);
});

Deno.test("a wait ends with the signal, with its reason", async () => {
  await using shared = await onFile();
  const holder = hold(shared.registry);
  await holder.worker;
  const stop = new AbortController();
  const waiter = failure(taken(shared.registry, { signal: stop.signal }));
  await sleep(100);
  const began = performance.now();
  stop.abort(Object.assign(new Error("stopped"), { code: "INTERRUPTED" }));
  is((await waiter).code, "INTERRUPTED");
  ok(performance.now() - began < 10_000, "it waited for the holder, which does not end by itself");
  await holder.end();
});

Deno.test("a clock that is set back gives nobody away: only monotonic time counts", async () => {
  await using shared = await onFile();
  const realNow = Date.now;
  const holder = hold(shared.registry);
  const { signal } = await holder.worker;
  const waiter = taken(shared.registry);
  try {
    for (const hours of [-24, 24, 0]) {
      Date.now = () => realNow() + hours * 3_600_000;
      await sleep(STALE_MS / 2);
      ok(!signal.aborted);
    }
  } finally {
    Date.now = realNow;
  }
  await holder.end();
  await waiter;
});

Deno.test("a holder that can't reach the registry stops before another may take over", async () => {
  const server = await startHrana({ path: ":memory:" });
  const registry = await Registry.open(await openServer(server.url, undefined), PROJECT);
  try {
    const began = performance.now();
    let abortedMs = Infinity;
    const lost = withLock(
      registry,
      { env: "alice", purpose: "create" },
      options({ beatMs: 100, staleMs: 1_500 }),
      async ({ signal }) => {
        server.intercept = () => 404; // not retried, so that the test is short
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        abortedMs = performance.now() - began;
        server.intercept = undefined;
        throw signal.reason;
      },
    );
    is((await failure(lost)).code, "LOCK_LOST");
    ok(abortedMs < 1_700, `${abortedMs} ms`);
  } finally {
    registry.close();
    await server.close();
  }
});

Deno.test("the lock is free again when the work fails, and the work's own error is told", async () => {
  await using shared = await onFile();
  const failed = withLock(
    shared.registry,
    { env: "alice", purpose: "create" },
    options(),
    () => Promise.reject(new RangeError("mine")),
  );
  is((await failure(failed)).message, "mine");
  ok(await taken(shared.registry, { waitMs: 0 }) < 1_000);
});

Deno.test("signs of processes that died are removed, those of the living stay", async () => {
  await using shared = await onFile();
  const holder = hold(shared.registry);
  await holder.worker;
  const [alive] = readdirSync(shared.locks);
  writeFileSync(join(shared.locks, "0123abcd"), ""); // of one that died while it waited
  await withLock(shared.registry, { env: "bob", purpose: "create" }, options(), async () => {
    const signs = readdirSync(shared.locks);
    is(signs.length, 2, `${signs}`);
    ok(signs.includes(alive));
    is((await shared.registry.lock("alice"))!.owner, `bob@there#${alive}`);
  });
  await holder.end();
  equal(readdirSync(shared.locks), []);
});

Deno.test("many at once hold it one after another", async () => {
  await using shared = await onFile();
  let inside = 0;
  const tokens: number[] = [];
  await Promise.all(
    Array.from(
      { length: 12 },
      () =>
        withLock(shared.registry, { env: "alice", purpose: "create" }, options(), async () => {
          is(++inside, 1);
          tokens.push((await shared.registry.lock("alice"))!.token);
          await sleep(5);
          inside--;
        }),
    ),
  );
  equal(tokens, Array.from({ length: 12 }, (_, at) => at + 1));
});

/** Takes a lock over from whoever holds it, as one does who has seen its beat stand still. */
async function takeOver(registry: Registry, env: string): Promise<number> {
  const got = await registry.acquire(env, "eve@there#0123abcd", "delete", await registry.lock(env));
  ok(typeof got === "number", "the lock must have been free to take");
  return got;
}

for (const [where, start] of [["this machine", onFile], ["a server", onServer]] as const) {
  Deno.test(`fence() shows that its worker lives, and is LOCK_LOST once another has taken over, on ${where}`, async () => {
    await using shared = await start();
    const { registry } = shared;
    let token = 0;
    const lost = withLock(
      registry,
      { env: "alice", purpose: "create" },
      options({ beatMs: 60_000 }),
      async ({ fence, signal }) => {
        const before = (await registry.lock("alice"))!;
        await fence();
        const after = (await registry.lock("alice"))!;
        ok(after.beat > before.beat, "who waits must not take it for one that has stopped");
        const got = await registry.acquire("alice", "eve@there#0123abcd", "delete", before);
        ok(typeof got !== "number", "what was seen before the question is no longer so");
        token = await takeOver(registry, "alice");
        is((await failure(fence())).code, "LOCK_LOST");
        ok(signal.aborted, "no step at its side goes on");
        is((await failure(fence())).code, "LOCK_LOST");
      },
    );
    await lost;
    is((await registry.lock("alice"))!.token, token, "the lock of who took over stays");
  });
}

Deno.test("fence(): many who ask at once share a question, and none is told by one that was asked before", async () => {
  await using shared = await onFile();
  const { registry } = shared;
  const answers: (() => void)[] = [];
  let asked = 0;
  const slow: Registry = Object.create(registry, {
    lockDirectory: { value: registry.lockDirectory },
    acquire: { value: registry.acquire.bind(registry) },
    release: { value: registry.release.bind(registry) },
    beat: {
      async value(env: string, token: number) {
        asked++;
        const isHeld = await registry.beat(env, token);
        await new Promise<void>((resolve) => answers.push(resolve));
        return isHeld;
      },
    },
  });
  const turn = () => sleep(5);
  await withLock(slow, { env: "alice", purpose: "create" }, options({ beatMs: 60_000 }), async ({ fence }) => {
    const first = Array.from({ length: 50 }, () => fence());
    await turn();
    is(asked, 1);
    await takeOver(registry, "alice"); // after that question was answered
    const later = Array.from({ length: 50 }, () => failure(fence()));
    await turn();
    is(asked, 1, "the next question waits for the one under way");
    answers[0]();
    await Promise.all(first);
    await turn();
    is(asked, 2);
    answers[1]();
    equal(new Set((await Promise.all(later)).map(({ code }) => code)), new Set(["LOCK_LOST"]));
  });
});

Deno.test("fence() that can't ask lets nobody send, and asks again the next time", async () => {
  const server = await startHrana({ path: ":memory:" });
  const registry = await Registry.open(await openServer(server.url, undefined), PROJECT);
  try {
    await withLock(
      registry,
      { env: "alice", purpose: "create" },
      options({ beatMs: 60_000 }),
      async ({ fence, signal }) => {
        server.intercept = () => 404;
        is((await failure(fence())).code, "REGISTRY_UNREACHABLE");
        ok(!signal.aborted);
        server.intercept = undefined;
        await fence();
      },
    );
  } finally {
    registry.close();
    await server.close();
  }
});
