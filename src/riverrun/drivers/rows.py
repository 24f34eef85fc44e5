"""How rows are read: from positions to fields, as cheaply as can be.

The order of a job's columns is that of `job_columns.sql`. PostgreSQL's times arrive as they are;
SQLite keeps them as text, which any River client may have written in a form of its own.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, TypeVar, cast

from riverrun.drivers.dialect import TIMES_KEPT, Dialect
from riverrun.drivers.statement import Row
from riverrun.model.attempt_error import ZERO_TIME
from riverrun.model.job import JobRow, JobState
from riverrun.model.queue import QueueRow

T = TypeVar("T")

JOB_WIDTH = 18
"""Columns of a job; what a statement returns besides stands behind them."""

_STATES = {state.value: state for state in JobState}
_PLAIN_LENGTH = len("2026-08-05 12:00:00.000")
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?"
    r" ?(?:Z|([+-])(\d\d):?(\d\d))?(?: [A-Z][A-Za-z]*| [+-]\d{2,4})?(?: m=\S+)?\Z",
    re.ASCII,
)


def job_reader(dialect: Dialect) -> Callable[[Row], JobRow]:
    """Reads one job, given its columns and perhaps more behind them."""
    return read_job if dialect.is_postgres else read_job_with_text_times


def queue_reader(dialect: Dialect) -> Callable[[Row], QueueRow]:
    """Reads one queue."""
    return _read_queue if dialect.is_postgres else _read_queue_with_text_times


def time_reader(dialect: Dialect) -> Callable[[Any], datetime]:
    """Reads one time that is there."""
    return _as_it_is if dialect.is_postgres else read_time


def all_rows(read: Callable[[Row], T]) -> Callable[[Sequence[Row]], list[T]]:
    """Reads every row with `read`."""
    return lambda rows: [read(row) for row in rows]


def first_row(read: Callable[[Row], T]) -> Callable[[Sequence[Row]], T | None]:
    """Reads the first row with `read`; None where there is none."""
    return lambda rows: read(rows[0]) if rows else None


def read_job(row: Row) -> JobRow:
    """A job whose times are times already."""
    return JobRow(row[0], _STATES[row[1]], *row[2:JOB_WIDTH])


def read_job_with_text_times(row: Row) -> JobRow:
    """A job whose times are text."""
    times = [None if time is None else read_time(time) for time in row[7:11]]
    return JobRow(row[0], _STATES[row[1]], *row[2:7], *times, *row[11:JOB_WIDTH])


@lru_cache(maxsize=TIMES_KEPT)
def read_time(text: Any) -> datetime:
    """A time as SQLite holds it; year 1 for what nobody can read, so that only that field suffers.

    Jobs that come together mostly have their times in common.
    """
    try:
        if len(text) == _PLAIN_LENGTH:
            return datetime.fromisoformat(text + "+00:00")
        return _read_odd_time(text)
    except (TypeError, ValueError, OverflowError):
        return ZERO_TIME


def _read_odd_time(text: str) -> datetime:
    """Any form that a River client has ever written, Go's `Time.String()` included."""
    match = _TIME.match(text)
    if match is None:
        return ZERO_TIME
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    microsecond = int((match[7] or "").ljust(6, "0")[:6])
    zone = _zone(match[8], match[9], match[10])
    local = datetime(year, month, day, hour, minute, second, microsecond, zone)
    return local.astimezone(UTC)


def _zone(sign: str | None, hours: str, minutes: str) -> timezone:
    if sign is None:
        return UTC
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if sign == "-" else offset)


def _as_it_is(time: Any) -> datetime:
    return cast("datetime", time)


def _read_queue(row: Row) -> QueueRow:
    name, created_at, updated_at, paused_at, metadata = row
    return QueueRow(
        name=name,
        created_at=created_at,
        updated_at=updated_at,
        paused_at=paused_at,
        encoded_metadata=metadata,
    )


def _read_queue_with_text_times(row: Row) -> QueueRow:
    name, created_at, updated_at, paused_at, metadata = row
    paused = None if paused_at is None else read_time(paused_at)
    return _read_queue((name, read_time(created_at), read_time(updated_at), paused, metadata))
