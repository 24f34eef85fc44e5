"""Maintenance is never away for longer than L-1 to L-9 of the specification say: bounds.py has them.

That each of them could be missed is shown with clients of which most is wrong.
"""

import logging
from collections.abc import Iterator

import pytest

from tests.simulation.bounds import BOUNDS, Bound, is_missed, measure
from tests.simulation.client import SimClient
from tests.simulation.world import World

SEEDS = 5
IDS = [bound.scenario.__name__ for bound in BOUNDS]


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("bound", BOUNDS, ids=IDS)
def test_maintenance_is_away_no_longer_than_its_bound(bound: Bound) -> None:
    seeds = 2 if bound.is_rate else SEEDS
    assert max(measure(bound, seeds)) <= bound.seconds


@pytest.mark.timeout(120)
@pytest.mark.parametrize("bound", BOUNDS, ids=IDS)
def test_a_bound_that_is_missed_is_noticed(bound: Bound) -> None:
    assert is_missed(bound, hasty if bound.is_rate else sluggish)
    assert not is_missed(bound, lambda _world: None)


def test_every_bound_is_there() -> None:
    assert {bound.name.split()[0] for bound in BOUNDS} == {f"L-{n}" for n in range(1, 10)}


def sluggish(world: World) -> None:
    """Their event loops are blocked most of the time."""
    for client in world.clients.values():
        world.later(0.001, _block_again, world, client)  # by then it has begun whatever it is to do


def _block_again(world: World, client: SimClient) -> None:
    if not client.was_killed:
        client.stall(300.0)
        world.later(300.001, _block_again, world, client)


def hasty(world: World) -> None:
    """They never abstain, and never go on without what fails."""
    for client in world.clients.values():
        client.maintainer._abstention = lambda: 0.0  # type: ignore[method-assign] # noqa: SLF001
        client.maintainer._degrade = False  # noqa: SLF001
