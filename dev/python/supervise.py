"""Runs a command that ends with the program that started it.

    supervise.py [--grace SECONDS] COMMAND [ARGUMENT...]

The starting program holds the other end of this program's standard input. When that input ends, or on SIGTERM, this
program sends SIGTERM to the command. After `grace` seconds, it kills all processes of the command's session. The
process group is not sufficient, because an emulator may start its function in another group.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading


def session_members(session):
    """Yields the ids of all processes in `session`, as the kernel reports them."""
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
        # If this program is killed, the kernel kills the command.
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

    # Reads without a buffer. If a thread held the lock of the buffered reader, Python would crash at exit.
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
