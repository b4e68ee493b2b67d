/**
 * A program at a real terminal (a pseudo-terminal of Python's), and somebody who types when it has said something.
 */
import { runCommand, type RunOptions } from "./run.ts";

/** Waits for the text, then types the keys. */
export type Step = readonly [seen: string, keys: string];

const PROGRAM = `
import json, os, pty, select, sys, time
command, steps, seconds = json.loads(sys.argv[1])
pid, fd = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
seen, at, deadline = "", 0, time.monotonic() + seconds
def look():
    global seen
    ready, _, _ = select.select([fd], [], [], max(0, deadline - time.monotonic()))
    if not ready:
        os.kill(pid, 9)
        sys.exit(f"nothing came for {steps!r} after {seen!r}")
    piece = os.read(fd, 65536)
    if not piece:
        raise OSError
    seen += piece.decode("utf-8", "replace")
try:
    while steps:
        wanted, keys = steps[0]
        while wanted not in seen[at:]:
            look()
        at = seen.index(wanted, at) + len(wanted)
        os.write(fd, keys.encode())
        steps.pop(0)
    while True:
        look()
except OSError: # the terminal was closed: it has ended
    pass
_, status = os.waitpid(pid, 0)
sys.stdout.write(seen)
sys.exit(os.waitstatus_to_exitcode(status) if not steps else f"it ended before {steps!r}: {seen!r}")
`;

/** Runs a program at a terminal; gives all that the terminal showed. Throws if it ends, or waits, before the last step. */
export async function atTerminal(
  cwd: string,
  command: readonly string[],
  steps: readonly Step[],
  options: RunOptions = {},
): Promise<{ code: number | null; screen: string }> {
  const spec = JSON.stringify([command, steps, 30]);
  const env = { TERM: "dumb", ...options.env };
  const { code, stdout, stderr } = await runCommand(cwd, ["python3", "-c", PROGRAM, spec], { ...options, env });
  if (stderr !== "") throw new Error(stderr);
  return { code, screen: stdout };
}
