"""River's TestChaos on either database: processes are killed, notifications lost, jobs abandoned."""

import asyncio
from datetime import datetime

import pytest

from tests.conformance.conftest import Start
from tests.conformance.driver import Adapter
from tests.conformance.leading import leader
from tests.conformance.marks import only_sqlite
from tests.conformance.place import Place
from tests.conformance.sql import OLD, expire_leader
from tests.support.transactions import sqlite_transaction

pytestmark = pytest.mark.timeout(90)

RESCUED = "Stuck job rescued by JobRescuer"
RESCUE = {"rescue_after_ms": 1500, "job_timeout_ms": 1000}
INSERT = {
    "postgres": "insert into river_job (kind, args, max_attempts) values ('conformance_echo', '{}', 5)",
    "sqlite": "insert into river_job (kind, args, max_attempts)"
    " values ('conformance_echo', '{}', 5)",
}


async def killed_in_the_middle(worker: Adapter, asks: Adapter) -> int:
    """The id of a job that nobody works any more, for long enough to be rescued."""
    await worker.work(**RESCUE)
    await leader(worker)
    job = await worker.insert_one("barrier_wait", "never")
    await worker.state(job["id"], "running")
    await worker.kill()
    await expire_leader(asks.place)
    old = OLD[asks.place.driver]
    await asks.until(lambda: asks.place.value(old), bool)
    job_id: int = job["id"]
    return job_id


async def test_ProcessKillRescue(one: Adapter, other: Adapter) -> None:
    job_id = await killed_in_the_middle(one, other)
    await other.call("release", name="never")
    await other.work(retry_delay_ms=1, fetch_poll_interval_ms=50, **RESCUE)
    row = await other.state(job_id, "completed")
    assert row["attempt"] == 2
    assert row["attempted_by"] == ["one", "other"]
    assert [(error["error"], error["attempt"]) for error in row["errors"]] == [(RESCUED, 1)]
    assert row["metadata"] == {"river:rescue_count": 1}


async def test_ProcessKillRestart(one: Adapter, start: Start) -> None:
    again = await start("again")
    job_id = await killed_in_the_middle(one, again)
    await again.call("release", name="never")
    await again.work("one", retry_delay_ms=1, fetch_poll_interval_ms=50, **RESCUE)
    row = await again.state(job_id, "completed")
    assert (row["attempt"], row["attempted_by"]) == (2, ["one", "one"])


async def test_LeaderDeath(one: Adapter, other: Adapter) -> None:
    async def runs(adapter: Adapter, count: int) -> None:
        await adapter.until(
            lambda: adapter.jobs(states=["completed"]), lambda jobs: len(jobs) == count
        )

    await one.work(periodic_run_on_start=True)
    await leader(one, "one")
    await other.work(periodic_run_on_start=True)
    await runs(one, 1)
    assert (await other.call("stats"))["periodic_starts"] == 0
    await one.kill()
    await expire_leader(other.place)
    await leader(other, "other")
    await runs(other, 2)
    assert (await other.call("stats"))["periodic_starts"] == 1


async def test_LostNotification(one: Adapter) -> None:
    await one.work(fetch_poll_interval_ms=250)
    await one.place.rows(INSERT[one.place.driver])
    await one.until(lambda: one.jobs(states=["completed"]), lambda jobs: len(jobs) == 1)


async def test_RollingDeployment(one: Adapter, other: Adapter, start: Start) -> None:
    """One side after the other stops and starts, while jobs come and are worked."""
    inserts = await start("inserts")
    for adapter in (one, other):
        await adapter.work(max_workers=8, fetch_poll_interval_ms=100)
    ids: list[int] = []
    job = {"behavior": "sleep", "duration_ms": 20}
    for adapter in (one, other, one, other):
        stopping = asyncio.ensure_future(adapter.call("stop"))
        ids += [result["job"]["id"] for result in await inserts.insert(*[job] * 20)]
        await stopping
        await adapter.work(max_workers=8, fetch_poll_interval_ms=100)
    done = await inserts.states(ids, "completed")
    # Claimed in the instant of a stop, a job goes back unworked: then two have claimed it.
    assert all((row["attempt"], row["errors"]) == (1, []) for row in done)


@only_sqlite
async def test_SQLiteWriterLock(one: Adapter, place: Place) -> None:
    """The outcome of a job waits for another program that writes."""
    job = await one.insert_one("barrier_wait", "gate")
    await one.work()
    await one.state(job["id"], "running")
    with sqlite_transaction(place.url):
        await one.call("release", name="gate")
        for _ in range(10):
            await one.breathe()
    row = await one.state(job["id"], "completed")
    assert (row["attempt"], row["errors"]) == (1, [])
    assert datetime.fromisoformat(row["finalized_at"]) > datetime.fromisoformat(row["created_at"])
