"""Empties SQLite's outbox of notifications that everybody has read who wanted to.

PostgreSQL needs none of it: its notifications are not kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import random as _random

from riverrun.maintenance.batches import BatchBreaker, BatchedService
from riverrun.runtime.handle import DatabaseHandle


@dataclass(frozen=True, kw_only=True, slots=True)
class NotificationCleanerOptions:
    """In seconds: how long notifications are kept, how often to look, and for one statement."""

    retention: float = 300.0
    interval: float = 60.0
    timeout: float = 30.0


class NotificationCleaner(BatchedService):
    """Leader only, on SQLite only; every minute."""

    done = "notifications deleted"

    def __init__(
        self,
        db: DatabaseHandle,
        options: NotificationCleanerOptions | None = None,
        breaker: BatchBreaker | None = None,
        *,
        random: Callable[[], float] = _random,
    ) -> None:
        self._options = options or NotificationCleanerOptions()
        super().__init__(db.clock, breaker, interval=self._options.interval, random=random)
        self._db = db

    async def batch(self, limit: int) -> int:
        return await self._db.run(
            self._db.operations.notifications.delete_before(
                timedelta(seconds=self._options.retention),
                limit=limit,
                timeout=self._options.timeout,
                now=self._db.now,
            )
        )
