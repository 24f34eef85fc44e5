"""Makes scheduled and retryable jobs available when their time comes.

It looks one interval ahead: a job due within that is made available early, with its time left as it
is, and the claim statement holds it back until then. Only a job that is inserted with a time nearer
than one interval may have to wait for the next round.

The queues of due jobs are notified in the same transaction, always: one notification for a queue and
a batch is little, and one that is held back, as those of inserts are, could be lost with the term.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import random as _random

from riverrun.drivers.statement import Script
from riverrun.maintenance.batches import BatchBreaker, BatchedService
from riverrun.model.errors import StatementTimeoutError
from riverrun.model.notification import INSERT, insert_payload
from riverrun.runtime.handle import DatabaseHandle


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSchedulerOptions:
    """In seconds: how often to look, which is also how far ahead, and for one transaction."""

    interval: float = 5.0
    timeout: float = 30.0


class JobScheduler(BatchedService):
    """Leader only; every 5 seconds. `on_scheduled` hears which queues have jobs that are due."""

    done = "jobs scheduled"

    def __init__(
        self,
        db: DatabaseHandle,
        options: JobSchedulerOptions | None = None,
        breaker: BatchBreaker | None = None,
        *,
        on_scheduled: Callable[[set[str]], None] = lambda _queues: None,
        random: Callable[[], float] = _random,
    ) -> None:
        self._options = options or JobSchedulerOptions()
        super().__init__(db.clock, breaker, interval=self._options.interval, random=random)
        self._db = db
        self._on_scheduled = on_scheduled

    async def batch(self, limit: int) -> int:
        seconds = self._options.timeout
        try:
            async with asyncio.timeout(seconds):
                moved, queues = await self._db.transact(self._schedule(limit))
        except TimeoutError as error:
            raise StatementTimeoutError(f"schedule_jobs timed out after {seconds:g} s") from error
        self._on_scheduled(queues)
        return moved

    def _schedule(self, limit: int) -> Script[tuple[int, set[str]]]:
        jobs = yield from self._db.operations.jobs.schedule(
            limit, look_ahead=self.interval, now=self._db.now
        )
        queues = {job.queue for job in jobs if job.due and not job.discarded}
        if queues:
            yield self._db.operations.notifications.notify(
                INSERT, _payloads(queues), now=self._db.now
            )
        return len(jobs), queues


def _payloads(queues: Iterable[str]) -> list[str]:
    return [insert_payload(queue) for queue in sorted(queues)]
