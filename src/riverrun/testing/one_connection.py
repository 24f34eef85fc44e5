"""A `Database` that has one connection only: somebody's own, in whatever transaction that is."""

from typing import TypeVar

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.statement import Connection, Database, Listener, Script, Statement, drive

T = TypeVar("T")


class OneConnection:
    """`tx` as a database of its own; nothing is begun, committed, opened or closed."""

    def __init__(self, owner: Database, tx: object) -> None:
        self._owner = owner
        self._connection = owner.adopt(tx)

    @property
    def dialect(self) -> Dialect:
        return self._connection.dialect

    async def open(self) -> None:
        """It is open."""

    async def close(self) -> None:
        """It is not ours to close."""

    async def run(self, statement: Statement[T], /) -> T:
        return await self._connection.run(statement)

    async def transact(self, script: Script[T], /) -> T:
        """In the transaction that there is: its owner commits or rolls back."""
        return await drive(self._connection, script)

    def listener(self) -> Listener | None:
        return None

    def reserved(self) -> "Database":
        return self

    def adopt(self, tx: object, /) -> Connection:
        return self._owner.adopt(tx)
