"""Rows of PostgreSQL drivers that follow Python's DB-API, as asyncpg would give them.

Such a driver gives times in the time zone of the caller's session, and psycopg2 gives bytes as
memoryviews; which columns are meant, the cursor's description says.
"""

from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any

from riverrun.drivers.statement import Row


def _in_utc(value: Any) -> Any:
    return value.astimezone(UTC)


_CONVERSIONS: dict[int, Callable[[Any], Any]] = {17: bytes, 1184: _in_utc}
"""By PostgreSQL's numbers of the types, bytea and timestamptz, which never change."""


def plain_rows(description: Sequence[Sequence[Any]], rows: Sequence[Row]) -> Sequence[Row]:
    """`rows`, whose columns `description` describes, with times in UTC and bytes as bytes."""
    changes = [
        (place, _CONVERSIONS[column[1]])
        for place, column in enumerate(description)
        if column[1] in _CONVERSIONS
    ]
    if not changes:
        return rows
    changed = [list(row) for row in rows]
    for row in changed:
        for place, convert in changes:
            if row[place] is not None:
                row[place] = convert(row[place])
    return changed
