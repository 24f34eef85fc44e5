"""Each invariant is broken on purpose, and noticed: a check that cannot fail is none."""

import asyncio
import contextvars
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Script, Statement, nothing
from riverrun.model.notification import LEADERSHIP
from riverrun.runtime.scope import Cause
from riverrun.runtime.term import LeadershipTerm, Reason
from riverrun.runtime.upkeep import UpkeepState
from tests.simulation.client import SimClient
from tests.simulation.database import DIALECT
from tests.simulation.hostile import Hook
from tests.simulation.invariants import Violation
from tests.simulation.world import World, run_world

OPERATIONS = Operations(DIALECT)


async def led(world: World, **options: Any) -> tuple[SimClient, LeadershipTerm]:
    """A client that maintains, and its term."""
    client = world.client("a", **options)
    await client.start()
    await world.until(lambda: client.maintains, within=2)
    assert client.elector.term is not None
    return client, client.elector.term


def is_noticed(which: str, scenario: Callable[[World], Awaitable[Any]], text: str = "") -> None:
    with pytest.raises(Violation, match=rf": {which}: .*{text}"):
        run_world(scenario, seed=1)


def test_two_that_trust_their_terms_are_noticed() -> None:
    async def scenario(world: World) -> None:
        await led(world)
        world.server.leader = None  # and nobody was told that it was lost
        await world.client("b").start()
        await world.sleep(20)

    is_noticed("I-1", scenario, "trust their terms")


def test_an_epoch_that_comes_again_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, term = await led(world)
        client.elector._epoch -= 1  # noqa: SLF001
        client.elector.resign(term, Reason.RESIGN_REQUESTED)
        await world.sleep(20)

    is_noticed("I-1", scenario)


def test_an_effect_without_a_fence_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        await client.database.run(Statement("insert_periodic", "", {"jobs": []}, nothing))  # type: ignore[arg-type]
        await client.database.run(inserted("unfenced"))

    is_noticed("I-2", scenario)


def test_an_effect_of_a_term_whose_row_is_gone_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, term = await led(world)

        def script() -> Script[None]:
            yield OPERATIONS.leader.fence(term.leader_id, term.elected_at)
            world.server.leader = None  # the lock on it does not hold
            yield inserted("too late")

        await client.database.transact(script())

    is_noticed("I-2", scenario)


def test_a_time_that_comes_twice_in_a_term_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, term = await led(world)
        for _ in range(2):
            await client.handle(term).fenced(inserting("twice", world))

    is_noticed("I-2", scenario)


def test_a_time_that_comes_again_in_the_next_term_is_noticed() -> None:
    async def scenario(world: World) -> None:
        await led(world)
        await world.sleep(35)
        rows = world.server.periodic.rows
        rows["every-10s"] = rows["every-10s"]._replace(
            next_run_at=rows["every-10s"].next_run_at - timedelta(seconds=20)
        )
        world.request_resign()
        await world.sleep(60)

    is_noticed("I-2", scenario)


def test_a_time_that_is_left_out_is_noticed_at_the_end() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        await world.sleep(35)
        await client.stop()
        rows = world.server.periodic.rows
        rows["every-10s"] = rows["every-10s"]._replace(
            next_run_at=rows["every-10s"].next_run_at + timedelta(seconds=20)
        )
        await client.start()
        await world.sleep(60)
        await client.stop()
        assert world.invariants is not None
        world.invariants.look_at_end()

    is_noticed("I-2", scenario)


def test_a_trust_that_is_longer_than_what_was_confirmed_is_noticed() -> None:
    async def scenario(world: World) -> None:
        _, term = await led(world)
        await world.sleep(6)  # its first attempt began with connecting
        term.trusted_until += 0.001
        await world.sleep(1)

    is_noticed("I-3", scenario)


def test_a_trust_that_comes_back_is_noticed() -> None:
    async def scenario(world: World) -> None:
        _, term = await led(world)
        until, term.trusted_until = term.trusted_until, 0.0
        await world.sleep(0.01)
        term.trusted_until = until
        await world.sleep(1)

    is_noticed("I-3", scenario)


