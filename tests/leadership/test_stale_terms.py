"""What is left of a term that is over does nothing to the one that came after it."""

import asyncio
import itertools
import logging

import pytest

from riverrun.drivers.url import open_database
from riverrun.model.leadership_states import LeadershipReason
from riverrun.runtime.clock import ManualClock, SystemClock
from riverrun.runtime.groups import running
from riverrun.runtime.scope import Cause
from riverrun.runtime.service import Service
from riverrun.runtime.tenure import MaintenanceService
from tests.maintenance.test_reindexer import (
    LOCK,
    Rounds,
    artifacts,
    file_of,
    is_building,
    no_statement_waits,
    reindexer,
)
from tests.simulation.world import World
from tests.support.maintaining import Role, Stage, staged, staged_on
from tests.support.maintenance import lock_held, until
from tests.support.operations import NOW
from tests.support.virtual import run_virtual, virtual


async def test_S_084_a_build_ends_with_its_term_leaves_nothing_and_is_made_the_next_night(
    postgres_database_url: str,
) -> None:
    db = open_database(postgres_database_url)
    await db.open()
    nights: list[Rounds] = []

    def make(_term: object) -> Service:
        clock = ManualClock(NOW)
        nights.append(Rounds(clock, reindexer(db, clock)))
        return nights[-1].service

    before = await file_of(db)
    async with staged_on(db, [MaintenanceService("reindexer", make)]) as stage:
        stage.elector.gain()
        await until_runs(stage)
        async with lock_held(postgres_database_url, LOCK) as other:
            await nights[0].due()
            await until(lambda: is_building(db))
            stopped = nights[0].service.stopped
            stage.elector.lose()
            await until(lambda: no_statement_waits(db))
            await other.execute("rollback")
            await stopped.wait()
        assert nights[0].service.current_run is None
        assert await artifacts(db) == []
        stage.elector.gain()
        await until_runs(stage)
        assert await nights[1].done.get() == "done"
        await nights[1].next_run()
        assert await file_of(db) != before
    await db.close()


async def until_runs(stage: Stage) -> None:
    """That of the term of now: that of the one before may still be there, and never start again."""
    while (tenure := stage.maintainer.tenure) is None or tenure.term is not stage.elector.term:
        await asyncio.wait({asyncio.create_task(SystemClock().sleep(0))})
    await tenure.started.wait()


CALLS = ["cancel the start", "stop maintainer", "stop elector", "stop client", "cancel the user"]


@pytest.mark.parametrize("first", CALLS)
def test_S_085_whoever_ends_it_first_the_clean_up_runs_once_and_in_good_order(first: str) -> None:
    for others in itertools.permutations([call for call in CALLS if call != first]):
        causes, errors = run_virtual(all_at_once, [first, *others], seed=None)
        assert len(causes) == 1, others
        assert causes[0] is Cause.CANCELLED or causes[0].is_stop, others
        assert errors == [], others


async def all_at_once(calls: list[str]) -> tuple[list[Cause], list[Exception]]:
    """Do all of this in one tick to a term one of whose services is still being started."""
    loop = asyncio.get_running_loop()
    world = World(loop, checked=False)  # type: ignore[arg-type]
    builder, starting = Role("builder", end=1.0), Role("starting", "hang")
    stage = Stage.of(world, builder, starting)
    user = loop.create_task(_use(stage))
    await world.until(lambda: stage.elector.current_run is not None, within=1)
    stage.elector.gain()
    await world.until(lambda: bool(starting.tries), within=1)
    tenure = stage.maintainer.tenure
    assert tenure is not None
    do = {
        "cancel the start": tenure.stop,
        "stop maintainer": stage.maintainer.stop,
        "stop elector": stage.elector.stop,
        "stop client": stage.stop,
    }
    tasks = [user]
    for call in calls:
        if call in do:
            tasks.append(loop.create_task(do[call]()))
        else:
            user.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    errors = [each for each in results if isinstance(each, Exception)]
    return [cause for each in builder.tries for cause in each.causes if cause], errors


async def _use(stage: Stage) -> None:
    async with running([stage.maintainer, stage.elector]):
        await asyncio.Event().wait()


@pytest.mark.parametrize("how", ["late fail", "late", "meddle"])
@virtual(seeds=10)
async def test_S_086_S_087_a_start_that_returns_much_too_late_does_nothing_to_the_next_term(
    world: World, how: str
) -> None:
    role = Role("plugin", how, "fine")
    async with staged(world, role) as stage:
        stage.elector.gain()
        await world.sleep(1)
        stage.elector.lose()
        stage.elector.gain()
        await world.until(lambda: stage.runs, within=8.1, what="quarantine of the old")
        assert stage.maintainer.left_behind == 1
        actor = role.running[0]
        await world.sleep(100)
        assert role.running == [actor]
        assert (actor.causes, len(role.tries)) == ([], 2)
        assert stage.maintainer.left_behind == 0


