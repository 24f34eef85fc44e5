"""What is done about a handler that still runs when its timeout comes.

    timeout ──► cancelled (a thread: told) ──threshold──► stuck ──it ends after all──► unstuck

A job that is stuck goes on holding its slot, unless the user's handler for stuck jobs says to let
another run beside it. Only a timeout begins the watch, but then it goes on whatever else happens,
a stop of the client included.
"""

import asyncio
import logging
from typing import Any

from riverrun.model.extension import JobStuckHandler, StuckJob
from riverrun.worker.attempt import Attempt
from riverrun.worker.context import CancelCause, Job

logger = logging.getLogger("riverrun.worker")


class StuckJobs:
    """The jobs of a client that are stuck: their number, and who is told. `threshold` is in seconds."""

    def __init__(self, threshold: float, handler: JobStuckHandler | None = None) -> None:
        self.threshold = threshold
        self.count = 0
        self._handler = handler

    def add(self, attempt: Attempt, job: Job[Any]) -> None:
        """Count a job that has just got stuck, and tell of it."""
        self.count += 1
        try:
            logger.warning(
                "Job appears to be stuck: job %d (%s) runs on %g s after its timeout of %g s",
                attempt.row.id, attempt.row.kind, self.threshold, job.timeout,
            )  # fmt: skip
            attempt.add_slot = self._ask_handler(attempt)
        finally:
            if attempt.owner is not None:
                attempt.owner.stuck(attempt)

    def remove(self, attempt: Attempt) -> None:
        """Its handler has ended."""
        self.count -= 1
        if attempt.owner is not None:
            attempt.owner.unstuck(attempt)
        logger.info("Job became unstuck: job %d (%s)", attempt.row.id, attempt.row.kind)

    def _ask_handler(self, attempt: Attempt) -> bool:
        """Whether the user's handler wants another slot; what it raises is logged."""
        if self._handler is None:
            return False
        row = attempt.row
        stuck = StuckJob(id=row.id, kind=row.kind, queue=row.queue, total_stuck_jobs=self.count)
        try:
            result = self._handler(stuck)
            add_slot = result is not None and result.add_worker_slot
        except BaseException:
            logger.exception("job_stuck_handler raised for job %d (%s)", row.id, row.kind)
            add_slot = False
        return add_slot


class Overrun:
    """A handler whose timeout has just come: it is cancelled, and watched until `end`."""

    __slots__ = ("_attempt", "_job", "_stuck", "_stuck_jobs", "_timer", "interrupted")

    def __init__(self, attempt: Attempt, job: Job[Any], stuck_jobs: StuckJobs) -> None:
        self._attempt = attempt
        self._job = job
        self._stuck_jobs = stuck_jobs
        self._stuck = False
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(stuck_jobs.threshold, self._watch_ends)
        self.interrupted = job.cancel(CancelCause.TIMEOUT) and attempt.interrupt()

    def end(self) -> None:
        """The handler has returned or raised; a cancel that was for it alone is over."""
        self._timer.cancel()
        if self.interrupted and self._attempt.task is not None:
            self._attempt.task.uncancel()
        if self._stuck:
            self._stuck_jobs.remove(self._attempt)

    def _watch_ends(self) -> None:
        self._stuck = True
        self._stuck_jobs.add(self._attempt, self._job)
