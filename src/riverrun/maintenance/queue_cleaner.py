"""Forgets the queues that no client has served for a day, and with them whether they were paused.

Clients say every ten minutes which queues they serve, paused ones too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import random as _random

from riverrun.maintenance.batches import BatchBreaker, BatchedService
from riverrun.runtime.handle import DatabaseHandle


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueCleanerOptions:
    """In seconds: how long an unserved queue is kept, how often to look, and for one statement."""

    retention: float = 86_400.0
    interval: float = 3_600.0
    timeout: float = 30.0


class QueueCleaner(BatchedService):
    """Leader only; every hour."""

    done = "queues deleted"

    def __init__(
        self,
        db: DatabaseHandle,
        options: QueueCleanerOptions | None = None,
        breaker: BatchBreaker | None = None,
        *,
        random: Callable[[], float] = _random,
    ) -> None:
        self._options = options or QueueCleanerOptions()
        super().__init__(db.clock, breaker, interval=self._options.interval, random=random)
        self._db = db

    async def batch(self, limit: int) -> int:
        names = await self._db.run(
            self._db.operations.queues.delete_expired(
                self._options.retention,
                limit=limit,
                timeout=self._options.timeout,
                now=self._db.now,
            )
        )
        return len(names)
