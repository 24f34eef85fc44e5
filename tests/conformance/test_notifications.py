"""River's TestNotifications: what is told, to whom, how often, and when."""

from datetime import datetime

import pytest

from tests.conformance.driver import Adapter
from tests.conformance.leading import leader, new_term
from tests.conformance.messages import messages_of

MINUTE = 60_000
"""Between two looks, so that nothing is found without being told of."""


async def test_InsertWakeup(one: Adapter, other: Adapter) -> None:
    await one.work(fetch_poll_interval_ms=MINUTE)
    for _ in range(3):
        job = await other.insert_one()
        await other.state(job["id"], "completed")


async def test_PauseResume(one: Adapter, other: Adapter) -> None:
    await one.work(queues=["paused", "marker"], fetch_poll_interval_ms=50)
    await other.call("queue", action="pause", name="paused")
    await one.events("queue_paused")
    held = await other.insert_one(queue="paused")
    marker = await other.insert_one(queue="marker")
    await other.state(marker["id"], "completed")
    assert await other.job(held["id"]) == held
    await other.call("queue", action="resume", name="paused")
    done = await other.state(held["id"], "completed")
    column = "updated_at" if one.place.is_postgres else "updated_at || 'Z'"
    resumed = await one.place.value(f"select {column} from river_queue where name = 'paused'")  # noqa: S608
    resumed = resumed if isinstance(resumed, datetime) else datetime.fromisoformat(resumed)
    assert datetime.fromisoformat(done["attempted_at"]) >= resumed
    await one.until(
        lambda: one.call("stats"),
        lambda stats: (
            sorted(stats["events"])
            == ["job_completed", "job_completed", "queue_paused", "queue_resumed"]
        ),
    )


async def test_Payloads(one: Adapter) -> None:
    async with messages_of(one.place) as messages:
        if one.place.is_postgres:
            await messages.mark()
        job = await one.insert_one(queue="a_queue")
        await one.insert_one(queue="later", scheduled_at="2099-01-01T00:00:00Z")
        await one.insert_one(queue="parked", pending=True)
        await one.call("cancel", id=job["id"])
        await one.call("cancel", id=job["id"])
        await one.call("retry", id=job["id"])
        await one.work("c1")
        await leader(one)
        await one.call("queue", action="update", name="default", metadata={"owner": "me"})
        await one.call("queue", action="pause", name="default")
        await one.call("queue", action="resume", name="default")
        assert await messages.all() == [
            ("river_insert", {"queue": "a_queue"}),
            ("river_control", {"action": "cancel", "job_id": job["id"], "queue": "a_queue"}),
            (
                "river_control",
                {"action": "metadata_changed", "metadata": {"owner": "me"}, "queue": "default"},
            ),
            ("river_control", {"action": "pause", "queue": "default"}),
            ("river_control", {"action": "resume", "queue": "default"}),
        ]


@pytest.mark.timeout(60)
async def test_Payloads_of_leadership(one: Adapter) -> None:
    async with messages_of(one.place) as messages:
        await one.work("c1")
        term = await leader(one)
        await one.call("request_resign")
        await new_term(one, term)
        await one.call("stop")
        assert await messages.of("river_leadership") == [
            {"action": "request_resign", "leader_id": ""},
            {"action": "resigned", "leader_id": "c1"},
            {"action": "resigned", "leader_id": "c1"},
        ]


async def test_QueueSubscriptionEvents(one: Adapter, other: Adapter) -> None:
    await one.work(queues=["first"])
    for action in ("pause", "pause", "resume", "resume"):
        await other.call("queue", action=action, name="*")
    await one.events("queue_paused", "queue_resumed")
    for action in ("pause", "resume"):
        await other.call("queue", action=action, name="first")
    await one.events("queue_paused", "queue_resumed", "queue_paused", "queue_resumed")
    for action in ("pause", "resume", "update"):
        assert await other.code("queue", action=action, name="unknown") == -32001


async def test_QueueUpdates(one: Adapter, other: Adapter) -> None:
    await other.work()
    text = "metadata::text" if one.place.is_postgres else "json(metadata)"
    sql = f"select {text}, paused_at is null from river_queue"  # noqa: S608 - our own text
    before = await one.place.rows(sql)
    async with messages_of(one.place) as messages:
        for commit in (False, True):
            await one.call("tx_begin", tx="a")
            await one.call(
                "queue", action="update", name="default", metadata={"owner": "me"}, tx="a"
            )
            await one.call("queue", action="pause", name="default", tx="a")
            assert await one.place.rows(sql) == before
            assert await messages.of("river_control") == []
            await one.call("tx_end", tx="a", commit=commit)
        assert await one.place.rows(sql) != before
        assert await messages.of("river_control") == [
            {"action": "metadata_changed", "metadata": {"owner": "me"}, "queue": "default"},
            {"action": "pause", "queue": "default"},
        ]
    await other.events("queue_paused")


async def test_Transactional(one: Adapter, other: Adapter) -> None:
    job = await one.insert_one(pending=True)
    async with messages_of(one.place) as messages:
        for commit, told in ((False, 0), (True, 1)):
            await one.call("tx_begin", tx="a")
            await one.call("cancel", id=job["id"], tx="a")
            await one.call("tx_end", tx="a", commit=commit)
            assert len(await messages.of("river_control")) == told
    await other.work(fetch_poll_interval_ms=MINUTE)
    await one.call("tx_begin", tx="b")
    inserted = await one.insert_one(tx="b")
    assert await one.jobs(ids=[inserted["id"]]) == []
    await one.call("tx_end", tx="b", commit=True)
    await other.state(inserted["id"], "completed")
