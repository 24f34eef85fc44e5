"""Connections that belong to somebody else, and what riverrun needs of them.

A caller's own connection joins our statements to the caller's transaction. It needs two methods and
one attribute, so a library that is not known here can be lent with a few lines:

    class Lent:
        paramstyle = "%"

        async def fetch(self, sql, params):
            cursor = await self._their_cursor.execute(sql, params)
            return await cursor.fetchall()

        async def execute(self, sql):
            await self._their_cursor.execute(sql)

We begin, commit, roll back and close nothing, and set no savepoints.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from riverrun.drivers.dialect import Dialect, ServerFacts
from riverrun.drivers.postgres_errors import timed_out, translate
from riverrun.drivers.statement import Connection, Row, Statement, SyncConnection
from riverrun.model.errors import RiverError, UnsupportedError

T = TypeVar("T")
ParamStyle = Literal["$", "%"]


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
    foreign = tx if isinstance(tx, ForeignConnection) else _of_psycopg(tx)
    if foreign is None:
        raise _unsupported(tx, "an asyncpg connection, a psycopg AsyncConnection or AsyncCursor")
    return Adopted(foreign, schema, server)


def adopt_sync(tx: object, schema: str | None, server: ServerFacts | None = None) -> SyncConnection:
    """The synchronous client's `tx`; raises `UnsupportedError`."""
    foreign = tx if isinstance(tx, ForeignSyncConnection) else _of_psycopg_sync(tx)
    if foreign is None:
        raise _unsupported(tx, "a psycopg Connection or Cursor")
    return AdoptedSync(foreign, schema, server)


async def ask(foreign: ForeignConnection, statement: Statement[Any]) -> Sequence[Row]:
    """The rows that answer `statement`."""
    statement.check()
    if statement.several:
        await foreign.execute(statement.sql)
        return ()
    return await foreign.fetch(statement.sql, statement.params)


def ask_sync(foreign: ForeignSyncConnection, statement: Statement[Any]) -> Sequence[Row]:
    """The rows that answer `statement`."""
    if statement.several:
        foreign.execute(statement.sql)
        return ()
    return foreign.fetch(statement.sql, statement.params)


def _of_psycopg(tx: object) -> ForeignConnection | None:
    # It is optional: whoever gives a psycopg connection has imported it.
    if "psycopg" not in sys.modules:
        return None
    from riverrun.drivers.psycopg import foreign_async  # noqa: PLC0415

    return foreign_async(tx)


def _of_psycopg_sync(tx: object) -> ForeignSyncConnection | None:
    if "psycopg" not in sys.modules:
        return None
    from riverrun.drivers.psycopg import foreign_sync  # noqa: PLC0415

    return foreign_sync(tx)


def _unsupported(tx: object, supported: str) -> UnsupportedError:
    kind = f"{type(tx).__module__}.{type(tx).__qualname__}"
    return UnsupportedError(
        f"`tx` cannot be a {kind}; give {supported}, or an object with the methods of a"
        " ForeignConnection"
    )


def _as_ours(error: Exception, doing: str) -> Exception:
    """The error to raise for a driver's; one of ours stays as it is."""
    return error if isinstance(error, RiverError) else translate(error, doing)
