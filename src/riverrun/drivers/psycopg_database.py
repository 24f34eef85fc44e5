"""PostgreSQL for the synchronous client, through psycopg 3.

As in the driver for the asynchronous client, nothing relies on session state and no statement is
prepared by name, so that any pooler may stand in between; and every statement has a deadline that holds
even if the server never answers.

psycopg is an optional dependency: import this module only where it is needed.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg

from riverrun.drivers.asyncpg import AsyncpgDatabase
from riverrun.drivers.dialect import Dialect
from riverrun.drivers.foreign import adopt_sync, ask_sync
from riverrun.drivers.postgres_capabilities import get_server
from riverrun.drivers.postgres_errors import (
    cannot_connect,
    is_lost,
    is_misled,
    needs_a_human,
    outcome_unknown,
    sqlstate_of,
    translate,
)
from riverrun.drivers.psycopg import PsycopgSyncForeign
from riverrun.drivers.psycopg_pool import PsycopgPool, TimedConnection
from riverrun.drivers.psycopg_settings import psycopg_settings
from riverrun.drivers.statement import (
    DEFAULT_TIMEOUT,
    Script,
    Statement,
    SyncConnection,
    drive_sync,
    nothing,
)
from riverrun.drivers.url import check_schema_name, redact
from riverrun.model.errors import (
    ConfigurationError,
    DatabaseError,
    DatabaseUnavailableError,
    LifecycleError,
    RiverError,
    StatementTimeoutError,
)

T = TypeVar("T")

# Said in full, because the role, the database or the server may have another default.
_BEGIN = Statement("begin", "begin isolation level read committed", (), nothing, several=True)

# libpq keeps the code of a refusal to itself; these are the server's words in English.
_REFUSALS = {
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    'role "': "28000",
    'database "': "3D000",
    "unsupported startup parameter": "08P01",
    "unrecognized configuration parameter": "42704",
    "invalid value for parameter": "22023",
}


class PsycopgDatabase:
    """A `SyncDatabase` at `url`; making one connects to nothing.

    The options are those of `AsyncpgDatabase`; nothing is prepared by name here in any case.
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
        self._asynchronous = AsyncpgDatabase(
            url,
            schema=schema,
            max_size=max_size,
            prepared_statements=prepared_statements,
            connect_timeout=connect_timeout,
            listen_url=listen_url,
        )
        check_schema_name(schema)
        self._url = url
        self._settings = psycopg_settings(url, connect_timeout)
        self._max_size = max_size
        self._dialect = Dialect("postgres", "%", schema)
        self._opening = threading.Lock()
        self._pool: PsycopgPool | None = None

    def __repr__(self) -> str:
        return f"PsycopgDatabase({redact(self._url)!r}, schema={self._dialect.schema!r})"

    @property
    def dialect(self) -> Dialect:
        return self._dialect

    def open(self) -> None:
        """Connect, and ask the server what it is. Harmless twice."""
        with self._opening:
            if self._pool is None:
                self._pool = self._answering_pool()

    def close(self) -> None:
        """Close every connection; one that is in use closes when that is over."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def run(self, statement: Statement[T], /) -> T:
        """Run one statement on a connection of our own, in its own transaction."""
        return self._run(self._opened(), statement)

    def transact(self, script: Script[T], /) -> T:
        """Run a script in one transaction of our own; may raise `OutcomeUnknownError`."""
        with self._lent(self._opened(), "begin", DEFAULT_TIMEOUT) as raw:
            connection = _Own(raw, self._dialect)
            connection.run(_BEGIN)
            answer = drive_sync(connection, script)
            _commit(raw)
        return answer

    def adopt(self, tx: object, /) -> SyncConnection:
        """The caller's own connection, in whatever transaction it is; raises `UnsupportedError`."""
        return adopt_sync(tx, self._dialect.schema, self._dialect.server)

    def asynchronous(self) -> AsyncpgDatabase:
        """The same through asyncpg, with connections of its own."""
        return self._asynchronous

    def _answering_pool(self) -> PsycopgPool:
        pool = PsycopgPool(self._connect, max_size=self._max_size)
        try:
            self._run(pool, get_server(self._dialect))
        except BaseException as error:
            pool.close()
            if isinstance(error, DatabaseError) and needs_a_human(error):
                raise ConfigurationError(str(error)) from error
            raise
        return pool

    def _opened(self) -> PsycopgPool:
        pool = self._pool
        if pool is None:
            raise LifecycleError("the database is not open: call `open()` first")
        return pool

    def _run(self, pool: PsycopgPool, statement: Statement[T]) -> T:
        with self._lent(pool, statement.name, statement.timeout) as raw:
            return _Own(raw, self._dialect).run(statement)

    @contextmanager
    def _lent(self, pool: PsycopgPool, doing: str, seconds: float) -> Generator[TimedConnection]:
        """A connection, in order again at the end whatever happens."""
        try:
            raw = pool.acquire(seconds)
        except TimeoutError as error:
            raise DatabaseUnavailableError(
                f"{doing}: none of the pool's {self._max_size} connections was free within"
                f" {seconds:g} s; raise `pool_size`, or see what holds them"
            ) from error
        try:
            yield raw
        finally:
            raw.settle()
            pool.release(raw)

    def _connect(self) -> TimedConnection:
        try:
            raw = TimedConnection.connect(**self._settings, autocommit=True, prepare_threshold=None)
        except psycopg.errors.ConnectionTimeout as error:
            raise cannot_connect(TimeoutError(str(error)), redact(self._url)) from error
        except (psycopg.Error, OSError) as error:
            raise cannot_connect(_with_sqlstate(error), redact(self._url)) from error
        return raw


class _Own:
    """A connection of ours as a `SyncConnection`."""

    def __init__(self, raw: TimedConnection, dialect: Dialect) -> None:
        self._raw = raw
        self._foreign = PsycopgSyncForeign(raw)
        self.dialect = dialect

    def run(self, statement: Statement[T], /) -> T:
        self._raw.limit(statement.name, statement.timeout)
        try:
            rows = ask_sync(self._foreign, statement)
        except RiverError:
            raise
        except Exception as error:
            if is_misled(error):
                self._raw.close()
            raise translate(error, statement.name) from error
        return statement.read(rows)


def _commit(raw: TimedConnection) -> None:
    raw.limit("commit", DEFAULT_TIMEOUT)
    try:
        outcome = raw.execute("commit").statusmessage
    except (psycopg.Error, StatementTimeoutError) as error:
        if not isinstance(error, StatementTimeoutError) and not is_lost(error):
            raise translate(error, "commit") from error
        raw.close()
        raise outcome_unknown("commit", sqlstate_of(error)) from error
    if outcome != "COMMIT":
        raise DatabaseError("commit: the server rolled the transaction back")


def _with_sqlstate(error: Exception) -> Any:
    """The error, with the code that its text tells of: for some of them trying again is no use."""
    if sqlstate_of(error) is None and isinstance(error, psycopg.Error):
        found = (code for words, code in _REFUSALS.items() if words in str(error))
        error.sqlstate = next(found, None)
    return error
