"""PostgreSQL on a caller's own psycopg 3 connection, asynchronous or not.

It is an optional dependency: import this module only for an object that is psycopg's.
"""

from collections.abc import Sequence
from typing import Any, TypeGuard

import psycopg
from psycopg.rows import tuple_row

from riverrun.drivers.dbapi_rows import plain_rows
from riverrun.drivers.foreign import (
    Adopted,
    AdoptedSync,
    ForeignConnection,
    ForeignSyncConnection,
    ParamStyle,
)
from riverrun.drivers.statement import Row
from riverrun.model.errors import UnsupportedError


class PsycopgForeign:
    """A psycopg `AsyncConnection` as a `ForeignConnection`.

    Each statement has a plain cursor of its own, so that neither the factories nor the results of the
    caller's cursors are in the way.
    """

    paramstyle: ParamStyle = "%"

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    async def fetch(self, sql: str, params: Sequence[Any], /) -> Sequence[Row]:
        async with psycopg.AsyncCursor(self._connection, row_factory=tuple_row) as cursor:
            await cursor.execute(sql.encode(), params)
            if cursor.description is None:
                return ()
            return plain_rows(cursor.description, await cursor.fetchall())

    async def execute(self, sql: str, /) -> None:
        async with psycopg.AsyncCursor(self._connection) as cursor:
            await cursor.execute(sql.encode())


class PsycopgSyncForeign:
    """The same for a psycopg `Connection`."""

    paramstyle: ParamStyle = "%"

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def fetch(self, sql: str, params: Sequence[Any], /) -> Sequence[Row]:
        with psycopg.Cursor(self._connection, row_factory=tuple_row) as cursor:
            cursor.execute(sql.encode(), params)
            if cursor.description is None:
                return ()
            return plain_rows(cursor.description, cursor.fetchall())

    def execute(self, sql: str, /) -> None:
        with psycopg.Cursor(self._connection) as cursor:
            cursor.execute(sql.encode())


class PsycopgConnection(Adopted):
    """A psycopg `AsyncConnection` as a `Connection` of ours."""

    def __init__(
        self, connection: psycopg.AsyncConnection[Any], *, schema: str | None = None
    ) -> None:
        super().__init__(PsycopgForeign(connection), schema)


class PsycopgSyncConnection(AdoptedSync):
    """A psycopg `Connection` as a `SyncConnection` of ours."""

    def __init__(self, connection: psycopg.Connection[Any], *, schema: str | None = None) -> None:
        super().__init__(PsycopgSyncForeign(connection), schema)


def foreign_async(tx: object) -> ForeignConnection | None:
    """`tx` for the asynchronous client, None if it is not psycopg's."""
    connection = _connection_of(tx)
    if _is_async(connection):
        return PsycopgForeign(connection)
    if _is_sync(connection):
        raise UnsupportedError(
            "`tx` is a synchronous psycopg connection, and this is the asynchronous client:"
            " use `SyncClient`, or give an AsyncConnection"
        )
    return None


def foreign_sync(tx: object) -> ForeignSyncConnection | None:
    """`tx` for the synchronous client, None if it is not psycopg's."""
    connection = _connection_of(tx)
    if _is_sync(connection):
        return PsycopgSyncForeign(connection)
    if _is_async(connection):
        raise UnsupportedError(
            "`tx` is an asynchronous psycopg connection, and this is the synchronous client:"
            " use `Client`, or give a Connection"
        )
    return None


def _connection_of(tx: object) -> object:
    """A cursor's connection: a statement of ours gets a cursor of its own."""
    return tx.connection if isinstance(tx, psycopg.AsyncCursor | psycopg.Cursor) else tx


def _is_async(tx: object) -> TypeGuard[psycopg.AsyncConnection[Any]]:
    return isinstance(tx, psycopg.AsyncConnection)


def _is_sync(tx: object) -> TypeGuard[psycopg.Connection[Any]]:
    return isinstance(tx, psycopg.Connection)
