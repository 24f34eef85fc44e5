"""River's TestUnique: one side's job keeps the other side from inserting it again."""

import asyncio
from hashlib import sha256

import pytest

from tests.conformance.driver import Adapter, Json
from tests.conformance.marks import only_postgres
from tests.conformance.place import Place

YEARS = 10**12
"""A period in milliseconds that does not end during the test."""

DEFAULT = ["available", "completed", "pending", "retryable", "running", "scheduled"]
REQUIRED = ["available", "pending", "running", "scheduled"]
ARGS = '&args={"behavior":"","duration_ms":0,"message":"same"}'

OPTIONS: tuple[tuple[Json, str, list[str]], ...] = (
    ({"by_args": True}, f"&kind=conformance_echo{ARGS}", DEFAULT),
    ({"by_queue": True}, "&kind=conformance_echo&queue=default", DEFAULT),
    ({"by_args": True, "by_queue": True}, f"&kind=conformance_echo{ARGS}&queue=default", DEFAULT),
    ({"by_args": True, "exclude_kind": True}, ARGS, DEFAULT),
    ({"by_state": REQUIRED}, "&kind=conformance_echo", REQUIRED),
    ({"by_args": True, "by_state": REQUIRED}, f"&kind=conformance_echo{ARGS}", REQUIRED),
)


async def test_Columns(one: Adapter, other: Adapter) -> None:
    plain = await one.insert_one(message="same")
    assert (plain["unique_key"], plain["unique_states"]) == (None, None)
    for unique, text, states in OPTIONS:
        job = await one.insert_one(message="same", unique=unique)
        assert job["unique_key"] == sha256(text.encode()).hexdigest()
        assert job["unique_states"] == states
        (again,) = await other.insert({"message": "same", "opts": {"unique": unique}})
        assert again == {"job": job, "unique_skipped_as_duplicate": True}
        await other.call("cancel", id=job["id"])


@only_postgres
@pytest.mark.parametrize(
    "unique",
    [
        {"by_args": True},
        {"by_period_ms": YEARS},
        {"by_queue": True},
        {"by_state": REQUIRED},
    ],
)
async def test_ConcurrentConflict(one: Adapter, other: Adapter, place: Place, unique: Json) -> None:
    await one.call("tx_begin", tx="a")
    winner = await one.insert_one(message="same", unique=unique, tx="a")
    inserting = asyncio.ensure_future(other.insert({"message": "same", "opts": {"unique": unique}}))
    await place.until_locked("other")
    await one.call("tx_end", tx="a", commit=True)
    assert await inserting == [{"job": winner, "unique_skipped_as_duplicate": True}]


async def test_SkipKeepsExistingKind(one: Adapter, other: Adapter) -> None:
    unique = {"by_args": True, "exclude_kind": True}
    job = await one.insert_one(message="same", unique=unique)
    await one.place.rows("update river_job set kind = 'another'")
    (again,) = await other.insert({"message": "same", "opts": {"unique": unique}})
    assert again["unique_skipped_as_duplicate"]
    assert again["job"] == {**job, "kind": "another"}
    assert await one.job(job["id"]) == again["job"]
