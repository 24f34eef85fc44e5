"""What a client does where nobody can start all of its maintenance, as its option says."""

from typing import Any

import pytest

from riverrun import PeriodicJobsStartHook, Workers
from riverrun.runtime.clock import ManualClock
from tests.contract.conftest import MakeClient
from tests.support.metrics import Signs


@pytest.mark.parametrize(("option", "leads_on"), [("degrade", True), ("handover", False)])
async def test_the_third_term_that_fails_is_kept_or_given_up_as_the_option_says(
    make_client: MakeClient, workers: Workers, option: str, leads_on: bool
) -> None:
    """R-70."""

    def fail(_durable_jobs: Any) -> None:
        raise LookupError("not here")

    @workers.job
    async def work() -> None: ...

    clock, signs = ManualClock(), Signs()
    hooks = [signs, PeriodicJobsStartHook(fail)]
    async with make_client(clock=clock, hooks=hooks, on_persistent_start_failure=option) as client:
        half = client._half  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        assert half is not None
        assert half.maintainer is not None
        half.maintainer.failed_terms = 2
        for _ in range(3):
            await signs.of("maintainer.start.error")
            clock.advance(2.3)
        await signs.of("maintainer.exhausted")
        assert client.leadership.is_leader is leads_on
