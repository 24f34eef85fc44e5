"""Finds the jobs of a fetch that succeeded, but whose answer never came.

The connection broke, or the answer came too late: the jobs are `running` in our name, and nobody runs
them. So after a fetch that failed the database is asked, for a minute, what we have claimed since the
newest claim we know of, that moment included. What we have been told of is left out: a job that has
just ended may still be `running` until its outcome is written.

The moments compared are the database's own. Should its clock be set back, a lost claim may be missed
(and is rescued in the end), but no claim is taken for lost that is not.
"""

import math
import time
from collections.abc import Sequence
from datetime import datetime

from riverrun.model.job import JobRow
from riverrun.runtime.handle import DatabaseHandle

DOUBT_SECONDS = 60.0
"""Longer than a statement of which nothing is heard any more lives on in a server."""
LOOK_SECONDS = 5.0
FIRST_LOOK_SECONDS = 1.0


class LostClaims:
    """One for a producer; never asked while a fetch is under way."""

    def __init__(self, queue: str, client_id: str, db: DatabaseHandle) -> None:
        self._queue = queue
        self._client_id = client_id
        self._db = db
        self._newest: datetime | None = None
        self._of_newest: Sequence[JobRow] = ()
        self._since: datetime | None = None
        self._told: set[tuple[int, int]] = set()
        self._doubt_until = 0.0
        self._look_at = math.inf

    @property
    def in_doubt(self) -> bool:
        """Whether there may be lost claims."""
        return self._since is not None

    @property
    def pause(self) -> float:
        """Seconds until the next look is due; infinite where there is nothing to look for."""
        return max(0.0, self._look_at - time.monotonic())

    def begin(self, at: datetime) -> None:
        """Nothing has been claimed before `at`, a moment of the database's clock."""
        self._newest, self._of_newest = at, ()
        self._rest()

    def fetched(self, rows: Sequence[JobRow]) -> None:
        """A fetch was answered."""
        at = rows[0].attempted_at if rows else None
        if at is not None and (self._newest is None or at >= self._newest):
            self._of_newest = [*self._of_newest, *rows] if at == self._newest else rows
            self._newest = at
        if self.in_doubt:
            self._told.update(map(_claim, rows))

    def suspect(self) -> None:
        """A fetch failed, in whatever way."""
        now = time.monotonic()
        if self._since is None:
            self._since = self._newest
            self._told.update(map(_claim, self._of_newest))
        self._doubt_until = now + DOUBT_SECONDS
        self._look_at = min(self._look_at, now + FIRST_LOOK_SECONDS)

    async def find(self) -> list[JobRow]:
        """The jobs that nobody knows of; raises `DatabaseError`."""
        if self._since is None:
            return []
        self._look_at = time.monotonic() + LOOK_SECONDS
        claimed = self._db.operations.queues.claimed(
            self._queue, self._client_id, since=self._since
        )
        rows = await self._db.run(claimed)
        lost = [row for row in rows if _claim(row) not in self._told]
        self._told.update(map(_claim, lost))
        if time.monotonic() >= self._doubt_until:
            self._rest()
        return lost

    def _rest(self) -> None:
        self._since = None
        self._look_at = math.inf
        self._told.clear()


def _claim(row: JobRow) -> tuple[int, int]:
    return row.id, row.attempt
