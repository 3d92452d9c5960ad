"""Runs a command that must not outlive the program that asked for it.

    supervise.py [--grace SECONDS] COMMAND [ARGUMENT...]

The asker holds the other end of this program's standard input. When that ends, however it ends, or on SIGTERM, the
command is asked to stop, and `grace` seconds later it and everything it started (its whole session, for an emulator
may put its function into a process group of its own) is killed.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading


def session_members(session):
    """Process ids in `session`, read from the kernel, since process groups do not cover them all."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.getsid(int(entry)) == session:
                    yield int(entry)
            except (ProcessLookupError, PermissionError):
                continue


class Supervised:
    """A command in a session of its own."""

    def __init__(self, command, **options):
        # Should this program itself be killed outright, the kernel still ends the command.
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **options,
        )

    def stop(self, grace):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(grace)
            except subprocess.TimeoutExpired:
                pass
        for pid in session_members(self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


def wait_for_end(process):
    """Returns when standard input ends, SIGTERM or SIGINT arrives, or `process` is done."""
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())

    def after(wait):
        def run():
            wait()
            over.set()

        threading.Thread(target=run, daemon=True).start()

    # Unbuffered: a thread holding the buffered reader's lock would be fatal at exit.
    def standard_input_ends():
        while os.read(0, 4096):
            pass

    after(standard_input_ends)
    after(process.wait)
    over.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grace", type=float, default=2)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    supervised = Supervised(arguments.command)
    wait_for_end(supervised.process)
    supervised.stop(arguments.grace)
    code = supervised.process.returncode
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
