"""Named transactions, each on a connection of its own, as a program that uses riverrun opens them."""

import asyncio
import logging
import sqlite3
from typing import Any, Protocol

import apsw
import asyncpg  # type: ignore[import-untyped]

from conformance.databases import Databases
from conformance.rpc import Missing, Refused, WrongParams

BUSY_MS = 5000
JSONB_SINCE = (3, 45)

logger = logging.getLogger("conformance")

_driver: Any = asyncpg


class Transaction(Protocol):
    """`connection` is what riverrun is given as `tx`."""

    @property
    def connection(self) -> Any: ...

    async def ready(self) -> None: ...
    async def end(self, *, commit: bool) -> None: ...


class Transactions:
    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._open: dict[str, Transaction] = {}

    async def begin(self, name: str) -> None:
        """Raises `Refused` if there is one of that name."""
        if not name:
            raise WrongParams("tx must not be empty")
        if name in self._open:
            raise Refused(f"transaction {name!r} is open already")
        self._open[name] = await _begin(self._databases)

    async def get(self, name: str | None) -> Any:
        """The connection to give as `tx`; None for no name."""
        if not name:
            return None
        if name not in self._open:
            raise Missing(f"there is no transaction {name!r}")
        await self._open[name].ready()
        return self._open[name].connection

    async def end(self, name: str, *, commit: bool) -> None:
        """The name is free again, whatever becomes of the commit."""
        if name not in self._open:
            raise Missing(f"there is no transaction {name!r}")
        await self._open.pop(name).end(commit=commit)

    async def rollback_all(self) -> None:
        """End all, those too whose connection is broken."""
        while self._open:
            name, transaction = self._open.popitem()
            try:
                await transaction.end(commit=False)
            except Exception:
                logger.exception("rolling back %s", name)


async def _begin(databases: Databases) -> Transaction:
    if databases.driver == "sqlite":
        return SQLiteTransaction(databases.url.removeprefix("sqlite:///"))
    connection = await _driver.connect(databases.url)
    await connection.execute("begin isolation level read committed")
    return PostgresTransaction(connection)


class PostgresTransaction:
    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def ready(self) -> None:
        """It is, from the beginning."""

    async def end(self, *, commit: bool) -> None:
        try:
            outcome = await self.connection.execute("commit" if commit else "rollback")
        finally:
            await self.connection.close(timeout=1)
        if commit and outcome != "COMMIT":
            raise Refused("the transaction was aborted before, so it was rolled back")


class SQLiteTransaction:
    """Begun with its first use, and to write: one that only reads first might find that others wrote."""

    def __init__(self, path: str) -> None:
        self.connection = _sqlite_connection(path)
        self._begun = False

    async def ready(self) -> None:
        if not self._begun:
            # This may wait for another writer, and must not keep the event loop from its work.
            await asyncio.to_thread(self.connection.execute, "begin immediate")
            self._begun = True

    async def end(self, *, commit: bool) -> None:
        try:
            if self._begun:
                self.connection.execute("commit" if commit else "rollback")
        finally:
            self.connection.close()


def _sqlite_connection(path: str) -> Any:
    """Of the library that riverrun uses: Python's own if that knows JSONB."""
    if sqlite3.sqlite_version_info >= JSONB_SINCE:
        return sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000
        )
    connection = apsw.Connection(path)
    connection.set_busy_timeout(BUSY_MS)
    return connection
