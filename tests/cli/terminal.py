"""A command on a terminal of its own: python3 terminal.py < {"command", "steps": [{"until", "type"?, "write"?, "signal"?}], "columns"?}, as JSON.

Waits until the terminal shows what matches `until`, then writes a file, types, or sends the command a signal. Prints what was shown and how the command ended.
"""
import fcntl, json, os, pty, re, signal, struct, sys, termios

task = json.load(sys.stdin)
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, task.get("columns", 250), 0, 0))
    os.execvp(task["command"][0], task["command"])
def give_up(*_):
    os.kill(pid, signal.SIGKILL)

signal.signal(signal.SIGALRM, give_up)
signal.alarm(30)
shown, steps, at = "", list(task["steps"]), 0
while True:
    if steps and (found := re.search(steps[0]["until"], shown[at:])):
        at += found.end()
        step = steps.pop(0)
        if "write" in step:
            with open(step["write"][0], "w") as file:
                file.write(step["write"][1])
        os.write(terminal, step.get("type", "").encode())
        if "signal" in step:
            os.kill(pid, signal.Signals[step["signal"]])
        continue
    try:
        piece = os.read(terminal, 65536)
    except OSError:  # Linux says EIO when the last one has closed it
        break
    if not piece:
        break
    shown += piece.decode(errors="replace")
_, status = os.waitpid(pid, 0)
json.dump({"shown": shown, "code": os.waitstatus_to_exitcode(status), "left": [s["until"] for s in steps]}, sys.stdout)
