"""River's TestBatch: many jobs in one call."""

from tests.conformance.driver import Adapter, Json

UNIQUE: Json = {"by_args": True}


async def test_Atomicity(one: Adapter, other: Adapter) -> None:
    same: Json = {"message": "twice", "opts": {"unique": UNIQUE}}
    lone: Json = {"opts": {"unique": {"exclude_kind": True}}}
    for batch in ([], [{}, {"opts": {"priority": 99}}], [{}, same, same], [{}, lone]):
        assert await one.code("insert", jobs=batch) == -32002
        assert await other.jobs() == []


async def test_LargeBatchOrder(one: Adapter, other: Adapter) -> None:
    results = await one.insert(*({"message": str(number)} for number in range(6000)))
    messages = [result["job"]["args"]["message"] for result in results]
    assert messages == [str(number) for number in range(6000)]
    ids = [result["job"]["id"] for result in results]
    assert ids == sorted(ids)
    assert [job["id"] for job in await other.jobs(limit=6000)] == ids


async def test_Results(one: Adapter, other: Adapter) -> None:
    there = await other.insert_one(message="there", unique=UNIQUE)
    results = await one.insert(
        {"message": "new"},
        {"message": "there", "opts": {"unique": UNIQUE}},
        {"message": "parked", "opts": {"pending": True}},
    )
    skipped = [result["unique_skipped_as_duplicate"] for result in results]
    assert skipped == [False, True, False]
    new, duplicate, parked = (result["job"] for result in results)
    assert duplicate == there
    assert (new["state"], parked["state"]) == ("available", "pending")
    for job in (new, duplicate, parked):
        assert await other.job(job["id"]) == job
