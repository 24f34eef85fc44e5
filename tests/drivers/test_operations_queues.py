"""Queues are on record while somebody serves them, and a pause outlives everybody."""

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.model.queue import QueueRow
from tests.support.operations import NOW, later
from tests.support.operations import notifications_of as sent


async def upsert(db: Database, name: str = "mail", seconds: float = 0) -> QueueRow:
    return await db.run(Operations(db.dialect).queues.upsert(name, now=later(seconds)))


async def pause(db: Database, name: str, seconds: float) -> bool:
    return await db.transact(Operations(db.dialect).queues.pause(name, now=later(seconds)))


async def resume(db: Database, name: str, seconds: float) -> bool:
    return await db.transact(Operations(db.dialect).queues.resume(name, now=later(seconds)))


async def get(db: Database, name: str = "mail") -> QueueRow:
    queue = await db.run(Operations(db.dialect).queues.get(name))
    assert queue is not None
    return queue


async def test_a_new_queue_is_on_record(db: Database) -> None:
    queue = await upsert(db)
    assert queue == await get(db)
    assert (queue.name, queue.created_at, queue.updated_at, queue.paused_at) == (
        "mail", NOW, NOW, None
    )  # fmt: skip
    assert queue.metadata == {}


async def test_serving_a_queue_again_changes_only_when(db: Database) -> None:
    await upsert(db)
    await pause(db, "mail", 1)
    queue = await upsert(db, seconds=9)
    assert (queue.created_at, queue.updated_at, queue.paused_at) == (NOW, later(9), later(1))


async def test_a_pause_is_not_renewed(db: Database) -> None:
    await upsert(db)
    assert await pause(db, "mail", 1)
    assert await pause(db, "mail", 2)
    queue = await get(db)
    assert (queue.paused_at, queue.updated_at) == (later(1), later(1))


async def test_a_resumed_queue_is_not_paused(db: Database) -> None:
    await upsert(db)
    await pause(db, "mail", 1)
    assert await resume(db, "mail", 2)
    assert await resume(db, "mail", 3)
    queue = await get(db)
    assert (queue.paused_at, queue.updated_at) == (None, later(2))


async def test_a_star_stands_for_every_queue(db: Database) -> None:
    await upsert(db, "mail")
    await upsert(db, "web")
    assert await pause(db, "*", 1)
    assert [(await get(db, name)).paused for name in ("mail", "web")] == [True, True]
    assert await resume(db, "*", 2)
    assert [(await get(db, name)).paused for name in ("mail", "web")] == [False, False]


async def test_a_star_is_right_even_without_queues(db: Database) -> None:
    assert await pause(db, "*", 1)


async def test_an_unknown_queue_is_told(db: Database) -> None:
    assert not await pause(db, "nobody", 1)
    assert not await resume(db, "nobody", 1)
    assert await db.run(Operations(db.dialect).queues.get("nobody")) is None


@pytest.mark.parametrize("name", ["mail", "*"])
async def test_clients_are_told_of_a_pause(db: Database, database_url: str, name: str) -> None:
    await upsert(db)
    async with sent(db, database_url) as messages:
        await pause(db, name, 1)
        await resume(db, name, 1)
        await pause(db, "nobody", 1)
    assert messages == [
        ("river_control", f'{{"action":"pause","queue":"{name}"}}'),
        ("river_control", f'{{"action":"resume","queue":"{name}"}}'),
    ]


async def test_queues_are_listed_by_name(db: Database) -> None:
    for name in ("web", "mail", "reports"):
        await upsert(db, name)
    queues = await db.run(Operations(db.dialect).queues.list(2))
    assert [queue.name for queue in queues] == ["mail", "reports"]
