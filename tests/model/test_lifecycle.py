"""How an attempt's end becomes a state: the table, and what holds for all of it."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riverrun.model.attempt_error import AttemptError
from riverrun.model.event import EventKind, event_for
from riverrun.model.job import JobRow, JobState
from riverrun.model.lifecycle import SHORT_DELAY, SUCCESS, TRANSITIONS, decide
from riverrun.model.outcome import (
    COMPLETED,
    INTERRUPTED,
    Cancel,
    Discard,
    Failed,
    Outcome,
    Snooze,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ERROR = AttemptError(at=NOW, attempt=3, error="x")
JOB = JobRow(
    id=1, state=JobState.RUNNING, kind="k", queue="default", priority=1, attempt=3, max_attempts=5,
    created_at=NOW, scheduled_at=NOW, attempted_at=NOW,
)  # fmt: skip
LAST = msgspec.structs.replace(JOB, attempt=5)
SOON, LATE = timedelta(seconds=5), timedelta(seconds=5, milliseconds=1)


@pytest.mark.parametrize(
    ("job", "outcome", "delay", "state", "attempt", "reason"),
    [
        (JOB, COMPLETED, SOON, JobState.COMPLETED, None, EventKind.JOB_COMPLETED),
        (LAST, COMPLETED, SOON, JobState.COMPLETED, None, EventKind.JOB_COMPLETED),
        (JOB, Cancel("x"), SOON, JobState.CANCELLED, None, EventKind.JOB_CANCELLED),
        (JOB, Discard("x"), SOON, JobState.DISCARDED, None, EventKind.JOB_FAILED),
        (JOB, Failed("x"), SOON, JobState.AVAILABLE, None, EventKind.JOB_FAILED),
        (JOB, Failed("x"), LATE, JobState.RETRYABLE, None, EventKind.JOB_FAILED),
        (LAST, Failed("x"), SOON, JobState.DISCARDED, None, EventKind.JOB_FAILED),
        (JOB, Snooze(5), SOON, JobState.AVAILABLE, 2, EventKind.JOB_SNOOZED),
        (LAST, Snooze(6), SOON, JobState.SCHEDULED, 4, EventKind.JOB_SNOOZED),
        (JOB, INTERRUPTED, SOON, JobState.AVAILABLE, 2, EventKind.JOB_INTERRUPTED),
        (LAST, INTERRUPTED, SOON, JobState.AVAILABLE, 4, EventKind.JOB_INTERRUPTED),
    ],
)
def test_what_becomes_of_a_job(  # noqa: PLR0917 - one row of the table
    job: JobRow,
    outcome: Outcome,
    delay: timedelta,
    state: JobState,
    attempt: int | None,
    reason: EventKind,
) -> None:
    update = decide(job, outcome, error=ERROR, delay=delay)
    assert (update.state, update.attempt, update.reason) == (state, attempt, reason)


def test_a_plain_success_is_one_shared_value() -> None:
    assert decide(JOB, COMPLETED, delay=SOON) is SUCCESS


def test_snoozes_are_counted_in_the_metadata_whatever_was_there() -> None:
    counts = (
        (None, 1), ('{"snoozes":4}', 5), ('{"snoozes":"many"}', 1), ('{"snoozes":"4"}', 5),
        ('{"snoozes":" 4"}', 1), ('{"snoozes":-2.5}', -1), ('{"snoozes":true}', 2),
        ('{"snoozes":1e400}', 1), ('{"snoozes":1,"large":1e400}', 2), ("[]", 1),
    )  # fmt: skip
    for stored, expected in counts:
        job = msgspec.structs.replace(JOB, encoded_metadata=stored)
        assert decide(job, Snooze(1), delay=SOON).metadata == {"snoozes": expected}


outcomes = st.one_of(
    st.sampled_from([COMPLETED, INTERRUPTED, Cancel("x"), Discard("x"), Failed("x")]),
    st.builds(Snooze, st.integers(0, 10**6)),
)


@given(st.integers(0, 40), st.integers(1, 40), outcomes, st.timedeltas(timedelta(0), timedelta(9)))
def test_every_end_is_a_legal_transition(
    attempt: int, most: int, outcome: Outcome, delay: timedelta
) -> None:
    job = msgspec.structs.replace(JOB, attempt=attempt, max_attempts=most)
    update = decide(job, outcome, error=ERROR, delay=delay)
    assert update.state in TRANSITIONS[JobState.RUNNING]
    assert (update.delay is None) == update.state.finalized
    assert update.attempt is None or 0 <= update.attempt <= attempt
    if update.state in (JobState.SCHEDULED, JobState.RETRYABLE):
        assert update.delay is not None
        assert update.delay > SHORT_DELAY


@pytest.mark.parametrize(
    ("stored", "reason", "event"),
    [
        (JobState.COMPLETED, EventKind.JOB_FAILED, EventKind.JOB_COMPLETED),
        (JobState.CANCELLED, EventKind.JOB_SNOOZED, EventKind.JOB_CANCELLED),
        (JobState.DISCARDED, EventKind.JOB_FAILED, EventKind.JOB_FAILED),
        (JobState.RETRYABLE, EventKind.JOB_FAILED, EventKind.JOB_FAILED),
        (JobState.SCHEDULED, EventKind.JOB_SNOOZED, EventKind.JOB_SNOOZED),
        (JobState.AVAILABLE, EventKind.JOB_SNOOZED, EventKind.JOB_SNOOZED),
        (JobState.AVAILABLE, EventKind.JOB_INTERRUPTED, EventKind.JOB_INTERRUPTED),
        (JobState.AVAILABLE, EventKind.JOB_COMPLETED, EventKind.JOB_FAILED),
        (JobState.PENDING, EventKind.JOB_FAILED, None),
        (JobState.RUNNING, EventKind.JOB_COMPLETED, None),
    ],
)
def test_the_event_follows_the_stored_state(
    stored: JobState, reason: EventKind, event: EventKind | None
) -> None:
    assert event_for(stored, reason) is event
