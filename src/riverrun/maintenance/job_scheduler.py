"""Makes scheduled and retryable jobs available when their time comes.

It looks one interval ahead: a job due within that is made available early, with its time left as it
is, and the claim statement holds it back until then. Only a job that is inserted with a time nearer
than one interval may have to wait for the next round.
"""

from collections.abc import Callable, Iterable

from riverrun.drivers.statement import Script
from riverrun.model.notification import INSERT, insert_payload
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.service import PeriodicService

INTERVAL = 5.0
BATCH = 10_000


class JobScheduler(PeriodicService):
    """Leader only; one transaction a batch, in which the queues of due jobs are notified too."""

    def __init__(
        self,
        db: DatabaseHandle,
        may_notify: Callable[[str], bool] = lambda _queue: True,
        on_scheduled: Callable[[set[str]], None] = lambda _queues: None,
    ) -> None:
        super().__init__(db.clock)
        self._db = db
        self._may_notify = may_notify
        self._on_scheduled = on_scheduled

    async def tick(self) -> float:
        moved, queues = await self._db.transact(self._schedule())
        self._on_scheduled(queues)
        return 0 if moved == BATCH else INTERVAL

    def _schedule(self) -> Script[tuple[int, set[str]]]:
        jobs = yield from self._db.operations.jobs.schedule(
            BATCH, look_ahead=INTERVAL, now=self._db.now
        )
        queues = {job.queue for job in jobs if job.due and not job.discarded}
        payloads = self._payloads(queues)
        if payloads:
            yield self._db.operations.notifications.notify(INSERT, payloads)
        return len(jobs), queues

    def _payloads(self, queues: Iterable[str]) -> list[str]:
        return [insert_payload(queue) for queue in sorted(queues) if self._may_notify(queue)]
