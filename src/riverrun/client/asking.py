"""Asks the database, on the client's own connections or inside the caller's transaction."""

import asyncio
import os
from collections.abc import Callable
from typing import Any, TypeVar

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database, Script, Statement, drive
from riverrun.model.errors import LifecycleError

T = TypeVar("T")
Question = Callable[[Operations], Statement[T]]
LongQuestion = Callable[[Operations], Script[T]]


class Asking:
    """The one place where `tx=` is understood.

    A client belongs to the process that opened it: using it after a fork is an error, since the two
    would share sockets.
    """

    def __init__(self, database: Database, prepare: Callable[[], Any]) -> None:
        self.database = database
        self.operations = Operations(database.dialect)
        self._prepare = prepare
        self._pid: int | None = None
        self._opening = asyncio.Lock()

    async def ask(self, question: Question[T], tx: object | None = None) -> T:
        """One statement."""
        if tx is None:
            await self.ready()
            return await self.database.run(question(self.operations))
        connection = self.database.adopt(tx)
        return await connection.run(question(Operations(connection.dialect)))

    async def ask_all(self, question: LongQuestion[T], tx: object | None = None) -> T:
        """A script: in one transaction of our own, or in the caller's."""
        if tx is None:
            await self.ready()
            return await self.database.transact(question(self.operations))
        connection = self.database.adopt(tx)
        return await drive(connection, question(Operations(connection.dialect)))

    async def ready(self) -> None:
        """Open and prepare the database the first time it is needed; who comes meanwhile waits."""
        if self._pid is None:
            async with self._opening:
                await self._open()
        check_process(self._pid)

    async def _open(self) -> None:
        if self._pid is None:
            await self.database.open()
            await self._prepare()
            self._pid = os.getpid()

    async def close(self) -> None:
        if self._pid in (None, os.getpid()):
            await self.database.close()
        self._pid = None


def check_process(opened_in: int | None) -> None:
    """Raise `LifecycleError` where a client is used that was opened before a fork."""
    if opened_in not in (None, os.getpid()):
        raise LifecycleError(
            "this client was opened in another process; make a new one after a fork"
        )
