"""What only tests ask of a database: to claim one job whatever its state, and what is due next.

They stand here and not with the other statements, since no client ever sends them.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from riverrun.drivers.dialect import Bound, Dialect
from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.base import Read, first_value
from riverrun.drivers.rows import first_row, job_reader, time_reader
from riverrun.drivers.statement import Row, Script, Statement
from riverrun.model.errors import NotFoundError
from riverrun.model.job import JobRow

MAX_ATTEMPTED_BY = 100
"""Clients that a row remembers; River's number."""

_NOW = {
    True: "coalesce(:now::timestamptz, now())",
    False: "coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now'))",
}
_NAMES = {
    True: ":names::text[]",
    False: "jsonb(:names)",
}
_OF_KINDS = {
    True: "kind = any(:kinds::text[])",
    False: "kind in (select value from json_each(:kinds))",
}
"""By whether the database is PostgreSQL."""

_CLAIM = """\
update /*schema*/river_job
set
    state = 'running',
    attempt = attempt + 1,
    attempted_at = {now},
    attempted_by = {names},
    finalized_at = null
where id = :id
returning /*job*/ *"""

_NEXT_DUE_QUEUE = """\
select queue
from /*schema*/river_job
where state = 'available'
    and scheduled_at <= {now}
    and {of_kinds}
    and not exists (
        select 1
        from /*schema*/river_queue
        where name = river_job.queue and paused_at is not null
    )
order by priority, scheduled_at, id
limit 1"""

_NEXT_TIME = """\
select min(scheduled_at)
from /*schema*/river_job
where state in ('available', 'retryable', 'scheduled') and scheduled_at > {now}"""

_PARAMETER = re.compile(r"(?<![:\w]):([a-z]+)")


def claim(dialect: Dialect, job_id: int, client_id: str, now: datetime | None) -> Script[JobRow]:
    """Begin an attempt at a job in whatever state it is; raises `NotFoundError`."""
    row: JobRow | None = yield Operations(dialect).jobs.get(job_id)
    if row is None:
        raise NotFoundError(f"job {job_id} does not exist")
    names = [*row.attempted_by, client_id][-MAX_ATTEMPTED_BY:]
    read = first_row(job_reader(dialect))
    values = {"id": job_id, "names": _list(dialect, names), "now": now}
    claimed: JobRow = yield _statement(dialect, "claim_job", _CLAIM, read, values)
    return claimed


def next_due_queue(
    dialect: Dialect, now: datetime | None, kinds: Sequence[str] | None = None
) -> Statement[str | None]:
    """The queue of the most urgent job that can be fetched now; None if there is none.

    Only jobs of `kinds` count, if they are given.
    """
    values = {"now": now, "kinds": None if kinds is None else _list(dialect, kinds)}
    return _statement(dialect, "next_due_queue", _NEXT_DUE_QUEUE, first_value, values)


def next_time(dialect: Dialect, after: datetime) -> Statement[datetime | None]:
    """When, after `after`, the next job is due that waits for its time; None if none waits."""
    read_time = time_reader(dialect)

    def read(rows: Sequence[Row]) -> datetime | None:
        return None if rows[0][0] is None else read_time(rows[0][0])

    return _statement(dialect, "next_time", _NEXT_TIME, read, {"now": after})


def _statement(
    dialect: Dialect, name: str, template: str, read: Read[Any], values: dict[str, Any]
) -> Statement[Any]:
    """The template in the words of the dialect, with a parameter wherever a value's name stands."""
    postgres = dialect.is_postgres
    of_kinds = "true" if values.get("kinds") is None else _OF_KINDS[postgres]
    text = template.format(now=_NOW[postgres], names=_NAMES[postgres], of_kinds=of_kinds)
    pieces: list[str | Bound] = []
    for place, part in enumerate(_PARAMETER.split(text)):
        pieces.append(Bound(values[part]) if place % 2 else part)
    sql, params = dialect.build(pieces)
    return Statement(name, sql, params, read)


def _list(dialect: Dialect, values: Sequence[str]) -> Any:
    return list(values) if dialect.is_postgres else msgspec.json.encode(values).decode()
