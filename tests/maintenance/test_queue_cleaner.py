"""Queues that nobody serves are forgotten after a day."""

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.maintenance.batches import BatchBreaker
from riverrun.maintenance.queue_cleaner import QueueCleaner, QueueCleanerOptions
from riverrun.runtime.clock import ManualClock
from tests.support.maintenance import handle, lock_held, rounds_of
from tests.support.operations import NOW, later, select

HOUR = 3600


async def serve(db: Database, name: str, hours: float) -> None:
    await db.run(Operations(db.dialect).queues.upsert(name, now=later(hours * HOUR)))


async def queues(db: Database) -> list[str]:
    return [row[0] for row in await select(db, "select name from river_queue order by name")]


async def test_a_queue_unserved_for_a_day_goes_paused_or_not(db: Database) -> None:
    for name, hours in (("gone", -25), ("paused", -25), ("idle", -23), ("busy", 0)):
        await serve(db, name, hours)
    await db.transact(Operations(db.dialect).queues.pause("paused", now=later(-25 * HOUR)))
    assert await QueueCleaner(handle(db, ManualClock(NOW))).tick() == HOUR
    assert await queues(db) == ["busy", "idle"]


async def test_a_paused_queue_that_is_served_stays(db: Database) -> None:
    await serve(db, "mail", -48)
    await db.transact(Operations(db.dialect).queues.pause("mail", now=later(-48 * HOUR)))
    await serve(db, "mail", -1)
    await QueueCleaner(handle(db, ManualClock(NOW))).tick()
    assert await queues(db) == ["mail"]


async def test_it_looks_every_hour_in_batches(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for number in range(3):
        await serve(db, f"queue{number}", -25)
    clock = ManualClock(NOW)
    service = QueueCleaner(handle(db, clock), breaker=BatchBreaker(clock, full=2))
    rounds = rounds_of(service)
    await service.start()
    for left, pause in ((["queue2"], 1), ([], HOUR)):
        assert (await rounds.get(), await queues(db)) == ("done", left)
        await clock.sleeping()
        assert 0 < (clock.until_next() or 0) <= pause
        clock.advance(clock.until_next() or 0)
    await service.stop()
    assert "QueueCleaner: Ran successfully: 3 queues deleted" in caplog.messages


async def test_a_statement_that_hangs_is_given_up(db: Database, postgres_database_url: str) -> None:
    if not db.dialect.is_postgres:
        pytest.skip("so few rows are never too slow on SQLite")
    await serve(db, "gone", -25)
    clock = ManualClock(NOW)
    service = QueueCleaner(handle(db, clock), QueueCleanerOptions(timeout=0.05))
    rounds = rounds_of(service)
    async with lock_held(postgres_database_url, "lock table river_queue in share mode"):
        await service.start()
        assert await rounds.get() == "failed"
    await service.stop()
    assert await queues(db) == ["gone"]
