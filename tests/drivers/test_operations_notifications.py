"""Messages go out with the transaction that sends them."""

from datetime import timedelta

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database, Script
from tests.support.operations import later, select
from tests.support.operations import notifications_of as sent

AN_HOUR = timedelta(hours=1)


async def test_each_payload_is_a_message(db: Database, database_url: str) -> None:
    notify = Operations(db.dialect).notifications.notify
    async with sent(db, database_url) as messages:
        await db.run(notify("river_insert", ['{"queue": "ä\\"\'"}', "2"]))
        await db.run(notify("river_insert", []))
    assert messages == [("river_insert", '{"queue": "ä\\"\'"}'), ("river_insert", "2")]


async def test_nothing_is_told_of_what_was_rolled_back(db: Database, database_url: str) -> None:
    def fail() -> Script[None]:
        yield Operations(db.dialect).notifications.notify("river_insert", ["1"])
        raise ZeroDivisionError

    async with sent(db, database_url) as messages:
        with pytest.raises(ZeroDivisionError):
            await db.transact(fail())
    assert messages == []


async def test_old_rows_are_deleted_oldest_first_in_batches(db: Database) -> None:
    notifications = Operations(db.dialect).notifications
    for seconds in (0, 1, 2, 3600):
        if db.dialect.is_postgres:
            await select(
                db,
                "insert into river_notification (created_at, payload, topic)"  # noqa: S608
                f" values ('{later(seconds)}', '{seconds}', 'river_insert')",
            )
        else:
            await db.run(notifications.notify("river_insert", [str(seconds)], now=later(seconds)))
    delete = notifications.delete_before
    assert await db.run(delete(AN_HOUR, limit=2, now=later(3605))) == 2
    assert await db.run(delete(AN_HOUR, limit=2, now=later(3605))) == 1
    assert await db.run(delete(AN_HOUR, limit=2, now=later(3605))) == 0
    assert [row[0] for row in await select(db, "select payload from river_notification")] == [
        "3600"
    ]
