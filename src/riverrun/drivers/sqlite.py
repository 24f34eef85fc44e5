"""A SQLite file as a database of ours: one connection, on one thread, shared by a whole client.

SQLite has one writer at a time, so a second connection would only wait for the first. Statements and
whole scripts are sent to the thread and run there without coming back in between: no transaction
spans an `await`, and no slow handler can hold the write lock. (`apsw.aio` makes single calls
asynchronous, but comes back to the loop after each of them, and CPython's `sqlite3` has nothing like
it; hence a thread of our own, the same for both libraries.)

Durability: with `synchronous="normal"`, the default, the last commits before a power loss may be
lost, but never on a crash of the process, and the file stays sound; `"full"` waits for the disk at
each commit.

With `schema`, the file is attached under that name, and connections given as `tx` must have attached
it under the same name.
"""

import os
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import apsw

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.sqlite_engine import MEMORY, SQLiteEngine, SQLiteOptions, execute
from riverrun.drivers.sqlite_errors import foreign_errors, translated
from riverrun.drivers.sqlite_library import Session, SQLiteLibrary, checked, sqlite_library
from riverrun.drivers.sqlite_listener import SQLiteListener
from riverrun.drivers.sqlite_thread import OwnThread
from riverrun.drivers.statement import Script, Statement
from riverrun.model.errors import LifecycleError, UnsupportedError

T = TypeVar("T")

DEFAULT_BUSY_TIMEOUT = 5.0
"""Seconds for which a statement waits while another process writes."""


class _SQLite:
    """What both faces share: the file, its thread, and other people's connections."""

    def __init__(
        self,
        path: str,
        *,
        schema: str | None = None,
        create: bool = True,
        synchronous: Literal["normal", "full"] = "normal",
        busy_timeout: float = DEFAULT_BUSY_TIMEOUT,
        library: SQLiteLibrary | None = None,
    ) -> None:
        self._library = sqlite_library() if library is None else checked(library)
        self._path = path if path == MEMORY else str(Path(path).absolute())
        options = SQLiteOptions(
            path=self._path,
            schema=schema,
            create=create,
            synchronous=synchronous,
            busy_timeout=busy_timeout,
        )
        self._engine = SQLiteEngine(self._library, options)
        self._thread: OwnThread | None = None
        self._process = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._path!r})"

    @property
    def dialect(self) -> Dialect:
        return self._engine.dialect

    def _started(self) -> OwnThread:
        if self._thread is None:
            self._process = os.getpid()
            self._thread = OwnThread(f"riverrun sqlite {self._path}")
        return self._running()

    def _running(self) -> OwnThread:
        if self._thread is None:
            raise LifecycleError(f"the SQLite database {self._path} is not open")
        if not self._is_ours():
            raise LifecycleError(
                f"the SQLite database {self._path} was opened in process {self._process}, which forked "
                "this one: SQLite connections do not survive a fork, open it anew in each process"
            )
        return self._thread

    def _is_ours(self) -> bool:
        return self._process == os.getpid()

    def _taken(self) -> OwnThread | None:
        """The thread, which from now on is nobody's; a forked process has none and keeps hands off."""
        if not self._is_ours():
            return None
        thread, self._thread = self._thread, None
        return thread

    def _lent(self, tx: object) -> Session:
        session = self._library.lend(tx)
        if session is None:
            raise UnsupportedError(_refusal(tx, self._library))
        return session


class SQLiteDatabase(_SQLite):
    """The `Database` port over a file, or over `:memory:`."""

    async def open(self) -> None:
        thread = self._started()
        try:
            await thread.call(self._engine.connect)
        except BaseException:
            if self._thread is thread:
                await self.close()
            raise

    async def close(self) -> None:
        thread = self._taken()
        if thread is not None:
            await thread.stop(self._engine.close)

    async def run(self, statement: Statement[T], /) -> T:
        return await self._running().call(partial(self._engine.run, statement))

    async def transact(self, script: Script[T], /) -> T:
        return await self._running().call(partial(self._engine.transact, script))

    def listener(self) -> SQLiteListener:
        return SQLiteListener(self)

    def reserved(self) -> "SQLiteDatabase":
        """Itself: its thread takes one question after the other, and each has a deadline."""
        return self

    def adopt(self, tx: object, /) -> "SQLiteConnection":
        """A connection of the library that this process uses; see `SQLiteConnection`."""
        return SQLiteConnection(self._lent(tx), self._library, self.dialect, self._path)


class SQLiteSyncDatabase(_SQLite):
    """The same without an event loop, for any number of threads."""

    def open(self) -> None:
        thread = self._started()
        try:
            thread.call_sync(self._engine.connect)
        except BaseException:
            if self._thread is thread:
                self.close()
            raise

    def close(self) -> None:
        thread = self._taken()
        if thread is not None:
            thread.stop_sync(self._engine.close)

    def run(self, statement: Statement[T], /) -> T:
        return self._running().call_sync(partial(self._engine.run, statement))

    def transact(self, script: Script[T], /) -> T:
        return self._running().call_sync(partial(self._engine.transact, script))

    def adopt(self, tx: object, /) -> "SQLiteSyncConnection":
        """A connection of the library that this process uses; see `SQLiteSyncConnection`."""
        return SQLiteSyncConnection(self._lent(tx), self._library, self.dialect, self._path)


class SQLiteSyncConnection:
    """Somebody's open connection, used where it is: in the calling thread, in its transaction if any.

    It is not sent to our thread, since it already holds the write lock that our thread would wait for.
    Without a transaction each statement commits by itself; deadlines and waiting are its owner's.
    """

    def __init__(
        self, session: Session, library: SQLiteLibrary, dialect: Dialect, path: str
    ) -> None:
        self._session = session
        self._library = library
        self._foreign = foreign_errors(library)
        self._path = path
        self.dialect = dialect

    def run(self, statement: Statement[T], /) -> T:
        started = time.monotonic()
        try:
            rows = execute(self._session, statement)
        except self._foreign as error:
            raise translated(
                error,
                self._library,
                what=statement.name,
                path=self._path,
                waited=time.monotonic() - started,
            ) from error
        return statement.read(rows)


class SQLiteConnection:
    """`SQLiteSyncConnection` as an async client sees it; it never gives way to the loop."""

    def __init__(
        self, session: Session, library: SQLiteLibrary, dialect: Dialect, path: str
    ) -> None:
        self._connection = SQLiteSyncConnection(session, library, dialect, path)
        self.dialect = dialect

    async def run(self, statement: Statement[T], /) -> T:
        return self._connection.run(statement)


def _refusal(tx: object, library: SQLiteLibrary) -> str:
    given = f"{type(tx).__module__}.{type(tx).__qualname__}"
    if isinstance(tx, sqlite3.Connection | apsw.Connection):
        return (
            f"tx is a {given}, but this process uses {library.name} for SQLite: two SQLite libraries "
            "that open one file in one process lose each other's locks and can damage it; "
            f"open the transaction with {library.name}"
        )
    return f"tx is a {given}; a SQLite client takes a connection of {library.name}"
