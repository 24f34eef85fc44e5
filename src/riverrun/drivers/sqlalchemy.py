"""SQLAlchemy's sessions and connections, and SQLModel's, which are the same.

Statements go through SQLAlchemy's own `Connection`: it begins the transaction if none is open, as it
would for the caller's own statement. Its asyncpg dialect begins one only then, so that whatever went
round it to the driver's connection would commit at once.

It is optional: import this module only for an object that is SQLAlchemy's.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError, UnboundExecutionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.util import await_only

from riverrun.drivers.dbapi_rows import plain_rows
from riverrun.drivers.foreign import ForeignConnection, ForeignSyncConnection, ParamStyle
from riverrun.drivers.statement import Row
from riverrun.model.errors import UnsupportedError

T = TypeVar("T")
SyncTransaction = Session | Connection
AsyncTransaction = AsyncSession | AsyncConnection

_STYLES: dict[str, ParamStyle] = {"asyncpg": "$", "psycopg": "%", "psycopg2": "%"}

# Said for each statement, since the caller's engine, session or connection may say something else.
_ONE = {"stream_results": False, "no_parameters": False}
_SEVERAL = {"stream_results": False, "no_parameters": True}


class SQLAlchemyForeign:
    """An `AsyncSession` or `AsyncConnection` on PostgreSQL as a `ForeignConnection`."""

    def __init__(self, tx: AsyncTransaction) -> None:
        self._tx = tx
        self.paramstyle: ParamStyle = _style(_dialect(tx))

    async def fetch(self, sql: str, params: Sequence[Any], /) -> Sequence[Row]:
        return await in_greenlet(self._tx, lambda tx: _fetch(tx, sql, params))

    async def execute(self, sql: str, /) -> None:
        await in_greenlet(self._tx, lambda tx: _execute(tx, sql))


class SQLAlchemySyncForeign:
    """The same for a `Session` or `Connection`."""

    def __init__(self, tx: SyncTransaction) -> None:
        self._tx = tx
        self.paramstyle: ParamStyle = _style(_dialect(tx))

    def fetch(self, sql: str, params: Sequence[Any], /) -> Sequence[Row]:
        return _fetch(self._tx, sql, params)

    def execute(self, sql: str, /) -> None:
        _execute(self._tx, sql)


def foreign_async(tx: object) -> ForeignConnection | None:
    """`tx` for the asynchronous client, None if it is nothing that executes statements."""
    ours = as_async(tx)
    if ours is not None:
        return SQLAlchemyForeign(ours)
    if as_sync(tx) is not None:
        raise UnsupportedError(
            f"`tx` is a synchronous SQLAlchemy {type(tx).__name__}, and this is the asynchronous"
            " client: use `SyncClient`, or give an AsyncSession or AsyncConnection"
        )
    return None


def foreign_sync(tx: object) -> ForeignSyncConnection | None:
    """`tx` for the synchronous client, None if it is nothing that executes statements."""
    ours = as_sync(tx)
    if ours is not None:
        return SQLAlchemySyncForeign(ours)
    if as_async(tx) is not None:
        raise UnsupportedError(
            f"`tx` is an asynchronous SQLAlchemy {type(tx).__name__}, and this is the synchronous"
            " client: use `Client`, or give a Session or Connection"
        )
    return None


def as_async(tx: object) -> AsyncTransaction | None:
    """`tx` if it is asynchronous; of a scoped session, the one of the current scope."""
    found: Any = cast("Any", tx)() if isinstance(tx, async_scoped_session) else tx
    return found if isinstance(found, AsyncSession | AsyncConnection) else None


def as_sync(tx: object) -> SyncTransaction | None:
    """`tx` if it is synchronous; of a scoped session, the one of the current scope."""
    found: Any = cast("Any", tx)() if isinstance(tx, scoped_session) else tx
    return found if isinstance(found, Session | Connection) else None


async def in_greenlet(tx: AsyncTransaction, work: Callable[[SyncTransaction], T]) -> T:
    """The result of `work` with the synchronous object that `tx` is made of."""
    if isinstance(tx, AsyncSession):
        return await tx.run_sync(work)
    return await tx.run_sync(work)


def driver_connection(tx: SyncTransaction) -> Any:
    """The driver's own connection, in a transaction that SQLAlchemy knows of. May connect."""
    with _drivers_errors():
        connection = _connection(tx)
        if not connection.in_transaction():
            connection.begin()
        return connection.connection.driver_connection


def _fetch(tx: SyncTransaction, sql: str, params: Sequence[Any]) -> Sequence[Row]:
    with _drivers_errors():
        result = _connection(tx).exec_driver_sql(sql, tuple(params), execution_options=_ONE)
        if not result.returns_rows:
            return ()
        description: Any = result.cursor and result.cursor.description
        return plain_rows(description, result.fetchall())


def _execute(tx: SyncTransaction, sql: str) -> None:
    with _drivers_errors():
        connection = _connection(tx)
        if connection.dialect.driver != "asyncpg":
            connection.exec_driver_sql(sql, execution_options=_SEVERAL)
            return
        # It prepares whatever it is given, so one statement at a time; but this begins a transaction.
        connection.exec_driver_sql("select 1", execution_options=_ONE)
        driver: Any = connection.connection.driver_connection
        await_only(driver.execute(sql))


def _connection(tx: SyncTransaction) -> Connection:
    return tx.connection() if isinstance(tx, Session) else tx


def _dialect(tx: SyncTransaction | AsyncTransaction) -> Dialect:
    if isinstance(tx, Connection | AsyncConnection):
        return tx.dialect
    try:
        return tx.get_bind().dialect
    except UnboundExecutionError as error:
        raise UnsupportedError(
            "the session given as `tx` has no engine of its own, or one for each model; give its"
            " connection: `session.connection(bind_arguments={...})`"
        ) from error


def _style(dialect: Dialect) -> ParamStyle:
    style = _STYLES.get(dialect.driver)
    if style is None:
        raise UnsupportedError(
            f"`tx` is SQLAlchemy's over {dialect.name}+{dialect.driver}, and this client is on"
            " PostgreSQL: its engine must use psycopg, psycopg2 or asyncpg"
        )
    return style


@contextmanager
def _drivers_errors() -> Generator[None]:
    """SQLAlchemy wraps what a driver raises, and for asyncpg puts classes of its own in between."""
    try:
        yield
    except DBAPIError as error:
        original = error.orig
        if original is None:
            raise
        is_adapted = type(original).__module__.startswith("sqlalchemy.")
        raise (is_adapted and original.__cause__) or original from None
