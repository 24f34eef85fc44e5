"""The database as the running parts of a client see it: what to ask, whom to ask, and what time it is."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database, Script, Statement
from riverrun.runtime.clock import Clock
from riverrun.runtime.term import LeadershipTerm

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DatabaseHandle:
    """What a service is built with; it needs no other way to the database."""

    database: Database
    operations: Operations
    clock: Clock

    @property
    def now(self) -> datetime | None:
        """The time to give to a statement; None lets the database's clock decide."""
        return self.clock.now_or_none()

    @property
    def term_or_none(self) -> LeadershipTerm | None:
        """The term of leadership in which is asked; None outside of any."""
        return None

    async def run(self, statement: Statement[T]) -> T:
        """Ask one question."""
        return await self.database.run(statement)

    async def transact(self, script: Script[T]) -> T:
        """Ask several in one transaction."""
        return await self.database.transact(script)

    async def fenced(self, script: Script[T]) -> T:
        """The same for what must happen in this term of leadership or not at all."""
        return await self.transact(script)

    async def run_long(self, statement: Statement[T]) -> T:
        """Ask a question that may outlast the trust in a term; it is cancelled when that is over."""
        return await self.run(statement)

    async def clean_up(self, statement: Statement[T]) -> T:
        """Ask what has to be asked though the term is over."""
        return await self.database.run(statement)
