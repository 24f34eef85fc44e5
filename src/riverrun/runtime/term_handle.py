"""The database as a service of the leader sees it: it can be asked only as long as the term is trusted.

The term is looked at immediately before every statement, and no statement may take longer than the trust
that is left. What must not happen twice is *fenced*: the last statement of its transaction asks the
database itself whether the term still holds, and holds off the next leader until the commit.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from riverrun.drivers.statement import Script, Statement
from riverrun.model.errors import LeadershipLostError
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.term import LeadershipTerm

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TermHandle(DatabaseHandle):
    """Every method raises `LeadershipLostError` once the term is over, without asking anything."""

    term: LeadershipTerm

    @property
    def term_or_none(self) -> LeadershipTerm | None:
        return self.term

    async def run(self, statement: Statement[T]) -> T:
        return await self.database.run(self._trusted(statement))

    async def transact(self, script: Script[T]) -> T:
        self.term.check()
        return await self.database.transact(self._step_by_step(script))

    async def fenced(self, script: Script[T]) -> T:
        return await self.transact(self._with_fence(script))

    async def run_long(self, statement: Statement[T]) -> T:
        self.term.check()
        return await self.database.run(replace(statement, check=self.term.check))

    def _trusted(self, statement: Statement[T]) -> Statement[T]:
        """The statement with the trust as its deadline, if that comes first, and looked at once more
        when there is a connection for it.
        """
        self.term.check()
        seconds = min(statement.timeout, self.term.remaining())
        return replace(statement, timeout=seconds, check=self.term.check)

    def _step_by_step(self, script: Script[T]) -> Script[T]:
        answer: Any = None
        try:
            while True:
                answer = yield self._trusted(script.send(answer))
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            script.close()

    def _with_fence(self, script: Script[T]) -> Script[T]:
        leader = self.operations.leader
        yield from leader.limit_transaction()
        result = yield from script
        term = self.term
        holds = yield leader.fence(term.leader_id, term.elected_at, now=self.now)
        if not holds:
            term.fenced()
            raise LeadershipLostError(
                f"term {term.epoch} of {term.leader_id} is over in the database: rolled back"
            )
        return result
