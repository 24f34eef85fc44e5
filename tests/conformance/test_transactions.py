"""River's TestTransactions: what happens in a named transaction, and what is seen outside."""

import pytest

from tests.conformance.driver import Adapter


async def test_Cancel(one: Adapter, other: Adapter) -> None:
    job = await other.insert_one()
    await one.call("tx_begin", tx="a")
    cancelled = await one.call("cancel", id=job["id"], tx="a")
    assert cancelled["state"] == "cancelled"
    assert await other.job(job["id"]) == job
    await one.call("tx_end", tx="a", commit=True)
    assert await other.job(job["id"]) == cancelled


@pytest.mark.parametrize("commit", [True, False])
async def test_Visibility(one: Adapter, other: Adapter, commit: bool) -> None:
    await one.call("tx_begin", tx="a")
    single = await one.insert_one(tx="a")
    batch = await one.insert({}, {"opts": {"pending": True}}, tx="a")
    first, second = (result["job"] for result in batch)
    assert (await one.call("cancel", id=single["id"], tx="a"))["state"] == "cancelled"
    assert (await one.call("cancel", id=first["id"], tx="a"))["state"] == "cancelled"
    retried = await one.call("retry", id=first["id"], tx="a")
    inside = await one.jobs(tx="a")
    assert [job["state"] for job in inside] == ["cancelled", "available", "pending"]
    assert inside[1] == retried
    assert inside[2] == second
    assert await other.jobs() == await one.jobs() == []
    await one.call("tx_end", tx="a", commit=commit)
    assert await other.jobs() == (inside if commit else [])


async def test_Visibility_of_a_rejected_insert(one: Adapter, other: Adapter) -> None:
    """PostgreSQL aborts the transaction over a duplicate; validation leaves it as it was."""
    same = {"message": "twice", "opts": {"unique": {"by_args": True}}}
    for batch in ([{}, {"opts": {"priority": 99}}], [{}, same, same]):
        await one.call("tx_begin", tx="a")
        assert await one.code("insert", jobs=batch, tx="a") == -32002
        await one.call("tx_end", tx="a", commit=not one.place.is_postgres)
        assert await other.jobs() == []


async def test_several_transactions_are_open_at_once(one: Adapter) -> None:
    await one.call("tx_begin", tx="a")
    await one.call("tx_begin", tx="b")
    assert await one.code("tx_begin", tx="a") == -32002
    await one.insert_one(tx="a")
    await one.call("tx_end", tx="a", commit=True)
    assert len(await one.jobs(tx="b")) == 1
    await one.call("tx_end", tx="b")
    assert await one.code("tx_end", tx="b") == -32001
