"""A real database with the test in between: it sees each statement first, and may wait, write or raise."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.statement import Connection, Database, Listener, Script, Statement

T = TypeVar("T")


async def _do_nothing(_: str) -> None: ...


class InterposedDatabase:
    """`before` and `after` are awaited with a statement's name, or with "transact", and may raise.

    `asked` holds all those names, in order.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self.asked: list[str] = []
        self.before: Callable[[str], Awaitable[None]] = _do_nothing
        self.after: Callable[[str], Awaitable[None]] = _do_nothing

    @property
    def dialect(self) -> Dialect:
        return self._db.dialect

    async def open(self) -> None:
        await self._db.open()

    async def close(self) -> None:
        await self._db.close()

    async def run(self, statement: Statement[T], /) -> T:
        self.asked.append(statement.name)
        await self.before(statement.name)
        answer = await self._db.run(statement)
        await self.after(statement.name)
        return answer

    async def transact(self, script: Script[T], /) -> T:
        self.asked.append("transact")
        await self.before("transact")
        answer = await self._db.transact(script)
        await self.after("transact")
        return answer

    def listener(self) -> Listener | None:
        return self._db.listener()

    def reserved(self) -> Database:
        return self

    def adopt(self, tx: object, /) -> Connection:
        return self._db.adopt(tx)
