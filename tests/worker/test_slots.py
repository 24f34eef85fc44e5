"""Slots are counted right, whatever comes together."""

import asyncio
from datetime import UTC, datetime

import pytest

from riverrun.model.job import JobRow, JobState
from riverrun.worker.attempt import Attempt
from riverrun.worker.slots import JobCounts, Slots

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def an_attempt(job_id: int = 1) -> Attempt:
    row = JobRow(
        id=job_id, state=JobState.RUNNING, kind="task", queue="default", priority=1, attempt=1,
        max_attempts=5, created_at=NOW, scheduled_at=NOW,
    )  # fmt: skip
    return Attempt(row, 0.0)


def test_an_attempt_holds_a_slot_until_it_ends() -> None:
    slots, attempt = Slots(2), an_attempt()
    slots.take(attempt)
    assert (slots.free, len(slots), slots.get(1)) == (1, 1, attempt)
    assert slots.end(attempt)
    assert (slots.free, len(slots), slots.get(1)) == (2, 0, None)


def test_a_released_slot_is_free_once_though_the_attempt_ends_at_the_same_moment() -> None:
    """River 0.40, #1291."""
    slots, attempt = Slots(1), an_attempt()
    slots.take(attempt)
    assert slots.release(attempt)
    assert not slots.release(attempt)
    assert (slots.free, len(slots)) == (1, 1)
    assert slots.end(attempt)
    assert not slots.release(attempt)
    assert not slots.end(attempt)
    assert slots.free == 1


def test_more_attempts_than_slots_may_run_beside_stuck_ones() -> None:
    slots, stuck = Slots(1), an_attempt()
    slots.take(stuck)
    slots.stuck(stuck)
    slots.release(stuck)
    slots.take(an_attempt(2))
    assert (slots.free, len(slots)) == (0, 2)
    assert slots.count() == JobCounts(ran=0, running=2, stuck=1)
    slots.end(stuck)
    assert slots.free == 0


@pytest.mark.parametrize("ends", [True, False])
def test_a_stuck_attempt_is_counted_until_it_ends(ends: bool) -> None:
    slots, attempt = Slots(1), an_attempt()
    slots.take(attempt)
    slots.stuck(attempt)
    slots.end(attempt) if ends else slots.unstuck(attempt)
    slots.stuck(attempt) if ends else None
    assert slots.count().stuck == 0


def test_those_that_ran_are_counted_once() -> None:
    slots = Slots(5)
    for job_id in range(3):
        attempt = an_attempt(job_id)
        slots.take(attempt)
        slots.end(attempt)
    assert [slots.count(), slots.count()] == [JobCounts(ran=3), JobCounts()]


def test_an_older_attempt_at_the_same_job_does_not_count() -> None:
    slots, older, newer = Slots(2), an_attempt(), an_attempt()
    slots.take(older)
    slots.drop(older)
    slots.take(newer)
    slots.drop(older)
    assert not slots.end(older)
    assert (slots.get(1), slots.free) == (newer, 1)


async def test_they_are_empty_when_the_last_attempt_has_ended_or_was_dropped() -> None:
    slots, first, second = Slots(2), an_attempt(1), an_attempt(2)
    await slots.wait_empty()
    slots.take(first)
    slots.take(second)
    waiting = asyncio.create_task(slots.wait_empty())
    slots.drop(first)
    await asyncio.wait({waiting}, timeout=0)
    assert not waiting.done()
    slots.end(second)
    await waiting
