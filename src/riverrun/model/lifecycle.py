"""How a job moves from state to state, and the one place where the end of an attempt is decided.

    insert ──► available ──claim──► running ──► completed
       │          ▲  ▲                 │  ├───► cancelled     by itself, or asked to
       │          │  └── short delay ──┤  ├───► discarded     attempts used up, or given up
       ├──► scheduled ◄── snooze ──────┤  │
       │          │                    │  │
       │      retryable ◄── failure ───┘  │
       └──► pending          (a retry by a person: any state but running ──► available)

`decide` is pure and total: an outcome becomes a *requested* state. The statement that writes it may
only turn a request that would run the job again into `cancelled`, when a cancel is pending on the row.
Times are delays, since only the database's clock decides what is due.
"""

import math
import re
from datetime import timedelta
from typing import assert_never

import msgspec

from riverrun.model.attempt_error import AttemptError
from riverrun.model.event import EventKind
from riverrun.model.job import JobRow, JobState
from riverrun.model.outcome import (
    Cancel,
    Completed,
    Discard,
    Failed,
    Interrupted,
    Outcome,
    Snooze,
)

SHORT_DELAY = timedelta(seconds=5)
"""A retry or snooze at most this far away is `available` at once with a future `scheduled_at`.

It equals the interval of the job scheduler, which looks as far ahead.
"""

_WHOLE_NUMBER = re.compile(r"-?\d{1,18}\Z", re.ASCII)

TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.AVAILABLE: frozenset({JobState.RUNNING, JobState.CANCELLED, JobState.AVAILABLE}),
    JobState.CANCELLED: frozenset({JobState.AVAILABLE}),
    JobState.COMPLETED: frozenset({JobState.AVAILABLE}),
    JobState.DISCARDED: frozenset({JobState.AVAILABLE}),
    JobState.PENDING: frozenset({JobState.AVAILABLE, JobState.CANCELLED}),
    JobState.RETRYABLE: frozenset({JobState.AVAILABLE, JobState.CANCELLED, JobState.DISCARDED}),
    JobState.RUNNING: frozenset(set(JobState) - {JobState.RUNNING, JobState.PENDING}),
    JobState.SCHEDULED: frozenset({JobState.AVAILABLE, JobState.CANCELLED, JobState.DISCARDED}),
}
"""Which state may follow which: claims and outcomes, the scheduler, and what people ask for."""


class JobUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written about one attempt.

    `delay` is counted from the moment of writing; None leaves `scheduled_at` alone. `attempt` is the
    new value, None leaves it. `reason` is the event to send if the row ends up `available`.
    """

    state: JobState
    reason: EventKind
    delay: timedelta | None = None
    attempt: int | None = None
    error: AttemptError | None = None
    metadata: dict[str, object] | None = None


SUCCESS = JobUpdate(state=JobState.COMPLETED, reason=EventKind.JOB_COMPLETED)
"""The one update that most jobs end in, shared, with nothing else to write."""


def decide(
    job: JobRow, outcome: Outcome, *, error: AttemptError | None = None, delay: timedelta
) -> JobUpdate:
    """What becomes of `job`: `error` describes the attempt, `delay` is when a failure is retried."""
    match outcome:
        case Completed():
            return SUCCESS
        case Snooze():
            return _snoozed(job, outcome.delay)
        case Interrupted():
            return JobUpdate(
                state=JobState.AVAILABLE,
                reason=EventKind.JOB_INTERRUPTED,
                delay=timedelta(0),
                attempt=max(job.attempt - 1, 0),
            )
        case Cancel():
            return JobUpdate(state=JobState.CANCELLED, reason=EventKind.JOB_CANCELLED, error=error)
        case Discard():
            return JobUpdate(state=JobState.DISCARDED, reason=EventKind.JOB_FAILED, error=error)
        case Failed():
            return _failed(job, error, delay)
        case _:
            assert_never(outcome)


def _snoozed(job: JobRow, delay: timedelta) -> JobUpdate:
    return JobUpdate(
        state=JobState.AVAILABLE if delay <= SHORT_DELAY else JobState.SCHEDULED,
        reason=EventKind.JOB_SNOOZED,
        delay=delay,
        attempt=max(job.attempt - 1, 0),
        metadata={"snoozes": _snooze_count(job) + 1},
    )


def _snooze_count(job: JobRow) -> int:
    """How often the job was snoozed before, by River's rules for what else may stand there.

    The other members are not decoded: a number that Python cannot hold must not keep a job from its
    snooze.
    """
    try:
        members = msgspec.json.decode(job.encoded_metadata or "{}", type=dict[str, msgspec.Raw])
        count: object = msgspec.json.decode(members.get("snoozes", b"0"))
    except msgspec.DecodeError:
        return 0
    if isinstance(count, str):
        return int(count) if _WHOLE_NUMBER.match(count) else 0
    return int(count) if isinstance(count, int | float) and math.isfinite(count) else 0


def _failed(job: JobRow, error: AttemptError | None, delay: timedelta) -> JobUpdate:
    if job.attempt >= job.max_attempts:
        return JobUpdate(state=JobState.DISCARDED, reason=EventKind.JOB_FAILED, error=error)
    state = JobState.AVAILABLE if delay <= SHORT_DELAY else JobState.RETRYABLE
    return JobUpdate(state=state, reason=EventKind.JOB_FAILED, delay=delay, error=error)
