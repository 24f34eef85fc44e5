"""Maintenance that cannot be started: tried again, handed over, and in the end gone on without."""

import logging

import pytest

from riverrun.drivers.statement import Database, Statement, nothing
from riverrun.maintenance.periodic_job_enqueuer import PeriodicJobEnqueuer
from riverrun.model.leadership_states import LeadershipReason
from riverrun.runtime.clock import SystemClock
from riverrun.runtime.maintainer import Maintainer
from riverrun.runtime.scope import Cause
from riverrun.runtime.service import PeriodicService
from riverrun.runtime.tenure import MaintenanceService
from riverrun.runtime.term import LeadershipTerm
from riverrun.runtime.term_handle import TermHandle
from riverrun.runtime.upkeep import UpkeepOptions
from tests.simulation.faults import Do
from tests.simulation.hostile import Inserter
from tests.simulation.server import Leader
from tests.simulation.world import World
from tests.support.electing import electing, leader
from tests.support.maintaining import Role, staged
from tests.support.recording import led_by, record
from tests.support.virtual import virtual

AN_HOUR = 3600.0


@virtual(seeds=5)
async def test_S_072_who_gains_maintains_and_who_stops_ends_in_good_order(world: World) -> None:
    role = Role("a")
    a = world.client("a", services=[role.service])
    await led_by(world, a)
    await a.stop()
    assert role.running == []
    assert role.tries[0].causes == [Cause.STOP]


