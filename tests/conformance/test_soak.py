"""River's TestSoak, a short one: by a number of batches rather than for a time."""

import pytest

from tests.conformance.driver import Adapter
from tests.conformance.leading import leader

BATCHES = 12
EACH = 10
LONG_AGO = "2026-01-01T00:00:00Z"
WORK = {"max_workers": 8, "fetch_poll_interval_ms": 100}


async def hand_over(one: Adapter, other: Adapter) -> None:
    """Whoever leads stops in the middle of its work, and starts again once the other leads."""
    name, _ = await leader(one, "one", "other")
    leaves, follows = (one, other) if name == "one" else (other, one)
    await leaves.call("stop")
    await leader(follows, follows.name)
    await leaves.work(**WORK)


@pytest.mark.timeout(120)
async def test_Soak(one: Adapter, other: Adapter) -> None:
    ids: list[int] = []
    for adapter in (one, other):
        await adapter.work(**WORK)
    for batch in range(1, BATCHES + 1):
        for adapter in (one, other):
            results = await adapter.insert(*[{"behavior": "sleep", "duration_ms": 10}] * EACH)
            ids += [result["job"]["id"] for result in results]
        if batch % 4 == 0:
            await hand_over(one, other)
    done = await one.states(ids, "completed")
    assert len(done) == len(set(ids)) == 2 * EACH * BATCHES
    # Claimed in the instant of a stop, a job goes back unworked: then two have claimed it.
    assert all((row["attempt"], row["errors"]) == (1, []) for row in done)
    assert {name for row in done for name in row["attempted_by"]} <= {"one", "other"}
    # Only a leader makes it available.
    scheduled = await one.insert_one(scheduled_at=LONG_AGO)
    assert scheduled["state"] == "scheduled"
    await other.state(scheduled["id"], "completed")
