"""The lease in the database, as one client asks about it: each question has an end, whatever happens.

A question runs in a task of its own and is only watched: at its deadline it is cancelled and left, so
that a driver that hangs while it is cancelled holds up nobody. What comes of it later changes nothing.

An election whose COMMIT went unanswered may have been won. Its row was returned before the commit, so
it is kept as the *candidate*: if exactly that term is found in the database, it is ours. A row is never
taken for ours by its `leader_id` alone; two processes may share one.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.leader import ElectedAt, LeaderRow
from riverrun.drivers.statement import Database, Script
from riverrun.model.errors import ConfigurationError, DatabaseError, DatabaseUnavailableError
from riverrun.model.leadership import LeadershipMetric, LeadershipSign
from riverrun.runtime.clock import Clock
from riverrun.runtime.observing import Observe, unobserved

T = TypeVar("T")

logger = logging.getLogger("riverrun.elector")

RESIGN_TIMEOUTS = (1.0, 2.0, 3.0)
LONGEST_RESIGNATION = sum(RESIGN_TIMEOUTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectorOptions:
    """The times of leadership, in seconds. All but the last two are River's: other clients rely on them.

    A leader renews every `interval`; whoever does not lead looks as often, plus at random up to `jitter`.
    A `lease` is trusted until `margin` before it ends. No question takes longer than `operation_timeout`.
    Raises `ConfigurationError` for times in which a leader could not renew before its trust ends.
    """

    interval: float = 5.0
    jitter: float = 1.0
    lease: float = 15.0
    margin: float = 1.0
    operation_timeout: float = 5.0

    def __post_init__(self) -> None:
        if self.interval <= 0 or self.jitter < 0 or self.margin < 0:
            raise ConfigurationError(f"{self}: times of leadership cannot be negative, nor 0 apart")
        if self.interval + self.operation_timeout >= self.lease - self.margin:
            raise ConfigurationError(
                f"{self}: `lease` must be longer than `interval`, `operation_timeout` and `margin` together"
            )

    def trusted_until(self, started: float) -> float:
        """How long a lease may be trusted that a statement begun at `started` has confirmed."""
        return started + self.lease - self.margin


class Lease:
    """Bids for, renews and gives up the one row of `river_leader`.

    It asks on a connection that is for this alone, so that jobs which use up all others cannot cost a
    client its leadership.
    """

    def __init__(
        self,
        client_id: str,
        database: Database,
        clock: Clock,
        options: ElectorOptions,
        observe: Observe = unobserved,
    ) -> None:
        self._client_id = client_id
        self._database = database.reserved()
        self._is_shared = self._database is database
        self._leader = Operations(database.dialect).leader
        self._clock = clock
        self._options = options
        self._observe = observe
        self._candidate: LeaderRow | None = None
        self._asked: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Let the connection go that is for this alone."""
        if not self._is_shared:
            await self._database.close()

    async def look(self) -> LeaderRow | None:
        """The row of whoever leads, by the clock of the database."""
        statement = self._leader.get_valid(now=self._clock.now_or_none())
        return await self._within(self._longest, lambda: self._database.run(statement))

    async def bid(self, *, at_once: bool = False) -> LeaderRow | None:
        """Our new term, or None if somebody else leads; raises `DatabaseError`.

        `at_once` asks in a single statement, for when the row is known to be gone: it leaves an
        expired one where it is.
        """
        row = await self._within(
            self._longest,
            self._claim if at_once else lambda: self._database.transact(self._elect()),
        )
        if row is not None:
            self._candidate = None
        return row

    def is_candidate(self, row: LeaderRow) -> bool:
        """Whether this is the term that we may have won without being told."""
        return self._candidate is not None and _term(row) == _term(self._candidate)

    async def adopt(self, candidate: LeaderRow) -> LeaderRow | None:
        """The candidate's row with a new end; None if its lease has run out."""
        row = await self.renew(candidate.elected_at, self._longest)
        self._candidate = None
        return row

    async def renew(self, elected_at: ElectedAt, seconds: float) -> LeaderRow | None:
        """The row of this very term with a new end; None if the term is gone."""
        statement = self._leader.reelect(
            self._client_id, elected_at, ttl=self._options.lease, now=self._clock.now_or_none()
        )
        started = self._clock.monotonic()
        try:
            row = await self._within(
                min(seconds, self._longest), lambda: self._database.run(statement)
            )
        except DatabaseError as error:
            self._observe(LeadershipMetric(name=LeadershipSign.RENEWAL_ERROR, error=str(error)))
            raise
        if row is not None:
            took = timedelta(seconds=self._clock.monotonic() - started)
            self._observe(LeadershipMetric(name=LeadershipSign.RENEWAL_OK, duration=took))
        return row

    async def resign(self, elected_at: ElectedAt) -> bool:
        """Give up this very term, and no other; false if the database could not be told.

        Three times at most, each in the seconds that are for it, so that it never takes longer than
        their sum.
        """
        for attempt, seconds in enumerate(RESIGN_TIMEOUTS, start=1):
            next_attempt = self._clock.monotonic() + seconds
            try:
                await self._within(seconds, lambda: self._resign(elected_at))
            except DatabaseError as error:
                logger.warning("resigning failed, attempt %d: %s", attempt, error)
            else:
                return True
            if attempt < len(RESIGN_TIMEOUTS):
                await self._clock.sleep(max(next_attempt - self._clock.monotonic(), 0))
        return False

    async def resign_candidate(self) -> None:
        """Give up the term that may be ours, if there is one."""
        candidate, self._candidate = self._candidate, None
        if candidate is not None:
            await self.resign(candidate.elected_at)

    @property
    def _longest(self) -> float:
        return self._options.operation_timeout

    def _elect(self) -> Script[LeaderRow | None]:
        row = yield from self._leader.elect(
            self._client_id, ttl=self._options.lease, now=self._clock.now_or_none()
        )
        return self._won(row)

    async def _claim(self) -> LeaderRow | None:
        statement = self._leader.claim(
            self._client_id, ttl=self._options.lease, now=self._clock.now_or_none()
        )
        return self._won(await self._database.run(statement))

    def _won(self, row: LeaderRow | None) -> LeaderRow | None:
        """Keep it in mind, since what comes of the commit may never be known."""
        if row is not None:
            self._candidate = row
        return row

    async def _resign(self, elected_at: ElectedAt) -> bool:
        return await self._database.transact(
            self._leader.resign(self._client_id, elected_at, now=self._clock.now_or_none())
        )

    async def _within(self, seconds: float, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer, if it comes in that time; raises `DatabaseError` for anything else."""
        task = asyncio.ensure_future(self._connected(ask))
        self._asked.add(task)
        task.add_done_callback(self._forget)
        try:
            await asyncio.wait({task}, timeout=max(seconds, 0))
        finally:
            task.cancel()  # without effect if it has ended
        if not task.done():
            raise DatabaseUnavailableError(f"no answer about leadership within {seconds:.3g} s")
        if task.cancelled():
            raise DatabaseUnavailableError(
                "a question about leadership was cancelled by its driver"
            )
        return task.result()

    async def _connected(self, ask: Callable[[], Awaitable[T]]) -> T:
        if not self._is_shared:
            await self._database.open()
        return await ask()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        """Look at what became of it, since nobody else may: then asyncio does not complain."""
        self._asked.discard(task)
        if not task.cancelled():
            task.exception()


def _term(row: LeaderRow) -> tuple[str, ElectedAt]:
    return row.leader_id, row.elected_at
