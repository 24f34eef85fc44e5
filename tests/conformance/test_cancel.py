"""River's TestCancel: a job is cancelled wherever it is at the moment."""

import asyncio

from tests.conformance.driver import Adapter, Json
from tests.conformance.marks import only_postgres
from tests.conformance.place import Place

REMOTELY = "JobCancelError: job cancelled remotely"


def cancelled_remotely(job: Json) -> bool:
    """By one request, with nothing else gone wrong."""
    ((error),) = job["errors"]
    return bool(
        (error["error"], error["attempt"], error["trace"]) == (REMOTELY, 1, "")
        and job["state"] == "cancelled"
        and job["attempt"] == 1
    )


async def test_Remote(one: Adapter, other: Adapter) -> None:
    """The worker looks once a minute, so that only a notification can tell it in time."""
    job = await one.insert_one("cooperative_cancel")
    await one.work(fetch_poll_interval_ms=60_000)
    await one.state(job["id"], "running")
    told = await other.call("cancel", id=job["id"])
    assert told["state"] == "running"
    cancelled = await other.state(job["id"], "cancelled")
    assert cancelled_remotely(cancelled)
    requested = told["metadata"]["cancel_attempted_at"]
    assert cancelled["metadata"]["cancel_attempted_at"] == requested
    await one.events("job_cancelled")


async def test_ClaimTime(one: Adapter, other: Adapter) -> None:
    """The request comes when the job is claimed, and its worker not yet begun."""
    job = await one.insert_one("cooperative_cancel")
    await one.work(claim_barrier="held", fetch_poll_interval_ms=60_000)
    await one.state(job["id"], "running")
    marker = await one.insert_one()
    await one.state(marker["id"], "completed")
    await other.call("cancel", id=job["id"])
    await one.call("queue", action="pause", name="default")
    await one.events("job_completed", "queue_paused")  # so the message before it was read too
    assert (await one.job(job["id"]))["state"] == "running"
    await one.call("release", name="held")
    assert cancelled_remotely(await one.state(job["id"], "cancelled"))
    assert (await one.call("stats"))["cancelled_at_start"] == 1


async def test_ClaimTime_without_a_cancel(one: Adapter) -> None:
    jobs = [await one.insert_one() for _ in range(3)]
    await one.work(claim_barrier="held", max_workers=2)
    for job in jobs[:2]:
        await one.state(job["id"], "running")
    await one.call("stop")
    for job in jobs[:2]:
        assert (await one.job(job["id"]))["state"] == "completed"
    assert (await one.job(jobs[2]["id"]))["state"] == "available"


async def test_PollOnly(one: Adapter, other: Adapter) -> None:
    await one.work(poll_only=True, fetch_poll_interval_ms=100)
    job = await other.insert_one("cooperative_cancel")
    await other.state(job["id"], "running")
    await other.call("cancel", id=job["id"])
    assert cancelled_remotely(await other.state(job["id"], "cancelled"))


@only_postgres
async def test_Race(one: Adapter, other: Adapter, place: Place) -> None:
    """Who waits for a lock gives the row as the other side has committed it."""
    job = await one.insert_one(scheduled_at="2099-01-01T00:00:00Z")
    for method, state in (("cancel", "cancelled"), ("retry", "available")):
        await other.call("tx_begin", tx="a")
        await other.call(method, id=job["id"], tx="a")
        waiting = asyncio.ensure_future(one.call(method, id=job["id"]))
        await place.until_locked("one")
        await other.call("tx_end", tx="a", commit=True)
        row = await waiting
        assert row["state"] == state
        assert row == await other.job(job["id"])


async def test_a_final_job_is_returned_as_it_is(one: Adapter) -> None:
    job = await one.insert_one()
    cancelled = await one.call("cancel", id=job["id"])
    assert await one.call("cancel", id=job["id"]) == cancelled
    assert await one.code("cancel", id=job["id"] + 1) == -32001
    assert await one.code("retry", id=job["id"] + 1) == -32001
