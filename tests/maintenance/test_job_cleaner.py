"""Finished jobs go when their time is over, each queue's in its own time."""

from typing import Any

import pytest

from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.maintenance.batches import BatchBreaker
from riverrun.maintenance.job_cleaner import JobCleaner, JobCleanerOptions, JobRetention
from riverrun.model.errors import ConfigurationError, LifecycleError
from riverrun.runtime.clock import ManualClock
from tests.support.maintenance import an_ended_job, handle, ids, literal, lock_held, rounds_of
from tests.support.operations import NOW, a_job, insert_all, later, select

DAY = 86400
FOR_EVER = JobCleanerOptions(cancelled=None, completed=None, discarded=None)


def cleaner(
    db: Database, clock: ManualClock | None = None, *, breaker: BatchBreaker | None = None, **o: Any
) -> JobCleaner:
    return JobCleaner(handle(db, clock or ManualClock(NOW)), JobCleanerOptions(**o), breaker)


@pytest.mark.parametrize(
    ("state", "kept"), [("cancelled", DAY), ("completed", DAY), ("discarded", 7 * DAY)]
)
async def test_jobs_are_kept_a_day_and_discarded_ones_a_week(
    db: Database, state: str, kept: int
) -> None:
    await an_ended_job(db, state, later(-kept - 1))
    young = await an_ended_job(db, state, later(-kept + 1))
    assert await cleaner(db).tick() == 30
    assert await ids(db) == [young.id]


@pytest.mark.parametrize("state", ["cancelled", "completed", "discarded"])
async def test_each_state_can_be_kept_for_ever(db: Database, state: str) -> None:
    """Runtime 15.4 and storage D-12: on SQLite too, and not "everything at once" instead."""
    jobs = {s: await an_ended_job(db, s, later(-999 * DAY)) for s in ("cancelled", "completed")}
    jobs["discarded"] = await an_ended_job(db, "discarded", later(-999 * DAY))
    await cleaner(db, **{state: None}).tick()
    assert await ids(db) == [jobs[state].id]


async def test_with_everything_kept_for_ever_the_database_is_not_asked(db: Database) -> None:
    """Runtime 15.4. A database that is closed would say so."""
    await db.close()
    service = JobCleaner(handle(db, ManualClock(NOW)), FOR_EVER)
    assert await service.tick() == 30
    with pytest.raises(LifecycleError):
        await cleaner(db).tick()


async def test_a_queue_may_have_times_of_its_own(db: Database) -> None:
    fast = a_job(queue="fast")
    await an_ended_job(db, "completed", later(-11), fast)
    general = [
        await an_ended_job(db, "completed", later(-11)),
        await an_ended_job(db, "discarded", later(-DAY), fast),
    ]
    await an_ended_job(db, "discarded", later(-8 * DAY), fast)
    await cleaner(db, per_queue={"fast": JobRetention(completed=10)}).tick()
    assert await ids(db) == [job.id for job in general]


async def test_a_queue_may_keep_its_jobs_for_ever(db: Database) -> None:
    audit = await an_ended_job(db, "completed", later(-99 * DAY), a_job(queue="audit"))
    await an_ended_job(db, "cancelled", later(-99 * DAY), a_job(queue="audit"))
    await an_ended_job(db, "completed", later(-99 * DAY))
    await cleaner(db, per_queue={"audit": JobRetention(completed=None)}).tick()
    assert await ids(db) == [audit.id]


async def test_a_queue_may_lose_its_jobs_while_all_others_keep_them(db: Database) -> None:
    await an_ended_job(db, "completed", later(-11), a_job(queue="fast"))
    other = await an_ended_job(db, "completed", later(-99 * DAY))
    everything_else = {"cancelled": None, "completed": None, "discarded": None}
    await cleaner(db, **everything_else, per_queue={"fast": JobRetention(completed="10s")}).tick()
    assert await ids(db) == [other.id]


