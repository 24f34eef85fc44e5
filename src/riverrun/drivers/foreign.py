"""Connections that belong to somebody else, and what riverrun needs of them.

A caller's own connection joins our statements to the caller's transaction. It needs two methods and
one attribute, so a library that is not known here can be lent with a few lines:

    class Lent:
        paramstyle = "%"

        async def fetch(self, sql, params):
            cursor = await self._their_cursor.execute(sql, params)
            return await cursor.fetchall() if cursor.description else []

        async def execute(self, sql):
            await self._their_cursor.execute(sql)

We begin, commit, roll back and close nothing, and set no savepoints.
"""

import asyncio
from collections.abc import Collection, Sequence
from importlib import import_module
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from riverrun.drivers.dialect import Dialect, ServerFacts
from riverrun.drivers.postgres_errors import timed_out, translate
from riverrun.drivers.statement import Connection, Row, Statement, SyncConnection
from riverrun.model.errors import RiverError, UnsupportedError

T = TypeVar("T")
ParamStyle = Literal["$", "%"]

_LIBRARIES = ("django", "psycopg", "psycopg2", "sqlalchemy")
"""Each has a module of this name beside this one."""

_ASYNC = (
    "an asyncpg connection, a psycopg AsyncConnection or AsyncCursor, a SQLAlchemy or SQLModel"
    " AsyncSession or AsyncConnection, or any object that, like a `ForeignConnection`, has"
    " `paramstyle`, `async fetch(sql, params)` and `async execute(sql)`"
)
_SYNC = (
    "a psycopg Connection or Cursor, a psycopg2 connection or cursor, a SQLAlchemy or SQLModel Session"
    " or Connection, a database connection of Django's, or any object that, like a"
    " `ForeignSyncConnection`, has `paramstyle`, `fetch(sql, params)` and `execute(sql)`"
)


@runtime_checkable
class ForeignConnection(Protocol):
    """An open PostgreSQL connection of another library, for the asynchronous client."""

    @property
    def paramstyle(self) -> ParamStyle:
        """How the library writes parameters: `$` for `$1`, `%` for `%s`."""
        ...

    async def fetch(self, sql: str, params: Sequence[Any], /) -> Sequence[Row]:
        """Run one statement; the rows as sequences, none where it answers nothing."""
        ...

    async def execute(self, sql: str, /) -> object:
        """Run any number of statements that have no parameters and no answer."""
        ...


@runtime_checkable
class ForeignSyncConnection(Protocol):
    """The same for the synchronous client."""

    @property
    def paramstyle(self) -> ParamStyle: ...

    def fetch(self, sql: str, params: Sequence[Any], /) -> Sequence[Row]: ...

    def execute(self, sql: str, /) -> object: ...


class Adopted:
    """A foreign connection as a `Connection`: deadlines and errors are ours, all else is theirs."""

    def __init__(
        self, foreign: ForeignConnection, schema: str | None, server: ServerFacts | None = None
    ) -> None:
        self._foreign = foreign
        self._dialect = Dialect("postgres", foreign.paramstyle, schema, server or ServerFacts())

    @property
    def dialect(self) -> Dialect:
        return self._dialect

    async def run(self, statement: Statement[T], /) -> T:
        """Run `statement` in whatever transaction the connection is in."""
        try:
            async with asyncio.timeout(statement.timeout):
                rows = await ask(self._foreign, statement)
        except TimeoutError as error:
            raise timed_out(statement.name, statement.timeout) from error
        except Exception as error:
            raise _as_ours(error, statement.name) from error
        return statement.read(rows)


class AdoptedSync:
    """The same for the synchronous client; a blocking driver keeps no deadline of ours."""

    def __init__(
        self, foreign: ForeignSyncConnection, schema: str | None, server: ServerFacts | None = None
    ) -> None:
        self._foreign = foreign
        self._dialect = Dialect("postgres", foreign.paramstyle, schema, server or ServerFacts())

    @property
    def dialect(self) -> Dialect:
        return self._dialect

    def run(self, statement: Statement[T], /) -> T:
        """Run `statement` in whatever transaction the connection is in."""
        try:
            rows = ask_sync(self._foreign, statement)
        except Exception as error:
            raise _as_ours(error, statement.name) from error
        return statement.read(rows)


def adopt(tx: object, schema: str | None, server: ServerFacts | None = None) -> Connection:
    """The asynchronous client's `tx`; raises `UnsupportedError`. asyncpg's are adopted by its driver.

    `server` is what the lending database knows; without it, each connection is asked anew.
    """
    foreign = tx if isinstance(tx, ForeignConnection) else _from_its_library(tx, "foreign_async")
    if foreign is None:
        raise _unsupported(tx, _ASYNC)
    return Adopted(foreign, schema, server)


def adopt_sync(tx: object, schema: str | None, server: ServerFacts | None = None) -> SyncConnection:
    """The synchronous client's `tx`; raises `UnsupportedError`."""
    foreign = tx if isinstance(tx, ForeignSyncConnection) else _from_its_library(tx, "foreign_sync")
    if library_of(tx, ("asyncpg",)):
        raise UnsupportedError(
            "`tx` is asyncpg's, which is asynchronous, and this is the synchronous client: use `Client`"
        )
    if foreign is None:
        raise _unsupported(tx, _SYNC)
    return AdoptedSync(foreign, schema, server)


def library_of(tx: object, libraries: Collection[str]) -> str | None:
    """The one of `libraries` that `tx` comes from, if any: told by its type, importing nothing."""
    packages = (kind.__module__.partition(".")[0] for kind in type(tx).__mro__)
    return next((package for package in packages if package in libraries), None)


async def ask(foreign: ForeignConnection, statement: Statement[Any]) -> Sequence[Row]:
    """The rows that answer `statement`."""
    statement.check()
    if statement.several:
        await foreign.execute(statement.sql)
        return ()
    return await foreign.fetch(statement.sql, statement.params)


def ask_sync(foreign: ForeignSyncConnection, statement: Statement[Any]) -> Sequence[Row]:
    """The rows that answer `statement`."""
    statement.check()
    if statement.several:
        foreign.execute(statement.sql)
        return ()
    return foreign.fetch(statement.sql, statement.params)


def _from_its_library(tx: object, face: Literal["foreign_async", "foreign_sync"]) -> Any:
    """What the module for the library of `tx` makes of it; that library is optional, but it is there."""
    library = library_of(tx, _LIBRARIES)
    if library is None:
        return None
    return getattr(import_module(f"riverrun.drivers.{library}"), face)(tx)


def _unsupported(tx: object, supported: str) -> UnsupportedError:
    kind = f"{type(tx).__module__}.{type(tx).__qualname__}"
    return UnsupportedError(f"`tx` cannot be a {kind}; give {supported}")


def _as_ours(error: Exception, doing: str) -> Exception:
    """The error to raise for a driver's; one of ours stays as it is."""
    return error if isinstance(error, RiverError) else translate(error, doing)
