"""One listening connection, fanned out by topic; it mends itself when the connection is lost.

After each reconnect, subscribers who asked for it are told, since what was sent meanwhile is gone:
they look once for what they may have missed.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from riverrun.drivers.statement import Database, Listener, Notification
from riverrun.model.errors import RiverError
from riverrun.model.notification import TOPICS
from riverrun.runtime.backoff import backoff
from riverrun.runtime.clock import Clock
from riverrun.runtime.service import Service

logger = logging.getLogger("riverrun.notifier")

LONGEST_PAUSE = 8.0

Handler = Callable[[str], None]
Undo = Callable[[], None]


class Notifier(Service):
    """Hears what other clients send and calls whoever subscribed, in order, on the event loop."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__()
        self._database = database
        self._clock = clock
        self._handlers: dict[str, list[Handler]] = {topic: [] for topic in TOPICS}
        self._connected: list[Callable[[], None]] = []
        self._failures = 0

    def subscribe(self, topic: str, handler: Handler) -> Undo:
        """Call `handler` with each payload of `topic`; call what is returned to end it."""
        self._handlers[topic].append(handler)
        return lambda: _remove(self._handlers[topic], handler)

    def on_connected(self, callback: Callable[[], None]) -> Undo:
        """Call `callback` after each *re*connect."""
        self._connected.append(callback)
        return lambda: _remove(self._connected, callback)

    async def run(self) -> None:
        listener = await self._connect()
        self.ready()
        while not self.stopping.is_set():
            await self._until_lost(listener)
            listener = await self._reconnect()
        if listener is not None:
            await listener.close()

    async def _connect(self) -> Listener | None:
        listener = self._database.listener()
        if listener is None:
            return None
        try:
            await listener.listen(TOPICS, self._deliver)
        except BaseException:
            await listener.close()
            raise
        return listener

    async def _until_lost(self, listener: Listener | None) -> None:
        stopping = asyncio.ensure_future(self.stopping.wait())
        waits: list[asyncio.Future[Any]] = [stopping]
        if listener is not None:
            waits.append(asyncio.ensure_future(listener.wait_lost()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            if listener is not None:
                await listener.close()

    async def _reconnect(self) -> Listener | None:
        while not self.stopping.is_set():
            try:
                listener = await self._connect()
            except RiverError as error:
                await self._pause(error)
                continue
            self._failures = 0
            for callback in list(self._connected):
                _isolated(callback)
            return listener
        return None

    async def _pause(self, error: RiverError) -> None:
        self._failures += 1
        seconds = backoff(self._failures, reset=None, cap=LONGEST_PAUSE)
        logger.warning("listening failed, again in %.1f s: %s", seconds, error)
        await self._clock.wait_for_event(self.stopping, seconds)

    def _deliver(self, notification: Notification) -> None:
        for handler in list(self._handlers.get(notification.topic, ())):
            _isolated(handler, notification.payload)


def _isolated(callback: Callable[..., None], *arguments: str) -> None:
    try:
        callback(*arguments)
    except Exception:
        logger.exception("a notification handler failed")


def _remove(handlers: list[Callable[..., None]], handler: Callable[..., None]) -> None:
    if handler in handlers:
        handlers.remove(handler)
