"""SQLite on a caller's own aiosqlite connection, or SQLAlchemy's over one.

Statements run on aiosqlite's own thread, in the order in which everybody's come in.

It is optional: import this module only for an object that is aiosqlite's or SQLAlchemy's.
"""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import aiosqlite

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.foreign import library_of
from riverrun.drivers.sqlite_lent import LentErrors, refusal
from riverrun.drivers.sqlite_library import (
    SQLiteLibrary,
    begins_implicitly,
    is_hidden_write,
    plain_values,
    split_statements,
)
from riverrun.drivers.statement import Statement
from riverrun.model.errors import UnsupportedError

T = TypeVar("T")


class AiosqliteConnection:
    """A lent `Connection`: `tx` is aiosqlite's connection, or something of SQLAlchemy's that has one."""

    def __init__(self, tx: object, library: SQLiteLibrary, dialect: Dialect, path: str) -> None:
        self._tx = tx
        self._library = library
        self._errors = LentErrors(library, path)
        self.dialect = dialect

    async def run(self, statement: Statement[T], /) -> T:
        connection = await self._connection()
        with self._errors.translated(statement.name):
            rows = await _execute(connection, statement)
        return statement.read(rows)

    async def _connection(self) -> aiosqlite.Connection:
        connection = await _below(self._tx)
        # Which of the SQLite libraries it uses shows only in the connection below.
        below: Any = connection._conn  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if self._library.lend(below) is None:
            raise refusal(below, self._library)
        return connection


async def _below(tx: object) -> aiosqlite.Connection:
    if isinstance(tx, aiosqlite.Connection):
        return tx
    from riverrun.drivers import sqlalchemy  # noqa: PLC0415

    found = sqlalchemy.as_async(tx)
    assert found is not None, "adopted as one"  # noqa: S101
    connection = await sqlalchemy.in_greenlet(found, sqlalchemy.driver_connection)
    if library_of(connection, ("aiosqlite",)) is None:
        raise UnsupportedError(
            f"`tx` is a {type(tx).__name__} whose driver is not aiosqlite, and this client is on SQLite"
        )
    return cast("aiosqlite.Connection", connection)


async def _execute(
    connection: aiosqlite.Connection, statement: Statement[Any]
) -> list[tuple[Any, ...]]:
    statement.check()
    if not statement.several:
        return await _fetch(connection, statement.sql, statement.params)
    for part in split_statements(statement.sql):
        await _fetch(connection, part, ())
    return []


async def _fetch(
    connection: aiosqlite.Connection, sql: str, params: Sequence[Any]
) -> list[tuple[Any, ...]]:
    """The rows, as tuples whatever the connection makes of its own."""
    below: Any = connection._conn  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    if is_hidden_write(sql) and not connection.in_transaction and begins_implicitly(below):
        await connection.execute("begin")
    async with connection.cursor() as cursor:
        cursor.row_factory = None
        await cursor.execute(sql, tuple(params))
        return [plain_values(row) for row in await cursor.fetchall()]