@virtual(seeds=10)
async def test_S_087_a_late_hook_registers_nothing(world: World) -> None:
    """The invariant I-13 of the simulation is looked at all the while."""
    a = world.client("a")
    a.hook.mode = "late"
    await a.start()
    await world.until(lambda: len(a.hook.calls) == 1, within=2)
    a.hook.mode = "fine"
    world.server.lose_row()
    await world.until(lambda: len(a.terms) == 2 and a.maintains, within=30)
    began = world.now
    registered = sorted(job.id or "" for job in a.periodic_jobs.snapshot().values())
    assert registered == ["every-10s", "from-hook", "from-hook-too"]
    await world.sleep(60)
    assert world.now > began
    assert sorted(job.id or "" for job in a.periodic_jobs.snapshot().values()) == registered
    assert a.maintains


@virtual(seeds=10)
async def test_S_089_whoever_loses_and_regains_at_any_moment_of_a_start_ends_up_maintaining(
    world: World,
) -> None:
    role = Role("plugin", "fail", "fine")
    async with staged(world, role) as stage:
        stage.elector.gain()
        for steps in range(60):
            await after(world, steps, stage)
            stage.elector.lose()
            stage.elector.gain()
            await world.until(lambda: stage.runs, within=3)
            role.tries.clear()


async def after(world: World, steps: int, stage: Stage) -> None:
    """So many steps of the loop later, unless it runs before that."""
    stop = world.loop.steps + steps
    await world.until(lambda: world.loop.steps >= stop or stage.runs, within=3)


@virtual(seeds=10)
async def test_S_092_of_many_changes_during_a_drain_only_the_last_counts(world: World) -> None:
    role = Role("plugin", end=15.0)
    async with staged(world, role) as stage:
        stage.elector.gain()
        await world.until(lambda: stage.runs, within=0.1)
        for _ in range(10):
            stage.elector.lose()
            await world.sleep(0.3)
            stage.elector.gain()
        assert stage.maintainer.maintenance == "draining"
        await world.until(lambda: stage.runs, within=13)
        await world.sleep(30)
        assert len(role.tries) == 2
        assert role.running[0].term is stage.elector.term


@virtual(seeds=10)
async def test_S_093_changes_that_are_told_twice_make_one_tenure(world: World) -> None:
    role = Role("plugin")
    async with staged(world, role) as stage:
        for _ in range(2):
            stage.elector.gain()
            stage.elector.repeat()
            await world.until(lambda: stage.runs, within=0.1)
            stage.elector.repeat()
            await world.sleep(5)
            stage.elector.lose()
            stage.elector.repeat()
            await world.sleep(5)
            assert stage.is_off
    assert len(role.tries) == 2


@virtual(seeds=10)
async def test_S_093_a_term_that_follows_another_unannounced_waits_for_its_end(
    world: World,
) -> None:
    role = Role("plugin", end=5.0)
    async with staged(world, role) as stage:
        stage.elector.gain()
        await world.until(lambda: stage.runs, within=0.1)
        stage.elector.gain()
        await world.until(lambda: len(role.tries) == 2, within=6)
        assert role.tries[0].ended is not None
        assert role.tries[0].ended <= role.tries[1].at
        assert role.tries[0].causes == [Cause.STOP]


@virtual()
async def test_S_094_terms_that_end_as_they_begin_leave_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    roles = Role("a"), Role("b", "hang")
    async with staged(world, *roles) as stage:
        alive = 0
        for number in range(1000):
            stage.elector.gain()
            await world.sleep(world.random.uniform(0, 0.001))
            stage.elector.lose(
                world.random.choice([LeadershipReason.REPLACED, LeadershipReason.TRUST_EXPIRED])
            )
            if number == 10:
                alive = len(asyncio.all_tasks())
        await world.until(lambda: stage.is_off, within=1)
        assert len(asyncio.all_tasks()) <= alive
        assert stage.maintainer.left_behind == 0
    assert {record.levelname for record in caplog.records} == {"INFO"}


@virtual(seeds=10)
async def test_S_096_a_term_regained_while_the_old_one_drains_begins_when_that_has_ended(
    world: World,
) -> None:
    a_role = Role("plugin", end=10.0)
    a = world.client("a", services=[a_role.service])
    await a.start()
    await world.until(lambda: a.maintains, within=1)
    world.server.lose_row()
    await world.until(lambda: not a.leads, within=6)
    lost = world.now
    await world.until(lambda: a.maintains, within=20)
    assert a_role.tries[0].ended == pytest.approx(lost + 10, abs=0.1)
    assert a_role.tries[1].at >= (a_role.tries[0].ended or 0)
    assert a_role.tries[1].at - lost <= 20
