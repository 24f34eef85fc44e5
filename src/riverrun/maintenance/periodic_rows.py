"""The rows by which every tick of a periodic job with an id happens once, whoever leads.

A row says when its job is due next. It is made from the schedule when a leader first has the job, and
after that it is the only one to say: the next leader goes by it, so that no tick is lost or done again
in between. The transaction that inserts a job moves the row on from the time of that very tick, and is
fenced. So of two clients that both have come to a tick, one finds the row moved and rolls back.

Rows are kept alive by whoever leads, and forgotten a day after the last leader had the job. Without the
table (River made the database, or our own line of migrations was not applied) the times are those of
the term, as in River.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from random import random as _random
from typing import TypeVar

from riverrun.drivers.operations.periodic_jobs import Move
from riverrun.drivers.statement import Script
from riverrun.maintenance.periodic_agenda import Agenda
from riverrun.model.errors import LeadershipLostError
from riverrun.model.periodic import DurablePeriodicJob
from riverrun.runtime.backoff import backoff
from riverrun.runtime.handle import DatabaseHandle

logger = logging.getLogger("riverrun.maintenance")

T = TypeVar("T")

KEEP_ALIVE_EVERY = 600.0
FORGET_AFTER = 86400.0
LONGEST_RETRY = 4.0
"""All in seconds."""


class TickTakenError(Exception):
    """Other clients have done ticks that we were about to do; those that we could have moved are `ids`."""

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(ids)
        self.ids = frozenset(ids)


class PeriodicRows:
    """What is asked of the rows during one term, for the jobs on `agenda`."""

    def __init__(
        self, db: DatabaseHandle, agenda: Agenda, *, random: Callable[[], float] = _random
    ) -> None:
        self._db = db
        self._agenda = agenda
        self._draw = random
        self._due = float("-inf")
        self._failures = 0
        self._has_told = False

    async def keep(self) -> None:
        """Read the rows of the agenda's jobs when there are new ones, and now and then to keep them.

        What fails is logged and tried again; until then jobs wait whose rows are not known.
        """
        if self.pause() > 0:
            return
        first_times = self._agenda.first_times(self._db.clock.now())
        try:
            rows = await self._db.fenced(self._register(first_times)) if first_times else {}
        except LeadershipLostError:
            raise
        except Exception as error:  # noqa: BLE001 - the other jobs go on
            self._failed(error)
            return
        self._failures = 0
        self._due = self._db.clock.monotonic() + KEEP_ALIVE_EVERY
        self._agenda.registered(rows, self._db.clock.now())
        self._tell(rows)

    def pause(self) -> float:
        """Seconds until `keep` has to be called again."""
        if self._agenda.unregistered() and not self._failures:
            return 0.0
        return max(self._due - self._db.clock.monotonic(), 0.0)

    def look_again(self) -> None:
        """Have `keep` look whether the table is there."""
        self._due = float("-inf")

    def moving(self, moves: Sequence[Move], insert: Script[T]) -> Script[T]:
        """The script of an insert, if it is ours to do: raises `TickTakenError` to roll it back."""
        if moves:
            moved = yield self._db.operations.periodic_jobs.move(moves, now=self._db.now)
            if len(moved) < len(moves):
                raise TickTakenError(moved)
        return (yield from insert)

    def _register(self, first_times: Mapping[str, datetime]) -> Script[dict[str, datetime] | None]:
        jobs, now = self._db.operations.periodic_jobs, self._db.now
        if not (yield jobs.has_table()):
            return None
        rows: list[DurablePeriodicJob] = yield jobs.register(first_times, now=now)
        yield jobs.delete_expired(FORGET_AFTER, now=now)
        return {row.id: row.next_run_at for row in rows}

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        pause = backoff(self._failures, reset=None, cap=LONGEST_RETRY, random=self._draw)
        self._due = self._db.clock.monotonic() + pause
        logger.error(
            "periodic jobs: their next times could not be read, number %d in a row, next in %.1f s: "
            "%s: %s",
            self._failures, pause, type(error).__name__, error,
            exc_info=error if self._failures == 1 else None,
        )  # fmt: skip

    def _tell(self, rows: Mapping[str, datetime] | None) -> None:
        if rows is None and not self._has_told:
            self._has_told = True
            logger.info(
                "periodic jobs: next times are not kept from one leader to the next, since table "
                "riverrun_periodic_job is missing; run `riverrun migrate-up` for that every tick "
                "happens once"
            )


async def durable_jobs(db: DatabaseHandle) -> list[DurablePeriodicJob]:
    """All rows; none without the table."""
    if not await db.run(db.operations.periodic_jobs.has_table()):
        return []
    return await db.run(db.operations.periodic_jobs.list())
