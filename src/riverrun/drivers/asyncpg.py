"""PostgreSQL for the worker and the asynchronous client, through asyncpg.

Nothing here relies on session state: connections come from a pool that sends nothing when one is
taken or given back, so that any pooler may stand in between.

Every statement has a deadline that holds even if the server never answers. When it passes, or the
task is cancelled, asyncpg asks the server to stop; a connection that has not settled `GRACE`
seconds later is cut off. Nobody ever waits for a connection to close.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
import contextlib
import sys
from typing import Any, Literal, Protocol, TypeVar

import asyncpg  # type: ignore[import-untyped]

from riverrun.drivers.asyncpg_listener import AsyncpgListener, ListeningConnection
from riverrun.drivers.asyncpg_settings import asyncpg_settings
from riverrun.drivers.dialect import Dialect
from riverrun.drivers.foreign import Adopted, ForeignConnection, as_ours, ask
from riverrun.drivers.postgres_errors import cannot_connect, is_lost, timed_out, translate
from riverrun.drivers.statement import (
    DEFAULT_TIMEOUT,
    Connection,
    Listener,
    Row,
    Script,
    Statement,
    drive,
)
from riverrun.drivers.url import check_schema_name, redact
from riverrun.model.errors import (
    ConfigurationError,
    DatabaseError,
    LifecycleError,
    OutcomeUnknownError,
    RiverError,
    UnsupportedError,
)

T = TypeVar("T")

GRACE = 1.0
"""Seconds that a cancelled or late statement has to settle before its connection is cut off."""

IDLE_LIFETIME = 50.0
"""Seconds after which an idle connection is closed: before the firewalls that forget it in 60."""

# asyncpg has no types; only this file and the listener touch it, through `Any` or a protocol.
_driver: Any = asyncpg

DRIVER_ERRORS: tuple[type[Exception], ...] = (
    OSError,  # which includes TimeoutError
    _driver.PostgresError,
    _driver.InterfaceError,
    _driver.InternalClientError,
)


class PooledConnection(Protocol):
    """What we use of an asyncpg connection."""

    async def fetch(self, query: str, /, *args: Any) -> Sequence[Row]: ...
    async def execute(self, query: str, /) -> str: ...
    def terminate(self) -> None: ...


class AsyncpgDatabase:
    """A `Database` at `url`; making one connects to nothing.

    `prepared_statements=False` is for poolers in transaction mode that do not keep them. `listen_url`
    is where to listen when `url` leads to a pooler, which cannot be listened through.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str | None = None,
        min_size: int = 0,
        max_size: int = 10,
        prepared_statements: bool = True,
        connect_timeout: float = 10.0,
        listen_url: str | None = None,
    ) -> None:
        check_schema_name(schema)
        if not 0 <= min_size <= max_size or max_size < 1:
            raise ConfigurationError(
                f"a pool of {min_size} to {max_size} connections cannot be:"
                " give 0 <= min_size <= max_size, and a max_size of at least 1"
            )
        cache = {} if prepared_statements else {"statement_cache_size": 0}
        self._settings = asyncpg_settings(url, connect_timeout) | cache
        self._listen_settings = asyncpg_settings(listen_url or url, connect_timeout)
        self._where = redact(url)
        self._listen_where = redact(listen_url or url)
        self._sizes = {"min_size": min_size, "max_size": max_size}
        self._dialect = Dialect("postgres", "$", schema)
        self._opening = asyncio.Lock()
        self._pool: Any = None

    def __repr__(self) -> str:
        return f"AsyncpgDatabase({self._where!r}, schema={self._dialect.schema!r})"

    @property
    def dialect(self) -> Dialect:
        return self._dialect

    async def open(self) -> None:
        """Connect once, to see that it works. Harmless twice."""
        async with self._opening:
            if self._pool is None:
                self._pool = await self._connected_pool()

    async def close(self) -> None:
        """Close every connection; those that do not close within `GRACE` seconds are cut off."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        closing = asyncio.ensure_future(pool.close())
        try:
            await asyncio.wait({closing}, timeout=GRACE)
        finally:
            if not closing.done():
                pool.terminate()
                closing.cancel()

    async def run(self, statement: Statement[T], /) -> T:
        """Run one statement on a connection of our own, in its own transaction."""
        pool, raw = self._opened(), None
        try:
            async with asyncio.timeout(statement.timeout):
                raw = await self._acquire(pool)
                rows = await ask(_Asyncpg(raw), statement)
        except TimeoutError as error:
            raise await self._too_late(pool, raw, statement) from error
        except DRIVER_ERRORS as error:
            raise translate(error, statement.name) from error
        finally:
            if raw is not None:
                await _give_back(pool, raw)
        return statement.read(rows)

    async def transact(self, script: Script[T], /) -> T:
        """Run a script in one transaction of our own; raises `OutcomeUnknownError` too."""
        pool = self._opened()
        raw = await self._acquire_in_time(pool)
        try:
            return await _in_transaction(raw, self._dialect.schema, script)
        finally:
            await _give_back(pool, raw)

    def listener(self) -> Listener:
        """A new listener, on a connection outside the pool."""
        return AsyncpgListener(self._connect_to_listen, schema=self._dialect.schema)

    def adopt(self, tx: object, /) -> Connection:
        """The caller's own connection, in whatever transaction it is; raises `UnsupportedError`."""
        if isinstance(tx, _driver.Connection):
            return Adopted(_Asyncpg(cast("RawConnection", tx)), self._dialect.schema)
        if "psycopg" in sys.modules:
            from riverrun.drivers.psycopg import foreign_async  # noqa: PLC0415

            if (foreign := foreign_async(tx)) is not None:
                return Adopted(foreign, self._dialect.schema)
        if isinstance(tx, ForeignConnection):
            return Adopted(tx, self._dialect.schema)
        raise UnsupportedError(
            f"`tx` cannot be a {type(tx).__module__}.{type(tx).__qualname__}; give an asyncpg"
            " connection, a psycopg AsyncConnection or AsyncCursor, or a ForeignConnection"
        )

    async def _connected_pool(self) -> Any:
        try:
            pool = await _driver.create_pool(**self._settings, **self._sizes)
        except (*DRIVER_ERRORS, ValueError) as error:
            _raise_cannot_open(error, self._url)
        try:
            raw = await self._acquire_in_time(pool)
            await _give_back(pool, raw)
        except BaseException as error:
            pool.terminate()
            if isinstance(error.__cause__, Exception):
                _raise_cannot_open(error.__cause__, self._url)
            raise
        return pool
