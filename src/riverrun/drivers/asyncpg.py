"""PostgreSQL for the worker and the asynchronous client, through asyncpg.

Nothing here relies on session state: connections come from a pool that sends nothing when one is
taken or given back, so that any pooler may stand in between.

Every statement has a deadline that holds even if the server never answers. When it passes, or the
task is cancelled, asyncpg asks the server to stop; a connection that has not settled a second later
is cut off. Nobody ever waits for a connection to close.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from typing import Any, TypeVar, cast

import asyncpg  # type: ignore[import-untyped]

from riverrun.drivers.asyncpg_listener import AsyncpgListener
from riverrun.drivers.asyncpg_pool import AsyncpgPool, RawConnection, settle, unhurried
from riverrun.drivers.asyncpg_settings import asyncpg_settings, misread, teach_arrays
from riverrun.drivers.asyncpg_times import use_fast_times
from riverrun.drivers.dialect import Dialect
from riverrun.drivers.foreign import Adopted, ParamStyle, adopt, ask
from riverrun.drivers.postgres_capabilities import get_server
from riverrun.drivers.postgres_errors import (
    cannot_connect,
    is_lost,
    is_misled,
    is_undone,
    needs_a_human,
    outcome_unknown,
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
    last_answer,
    nothing,
)
from riverrun.drivers.url import check_schema_name, redact
from riverrun.model.errors import (
    ConfigurationError,
    DatabaseError,
    DatabaseUnavailableError,
    LifecycleError,
    StatementTimeoutError,
)

T = TypeVar("T")

# asyncpg comes without types: it is used through `Any` here and through protocols everywhere else.
_driver: Any = asyncpg

# OSError includes TimeoutError.
_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    _driver.PostgresError,
    _driver.InterfaceError,
    _driver.InternalClientError,
)
_CONNECT_ERRORS: tuple[type[Exception], ...] = (*_ERRORS, ValueError)

# Said in full, because the role, the database or the server may have another default.
_BEGIN = Statement("begin", "begin isolation level read committed", (), nothing, several=True)


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
        max_size: int = 10,
        prepared_statements: bool = True,
        connect_timeout: float = 10.0,
        listen_url: str | None = None,
    ) -> None:
        check_schema_name(schema)
        if max_size < 1:
            raise ConfigurationError(f"`max_size` is {max_size}; a pool has at least 1 connection")
        self._url = url
        self._settings = asyncpg_settings(url, connect_timeout)
        if not prepared_statements:
            self._settings["statement_cache_size"] = 0
        self._listen_url = listen_url or url
        self._listen_settings = asyncpg_settings(self._listen_url, connect_timeout)
        self._listen_settings["statement_cache_size"] = 0
        self._max_size = max_size
        self._dialect = Dialect("postgres", "$", schema)
        self._opening = asyncio.Lock()
        self._pool: AsyncpgPool | None = None

    def __repr__(self) -> str:
        return f"AsyncpgDatabase({redact(self._url)!r}, schema={self._dialect.schema!r})"

    @property
    def dialect(self) -> Dialect:
        return self._dialect

    async def open(self) -> None:
        """Connect, and ask the server what it is. Harmless twice."""
        async with self._opening:
            if self._pool is None:
                self._pool = await self._answering_pool()

    async def close(self) -> None:
        """Close every connection; takes two seconds at most, whatever the server does."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def run(self, statement: Statement[T], /) -> T:
        """Run one statement on a connection of our own, in its own transaction."""
        return await self._run(self._opened(), statement)

    async def transact(self, script: Script[T], /) -> T:
        """Run a script in one transaction of our own; may raise `OutcomeUnknownError`."""
        try:
            first = next(script)
        except StopIteration as end:
            return cast("T", end.value)
        if first.last and self._opened().is_warm:
            return last_answer(script, await self._run_alone(first))
        return await self.hold(lambda connection: drive(connection, script, first))

    async def _run_alone(self, statement: Statement[T]) -> T:
        """Run the only statement of a script, which commits by itself, without a transaction around it.

        A server that ends the session says so only of what it has not committed: that can be done anew.
        """
        try:
            return await self.run(statement)
        except DatabaseUnavailableError as error:
            if not is_undone(error.__cause__):
                raise
            return await self.hold(lambda connection: connection.run(statement))

    async def hold(self, work: Callable[[Connection], Awaitable[T]], /) -> T:
        """Have `work` done in a transaction, and whatever it waits for; raises as `transact` does."""
        pool = self._opened()
        raw = await self._begin(pool)
        try:
            return await _in_transaction(raw, self._dialect, work)
        finally:
            pool.release(raw)

    def listener(self) -> Listener | None:
        """A new listener, on a connection outside the pool; None on a server that cannot be heard."""
        if not self._dialect.server.notifies:
            return None
        return AsyncpgListener(self._connect_to_listen, schema=self._dialect.schema)

    def reserved(self) -> "AsyncpgDatabase":
        """The same with a pool of its own: one connection, and one more while that one hangs."""
        other = copy(self)
        other._max_size = 2  # noqa: SLF001 - a copy of ourselves
        other._opening, other._pool = asyncio.Lock(), None  # noqa: SLF001
        return other

    def adopt(self, tx: object, /) -> Connection:
        """The caller's own connection, in whatever transaction it is; raises `UnsupportedError`."""
        if isinstance(tx, _driver.Connection):
            raw: Any = tx
            return Adopted(_Asyncpg(raw), self._dialect.schema, self._dialect.server)
        return adopt(tx, self._dialect.schema, self._dialect.server)

    async def _answering_pool(self) -> AsyncpgPool:
        pool = AsyncpgPool(self._connect, max_size=self._max_size)
        try:
            await self._run(pool, get_server(self._dialect))
        except BaseException as error:
            await pool.close()
            if isinstance(error, DatabaseError) and needs_a_human(error):
                raise ConfigurationError(str(error)) from error
            raise
        return pool

    def _opened(self) -> AsyncpgPool:
        if self._pool is None:
            raise LifecycleError("the database is not open: call `open()` first")
        return self._pool

    async def _run(self, pool: AsyncpgPool, statement: Statement[T]) -> T:
        raw: RawConnection | None = None
        try:
            async with asyncio.timeout(statement.timeout):
                raw = await pool.acquire()
                rows = await _answer(raw, statement)
        except TimeoutError as error:
            if raw is None:
                raise self._none_free(statement.name, statement.timeout) from error
            raise _unanswered(statement) from error
        except _ERRORS as error:
            if statement.last and raw and is_lost(error) and not is_undone(error):
                raise _unanswered(statement, sqlstate_of(error)) from error
            raise translate(error, statement.name) from error
        finally:
            if raw is not None:
                pool.release(raw)
        return statement.read(rows)

    async def _begin(self, pool: AsyncpgPool, *, again: bool = True) -> RawConnection:
        """A connection with a transaction just begun.

        One that the server ended while it lay in the pool may be noticed only now. Nothing is lost with
        it yet, so another is taken; the pool drops its others when it comes back.
        """
        raw = await self._acquire_in_time(pool)
        try:
            await Adopted(_Asyncpg(raw), self._dialect.schema, self._dialect.server).run(_BEGIN)
        except BaseException as error:
            try:
                await settle(raw, "rollback")
            finally:
                pool.release(raw)
            is_broken = isinstance(error, DatabaseUnavailableError) and raw.is_closed()
            if again and is_broken and not isinstance(error, StatementTimeoutError):
                return await self._begin(pool, again=False)
            raise
        return raw

    async def _acquire_in_time(self, pool: AsyncpgPool) -> RawConnection:
        try:
            async with asyncio.timeout(DEFAULT_TIMEOUT):
                return await pool.acquire()
        except TimeoutError as error:
            raise self._none_free("begin", DEFAULT_TIMEOUT) from error

    def _none_free(self, doing: str, seconds: float) -> DatabaseUnavailableError:
        return DatabaseUnavailableError(
            f"{doing}: none of the pool's {self._max_size} connections was free within {seconds:g} s;"
            " raise `max_size`, or see what holds them and whether the server lets us in"
        )

    async def _connect(self) -> RawConnection:
        return await _connect(self._settings, self._url)

    async def _connect_to_listen(self) -> RawConnection:
        return await _connect(self._listen_settings, self._listen_url)


