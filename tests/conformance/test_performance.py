"""River's TestPerformance, as far as it counts rather than measures time."""

import pytest

from tests.conformance.driver import Adapter
from tests.conformance.marks import only_postgres

MOST_CONNECTIONS = 20


@only_postgres
@pytest.mark.timeout(60)
async def test_CompletionBatching(one: Adapter) -> None:
    """A thousand jobs that end at once are written in few transactions."""
    results = await one.insert(*[{"behavior": "barrier_wait", "message": "gate"}] * 1000)
    ids = [result["job"]["id"] for result in results]
    await one.work(max_workers=1000)
    await one.states(ids, "running")
    sql = "select pg_current_xact_id()::text::bigint"
    before = await one.place.value(sql)
    await one.call("release", name="gate")
    await one.states(ids, "completed")
    assert await one.place.value(sql) - before < 250
    assert await one.place.connections("one") <= MOST_CONNECTIONS


@only_postgres
@pytest.mark.timeout(60)
async def test_PoolPressure(one: Adapter, other: Adapter) -> None:
    for adapter in (one, other):
        await adapter.work(max_workers=100)
    results = await one.insert(*[{"behavior": "output", "message": "x"}] * 600)
    ids = [result["job"]["id"] for result in results]
    counts: list[int] = []

    async def unfinished() -> int:
        counts.extend([await one.place.connections(name) for name in ("one", "other")])
        return 600 - len(await one.jobs(ids=ids, states=["completed"], limit=600))

    await one.until(unfinished, lambda left: left == 0)
    assert max(counts) <= MOST_CONNECTIONS
