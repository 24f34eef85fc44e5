"""River's TestLeadership: one leads, and another when it is asked to or gone."""

import pytest

from tests.conformance.driver import Adapter
from tests.conformance.leading import SQL, leader, new_term
from tests.conformance.messages import messages_of

pytestmark = pytest.mark.timeout(120)


async def test_Failover(one: Adapter, other: Adapter) -> None:
    """A leader that stops hands over, long before its lease has run out."""
    await one.work()
    term = await leader(one, "one")
    await other.work()
    for _ in range(2):
        await other.call("request_resign")
        term = await new_term(other, term)
    leaves, follows = (one, other) if term[0] == "one" else (other, one)
    await leaves.call("stop")
    await leader(follows, follows.name)
    await leaves.work()
    await follows.call("stop")
    await leader(leaves, leaves.name)


async def test_RequestResign(one: Adapter, other: Adapter) -> None:
    await one.work()
    term = await leader(one, "one")
    await other.work()
    await other.call("request_resign")
    term = await new_term(other, term)
    asks = one if term[0] == "other" else other
    async with messages_of(one.place) as messages:
        before = len(await messages.of("river_leadership"))
        await asks.call("tx_begin", tx="a")
        await asks.call("request_resign", tx="a")
        await asks.call("tx_end", tx="a")
        assert len(await messages.of("river_leadership")) == before
        assert (await one.place.rows(SQL))[0][1] == term[1]
        await asks.call("tx_begin", tx="b")
        await asks.call("request_resign", tx="b")
        await asks.call("tx_end", tx="b", commit=True)
        await new_term(asks, term)
        requests = (await messages.of("river_leadership"))[before:]
        assert [m["action"] for m in requests].count("request_resign") == 1


async def test_ElectionDisabled(one: Adapter, other: Adapter) -> None:
    disabled = {"leader_election_disabled": True}
    assert await one.code("start", periodic_run_on_start=True, **disabled) == -32002
    await one.work(**disabled)
    job = await one.insert_one()
    await one.state(job["id"], "completed")
    assert await one.place.rows(SQL) == []
    await other.work()
    await leader(other, "other")
    await other.call("stop")
    await one.call("stop")
    await one.work(**disabled)
    job = await one.insert_one()
    await one.state(job["id"], "completed")
    assert await one.place.rows(SQL) == []
    assert (await one.call("stats"))["periodic_starts"] == 0


async def test_each_term_counts_as_one_start_even_without_periodic_jobs(one: Adapter) -> None:
    await one.work()
    term = await leader(one)
    await one.until(lambda: one.call("stats"), lambda stats: stats["periodic_starts"] == 1)
    await one.call("request_resign")
    await new_term(one, term)
    await one.until(lambda: one.call("stats"), lambda stats: stats["periodic_starts"] == 2)
