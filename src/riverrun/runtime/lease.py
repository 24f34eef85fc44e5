"""The lease in the database, as one client asks about it: each question has an end, whatever happens.

A question runs in a task of its own and is only watched: at its deadline it is cancelled and left, so
that a driver that hangs while it is cancelled holds up nobody. What comes of it later changes nothing.

An election whose COMMIT went unanswered may have been won. Its row was returned before the commit, so
it is kept as the *candidate*: a bid that is denied asks whether exactly that term is what denies it. A row
is never taken for ours by its `leader_id` alone; two processes may share one.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.leader import ElectedAt, LeaderRow
from riverrun.drivers.statement import Database, Script
from riverrun.model.errors import DatabaseError, DatabaseUnavailableError
from riverrun.runtime.backoff import backoff
from riverrun.runtime.clock import Clock

T = TypeVar("T")

logger = logging.getLogger("riverrun.elector")

OPERATION_TIMEOUT = 5.0
RESIGN_TIMEOUTS = (1.0, 2.0, 3.0)


class Lease:
    """Bids for, renews and gives up the one row of `river_leader`; `ttl` in seconds.

    It asks on a connection that is for this alone, so that jobs which use up all others cannot cost a
    client its leadership.
    """

    def __init__(self, client_id: str, database: Database, clock: Clock, *, ttl: float) -> None:
        self._client_id = client_id
        self._database = database.reserved()
        self._is_shared = self._database is database
        self._operations = Operations(database.dialect)
        self._clock = clock
        self._ttl = ttl
        self._candidate: LeaderRow | None = None
        self._candidate_until = 0.0
        self._left: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Let the connection go that is for this alone."""
        if not self._is_shared:
            await self._database.close()

    async def bid(self, *, at_once: bool = False) -> LeaderRow | None:
        """Our new term, or None if somebody else leads; raises `DatabaseError`.

        Who is denied may be denied by a win of its own that it was never told of. `at_once` asks in a
        single statement, for when the row is known to be gone: it leaves an expired one where it is.
        """
        question = self._claim() if at_once else self._database.transact(self._elect())
        row = await self._within(OPERATION_TIMEOUT, question)
        if row is None and self._candidate is not None:
            row = await self.renew(self._candidate.elected_at, OPERATION_TIMEOUT)
        if row is not None or self._clock.monotonic() > self._candidate_until:
            self._candidate = None
        return row

    async def renew(self, elected_at: ElectedAt, seconds: float) -> LeaderRow | None:
        """The row of this very term with a new end; None if the term is gone."""
        statement = self._operations.leader.reelect(
            self._client_id, elected_at, ttl=self._ttl, now=self._clock.now_or_none()
        )
        return await self._within(min(seconds, OPERATION_TIMEOUT), self._database.run(statement))

    async def observe(self) -> LeaderRow | None:
        """Whoever leads now; None if nobody does or it cannot be known."""
        try:
            return await self._within(
                OPERATION_TIMEOUT, self._database.run(self._operations.leader.get())
            )
        except DatabaseError:
            return None

    async def resign(self, elected_at: ElectedAt) -> bool:
        """Give up this very term, and no other; false if the database could not be told."""
        for attempt, seconds in enumerate(RESIGN_TIMEOUTS, start=1):
            try:
                await self._within(seconds, self._resign(elected_at))
            except DatabaseError as error:
                logger.warning("resigning failed, attempt %d: %s", attempt, error)
            else:
                return True
            if attempt < len(RESIGN_TIMEOUTS):
                await self._clock.sleep(backoff(attempt, reset=3))
        return False

    async def resign_candidate(self) -> None:
        """Give up the term that may be ours, if there is one."""
        candidate, self._candidate = self._candidate, None
        if candidate is not None:
            await self.resign(candidate.elected_at)

    def _elect(self) -> Script[LeaderRow | None]:
        row = yield from self._operations.leader.elect(
            self._client_id, ttl=self._ttl, now=self._clock.now_or_none()
        )
        return self._won(row)

    async def _claim(self) -> LeaderRow | None:
        statement = self._operations.leader.claim(
            self._client_id, ttl=self._ttl, now=self._clock.now_or_none()
        )
        return self._won(await self._database.run(statement))

    def _won(self, row: LeaderRow | None) -> LeaderRow | None:
        """Keep it in mind, since what comes of the commit may never be known."""
        if row is not None:
            self._candidate, self._candidate_until = row, self._clock.monotonic() + self._ttl
        return row

    async def _resign(self, elected_at: ElectedAt) -> bool:
        return await self._database.transact(
            self._operations.leader.resign(
                self._client_id, elected_at, now=self._clock.now_or_none()
            )
        )

    async def _within(self, seconds: float, question: Coroutine[Any, Any, T]) -> T:
        """What comes of `question` in that time; raises `DatabaseError` for anything but an answer."""
        task = asyncio.ensure_future(self._connected(question))
        try:
            await asyncio.wait({task}, timeout=max(seconds, 0))
        finally:
            if not task.done():
                self._leave(task)
        if not task.done():
            raise DatabaseUnavailableError(f"no answer about leadership within {seconds:.3g} s")
        if task.cancelled():
            raise DatabaseUnavailableError(
                "a question about leadership was cancelled by its driver"
            )
        return task.result()

    async def _connected(self, question: Coroutine[Any, Any, T]) -> T:
        try:
            if not self._is_shared:
                await self._database.open()
        except BaseException:
            question.close()
            raise
        return await question

    def _leave(self, task: asyncio.Task[Any]) -> None:
        """Cancel it, and look at what becomes of it only so that nobody complains."""
        task.cancel()
        self._left.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()
