"""What the simulation has found, so that it stays found."""

import pytest

from riverrun.runtime.service import ServiceState
from tests.simulation.faults import Do
from tests.simulation.world import World
from tests.support.virtual import virtual


@pytest.mark.parametrize("on", ["listen", "notify"])
@virtual(seeds=3)
async def test_a_cancellation_that_nobody_asked_for_does_not_end_the_listening(
    world: World, on: str
) -> None:
    a = world.client("a")
    await a.start()
    assert a.notifier is not None
    await world.until(a.notifier.proven.is_set, within=2)
    world.faults.add(on, Do.CANCELLED, client="a")
    world.faults.deaf.add("a")
    await world.sleep(11)
    world.faults.deaf.discard("a")
    await world.sleep(30)
    assert a.notifier.state is ServiceState.RUNNING
    assert a.notifier.proven.is_set()


@virtual()
async def test_a_hook_that_was_left_behind_is_thrown_away_without_complaint(world: World) -> None:
    """At the end the loop throws away what goes on, and looks whether that raises anything."""
    a = world.client("a")
    a.hook.mode = "deaf"
    await a.start()
    await world.until(lambda: a.maintainer.left_behind > 0, within=45)
    await a.stop()
    assert world.loop.alive(a.owner)


@virtual(seeds=5)
async def test_who_resigns_all_the_time_does_not_hide_that_the_lease_of_another_has_expired(
    world: World,
) -> None:
    """Against a client that flaps a bid is one statement, which leaves an expired row where it is."""
    a, b = world.client("a"), world.client("b")
    await a.start()
    await world.until(lambda: a.maintains, within=1)
    await b.start()
    await world.sleep(10)
    for at in range(150):
        world.later(at / 3, world.send, '{"leader_id": "x", "action": "resigned"}')
    a.kill()
    await world.until(lambda: b.maintains, within=22)
