"""How jobs are worked: claimed by a client, and ended by whoever claimed them.

Every write about an attempt is fenced by (`id`, `attempt`, `attempted_at`): it has no effect once the
job has been claimed anew, by whomever.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

import msgspec

from riverrun.drivers.dialect import sqlite_time
from riverrun.drivers.operations.base import OperationGroup, Read, first_values
from riverrun.drivers.rows import all_rows, job_reader, time_reader
from riverrun.drivers.statement import Row, Script, Statement
from riverrun.model.errors import DatabaseDataError
from riverrun.model.job import FINALIZED_STATES, JobRow
from riverrun.model.lifecycle import JobUpdate

TIMEOUT = 10.0
"""Seconds for a statement of the worker, as in River."""

MAX_FINISHES = 5000
"""Attempts in one statement at most."""

MAX_DELAY = timedelta(seconds=9223372036)
"""Longer delays are cut to what Go can express, 292 years, which every database can add to a date."""

Fence = tuple[int, int, datetime]
"""The id of a job, and the number and time of an attempt at it."""


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written about the attempt number `attempt`, begun at `attempted_at`."""

    id: int
    attempt: int
    attempted_at: datetime
    update: JobUpdate


class ScheduledJob(msgspec.Struct, frozen=True):
    """A job that has become available, or was `discarded` since another one holds its unique key.

    `due` says that it may run now; others were made available a little early.
    """

    id: int
    queue: str
    due: bool
    discarded: bool


class JobWork(OperationGroup):
    """Times are the database's, or `now` if it is given."""

    def fetch(
        self,
        queue: str,
        *,
        limit: int,
        client_id: str,
        kinds: Sequence[str] | None = None,
        now: datetime | None = None,
    ) -> Statement[list[JobRow]]:
        """Claim up to `limit` due jobs, the most urgent first; none of a paused queue.

        Only jobs of `kinds` if they are given: an empty list means none at all.
        """
        return self._ask(
            "fetch_jobs",
            self._most_urgent_first,
            timeout=TIMEOUT,
            queue=queue,
            limit=limit,
            client_id=client_id,
            kinds=self._list(kinds),
            now=now,
        )

    def complete(
        self, fences: Sequence[Fence], *, tell: bool = True, now: datetime | None = None
    ) -> Statement[list[tuple[int, datetime]]]:
        """End attempts as completed, with nothing else to write; the ids and times of those written.

        Of two attempts at one job give only the newer. Without `tell` the answer is empty, which
        spares the database and us a row for each.
        """
        read_time = time_reader(self._dialect)

        def read(rows: Sequence[Row]) -> list[tuple[int, datetime]]:
            return [(row[0], read_time(row[1])) for row in rows]

        return self._ask(
            "complete_jobs", read, timeout=TIMEOUT, silent=not tell, now=now, **self._fences(fences)
        )

    def finish(
        self, items: Sequence[Finish], *, now: datetime | None = None
    ) -> Script[list[JobRow]]:
        """End any number of attempts in any way; the rows that are still theirs, as they are now.

        A row that somebody else has ended meanwhile takes the metadata and nothing else.
        """
        rows: list[JobRow] = []
        for start in range(0, len(items), MAX_FINISHES):
            rows += yield self.finish_many(items[start : start + MAX_FINISHES], now=now)
        return rows

    def finish_many(
        self, items: Sequence[Finish], *, now: datetime | None = None
    ) -> Statement[list[JobRow]]:
        """`finish` in one statement, for at most `MAX_FINISHES` attempts."""
        in_order = sorted(items, key=lambda item: item.id)
        encoded = _finish_arrays(in_order) if self._dialect.is_postgres else _finish_json(in_order)
        read = all_rows(job_reader(self._dialect))
        return self._ask("finish_jobs", read, timeout=TIMEOUT, now=now, **encoded)

    def schedule(
        self, limit: int, *, look_ahead: float = 5.0, now: datetime | None = None
    ) -> Script[list[ScheduledJob]]:
        """Make up to `limit` jobs available that are due within `look_ahead` seconds."""
        jobs: list[ScheduledJob] = yield self._ask(
            "schedule_jobs", _read_scheduled, limit=limit, look_ahead=look_ahead, now=now
        )
        return jobs

    def lock(self, ids: Sequence[int]) -> Statement[set[int]]:
        """Lock those of the jobs that nobody else has locked; the ids of those somebody has.

        It waits for nobody, and the locks last as long as the transaction. SQLite locks no rows.
        """
        return self._ask("lock_jobs", _ids, timeout=TIMEOUT, ids=self._list(ids))

    def cancel_requested(self, ids: Sequence[int]) -> Statement[list[int]]:
        """Those of the jobs that are running and are to be cancelled, by id."""
        return self._ask(
            "get_cancel_requested_jobs", first_values, timeout=TIMEOUT, ids=self._list(ids)
        )

    @property
    def _most_urgent_first(self) -> Read[list[JobRow]]:
        """The database gives claimed rows in no order."""
        read_job = job_reader(self._dialect)

        def read(rows: Sequence[Row]) -> list[JobRow]:
            return sorted([read_job(row) for row in rows], key=_urgency)

        return read

    def _fences(self, fences: Sequence[Fence]) -> dict[str, Any]:
        if not self._dialect.is_postgres:
            return {"claims": msgspec.json.encode([_fence_object(*f) for f in fences]).decode()}
        return {
            "ids": [job_id for job_id, _, _ in fences],
            "attempts": list({attempt for _, attempt, _ in fences}),
            "attempted_ats": list({at for _, _, at in fences}),
        }


