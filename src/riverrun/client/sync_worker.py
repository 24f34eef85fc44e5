"""The worker of a program without an event loop: a `Client` on a loop in a thread of its own."""

from riverrun.client.client import Client
from riverrun.client.config import Config
from riverrun.client.options import options_of
from riverrun.client.served_queues import ServedQueues
from riverrun.drivers.statement import Database
from riverrun.model.duration import Duration
from riverrun.model.job import JobRow
from riverrun.worker.subscriptions import Subscriptions


class LoopClient(Client):
    """What `current_client()` is in its handlers; and what its synchronous owner needs of it.

    All of it belongs to the loop, but for the subscriptions.
    """

    def __init__(self, database: Database, config: Config) -> None:
        super().__init__(database, **options_of(config))

    @property
    def is_started(self) -> bool:
        """Whether it works, or has not quite stopped."""
        return self._half is not None

    @property
    def served(self) -> ServedQueues:
        return self._served

    def events(self) -> Subscriptions:
        """Who hears its events; raises `LifecycleError` on a client that works no jobs."""
        return self._heard()

    async def begin(self) -> None:
        """Start, or leave nothing open."""
        try:
            await self.start()
        except BaseException:
            await self._let_go()
            raise

    async def end(self, *, soft: Duration | None, hard: Duration | None) -> int:
        """Stop, and let the connections go; how many jobs were left behind."""
        left = await self.stop(soft=soft, hard=hard)
        await self._let_go()
        return left

    def inserted(self, queues: set[str]) -> None:
        """Its owner has inserted jobs into these queues."""
        self._wake(queues)

    def cancelled(self, job: JobRow) -> None:
        """Its owner has cancelled this job."""
        self._cancelled_here(job)

    def set_eligible(self, *, eligible: bool) -> None:
        self.leader_eligible = eligible

    async def _let_go(self) -> None:
        """Unless somebody has started it anew meanwhile."""
        if not self.is_started:
            await self.close()
