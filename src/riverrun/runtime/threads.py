"""Runs synchronous code on threads that cannot hold up the process.

`ThreadPoolExecutor`, and with it asyncio's default executor, waits at exit for every thread it has,
so one handler that never returns keeps the process from ending. These threads are daemons. A thread
cannot be cancelled either: who stops waiting leaves it running, its result is dropped, and until it
is done it counts against the limit.
"""

import asyncio
import contextlib
import contextvars
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from riverrun.model.errors import LifecycleError

P = ParamSpec("P")
T = TypeVar("T")


class ThreadPool:
    """At most `limit` threads, made when needed, used again, and ended by `close`."""

    def __init__(self, limit: int, *, name: str = "riverrun") -> None:
        self._limit = limit
        self._name = name
        self._lock = threading.Lock()
        self._threads = 0
        self._idle: list[queue.SimpleQueue[_Call | None]] = []
        self._waiting: deque[_Call] = deque()
        self._closed = False

    @property
    def busy(self) -> int:
        """How many threads are at work, those nobody waits for any more included."""
        with self._lock:
            return self._threads - len(self._idle)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns or raises, called on a thread with the caller's context variables.

        With `limit` threads at work it waits for the first that is free. A caller that is cancelled
        stops waiting; the function is then not called at all or its result is dropped.
        """
        results: list[T] = []
        call = _Call(lambda: results.append(function(*args, **kwargs)))
        self._submit(call)
        await call.wait()
        return results[0]

    def close(self) -> None:
        """End the idle threads, refuse calls that wait for one; do not wait for busy threads."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            waiting, self._waiting = self._waiting, deque()
            self._threads -= len(idle)
        for inbox in idle:
            inbox.put(None)
        for call in waiting:
            call.refuse(_closed())

    def _submit(self, call: "_Call") -> None:
        with self._lock:
            if self._closed:
                raise _closed()
            if self._idle:
                self._idle.pop().put(call)
            elif self._threads < self._limit:
                self._add_thread(call)
            else:
                self._waiting.append(call)

    def _add_thread(self, call: "_Call") -> None:
        inbox: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        inbox.put(call)
        threading.Thread(
            target=self._work, args=(inbox,), name=f"{self._name}-thread", daemon=True
        ).start()
        self._threads += 1

    def _work(self, inbox: "queue.SimpleQueue[_Call | None]") -> None:
        while (call := inbox.get()) is not None:
            call.run()
            self._give_next(inbox)  # before the caller goes on, so that its next call finds it idle
            call.end()
            del call  # an idle thread holds on to nothing

    def _give_next(self, inbox: "queue.SimpleQueue[_Call | None]") -> None:
        with self._lock:
            if self._waiting:
                inbox.put(self._waiting.popleft())
            elif self._closed:
                self._threads -= 1
                inbox.put(None)
            else:
                self._idle.append(inbox)


class _Call:
    """A function to call on a thread, and the coroutine that waits for it."""

    __slots__ = ("_context", "_done", "_error", "_function", "_loop")

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self._context = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._error: BaseException | None = None

    async def wait(self) -> None:
        """Return when the function has; raise, of whatever class, what it raised."""
        await self._done
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # else its traceback and this frame would hold each other

    def run(self) -> None:
        """Call the function, on a thread, unless nobody waits for it any more."""
        if self._done.cancelled():
            return
        try:
            self._context.run(self._function)
        except BaseException as error:  # noqa: BLE001 - it is the caller's, a SystemExit too
            self._error = error

    def refuse(self, error: BaseException) -> None:
        """Have `error` raised instead of calling the function."""
        self._error = error
        self.end()

    def end(self) -> None:
        """Let the waiting coroutine go on; from any thread."""
        with contextlib.suppress(RuntimeError):  # its loop is closed: nobody is left to hear of it
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self._done.done():
            self._done.set_result(None)


def _closed() -> LifecycleError:
    return LifecycleError("the thread pool is closed")
