"""Elects one client per database to do the maintenance, and notices when that is over.

The database decides who leads: whoever holds the one row of `river_leader` until it expires by the
database's clock. A client trusts its last confirmed lease only until `trusted_until`, which is counted
from *before* the statement that confirmed it and lies a second before the lease ends, so that it stops
before another can start.

              start                win
    stopped ────────► follower ─────────► leader
       ▲                  ▲                  │ replaced │ trust expired │ asked to resign │ stop
       └──────────────────┴──────────────────┘

Losing is said first and resigned after: the row is given up only once the maintenance of the term has
ended.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

from riverrun.model.errors import DatabaseError
from riverrun.model.notification import LEADERSHIP, LeadershipMessage
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.notifier import Notifier
from riverrun.runtime.scope import Cause, Scope
from riverrun.runtime.service import Service

logger = logging.getLogger("riverrun.elector")

ELECT_INTERVAL = 5.0
ELECT_JITTER = 1.0
LEASE = ELECT_INTERVAL + 10.0
TRUST_MARGIN = 1.0
WOKEN_JITTER = 0.05


class LeadershipTerm:
    """One uninterrupted tenure. `elected_at` is kept exactly as the database wrote it.

    What is done in a term runs under its `scope`, which is cancelled when the term is over.
    """

    def __init__(
        self, epoch: int, leader_id: str, elected_at: Any, trusted_until: float, scope: Scope
    ) -> None:
        self.epoch = epoch
        self.leader_id = leader_id
        self.elected_at = elected_at
        self.trusted_until = trusted_until
        self.scope = scope

    def is_trusted(self, now: float) -> bool:
        """Whether the client may act on this term at the monotonic time `now`."""
        return not self.scope.cancelled and now < self.trusted_until


OnChange = Callable[[LeadershipTerm | None], Awaitable[None]]


class Elector(Service):
    """Holds or seeks leadership while it runs; `on_change` is awaited with each term and each end."""

    def __init__(
        self,
        client_id: str,
        db: DatabaseHandle,
        on_change: OnChange,
        notifier: Notifier | None = None,
    ) -> None:
        super().__init__()
        self._client_id = client_id
        self._db = db
        self._on_change = on_change
        self._notifier = notifier
        self._woken = asyncio.Event()
        self._resign_requested = False
        self._epoch = 0
        self.term: LeadershipTerm | None = None

    @property
    def is_leader(self) -> bool:
        return self.term is not None and self.term.is_trusted(self._db.clock.monotonic())

    async def run(self) -> None:
        unsubscribe = self._subscribe()
        try:
            self.ready()
            while not self.stopping.is_set():
                await self._round()
            await self._step_down(resign=True)
        finally:
            unsubscribe()

    def _subscribe(self) -> Callable[[], None]:
        if self._notifier is None:
            return lambda: None
        return self._notifier.subscribe(LEADERSHIP, self._on_notification)

    async def _round(self) -> None:
        if self.term is None:
            await self._seek()
        else:
            await self._keep(self.term)

    async def _seek(self) -> None:
        """Bid once; a follower bids again when it is woken, at the latest after an interval."""
        self._resign_requested = False
        started = self._db.clock.monotonic()
        try:
            elected = await self._db.transact(
                self._db.operations.leader.elect(self._client_id, ttl=LEASE, now=self._db.now)
            )
        except DatabaseError as error:
            logger.warning("election failed: %s", error)
            elected = None
        if elected is not None:
            await self._begin(elected.elected_at, started)
            return
        if await self._pause(ELECT_INTERVAL + random.uniform(0, ELECT_JITTER)):  # noqa: S311
            await self._db.clock.sleep(random.uniform(0, WOKEN_JITTER))  # noqa: S311

    async def _begin(self, elected_at: Any, started: float) -> None:
        self._epoch += 1
        trusted_until = started + LEASE - TRUST_MARGIN
        scope = Scope(self.scope)
        self.term = LeadershipTerm(self._epoch, self._client_id, elected_at, trusted_until, scope)
        logger.info("%s leads (epoch %d)", self._client_id, self._epoch)
        await self._on_change(self.term)

    async def _keep(self, term: LeadershipTerm) -> None:
        """Wait out the interval, then renew; step down when replaced, untrusted or asked to."""
        await self._pause(ELECT_INTERVAL)
        if self.stopping.is_set():
            return
        if self._resign_requested:
            await self._step_down(resign=True)
            return
        started = self._db.clock.monotonic()
        try:
            kept = await self._db.run(
                self._db.operations.leader.reelect(
                    term.leader_id, term.elected_at, ttl=LEASE, now=self._db.now
                )
            )
        except DatabaseError as error:
            await self._renewal_failed(term, error)
            return
        if kept is None:
            await self._step_down(resign=False)
        else:
            term.trusted_until = started + LEASE - TRUST_MARGIN

    async def _renewal_failed(self, term: LeadershipTerm, error: DatabaseError) -> None:
        logger.warning("renewing the lease failed: %s", error)
        if not term.is_trusted(self._db.clock.monotonic()):
            await self._step_down(resign=True)

    async def _step_down(self, *, resign: bool) -> None:
        """Say first that it is over, end the maintenance, and only then give up the row."""
        term, self.term = self.term, None
        if term is None:
            return
        term.scope.cancel(Cause.LEADERSHIP_LOST)
        self._resign_requested = False
        await self._on_change(None)
        logger.info("%s no longer leads (epoch %d)", term.leader_id, term.epoch)
        if resign:
            await self._resign(term)

    async def _resign(self, term: LeadershipTerm) -> None:
        try:
            await self._db.transact(
                self._db.operations.leader.resign(term.leader_id, term.elected_at)
            )
        except DatabaseError as error:
            logger.warning("resigning failed, the lease will expire by itself: %s", error)

    async def _pause(self, seconds: float) -> bool:
        """Wait so long, or until woken; true if woken. A stop ends it too."""
        self._woken.clear()
        stop = self.spawn(self._wake_on_stop())
        try:
            return await self._db.clock.wait_for_event(self._woken, seconds)
        finally:
            stop.cancel()

    async def _wake_on_stop(self) -> None:
        await self.stopping.wait()
        self._woken.set()

    def _on_notification(self, payload: str) -> None:
        message = LeadershipMessage.read(payload)
        if message is None:
            return
        if message.action == "resigned" and message.leader_id != self._client_id:
            self._woken.set()
        elif message.action == "request_resign" and self.term is not None:
            self._resign_requested = True
            self._woken.set()
