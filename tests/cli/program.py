"""What `run` runs in the tests: says what it is given, and does as it is told by its first argument."""
import os, signal, sys

def say(*words):
    print(*words, flush=True)

def wait(*heard):
    """Says each signal that comes; SIGUSR2 ends it with 5."""
    signals = [signal.Signals[name] for name in (*heard, "SIGUSR2")]
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    say("ready", os.getpid(), os.getppid())
    while True:
        number = signal.sigwait(signals)
        say("heard", signal.Signals(number).name)
        if number == signal.SIGUSR2:
            sys.exit(5)

how, *rest = sys.argv[1:]
if how == "hear":
    wait(*rest)
elif how == "ignore":
    for name in rest:
        signal.signal(signal.Signals[name], signal.SIG_IGN)
    wait()
elif how == "print":  # so many bytes, in pieces
    for _ in range(int(rest[0]) // 65536):
        os.write(1, b"x" * 65535 + b"\n")
elif how == "ask":  # as getpass does: on the terminal itself, without echo
    import getpass
    say("terminals", *(os.isatty(n) for n in range(3)))
    say("got", getpass.getpass("Word: ")[::-1], input("Name: "))
elif how == "fork":  # a grandchild that outlives it
    pid = os.fork()
    if pid == 0:
        os.setsid()
        for n in range(3):
            os.dup2(os.open(os.devnull, os.O_RDWR), n)
        signal.pause()
    say("grandchild", pid)
    sys.exit(3)
