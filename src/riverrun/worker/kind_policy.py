"""What the leader has to know about kinds of jobs, out of the registry of workers.

It answers as the executor would act: the same timeout, and the same next try after a failure. What
it asks is the users' own code, and may raise anything: then the client's settings decide, and the
log says so once for each kind.
"""

import logging
import math
from datetime import datetime, timedelta
from typing import Any

from riverrun.model.errors import JobTimeoutError
from riverrun.model.job import JobRow
from riverrun.model.retry import RetryPolicy, retry_delay
from riverrun.runtime.clock import Clock
from riverrun.runtime.kind_policy import RESCUED
from riverrun.worker.context import Job
from riverrun.worker.registry import Handler, Workers

logger = logging.getLogger("riverrun.maintenance")


class WorkersKindPolicy:
    """A `KindPolicy` over `workers`.

    `job_timeout`, in seconds, None for no limit, and `retry_policy` are the client's own: for workers
    that say nothing, and for kinds that nobody here works.
    """

    def __init__(
        self,
        workers: Workers,
        clock: Clock,
        *,
        job_timeout: float | None,
        retry_policy: RetryPolicy,
    ) -> None:
        self._workers = workers
        self._clock = clock
        self._job_timeout = job_timeout
        self._retry_policy = retry_policy
        self._complaints: set[tuple[str, str]] = set()

    def knows(self, kind: str) -> bool:
        return kind in self._workers

    def timeout(self, row: JobRow) -> float:
        handler = self._workers.get(row.kind)
        if handler is None:
            return _or_infinity(self._job_timeout)
        job = _job(handler, row)
        return 0.0 if job is None else _or_infinity(self._timeout_of(handler, job))

    def retry_delay(self, row: JobRow) -> timedelta:
        wish, now = self._wish(row), self._clock.now()
        return retry_delay(
            row,
            self._retry_policy,
            now,
            wish,
            warn=lambda text: self._complain(row.kind, "retry time", text),
        )

    def _timeout_of(self, handler: Handler, job: Job[Any]) -> float | None:
        try:
            return handler.timeout_for(job, self._job_timeout)
        except BaseException as error:  # noqa: BLE001 - P14: the worker's own `job_timeout`
            self._complain(job.kind, "job_timeout", f"the client's counts instead: {error!r:.500}")
            return self._job_timeout

    def _wish(self, row: JobRow) -> datetime | None:
        """The worker's own, asked for only if the args can be read; None leaves it to the policy."""
        handler = self._workers.get(row.kind)
        if handler is None or handler.next_retry is None:
            return None
        job = _job(handler, row)
        if job is None:
            return None
        try:
            wish: datetime | None = handler.next_retry(job, JobTimeoutError(RESCUED))
        except BaseException as error:  # noqa: BLE001 - P14: the worker's own `next_retry`
            self._complain(row.kind, "next_retry", f"the retry policy decides: {error!r:.500}")
            return None
        return wish

    def _complain(self, kind: str, about: str, text: str) -> None:
        """Once for each kind: a page may hold ten thousand jobs of it."""
        if (kind, about) not in self._complaints:
            self._complaints.add((kind, about))
            logger.warning("%s of kind %r could not be used; %s", about, kind, text)


def _job(handler: Handler, row: JobRow) -> Job[Any] | None:
    """The job as its worker would see it; None if it never would."""
    try:
        row.check_decodable()
        return Job(row, handler.codec.decode(row.encoded_args))
    except BaseException:  # noqa: BLE001 - P14: args are read by the users' own classes
        return None


def _or_infinity(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds
