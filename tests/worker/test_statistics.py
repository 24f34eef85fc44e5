"""The log says what was worked, when there is something new to say."""

import logging
from datetime import timedelta

import pytest

from riverrun.model.event import Event, EventKind, JobStats
from riverrun.runtime.clock import ManualClock
from riverrun.worker.slots import JobCounts
from riverrun.worker.statistics import Statistics

LOGGER = "riverrun.statistics"


class Mail:
    """A queue whose counts the test decides."""

    queue = "mail"

    def __init__(self, *counts: JobCounts) -> None:
        self._counts = list(counts)

    def count(self) -> JobCounts:
        return self._counts.pop(0)


def an_event(milliseconds: int) -> Event:
    time = timedelta(milliseconds=milliseconds)
    stats = JobStats(queue_wait=time, run=2 * time, complete=3 * time)
    return Event(kind=EventKind.JOB_COMPLETED, queue="mail", stats=stats)


async def test_the_counts_of_a_queue_are_said_only_when_they_changed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """River 0.11.3, #529."""
    busy = JobCounts(ran=7, running=2, stuck=1)
    mail = Mail(JobCounts(), busy, busy, JobCounts(), JobCounts())
    statistics = Statistics(ManualClock(), lambda: [mail])
    with caplog.at_level(logging.INFO, LOGGER):
        for _ in range(5):
            assert await statistics.tick() == 5
    assert caplog.messages == [
        "Producer job counts: queue mail: 7 completed, 2 running, 1 stuck",
        "Producer job counts: queue mail: 0 completed, 0 running, 0 stuck",
    ]


async def test_averages_are_of_the_jobs_since_the_last_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    statistics = Statistics(ManualClock(), list)
    with caplog.at_level(logging.DEBUG, LOGGER):
        statistics.add(an_event(10))
        statistics.add(an_event(30))
        statistics.add(Event(kind=EventKind.QUEUE_PAUSED, queue="mail"))
        await statistics.tick()
        await statistics.tick()
    text = "Client job statistics: {} jobs; on average {} waiting, {} running, {} until written"
    assert caplog.messages == [
        text.format(2, "20.0 ms", "40.0 ms", "60.0 ms"),
        text.format(0, "0.0 ms", "0.0 ms", "0.0 ms"),
    ]


async def test_nothing_is_gathered_where_nobody_looks(caplog: pytest.LogCaptureFixture) -> None:
    statistics = Statistics(ManualClock(), list)
    with caplog.at_level(logging.INFO, LOGGER):
        assert not statistics.wants_events
        statistics.add(an_event(10))
        await statistics.tick()
    with caplog.at_level(logging.DEBUG, LOGGER):
        await statistics.tick()
    assert "statistics: 0 jobs" in caplog.text
