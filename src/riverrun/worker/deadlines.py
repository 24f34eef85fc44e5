"""When the handlers that run now have to end: one timer for all of them, instead of one for each.

Handlers with the same number of seconds are due in the order in which they began, so each such number
has a queue of its own, and only the heads of the queues are looked at. The timer is armed for the
earliest, and stays when that handler ends in time: then it finds nothing to do, and is armed anew. So
a handler that is quick costs an entry, made and taken out again.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Generic, TypeVar

T = TypeVar("T")

NEVER = float("inf")


class Deadlines(Generic[T]):
    """Calls `late` with each thing whose seconds pass before it is taken out."""

    def __init__(self, late: Callable[[T], object]) -> None:
        self._late = late
        self._queues: dict[float, dict[T, float]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = NEVER

    def begin(self) -> asyncio.AbstractEventLoop:
        """Things run on this event loop from now on; of one before, nothing runs any more."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._timer, self._armed_for = loop, None, NEVER
            self._queues.clear()
        return loop

    def add(self, thing: T, seconds: float) -> None:
        """It begins now, and has so many seconds."""
        loop = self._loop or self.begin()  # asking which one runs costs more than all the rest
        due = loop.time() + seconds
        queue = self._queues.get(seconds)
        if queue is None:
            queue = self._queues[seconds] = {}
        queue[thing] = due
        if due < self._armed_for:
            self._arm(loop, due)

    def remove(self, thing: T, seconds: float) -> None:
        """It has ended; harmless if it was late."""
        queue = self._queues.get(seconds)
        if queue is not None:
            queue.pop(thing, None)

    def _arm(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = due
        outside = Context()  # that of whoever happens to arm the timer would be held by it
        self._timer = loop.call_at(due, self._look, loop, due, context=outside)

    def _look(self, loop: asyncio.AbstractEventLoop, now: float) -> None:
        """It is `now` at least; the loop may call a trifle before its own clock says so."""
        self._timer, self._armed_for = None, NEVER
        for thing in list(self._due(max(now, loop.time()))):
            self._late(thing)
        self._queues = {seconds: queue for seconds, queue in self._queues.items() if queue}
        if self._queues:
            self._arm(loop, min(next(iter(queue.values())) for queue in self._queues.values()))

    def _due(self, now: float) -> Iterator[T]:
        """Take out those whose time has come."""
        for queue in self._queues.values():
            while queue and queue[first := next(iter(queue))] <= now:
                del queue[first]
                yield first