_urgency = attrgetter("priority", "scheduled_at", "id")


def _ids(rows: Sequence[Row]) -> set[int]:
    return {row[0] for row in rows}


def _fence_object(job_id: int, attempt: int, at: datetime) -> dict[str, Any]:
    return {"id": job_id, "attempt": attempt, "attempted_at": sqlite_time(at)}


def _finish_json(items: Sequence[Finish]) -> dict[str, Any]:
    objects = [
        {
            **_fence_object(item.id, item.attempt, item.attempted_at),
            "state": item.update.state,
            "again": runs_again(item.update),
            "new_attempt": item.update.attempt,
            "delay": delay_seconds(item.update.delay),
            "error": encoded_error(item.update),
            "patch": _patch(item.update),
        }
        for item in items
    ]
    return {"items": msgspec.json.encode(objects).decode()}


def _finish_arrays(items: Sequence[Finish]) -> dict[str, Any]:
    updates = [item.update for item in items]
    return {
        "ids": [item.id for item in items],
        "attempts": [item.attempt for item in items],
        "attempted_ats": [item.attempted_at for item in items],
        "states": [str(update.state) for update in updates],
        "agains": [runs_again(update) for update in updates],
        "new_attempts": [update.attempt for update in updates],
        "delays": [delay_seconds(update.delay) for update in updates],
        "errors": [encoded_error(update) for update in updates],
        "patches": [_patch(update) for update in updates],
    }


def runs_again(update: JobUpdate) -> bool:
    """Whether the job would run again, which a pending cancel prevents."""
    return update.state not in FINALIZED_STATES


def delay_seconds(delay: timedelta | None) -> float | None:
    """As statements take it: in seconds, and no longer than they can add to a date."""
    return None if delay is None else min(delay, MAX_DELAY).total_seconds()


def encoded_error(update: JobUpdate) -> str | None:
    """The element for the `errors` column, as JSON text."""
    return None if update.error is None else update.error.encode()


def _patch(update: JobUpdate) -> str | None:
    """As text; raises what the database would raise if the text came so far."""
    if not update.metadata:
        return None
    try:
        return msgspec.json.encode(update.metadata).decode()
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DatabaseDataError(f"metadata cannot be written as JSON: {error}") from error


def _read_scheduled(rows: Sequence[Row]) -> list[ScheduledJob]:
    return [
        ScheduledJob(job_id, queue, bool(due), bool(discarded))
        for job_id, queue, due, discarded in rows
    ]
