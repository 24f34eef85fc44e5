"""A thread of its own for what blocks: things sent to it run whole, one after the other.

A caller that is cancelled stops waiting at once. What it asked for is told so and ends early if it
can, and its result is dropped.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar, cast

from riverrun.model.errors import LifecycleError

T = TypeVar("T")
Wanted = Callable[[], bool]
"""Says whether anybody still waits for the result."""

Deliver = Callable[[Any, BaseException | None], object]


@dataclass(slots=True, eq=False)
class _Task:
    work: Callable[[Wanted], Any]
    deliver: Deliver
    abandoned: bool = False

    def wanted(self) -> bool:
        return not self.abandoned

    def perform(self) -> None:
        if self.abandoned:
            return
        try:
            result = self.work(self.wanted)
        except BaseException as error:  # noqa: BLE001 - it belongs to the caller, whatever it is
            self.deliver(None, error)
        else:
            self.deliver(result, None)


class OwnThread:
    """Starts at once; a daemon, so that a program which forgets it can still end."""

    def __init__(self, name: str) -> None:
        self._tasks: SimpleQueue[_Task] = SimpleQueue()
        self._stopped = False
        self._lock = Lock()
        Thread(target=self._serve, name=name, daemon=True).start()

    async def call(self, work: Callable[[Wanted], T]) -> T:
        """Run `work` there and wait for it."""
        future, deliver = _loop_future()
        task = self._send(_Task(work, deliver))
        try:
            return cast(T, await future)
        except asyncio.CancelledError:
            task.abandoned = True
            raise

    def call_sync(self, work: Callable[[Wanted], T]) -> T:
        """`call` for programs without an event loop."""
        future: Future[T] = Future()
        task = self._send(_Task(work, partial(_settle, future)))
        try:
            return future.result()
        except KeyboardInterrupt:
            task.abandoned = True
            raise

    async def stop(self, last: Callable[[], None]) -> None:
        """Finish what was sent, then run `last`, in any case, and end."""
        future, deliver = _loop_future()
        self._send(_Task(lambda _wanted: last(), deliver), ends=True)
        await future

    def stop_sync(self, last: Callable[[], None]) -> None:
        """`stop` for programs without an event loop."""
        future: Future[None] = Future()
        self._send(_Task(lambda _wanted: last(), partial(_settle, future)), ends=True)
        future.result()

    def _send(self, task: _Task, *, ends: bool = False) -> _Task:
        with self._lock:
            if self._stopped:
                raise LifecycleError("the database is closed")
            self._stopped = ends
            self._tasks.put(task)
        return task

    def _serve(self) -> None:
        ended = False
        while not ended:
            self._serve_one()
            with self._lock:
                ended = self._stopped and self._tasks.empty()

    def _serve_one(self) -> None:
        # In a function of its own, so that a waiting thread keeps no result alive.
        self._tasks.get().perform()


class SharedThread:
    """The thread of one database, for all who have it open: from the first `join` to the last `leave`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = Lock()
        self._users: set[int] = set()
        self._thread: OwnThread | None = None
        self._process = 0

    def join(self, user: object) -> OwnThread:
        """The thread, from now on for `user` as well. Harmless twice."""
        with self._lock:
            if self._thread is None:
                self._process = os.getpid()
                self._thread = OwnThread(f"riverrun sqlite {self._path}")
            self._users.add(id(user))
        return self.thread_of(user)

    def thread_of(self, user: object) -> OwnThread:
        """The thread; raises `LifecycleError` if `user` has not joined, or in another process."""
        if self._thread is None or id(user) not in self._users:
            raise LifecycleError(f"the SQLite database {self._path} is not open")
        if self._process != os.getpid():
            raise LifecycleError(
                f"the SQLite database {self._path} was opened in process {self._process}, which forked "
                "this one: SQLite connections do not survive a fork, open it anew in each process"
            )
        return self._thread

    def is_serving(self, thread: OwnThread) -> bool:
        return self._thread is thread

    def leave(self, user: object) -> OwnThread | None:
        """The thread, for the last user to stop; a forked process has none and keeps hands off."""
        with self._lock:
            if self._process != os.getpid():
                return None
            self._users.discard(id(user))
            if self._users:
                return None
            thread, self._thread = self._thread, None
            return thread


def _loop_future() -> tuple[asyncio.Future[Any], Deliver]:
    """A future of the running loop, and how another thread settles it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def deliver(result: Any, error: BaseException | None) -> None:
        with suppress(RuntimeError):  # The loop is gone, and with it whoever waited.
            loop.call_soon_threadsafe(_settle, future, result, error)

    return future, deliver


def _settle(
    future: "asyncio.Future[Any] | Future[Any]", result: Any, error: BaseException | None
) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
