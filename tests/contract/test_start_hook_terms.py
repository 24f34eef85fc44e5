"""Start hooks know for which term as leader they are called."""

from collections.abc import Sequence

import pytest

from riverrun import (
    DurablePeriodicJob,
    LeadershipTermId,
    PeriodicJobsStart,
    PeriodicJobsStartHook,
    Workers,
    current_term,
)
from tests.contract.conftest import MakeClient
from tests.support.metrics import Signs


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_start_hook_is_told_its_term_and_nobody_else_is(
    make_client: MakeClient, workers: Workers, kind: str
) -> None:
    """R-62: a token to give to whatever the hook calls."""
    terms: list[LeadershipTermId | None] = []
    signs = Signs()

    async def later(_durable_jobs: Sequence[DurablePeriodicJob]) -> None:
        terms.append(current_term())

    def at_once(_durable_jobs: Sequence[DurablePeriodicJob]) -> None:
        terms.append(current_term())

    @workers.job
    async def work() -> None: ...

    hook: PeriodicJobsStart = later if kind == "async" else at_once
    async with make_client(id="a", hooks=[signs, PeriodicJobsStartHook(hook)]) as client:
        await signs.of("maintainer.start.ok", service="periodic_job_enqueuer")
        leader = await client.get_leader()
        assert leader is not None
        assert terms == [LeadershipTermId(leader_id="a", elected_at=leader.elected_at)]
        assert current_term() is None