@virtual(seeds=5)
async def test_S_073_a_service_is_tried_three_times_and_then_the_term_is_handed_over(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    role = Role("plugin", "fail")
    a = world.client("a", services=[role.service])
    await a.start()
    await world.until(lambda: a.leads, within=1)
    gained = world.now
    await world.until(lambda: not a.leads, within=5)
    assert [at - gained for at in role.times] == pytest.approx([0, 1, 3], rel=0.1, abs=0.01)
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    tries = [f"attempt {number} of 3 (epoch 1)" for number in (1, 2, 3)]
    assert [text for text in tries for error in errors if text in error.getMessage()] == tries
    assert "plugin could not be started in 3 attempts" in caplog.text
    assert a.terms[0].reason is LeadershipReason.MAINTENANCE_FAILED
    await world.until(lambda: world.server.log[-1].what == "resigned", within=1)


@virtual(seeds=5)
async def test_S_074_a_passing_failure_costs_a_second_and_no_term(world: World) -> None:
    role = Role("plugin", "fail", "fine")
    a = world.client("a", services=[role.service])
    await a.start()
    await world.until(lambda: a.leads, within=1)
    assert await world.until(lambda: a.maintains, within=2) == pytest.approx(1, rel=0.11)
    await world.sleep(60)
    assert len(a.terms) == 1
    assert a.maintainer.failed_terms == 0


class Asking(PeriodicService):
    """Asks the database before it counts as started."""

    def __init__(self, db: TermHandle) -> None:
        super().__init__(db.clock)
        self._db = db

    async def prepare(self) -> None:
        await self._db.run(Statement("plugin", "", (), nothing, 5.0))

    async def tick(self) -> float:
        return 60.0


@virtual(seeds=5)
async def test_S_075_a_database_that_fails_for_two_seconds_delays_maintenance_by_no_more_than_two(
    world: World,
) -> None:
    asking = MaintenanceService("asking", lambda term: Asking(world.clients["a"].handle(term)))
    a = world.client("a", services=[asking])
    mend = world.faults.add("plugin", Do.REFUSE, times=None)
    await a.start()
    await world.until(lambda: a.leads, within=1)
    world.later(2.0, mend)
    assert await world.until(lambda: a.maintains, within=4) > 2


@pytest.mark.parametrize("hears", [True, False])
@virtual(seeds=10)
async def test_S_076_a_healthy_client_takes_over_while_the_failing_one_makes_no_bid(
    world: World, hears: bool
) -> None:
    a, b = (world.client(name, notifier=hears) for name in "ab")
    a.hook.mode = "fail"
    await a.start()
    asked = record(world, a)
    await world.until(lambda: a.leads, within=1)
    gained = world.now
    await b.start()
    await world.until(lambda: b.maintains, within=20)
    assert world.now - gained < 3.31 + (0.2 if hears else 6.2)
    (lost,) = asked.lost()
    await world.sleep(lost + 30 - world.now)
    assert asked.times("elect_leader", since=lost) == []
    assert b.maintains


def enqueuer(world: World) -> MaintenanceService:
    """The real one, with the hook of client a."""

    def make(term: LeadershipTerm) -> PeriodicJobEnqueuer:
        a = world.clients["a"]
        return PeriodicJobEnqueuer(a.handle(term), a.periodic_jobs, Inserter(), [a.hook.call])

    return MaintenanceService("periodic_job_enqueuer", make)


@virtual()
async def test_S_077_a_hook_that_always_fails_costs_periodic_jobs_and_little_else(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """At most 30 calls in the first ten minutes and 75 in any later hour."""
    caplog.clear()
    roles = Role("job_scheduler"), Role("job_rescuer")
    a = world.client("a", services=[*(role.service for role in roles), enqueuer(world)])
    a.hook.mode = "fail"
    await a.start()
    await world.sleep(2.5 * AN_HOUR)
    await a.stop()
    calls = a.hook.calls
    assert 10 <= sum(at < 600 for at in calls) <= 30
    for begin in [600.0, *(at for at in calls if 600 < at < 1.5 * AN_HOUR)]:
        assert 40 <= sum(begin <= at < begin + AN_HOUR for at in calls) <= 75
    for role in roles:
        spans = [(each.began or 0.0, each.ended or 0.0) for each in role.tries]
        assert sum(ended - began for began, ended in spans) >= 0.95 * world.now
        first = sum(min(ended, AN_HOUR) - began for began, ended in spans if began < AN_HOUR)
        assert first >= 0.95 * AN_HOUR
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(records) < 80
    assert sum(record.exc_info is not None for record in records) <= 2


@virtual(seeds=5)
async def test_S_078_a_repaired_hook_is_back_within_seventy_one_seconds(world: World) -> None:
    a = world.client("a")
    a.hook.mode = "fail"
    await a.start()
    await world.sleep(world.random.uniform(100, 1500))
    a.hook.mode = "fine"
    await world.until(lambda: a.maintains, within=71)
    before = len(world.server.jobs)
    await world.sleep(21)
    assert len(world.server.jobs) >= before + 2
    await world.sleep(60)
    assert a.maintainer.failed_terms == 0


@virtual(seeds=10)
async def test_S_079_a_term_that_is_lost_between_two_attempts_is_over_at_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    role = Role("plugin", "fail")
    async with staged(world, role) as stage:
        stage.elector.gain()
        await world.sleep(2.0)
        before = len(caplog.records)
        stage.elector.lose()
        assert await world.until(lambda: stage.is_off, within=0.01) < 0.001
        await world.sleep(60)
        assert len(role.tries) == 2
        assert [event.reason for event in stage.elector.told] == [
            LeadershipReason.ELECTED,
            LeadershipReason.REPLACED,
        ]
        assert stage.elector.abstains_for <= 0
    assert {record.levelname for record in caplog.records[before:]} <= {"INFO", "DEBUG"}


@virtual(seeds=20)
async def test_S_080_who_is_exhausted_while_another_is_elected_leaves_that_one_alone(
    world: World,
) -> None:
    role, other = Role("plugin", "fail"), None
    a = world.client("a", services=[role.service])
    await a.start()
    recording = record(world, a)

    def replaced() -> bool:
        nonlocal other
        if len(role.tries) == 3 and other is None:
            term = world.server.leader
            assert term is not None
            other = world.server.leader = Leader("other", world.server.now(), term.expires_at)
        return other is not None

    await world.until(replaced, within=5)
    await world.until(lambda: bool(recording.times("resign_leader")), within=1)
    await world.sleep(5)
    assert world.server.leader == other
    assert [message for message in world.server.sent if "request_resign" in message[3]] == []


@virtual(seeds=20)
async def test_S_081_exhaustion_of_an_older_term_does_not_touch_the_newer(world: World) -> None:
    role = Role("plugin", "fail", "fail", "fail", "fine")
    async with staged(world, role) as stage:
        old = stage.elector.gain()

        def regained() -> bool:
            if len(role.tries) == 3 and stage.elector.term is old:
                stage.elector.lose()
                stage.elector.gain()
            return len(role.tries) == 3

        await world.until(regained, within=5)
        assert not stage.elector.resign(old, LeadershipReason.MAINTENANCE_FAILED, abstain=7.0)
        await world.until(lambda: stage.runs, within=0.1)
        await world.sleep(60)
        assert stage.runs
        assert stage.elector.term is not None
        assert (stage.elector.term.epoch, len(role.tries)) == (old.epoch + 1, 4)
        assert stage.maintainer.failed_terms == 0


@pytest.mark.parametrize("way", ["poll only", "notifier down"])
@virtual(seeds=5)
async def test_S_082_handing_over_needs_no_notifications(world: World, way: str) -> None:
    a, b = (world.client(name, notifier=way != "poll only") for name in "ab")
    if way == "notifier down":
        world.faults.deaf |= {"a", "b"}
    a.hook.mode = "fail"
    await a.start()
    await world.until(lambda: a.leads, within=1)
    await b.start()
    await world.until(lambda: b.maintains, within=3.31 + 6.2)


async def test_S_082_handing_over_works_on_both_databases(db: Database) -> None:
    options = UpkeepOptions(max_attempts=1)
    role = Role("plugin", "fail")
    async with electing(db, "b") as b, electing(db, "a") as a:
        first, other = (b, a) if (await leader_of(db)) == "b" else (a, b)
        maintainer = Maintainer(first.elector, [role.service], SystemClock(), options=options)
        await maintainer.start()
        await first.gains()
        assert await first.loses() is LeadershipReason.MAINTENANCE_FAILED
        await other.gains()
        await maintainer.stop()
    assert len(role.tries) == 1


async def leader_of(db: Database) -> str:
    """Who leads, as soon as somebody does."""
    while (row := await leader(db)) is None:
        pass
    return row.leader_id


@virtual(seeds=10)
async def test_S_083_who_cannot_resign_as_the_database_is_away_does_not_lead_on(
    world: World,
) -> None:
    role = Role("plugin", "fail")
    a = world.client("a", services=[role.service])
    await a.start()
    recording = record(world, a)
    await world.until(lambda: len(role.tries) == 2, within=5)
    world.partition("a")
    await world.until(lambda: not a.leads, within=4)
    assert a.terms[0].reason is LeadershipReason.MAINTENANCE_FAILED
    (lost,) = recording.lost()
    await world.sleep(lost + 15 - world.now)
    assert recording.times("reelect_leader", since=lost) == []
    assert world.server.leader is not None
    assert world.server.leader.expires_at <= world.server.now()
    world.heal("a")
    await world.until(lambda: a.leads, within=8.8 + 0.5)
    assert recording.times("elect_leader", since=lost)[0] - lost >= 7
