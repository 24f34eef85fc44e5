"""Hooks and services that hang, fail everywhere, or are stopped at a bad moment."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from riverrun import Client, PeriodicJobsStartHook, Workers
from riverrun.client.worker_half import LAST_MAINTENANCE
from riverrun.model.leadership_states import LeadershipReason, LeadershipState
from riverrun.runtime.upkeep import UpkeepOptions
from tests.simulation.client import SimClient
from tests.simulation.faults import Do
from tests.simulation.hostile import Hook
from tests.simulation.world import World
from tests.support.maintaining import Role, staged
from tests.support.recording import record
from tests.support.virtual import virtual

BUDGET = 26.0
"""Seconds: 20 to drain, 6 to resign."""


@virtual(seeds=5)
async def test_S_090_a_hook_that_never_returns_costs_three_attempts_and_the_term(
    world: World,
) -> None:
    a = world.client("a")
    a.hook.mode = "hang"
    await a.start()
    await world.until(lambda: a.leads, within=1)
    await world.until(lambda: not a.leads, within=3 * 10 + 3.4)
    assert a.terms[0].reason is LeadershipReason.MAINTENANCE_FAILED
    pauses = [later - sooner for sooner, later in pairwise(a.hook.calls)]
    assert pauses == pytest.approx([11, 12], abs=0.3)


@virtual(seeds=5)
async def test_S_090_a_loss_is_handled_at_once_while_a_hook_hangs(world: World) -> None:
    a = world.client("a")
    a.hook.mode = "hang"
    await a.start()
    await world.sleep(3)
    assert a.leads
    world.request_resign()
    await world.until(lambda: not a.leads and a.maintainer.tenure is None, within=0.1)


@pytest.mark.parametrize(("mode", "seconds"), [("hang", 0.1), ("deaf", 8.2)])
@virtual(seeds=5)
async def test_S_090_a_client_stops_in_time_while_a_hook_hangs(
    world: World, mode: str, seconds: float
) -> None:
    a = world.client("a")
    a.hook.mode = mode
    await a.start()
    await world.sleep(3)
    began = world.now
    await a.stop()
    assert world.now - began < seconds


class Blocking(Hook):
    """A plain function that blocks its thread."""

    def __init__(self, client: SimClient) -> None:
        super().__init__(client.periodic_jobs)
        self.gate = threading.Event()

    def call(self, _durable_jobs: Any) -> None:  # type: ignore[override]
        self.calls.append(0.0)
        self.gate.wait()


@pytest.mark.parametrize("mode", ["block", "deaf"])
@virtual(seeds=3)
async def test_S_091_no_more_than_eight_are_left_behind_and_then_it_makes_no_bid(
    world: World, mode: str
) -> None:
    a = world.client("a")
    hook = Blocking(a) if mode == "block" else a.hook
    a.hook, hook.mode = hook, mode
    most: list[int] = []
    world.loop.after_step.append(lambda: most.append(a.maintainer.left_behind))
    try:
        await a.start()
        asked = record(world, a)
        await world.until(lambda: not a.elector.may_lead(), within=590)
        await world.sleep(1)
        assert not a.leads
        assert a.elector.phase is LeadershipState.ABSTAINING
        full, calls = world.now, len(a.hook.calls)
        await world.sleep(100)
        assert asked.times("elect_leader", since=full) == []
        assert (len(a.hook.calls), max(most)) == (calls, 8)
    finally:
        if isinstance(hook, Blocking):
            hook.gate.set()


@virtual(seeds=5)
async def test_S_091_without_isolation_too_what_is_left_behind_is_counted(world: World) -> None:
    async with staged(world, Role("a"), Role("b", "deaf"), isolate=False) as stage:
        stage.elector.gain()
        await world.sleep(3)
        stage.elector.lose()
        await world.until(lambda: stage.is_off and stage.maintainer.left_behind == 1, within=8.1)


Moment = Callable[[World, SimClient], Any]


async def _between_attempts(world: World, a: SimClient) -> None:
    a.hook.mode = "fail"
    await a.start()
    await world.until(lambda: len(a.hook.calls) == 2, within=4)
    await world.sleep(0.5)


async def _during_a_hook(world: World, a: SimClient) -> None:
    a.hook.mode = "late"
    await a.start()
    await world.until(lambda: bool(a.hook.calls), within=2)


async def _during_a_drain(world: World, a: SimClient) -> None:
    a.plugin.end = 15.0
    await a.start()
    await world.until(lambda: a.maintains, within=2)
    a.elector.resign(a.terms[0], LeadershipReason.RESIGN_REQUESTED)
    await world.sleep(5)


async def _during_an_abstention(world: World, a: SimClient) -> None:
    a.hook.mode = "fail"
    await a.start()
    await world.until(lambda: bool(a.terms) and not a.leads, within=5)
    await world.sleep(2)
    assert a.elector.phase is LeadershipState.ABSTAINING


async def _during_a_resignation(world: World, a: SimClient) -> None:
    await a.start()
    await world.until(lambda: a.maintains, within=2)
    world.faults.add("resign_leader", Do.HANG, times=None)
    a.elector.resign(a.terms[0], LeadershipReason.RESIGN_REQUESTED)
    await world.sleep(1.5)


MOMENTS: list[Moment] = [
    _between_attempts,
    _during_a_hook,
    _during_a_drain,
    _during_an_abstention,
    _during_a_resignation,
]


@pytest.mark.parametrize("moment", MOMENTS)
@virtual(seeds=5)
async def test_S_095_a_client_can_be_stopped_at_any_moment_and_does_nothing_afterwards(
    world: World, moment: Moment
) -> None:
    a = world.client("a")
    await moment(world, a)
    recording = record(world, a)
    began = world.now
    await a.stop()
    stopped = world.now
    assert stopped - began <= BUDGET
    left = {task.get_name() for task in world.loop.alive(a.owner)}
    assert left <= ({"PeriodicJobEnqueuer"} if moment is _during_a_hook else set())
    calls = len(a.hook.calls)
    await world.sleep(60)
    assert [at for at, _, _ in recording.asked if at > stopped] == []
    assert (len(a.hook.calls), world.loop.alive(a.owner)) == (calls, [])


async def hangs(_jobs: object) -> None:
    await asyncio.Event().wait()


async def fails(_jobs: object) -> None:
    raise OSError("broken on purpose")


@asynccontextmanager
async def called(url: str, hook: Any) -> AsyncIterator[Client]:
    """A client that leads, and whose hook has been called."""
    begun = asyncio.Event()

    async def begin(jobs: object) -> None:
        begun.set()
        await hook(jobs)

    workers = Workers()

    @workers.job()
    async def nothing() -> None: ...

    client = Client(
        url, workers=workers, queues={"default": 1}, hooks=[PeriodicJobsStartHook(begin)]
    )
    async with client:
        await begun.wait()
        yield client


@pytest.mark.parametrize("hook", [hangs, fails])
async def test_S_095_a_real_client_stops_while_its_maintenance_is_being_started(
    database_url: str, hook: Any
) -> None:
    before = asyncio.all_tasks()
    async with asyncio.timeout(LAST_MAINTENANCE):
        async with called(database_url, hook) as client:
            await client.stop()
        await client.close()
    assert asyncio.all_tasks() == before


def test_S_095_a_client_gives_maintenance_the_time_to_drain_and_to_resign() -> None:
    assert LAST_MAINTENANCE == BUDGET


@virtual(seeds=5)
async def test_S_097_a_failing_hook_does_not_delay_jobs_that_are_due(world: World) -> None:
    a = world.client("a", options=UpkeepOptions(max_attempts=5))
    a.hook.mode = "fail"
    await a.start()
    jobs = [world.server.add_job(after) for after in (1, 4, 8, 12)]
    await world.until(lambda: len(a.hook.calls) == 1, within=2)
    await world.until(lambda: a.maintainer.maintenance == "degraded", within=0.2)
    await world.until(lambda: len(a.hook.calls) == 5, within=18)
    assert [(job.available_at or 99) - job.due for job in jobs] == pytest.approx([0] * 4, abs=0.1)
    assert len(a.terms) == 1


@virtual(seeds=5)
async def test_S_097_without_isolation_nothing_runs_while_one_fails(world: World) -> None:
    """As in River. The failure says which one it was."""
    a = world.client("a", isolate=False)
    a.hook.mode = "fail"
    await a.start()
    await world.until(lambda: len(a.hook.calls) == 2, within=3)
    await world.until(lambda: a.maintainer.maintenance == "failed", within=0.2)
    await world.sleep(0.3)
    assert [probe for probe in a.plugin.probes if probe.current_run is not None] == []
    assert a.maintainer.tenure is not None
    error = a.maintainer.tenure.upkeeps[0].health.error
    assert error is not None
    assert "broken on purpose, while PeriodicJobEnqueuer was started" in error
    a.hook.mode = "fine"
    await world.until(lambda: a.maintains, within=3)


@virtual(seeds=5)
async def test_S_098_a_minute_of_maintenance_makes_up_for_failed_terms(world: World) -> None:
    role = Role("plugin", *["fail"] * 6, "fine")
    async with staged(world, role) as stage:
        for failed in (1, 2):
            stage.elector.gain()
            await world.until(lambda: stage.elector.term is None, within=5)
            assert stage.maintainer.failed_terms == failed
        stage.elector.gain()
        await world.until(lambda: stage.runs, within=1)
        await world.sleep(59)
        assert stage.maintainer.failed_terms == 2
        await world.sleep(6)
        assert stage.maintainer.failed_terms == 0
        stage.elector.lose()
        role.starts = ["fail"]
        stage.elector.gain()
        await world.until(lambda: stage.elector.term is None, within=5)
        assert stage.maintainer.failed_terms == 1
        assert 7 <= stage.elector.abstains_for <= 7.7


@virtual(seeds=5)
async def test_S_098_a_service_that_keeps_dying_is_no_minute_of_maintenance(
    world: World,
) -> None:
    """However short the time is for which it does not run."""
    role = Role("plugin")
    async with staged(world, role) as stage:
        stage.maintainer.failed_terms = 2
        stage.elector.gain()
        for _ in range(4):
            await world.until(lambda: stage.runs, within=10)
            await world.sleep(50)
            role.running[0].die.set()
            await world.until(lambda: not stage.runs, within=1)
        assert stage.maintainer.failed_terms == 2


@virtual(seeds=5)
async def test_S_098_several_services_that_fail_in_one_term_count_once(world: World) -> None:
    async with staged(world, Role("a", "fail"), Role("b", "fail"), Role("c")) as stage:
        stage.maintainer.failed_terms = 2
        stage.elector.gain()
        await world.sleep(30)
        assert stage.elector.is_leader
        assert stage.maintainer.maintenance == "degraded"
        assert stage.maintainer.failed_terms == 3


async def all_broken(world: World) -> list[SimClient]:
    """Three clients whose hooks fail, until one of them has settled."""
    clients = [world.client(name) for name in "abc"]
    for client in clients:
        client.hook.mode = "fail"
        await client.start()
    await world.until(lambda: bool(settled(clients)), within=120)
    return clients


def settled(clients: list[SimClient]) -> list[SimClient]:
    return [each for each in clients if each.leads and each.maintainer.failed_terms >= 3]


@virtual(seeds=5)
async def test_S_099_where_all_are_broken_one_settles_and_scheduling_goes_on(
    world: World,
) -> None:
    clients = await all_broken(world)
    for client in clients:
        begun = [event.term.began for event in client.events if event.is_leader]
        assert all(later - sooner >= 9 for sooner, later in pairwise(begun))
        assert len(begun) <= 4
    (first,) = settled(clients)
    await world.sleep(590)
    assert settled(clients) == [first]
    await world.sleep(1000)
    led = sum(event.tenure for each in clients for event in each.events if not event.is_leader)
    led += sum(
        world.now - (each.elector.term.began - each.clock.monotonic() + world.now)
        for each in clients
        if each.elector.term
    )
    assert led >= 0.9 * world.now
    assert [message for message in world.server.sent if "request_resign" in message[3]] == []


@virtual(seeds=5)
async def test_S_099_a_repaired_client_maintains_once_the_degraded_one_yields(
    world: World,
) -> None:
    clients = await all_broken(world)
    repaired = next(each for each in clients if not each.leads)
    repaired.hook.mode = "fine"
    await world.until(lambda: repaired.maintains, within=608)


@virtual(seeds=5)
async def test_S_099_the_degraded_one_recovers_within_seventy_one_seconds_of_its_repair(
    world: World,
) -> None:
    (first,) = settled(await all_broken(world))
    await world.sleep(200)
    first.hook.mode = "fine"
    await world.until(lambda: first.maintains, within=71)
