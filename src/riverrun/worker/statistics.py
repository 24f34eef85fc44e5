"""Says in the log, every five seconds, what was worked, if there is anything new to say.

A line for each queue at INFO: jobs that ended since the last look, that run, and that are stuck. A
line for the client at DEBUG: how long the jobs since the last line waited, ran, and took to be
written, on average. The second needs the events of all jobs, so nobody collects them at INFO.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Protocol

from riverrun.model.event import Event, JobStats
from riverrun.runtime.clock import Clock
from riverrun.runtime.service import PeriodicService
from riverrun.worker.slots import JobCounts

logger = logging.getLogger("riverrun.statistics")

INTERVAL = 5.0


class Counted(Protocol):
    """A queue that is worked."""

    @property
    def queue(self) -> str: ...

    def count(self) -> JobCounts: ...


class Statistics(PeriodicService):
    """One for a client; hears of each job by `add` if it `wants_events`."""

    first_pause = INTERVAL

    def __init__(self, clock: Clock, queues: Callable[[], Iterable[Counted]]) -> None:
        super().__init__(clock)
        self._queues = queues
        self._last: dict[str, JobCounts] = {}
        self._jobs: list[JobStats] = []

    @property
    def wants_events(self) -> bool:
        return logger.isEnabledFor(logging.DEBUG)

    def add(self, event: Event) -> None:
        """Take a job's times into account."""
        if event.stats is not None and self.wants_events:
            self._jobs.append(event.stats)

    async def tick(self) -> float:
        for queue in self._queues():
            self._say_if_changed(queue.queue, queue.count())
        self._say_averages()
        return INTERVAL

    def _say_if_changed(self, queue: str, counts: JobCounts) -> None:
        if counts == self._last.get(queue, JobCounts()):
            return
        self._last[queue] = counts
        logger.info(
            "Producer job counts: queue %s: %d completed, %d running, %d stuck", queue, *counts
        )

    def _say_averages(self) -> None:
        if not self.wants_events:
            return
        jobs, self._jobs = self._jobs, []
        logger.debug(
            "Client job statistics: %d jobs; on average %.1f ms waiting, %.1f ms running, "
            "%.1f ms until written",
            len(jobs),
            _average([stats.queue_wait for stats in jobs]),
            _average([stats.run for stats in jobs]),
            _average([stats.complete for stats in jobs]),
        )


def _average(durations: Sequence[timedelta]) -> float:
    """In milliseconds; 0 of none."""
    if not durations:
        return 0.0
    return sum(durations, timedelta(0)) / len(durations) / timedelta(milliseconds=1)
