"""Runs requests in child processes that can be killed, for code that no thread can be made to leave.

    run ─► an idle child, or a new one ─► request ─► notes ... answer ─► idle, or retired
                                             └─ cancelled: killed, and waited for

A child is started afresh, never forked: a fork would share the parent's threads and sockets. It is in
a session of its own, so that a Ctrl-C reaches the parent alone and a kill reaches what the child has
started. Whoever is cancelled goes on only once the child is dead, so that what it did is not begun a
second time beside it.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from riverrun.model.errors import LifecycleError, ProcessDiedError
from riverrun.runtime.child_process import HEADER, Mark

LAST_SECONDS = 1.0
"""For a child that is not needed any more, to end in its own way."""

_BOOT = (
    "import json, sys; sys.path[:], sys.argv[:] = json.loads(sys.argv.pop()); "
    "from {module} import {function}; {function}()"
)


def python_command(module: str, function: str) -> list[str]:
    """What starts a child with our own Python, import path and arguments that calls `function` of `module`."""
    boot = _BOOT.format(module=module, function=function)
    return [sys.executable, "-P", "-c", boot, json.dumps([sys.path, sys.argv])]


class ProcessPool:
    """At most `limit` children, started by `command` when needed, used again, and ended by `close`.

    After `max_jobs` requests, or once it has had more than `max_memory` bytes at once, a child is
    replaced; None is no limit.
    """

    def __init__(
        self,
        command: Sequence[str],
        limit: int,
        *,
        max_jobs: int | None = None,
        max_memory: int | None = None,
    ) -> None:
        self._command = tuple(command)
        self._max_jobs = max_jobs
        self._max_memory = max_memory
        self._room = asyncio.Semaphore(limit)
        self._idle: list[_Child] = []
        self._children: set[_Child] = set()
        self._retiring: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def pids(self) -> set[int]:
        """The processes that there are, idle ones included."""
        return {child.pid for child in self._children}

    async def run(self, request: bytes, hear: Callable[[bytes], None]) -> bytes:
        """What a child answers; `hear` is given what it says before.

        With `limit` children at work it waits for the first that is free. A caller that is cancelled
        has the child killed. Raises `ProcessDiedError` if the child dies by itself.
        """
        await self._room.acquire()
        child = None
        try:
            child = self._take_idle() or await self._start()
            answer = await child.ask(request, hear)
        except BaseException:
            try:
                await self._kill(child)
            finally:
                self._room.release()
            raise
        self._give_back(child)
        return answer

    async def close(self) -> None:
        """End all children and refuse more requests; those at work are killed."""
        self._closed = True
        idle, self._idle = self._idle, []
        ends = [asyncio.ensure_future(child.end()) for child in idle]
        for child in self._children.difference(idle):
            child.kill()
            ends.append(asyncio.ensure_future(child.wait()))
        ends += self._retiring
        if ends:
            await asyncio.wait(ends)
        self._children.clear()

    def _take_idle(self) -> "_Child | None":
        """The one that was used last; what died meanwhile is forgotten."""
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            self._forget(child)
        return None

    async def _start(self) -> "_Child":
        if self._closed:
            raise LifecycleError("the process pool is closed")
        child = await _start(self._command)
        self._children.add(child)
        return child

    async def _kill(self, child: "_Child | None") -> None:
        """Return once it is dead, whoever cancels the caller again."""
        if child is None:
            return
        child.kill()
        await _uninterrupted(child.wait())
        self._forget(child)

    def _give_back(self, child: "_Child") -> None:
        if not self._closed and not self._is_used_up(child):
            self._idle.append(child)
            self._room.release()
            return
        retiring = asyncio.create_task(self._retire(child))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    def _is_used_up(self, child: "_Child") -> bool:
        if self._max_jobs is not None and child.requests >= self._max_jobs:
            return True
        return self._max_memory is not None and child.memory > self._max_memory

    async def _retire(self, child: "_Child") -> None:
        """Its place is free when it has ended: it may still have all its memory."""
        try:
            await child.end()
        finally:
            self._forget(child)
            self._room.release()

    def _forget(self, child: "_Child") -> None:
        child.disconnect()
        self._children.discard(child)


class _Child:
    """One process, and our end of the connection to it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self.pid = process.pid
        self.requests = 0
        self.memory = 0

    @property
    def alive(self) -> bool:
        return self._process.returncode is None and not self._reader.at_eof()

    async def ask(self, request: bytes, hear: Callable[[bytes], None]) -> bytes:
        """The answer; raises `ProcessDiedError`."""
        self.requests += 1
        with contextlib.suppress(OSError, EOFError):
            self._writer.write(HEADER.pack(Mark.NOTE, 0, len(request)) + request)
            await self._writer.drain()
            while True:
                mark, message = await self._receive()
                if mark == Mark.ANSWER:
                    return message
                hear(message)
        raise ProcessDiedError(await self._how_it_died())

    async def _receive(self) -> tuple[int, bytes]:
        header = await self._reader.readexactly(HEADER.size)
        mark, self.memory, length = HEADER.unpack(header)
        return mark, await self._reader.readexactly(length)

    async def _how_it_died(self) -> str:
        """It has closed the connection, which a process does when it ends."""
        code = await self._wait_for_end()
        if code is None:
            return f"process {self.pid} closed the connection to its parent"
        if code >= 0:
            return f"process {self.pid} exited with code {code} before the job was done"
        number = -code
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        hint = "; was there enough memory?" if number == signal.SIGKILL else ""
        return f"process {self.pid} was killed by {name} before the job was done{hint}"

    async def _wait_for_end(self) -> int | None:
        """Its exit code; None if it has not ended within a second."""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                return await self._process.wait()
        except TimeoutError:
            return None

    def kill(self) -> None:
        """End it and what it has started, without a chance to do anything about it."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def wait(self) -> None:
        """Return once it is dead."""
        await self._process.wait()

    async def end(self) -> None:
        """Have it end by itself, with what it does at its exit; or killed, if that takes too long."""
        self.disconnect()
        if await self._wait_for_end() is None:
            self.kill()
            await self.wait()

    def disconnect(self) -> None:
        self._writer.close()


async def _start(command: Sequence[str]) -> _Child:
    ours, theirs = socket.socketpair()
    try:
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=theirs.fileno(), start_new_session=True
            )
        except BaseException:
            writer.close()  # upon which the child ends, if there is one
            raise
    finally:
        theirs.close()
    return _Child(process, reader, writer)


async def _uninterrupted(coroutine: Coroutine[Any, Any, None]) -> None:
    """Wait for its end, however often the waiting is cancelled."""
    task = asyncio.ensure_future(coroutine)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})
