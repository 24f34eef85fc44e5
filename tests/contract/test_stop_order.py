"""In which order the parts of a client end."""

import asyncio

from riverrun import Workers
from riverrun.model.leadership_states import LeadershipReason
from tests.contract.conftest import MakeClient
from tests.support.metrics import Signs


async def test_a_leader_that_stops_ends_its_jobs_before_its_term(
    make_client: MakeClient, workers: Workers
) -> None:
    """R-74: so that there is maintenance for as long as somebody works."""
    started, led = asyncio.Event(), list[bool]()

    @workers.job
    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            led.append(client.leadership.is_leader)

    signs = Signs()
    client = make_client(hooks=[signs])
    async with client:
        await signs.of("leadership.gained")
        await client.insert(work.call())
        await started.wait()
        await client.stop(soft=0)
    assert led == [True]
    assert client.leadership.transitions[-1].reason is LeadershipReason.STOP
