"""What only tests ask of a database: to claim one job whatever its state, and which is due next."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from riverrun.drivers.dialect import Bound, Dialect
from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.base import first_value
from riverrun.drivers.rows import first_row, job_reader, time_reader
from riverrun.drivers.statement import Row, Script, Statement
from riverrun.model.errors import NotFoundError
from riverrun.model.job import JobRow

MAX_ATTEMPTED_BY = 100
"""Clients that a row remembers; River's number."""

Pieces = list[str | Bound]


def claim(dialect: Dialect, job_id: int, client_id: str, now: datetime | None) -> Script[JobRow]:
    """Begin an attempt at a job in whatever state it is; raises `NotFoundError`."""
    row: JobRow | None = yield Operations(dialect).jobs.get(job_id)
    if row is None:
        raise NotFoundError(f"job {job_id} does not exist")
    claimed: JobRow = yield _claim(dialect, row, client_id, now)
    return claimed


def next_due_queue(
    dialect: Dialect, now: datetime | None, kinds: Sequence[str] | None = None
) -> Statement[str | None]:
    """The queue of the most urgent job that can be fetched now; None if there is none.

    Only jobs of `kinds` count, if they are given.
    """
    pieces: Pieces = [
        "select queue\nfrom /*schema*/river_job\nwhere state = 'available'\n    and scheduled_at <= ",
        *_time(dialect, now),
        "\n    and not exists (\n        select 1\n        from /*schema*/river_queue\n"
        "        where name = river_job.queue and paused_at is not null\n    )\n",
        *_of_kinds(dialect, kinds),
        "order by priority, scheduled_at, id\nlimit 1",
    ]
    return Statement("next_due_queue", *dialect.build(pieces), first_value)


def next_time(dialect: Dialect, after: datetime) -> Statement[datetime | None]:
    """When, after `after`, the next job is due that waits for its time; None if none waits."""
    read_time = time_reader(dialect)

    def read(rows: Sequence[Row]) -> datetime | None:
        return None if rows[0][0] is None else read_time(rows[0][0])

    pieces: Pieces = [
        "select min(scheduled_at)\nfrom /*schema*/river_job\n"
        "where state in ('available', 'retryable', 'scheduled')\n    and scheduled_at > ",
        *_time(dialect, after),
    ]
    return Statement("next_time", *dialect.build(pieces), read)


def _claim(
    dialect: Dialect, row: JobRow, client_id: str, now: datetime | None
) -> Statement[JobRow | None]:
    attempted_by = [*row.attempted_by, client_id][-MAX_ATTEMPTED_BY:]
    pieces: Pieces = [
        "update /*schema*/river_job\nset\n    state = 'running',\n    attempt = ",
        *_cast(dialect, row.attempt + 1, "smallint"),
        ",\n    attempted_at = ",
        *_time(dialect, now),
        ",\n    attempted_by = ",
        *_list(dialect, attempted_by),
        ",\n    finalized_at = null\nwhere id = ",
        *_cast(dialect, row.id, "bigint"),
        "\nreturning /*job*/ *",
    ]
    return Statement("claim_job", *dialect.build(pieces), first_row(job_reader(dialect)))


def _time(dialect: Dialect, now: datetime | None) -> Pieces:
    if dialect.is_postgres:
        return ["coalesce(", Bound(now), "::timestamptz, now())"]
    return ["coalesce(", Bound(now), ", strftime('%Y-%m-%d %H:%M:%f', 'now'))"]


def _cast(dialect: Dialect, value: Any, type_: str) -> Pieces:
    return [Bound(value), f"::{type_}" if dialect.is_postgres else ""]


def _list(dialect: Dialect, values: Sequence[str]) -> Pieces:
    if dialect.is_postgres:
        return [Bound(list(values)), "::text[]"]
    return ["jsonb(", Bound(msgspec.json.encode(values).decode()), ")"]


def _of_kinds(dialect: Dialect, kinds: Sequence[str] | None) -> Pieces:
    if kinds is None:
        return []
    if dialect.is_postgres:
        return ["    and kind = any(", *_list(dialect, kinds), ")\n"]
    return [
        "    and kind in (select value from json_each(", *_list(dialect, kinds), "))\n",
    ]  # fmt: skip
