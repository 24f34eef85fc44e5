"""The demo's judgement: it says so when a job did not end as planned."""

from datetime import UTC, datetime

import msgspec

from riverrun import Event, EventKind, InsertResult, JobRow, JobState
from riverrun.cli.demo_board import Board
from riverrun.cli.demo_jobs import PlannedJob

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ROW = JobRow(
    id=7,
    state=JobState.AVAILABLE,
    kind="send_mail",
    queue="demo",
    priority=1,
    attempt=0,
    max_attempts=3,
    created_at=NOW,
    scheduled_at=NOW,
)


def board_with(planned: PlannedJob, *, skipped: bool = False) -> Board:
    board = Board()
    board.inserted(planned, InsertResult(ROW, skipped))
    return board


def ended(state: JobState, attempt: int) -> Event:
    row = msgspec.structs.replace(ROW, state=state, attempt=attempt, attempted_at=NOW)
    return Event(kind=EventKind.JOB_COMPLETED, queue="demo", job=row)


def test_a_job_that_ends_as_planned_is_no_problem() -> None:
    board = board_with(PlannedJob(args=None))
    board.happened(ended(JobState.COMPLETED, 1))
    assert board.problems == []
    assert board.running == []


def test_a_job_that_has_not_ended_is_a_problem() -> None:
    board = board_with(PlannedJob(args=None))
    assert board.problems == [
        "#7 send_mail: available after attempt 0, not completed after attempt 1"
    ]


def test_a_job_that_ended_otherwise_is_a_problem() -> None:
    board = board_with(PlannedJob(args=None))
    board.happened(ended(JobState.COMPLETED, 2))
    assert board.problems == [
        "#7 send_mail: completed after attempt 2, not completed after attempt 1"
    ]


def test_a_duplicate_that_was_not_planned_is_a_problem() -> None:
    board = board_with(PlannedJob(args=None), skipped=True)
    assert board.problems == ["send_mail: skipped as duplicate is True"]


def test_a_job_is_told_once_to_have_begun() -> None:
    board = board_with(PlannedJob(args=None))
    row = msgspec.structs.replace(ROW, state=JobState.RUNNING, attempt=1, attempted_at=NOW)
    assert "running    attempt 1" in str(board.seen(row))
    assert board.seen(row) is None


def test_events_of_other_jobs_are_none_of_its_business() -> None:
    assert Board().happened(ended(JobState.COMPLETED, 1)) is None
