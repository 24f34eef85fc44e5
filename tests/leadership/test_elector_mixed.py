"""Our elector next to River's: the imitation of a Go client, and rows and payloads as Go writes them."""

import json
from datetime import UTC, datetime

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.model.leadership_states import LeadershipReason
from riverrun.model.notification import LEADERSHIP
from tests.simulation.world import World
from tests.support.electing import DEAF, FAST, electing, hearing, leader, write
from tests.support.operations import notifications_of, select
from tests.support.recording import led_by, record
from tests.support.virtual import virtual

CRASH, STOP, ASKED = 22.0, 0.5, 0.5
"""Seconds until the other leads, after each way to end."""


@pytest.mark.parametrize(("end", "within"), [("kill", CRASH), ("stop", STOP), ("ask", ASKED)])
@virtual(seeds=5)
async def test_S_057_a_python_client_takes_over_from_go(
    world: World, end: str, within: float
) -> None:
    go, python = world.go_client("go"), world.client("python")
    await go.start()
    await world.until(lambda: go.maintains, within=1)
    await python.start()
    await world.sleep(12)
    while end == "ask" and go.leads:  # it bids again at once, and mostly wins
        world.request_resign()
        await world.sleep(0.5)
    if end == "kill":
        go.kill()
    if end == "stop":
        await go.stop()
    await world.until(lambda: python.maintains, within=within + 1)


@pytest.mark.parametrize(("end", "within"), [("kill", CRASH), ("stop", STOP), ("ask", ASKED)])
@virtual(seeds=5)
async def test_S_057_a_go_client_takes_over_from_python(
    world: World, end: str, within: float
) -> None:
    go, python = world.go_client("go"), world.client("python")
    await led_by(world, python)
    await go.start()
    await world.sleep(12)
    if end == "kill":
        python.kill()
    if end == "stop":
        await python.stop()
    if end == "ask":
        world.request_resign()
    await world.until(lambda: go.leads, within=within)


@virtual(seeds=10)
async def test_S_058_a_go_client_whose_hook_always_fails_loses_to_a_healthy_python_client(
    world: World,
) -> None:
    """Bidding at once after it has resigned, Go wins against whoever waits for 0 to 50 ms."""
    go, python = world.go_client("go"), world.client("python")
    go.hook = "fail"
    await go.start()
    await world.until(lambda: go.leads, within=1)
    await python.start()
    await world.sleep(60 - world.now)
    assert python.maintains
    changes = len(python.events)
    await world.sleep(120)
    assert python.maintains
    assert len(python.events) == changes


@virtual(seeds=5)
async def test_S_058_against_a_flapping_leader_the_bid_is_one_statement_without_delay(
    world: World,
) -> None:
    python = world.client("python")
    await led_by(world, world.client("other"))
    await python.start()
    recording = record(world, python)
    await world.sleep(7)
    for _ in range(2):
        python.summons.hear('{"leader_id": "go", "action": "resigned"}')
        await world.sleep(2)
    heard = world.now
    python.summons.hear('{"leader_id": "go", "action": "resigned"}')
    await world.sleep(0.06)
    assert [name for at, name, _ in recording.asked if at >= heard] == ["elect_leader"]
    assert recording.times("elect_leader")[-1] == heard


# Byte by byte, on real databases


async def test_S_057_a_term_of_go_holds_until_it_has_expired_and_is_resigned_as_go_does(
    db: Database, database_url: str
) -> None:
    await a_row_of_go(db, datetime(2999, 1, 1, tzinfo=UTC))
    async with hearing(db) as notifier, electing(db, "python", DEAF, notifier=notifier) as python:
        await python.shows("election.denied")
        await write(db, "delete from /*schema*/river_leader")
        assert python.events.empty()
        payload = '{"leader_id": "go", "action": "resigned"}'
        notify = Operations(db.dialect).notifications.notify(LEADERSHIP, [payload])
        await db.run(notify)
        await python.gains()
        await db.run(
            Operations(db.dialect).notifications.notify(
                LEADERSHIP, ['{"action":"request_resign","leader_id":""}']
            )
        )
        assert await python.loses() is LeadershipReason.RESIGN_REQUESTED


async def test_S_057_an_expired_row_of_go_is_taken_over(db: Database) -> None:
    await a_row_of_go(db, datetime(2000, 1, 1, tzinfo=UTC))
    async with electing(db, "python", FAST) as python:
        await python.gains()
        row = await leader(db)
        assert row is not None
        assert row.leader_id == "python"


async def test_S_057_what_go_reads_of_ours_is_what_it_writes_itself(
    db: Database, database_url: str
) -> None:
    async with (
        notifications_of(db, database_url) as messages,
        electing(db, "python", FAST) as python,
    ):
        await python.gains()
        rows = await select(db, "select leader_id, name from river_leader")
        assert [tuple(row) for row in rows] == [("python", "default")]
    ((topic, payload),) = messages
    message = json.loads(payload)
    assert topic == "river_leadership"
    assert {key: message[key] for key in ("leader_id", "action")} == {
        "leader_id": "python",
        "action": "resigned",
    }


async def a_row_of_go(db: Database, expires_at: datetime) -> None:
    """On SQLite Go trims the zeros at the end of a fraction."""
    values = f"'go', '1999-12-31 23:00:00.5', '{expires_at:%Y-%m-%d %H:%M:%S}'"
    await write(
        db,
        f"insert into /*schema*/river_leader (leader_id, elected_at, expires_at) values ({values})",  # noqa: S608
    )
