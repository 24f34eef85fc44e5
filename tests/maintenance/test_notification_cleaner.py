"""SQLite's outbox is emptied of what everybody has read."""

from collections.abc import AsyncIterator

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.maintenance.batches import BatchBreaker
from riverrun.maintenance.notification_cleaner import (
    NotificationCleaner,
    NotificationCleanerOptions,
)
from riverrun.runtime.clock import ManualClock
from tests.support.maintenance import handle, rounds_of
from tests.support.operations import NOW, later, select


@pytest.fixture
async def sqlite(sqlite_database_url: str) -> AsyncIterator[Database]:
    database = open_database(sqlite_database_url)
    await database.open()
    yield database
    await database.close()


async def notify(db: Database, seconds: float, count: int = 1) -> None:
    payloads = [f"at {seconds}"] * count
    await db.run(
        Operations(db.dialect).notifications.notify("river_insert", payloads, now=later(seconds))
    )


async def payloads(db: Database) -> list[str]:
    return [row[0] for row in await select(db, "select payload from river_notification")]


async def test_notifications_are_kept_five_minutes(sqlite: Database) -> None:
    for seconds in (-301, -299, 0):
        await notify(sqlite, seconds)
    assert await NotificationCleaner(handle(sqlite, ManualClock(NOW))).tick() == 60
    assert await payloads(sqlite) == ["at -299", "at 0"]


async def test_the_oldest_go_first_in_batches(sqlite: Database) -> None:
    """Delta D-11."""
    for seconds in (-302, -400, -301):
        await notify(sqlite, seconds)
    clock = ManualClock(NOW)
    service = NotificationCleaner(handle(sqlite, clock), breaker=BatchBreaker(clock, full=2))
    assert 0 < await service.tick() <= 1
    assert await payloads(sqlite) == ["at -301"]
    assert await service.tick() == 60
    assert await payloads(sqlite) == []


async def test_a_statement_that_takes_too_long_is_given_up(sqlite: Database) -> None:
    await notify(sqlite, -400, count=10_000)
    clock = ManualClock(NOW)
    service = NotificationCleaner(handle(sqlite, clock), NotificationCleanerOptions(timeout=0))
    rounds = rounds_of(service)
    await service.start()
    for _ in range(3):
        assert await rounds.get() == "failed"
        await clock.sleeping()
        clock.advance(60 if not service.breaker.tripped else 0)
    await service.stop()
    assert service.breaker.size == 1000
    assert len(await payloads(sqlite)) == 10_000
