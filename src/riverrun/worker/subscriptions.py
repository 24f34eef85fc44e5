"""Hands events to whoever asked for them, without ever waiting for a slow reader."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Protocol, Self, TypeVar

from riverrun.model.duration import Duration, parse_duration
from riverrun.model.errors import ValidationError
from riverrun.model.event import Event, EventKind

logger = logging.getLogger("riverrun.events")

DEFAULT_BUFFER = 1000

S = TypeVar("S", bound="_Stream")


class _Buffer(Protocol):
    """What a queue for threads and one for tasks have in common."""

    def qsize(self) -> int: ...

    def put_nowait(self, item: Event | None, /) -> None: ...


class _Stream:
    """The writer's side of a subscription; None in the buffer is the end."""

    def __init__(
        self, owner: "Subscriptions", kinds: frozenset[EventKind], limit: int, buffer: _Buffer
    ) -> None:
        self._owner = owner
        self._kinds = kinds
        self._limit = limit
        self._buffer = buffer
        self._closed = False
        self._report_at = 1
        self.dropped = 0

    def offer(self, event: Event) -> None:
        """Take the event if it is wanted and there is room; never waits."""
        if event.kind not in self._kinds or self._closed:
            return
        if self._buffer.qsize() < self._limit:
            self._buffer.put_nowait(event)
            return
        self.dropped += 1
        if self.dropped >= self._report_at:
            self._report_at *= 10
            logger.warning(
                "Subscription event dropped due to full buffer: %s, %d so far",
                event.kind,
                self.dropped,
            )

    def close(self) -> None:
        """End the stream; what is buffered can still be read. Harmless twice."""
        if not self._closed:
            self._closed = True
            self._buffer.put_nowait(None)
            self._owner.remove(self)


class Subscription(_Stream):
    """A stream of events; use it as a context manager and iterate over it.

    It ends when the client has stopped. `dropped` counts the events that found its buffer full.
    """

    def __init__(self, owner: "Subscriptions", kinds: frozenset[EventKind], buffer: int) -> None:
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()
        super().__init__(owner, kinds, buffer, self._queue)

    async def get(self) -> Event | None:
        """The next event; None when the stream has ended."""
        event = await self._queue.get()
        if event is None:
            self._queue.put_nowait(None)
        return event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await self.get()) is not None:
            yield event


class SyncSubscription(_Stream):
    """The same for programs without an event loop; it may be read on any thread."""

    def __init__(self, owner: "Subscriptions", kinds: frozenset[EventKind], buffer: int) -> None:
        self._queue: SimpleQueue[Event | None] = SimpleQueue()
        super().__init__(owner, kinds, buffer, self._queue)

    def get(self, timeout: Duration | None = None) -> Event | None:
        """The next event; None when the stream has ended. `TimeoutError` if there is none in time."""
        limit = None if timeout is None else parse_duration(timeout, name="timeout").total_seconds()
        try:
            event = self._queue.get(timeout=limit)
        except Empty:
            raise TimeoutError(f"no event within {limit:g} s") from None
        if event is None:
            self._queue.put_nowait(None)
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Event]:
        while (event := self.get()) is not None:
            yield event


class Subscriptions:
    """Everybody who listens to one client's events, on whatever thread."""

    def __init__(self) -> None:
        self._all: tuple[_Stream, ...] = ()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(
        self, kinds: Iterable[EventKind | str], *, buffer: int = DEFAULT_BUFFER
    ) -> Subscription:
        """A new subscription to `kinds`, to all of them if there are none."""
        return self._added(Subscription, kinds, buffer)

    def add_sync(
        self, kinds: Iterable[EventKind | str], *, buffer: int = DEFAULT_BUFFER
    ) -> SyncSubscription:
        """The same for a reader without an event loop."""
        return self._added(SyncSubscription, kinds, buffer)

    def remove(self, stream: _Stream) -> None:
        with self._lock:
            self._all = tuple(other for other in self._all if other is not stream)

    def publish(self, event: Event) -> None:
        for subscription in self._all:
            subscription.offer(event)

    def close(self) -> None:
        """End every stream, when the client has told all there is to tell."""
        for subscription in self._all:
            subscription.close()

    def _added(
        self,
        make: "Callable[[Subscriptions, frozenset[EventKind], int], S]",
        kinds: Iterable[EventKind | str],
        buffer: int,
    ) -> S:
        if buffer < 1:
            raise ValidationError(f"buffer: {buffer} is too small; give at least 1")
        stream = make(self, _checked(kinds) or frozenset(EventKind), buffer)
        with self._lock:
            self._all = (*self._all, stream)
        return stream


def _checked(kinds: Iterable[EventKind | str]) -> frozenset[EventKind]:
    try:
        return frozenset(EventKind(kind) for kind in kinds)
    except ValueError as error:
        known = ", ".join(EventKind)
        raise ValidationError(f"unknown event kind: {error}; there are {known}") from error
