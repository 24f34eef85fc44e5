"""PostgreSQL on a caller's own psycopg2 connection, for the synchronous client.

It is optional: import this module only for an object that is psycopg2's.
"""

from collections.abc import Sequence
from datetime import timezone
from typing import Any

import psycopg2.extensions  # type: ignore[import-untyped]

from riverrun.drivers.dbapi_rows import plain_rows
from riverrun.drivers.foreign import ForeignConnection, ForeignSyncConnection, ParamStyle
from riverrun.drivers.statement import Row
from riverrun.model.errors import UnsupportedError

# psycopg2 comes without types.
_driver: Any = psycopg2.extensions


class Psycopg2Foreign:
    """A psycopg2 connection as a `ForeignSyncConnection`.

    Each statement has a plain cursor of its own, whatever the connection's `cursor_factory`.
    """

    paramstyle: ParamStyle = "%"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def fetch(self, sql: str, params: Sequence[Any], /) -> Sequence[Row]:
        with self._connection.cursor(cursor_factory=_driver.cursor) as cursor:
            cursor.tzinfo_factory = timezone
            cursor.execute(sql, tuple(params))
            if cursor.description is None:
                return ()
            return plain_rows(cursor.description, cursor.fetchall())

    def execute(self, sql: str, /) -> None:
        with self._connection.cursor(cursor_factory=_driver.cursor) as cursor:
            cursor.execute(sql)


def foreign_sync(tx: object) -> ForeignSyncConnection | None:
    """`tx` for the synchronous client, None if it is no connection or cursor."""
    given: Any = tx
    connection = given.connection if isinstance(tx, _driver.cursor) else given
    return Psycopg2Foreign(connection) if isinstance(connection, _driver.connection) else None


def foreign_async(tx: object) -> ForeignConnection | None:
    """Raises `UnsupportedError` for what `foreign_sync` takes; None for all else."""
    if foreign_sync(tx) is None:
        return None
    raise UnsupportedError(
        "`tx` is a psycopg2 connection, which is synchronous, and this is the asynchronous client:"
        " use `SyncClient`"
    )
