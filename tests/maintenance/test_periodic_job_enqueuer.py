"""Periodic jobs are inserted when they are due: once, at their planned times, whatever fails meanwhile."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from riverrun import (
    InsertBeginHook,
    InsertMiddleware,
    InsertOptions,
    JobState,
    UniqueOptions,
)
from riverrun.drivers.statement import Database
from riverrun.maintenance.periodic_agenda import Agenda
from riverrun.maintenance.periodic_job_enqueuer import LONGEST_PAUSE
from riverrun.model.cron import cron
from riverrun.model.notification import insert_payload
from riverrun.model.periodic_jobs import PeriodicJobs
from riverrun.model.schedule import every, never
from riverrun.runtime.clock import ManualClock
from tests.support.maintenance import ids, rounds_of
from tests.support.operations import notifications_of
from tests.support.periodic import START, Term, Tick, a_job, a_term


def at(**units: float) -> datetime:
    return START + timedelta(**units)


async def test_a_job_is_inserted_at_its_planned_times(db: Database) -> None:
    """Trap: scheduled_at of a periodic job is the planned time."""
    async with a_term(db, a_job("a", id="digest")) as term:
        assert await term.inserted() == []
        await term.advance(minutes=15, seconds=1)
        (job,) = await term.inserted()
    assert (job.scheduled_at, job.state, job.kind) == (at(minutes=15), JobState.AVAILABLE, "tick")
    assert job.metadata == {"periodic": True, "river:periodic_job_id": "digest"}


async def test_a_job_without_an_id_is_marked_as_periodic_only(db: Database) -> None:
    async with a_term(db, a_job(run_on_start=True)) as term:
        (job,) = await term.inserted()
    assert job.metadata == {"periodic": True}


async def test_a_late_round_does_not_move_later_ones(db: Database) -> None:
    """Trap: the next run is based on the planned time, not on the time of waking up."""
    async with a_term(db, a_job()) as term:
        await term.advance(minutes=20)
        await term.advance(minutes=10)
        assert await term.times() == [at(minutes=15), at(minutes=30)]


async def test_cron_is_followed(db: Database) -> None:
    async with a_term(db, a_job(schedule=cron("0 16 * * *", tz="Europe/Oslo"))) as term:
        await term.advance(hours=2)
        await term.advance(hours=24)
        assert await term.times() == [at(hours=2), at(hours=26)]


async def test_the_constructor_is_called_for_each_firing(db: Database) -> None:
    """Trap: args made once would be inserted for ever."""
    names = iter("abc")
    async with a_term(db, a_job(constructor=lambda: Tick(next(names)))) as term:
        await term.advance(minutes=15)
        await term.advance(minutes=15)
        assert await term.names() == ["a", "b"]


async def test_a_constructor_that_gives_nothing_inserts_nothing(db: Database) -> None:
    """Trap: it does not crash, and the schedule goes on."""
    made = iter([None, Tick("second")])
    async with a_term(db, a_job(constructor=lambda: next(made)), a_job("other")) as term:
        await term.advance(minutes=15)
        assert await term.names() == ["other"]
        await term.advance(minutes=15)
        assert await term.names() == ["other", "second", "other"]


async def test_run_on_start_inserts_at_once_and_then_on_schedule(db: Database) -> None:
    async with a_term(db, a_job("a", run_on_start=True), a_job("b", run_on_start=True)) as term:
        assert await term.names() == ["a", "b"]
        await term.advance(minutes=15)
        assert (await term.times())[::2] == [START, at(minutes=15)]


async def test_each_term_begins_anew(db: Database) -> None:
    clock = ManualClock(START)
    async with a_term(db, a_job(run_on_start=True), clock=clock) as term:
        await term.advance(minutes=10)
    async with a_term(db, a_job(run_on_start=True), clock=clock) as term:
        await term.advance(minutes=10)
        assert await term.times() == [START, at(minutes=10)]
        await term.advance(minutes=5)
        assert (await term.times())[2:] == [at(minutes=25)]


async def test_never_really_never_fires(db: Database) -> None:
    """Trap: the never-schedule overflows nowhere; run on start still counts."""
    async with a_term(db, a_job("a", never()), a_job("b", never(), run_on_start=True)) as term:
        await term.advance(days=400)
        assert await term.names() == ["b"]
        assert term.clock.until_next() == LONGEST_PAUSE


async def test_without_jobs_it_rests(db: Database) -> None:
    """Trap: the timer is never armed with a negative time, whether there are no jobs or late ones."""
    async with a_term(db) as term:
        assert term.clock.until_next() == LONGEST_PAUSE
        term.jobs.add_many([a_job(schedule=every("0.2s"))])
        rounds = rounds_of(term.enqueuer)
        await rounds.get()
        await term.advance(seconds=1)
        assert 0 < (term.clock.until_next() or 0) <= 0.2


async def test_it_looks_at_the_time_again_before_long(db: Database) -> None:
    """A machine that was asleep, or whose clock was set, is noticed within a minute."""
    async with a_term(db, a_job(schedule=every("12h"))) as term:
        assert term.clock.until_next() == LONGEST_PAUSE
        await term.advance(hours=12)
        assert await term.times() == [at(hours=12)]


async def test_schedules_that_meet_fire_together(db: Database) -> None:
    """Trap: 500 ms and 1500 ms, a little apart; what is due within 100 ms is taken along."""
    half = a_job("half", every("500ms"))
    async with a_term(db, half, a_job("three", every("1590ms"))) as term:
        for _ in range(3):
            await term.advance(milliseconds=500)
        assert await term.names() == ["half", "half", "half", "three"]
        assert (await term.times())[2:] == [at(seconds=1.5), at(seconds=1.59)]


async def test_missed_times_are_caught_up_with_one_by_one(db: Database) -> None:
    transactions: list[list[str]] = []

    def note(jobs: Any) -> Any:
        transactions.append([job.args.name for job in jobs])
        return (yield jobs)

    jobs = [a_job("a", every("1m")), a_job("b", every("3m"))]
    async with a_term(db, *jobs, middleware=[InsertMiddleware(note)]) as term:
        await term.advance(minutes=4)
        assert transactions == [["a", "b"], ["a"], ["a"], ["a"]]
        assert await term.times() == [at(minutes=minute) for minute in (1, 3, 2, 3, 4)]


async def test_a_clock_that_is_set_back_repeats_nothing(db: Database) -> None:
    async with a_term(db, a_job()) as term:
        await term.advance(minutes=15)
        term.clock._start -= timedelta(hours=1)  # noqa: SLF001 - nothing else can do it
        await term.advance(minutes=30)
        assert await term.times() == [at(minutes=15)]


async def test_jobs_added_before_the_first_round_are_scheduled_once(db: Database) -> None:
    """Trap: a job that is added between the start and the first round is inserted exactly once."""
    term = Term(db, a_job("a", run_on_start=True))
    term.enqueuer.first_pause = 0.7
    await term.start()
    rounds = rounds_of(term.enqueuer)
    term.jobs.add_many([a_job("b", run_on_start=True)])
    await rounds.get()
    await term.advance(seconds=0.7)
    assert await term.names() == ["a", "b"]
    await term.enqueuer.stop()


async def test_a_job_that_is_added_wakes_it(db: Database) -> None:
    async with a_term(db) as term:
        rounds = rounds_of(term.enqueuer)
        await term.advance(seconds=7)
        term.jobs.add_many([a_job("a", run_on_start=True), a_job("b")])
        await rounds.get()
        assert await term.times() == [at(seconds=7)]


async def test_a_job_added_by_a_thread_wakes_it(db: Database) -> None:
    async with a_term(db) as term:
        rounds = rounds_of(term.enqueuer)
        await asyncio.to_thread(term.jobs.add_many, [a_job("a", run_on_start=True)])
        await rounds.get()
        assert await term.names() == ["a"]


async def test_a_job_that_is_removed_fires_no_more(db: Database) -> None:
    async with a_term(db, a_job("a"), a_job("b", id="b1")) as term:
        assert term.jobs.remove_by_id("b1")
        await term.advance(minutes=15)
        assert await term.names() == ["a"]
        term.jobs.clear()
        await term.advance(minutes=15)
        assert await term.names() == ["a"]


async def test_a_unique_job_that_is_there_already_is_skipped(db: Database) -> None:
    """Trap: periodic jobs respect uniqueness, and a duplicate is no error."""
    unique = InsertOptions(unique=UniqueOptions(by_args=True))
    async with a_term(db, a_job("a", options=unique), a_job("b")) as term:
        await term.advance(minutes=15)
        await term.advance(minutes=15)
        assert await term.names() == ["a", "b", "b"]


async def test_two_jobs_with_one_unique_key_are_inserted_once(db: Database) -> None:
    """In one batch they would fail each other for ever."""
    unique = InsertOptions(unique=UniqueOptions(by_queue=True))
    jobs = [a_job("a", options=unique), a_job("b", options=unique), a_job("c")]
    async with a_term(db, *jobs) as term:
        await term.advance(minutes=15)
        assert sorted(await term.names()) in (["a", "c"], ["b", "c"])


async def test_a_unique_period_is_that_of_the_planned_time(db: Database) -> None:
    """Trap: a job planned for midnight and inserted just before belongs to the new day."""
    options = InsertOptions(unique=UniqueOptions(by_period="1d"))
    async with a_term(db, a_job("a", every("12h"), options, run_on_start=True)) as term:
        await term.advance(hours=11, minutes=59, seconds=59.95)
        assert await term.times() == [START, datetime(2026, 8, 6, tzinfo=UTC)]


async def test_options_may_schedule_the_job_for_later(db: Database) -> None:
    def make() -> tuple[Tick, InsertOptions]:
        return Tick("a"), InsertOptions(scheduled_at=at(hours=5), queue="late", metadata={"x": 1})

    async with a_term(db, a_job(constructor=make, run_on_start=True)) as term:
        (job,) = await term.inserted()
    assert (job.state, job.scheduled_at, job.queue) == (JobState.SCHEDULED, at(hours=5), "late")
    assert job.metadata == {"x": 1, "periodic": True}


async def test_hooks_and_middleware_take_part(db: Database) -> None:
    """Trap: periodic jobs pass through insert middleware and hooks."""
    calls: list[str] = []

    def note(jobs: Any) -> Any:
        calls.append(f"middleware {len(jobs)}")
        return (yield jobs)

    extensions: dict[str, Any] = {
        "hooks": [InsertBeginHook(lambda job: calls.append(f"hook {job.args.name}"))],
        "middleware": [InsertMiddleware(note)],
    }
    jobs = [a_job("a", run_on_start=True), a_job("b", run_on_start=True)]
    async with a_term(db, *jobs, **extensions):
        assert calls == ["middleware 2", "hook a", "hook b"]


async def test_workers_are_notified(db: Database, database_url: str) -> None:
    job = a_job(run_on_start=True, options=InsertOptions(queue="mail"))
    async with notifications_of(db, database_url) as messages, a_term(db, job):
        pass
    assert messages == [("river_insert", insert_payload("mail"))]


async def test_many_jobs_are_due_in_the_same_second(db: Database) -> None:
    jobs = [a_job(str(number)) for number in range(200)]
    async with a_term(db, *jobs) as term:
        await term.advance(minutes=15)
        assert len(await ids(db)) == 200


async def test_it_says_how_many_jobs_it_has_inserted(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "riverrun.maintenance")
    async with a_term(db, a_job(run_on_start=True), a_job(constructor=lambda: None)) as term:
        await term.advance(minutes=15)
    assert "PeriodicJobEnqueuer: Ran successfully: 1 jobs inserted" in caplog.text
    assert "the constructor gave nothing to insert" in caplog.text


@pytest.mark.parametrize(
    ("hours", "expected"), [(2, timedelta(hours=3)), (5000, timedelta(hours=1))]
)
def test_a_clock_set_back_by_much_does_not_silence_the_jobs_for_as_long(
    hours: int, expected: timedelta
) -> None:
    agenda = Agenda()
    agenda.update(PeriodicJobs([a_job("a", every("1h"))]).snapshot(), START)
    assert agenda.due(START, 0) == []
    earlier = START - timedelta(hours=hours)
    assert agenda.due(earlier, 0) == []
    assert agenda.pause(earlier, 0) == expected.total_seconds()
