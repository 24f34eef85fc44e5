"""What a client tells about its own jobs and queues."""

from datetime import timedelta
from enum import StrEnum

import msgspec

from riverrun.model.job import JobRow, JobState


class EventKind(StrEnum):
    """The kinds of events, named as in every River client."""

    JOB_COMPLETED = "job_completed"
    JOB_FAILED = "job_failed"
    JOB_CANCELLED = "job_cancelled"
    JOB_SNOOZED = "job_snoozed"
    JOB_INTERRUPTED = "job_interrupted"
    QUEUE_PAUSED = "queue_paused"
    QUEUE_RESUMED = "queue_resumed"


class JobStats(msgspec.Struct, frozen=True, kw_only=True):
    """How long an attempt waited, ran, and took to be written."""

    queue_wait: timedelta
    run: timedelta
    complete: timedelta


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event; `job` is the row as it was written, `queue` the name of the queue."""

    kind: EventKind
    queue: str
    job: JobRow | None = None
    stats: JobStats | None = None


_BY_STATE = {
    JobState.COMPLETED: EventKind.JOB_COMPLETED,
    JobState.CANCELLED: EventKind.JOB_CANCELLED,
    JobState.DISCARDED: EventKind.JOB_FAILED,
    JobState.RETRYABLE: EventKind.JOB_FAILED,
    JobState.SCHEDULED: EventKind.JOB_SNOOZED,
}
_REASONS_FOR_AVAILABLE = frozenset(
    {EventKind.JOB_FAILED, EventKind.JOB_INTERRUPTED, EventKind.JOB_SNOOZED}
)


def event_for(state: JobState, reason: EventKind) -> EventKind | None:
    """The event that the *stored* state calls for; None where somebody else moved the job on.

    The reason that was asked for decides only among the outcomes that end in `available`.
    """
    if state is JobState.AVAILABLE:
        return reason if reason in _REASONS_FOR_AVAILABLE else EventKind.JOB_FAILED
    return _BY_STATE.get(state)
