"""The child's half of `processes.py`: takes requests, one at a time, from the process that started it.

It talks over its standard input, which is a socket, and takes that away from user code at once. The
main thread does the work; a second one reads, and so notices when the parent is gone: then nobody
waits for the work any more, and the process ends, with all that it has started.

                    request ─►  the main thread  ─► notes ... answer
    a frame:        mark (1 byte), the most memory ever used (8), length (8), and so many bytes
"""

import contextlib
import ctypes
import os
import queue
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

HEADER = struct.Struct(">BQQ")
BYTES_AT_ONCE = 1 << 20
PR_SET_PDEATHSIG = 1

Tell = Callable[[bytes], None]
"""Sends a note to whoever waits for the answer."""
Answer = Callable[[bytes, Tell], bytes]
"""Does what a request says."""


class Mark(IntEnum):
    """What a frame is: something said along the way, or the end."""

    NOTE = 0
    ANSWER = 1


_serving = threading.Event()


def is_child_process() -> bool:
    """Whether this process was started to serve another."""
    return _serving.is_set()


def serve(answer: Answer) -> None:
    """Answer requests until the parent closes the connection."""
    _serving.set()
    _leave_signals_to_the_parent()
    _die_with_the_parent()
    connection = _Connection(_take_standard_input())
    threading.Thread(target=connection.read, daemon=True).start()
    while (request := connection.requests.get()) is not None:
        result = answer(request, connection.tell)
        _flush()
        connection.answer(result)
        del request, result  # while idle it holds on to nothing


class _Connection:
    """The socket to the parent. `requests` ends with None, between two requests."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self.requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def tell(self, note: bytes) -> None:
        self._send(Mark.NOTE, note)

    def answer(self, answer: bytes) -> None:
        self._idle.set()  # before it is sent: the parent may close the connection upon it
        self._send(Mark.ANSWER, answer)

    def read(self) -> None:
        """Take in requests; at the end of the connection, end the process."""
        try:
            while True:
                self._take_one()
        except (OSError, EOFError):
            if not self._idle.is_set():
                os.killpg(0, signal.SIGKILL)
            self.requests.put(None)

    def _take_one(self) -> None:
        _, _, length = HEADER.unpack(self._receive(HEADER.size))
        request = self._receive(length)
        self._idle.clear()
        self.requests.put(request)

    def _receive(self, length: int) -> bytes:
        received = bytearray()
        while len(received) < length:
            part = self._socket.recv(min(length - len(received), BYTES_AT_ONCE))
            if not part:
                raise EOFError
            received += part
        return bytes(received)

    def _send(self, mark: Mark, message: bytes) -> None:
        with self._lock:
            self._socket.sendall(HEADER.pack(mark, most_memory(), len(message)))
            self._socket.sendall(message)


def most_memory() -> int:
    """The most bytes of memory that this process has ever had at once."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        # On Linux `getrusage` begins with what the parent had, which may be more than this ever has.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    import resource  # noqa: PLC0415 - there is none on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _take_standard_input() -> socket.socket:
    """The socket, under a number that programs started from here do not inherit."""
    number = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return socket.socket(fileno=number)


def _leave_signals_to_the_parent() -> None:
    """A Ctrl-C, and a SIGTERM for all processes of a service, are for the parent to act upon.

    Handlers, and not SIG_IGN, since that would be inherited by the programs that jobs start.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)


def _die_with_the_parent() -> None:
    """Where the kernel can (Linux): also while a loop in C keeps the reading thread from running."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _flush() -> None:
    """What a job prints is seen when it ends, not when the process does."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
