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

from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.sqlite_engine import MEMORY, SQLiteEngine, SQLiteOptions
from riverrun.drivers.sqlite_lent import SQLiteSyncConnection, lent, lent_sync
from riverrun.drivers.sqlite_library import SQLiteLibrary, checked, sqlite_library
from riverrun.drivers.sqlite_listener import SQLiteListener
from riverrun.drivers.sqlite_thread import SharedThread
from riverrun.drivers.statement import Connection, Script, Statement

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
        self._shared = SharedThread(self._path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._path!r})"

    @property
    def dialect(self) -> Dialect:
        return self._engine.dialect


class SQLiteDatabase(_SQLite):
    """The `Database` port over a file, or over `:memory:`."""

    async def open(self) -> None:
        thread = self._shared.join(self)
        try:
            await thread.call(self._engine.connect)
        except BaseException:
            if self._shared.is_serving(thread):
                await self.close()
            raise

    async def close(self) -> None:
        thread = self._shared.leave(self)
        if thread is not None:
            await thread.stop(self._engine.close)

    async def run(self, statement: Statement[T], /) -> T:
        return await self._shared.thread_of(self).call(partial(self._engine.run, statement))

    async def transact(self, script: Script[T], /) -> T:
        return await self._shared.thread_of(self).call(partial(self._engine.transact, script))

    def listener(self) -> SQLiteListener:
        return SQLiteListener(self)

    def reserved(self) -> "SQLiteDatabase":
        """Itself: its thread takes one question after the other, and each has a deadline."""
        return self

    def adopt(self, tx: object, /) -> Connection:
        """A connection of the library that this process uses, or something with one below it."""
        return lent(tx, self._library, self.dialect, self._path)


class SQLiteSyncDatabase(_SQLite):
    """The `SyncDatabase` port over the same, for any number of threads."""

    def open(self) -> None:
        thread = self._shared.join(self)
        try:
            thread.call_sync(self._engine.connect)
        except BaseException:
            if self._shared.is_serving(thread):
                self.close()
            raise

    def close(self) -> None:
        thread = self._shared.leave(self)
        if thread is not None:
            thread.stop_sync(self._engine.close)

    def run(self, statement: Statement[T], /) -> T:
        return self._shared.thread_of(self).call_sync(partial(self._engine.run, statement))

    def transact(self, script: Script[T], /) -> T:
        return self._shared.thread_of(self).call_sync(partial(self._engine.transact, script))

    def adopt(self, tx: object, /) -> SQLiteSyncConnection:
        """A connection of the library that this process uses, or something with one below it."""
        return lent_sync(tx, self._library, self.dialect, self._path)

    def asynchronous(self) -> SQLiteDatabase:
        """The same connection: SQLite has one writer, and what is in memory has no other."""
        other = SQLiteDatabase.__new__(SQLiteDatabase)
        other.__dict__.update(self.__dict__)
        return other
