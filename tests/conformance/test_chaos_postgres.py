"""River's TestChaos on PostgreSQL alone: locks, broken connections, odd rows, other servers."""

import pytest

from tests.conformance.conftest import Start
from tests.conformance.driver import Adapter
from tests.conformance.marks import only_postgres
from tests.conformance.outage import Outage
from tests.conformance.place import Place
from tests.support.yugabyte import FUNCTIONS

pytestmark = [only_postgres, pytest.mark.timeout(90)]

MINUTE = 60_000
FAIL_ONCE = """
    create sequence tries;
    create function fail_once() returns trigger language plpgsql as $$ begin
        if new.state = 'completed' and nextval('tries') = 1 then
            raise serialization_failure;
        end if;
        return new;
    end $$;
    create trigger fail_once before update on river_job for each row execute function fail_once();
"""
ODD_ROWS = """
    update river_job set errors = array['{"at": 5, "attempt": "2", "error": ["x"], "trace": null}',
        '7']::jsonb[] where id = 1;
    update river_job set metadata = '[1, 2]' where id = 2;
"""
DECODING = "job row couldn't be decoded: "


async def test_CompletionRowLock(one: Adapter, place: Place) -> None:
    job = await one.insert_one("barrier_wait", "gate")
    await one.work()
    await one.state(job["id"], "running")
    async with place.connection() as connection, connection.transaction():
        await connection.execute("select * from river_job for update")
        await one.call("release", name="gate")
        await place.until_locked("one")
    row = await one.state(job["id"], "completed")
    assert (row["attempt"], row["errors"]) == (1, [])


async def test_CompletionTransientFailure(one: Adapter, place: Place) -> None:
    async with place.connection() as connection:
        await connection.execute(FAIL_ONCE)
    await one.work()
    job = await one.insert_one()
    row = await one.state(job["id"], "completed")
    assert (row["attempt"], row["errors"]) == (1, [])
    assert await place.value("select last_value from tries") == 2


async def test_DatabaseUnavailable(one: Adapter, start: Start, place: Place) -> None:
    """What ended during the outage, and what was inserted meanwhile, is completed after it."""
    outage = Outage(place.url)
    async with await outage.serve():
        worker = await start("worker", address=place.through(outage.url))
        await worker.work(fetch_poll_interval_ms=250)
        running = await one.insert_one("barrier_wait", "gate")
        await one.state(running["id"], "running")
        await outage.begin()
        await worker.call("release", name="gate")
        waiting = await one.insert_one()
        await outage.refused(3)
        outage.end()
        for row in await one.states([running["id"], waiting["id"]], "completed"):
            assert (row["attempt"], row["errors"]) == (1, [])
        await worker.call("stop")
        await outage.cut()


async def test_DecodeIsolation(one: Adapter, place: Place) -> None:
    jobs = [await one.insert_one(max_attempts=1) for _ in range(3)]
    async with place.connection() as connection:
        await connection.execute(ODD_ROWS)
    errors = "select errors::text from river_job where id = 1"
    before = await place.value(errors)
    shown = (await one.jobs())[0]["errors"]
    assert [error["error"] for error in shown] == ['["x"]', "7"]
    assert all(error.keys() == {"at", "attempt", "error", "trace"} for error in shown)
    await one.work(error_handler_cancel=True)
    for job in (jobs[0], jobs[2]):
        await one.state(job["id"], "completed")
    assert await place.value(errors) == before
    row = await one.state(jobs[1]["id"], "cancelled")
    assert row["errors"][0]["error"].startswith(DECODING)
    assert await place.value("select metadata::text from river_job where id = 2") == "[1, 2]"
    assert (await one.call("stats"))["error_handler_calls"] == 1


async def test_ListenerReconnect(one: Adapter, other: Adapter, place: Place) -> None:
    await one.work(fetch_poll_interval_ms=MINUTE)
    await place.until_listening("one")
    for query in ("listen%", "%"):
        assert await place.terminate("one", query) > 0
        await place.until_listening("one")
        job = await other.insert_one()
        await other.state(job["id"], "completed")
    # A pooled connection that was ended is none of the caller's business.
    assert await place.terminate("other") > 0
    await other.insert_one()


async def test_SimulatedYugabyte(one: Adapter, start: Start, place: Place) -> None:
    """No notifications, and no other way to know an inserted row than a mark in its metadata."""
    async with place.connection() as connection:
        await connection.execute(FUNCTIONS.format(setting="null"))
    address = place.through(place.url, "pg_catalog")
    worker = await start("worker", address=address)
    await worker.work(fetch_poll_interval_ms=100)
    unique = {"opts": {"unique": {"by_args": True}}}
    ((first), (again)) = [(await worker.insert(unique))[0] for _ in range(2)]
    skipped = [result["unique_skipped_as_duplicate"] for result in (first, again)]
    assert skipped == [False, True]
    assert first["job"]["metadata"] == {}
    job = await worker.insert_one("cooperative_cancel")
    await worker.state(first["job"]["id"], "completed")
    await worker.state(job["id"], "running")
    other = await start("other", address=address)
    await other.call("cancel", id=job["id"])
    await worker.state(job["id"], "cancelled")
    sql = "select metadata ->> 'river:unique_nonce' from river_job where id = 1"
    assert len(bytes.fromhex(await one.place.value(sql))) == 8
