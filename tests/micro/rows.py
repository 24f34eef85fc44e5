"""Rows as they come from a claim, and the args that are in them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from riverrun.drivers.dialect import Dialect, sqlite_time
from riverrun.drivers.rows import job_reader
from riverrun.model.job import JobRow

NOW = datetime(2030, 1, 1, 12, 30, tzinfo=UTC)
BATCH = 1000


@dataclass(frozen=True)
class Data:
    kind: ClassVar[str] = "micro_dataclass"
    num: int = 1
    to: str = "somebody@example.com"


class Record(msgspec.Struct, frozen=True):
    kind: ClassVar[str] = "micro_struct"
    num: int = 1
    to: str = "somebody@example.com"


def postgres_row(number: int = 1, kind: str = Record.kind) -> tuple[Any, ...]:
    """The columns of a claimed job, in the order of `job_columns.sql`."""
    args = '{"num":1,"to":"somebody@example.com"}'
    times = (NOW, NOW, NOW, None)
    texts = (args, None, None, None, '["me"]')
    return (number, "running", kind, "default", 1, 1, 25, *times, *texts, None, None)


def sqlite_row() -> tuple[Any, ...]:
    """The same with times that are text."""
    return tuple(
        sqlite_time(value) if isinstance(value, datetime) else value for value in postgres_row()
    )


def claimed(kind: str = Record.kind) -> list[JobRow]:
    """A full fetch."""
    read = job_reader(Dialect("postgres", "$"))
    return [read(postgres_row(number, kind)) for number in range(BATCH)]
