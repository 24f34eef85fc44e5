"""When each periodic job with an id is due next, in the table of our own line.

A time is *moved* only by whoever still finds the one that it expects, so that of any number of clients
that have come to one tick exactly one gets on.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from riverrun.drivers.dialect import sqlite_time
from riverrun.drivers.operations.base import OperationGroup, first_value, first_values
from riverrun.drivers.rows import time_reader
from riverrun.drivers.statement import Row, Statement
from riverrun.model.periodic import DurablePeriodicJob

Jobs = list[DurablePeriodicJob]
Ids = list[str]


class Move(NamedTuple):
    """One job's step from the time that it is expected to have to the next."""

    id: str
    expected: datetime
    next_run_at: datetime


class PeriodicJobOperations(OperationGroup):
    """SQLite keeps milliseconds, so there a time is rounded up: next after it is then really later."""

    def has_table(self) -> Statement[bool]:
        """Whether our own line of migrations has been applied."""
        return self._ask("has_periodic_table", lambda rows: bool(first_value(rows)))

    def list(self) -> Statement[Jobs]:
        """All of them, by id."""
        return self._ask("list_periodic_jobs", self._read)

    def register(
        self, next_runs: Mapping[str, datetime], *, now: datetime | None = None
    ) -> Statement[Jobs]:
        """Keep these jobs alive, put those on record that are not yet, and read them all."""
        items = [{"id": id_, "next_run_at": at} for id_, at in next_runs.items()]
        return self._ask(
            "register_periodic_jobs",
            self._read,
            ids=[*next_runs],
            next_runs=[*next_runs.values()],
            jobs=self._encoded(items),
            now=now,
        )

    def move(self, moves: Sequence[Move], *, now: datetime | None = None) -> Statement[Ids]:
        """Move on each job that has the time it is expected to have; the ids of those."""
        return self._ask(
            "move_periodic_jobs",
            first_values,
            ids=[move.id for move in moves],
            expected=[move.expected for move in moves],
            next_runs=[move.next_run_at for move in moves],
            moves=self._encoded([move._asdict() for move in moves]),
            now=now,
        )

    def delete_expired(self, age: float, *, now: datetime | None = None) -> Statement[Ids]:
        """Delete those that nobody has kept alive for `age` seconds; their ids."""
        return self._ask("delete_expired_periodic_jobs", first_values, age=age, now=now)

    def _encoded(self, items: Sequence[Mapping[str, Any]]) -> Any:
        """Rows for SQLite, with times as it keeps them."""
        if self._dialect.is_postgres:
            return None
        return self._list(
            [
                {k: _rounded_up(v) if isinstance(v, datetime) else v for k, v in item.items()}
                for item in items
            ]
        )

    def _read(self, rows: Sequence[Row]) -> Jobs:
        time = time_reader(self._dialect)
        return [
            DurablePeriodicJob(
                id=row[0],
                created_at=time(row[1]),
                next_run_at=time(row[2]),
                updated_at=time(row[3]),
            )
            for row in rows
        ]


def _rounded_up(time: datetime) -> str:
    return sqlite_time(time + timedelta(microseconds=-time.microsecond % 1000))
