"""PostgreSQL for the worker and the asynchronous client, through asyncpg.

Nothing here relies on session state: connections come from a pool that sends nothing when one is
taken or given back, so that any pooler may stand in between.

Every statement has a deadline that holds even if the server never answers. When it passes, or the
task is cancelled, asyncpg asks the server to stop; a connection that has not settled `GRACE`
seconds later is cut off. Nobody ever waits for a connection to close.
"""

import asyncio
from collections.abc import Awaitable, Sequence
import contextlib
import sys
from typing import Any, ClassVar, NoReturn, Protocol, TypeVar

import asyncpg  # type: ignore[import-untyped]

from riverrun.drivers.asyncpg_listener import AsyncpgListener
from riverrun.drivers.asyncpg_settings import asyncpg_settings, misread
from riverrun.drivers.dialect import Dialect
from riverrun.drivers.foreign import Adopted, ForeignConnection, ParamStyle, ask
from riverrun.drivers.postgres_errors import (
    cannot_connect,
    is_lost,
    needs_a_human,
    sqlstate_of,
    timed_out,
    translate,
)
from riverrun.drivers.statement import (
    DEFAULT_TIMEOUT,
    Connection,
    Listener,
    Row,
    Script,
    Statement,
    drive,
    nothing,
)
from riverrun.drivers.url import check_schema_name, redact
from riverrun.model.errors import (
    ConfigurationError,
    DatabaseError,
    DatabaseUnavailableError,
    LifecycleError,
    OutcomeUnknownError,
    UnsupportedError,
)

T = TypeVar("T")

GRACE = 1.0
"""Seconds that a cancelled or late statement has to settle before its connection is cut off."""

IDLE_LIFETIME = 50.0
"""Seconds after which an idle connection is closed: before the firewalls that forget it in 60."""

# asyncpg comes without types: it is used through `Any` here and through protocols everywhere else.
_driver: Any = asyncpg

# OSError includes TimeoutError.
_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    _driver.PostgresError,
    _driver.InterfaceError,
    _driver.InternalClientError,
)

_PING = Statement("open", "select 1", (), nothing)
# Said in full, because the role, the database or the server may have another default.
_BEGIN = Statement("begin", "begin isolation level read committed", (), nothing, several=True)


class RawConnection(Protocol):
    """What is used of an asyncpg connection."""

    async def fetch(self, query: str, /, *args: Any) -> Sequence[Row]: ...
    async def execute(self, query: str, /) -> str: ...
    async def add_listener(self, channel: str, callback: Any, /) -> None: ...
    def add_termination_listener(self, callback: Any, /) -> None: ...
    def is_closed(self) -> bool: ...
    def terminate(self) -> None: ...


class AsyncpgDatabase:
    """A `Database` at `url`; making one connects to nothing.

    `prepared_statements=False` is for poolers in transaction mode that do not keep them. `listen_url`
    is where to listen when `url` leads to a pooler, through which nothing can be heard.
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
        _check_sizes(min_size, max_size)
        self._url = url
        self._listen_url = listen_url or url
        self._settings = asyncpg_settings(url, connect_timeout) | {
            "min_size": min_size,
            "max_size": max_size,
            "max_inactive_connection_lifetime": IDLE_LIFETIME,
            "reset": _send_nothing,
        }
        if not prepared_statements:
            self._settings["statement_cache_size"] = 0
        self._listen_settings = asyncpg_settings(self._listen_url, connect_timeout)
        self._max_size = max_size
        self._dialect = Dialect("postgres", "$", schema)
        self._opening = asyncio.Lock()
        self._pool: Any = None

    def __repr__(self) -> str:
        return f"AsyncpgDatabase({redact(self._url)!r}, schema={self._dialect.schema!r})"

    @property
    def dialect(self) -> Dialect:
        return self._dialect

    async def open(self) -> None:
        """Connect, and see whether the server answers. Harmless twice."""
        async with self._opening:
            if self._pool is None:
                self._pool = await self._answering_pool()

    async def close(self) -> None:
        """Close every connection; those that do not close within `GRACE` seconds are cut off."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        closing = asyncio.ensure_future(pool.close())
        try:
            await asyncio.wait({closing}, timeout=GRACE)
        finally:
            pool.terminate()
            closing.cancel()

    async def run(self, statement: Statement[T], /) -> T:
        """Run one statement on a connection of our own, in its own transaction."""
        return await self._run(self._opened(), statement)

    async def transact(self, script: Script[T], /) -> T:
        """Run a script in one transaction of our own; may raise `OutcomeUnknownError`."""
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
        foreign = _foreign(tx)
        if foreign is None:
            raise UnsupportedError(
                f"`tx` cannot be a {type(tx).__module__}.{type(tx).__qualname__}; give an asyncpg"
                " connection, a psycopg AsyncConnection or AsyncCursor, or a ForeignConnection"
            )
        return Adopted(foreign, self._dialect.schema)

    async def _answering_pool(self) -> Any:
        try:
            pool = await _connecting(_driver.create_pool(**self._settings), self._url)
            try:
                await self._run(pool, _PING)
            except BaseException:
                pool.terminate()
                raise
        except DatabaseUnavailableError as error:
            if needs_a_human(error):
                raise ConfigurationError(str(error)) from error
            raise
        return pool

    def _opened(self) -> Any:
        if self._pool is None:
            raise LifecycleError("the database is not open: call `open()` first")
        return self._pool

    async def _run(self, pool: Any, statement: Statement[T]) -> T:
        raw: RawConnection | None = None
        try:
            async with asyncio.timeout(statement.timeout):
                raw = await _connecting(pool.acquire(), self._url)
                rows = await ask(_Asyncpg(raw), statement)
        except TimeoutError as error:
            if raw is None:
                raise self._none_free(statement.name, statement.timeout) from error
            # The other connections may lead to the same silence: each is replaced when next taken.
            await pool.expire_connections()
            raise timed_out(statement.name, statement.timeout) from error
        except _ERRORS as error:
            raise translate(error, statement.name) from error
        finally:
            if raw is not None:
                await _give_back(pool, raw)
        return statement.read(rows)

    async def _acquire_in_time(self, pool: Any) -> RawConnection:
        try:
            async with asyncio.timeout(DEFAULT_TIMEOUT):
                raw: RawConnection = await _connecting(pool.acquire(), self._url)
        except TimeoutError as error:
            raise self._none_free("begin", DEFAULT_TIMEOUT) from error
        return raw

    def _none_free(self, doing: str, seconds: float) -> DatabaseUnavailableError:
        return DatabaseUnavailableError(
            f"{doing}: none of the pool's {self._max_size} connections was free within {seconds:g} s;"
            " raise `max_size`, or see what holds them"
        )

    async def _connect_to_listen(self) -> RawConnection:
        connecting = _driver.connect(**self._listen_settings)
        raw: RawConnection = await _connecting(connecting, self._listen_url)
        return raw