def test_a_leader_that_is_not_told_that_its_trust_is_over_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client = world.client("a")
        client.elector._watch = forever  # type: ignore[method-assign] # noqa: SLF001
        client.elector._next_renewal = forever  # type: ignore[method-assign] # noqa: SLF001
        await client.start()
        await world.sleep(20)

    is_noticed("I-3", scenario, "nobody was told")


def test_a_lease_that_is_not_renewed_although_nothing_is_wrong_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        await world.sleep(30)
        client.elector._next_renewal = forever  # type: ignore[method-assign] # noqa: SLF001
        await world.sleep(30)

    is_noticed("I-3", scenario, "although nothing was wrong")


def test_a_statement_that_begins_in_a_term_that_is_over_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, term = await led(world)
        client.elector.resign(term, Reason.RESIGN_REQUESTED)
        statement = Statement("plugin", "", (), nothing)
        await world.loop.create_task(client.database.run(statement), context=term.scope.context())

    is_noticed("I-4", scenario)


def test_who_resigns_the_term_of_another_is_noticed() -> None:
    async def scenario(world: World) -> None:
        _, term = await led(world)
        b = world.client("b")
        await b.start()
        await b.within(b.database.transact(OPERATIONS.leader.resign("a", term.elected_at)))

    is_noticed("I-5", scenario)


def test_a_process_that_goes_on_with_the_term_of_its_predecessor_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, term = await led(world)
        client.kill()
        await client.start()
        await client.within(
            client.database.run(OPERATIONS.leader.reelect("a", term.elected_at, ttl=15))
        )

    is_noticed("I-5", scenario)


@pytest.mark.parametrize("part", ["tenure", "upkeep", "plugin"])
def test_a_part_of_maintenance_that_is_stopped_in_its_term_is_noticed(part: str) -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        tenure = client.maintainer.tenure
        assert tenure is not None
        upkeep = tenure.upkeeps[1]
        assert upkeep.service is not None
        parts = {"tenure": tenure, "upkeep": upkeep, "plugin": upkeep.service}
        await client.within(parts[part].stop())

    is_noticed("I-6", scenario)


def test_another_tenure_of_the_same_term_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        assert client.maintainer.tenure is not None
        client.maintainer.tenure = None
        await client.within(client.maintainer._reconcile())  # noqa: SLF001
        await world.sleep(1)

    is_noticed("I-6", scenario)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_second_one_of_a_service_is_noticed(which: int) -> None:
    async def scenario(world: World) -> None:
        client, term = await led(world)
        service = client.maintainer._services[which].new(term)  # noqa: SLF001
        await client.within(service.start(term.scope))
        await world.sleep(1)

    is_noticed("I-7", scenario)


def test_a_run_that_ends_before_its_tasks_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        run = client.elector.current_run
        assert run is not None
        run.stopped.set()
        await world.sleep(6)

    is_noticed("I-8", scenario, "go on")


def test_a_run_that_stops_without_having_started_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        run = client.elector.current_run
        assert run is not None
        run.started.clear()
        run.stopped.set()
        await world.sleep(6)

    is_noticed("I-8", scenario, "never started")


def test_more_that_is_left_behind_than_may_be_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        client.plugin.prepare = client.plugin.rounds = "deaf"
        client.maintainer.may_lead = lambda: True  # type: ignore[method-assign]
        client.elector.may_lead = lambda: True
        await world.sleep(590)

    is_noticed("I-8", scenario, "behind")


@pytest.mark.parametrize("what", ["task", "service", "complaint"])
def test_what_goes_on_after_the_end_is_noticed(what: str) -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        assert world.invariants is not None
        if what != "service":
            await client.stop()
        if what == "task":
            lost = world.loop.create_task(client.within(asyncio.Event().wait()))
            await asyncio.wait({lost}, timeout=1)
        if what == "complaint":
            world.loop.call_exception_handler({"message": "never retrieved"})
        world.invariants.look_at_end()

    is_noticed("I-8", scenario)


def test_a_leader_without_maintenance_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client = world.client("a")
        client.maintainer._on_change = lambda _event: None  # type: ignore[method-assign] # noqa: SLF001
        await client.start()
        await world.sleep(5)

    is_noticed("I-9", scenario, "no maintenance")


