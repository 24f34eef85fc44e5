"""What is to be seen of leadership, from within a client: gains, losses, failures, and what is wrong."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from riverrun.model.leadership import LeadershipSign
from riverrun.model.leadership_states import (
    LeadershipReason,
    LeadershipState,
    MaintenanceServiceState,
    MaintenanceState,
)
from riverrun.runtime.lease import Lease
from riverrun.runtime.run import Run
from riverrun.runtime.tenure import Tenure
from riverrun.runtime.upkeep import Upkeep
from tests.simulation.world import World
from tests.support.seeing import Seen, records
from tests.support.virtual import virtual

Provoke = Callable[[World, Seen, pytest.MonkeyPatch], Awaitable[Any] | None]


async def leading(world: World, name: str = "a", **options: Any) -> Seen:
    seen = Seen(world, name, **options)
    await seen.start()
    await world.until(lambda: seen.client.maintains, within=1)
    world.loop.after_step.append(seen.check)
    return seen


async def stop(world: World, seen: Seen, _: Any) -> None:
    await seen.client.stop()


def lose_row(world: World, _seen: Seen, _: Any) -> None:
    world.server.lose_row()


def cut_off(world: World, _seen: Seen, _: Any) -> None:
    world.partition("a")


def stall(_world: World, seen: Seen, _: Any) -> None:
    seen.client.stall(20)


def ask_to_resign(world: World, _seen: Seen, _: Any) -> None:
    world.request_resign()


def make_ineligible(_world: World, seen: Seen, _: Any) -> None:
    seen.leadership.eligible = False


def die_often(_world: World, seen: Seen, _: Any) -> None:
    seen.client.plugin.rounds = "die"


def break_the_lease(_world: World, _seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    async def renew(*_: Any) -> None:
        raise ArithmeticError("a defect")

    monkeypatch.setattr(Lease, "renew", renew)


PROVOKED: dict[LeadershipReason, Provoke] = {
    LeadershipReason.STOP: stop,
    LeadershipReason.REPLACED: lose_row,
    LeadershipReason.TRUST_EXPIRED: cut_off,
    LeadershipReason.LOOP_STALLED: stall,
    LeadershipReason.RESIGN_REQUESTED: ask_to_resign,
    LeadershipReason.INELIGIBLE: make_ineligible,
    LeadershipReason.MAINTENANCE_FAILED: die_often,
    LeadershipReason.ELECTOR_FAILED: break_the_lease,
}


@pytest.mark.parametrize("reason", PROVOKED)
@virtual()
async def test_S_108_each_loss_is_told_once_with_its_reason_and_how_long_the_term_was(
    world: World,
    reason: LeadershipReason,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, "riverrun")
    seen = await leading(world)
    began = world.now
    provoked = PROVOKED[reason](world, seen, monkeypatch)
    if provoked is not None:
        await provoked
    await world.until(lambda: LeadershipSign.LOST in seen.names, within=60)
    (lost,) = seen.of(LeadershipSign.LOST)
    (record,) = records(caplog.records, "no longer leads")
    last = seen.snapshot.transitions[-1]
    assert lost.duration is not None
    assert lost.duration.total_seconds() == pytest.approx(world.now - began, abs=1)
    assert (lost.reason, last.reason, last.tenure) == (reason, reason, lost.duration)
    assert f"(epoch 1, {reason}, after {lost.duration.total_seconds():.1f} s)" in record
    assert len(records(caplog.records, "a leads (epoch 1)")) == 1


@virtual()
async def test_S_108_a_term_that_is_yielded_since_its_maintenance_is_degraded_says_so(
    world: World,
) -> None:
    seen = await leading(world)
    seen.client.hook.mode = "fail"
    world.request_resign()
    await world.until(
        lambda: (
            bool(seen.of(LeadershipSign.LOST))
            and seen.of(LeadershipSign.LOST)[-1].reason == LeadershipReason.YIELDED
        ),
        within=720,
    )
    reasons = [each.reason for each in seen.snapshot.transitions if not each.is_leader]
    failed = LeadershipReason.MAINTENANCE_FAILED
    assert reasons == [LeadershipReason.RESIGN_REQUESTED, failed, failed, LeadershipReason.YIELDED]


@virtual()
async def test_S_108_the_snapshot_shows_what_a_leader_does(world: World) -> None:
    seen = await leading(world)
    await world.sleep(7)
    shown = seen.snapshot
    assert (shown.state, shown.is_leader, shown.epoch) == (LeadershipState.LEADER, True, 1)
    assert shown.maintenance is MaintenanceState.RUNNING
    assert shown.term is not None
    assert shown.term.leader_id == "a"
    assert shown.last_renewal_age is not None
    assert shown.trusted_remaining is not None
    sum_of_both = shown.trusted_remaining + shown.last_renewal_age
    assert sum_of_both.total_seconds() == pytest.approx(14)
    assert [service.name for service in shown.services] == [
        *("job_scheduler", "plugin", "periodic_job_enqueuer")
    ]
    assert {(each.state, each.attempt) for each in shown.services} == {
        (MaintenanceServiceState.RUNNING, 1)
    }
    assert shown.services[1].last_pass is not None
    assert (shown.healthy, shown.problems) == (True, ())


@virtual()
async def test_S_108_a_follower_shows_who_leads_and_an_abstaining_one_for_how_long(
    world: World,
) -> None:
    a, b = await leading(world), Seen(world, "b")
    await b.start()
    await world.until(lambda: b.client.elector.rivals.leader is not None, within=1)
    leader = b.snapshot.leader
    assert leader is not None
    assert leader.leader_id == "a"
    assert a.snapshot.term is not None
    assert leader.elected_at == a.snapshot.term.elected_at
    assert LeadershipSign.ELECTION_DENIED in b.names
    die_often(world, a, None)
    await world.until(lambda: a.client.elector.phase is LeadershipState.ABSTAINING, within=60)
    (told,) = a.of(LeadershipSign.ABSTAINING)
    assert told.duration is not None
    assert a.snapshot.abstaining_for <= told.duration
    assert a.snapshot.abstaining_for.total_seconds() > 6


@virtual()
async def test_S_108_failures_of_the_database_are_signs_and_rare_records(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """R-80: in an outage of ten minutes there is a record at the 1st, 2nd, 4th, ... failure."""
    seen = await leading(world)
    world.partition("a")
    await world.sleep(600)
    assert LeadershipSign.RENEWAL_ERROR in seen.names
    failures = len(seen.of(LeadershipSign.ELECTION_ERROR))
    assert failures > 40
    assert len(records(caplog.records, "election failed", logging.WARNING)) <= 7
    assert seen.snapshot.consecutive_errors > 40
    world.heal("a")
    await world.until(lambda: seen.client.maintains, within=20)
    assert seen.snapshot.consecutive_errors == 0
    assert LeadershipSign.RENEWAL_OK not in seen.names[-2:]


@virtual()
async def test_S_108_what_a_dead_term_was_not_allowed_to_commit_is_told(world: World) -> None:
    seen = await leading(world)
    assert seen.client.elector.term is not None
    term = seen.client.elector.term
    term.fenced()
    await world.until(lambda: LeadershipSign.FENCED in seen.names, within=10)
    assert [sign.count for sign in seen.of(LeadershipSign.FENCED)] == [1]


@virtual()
async def test_S_108_what_services_do_is_told(world: World) -> None:
    seen = await leading(world)
    seen.client.plugin.rounds = "die"
    await world.until(lambda: LeadershipSign.ENDED in seen.names, within=5)
    seen.client.plugin.rounds = "deaf"
    await world.until(lambda: LeadershipSign.QUARANTINED in seen.names, within=300)
    seen.client.plugin.prepare = "hang"
    await world.until(lambda: LeadershipSign.START_TIMEOUT in seen.names, within=60)
    seen.client.plugin.prepare = "fail"
    await world.until(lambda: LeadershipSign.EXHAUSTED in seen.names, within=60)
    plugin = [sign for sign in seen.signs if sign.service == "plugin"]
    assert {sign.name for sign in plugin} >= {
        *(LeadershipSign.START_OK, LeadershipSign.ENDED, LeadershipSign.STALLED),
        *(LeadershipSign.START_ERROR, LeadershipSign.START_TIMEOUT, LeadershipSign.EXHAUSTED),
    }
    assert seen.snapshot.quarantined >= 1


@virtual()
async def test_S_109_a_client_whose_maintenance_fails_is_unhealthy_after_a_minute(
    world: World,
) -> None:
    seen = Seen(world, "a")
    seen.client.hook.mode = "fail"
    began = world.now
    await seen.start()
    await world.until(lambda: not seen.snapshot.healthy, within=90)
    assert world.now - began == pytest.approx(60, abs=0.1)
    await world.until(lambda: seen.snapshot.is_leader, within=60)
    shown = seen.snapshot
    (problem,) = shown.problems
    assert "this client leads, and maintenance is not complete" in problem
    assert "periodic_job_enqueuer: HostileError" in problem
    assert "next attempt in" in problem
    assert shown.maintenance is MaintenanceState.DEGRADED
    assert shown.services[-1].last_error is not None
    seen.client.hook.mode = "fine"
    await world.until(lambda: seen.snapshot.healthy, within=71)
    assert seen.snapshot.maintenance is MaintenanceState.RUNNING


@virtual()
async def test_S_109_without_isolation_the_whole_maintenance_has_failed(world: World) -> None:
    seen = Seen(world, "a", isolate=False)
    seen.client.hook.mode = "fail"
    await seen.start()
    await world.until(lambda: not seen.snapshot.healthy and seen.snapshot.is_leader, within=90)
    assert seen.snapshot.maintenance is MaintenanceState.FAILED
    assert "PeriodicJobEnqueuer" in seen.snapshot.problems[0]


@virtual()
async def test_S_109_a_minute_counts_from_when_the_service_died(world: World) -> None:
    seen = await leading(world)
    await world.sleep(100)
    seen.client.plugin.rounds, seen.client.plugin.prepare = "die", "hang"
    await world.until(lambda: LeadershipSign.ENDED in seen.names, within=3)
    took = await world.until(lambda: not seen.snapshot.healthy, within=90)
    assert took == pytest.approx(60, abs=0.5)


@virtual()
async def test_S_109_too_many_tasks_left_behind_are_a_problem(world: World) -> None:
    seen = Seen(world, "a")
    seen.client.hook.mode = "deaf"
    await seen.start()
    await world.until(lambda: not seen.client.maintainer.may_lead(), within=3600)
    assert "ignore their cancellation" in seen.snapshot.problems[-1]
    assert seen.snapshot.quarantined >= 8


@virtual(seeds=3)
async def test_S_110_an_attempt_that_a_loss_has_ended_is_no_error(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "riverrun")
    seen = Seen(world, "a")
    seen.client.hook.mode = "hang"
    await seen.start()
    await world.until(lambda: bool(seen.client.hook.calls), within=1)
    world.request_resign()
    await world.until(lambda: LeadershipSign.LOST in seen.names, within=1)
    await world.sleep(0.2)
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == []
    assert records(caplog.records, "was over before", logging.DEBUG)
    assert LeadershipSign.START_ERROR not in seen.names


@virtual()
async def test_S_110_the_same_failure_shows_its_traceback_once_in_whichever_term(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Seen(world, "a")
    seen.client.hook.mode = "fail"
    await seen.start()
    await world.sleep(3600)
    failures = [
        each for each in caplog.records if "could not be started, attempt" in each.getMessage()
    ]
    assert sum(1 for each in failures if each.exc_info) == 1
    assert len(failures) < 20
    assert "(number 9 since 2030-01-01 00:00:" in failures[8].getMessage()


@virtual()
async def test_S_111_that_nobody_leads_is_seen_on_every_client(world: World) -> None:
    a, b = await leading(world), Seen(world, "b")
    await b.start()
    for seen in (a, b):
        seen.client.elector.may_lead = lambda: False
    world.request_resign()
    await world.until(lambda: not a.snapshot.healthy and not b.snapshot.healthy, within=75)
    for seen in (a, b):
        assert "nobody leads" in seen.snapshot.problems[0]
        assert seen.snapshot.state is LeadershipState.ABSTAINING
    a.client.elector.may_lead = lambda: True
    await world.until(lambda: a.snapshot.healthy and b.snapshot.healthy, within=12)


@virtual()
async def test_S_111_a_database_that_cannot_be_asked_is_a_problem_too(world: World) -> None:
    seen = await leading(world)
    world.partition("a")
    await world.until(lambda: not seen.snapshot.healthy, within=80)
    assert "nobody leads" in seen.snapshot.problems[0]
    assert "looks failed in a row" in seen.snapshot.problems[0]


@virtual(checked=False)
async def test_S_112_a_thousand_hand_overs_leave_nothing_behind(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "riverrun")
    a, b = await leading(world), Seen(world, "b")
    world.loop.after_step.remove(a.check)  # half of the time
    await b.start()
    clients = {"a": a, "b": b}

    async def hand_over(times: int) -> tuple[int, ...]:
        caplog.clear()
        for _ in range(times):
            (leader,) = world.leaders
            other = clients["b" if leader.name == "a" else "a"].client
            await world.until(
                lambda other=other: other.elector.phase is LeadershipState.FOLLOWER, within=8
            )
            world.request_resign(leader.client_id)
            await world.until(lambda other=other: other.maintains, within=8)
        await world.sleep(60)  # until the time limits of cancelled questions have passed
        logged = len(caplog.records) // times
        alive = sum(1 for task in world.loop.tasks if not task.done())
        for each in clients.values():
            each.client.hook.forget()
        gc.collect()
        kinds = (Tenure, Upkeep, Run, asyncio.Task)
        objects = sum(1 for each in gc.get_objects() if issubclass(type(each), kinds))
        return logged, alive, objects, len(a.snapshot.transitions)

    early = await hand_over(50)
    late = await hand_over(950)
    assert late == pytest.approx(early, abs=40)
    assert all(len(each.of(LeadershipSign.GAINED)) >= 500 for each in (a, b))
