"""The services of a term: started in order, kept going, and ended with it."""

import asyncio
import logging
import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from riverrun.client.config import Config
from riverrun.client.maintenance_half import MaintenanceHalf
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.model.errors import ConfigurationError
from riverrun.model.leadership_states import LeadershipReason
from riverrun.model.periodic import PeriodicJob
from riverrun.model.retry import DefaultRetryPolicy
from riverrun.model.schedule import every, never
from riverrun.runtime.clock import SystemClock
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.scope import Cause, Scope
from riverrun.runtime.service import PeriodicService, ServiceState, ServiceStopped
from riverrun.runtime.tenure import MaintenanceService
from riverrun.worker.kind_policy import WorkersKindPolicy
from riverrun.worker.registry import Workers
from tests.contract.services import job_cleaner, job_scheduler, queue_cleaner, reindexer
from tests.simulation.client import SimClient
from tests.simulation.faults import Do
from tests.simulation.hostile import Hook
from tests.simulation.world import World
from tests.support.maintaining import Role, staged, staged_on
from tests.support.virtual import virtual

SERVICES = [
    "job_scheduler",
    "job_rescuer",
    "job_cleaner",
    "queue_cleaner",
    "notification_cleaner",
    "reindexer",
    "periodic_job_enqueuer",
]


def half(db: Database) -> MaintenanceHalf:
    """The standard services, of a client that has nothing to work."""

    def no_enqueuer(db: DatabaseHandle) -> PeriodicService:
        raise AssertionError(f"{db}: nobody starts it here")

    clock = SystemClock()
    policy = WorkersKindPolicy(Workers(), clock, job_timeout=60, retry_policy=DefaultRetryPolicy())
    handle = DatabaseHandle(db, Operations(db.dialect), clock)
    return MaintenanceHalf(Config(), handle, policy, wake=lambda _: None, enqueuer=no_enqueuer)


@virtual(seeds=5)
async def test_S_061_services_run_exactly_while_a_term_lasts_as_often_as_wanted(
    world: World,
) -> None:
    a, b = Role("a"), Role("b")
    async with staged(world, a, b) as stage:
        for _ in range(3):
            stage.elector.gain()
            await world.until(lambda: stage.runs, within=0.1)
            assert (len(a.running), len(b.running)) == (1, 1)
            stage.elector.lose()
            await world.until(lambda: stage.is_off, within=0.1)
            assert (a.running, b.running) == ([], [])
    assert len(a.tries) == 3


@virtual(seeds=5)
async def test_S_061_a_maintainer_can_be_stopped_before_it_starts_and_started_again(
    world: World,
) -> None:
    role = Role("a")
    async with staged(world, role) as stage:
        for _ in range(3):
            await stage.stop()
            await stage.stop()
            await stage.start()
            stage.elector.gain()
            await world.until(lambda: stage.runs, within=0.1)
    assert [actor.causes for actor in role.tries] == [[Cause.STOP]] * 3


@virtual()
async def test_S_061_nothing_starts_within_a_scope_that_is_over(world: World) -> None:
    role, over = Role("a"), Scope()
    over.cancel(Cause.STOP)
    async with staged(world, role) as stage:
        await stage.maintainer.stop()
        with pytest.raises(ServiceStopped):
            await stage.maintainer.start(over)
        assert stage.maintainer.current_run is None


@virtual()
async def test_S_061_a_service_is_found_by_its_name(world: World) -> None:
    async with staged(world, Role("a"), Role("b")) as stage:
        stage.elector.gain()
        await world.until(lambda: stage.runs, within=0.1)
        service = stage.upkeep("b").service
        assert service is not None
        assert (service.name, service.state) == ("b", ServiceState.RUNNING)


