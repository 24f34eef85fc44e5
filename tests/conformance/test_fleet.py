"""River's TestFleet: several workers, of the same kinds and of different ones."""

from datetime import datetime, timedelta

import pytest

from tests.conformance.driver import Adapter
from tests.conformance.sql import abandon, rename

PEER = "conformance_echo_peer"
RENAMED = "conformance_echo_renamed"
UNKNOWN = "job kind is not registered in the client's Workers bundle: stranger"
RESCUED = "Stuck job rescued by JobRescuer"


async def test_ClaimOrder(one: Adapter, other: Adapter) -> None:
    places = [(2, 3), (1, 2), (2, 1), (1, 1), (4, 1), (1, 2)]
    jobs = [
        await one.insert_one(priority=priority, scheduled_at=f"2026-01-01T00:00:0{second}Z")
        for priority, second in places
    ]
    assert {job["state"] for job in jobs} == {"scheduled"}
    await other.work(max_workers=1)
    done = await one.states([job["id"] for job in jobs], "completed")
    in_turn = [row["id"] for row in sorted(done, key=lambda row: row["attempted_at"])]
    order = sorted(zip(places, jobs, strict=True), key=lambda pair: (pair[0], pair[1]["id"]))
    assert in_turn == [job["id"] for _, job in order]


async def test_Competition(one: Adapter, other: Adapter) -> None:
    await one.work(max_workers=8)
    await other.work(max_workers=8)
    results = await one.insert(*[{"behavior": "sleep", "duration_ms": 10}] * 300)
    done = await one.states([result["job"]["id"] for result in results], "completed")
    assert all(row["attempt"] == len(row["attempted_by"]) == 1 for row in done)
    assert {row["attempted_by"][0] for row in done} == {"one", "other"}


async def test_HeterogeneousFleet(one: Adapter, other: Adapter) -> None:
    known = {"fetch_only_known_kinds": True}
    first, second = [await one.insert_one() for _ in range(2)]
    await rename(one.place, second["id"], PEER)
    await one.work(**known)
    await one.state(first["id"], "completed")
    marker = await one.insert_one()
    await one.state(marker["id"], "completed")
    left = await one.job(second["id"])
    assert (left["state"], left["attempt"], left["attempted_by"]) == ("available", 0, [])
    await other.work(worker_kinds=[PEER], **known)
    assert (await one.state(second["id"], "completed"))["attempted_by"] == ["other"]


@pytest.mark.parametrize("known", [True, False])
async def test_KindAlias(one: Adapter, known: bool) -> None:
    first, second = [await one.insert_one("output", "x") for _ in range(2)]
    await rename(one.place, second["id"], RENAMED)
    await one.work(worker_kinds=[RENAMED], fetch_only_known_kinds=known)
    for job, kind in ((first, "conformance_echo"), (second, RENAMED)):
        row = await one.state(job["id"], "completed")
        assert (row["kind"], row["metadata"]) == (kind, {"output": {"message": "x"}})


async def test_UnknownKind(one: Adapter) -> None:
    first, second = [await one.insert_one(max_attempts=most) for most in (1, 5)]
    for job in (first, second):
        await rename(one.place, job["id"], "stranger")
    await one.work(fetch_poll_interval_ms=50)
    discarded = await one.state(first["id"], "discarded")
    assert [error["error"] for error in discarded["errors"]] == [UNKNOWN]
    resting = await one.state(second["id"], "retryable")
    assert [error["error"] for error in resting["errors"]] == [UNKNOWN, UNKNOWN]
    assert [error["trace"] for error in resting["errors"]] == ["", ""]
    assert resting["attempt"] == 2
    times = (datetime.fromisoformat(resting[at]) for at in ("scheduled_at", "attempted_at"))
    scheduled_at, attempted_at = times
    assert timedelta(seconds=14) < scheduled_at - attempted_at < timedelta(seconds=19)


async def test_RescuerUnknownKind(one: Adapter) -> None:
    known, unknown = [await one.insert_one() for _ in range(2)]
    await rename(one.place, unknown["id"], "stranger")
    for job in (known, unknown):
        await abandon(one.place, job["id"])
    await one.work(queues=["elsewhere"], retry_delay_ms=60_000)
    for job, state in ((known, "retryable"), (unknown, "discarded")):
        row = await one.state(job["id"], state)
        assert [error["error"] for error in row["errors"]] == [RESCUED]
        assert row["metadata"]["river:rescue_count"] == 1
