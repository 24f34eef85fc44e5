"""A few hundred random runs, with every invariant looked at after every step; `make simulate` has more.

What a run is says rules.py, what must hold invariants.py. `python -m tests.simulation.run --seed N`
runs a failing one again, step by step as it was.
"""

import logging
from collections.abc import Iterator

import pytest

from tests.simulation.rules import draw_plan, run_plan
from tests.simulation.run import fails
from tests.simulation.world import World, run_world

SEEDS = 300
AT_ONCE = 30


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    """Thousands of records that nobody reads."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_no_run_breaks_an_invariant(first: int) -> None:
    failures = {seed: fails(draw_plan(seed)) for seed in range(first, first + AT_ONCE)}
    assert not {seed: error for seed, error in failures.items() if error is not None}


def test_a_seed_gives_the_same_run_each_time() -> None:
    def trace(seed: int) -> list[str]:
        seen: list[str] = []

        async def scenario(world: World) -> None:
            world.loop.after_step.append(lambda: seen.append(f"{world.loop.steps} {world.now!r}"))
            await run_plan(world, draw_plan(seed))
            seen.extend(map(repr, world.server.log))

        run_world(scenario, seed=seed)
        return seen

    first = trace(3)
    assert len(first) > 500
    assert trace(3) == first
    assert trace(4) != first
