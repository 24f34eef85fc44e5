"""What is counted from a start on."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from riverrun import Cancel, EventKind, JobRow, Subscription

EVENTS = (
    EventKind.JOB_CANCELLED,
    EventKind.JOB_COMPLETED,
    EventKind.JOB_FAILED,
    EventKind.JOB_SNOOZED,
    EventKind.QUEUE_PAUSED,
    EventKind.QUEUE_RESUMED,
)
BUFFER = 1_000_000
"""Events that may wait; none may be missed."""


@dataclass
class Stats:
    """The members are those of the answer to `stats`."""

    cancelled_at_start: int = 0
    error_handler_calls: int = 0
    events: list[str] = field(default_factory=list[str])
    periodic_starts: int = 0

    def cancel_every_failure(self, job: JobRow, error: BaseException) -> Cancel:
        """An error handler."""
        self.error_handler_calls += 1
        return Cancel()

    def periodic_jobs_start(self, jobs: Sequence[Any]) -> None:
        """A hook, called once for each term in which this client leads."""
        self.periodic_starts += 1

    def collect(self, subscription: Subscription) -> asyncio.Task[None]:
        """Note the name of each event as it comes."""
        return asyncio.create_task(self._collect(subscription))

    async def _collect(self, subscription: Subscription) -> None:
        async for event in subscription:
            self.events.append(event.kind.value)
