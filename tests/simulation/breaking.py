"""How tests break an invariant on purpose, and see that it is noticed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from riverrun.runtime.term import LeadershipTerm
from tests.simulation.client import SimClient
from tests.simulation.invariants import Violation
from tests.simulation.world import World, run_world


async def led(world: World, **options: Any) -> tuple[SimClient, LeadershipTerm]:
    """A client that maintains, and its term."""
    world.is_left_alone = True  # as far as the invariants are to know
    client = world.client("a", **options)
    await client.start()
    await world.until(lambda: client.maintains, within=2)
    assert client.elector.term is not None
    return client, client.elector.term


def is_noticed(which: str, scenario: Callable[[World], Awaitable[Any]], text: str = "") -> None:
    with pytest.raises(Violation, match=rf": {which}: .*{text}"):
        run_world(scenario, seed=1)


async def forever(*_: object) -> Any:
    await asyncio.Event().wait()
