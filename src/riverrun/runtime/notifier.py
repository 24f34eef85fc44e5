"""One listening connection, fanned out by topic; it mends itself when the connection is lost.

After each reconnect, subscribers who asked for it are told, since what was sent meanwhile is gone:
they look once for what they may have missed. Where nothing can be heard at all, they are told every two
seconds instead. That is so on a server without LISTEN, and behind a pooler in transaction mode, which
takes the LISTEN and then gives the session to others. Only a message to oneself shows that: one is sent
after each connect on PostgreSQL, under a topic that only riverrun uses.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable

from riverrun.drivers.operations import Operations
from riverrun.drivers.postgres_errors import needs_a_human
from riverrun.drivers.statement import Database, Listener, Notification
from riverrun.model.errors import DatabaseUnavailableError, RiverError
from riverrun.model.notification import TOPICS
from riverrun.runtime.backoff import backoff
from riverrun.runtime.cancellation import is_being_cancelled, is_stray
from riverrun.runtime.clock import Clock
from riverrun.runtime.service import Service

logger = logging.getLogger("riverrun.notifier")

LONGEST_PAUSE = 8.0
LOOK_EVERY = 2.0
PROOF = "riverrun_probe"

Handler = Callable[[str], None]
Undo = Callable[[], None]


class Notifier(Service):
    """Hears what other clients send and calls whoever subscribed, in order, on the event loop."""

    proof_timeout: float = 5.0
    """Seconds that a message to ourselves may take before we count as deaf."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__()
        self._database = database
        self._clock = clock
        self.proven = asyncio.Event()
        """Set once a message to ourselves has arrived on the connection of now (PostgreSQL)."""
        self._proof = secrets.token_hex(8)
        self._warned = False
        self._handlers: dict[str, list[Handler]] = {topic: [] for topic in TOPICS}
        self._connected: list[Callable[[], None]] = []
        self._failures = 0

    def subscribe(self, topic: str, handler: Handler) -> Undo:
        """Call `handler` with each payload of `topic`; call what is returned to end it."""
        self._handlers[topic].append(handler)
        return lambda: _remove(self._handlers[topic], handler)

    def on_connected(self, callback: Callable[[], None]) -> Undo:
        """Call `callback` when something may have been missed: after a *re*connect, or while deaf."""
        self._connected.append(callback)
        return lambda: _remove(self._connected, callback)

    async def run(self) -> None:
        """Ready although nobody lets it in yet: who waits for messages looks by himself meanwhile."""
        if self._database.listener() is None:
            self.ready()
            logger.info("this server has no LISTEN: looking for changes every %g s", LOOK_EVERY)
            await self._look_until(self.stopping)
            return
        listener = await self._connect_if_possible()
        self.ready()
        if listener is None:
            listener = await self._reconnect()
        while listener is not None:
            await self._until_lost(listener)
            listener = await self._reconnect()

    async def _connect_if_possible(self) -> Listener | None:
        try:
            return await self._connect()
        except DatabaseUnavailableError as error:
            if needs_a_human(error):
                raise
            logger.warning("listening failed: %s", error)
            return None

    async def _connect(self) -> Listener | None:
        listener = self._database.listener()
        if listener is None:
            return None
        try:
            await listener.listen(self._topics(), self._deliver)
        except BaseException as error:
            await listener.close()
            if is_stray(error):
                raise DatabaseUnavailableError("listening was cancelled by its driver") from error
            raise
        return listener

    async def _until_lost(self, listener: Listener) -> None:
        """Return when the listener is of no use any more, or the service is to stop; closes it."""
        lost = asyncio.ensure_future(listener.wait_lost())
        stopping = asyncio.ensure_future(self.stopping.wait())
        proving = self.spawn(self._prove())
        try:
            await asyncio.wait({lost, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in (lost, stopping, proving):
                wait.cancel()
            await listener.close()

    async def _prove(self) -> None:
        """Send ourselves a message; as long as none arrives, have the subscribers look for changes."""
        if not self._database.dialect.is_postgres:
            return
        self.proven.clear()
        patience = self.proof_timeout
        while not await self._hears_itself(patience):
            self._tell_connected()
            patience = LOOK_EVERY

    async def _hears_itself(self, seconds: float) -> bool:
        notify = Operations(self._database.dialect).notifications.notify(PROOF, [self._proof])
        try:
            await self._database.run(notify)
            async with asyncio.timeout(seconds):
                await self.proven.wait()
        except TimeoutError:
            self._complain()
        except (RiverError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
                raise
            logger.debug("sending a notification to ourselves failed: %r", error)
            await self._clock.wait_for_event(self.proven, seconds)
        return self.proven.is_set()

    def _complain(self) -> None:
        """Once: it does not get better by saying it again."""
        if not self._warned:
            logger.warning(
                "notifications do not arrive: looking for changes every %g s instead. If the database"
                " URL leads through a pooler, give the server's own as `listen_url`; or give `schema`",
                LOOK_EVERY,
            )
        self._warned = True

    async def _reconnect(self) -> Listener | None:
        while not self.stopping.is_set():
            try:
                listener = await self._connect()
            except RiverError as error:
                await self._pause(error)
                continue
            self._failures = 0
            self._tell_connected()
            return listener
        return None

    async def _pause(self, error: RiverError) -> None:
        self._failures += 1
        seconds = backoff(self._failures, reset=None, cap=LONGEST_PAUSE)
        logger.warning("listening failed, again in %.1f s: %s", seconds, error)
        if not await self._clock.wait_for_event(self.stopping, seconds):
            self._tell_connected()

    async def _look_until(self, event: asyncio.Event) -> None:
        while not await self._clock.wait_for_event(event, LOOK_EVERY):
            self._tell_connected()

    def _tell_connected(self) -> None:
        for callback in list(self._connected):
            _isolated(callback)

    def _topics(self) -> tuple[str, ...]:
        return (PROOF, *TOPICS) if self._database.dialect.is_postgres else TOPICS

    def _deliver(self, notification: Notification) -> None:
        if notification.topic == PROOF and notification.payload == self._proof:
            self.proven.set()
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
