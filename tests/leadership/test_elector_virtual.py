"""The elector in virtual time: how terms are kept, and how they end when the database fails."""

import logging
from itertools import pairwise

import pytest

from riverrun.model.leadership_states import LeadershipReason, LeadershipState
from tests.simulation.faults import Do
from tests.simulation.world import World
from tests.support.recording import led_by
from tests.support.virtual import virtual

OPERATION = 0.6
"""Seconds for a question or two: the model makes one round trip in thirty slow."""


@virtual(seeds=3)
async def test_S_030_a_leader_that_cannot_renew_steps_down_when_its_trust_ends(
    world: World,
) -> None:
    a = world.client("a")
    recording = await led_by(world, a)
    term = a.terms[0]
    world.faults.add("reelect_leader", Do.ERROR, times=None)
    await world.until(lambda: not a.leads, within=15)
    assert a.clock.monotonic() == pytest.approx(term.trusted_until, abs=0.001)
    await world.sleep(2)
    assert recording.events[1][1].reason is LeadershipReason.TRUST_EXPIRED
    changes = [change.what for change in world.server.log if change.term[1] == term.elected_at]
    assert changes[-1] == "resigned"


@virtual(seeds=3)
async def test_S_031_a_renewal_that_outlasts_the_window_does_not_extend_it(world: World) -> None:
    """The server renews at 11 s, long after we gave the question up, and so until 26 s."""
    a = world.client("a")
    recording = await led_by(world, a)
    term = a.terms[0]
    until = term.trusted_until
    world.faults.add("reelect_leader", Do.LATE, seconds=6, times=None)
    await world.until(lambda: not a.leads, within=15)
    assert a.clock.monotonic() == pytest.approx(until, abs=0.001)
    assert term.trusted_until == until
    await world.sleep(2)
    assert {change.what for change in world.server.log if change.term[1] == term.elected_at} >= {
        "renewed",
        "resigned",
    }
    assert recording.times("reelect_leader", since=recording.lost()[0]) == []


@virtual(seeds=3)
async def test_S_031_a_late_renewal_that_has_outlived_its_term_is_resigned_before_the_next_bid(
    world: World,
) -> None:
    a = world.client("a")
    await led_by(world, a)
    world.faults.add("reelect_leader", Do.LATE, seconds=6, times=2)
    world.faults.add("resign_leader", Do.ERROR, times=3)
    await world.until(lambda: not a.leads, within=15)
    took = await world.until(lambda: a.leads, within=12)
    assert took < 6, "not blocked by what it has won itself"


@virtual()
async def test_S_032_the_time_of_day_has_no_part_in_leading(world: World) -> None:
    a, b = world.client("a", wall=-7200), world.client("b", wall=99)
    await led_by(world, a)
    await b.start()
    for step in (3600, -7200, 3600):
        a.clock.step(step)
        b.clock.step(-step)
        await world.sleep(30)
    assert len(a.events) == 1
    assert b.events == []