async def test_S_062_real_services_survive_gains_and_losses_in_any_order(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    makes = [job_scheduler, job_cleaner, queue_cleaner, reindexer]
    services = [
        MaintenanceService(make.__name__, lambda _term, make=make: make(db)) for make in makes
    ]
    choices, before = random.Random(7), asyncio.all_tasks()  # noqa: S311
    async with asyncio.timeout(60), staged_on(db, services) as stage:

        async def rounds() -> None:
            for _ in range(50):
                if choices.random() < 0.5 and stage.elector.term is None:
                    stage.elector.gain()
                else:
                    stage.elector.lose()
                asked.append(asyncio.ensure_future(anything()))
                await asyncio.wait(asked[-1:], timeout=0.002)

        async def anything() -> None:
            await db.run(Operations(db.dialect).leader.get())

        asked = list[asyncio.Future[None]]()
        await asyncio.gather(*(rounds() for _ in range(10)))
        await asyncio.gather(*asked)
    assert asyncio.all_tasks() == before
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@virtual(seeds=100)
async def test_S_063_services_start_in_order(world: World) -> None:
    roles, order = [Role(name) for name in SERVICES], list[str]()

    def look() -> None:
        order.extend(each.name for each in roles if each.running and each.name not in order)

    async with staged(world, *roles) as stage:
        world.loop.after_step.append(look)
        stage.elector.gain()
        await world.until(lambda: stage.runs, within=0.1)
    assert order == SERVICES
    assert stage.maintainer.maintenance == "off"


def test_S_063_the_enqueuer_of_periodic_jobs_is_always_the_last(database_url: str) -> None:
    db = open_database(database_url)
    expected = list(SERVICES)
    if db.dialect.is_postgres:
        expected.remove("notification_cleaner")
    assert [service.name for service in half(db).services()] == expected


@virtual()
async def test_S_063_two_services_of_one_name_are_refused(world: World) -> None:
    with pytest.raises(ConfigurationError, match="two maintenance services are named 'a'"):
        async with staged(world, Role("a"), Role("a")):
            pass


@pytest.mark.parametrize("isolate", [True, False])
@virtual(seeds=5)
async def test_S_064_a_run_on_start_job_is_inserted_once_however_often_another_service_fails(
    world: World, isolate: bool
) -> None:
    a = world.client("a", isolate=isolate)
    a.periodic_jobs.add_many([PeriodicJob(never(), dict, id="once", run_on_start=True)])
    a.plugin.prepare = "fail"
    await a.start()
    await world.until(lambda: len(a.plugin.starts) == 2, within=5)
    a.plugin.prepare = "fine"
    await world.until(lambda: a.maintains, within=5)
    await world.sleep(20)
    assert len(a.terms) == 1
    assert [job.periodic_id for job in world.server.jobs].count("once") == 1


def first_pauses(db: Database) -> Iterator[float]:
    term: Any = None
    for service in half(db).services()[:-1]:
        made = service.make(term)
        assert isinstance(made, PeriodicService)
        yield made.first_pause


@virtual()
async def test_S_065_first_rounds_are_spread_over_a_second(world: World) -> None:
    """All but that of the scheduler: jobs that are due wait for it."""
    pauses = [list(first_pauses(world.client("a").database)) for _ in range(200)]
    others = [pause for each in pauses for pause in each[1:]]
    assert {each[0] for each in pauses} == {0.0}
    assert 0 <= min(others) < 0.05
    assert 0.95 < max(others) < 1.0


@virtual(seeds=5)
async def test_S_065_a_pause_before_the_first_round_does_not_delay_the_start(
    world: World,
) -> None:
    services = [
        MaintenanceService(name, lambda _term, name=name: Ticking(world, name)) for name in SERVICES
    ]
    a = world.client("a", services=services)
    await a.start()
    await world.until(lambda: a.leads, within=1)
    began = world.now
    assert await world.until(lambda: a.maintains, within=1) < 0.05
    assert world.now - began < 0.05
    stopped = world.now
    await a.stop()
    assert world.now - stopped < 0.2, "a pause ends at once"


class Ticking(PeriodicService):
    """Does nothing, after a while."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world.clients["a"].clock, name=name)
        self.first_pause = 0.9

    async def tick(self) -> float:
        return 1.0


@virtual(seeds=5)
async def test_S_066_what_a_hook_of_a_failed_start_registered_is_gone(world: World) -> None:
    a = world.client("a")
    a.hook.mode = "fail"
    await a.start()
    await world.until(lambda: len(a.hook.calls) == 2, within=5)
    assert ids(a) == ["every-10s"]
    a.hook.mode = "fine"
    await world.until(lambda: a.maintains, within=5)
    assert sorted(ids(a)) == ["every-10s", "from-hook", "from-hook-too"]


@virtual(seeds=5)
async def test_S_067_a_hook_registers_the_same_again_in_the_next_term(world: World) -> None:
    a = world.client("a")
    await a.start()
    await world.until(lambda: a.maintains, within=1)
    world.request_resign()
    await world.until(lambda: len(a.terms) == 2 and a.maintains, within=10)
    assert len(a.hook.calls) == 2
    assert sorted(ids(a)) == ["every-10s", "from-hook", "from-hook-too"]


class Replacing(Hook):
    """Removes what is there, and adds something of its own."""

    async def call(self, durable_jobs: Any) -> None:
        assert durable_jobs == []
        self.calls.append(0.0)
        self._jobs.clear()
        self._jobs.add_many([PeriodicJob(every("3s"), dict, id="every-3s")])


@virtual(seeds=5)
async def test_S_068_what_a_hook_removes_and_adds_is_what_is_inserted(world: World) -> None:
    a = world.client("a")
    a.hook = Replacing(a.periodic_jobs)
    await a.start()
    await world.sleep(20)
    assert {job.periodic_id for job in world.server.jobs} == {"every-3s"}


@virtual(seeds=5)
async def test_S_069_a_service_that_dies_is_started_again_within_the_term(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    rescuer, other = Role("job_rescuer"), Role("other")
    async with staged(world, rescuer, other) as stage:
        stage.elector.gain()
        await world.until(lambda: stage.runs, within=0.1)
        rescuer.running[0].die.set()
        await world.until(lambda: not stage.runs, within=0.1)
        assert 0.9 <= await world.until(lambda: stage.runs, within=2) <= 1.2
        assert len(other.tries) == 1
        assert stage.elector.is_leader
    assert "job_rescuer ended: OSError('job_rescuer died')" in caplog.text


@virtual(seeds=5)
async def test_S_069_a_service_that_dies_five_times_in_ten_minutes_costs_the_term(
    world: World,
) -> None:
    rescuer = Role("job_rescuer")
    async with staged(world, rescuer) as stage:
        stage.elector.gain()
        for _ in range(5):
            await world.until(lambda: stage.runs, within=20)
            assert stage.elector.is_leader
            rescuer.running[0].die.set()
            await world.until(lambda: not stage.runs, within=1)
        await world.until(lambda: stage.is_off, within=1)
        assert stage.elector.told[-1].reason is LeadershipReason.MAINTENANCE_FAILED
        assert 7.0 <= stage.elector.abstains_for <= 7.7
    assert all(later - sooner < 20 for sooner, later in pairwise(rescuer.times))


@pytest.mark.parametrize("how", [Do.HANG, Do.DEAF])
@virtual(seeds=3)
async def test_S_070_a_service_that_hangs_is_started_again_on_another_connection(
    world: World, how: Do
) -> None:
    a = world.client("a")
    await a.start()
    await world.until(lambda: a.maintains, within=1)
    world.faults.add("plugin", how)
    hung = world.now
    await world.until(lambda: len(a.plugin.starts) == 2, within=120)
    assert 90 < world.now - hung < 110
    await world.until(lambda: a.maintains, within=1)
    assert a.leads
    assert len(a.terms) == 1


@virtual(seeds=3)
async def test_S_070_a_service_that_hangs_again_and_again_costs_the_term(world: World) -> None:
    a, b = world.client("a"), world.client("b")
    await a.start()
    await world.until(lambda: a.maintains, within=1)
    world.faults.add("plugin", Do.HANG, client="a", times=None)
    await b.start()
    await world.until(lambda: not a.leads, within=600)
    assert a.terms[0].reason is LeadershipReason.MAINTENANCE_FAILED
    await world.until(lambda: b.maintains, within=7)


def ids(client: SimClient) -> list[str]:
    """Of the periodic jobs that are registered."""
    return [job.id or "" for job in client.periodic_jobs.snapshot().values()]
