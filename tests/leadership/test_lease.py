"""What the lease asks and for how long, and that nothing of it is left over, in virtual time."""

import asyncio
import gc
import warnings

import pytest

from riverrun.model.errors import ConfigurationError
from riverrun.model.leadership_states import LeadershipReason
from riverrun.runtime.clock import ManualClock
from riverrun.runtime.lease import ElectorOptions
from riverrun.runtime.term import LeadershipTerm
from tests.simulation.faults import Do
from tests.simulation.world import World
from tests.support.recording import led_by, record
from tests.support.virtual import virtual


@pytest.mark.parametrize(
    "times",
    [
        {"interval": 0},
        {"interval": -1},
        {"jitter": -0.1},
        {"lease": 1},
        {"lease": 11},
        {"operation_timeout": 9},
        {"margin": -1},
    ],
)
def test_times_in_which_nobody_could_renew_are_refused(times: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        ElectorOptions(**times)


def test_S_031_a_term_whose_trust_has_run_out_is_never_trusted_again() -> None:
    clock = ManualClock()
    term = LeadershipTerm(1, "a", "now", trusted_until=14, clock=clock)
    assert term.prolong(5, 19)
    clock.advance(19)
    assert not term.prolong(18.9, 32.9)
    assert not term.is_trusted()
    assert term.renewed == 5


@virtual(seeds=3)
async def test_S_052_the_first_failed_renewal_is_repeated_at_once_on_another_connection(
    world: World,
) -> None:
    a = world.client("a")
    recording = await led_by(world, a)
    world.faults.add("reelect_leader", Do.KILL)
    await world.sleep(12)
    first, second, third = recording.times("reelect_leader")
    assert second - first < 0.2
    assert third - second == pytest.approx(5, abs=0.2)
    assert a.leads


@virtual(seeds=3)
async def test_resigning_never_takes_longer_than_six_seconds(world: World) -> None:
    """Tries of 1, 2 and 3 s; that a try fails at once does not make the next one come sooner."""
    for fault in (Do.HANG, Do.DEAF, Do.ERROR):
        a = world.client(f"a{fault.name}")
        recording = await led_by(world, a, within=20)
        undo = world.faults.add("resign_leader", fault, times=None)
        began = world.now
        await a.stop()
        assert world.now - began <= 6.1
        first, second, third = recording.times("resign_leader")
        assert (second - first, third - second) == pytest.approx((1, 2), abs=0.2)
        undo()


@virtual(seeds=3)
async def test_abstaining_begins_when_the_row_is_given_up_not_when_the_work_begins_to_end(
    world: World,
) -> None:
    """Otherwise who takes long to end would bid at once, and win again."""
    a = world.client("a")
    recording = await led_by(world, a)
    a.plugin.end = 9.0
    assert a.elector.resign(a.terms[0], LeadershipReason.MAINTENANCE_FAILED, abstain=7)
    await world.until(lambda: world.server.leader is None, within=10)
    given_up = world.now
    await world.sleep(6.5)
    assert recording.times("elect_leader", since=given_up) == []
    await world.until(lambda: a.leads, within=1)


@virtual(seeds=3)
async def test_no_bid_is_made_before_all_work_of_the_last_term_has_ended(world: World) -> None:
    """The row is given up after 20 s all the same, so that somebody else may lead."""
    a = world.client("a", services=[])
    recording = await led_by(world, a)
    let_go = a.terms[0].hold(a)
    a.elector.resign(a.terms[0], LeadershipReason.YIELDED)
    await world.until(lambda: world.server.leader is None, within=20.5)
    await world.sleep(60)
    assert recording.times("elect_leader", since=1) == []
    let_go()
    await world.until(lambda: a.leads, within=0.2)


@virtual(seeds=3)
async def test_work_that_does_not_end_does_not_keep_the_row_longer_than_the_drain(
    world: World,
) -> None:
    a, b = world.client("a", services=[]), world.client("b")
    await led_by(world, a)
    a.terms[0].hold(a)
    await b.start()
    await world.sleep(1)
    a.elector.resign(a.terms[0], LeadershipReason.YIELDED)
    took = await world.until(lambda: b.leads, within=20.5)
    assert took >= 20


@virtual(seeds=3)
async def test_S_050_a_pause_after_failures_ends_when_something_is_heard_of_the_database(
    world: World,
) -> None:
    a = world.client("a")
    told: list[float] = []
    world.faults.deaf.add("a")
    world.faults.add("get_valid_leader", Do.ERROR, times=None)
    await a.start()
    assert a.notifier is not None
    a.notifier.on_connected(lambda: told.append(world.now))
    recording = record(world, a)
    await world.sleep(60)
    looks = recording.times("get_valid_leader")
    assert len(told) > 5
    assert all(any(0 <= look - at < 0.1 for look in looks) for at in told[1:-1])


@pytest.mark.parametrize(
    ("fault", "within"),
    [
        (Do.HANG, 6.5),
        (Do.DEAF, 6.5),
        (Do.ERROR, 0.2),
    ],
)
@virtual(seeds=3)
async def test_a_stop_during_a_bid_ends_in_time(world: World, fault: Do, within: float) -> None:
    a = world.client("a")
    world.faults.add("elect_leader", fault, times=None)
    await a.start()
    await world.sleep(0.5)
    began = world.now
    await a.stop()
    assert world.now - began <= within
    await world.sleep(60)
    assert a.events == []


@virtual(seeds=5)
async def test_a_stop_during_a_bid_that_wins_resigns_what_it_has_won(world: World) -> None:
    a = world.client("a")
    world.faults.add("commit", Do.DELAY, seconds=1)
    await a.start()
    await world.sleep(0.5)
    await a.stop()
    assert a.events == []
    assert [change.what for change in world.server.log] == ["elected", "resigned"]


@virtual(seeds=5)
async def test_a_stop_while_it_rests_abstains_or_drains_ends_in_time(world: World) -> None:
    a, b = world.client("a"), world.client("b")
    await led_by(world, a)
    await b.start()
    await world.sleep(2)
    began = world.now
    await b.stop()
    assert world.now - began < 0.2
    a.plugin.end = 4.0
    a.elector.resign(a.terms[0], LeadershipReason.MAINTENANCE_FAILED, abstain=7)
    await world.sleep(1)
    await a.stop()
    assert 3 <= world.now - began < 4.5
    await a.start()
    await world.until(lambda: a.leads, within=1)
    a.plugin.end = 0.0
    a.elector.resign(a.terms[1], LeadershipReason.MAINTENANCE_FAILED, abstain=7)
    await world.sleep(2)
    began = world.now
    await a.stop()
    assert world.now - began < 0.2


@virtual(seeds=5, checked=False)
async def test_an_elector_that_is_cancelled_leaves_nothing_that_complains(world: World) -> None:
    """As when a program is torn down: at each step of its first bids, and while it leads."""
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        for steps in range(0, 120, 3):
            a = world.client(f"a{steps}")
            starting = asyncio.ensure_future(a.start())
            until = world.loop.steps + steps
            await world.until(lambda until=until: world.loop.steps >= until, within=60)  # type: ignore[misc]
            for task in world.loop.alive(a.owner):
                task.cancel()
            await asyncio.wait({starting})
            if not starting.cancelled():
                starting.exception()
            await world.sleep(20)
            assert world.loop.alive(a.owner) == []
        gc.collect()
    assert [str(complaint.message) for complaint in complaints] == []
    assert world.loop.problems == []


@virtual(seeds=3)
async def test_a_leader_asks_twelve_short_questions_a_minute_and_whoever_waits_eleven(
    world: World,
) -> None:
    a, b = world.client("a", services=[]), world.client("b", services=[])
    leading = await led_by(world, a)
    await b.start()
    waiting = record(world, b)
    began = world.now
    await world.sleep(600)
    asked = [name for at, name, by in leading.asked if at >= began and by == "Elector"]
    assert set(asked) == {"reelect_leader"}
    assert 119 <= len(asked) <= 121
    asked = [name for _, name, by in waiting.asked if by == "Elector" and name != "select"]
    assert set(asked) == {"get_valid_leader"}
    assert 100 <= len(asked) <= 121


@virtual(seeds=3)
async def test_the_elector_outlives_an_error_that_nobody_foresaw(world: World) -> None:
    """It says first that it no longer leads, and bids again after a pause."""
    a = world.client("a", services=[])
    recording = await led_by(world, a)

    def fail(*_: object) -> bool:
        raise ZeroDivisionError

    a.summons.asks_to_resign = fail  # type: ignore[method-assign]
    await world.until(lambda: not a.leads, within=6)
    assert recording.events[-1][1].reason is LeadershipReason.ELECTOR_FAILED
    del a.summons.asks_to_resign
    await world.until(lambda: a.leads, within=3)
