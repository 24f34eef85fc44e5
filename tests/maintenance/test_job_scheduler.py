"""On the common machinery: batches, deadlines, and notifications that go with the commit."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing

import pytest

from riverrun.drivers.sqlite_library import sqlite_library
from riverrun.drivers.statement import Database
from riverrun.maintenance.batches import BatchBreaker
from riverrun.maintenance.job_scheduler import JobScheduler, JobSchedulerOptions
from riverrun.model.job import JobState
from riverrun.runtime.clock import ManualClock
from tests.support.maintenance import handle, lock_held, rounds_of
from tests.support.operations import NOW, a_job, insert_all, later, notifications_of, select

Locked = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture
def locked(db: Database, database_url: str) -> Locked:
    """Within, nobody else can write jobs."""

    @asynccontextmanager
    async def locked() -> AsyncIterator[None]:
        if db.dialect.is_postgres:
            async with lock_held(database_url, "lock table river_job in share mode"):
                yield
        else:
            address = f"file:{database_url.removeprefix('sqlite:///')}"
            with closing(sqlite_library().open(address)) as session:
                session.execute("begin immediate")
                yield

    return locked


async def scheduled(db: Database, queue: str, seconds: float, count: int = 1) -> None:
    state = JobState.SCHEDULED
    jobs = [a_job(queue=queue, state=state, scheduled_at=later(seconds)) for _ in range(count)]
    await insert_all(db, *jobs)


async def available(db: Database) -> int:
    rows = await select(db, "select 1 from river_job where state = 'available'")
    return len(rows)


async def test_the_queues_of_due_jobs_are_notified_once_each(
    db: Database, database_url: str
) -> None:
    """Runtime 15.4: in the transaction that makes the jobs available, so never too early."""
    await scheduled(db, "now", 0, count=3)
    await scheduled(db, "nearly", 0.004)
    await scheduled(db, "soon", 4)
    async with notifications_of(db, database_url) as messages:
        assert await JobScheduler(handle(db, ManualClock(NOW))).tick() == 5
    assert messages == [
        ("river_insert", '{"queue": "nearly"}'),
        ("river_insert", '{"queue": "now"}'),
    ]
    assert await available(db) == 5


async def test_our_own_producers_are_told_too(db: Database) -> None:
    woken: list[set[str]] = []
    await scheduled(db, "mail", 0)
    await JobScheduler(handle(db, ManualClock(NOW)), on_scheduled=woken.append).tick()
    assert woken == [{"mail"}]


async def test_a_pass_takes_as_many_batches_as_it_needs(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await scheduled(db, "mail", 0, count=5)
    clock = ManualClock(NOW)
    service = JobScheduler(handle(db, clock), breaker=BatchBreaker(clock, full=2))
    rounds = rounds_of(service)
    await service.start()
    for done in (2, 4, 5):
        assert (await rounds.get(), await available(db)) == ("done", done)
        await clock.sleeping()
        clock.advance(1)
    await service.stop()
    assert "JobScheduler: Ran successfully: 5 jobs scheduled" in caplog.messages


async def test_a_transaction_that_hangs_is_given_up_and_nothing_is_half_done(
    db: Database, locked: Locked, caplog: pytest.LogCaptureFixture
) -> None:
    await scheduled(db, "mail", 0)
    clock = ManualClock(NOW)
    service = JobScheduler(handle(db, clock), JobSchedulerOptions(timeout=0.05))
    rounds = rounds_of(service)
    async with locked():
        await service.start()
        await fails(rounds, clock, times=3)
    await service.stop()
    assert service.breaker.size == 1000
    assert "schedule_jobs timed out after 0.05 s" in caplog.text
    assert await available(db) == 0


async def fails(rounds: asyncio.Queue[str], clock: ManualClock, *, times: int) -> None:
    for number in range(times):
        clock.advance(60 if number else 0)
        assert await rounds.get() == "failed"
        await clock.sleeping()