@pytest.mark.parametrize(("excluded", "left"), [(None, 0), ([], 0), (["audit"], 1)])
async def test_no_list_and_an_empty_list_of_excluded_queues_are_the_same(
    db: Database, excluded: list[str] | None, left: int
) -> None:
    """Runtime 7.1: in River's SQL they are not."""
    await an_ended_job(db, "completed", later(-99 * DAY), a_job(queue="audit"))
    retention = {"audit": JobRetention(completed=1)}
    await cleaner(db, queues_excluded=excluded, per_queue=retention).tick()
    assert len(await ids(db)) == left


@pytest.mark.parametrize("duration", [-1, "soon", float("inf")])
def test_a_time_that_cannot_be_is_refused(duration: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"completed: .*None keeps jobs for ever"):
        JobRetention(completed=duration)


async def test_it_looks_every_half_minute_beginning_at_once(db: Database) -> None:
    clock = ManualClock(NOW)
    service = cleaner(db, clock)
    rounds = rounds_of(service)
    await an_ended_job(db, "completed", later(-DAY + 29))
    await service.start()
    assert (await rounds.get(), len(await ids(db))) == ("done", 1)
    await clock.sleeping()
    clock.advance(30)
    assert (await rounds.get(), len(await ids(db))) == ("done", 0)
    await service.stop()


async def test_a_pass_takes_as_many_batches_as_it_needs(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for _ in range(5):
        await an_ended_job(db, "completed", later(-2 * DAY))
    clock = ManualClock(NOW)
    service = cleaner(db, clock, breaker=BatchBreaker(clock, full=2))
    rounds = rounds_of(service)
    await service.start()
    for left in (3, 1, 0):
        assert (await rounds.get(), len(await ids(db))) == ("done", left)
        await clock.sleeping()
        clock.advance(1)
    await service.stop()
    assert caplog.messages == ["JobCleaner: Ran successfully: 5 jobs deleted"]


async def test_a_job_that_somebody_has_locked_keeps_no_other_from_going(
    postgres_database_url: str,
) -> None:
    """It is not waited for: its holder may want another row of the batch, and both would be stuck."""
    db = open_database(postgres_database_url)
    await db.open()
    held = await an_ended_job(db, "completed", later(-3 * DAY))
    await an_ended_job(db, "completed", later(-2 * DAY))
    lock = f"select from river_job where id = {held.id} for key share"
    async with lock_held(postgres_database_url, lock):
        await cleaner(db, timeout=5.0).tick()
        assert await ids(db) == [held.id]
    await cleaner(db).tick()
    assert await ids(db) == []
    await db.close()


async def test_batches_that_really_time_out_shrink(db: Database, database_url: str) -> None:
    """Runtime 15.4: the timeout has an effect, and after three the batches are small enough."""
    count = 2_000 if db.dialect.is_postgres else 5_000  # there a look comes after 100,000 steps
    await insert_all(db, *[a_job() for _ in range(count)])
    await select(db, f"update river_job set state = 'completed', finalized_at = {literal(db, NOW)}")  # noqa: S608
    clock = ManualClock(later(9 * DAY))
    breaker = BatchBreaker(clock, reduced=10)
    timeout = 0.1 if db.dialect.is_postgres else 0
    service = cleaner(db, clock, breaker=breaker, timeout=timeout)
    if db.dialect.is_postgres:
        async with lock_held(database_url, "lock table river_job in share mode"):
            await fails_three_times(service, clock)
    else:
        await fails_three_times(service, clock)
    assert 0 < await service.tick() <= 1
    assert len(await ids(db)) == count - 10


async def fails_three_times(service: JobCleaner, clock: ManualClock) -> None:
    rounds = rounds_of(service)
    await service.start()
    for _ in range(3):
        assert await rounds.get() == "failed"
        await clock.sleeping()
        if not service.breaker.tripped:
            clock.advance(60)
    await service.stop()
    assert service.breaker.tripped
