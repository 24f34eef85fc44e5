"""When a failed job is tried again.

A policy answers with a time. Whatever a policy or a worker answers that cannot be meant (no zone, a
time gone by, an exception) is replaced by the default policy's answer: one bad job must not keep
others from being written.
"""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from riverrun.model.errors import RiverError
from riverrun.model.job import JobRow

MAX_DELAY = timedelta(microseconds=9_223_372_036_854_775)
"""About 292 years: the longest duration that Go can hold, and so the longest delay of River's."""

_LAST_TIME = datetime.max.replace(tzinfo=UTC)
_JITTER = 0.1


class RetryPolicy(Protocol):
    """Says when a job that failed runs again."""

    def next_retry(self, job: JobRow, now: datetime) -> datetime:
        """An aware time, not before `now`; `job` is the row without the failure of this attempt."""
        ...


class DefaultRetryPolicy:
    """River's: the number of errors to the power of four, in seconds, give or take a tenth.

    `jitter` gives a number from 0 up to 1, for tests that want to know what comes.
    """

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter

    def next_retry(self, job: JobRow, now: datetime) -> datetime:
        delay = self.delay(_error_count(job) + 1)
        return now + delay if delay <= _LAST_TIME - now else _LAST_TIME

    def delay(self, errors: int) -> timedelta:
        """How long to wait after the failure that was number `errors`."""
        base = errors**4
        if base >= MAX_DELAY.total_seconds():
            return MAX_DELAY
        return min(MAX_DELAY, timedelta(seconds=base * (1 + _JITTER * (2 * self._jitter() - 1))))


_default = DefaultRetryPolicy()


def retry_delay(
    job: JobRow,
    policy: RetryPolicy,
    now: datetime,
    wish: datetime | None = None,
    *,
    warn: Callable[[str], None] | None = None,
) -> timedelta:
    """How long until `job` is tried again: by the worker's `wish`, else by `policy`.

    What cannot be used is told to `warn`, and the default policy decides instead. Never raises.
    """
    try:
        return _delay(policy.next_retry(job, now) if wish is None else wish, now)
    except BaseException as error:  # noqa: BLE001 - a policy is somebody else's code
        if warn is not None:
            warn(f"job {job.id}: retry time is unusable, the default policy decides: {error!r}")
        return _default.next_retry(job, now) - now


def _delay(at: datetime, now: datetime) -> timedelta:
    if at.utcoffset() is None:
        raise ValueError(f"{at.isoformat()} has no time zone")
    if at < now:
        raise ValueError(f"{at.isoformat()} is before {now.isoformat()}")
    return at - now


def _error_count(job: JobRow) -> int:
    """Errors stored so far; where they cannot be read, the attempts say almost the same."""
    if job.encoded_errors is None:
        return 0
    try:
        return len(job.errors)
    except RiverError:
        return max(job.attempt - 1, 0)
