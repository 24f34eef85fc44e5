"""How jobs are rescued whose attempt will never be ended by whoever began it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from riverrun.drivers.operations.base import OperationGroup
from riverrun.drivers.operations.work_jobs import delay_seconds, encoded_error, runs_again
from riverrun.drivers.rows import JOB_WIDTH, job_reader, time_reader
from riverrun.drivers.statement import Row, Statement
from riverrun.model.job import JobRow, JobState
from riverrun.model.lifecycle import JobUpdate


class StuckJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that has been running since before `horizon`, as it was when it was read.

    `cancel_requested` is what stands in the metadata as the time of a request to cancel. `claimed_at`
    is the row's `attempted_at` as the database has it: a datetime, or text on SQLite.
    """

    row: JobRow
    horizon: datetime
    cancel_requested: str | None
    claimed_at: object


class Rescue(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become of a stuck job.

    With `gives_up_key` its unique key is no longer enforced in the state it ends in, since another
    job holds it by now.
    """

    job: StuckJob
    update: JobUpdate
    gives_up_key: bool = False


class JobRescues(OperationGroup):
    """Times are the database's, or `now` if it is given; ages are in seconds."""

    def get_stuck(
        self,
        *,
        age: float,
        horizon: datetime | None = None,
        after_id: int = 0,
        limit: int = 10_000,
        now: datetime | None = None,
    ) -> Statement[list[StuckJob]]:
        """The first `limit` jobs above `after_id` that were claimed before the horizon, by id.

        The horizon is `age` ago unless it is given: the first page tells what to give to the next.
        """
        return self._ask(
            "get_stuck_jobs",
            self._stuck_reader(),
            age=age,
            horizon=horizon,
            after_id=after_id,
            limit=limit,
            now=now,
        )

    def rescue(
        self, rescues: Sequence[Rescue], *, horizon: datetime, now: datetime | None = None
    ) -> Statement[list[tuple[int, JobState]]]:
        """Write what becomes of stuck jobs; the ids and states of those written.

        Not written is what has changed since it was read, and what somebody else has locked. Raises
        `UniqueConflictError`, and writes nothing, if the key of one is held by another job.
        """
        encoded = _as_arrays(rescues) if self._dialect.is_postgres else _as_json(rescues)
        return self._ask("rescue_jobs", _ids_and_states, horizon=horizon, now=now, **encoded)

    def _stuck_reader(self) -> Callable[[Sequence[Row]], list[StuckJob]]:
        read_row, read_time = job_reader(self._dialect), time_reader(self._dialect)
        claimed_at = _ATTEMPTED_AT if self._dialect.is_postgres else JOB_WIDTH + 2

        def read(row: Row) -> StuckJob:
            return StuckJob(
                row=read_row(row),
                horizon=read_time(row[JOB_WIDTH]),
                cancel_requested=row[JOB_WIDTH + 1],
                claimed_at=row[claimed_at],
            )

        return lambda rows: [read(row) for row in rows]


_ATTEMPTED_AT = 9


def _ids_and_states(rows: Sequence[Row]) -> list[tuple[int, JobState]]:
    return [(row[0], JobState(row[1])) for row in rows]


def _as_arrays(rescues: Sequence[Rescue]) -> dict[str, Any]:
    jobs = [rescue.job for rescue in rescues]
    updates = [rescue.update for rescue in rescues]
    return {
        "ids": [job.row.id for job in jobs],
        "attempts": [job.row.attempt for job in jobs],
        "claimed_ats": [job.claimed_at for job in jobs],
        "cancels": [job.cancel_requested for job in jobs],
        "states": [str(update.state) for update in updates],
        "agains": [runs_again(update) for update in updates],
        "delays": [delay_seconds(update.delay) for update in updates],
        "errors": [encoded_error(update) for update in updates],
        "gives_up_keys": [rescue.gives_up_key for rescue in rescues],
    }


def _as_json(rescues: Sequence[Rescue]) -> dict[str, Any]:
    objects = [
        {
            "id": rescue.job.row.id,
            "attempt": rescue.job.row.attempt,
            "claimed_at": rescue.job.claimed_at,
            "cancel_requested": rescue.job.cancel_requested,
            "state": rescue.update.state,
            "again": runs_again(rescue.update),
            "delay": delay_seconds(rescue.update.delay),
            "error": encoded_error(rescue.update),
            "gives_up_key": rescue.gives_up_key,
        }
        for rescue in rescues
    ]
    return {"items": msgspec.json.encode(objects).decode()}
