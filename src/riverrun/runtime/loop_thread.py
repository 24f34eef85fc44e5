"""An event loop on a thread of its own, for programs that have none.

The thread is there while somebody waits for a coroutine, or `needed` says so, and is a daemon: a
program that forgets it can still end. The loop is the same each time, so that what belongs to it may
outlive a thread.
"""

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from riverrun.model.errors import LifecycleError

T = TypeVar("T")

GRACE = 10.0
"""Seconds for which an interrupted caller waits for its coroutine to end in an orderly way."""

_OF_THE_PARENT: list[asyncio.AbstractEventLoop] = []

logger = logging.getLogger("riverrun.client")


class LoopThread:
    """Every method may be called from any thread, `run` from any but the loop's own."""

    def __init__(self, name: str, needed: Callable[[], bool]) -> None:
        self._name = name
        self._needed = needed
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = 0
        self._users = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns or raises, run on the loop with the caller's context variables.

        A caller that is interrupted, as by Ctrl-C, has it cancelled.
        """
        try:
            loop = self._enter()
        except BaseException:
            coroutine.close()
            raise
        try:
            return self._wait_for(loop, coroutine)
        finally:
            self._leave()

    @property
    def is_alive(self) -> bool:
        """Whether the thread is there; a forked process has none."""
        return self._thread is not None and self._process == os.getpid()

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call `function` on the loop soon, if its thread is there."""
        if self.is_alive and self._loop is not None:
            self._loop.call_soon_threadsafe(function, *args)

    def call(self, function: Callable[[], T]) -> T:
        """What `function` returns, called on the loop, or here where its thread is not there."""
        if not self.is_alive or self._is_current():
            return function()

        async def called() -> T:
            return function()

        return self.run(called())

    def _is_current(self) -> bool:
        return threading.current_thread() is self._thread

    def _enter(self) -> asyncio.AbstractEventLoop:
        if self._is_current():
            raise LifecycleError(
                "a coroutine of the worker cannot wait for the worker's own event loop: use"
                " `current_client()` and await there, or write the handler with `def`"
            )
        with self._lock:
            if self._thread is not None and not self.is_alive:
                raise LifecycleError(
                    "this client was started in another process; make a new one after a fork"
                )
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                # Never while a thread runs it, which keeps us alive; nor at exit, when one may.
                weakref.finalize(self, _close, self._loop, os.getpid()).atexit = False
            if self._thread is None:
                self._start(self._loop)
            self._users += 1
            return self._loop

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._process = os.getpid()
        self._thread = threading.Thread(
            target=self._serve, args=(loop,), name=self._name, daemon=True
        )
        self._thread.start()

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users or self._needed() or self._thread is None or self._loop is None:
                return
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._thread = None

    def _wait_for(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
        outcome: _Outcome[T] = _Outcome()
        tasks: list[asyncio.Task[None]] = []

        def begin() -> None:
            task = loop.create_task(outcome.await_(coroutine))
            tasks.append(task)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _task: drop())

        def cancel() -> None:
            if tasks:
                tasks[0].cancel()
            else:
                drop()

        def drop() -> None:
            """Of what is cancelled before its first step, nobody else says that it has ended."""
            coroutine.close()
            outcome.settle(asyncio.CancelledError())

        try:  # an interruption may come before the first step, too
            loop.call_soon_threadsafe(begin)
            outcome.wait()
        finally:
            if not outcome.settled:
                loop.call_soon_threadsafe(cancel)
                outcome.wait(GRACE)
        return outcome.result()

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while True:
            try:
                loop.run_forever()
            except (SystemExit, KeyboardInterrupt):
                logger.exception("raised by a task; on a thread that ends nothing")
            else:
                return


def _close(loop: asyncio.AbstractEventLoop, process: int) -> None:
    """In a forked process this would unregister, in the kernel, what the parent waits for."""
    if os.getpid() == process:
        loop.close()
    else:
        _OF_THE_PARENT.append(loop)


class _Outcome(Generic[T]):
    """What became of a coroutine, for one thread to wait for.

    A bare lock, since a `Future` or a `Condition` that a signal interrupts at the wrong moment raises a
    `RuntimeError` in place of the `KeyboardInterrupt`.
    """

    def __init__(self) -> None:
        self._ended = threading.Lock()
        self._ended.acquire()
        self._results: list[T] = []
        self._error: BaseException | None = None
        self.settled = False

    async def await_(self, coroutine: Coroutine[Any, Any, T]) -> None:
        """Await it, and settle this."""
        try:
            self._results.append(await coroutine)
        except BaseException as error:  # noqa: BLE001 - it belongs to the caller, whatever it is
            self.settle(error)
        else:
            self.settle(None)

    def settle(self, error: BaseException | None) -> None:
        """Let the waiting thread go on; only the first time counts."""
        if not self.settled:
            self._error, self.settled = error, True
            self._ended.release()

    def wait(self, timeout: float = -1) -> None:
        """Return when it is settled, or after `timeout` seconds; called again only if it is not."""
        self._ended.acquire(timeout=timeout)

    def result(self) -> T:
        """What the coroutine has returned or raised."""
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # else its traceback and this frame would hold each other
        return self._results[0]
