"""Lines in, lines out: up to 64 MiB each, beside the event loop and never in its way."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from enum import Enum
from typing import Self

MAX_LINE = 64 * 1024 * 1024
SMALL = 32 * 1024
"""A line this short fits into a pipe, so that writing it waits for nobody."""
PIECE = 1024 * 1024


class End(Enum):
    END = "end"


END = End.END
Line = bytes | None
"""None stands for a line that was too long to be kept."""


class Lines:
    """Standard input, read by a thread: it needs no pipe, and sees the end whatever the loop does."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Line | End] = asyncio.Queue()
        self.ended = asyncio.Event()

    def begin(self, *, on_end: Callable[[], None]) -> None:
        """Start to read; `on_end` is called, on the reading thread, when there is no more."""
        threading.Thread(target=self._read, args=(on_end,), daemon=True).start()

    def put(self, line: Line | End) -> None:
        """On the event loop: one more line, or the end."""
        if line is END:
            self.ended.set()
        self._queue.put_nowait(line)

    async def __aiter__(self) -> AsyncIterator[Line]:
        while not isinstance(line := await self._queue.get(), End):
            yield line

    def _read(self, on_end: Callable[[], None]) -> None:
        try:
            for line in split(pieces(sys.stdin.fileno())):
                self._loop.call_soon_threadsafe(self.put, line)
        finally:
            on_end()
            self._loop.call_soon_threadsafe(self.put, END)


def pieces(descriptor: int) -> Iterator[bytes]:
    """What is read, in whatever pieces it comes."""
    while piece := os.read(descriptor, PIECE):
        yield piece


def split(stream: Iterator[bytes], limit: int = MAX_LINE) -> Iterator[Line]:
    """Each whole line without its end; None for one of more than `limit` bytes."""
    line, too_long = bytearray(), False
    for piece in stream:
        *whole, rest = piece.split(b"\n")
        for part in whole:
            line += part
            yield None if too_long or len(line) > limit else bytes(line)
            line, too_long = bytearray(), False
        line += rest
        if len(line) > limit:
            line, too_long = bytearray(), True


class Output:
    """Standard output, for answers alone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take_over(cls) -> Self:
        """From now on whatever else is printed goes to standard error."""
        own = os.dup(1)
        os.dup2(2, 1)
        return cls(own)

    async def write(self, line: bytes) -> None:
        """Write one line; raises `OSError` if nobody reads any more."""
        if len(line) < SMALL:
            self._write(line + b"\n")
        else:
            await asyncio.to_thread(self._write, line + b"\n")

    def _write(self, text: bytes) -> None:
        rest = memoryview(text)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
