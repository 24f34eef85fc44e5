"""Hands events to whoever asked for them, without ever waiting for a slow reader."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Self

from riverrun.model.errors import ValidationError
from riverrun.model.event import Event, EventKind

logger = logging.getLogger("riverrun.events")

DEFAULT_BUFFER = 1000


class Subscription:
    """A stream of events; use it as a context manager and iterate over it.

    It ends when the client has stopped. `dropped` counts the events that found its buffer full.
    """

    def __init__(self, owner: "Subscriptions", kinds: frozenset[EventKind], buffer: int) -> None:
        self._owner = owner
        self._kinds = kinds
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._buffer = buffer
        self._closed = False
        self._report_at = 1
        self.dropped = 0

    def offer(self, event: Event) -> None:
        """Take the event if it is wanted and there is room; never waits."""
        if event.kind not in self._kinds or self._closed:
            return
        if self._queue.qsize() < self._buffer:
            self._queue.put_nowait(event)
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
            self._queue.put_nowait(None)
            self._owner.remove(self)

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


class Subscriptions:
    """Everybody who listens to one client's events."""

    def __init__(self) -> None:
        self._all: list[Subscription] = []

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(
        self, kinds: Iterable[EventKind | str], *, buffer: int = DEFAULT_BUFFER
    ) -> Subscription:
        """A new subscription to `kinds`, to all of them if there are none."""
        if buffer < 1:
            raise ValidationError(f"buffer: {buffer} is too small; give at least 1")
        subscription = Subscription(self, _checked(kinds) or frozenset(EventKind), buffer)
        self._all.append(subscription)
        return subscription

    def remove(self, subscription: Subscription) -> None:
        if subscription in self._all:
            self._all.remove(subscription)

    def publish(self, event: Event) -> None:
        for subscription in self._all:
            subscription.offer(event)

    def close(self) -> None:
        """End every stream, when the client has told all there is to tell."""
        for subscription in list(self._all):
            subscription.close()


def _checked(kinds: Iterable[EventKind | str]) -> frozenset[EventKind]:
    try:
        return frozenset(EventKind(kind) for kind in kinds)
    except ValueError as error:
        known = ", ".join(EventKind)
        raise ValidationError(f"unknown event kind: {error}; there are {known}") from error
