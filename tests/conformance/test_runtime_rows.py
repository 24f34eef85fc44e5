"""River's TestRuntimeRows: rows after a claim, a snooze, a discard of the scheduler, and a rescue."""

from datetime import datetime, timedelta

from tests.conformance.driver import Adapter, Json
from tests.conformance.sql import abandon
from tests.conformance.test_maintenance import retryable

RESCUED = "Stuck job rescued by JobRescuer"


def changed(row: Json, before: Json) -> set[str]:
    """The members that differ."""
    return {name for name, value in row.items() if value != before[name]}


async def test_claim(one: Adapter) -> None:
    job = await one.insert_one("barrier_wait", "never")
    await one.work()
    row = await one.state(job["id"], "running")
    assert changed(row, job) == {"state", "attempt", "attempted_at", "attempted_by"}
    assert (row["attempt"], row["attempted_by"]) == (1, ["one"])


async def test_snooze(one: Adapter) -> None:
    job = await one.insert_one("snooze_once", duration_ms=60_000)
    await one.work()
    row = await one.state(job["id"], "scheduled")
    expected = {"state", "attempted_at", "attempted_by", "metadata", "scheduled_at"}
    assert changed(row, job) == expected
    assert row["metadata"] == {"snoozes": 1}


async def test_scheduler_discard(one: Adapter) -> None:
    await retryable(one, "same")
    job = await retryable(one, "same")
    before = await one.job(job["id"])
    await one.work(queues=["elsewhere"])
    row = await one.state(job["id"], "discarded")
    assert changed(row, before) == {"state", "finalized_at", "metadata"} | (
        {"unique_key", "unique_states"} if row["unique_key"] is None else set()
    )


async def test_rescue(one: Adapter) -> None:
    jobs = [await one.insert_one(max_attempts=most) for most in (5, 1)]
    for job in jobs:
        await abandon(one.place, job["id"])
    await one.work(queues=["elsewhere"], retry_delay_ms=3_600_000)
    row = await one.state(jobs[0]["id"], "retryable")
    ((error),) = row["errors"]
    assert (error["error"], error["attempt"], error["trace"]) == (RESCUED, 1, "")
    assert row["metadata"] == {"mine": 1, "river:rescue_count": 1}
    delay = datetime.fromisoformat(row["scheduled_at"]) - datetime.fromisoformat(error["at"])
    assert timedelta(minutes=59) < delay < timedelta(minutes=61)
    assert (await one.state(jobs[1]["id"], "discarded"))["finalized_at"] is not None
