"""Real databases that answer at once, without an event loop: for clients that run in virtual time.

On a `VirtualLoop` nothing can wait for a socket, so each statement blocks until it is answered, which takes
no virtual time. `asked` holds what was sent, in order: the names of statements, and how each transaction
begins and ends.
"""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.psycopg import PsycopgSyncConnection
from riverrun.drivers.sqlite import SQLiteSyncDatabase
from riverrun.drivers.sqlite_listener import SQLiteListener
from riverrun.drivers.statement import (
    Connection,
    Listener,
    Notification,
    Script,
    Statement,
    SyncConnection,
    drive_sync,
)

T = TypeVar("T")


class Blocking:
    """What both have in common."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.asked: list[str] = []

    @property
    def dialect(self) -> Dialect:
        return self._dialect

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def reserved(self) -> Any:
        return self

    def adopt(self, tx: object, /) -> Connection:
        raise NotImplementedError("an idle client is lent nothing")

    def noted(self, script: Script[T]) -> Script[T]:
        """The same script, with each of its statements noted before it is sent."""
        answer: Any = None
        while True:
            try:
                statement = script.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            self.asked.append(statement.name)
            answer = yield statement

    @contextmanager
    def transaction(self) -> Generator[None]:
        self.asked.append("begin")
        yield
        self.asked.append("commit")


class BlockingPostgres(Blocking):
    """One connection for everything, on which notifications are heard too: all are our own."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._raw = connection
        self._connection: SyncConnection = PsycopgSyncConnection(connection)
        super().__init__(self._connection.dialect)

    async def run(self, statement: Statement[T], /) -> T:
        self.asked.append(statement.name)
        return self._connection.run(statement)

    async def transact(self, script: Script[T], /) -> T:
        with self.transaction(), self._raw.transaction():
            return drive_sync(self._connection, self.noted(script))

    def listener(self) -> Listener:
        return OwnNotifications(self._raw)


class OwnNotifications:
    """Hears what its own connection sends: it arrives with the answer to the statement that sent it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    async def listen(self, topics: Sequence[str], deliver: Callable[[Notification], None]) -> None:
        def hear(heard: psycopg.Notify) -> None:
            deliver(Notification(heard.channel.partition(".")[2], heard.payload))

        self._connection.add_notify_handler(hear)
        for topic in topics:
            self._connection.execute(f'listen "public.{topic}"'.encode())

    async def wait_lost(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None: ...


class BlockingSQLite(Blocking):
    """A file, on the thread of its own that every SQLite database of ours has."""

    def __init__(self, database: SQLiteSyncDatabase) -> None:
        self._database = database
        super().__init__(database.dialect)

    async def run(self, statement: Statement[T], /) -> T:
        self.asked.append(statement.name)
        return self._database.run(statement)

    async def transact(self, script: Script[T], /) -> T:
        with self.transaction():
            return self._database.transact(self.noted(script))

    def listener(self) -> Listener:
        return SQLiteListener(self)