@pytest.mark.parametrize("state", ["starting", "backing_off", "stopped"])
def test_a_service_that_is_said_to_be_in_a_state_for_ever_is_noticed(state: str) -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        assert client.maintainer.tenure is not None
        client.maintainer.tenure.upkeeps[0].health.state = UpkeepState(state)
        await world.sleep(300)

    is_noticed("I-9", scenario)


def test_a_service_that_is_said_to_run_and_does_not_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        assert client.maintainer.tenure is not None
        client.maintainer.tenure.upkeeps[0].service = None
        await world.sleep(300)

    is_noticed("I-9", scenario)


def test_a_part_of_a_client_that_ends_by_itself_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        assert client.notifier is not None
        await client.within(client.notifier.stop())
        await world.sleep(6)

    is_noticed("I-9", scenario)


def test_a_term_that_is_given_up_while_its_work_goes_on_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        client.plugin.end = 5.0
        client.elector._drain_timeout = 0.0  # noqa: SLF001
        await client.stop()

    is_noticed("I-10", scenario)


def test_a_lease_that_runs_out_while_its_work_goes_on_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, term = await led(world)
        await world.client("b").start()
        client.plugin.end = 30.0
        client.elector._renew_while_draining = forever  # type: ignore[method-assign] # noqa: SLF001
        client.elector.resign(term, Reason.RESIGN_REQUESTED)
        await world.sleep(30)

    is_noticed("I-10", scenario, "runs out")


def test_a_statement_that_is_executed_after_the_next_election_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, term = await led(world)
        await world.client("b").start()
        usual, world.network.latency = world.network.latency, lambda: 3.0  # type: ignore[method-assign]
        ask = client.database.run(Statement("plugin", "", (), nothing))
        asked = world.loop.create_task(ask, context=term.scope.context())
        await world.sleep(0.001)
        world.network.latency = usual  # type: ignore[method-assign]
        client.elector.resign(term, Reason.RESIGN_REQUESTED, abstain=9.0)
        await asyncio.wait({asked})

    is_noticed("I-10", scenario)


def test_a_client_that_asks_others_to_resign_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        payload = json.dumps({"action": "request_resign", "leader_id": ""})
        await client.database.run(OPERATIONS.notifications.notify(LEADERSHIP, [payload]))
        await world.sleep(1)

    is_noticed("I-11", scenario)


def test_a_cause_that_changes_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        client.plugin.end = 1.0
        world.spawn(client.stop())
        await world.until(lambda: client.elector.term is None, within=1)
        run = client.elector.current_run
        assert run is not None
        run.scope._cause = Cause.CRASH  # noqa: SLF001
        await world.sleep(5)

    is_noticed("I-12", scenario)


@pytest.mark.parametrize("what", ["cause", "count"])
def test_a_clean_up_that_goes_by_another_cause_or_comes_twice_is_noticed(what: str) -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        (probe,) = client.plugin.probes
        if what == "cause":
            client.plugin.end = 1.0
            world.spawn(client.stop())
            await world.until(lambda: probe.cause is not None, within=1)
            probe.cause = Cause.LEADERSHIP_LOST
        else:
            probe.cleaned = 1
            await client.stop()
        await world.sleep(2)

    is_noticed("I-12", scenario)


class Leaking(Hook):
    """Adds its job where nobody can take it back, and fails then."""

    async def call(self, durable_jobs: Any) -> None:
        contextvars.Context().run(self.add, "leaked", len(self.scopes))
        await super().call(durable_jobs)


def test_what_a_failed_start_leaves_in_the_registry_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client = world.client("a")
        client.hook = Leaking(client.periodic_jobs)
        client.hook.mode = "fail"
        await client.start()
        await world.sleep(2)

    is_noticed("I-13", scenario)


async def forever(_term: LeadershipTerm) -> Any:
    await asyncio.Event().wait()


def inserted(label: str, **more: Any) -> Statement[None]:
    jobs: Any = {"jobs": [{"label": label, **more}]}
    return Statement("insert_periodic", "", jobs, nothing)


def inserting(label: str, world: World) -> Script[None]:
    yield inserted(label, planned=world.server.now().replace(microsecond=0))