@virtual()
async def test_S_034_what_cannot_be_read_is_logged_for_whoever_debugs_and_nothing_else_is(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    a = world.client("a")
    await led_by(world, a)
    caplog.set_level(logging.DEBUG, "riverrun")
    for payload in ('{"action": "resi', '{"action": "abdicated", "leader_id": "x", "more": 1}'):
        world.send(payload)
        await world.sleep(0.3)
    said = [record for record in caplog.records if record.name == "riverrun.elector"]
    assert [(record.levelname, record.args) for record in said] == [
        ("DEBUG", ('{"action": "resi',))
    ]
    assert a.leads


@virtual(seeds=10)
async def test_S_038_who_only_polls_leads_within_six_seconds_of_the_others_stop(
    world: World,
) -> None:
    a, b = world.client("a", notifier=False), world.client("b", notifier=False)
    await led_by(world, a)
    await b.start()
    await world.sleep(world.random.uniform(10, 20))
    await a.stop()
    await world.until(lambda: b.leads, within=6 + OPERATION)


@virtual(seeds=10)
async def test_S_039_who_is_cut_off_says_so_before_the_next_leads_and_before_it_resigns(
    world: World,
) -> None:
    """River resigns first, for up to 13 s, and tells its maintenance afterwards."""
    a, b = world.client("a"), world.client("b")
    recording = await led_by(world, a)
    await b.start()
    await world.sleep(7.3)
    world.partition("a")
    cut = world.now
    await world.until(lambda: b.leads, within=22)
    (lost,) = recording.lost()
    confirmed = max(at for at in recording.times("elect_leader", "reelect_leader") if at < cut)
    assert lost - cut <= 14
    assert world.now - confirmed >= 15
    assert recording.times("schedule_jobs", "plugin", "insert_periodic", since=lost) == []
    assert all(at >= lost for at in recording.times("begin", since=cut, by="Elector"))


@virtual(seeds=5)
async def test_S_040_the_row_is_kept_and_renewed_until_the_work_of_the_term_has_ended(
    world: World,
) -> None:
    a, b = world.client("a"), world.client("b")
    recording = await led_by(world, a)
    await b.start()
    await world.sleep(3)
    a.plugin.end = 8.0
    stopped = world.now
    await a.stop()
    assert recording.lost()[0] == pytest.approx(stopped, abs=0.1)
    (resigned,) = [change.at for change in world.server.log if change.what == "resigned"]
    assert resigned - stopped >= 8
    assert any(
        change.what == "renewed" and stopped < change.at < resigned for change in world.server.log
    )
    await world.until(lambda: b.maintains, within=6.5)
    assert min(at for at, _ in b.plugin.starts) >= resigned


@virtual(seeds=5)
async def test_S_041_a_renewal_that_hangs_and_ignores_its_cancellation_holds_up_nothing(
    world: World,
) -> None:
    a = world.client("a")
    recording = await led_by(world, a)
    term = a.terms[0]
    world.faults.add("reelect_leader", Do.DEAF, times=None)
    await world.until(lambda: not a.leads, within=15)
    assert a.clock.monotonic() == pytest.approx(term.trusted_until, abs=0.001)
    await world.until(lambda: a.leads, within=6.5)
    assert recording.events[1][1].reason is LeadershipReason.TRUST_EXPIRED
    world.faults.clear()
    await world.sleep(30)
    assert a.leads


@virtual()
async def test_S_041_whatever_hangs_the_trust_ends_by_a_timer_of_its_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> None:
        await world.sleep(600)

    a = world.client("a")
    await led_by(world, a)
    monkeypatch.setattr(a.elector, "_renew", hang)
    await world.until(lambda: len(a.events) == 2, within=15)
    assert a.events[1].reason is LeadershipReason.TRUST_EXPIRED


@virtual(seeds=3)
async def test_S_042_foreign_resignations_do_not_postpone_the_renewal(world: World) -> None:
    a = world.client("a")
    recording = await led_by(world, a)
    for _ in range(180):
        world.send('{"leader_id": "x", "action": "resigned"}')
        await world.sleep(1 / 3)
    times = recording.times("elect_leader", "reelect_leader")
    assert len(times) >= 12
    for earlier, later in pairwise(times):
        assert later - earlier == pytest.approx(5, abs=0.3)
    assert a.leads


@virtual(seeds=5)
async def test_S_043_after_a_suspension_the_first_thing_is_to_step_down(world: World) -> None:
    a, b = world.client("a"), world.client("b")
    recording = await led_by(world, a)
    await b.start()
    await world.sleep(2.5)
    a.suspend(30)
    await world.until(lambda: b.leads, within=22)
    await world.until(lambda: not a.frozen, within=31)
    resumed = world.now
    assert not a.leads
    await world.until(lambda: a.elector.term is None, within=1.1)
    (lost,) = recording.lost()
    names = {name for at, name, _ in recording.asked if resumed <= at < lost}
    assert names <= {"select"}


@virtual(seeds=5)
async def test_S_044_what_waited_for_a_blocked_loop_finds_the_term_over(world: World) -> None:
    a = world.client("a")
    recording = await led_by(world, a)
    await world.sleep(1.5)
    a.stall(20)
    began = world.now
    await world.sleep(25)
    event = recording.events[1][1]
    assert event.reason is LeadershipReason.LOOP_STALLED
    lost = recording.lost()[0]
    assert not [at for at, _, _ in recording.asked if began < at < lost]


@virtual(seeds=3)
async def test_S_048_a_cancellation_that_nobody_asked_for_is_an_error_like_any_other(
    world: World,
) -> None:
    a, b = world.client("a"), world.client("b")
    await led_by(world, a)
    await b.start()
    for name in ("reelect_leader", "get_valid_leader", "begin", "elect_leader"):
        world.faults.add(name, Do.CANCELLED, times=1)
        await world.sleep(12)
    assert len(a.events) == 1
    assert b.elector.phase is LeadershipState.FOLLOWER
    await a.stop()
    await world.until(lambda: b.leads, within=7)


@virtual(seeds=3)
async def test_S_049_without_notifications_it_leads_and_hears_once_it_can(world: World) -> None:
    a = world.client("a")
    world.faults.deaf.add("a")
    await led_by(world, a, within=5)
    world.request_resign()
    await world.sleep(3)
    assert len(a.events) == 1
    world.faults.deaf.discard("a")
    await world.sleep(9)
    world.request_resign()
    await world.until(lambda: len(a.events) == 2, within=1)
    assert a.events[1].reason is LeadershipReason.RESIGN_REQUESTED


@pytest.mark.parametrize("notifier", [True, False])
@virtual(seeds=5)
async def test_S_050_a_database_that_was_away_for_minutes_is_led_within_nine_seconds(
    world: World, *, notifier: bool
) -> None:
    a, b = world.client("a", notifier=notifier), world.client("b", notifier=notifier)
    await led_by(world, a)
    await b.start()
    await world.sleep(20)
    world.crash_database(down=600)
    await world.until(lambda: world.server.up, within=601)
    await world.until(lambda: a.leads or b.leads, within=8.8 + 1)
