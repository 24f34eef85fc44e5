"""Scenarios that other tests only brush against; each is what notices a mutant of tests/mutants."""

import logging
import sys
import time
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.maintenance.job_rescuer import JobRescuer
from riverrun.model.errors import LeadershipLostError
from riverrun.model.leadership_states import LeadershipReason
from riverrun.model.retry import DefaultRetryPolicy
from riverrun.runtime.clock import ManualClock, SystemClock
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.tenure import LONGEST_END
from riverrun.runtime.term_handle import TermHandle
from riverrun.worker.kind_policy import WorkersKindPolicy
from riverrun.worker.registry import Workers
from tests.simulation.faults import Do
from tests.simulation.world import World
from tests.support.electing import write
from tests.support.maintaining import Role, staged
from tests.support.maintenance import ids, rounds_of
from tests.support.operations import a_job, get, insert
from tests.support.periodic import elected
from tests.support.recording import led_by, record
from tests.support.virtual import virtual


@virtual(seeds=3)
async def test_S_033_a_resignation_that_is_heard_during_a_look_is_not_lost(world: World) -> None:
    """What is seen by the look may be older than the resignation."""
    a, b = world.client("a"), world.client("b")
    await led_by(world, a)
    await b.start()
    recording = record(world, b)
    world.faults.add("get_valid_leader", Do.LATE, seconds=1, client="b", times=None)
    await world.until(lambda: bool(recording.times("get_valid_leader")), within=7)
    await world.sleep(0.5)
    heard = world.now
    b.summons.hear('{"leader_id": "x", "action": "resigned"}')
    await world.sleep(1)
    assert len(recording.times("get_valid_leader", since=heard)) == 1


def test_S_043_the_time_for_which_the_machine_slept_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = time.CLOCK_MONOTONIC if sys.platform == "darwin" else time.CLOCK_BOOTTIME
    monkeypatch.setattr(time, "clock_gettime", lambda which: 130.0 if which == counts else 100.0)
    assert SystemClock().monotonic() == 130.0


@virtual(seeds=3)
async def test_S_051_who_has_no_connection_left_for_its_jobs_renews_as_before(
    world: World,
) -> None:
    a = world.client("a", services=[])
    recording = await led_by(world, a)
    world.faults.starved.add("a")
    await world.sleep(60)
    times = recording.times("reelect_leader")
    pauses = [later - sooner for sooner, later in pairwise(times)]
    assert pauses == pytest.approx([5] * 11, abs=0.3)
    assert (a.leads, len(a.events)) == (True, 1)


async def test_S_052_a_row_that_is_gone_fences_whatever_we_believe(db: Database) -> None:
    term = await elected(db, "a", ManualClock(), ttl=3600.0)
    handle = TermHandle(db, Operations(db.dialect), ManualClock(), term)
    await write(db, "delete from /*schema*/river_leader")
    assert term.is_trusted()
    with pytest.raises(LeadershipLostError):
        await handle.fenced(handle.operations.jobs.insert([a_job()]))
    assert not term.is_trusted()
    assert await ids(db) == []


class Wrong(SystemClock):
    """Of a machine whose time of day is a day ahead."""

    def now(self) -> datetime:
        return super().now() + timedelta(days=1)


async def test_S_071_a_client_whose_clock_is_wrong_takes_back_no_job_of_others(
    db: Database,
) -> None:
    job, clock = await insert(db), Wrong()
    await db.run(Operations(db.dialect).jobs.fetch("default", limit=1, client_id="other"))
    policy = WorkersKindPolicy(Workers(), clock, job_timeout=60, retry_policy=DefaultRetryPolicy())
    rescuer = JobRescuer(DatabaseHandle(db, Operations(db.dialect), clock), policy)
    rounds = rounds_of(rescuer)
    await rescuer.start()
    assert await rounds.get() == "done"
    await rescuer.stop()
    assert (await get(db, job.id)).state == "running"
    assert rescuer.last.rescued == 0


@virtual(seeds=5)
async def test_S_074_each_success_begins_the_count_of_attempts_anew(world: World) -> None:
    role = Role("plugin", "fail", "fail", "fine", "fail", "fail", "fine")
    async with staged(world, role) as stage:
        stage.elector.gain()
        await world.until(lambda: stage.runs, within=5)
        role.running[0].die.set()
        await world.until(lambda: not stage.runs, within=0.1)
        await world.until(lambda: stage.runs, within=10)
        assert stage.elector.is_leader
        assert len(role.tries) == 6


@virtual(seeds=5)
async def test_S_077_each_failed_term_is_followed_by_a_longer_abstention_up_to_a_minute(
    world: World,
) -> None:
    pauses: list[float] = []
    async with staged(world, Role("plugin", "fail"), degrade=False) as stage:
        for _ in range(6):
            stage.elector.gain()
            await world.until(lambda: stage.elector.term is None, within=5)
            pauses.append(stage.elector.abstains_for)
            await world.until(lambda: stage.is_off, within=1)
    for pause, least in zip(pauses, (7, 14, 28, 56, 60, 60), strict=True):
        assert least <= pause <= 1.1 * least


@virtual(seeds=5)
async def test_S_090_a_service_that_never_gets_ready_costs_its_attempts_and_the_term(
    world: World,
) -> None:
    role = Role("plugin", "hang")
    async with staged(world, role) as stage:
        stage.elector.gain()
        took = await world.until(lambda: stage.elector.term is None, within=3 * 30 + 3.4)
        assert took > 3 * 30 + 2.6
        assert stage.elector.told[-1].reason is LeadershipReason.MAINTENANCE_FAILED
    assert [at - role.times[0] for at in role.times] == pytest.approx([0, 31, 63], abs=0.4)


@virtual(seeds=5)
async def test_S_096_a_service_that_never_ends_holds_up_the_next_term_until_it_is_cancelled(
    world: World,
) -> None:
    role = Role("plugin", end=1e6)
    async with staged(world, role) as stage:
        stage.elector.gain()
        await world.until(lambda: stage.runs, within=0.1)
        stage.elector.lose()
        stage.elector.gain()
        took = await world.until(lambda: stage.runs, within=LONGEST_END + 0.1)
        assert took >= LONGEST_END
        assert stage.maintainer.left_behind == 0


@virtual(seeds=5)
async def test_S_110_a_later_attempt_that_a_loss_has_ended_is_no_error(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    role = Role("plugin", "fail", "hang")
    async with staged(world, role) as stage:
        stage.elector.gain()
        await world.until(lambda: len(role.tries) == 2, within=2)
        await world.sleep(1)
        caplog.clear()
        stage.elector.lose()
        await world.until(lambda: stage.is_off, within=0.1)
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == []
    assert stage.elector.told[-1].reason is LeadershipReason.REPLACED
