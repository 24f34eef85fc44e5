"""Asks the database without an event loop: `Asking` for the synchronous client."""

import os
import threading
from collections.abc import Callable
from typing import TypeVar

from riverrun.client.asking import LongQuestion, Question, check_process
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import SyncDatabase, drive_sync

T = TypeVar("T")


class SyncAsking:
    """The one place where the synchronous `tx=` is understood; for any number of threads."""

    def __init__(self, database: SyncDatabase, prepare: Callable[[], None]) -> None:
        self.database = database
        self.operations = Operations(database.dialect)
        self._prepare = prepare
        self._pid: int | None = None
        self._opening = threading.Lock()

    def ask(self, question: Question[T], tx: object | None = None) -> T:
        """One statement."""
        if tx is None:
            self.ready()
            return self.database.run(question(self.operations))
        connection = self.database.adopt(tx)
        return connection.run(question(Operations(connection.dialect)))

    def ask_all(self, question: LongQuestion[T], tx: object | None = None) -> T:
        """A script: in one transaction of our own, or in the caller's."""
        if tx is None:
            self.ready()
            return self.database.transact(question(self.operations))
        connection = self.database.adopt(tx)
        return drive_sync(connection, question(Operations(connection.dialect)))

    def ready(self) -> None:
        """Open and prepare the database the first time it is needed; who comes meanwhile waits."""
        if self._pid is None:
            with self._opening:
                self._open()
        check_process(self._pid)

    def _open(self) -> None:
        if self._pid is None:
            self.database.open()
            self._prepare()
            self._pid = os.getpid()

    def close(self) -> None:
        if self._pid in (None, os.getpid()):
            self.database.close()
        self._pid = None
