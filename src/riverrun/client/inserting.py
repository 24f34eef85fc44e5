"""Inserts on behalf of a client: its own transaction or the caller's, and who is told of it."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from riverrun.client.asking import Asking, LongQuestion, Question
from riverrun.client.config import Config, seconds
from riverrun.client.inserter import Inserter, Insertion
from riverrun.client.notification_limiter import NotificationLimiter
from riverrun.drivers.statement import Script
from riverrun.model.extension import Extensions
from riverrun.model.insert import InsertOptions, InsertResult
from riverrun.model.notification import INSERT, insert_payload
from riverrun.runtime.inserting import PeriodicInsert

Jobs = Iterable[tuple[Any, InsertOptions]]
Results = list[InsertResult]


@dataclass(frozen=True, slots=True)
class InsertPlan:
    """One insert, resolved and checked: what to ask the database, and the queues that get jobs."""

    insert: LongQuestion[Results]
    insert_fast: LongQuestion[int]
    queues: set[str]


class InsertPlans:
    """Makes plans, for both faces.

    `allows` says whether a queue may be notified now. It is asked when a plan is made, since scripts of
    SQLite run on a thread. In the caller's transaction the queues are notified always: only its commit
    may wake a worker, and nobody knows when that comes; the same notification twice in a transaction is
    sent once.
    """

    def __init__(
        self, config: Config, extensions: Extensions, allows: Callable[[str], bool]
    ) -> None:
        self._inserter = Inserter(config, extensions)
        self._allows = allows

    def plan(
        self, jobs: Jobs, tx: object | None, *, deduplicate: bool = False, one: bool = False
    ) -> InsertPlan:
        """Raises for the first job that breaks a rule, and what hooks and middleware raise."""
        insertion = self._inserter.begin(jobs, deduplicate=deduplicate, one=one)
        insertion.whole = True
        return self._planned(insertion, tx)

    def plan_periodic(self, jobs: Sequence[PeriodicInsert]) -> InsertPlan:
        """The same for what periodic jobs have made, to be inserted with what is noted about them."""
        return self._planned(self._inserter.begin_periodic(jobs), None)

    def _planned(self, insertion: Insertion, tx: object | None) -> InsertPlan:
        queues = insertion.queues
        notify = [queue for queue in sorted(queues) if tx is not None or self._allows(queue)]
        return InsertPlan(
            insert=lambda ops: self._inserter.insert(ops, insertion, notify),
            insert_fast=lambda ops: self._inserter.insert_fast(ops, insertion, notify),
            queues=queues,
        )


class Inserting:
    """The one way in, for callers and for periodic jobs.

    `wake` tells the producers of this process at once, without waiting for a notification to come
    round.
    """

    def __init__(
        self,
        config: Config,
        asking: Asking,
        extensions: Extensions,
        wake: Callable[[set[str]], None],
    ) -> None:
        self._asking = asking
        self._wake = wake
        self.limiter = NotificationLimiter(seconds(config.fetch_cooldown), self._notify)
        self._plans = InsertPlans(config, extensions, self.limiter.allows_or_owes)

    async def insert(
        self, jobs: Jobs, tx: object | None, *, deduplicate: bool = False, one: bool = False
    ) -> Results:
        """Insert and read back."""
        plan = self._plans.plan(jobs, tx, deduplicate=deduplicate, one=one)
        results = await self._asking.ask_all(plan.insert, tx)
        self._inserted(plan, tx)
        return results

    async def insert_fast(self, jobs: Jobs, tx: object | None) -> int:
        """Insert and read nothing back; the number inserted."""
        plan = self._plans.plan(jobs, tx)
        count = await self._asking.ask_all(plan.insert_fast, tx)
        self._inserted(plan, tx)
        return count

    async def insert_periodic(
        self,
        jobs: Sequence[PeriodicInsert],
        run: Callable[[Script[Any]], Awaitable[Any]],
    ) -> int:
        """Insert what periodic jobs have made, in the transaction that `run` opens; how many are new."""
        plan = self._plans.plan_periodic(jobs)
        results: Results = await run(plan.insert(self._asking.operations))
        self._inserted(plan, None)
        return sum(not result.unique_skipped_as_duplicate for result in results)

    async def close(self) -> None:
        await self.limiter.close()

    def _inserted(self, plan: InsertPlan, tx: object | None) -> None:
        if tx is None:
            self._wake(plan.queues)

    async def _notify(self, queue: str) -> None:
        await self._asking.ask(notify_of_insert(queue))


def notify_of_insert(queue: str) -> Question[None]:
    """Tell the workers of a queue that there are jobs."""
    payload = insert_payload(queue)
    return lambda ops: ops.notifications.notify(INSERT, [payload])
