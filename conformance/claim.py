"""The claim barrier: the jobs of the first claim that finds any are held back, claimed but not begun.

Between a claim and the worker there is nothing that an extension of riverrun's could wait in but
middleware. So the jobs are held there: what happens to them meanwhile happens to an attempt whose
worker was not called yet. Which jobs they are, the metric of the claim tells, which comes before them.
"""

import asyncio

from conformance.barriers import Barriers
from riverrun import CallNext, FetchCountMetric, JobRow, Metric


class ClaimBarrier:
    """A plugin for one client."""

    def __init__(self, barriers: Barriers, name: str) -> None:
        self._barriers = barriers
        self._name = name
        self._queue: str | None = None
        self._to_hold = 0

    def metric_emit(self, metric: Metric) -> None:
        """Remember the first claim that found something."""
        if isinstance(metric, FetchCountMetric) and metric.count > 0 and self._queue is None:
            self._queue, self._to_hold = metric.queue, metric.count

    async def work(self, job: JobRow, call_next: CallNext) -> None:
        """Hold the jobs of that claim, and let the others pass."""
        if job.queue == self._queue and self._to_hold > 0:
            self._to_hold -= 1
            await self._hold()
        await call_next(job)

    async def _hold(self) -> None:
        """A cancellation does not end this: the worker is to begin, and to find itself cancelled."""
        while True:
            try:
                return await self._barriers.wait(self._name)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None:
                    task.uncancel()
