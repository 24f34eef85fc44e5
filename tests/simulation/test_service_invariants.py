"""Each invariant of services is broken on purpose, and noticed: I-6 to I-9, I-12 and I-13."""

import asyncio
import contextvars
from typing import Any

import pytest

from riverrun.model.leadership_states import LeadershipReason, MaintenanceServiceState
from riverrun.runtime.scope import Cause
from tests.simulation.breaking import is_noticed, led
from tests.simulation.hostile import Hook
from tests.simulation.world import World


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


def test_a_term_that_is_given_up_for_a_failure_of_another_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, term = await led(world)
        client.elector.resign(term, LeadershipReason.MAINTENANCE_FAILED)
        await world.sleep(1)

    is_noticed("I-6", scenario, "nothing failed in it")


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
        client.maintainer.tenure.upkeeps[0].health.state = MaintenanceServiceState(state)
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