class _Asyncpg:
    """An asyncpg connection as a `ForeignConnection`: our own are asked the same way as a caller's."""

    paramstyle: ParamStyle = "$"

    def __init__(self, raw: RawConnection) -> None:
        self._raw = raw

    async def fetch(self, sql: str, params: Sequence[Any], /) -> Sequence[Row]:
        return await self._raw.fetch(sql, *params)

    async def execute(self, sql: str, /) -> object:
        return await self._raw.execute(sql)


def _unanswered(statement: Statement[Any], sqlstate: str | None = None) -> DatabaseError:
    """What is known of a statement that had no answer; one that commits by itself may have done so."""
    if statement.last:
        return outcome_unknown(statement.name, sqlstate)
    return timed_out(statement.name, statement.timeout)


async def _answer(raw: RawConnection, statement: Statement[Any]) -> Sequence[Row]:
    """The rows that answer `statement`, on a connection that is in order whatever happens."""
    try:
        return await ask(_Asyncpg(raw), statement)
    except asyncio.CancelledError:
        await settle(raw)
        raise
    except _ERRORS as error:
        if is_misled(error):
            raw.terminate()
        raise


async def _in_transaction(
    raw: RawConnection, dialect: Dialect, work: Callable[[Connection], Awaitable[T]]
) -> T:
    connection = Adopted(_Asyncpg(raw), dialect.schema, dialect.server)
    try:
        answer = await work(connection)
        await _commit(raw)
    except BaseException as error:
        if is_misled(error):
            raw.terminate()
        await settle(raw, "rollback")
        raise
    return answer


async def _commit(raw: RawConnection) -> None:
    try:
        async with asyncio.timeout(DEFAULT_TIMEOUT):
            outcome = await raw.execute("commit")
    except _ERRORS as error:
        if not is_lost(error):
            raise translate(error, "commit") from error
        raw.terminate()
        raise outcome_unknown("commit", sqlstate_of(error)) from error
    if outcome != "COMMIT":
        raise DatabaseError("commit: the server rolled the transaction back")


async def _connect(settings: dict[str, Any], url: str) -> RawConnection:
    """A new connection to `url`, or an error that says what to do."""
    try:
        raw: RawConnection = await unhurried(_driver.connect(**settings))
    except _CONNECT_ERRORS as error:
        if isinstance(error, ValueError) and not isinstance(error, OSError):
            raise misread(url, error) from None
        raise cannot_connect(error, redact(url)) from error
    use_fast_times(raw)
    teach_arrays(raw)
    return raw
