"""Queues are on record while somebody serves them, and a pause outlives everybody."""

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.model.errors import ValidationError
from riverrun.model.queue import QueueRow
from tests.support.operations import NOW, a_job, change, fetch, insert, later
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


async def update(
    db: Database, name: str = "mail", metadata: str | None = None, seconds: float = 5
) -> QueueRow | None:
    queues = Operations(db.dialect).queues
    return await db.transact(queues.update(name, metadata, now=later(seconds)))


async def test_metadata_is_replaced_as_a_whole(db: Database) -> None:
    await upsert(db)
    await update(db, metadata='{"a": 1, "b": {"c": null}}')
    queue = await update(db, metadata='{"b": 2}', seconds=6)
    assert queue is not None
    assert queue == await get(db)
    assert (queue.metadata, queue.created_at, queue.updated_at) == ({"b": 2}, NOW, later(6))


async def test_an_update_without_metadata_keeps_it_and_says_nothing(
    db: Database, database_url: str
) -> None:
    await upsert(db)
    await update(db, metadata='{"a": 1}')
    async with sent(db, database_url) as messages:
        queue = await update(db, seconds=9)
    assert queue is not None
    assert (queue.metadata, queue.updated_at) == ({"a": 1}, later(9))
    told = [("river_control", '{"action":"metadata_changed","metadata":{"a": 1},"queue":"mail"}')]
    assert messages == ([] if db.dialect.is_postgres else told)


async def test_an_update_of_an_unknown_queue_is_told_to_nobody(
    db: Database, database_url: str
) -> None:
    async with sent(db, database_url) as messages:
        assert await update(db, "nobody", metadata="{}") is None
        assert await update(db, "nobody") is None
    assert messages == []


async def test_metadata_fills_a_notification_to_the_last_byte(
    db: Database, database_url: str
) -> None:
    """PostgreSQL's limit is on the payload; it would fail the whole update."""
    await upsert(db)
    room = 7999 - len('{"action":"metadata_changed","metadata":{"a":""},"queue":"mail"}')
    async with sent(db, database_url) as messages:
        await update(db, metadata='{"a":"' + "x" * room + '"}')
    assert [len(payload) for _, payload in messages] == [7999]
    longer = '{"a":"' + "x" * (room + 1) + '"}'
    if db.dialect.is_postgres:
        with pytest.raises(ValidationError, match="may have 7999"):
            await update(db, metadata=longer)
    else:
        assert await update(db, metadata=longer)


async def test_what_a_client_has_claimed_since_a_moment_is_found(db: Database) -> None:
    async def claimed(since: float, client_id: str = "me", queue: str = "default") -> list[int]:
        found = Operations(db.dialect).queues.claimed(queue, client_id, since=later(since))
        return [job.id for job in await db.run(found)]

    first, second = await insert(db), await insert(db)
    await fetch(db, limit=1)
    await fetch(db, later(1), limit=1)
    await insert(db, a_job(scheduled_at=later(99)))
    assert await claimed(0) == [first.id, second.id]
    assert await claimed(1) == [second.id]
    assert await claimed(1.001) == await claimed(0, "you") == await claimed(0, queue="mail") == []
    await change(db, first, "attempted_by = null")
    await change(db, second, "state = 'available'")
    assert await claimed(0) == []