class _Asyncpg:
    """An asyncpg connection as a `ForeignConnection`: our own are asked the same way as a caller's."""

    paramstyle: ClassVar[ParamStyle] = "$"

    def __init__(self, raw: RawConnection) -> None:
        self._raw = raw

    async def fetch(self, sql: str, params: Sequence[Any], /) -> Sequence[Row]:
        return await self._raw.fetch(sql, *params)

    async def execute(self, sql: str, /) -> object:
        return await self._raw.execute(sql)


def _foreign(tx: Any) -> ForeignConnection | None:
    if isinstance(tx, _driver.Connection):
        return _Asyncpg(tx)
    if "psycopg" in sys.modules:
        from riverrun.drivers.psycopg import foreign_async  # noqa: PLC0415 - it is optional

        if (foreign := foreign_async(tx)) is not None:
            return foreign
    return tx if isinstance(tx, ForeignConnection) else None


async def _in_transaction(raw: RawConnection, schema: str | None, script: Script[T]) -> T:
    connection = Adopted(_Asyncpg(raw), schema)
    try:
        await connection.run(_BEGIN)
        answer = await drive(connection, script)
        await _commit(raw)
    except BaseException:
        await _roll_back(raw)
        raise
    return answer


async def _commit(raw: RawConnection) -> None:
    try:
        async with asyncio.timeout(DEFAULT_TIMEOUT):
            outcome = await raw.execute("commit")
    except _ERRORS as error:
        if not is_lost(error):
            raise translate(error, "commit") from error
        _cut_off(raw)
        raise OutcomeUnknownError(
            "commit: the connection broke before the server answered;"
            " the transaction may or may not have been committed",
            sqlstate=sqlstate_of(error),
        ) from error
    if outcome != "COMMIT":
        raise DatabaseError("commit: the server rolled the transaction back")


async def _roll_back(raw: RawConnection) -> None:
    """End a failed transaction within `GRACE`, or its connection; raises nothing of its own."""
    ended = False
    try:
        async with asyncio.timeout(GRACE):
            await raw.execute("rollback")
        ended = True
    except _ERRORS:
        pass  # A connection that cannot roll back is cut off, and then the server does it.
    finally:
        if not ended:
            _cut_off(raw)


async def _give_back(pool: Any, raw: RawConnection) -> None:
    """Return a connection to its pool; one that does not settle within `GRACE` is cut off by it."""
    with contextlib.suppress(*_ERRORS):
        await pool.release(raw, timeout=GRACE)


def _cut_off(raw: RawConnection) -> None:
    # A pooled connection that is already gone refuses even this.
    with contextlib.suppress(*_ERRORS):
        raw.terminate()


async def _send_nothing(_connection: object) -> None:
    """In place of asyncpg's reset: we leave nothing in a session that would have to be undone."""


async def _connecting(attempt: Awaitable[T], url: str) -> T:
    """The answer of `attempt`, which connects to `url`, or an error that says what to do."""
    try:
        return await attempt
    except (*_ERRORS, ValueError) as error:
        _refuse(error, url)


def _refuse(error: Exception, url: str) -> NoReturn:
    # Errors of reading the URL quote pieces of it, and a misread URL has the password anywhere.
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        raise misread(url) from None
    raise cannot_connect(error, redact(url)) from error


def _check_sizes(min_size: int, max_size: int) -> None:
    if max_size < 1 or not 0 <= min_size <= max_size:
        raise ConfigurationError(
            f"a pool cannot have {min_size} to {max_size} connections:"
            " `max_size` is at least 1, and `min_size` from 0 to `max_size`"
        )
