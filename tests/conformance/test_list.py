"""River's TestList: pages, cursors and filters."""

from typing import Any

import pytest

from tests.conformance.driver import Adapter, Json

FIRST_PAGE = (
    "eyJpZCI6Miwia2luZCI6ImNvbmZvcm1hbmNlX2VjaG8iLCJxdWV1ZSI6ImRlZmF1bHQiLCJzb3J0X2ZpZWxkIjoic2NoZWR1bGVk"
    "X2F0IiwidGltZSI6IjIwOTktMDEtMDFUMDA6MDA6MDIuMjJaIn0="
)


async def pages(first: Adapter, second: Adapter, **params: Any) -> list[Json]:
    """All jobs, page by page, each side going on from the other's cursor."""
    jobs: list[Json] = []
    cursor = ""
    while True:
        page = await first.call("list", after=cursor, limit=2, **params)
        assert page == await second.call("list", after=cursor, limit=2, **params)
        jobs += page["jobs"]
        if page["cursor"] is None:
            return jobs
        cursor = page["cursor"]
        first, second = second, first


@pytest.mark.parametrize("direction", ["asc", "desc"])
async def test_CursorInterchange(one: Adapter, other: Adapter, direction: str) -> None:
    times = [f"2099-01-01T00:00:0{number}.{number}{number}Z" for number in range(1, 6)]
    jobs = [await one.insert_one(scheduled_at=time) for time in times]
    for job in jobs[:3]:
        await other.call("cancel", id=job["id"])
    await one.call("retry", id=jobs[0]["id"])
    orders: tuple[tuple[str, list[str]], ...] = (
        ("id", []),
        ("scheduled_at", []),
        ("time", []),
        ("time", ["cancelled", "scheduled"]),
        ("time", ["scheduled", "cancelled"]),
        ("time", ["running", "available", "scheduled", "cancelled"]),
        ("finalized_at", ["cancelled"]),
    )
    for order_by, states in orders:
        found = await pages(one, other, order_by=order_by, states=states, direction=direction)
        expected = [job["id"] for job in await one.jobs() if job["state"] in states or not states]
        assert sorted(job["id"] for job in found) == expected
        key = "id" if order_by == "id" else "scheduled_at"
        if order_by in ("id", "scheduled_at"):
            assert found == sorted(found, key=lambda job: job[key], reverse=direction == "desc")


async def test_CursorInterchange_text(one: Adapter) -> None:
    for second in (1.11, 2.22, 3.33):
        await one.insert_one(scheduled_at=f"2099-01-01T00:00:0{second}Z")
    page = await one.call("list", order_by="scheduled_at", limit=2)
    assert page["cursor"] == FIRST_PAGE
    (last,) = await one.jobs(order_by="scheduled_at", after=FIRST_PAGE.rstrip("="))
    assert last["id"] == 3
    assert await one.code("list", order_by="time", after=FIRST_PAGE) == -32002


async def test_CursorInterchange_of_a_kind_that_needs_the_urls_alphabet(one: Adapter) -> None:
    job = await one.insert_one()
    await one.place.rows("update river_job set kind = 'conformance_cursor<>&~~~'")
    page = await one.call("list")
    assert "-" in page["cursor"] or "_" in page["cursor"]
    assert (await one.call("list", after=page["cursor"]))["jobs"] == []
    standard = page["cursor"].replace("-", "+").replace("_", "/")
    assert (await one.call("list", after=standard))["jobs"] == []
    assert page["jobs"][0]["id"] == job["id"]


async def test_Filters(one: Adapter, other: Adapter) -> None:
    wanted: Json = {
        "priority": 2,
        "queue": "q",
        "tags": ["aaa", "bbb", "ccc"],
        "metadata": {"k": [1, 2]},
    }
    results = await one.insert(*({"opts": wanted} for _ in range(3)))
    ids = [result["job"]["id"] for result in results]
    changes: tuple[Json, ...] = (
        {"priority": 3},
        {"queue": "r"},
        {"tags": ["aaa"]},
        {"metadata": {"k": [1]}},
    )
    for change in changes:
        await one.insert_one(**{**wanted, **change})
    await one.insert_one(pending=True, **wanted)
    filters: Json = {
        "priorities": [2, 4], "queues": ["q"], "states": ["available", "running"],
        "tags_all": ["aaa", "ccc"], "metadata": {"k": [2]}, "direction": "desc",
    }  # fmt: skip
    page = await other.call("list", limit=2, **filters)
    assert [job["id"] for job in page["jobs"]] == ids[:0:-1]
    rest = await one.call("list", after=page["cursor"], **filters)
    assert [job["id"] for job in rest["jobs"]] == ids[:1]
