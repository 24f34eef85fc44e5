"""A child process for the tests of the pool: it does what the first word of a request says."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from riverrun.runtime.child_process import Tell, serve

HELD: list[bytes] = []


def main() -> None:
    serve(answer)


def answer(request: bytes, tell: Tell) -> bytes:
    word, _, rest = request.partition(b" ")
    if word in ANSWERS:
        return ANSWERS[word]().encode()
    match word:
        case b"hold":
            HELD.append(b"x" * int(rest))
        case b"say":
            tell(rest)
            tell(b"more")
        case b"spin":
            tell(b"spinning")
            sum(range(10**15))  # a loop in C, which holds the interpreter's lock for weeks
        case b"program":
            program = subprocess.Popen((sys.executable, "-c", "input()"), stdin=subprocess.PIPE)
            tell(str(program.pid).encode())
            program.wait()
        case b"exit":
            os._exit(int(rest))
        case _:
            return rest
    return b""


def _descriptors() -> str:
    """What the open files are."""
    files = Path("/proc/self/fd").iterdir()
    return " ".join(str(file.readlink()) for file in files if file.is_symlink())


ANSWERS: dict[bytes, Callable[[], str]] = {
    b"pid": lambda: str(os.getpid()),
    b"descriptors": _descriptors,
    b"stdin": lambda: f"{sys.stdin.read()}nothing",
}
