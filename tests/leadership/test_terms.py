"""What holds for every term: how long its statements may take, and what is asked of it at once."""

import pytest

from riverrun.model.errors import LeadershipLostError, StatementTimeoutError
from riverrun.model.leadership_states import LeadershipReason
from riverrun.runtime.elector import LeadershipEvent
from riverrun.runtime.term import LeadershipTerm
from tests.simulation.world import World
from tests.support.virtual import virtual


@virtual(seeds=3)
async def test_no_statement_outlasts_the_trust_that_is_left(world: World) -> None:
    """R-39: a question that may take 5 s is given up after the last 3 s of its term."""
    a = world.client("a")
    clock = a.clock
    term = LeadershipTerm(1, "a", "now", trusted_until=clock.monotonic() + 3, clock=clock)
    handle = a.handle(term)
    world.partition("a")
    with pytest.raises(StatementTimeoutError, match="get_leader: no answer within 3 s"):
        await a.within(handle.run(handle.operations.leader.get()))
    given_up = world.now
    with pytest.raises(LeadershipLostError):
        await a.within(handle.run(handle.operations.leader.get()))
    assert world.now == given_up


@virtual(seeds=5)
async def test_a_request_that_comes_before_the_leader_waits_for_one_is_not_lost(
    world: World,
) -> None:
    """Trap 15.5: River's leader was asked while it was still being told that it leads."""
    a = world.client("a", services=[])

    def ask(event: LeadershipEvent) -> None:
        if event.is_leader and event.term.epoch == 1:
            a.summons.hear('{"action": "request_resign", "leader_id": ""}')

    a.elector.subscribe(ask)
    await a.start()
    await world.until(lambda: len(a.events) == 2, within=1)
    assert a.events[1].reason is LeadershipReason.RESIGN_REQUESTED
