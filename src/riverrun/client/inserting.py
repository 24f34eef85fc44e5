"""Inserts on behalf of a client: its own transaction or the caller's, and who is told of it."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from riverrun.client.asking import Asking
from riverrun.client.config import Config, seconds
from riverrun.client.inserter import Inserter, Insertion
from riverrun.client.notification_limiter import NotificationLimiter
from riverrun.drivers.statement import Script
from riverrun.model.extension import Extensions
from riverrun.model.insert import InsertOptions, InsertResult
from riverrun.model.notification import INSERT, insert_payload
from riverrun.runtime.inserting import PeriodicInsert

Jobs = Iterable[tuple[Any, InsertOptions]]


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
        self._inserter = Inserter(config, extensions)
        self._wake = wake
        self.limiter = NotificationLimiter(seconds(config.fetch_cooldown), self._notify)

    async def insert(
        self, jobs: Jobs, tx: object | None, *, deduplicate: bool = False, one: bool = False
    ) -> list[InsertResult]:
        """Insert and read back."""
        insertion = self._inserter.begin(jobs, deduplicate=deduplicate, one=one)
        notify, queues = self._to_notify(insertion, tx), insertion.queues
        results = await self._asking.ask_all(
            lambda ops: self._inserter.insert(ops, insertion, notify), tx
        )
        self._inserted(queues, tx)
        return results

    async def insert_fast(self, jobs: Jobs, tx: object | None) -> int:
        """Insert and read nothing back; the number inserted."""
        insertion = self._inserter.begin(jobs)
        notify, queues = self._to_notify(insertion, tx), insertion.queues
        count = await self._asking.ask_all(
            lambda ops: self._inserter.insert_fast(ops, insertion, notify), tx
        )
        self._inserted(queues, tx)
        return count

    async def insert_periodic(
        self,
        jobs: Sequence[PeriodicInsert],
        run: Callable[[Script[Any]], Awaitable[Any]],
    ) -> int:
        """Insert what periodic jobs have made, in the transaction that `run` opens; how many are new."""
        insertion = self._inserter.begin_periodic(jobs)
        notify, queues = self._to_notify(insertion, None), insertion.queues
        results: list[InsertResult] = await run(
            self._inserter.insert(self._asking.operations, insertion, notify)
        )
        self._inserted(queues, None)
        return sum(not result.unique_skipped_as_duplicate for result in results)

    async def close(self) -> None:
        await self.limiter.close()

    def _to_notify(self, insertion: Insertion, tx: object | None) -> list[str]:
        """The queues to notify with the insert; decided here, as SQLite scripts run on a thread.

        In the caller's transaction always, since only its commit may wake a worker, and nobody knows
        when that comes; the same notification twice in a transaction is sent once.
        """
        queues = sorted(insertion.queues)
        if tx is not None:
            return queues
        return [queue for queue in queues if self.limiter.allows_or_owes(queue)]

    def _inserted(self, queues: set[str], tx: object | None) -> None:
        if tx is None:
            self._wake(queues)

    async def _notify(self, queue: str) -> None:
        payload = insert_payload(queue)
        await self._asking.ask(lambda ops: ops.notifications.notify(INSERT, [payload]))
