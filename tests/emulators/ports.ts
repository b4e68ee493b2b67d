/** Ports of servers that are programs of their own, and waiting for them. */
import type { ChildProcess } from "node:child_process";

/**
 * Returns a free port on loopback, below the system's range for connections, so that none takes it before the server
 * does.
 */
export function freePort(): number {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

const STEP_MS = 50;
const LONGEST_MS = 90_000;

/** Waits until a server answers, on a busy machine too; throws the last error if it does not, or has ended. */
export async function untilUp(child: ChildProcess, ask: () => Promise<unknown>): Promise<void> {
  for (let waitedMs = 0;; waitedMs += STEP_MS) {
    try {
      return void await ask();
    } catch (error) {
      if (child.exitCode !== null || waitedMs > LONGEST_MS) throw error;
      await new Promise((resolve) => setTimeout(resolve, STEP_MS));
    }
  }
}
