"""Whatever happens at whichever step of a start or an end, in every order of what follows: see kernels.py.

The maintainer, its tenures and their upkeeps are the real ones. KERNEL_DEPTH=4 in the environment has more
choices explored than there is time for each day.
"""

import asyncio
import os
from typing import Any

import pytest

from riverrun.model.leadership_states import LeadershipReason
from riverrun.runtime.run import Run, ServiceStopped
from riverrun.runtime.service import Service, ServiceState
from tests.simulation.clocks import sleep
from tests.simulation.kernels import Kernel, every_order
from tests.simulation.world import World
from tests.support.maintaining import Actor, Role, Stage, staged

MORE = int(os.environ.get("KERNEL_DEPTH", "0"))
LEAST = {
    "fail": (40, 500), "late fail": (8, 400),
    "fine": (20, 500), "hang": (8, 400), "deaf": (8, 400), "late": (8, 400), "meddle": (8, 400),
}  # fmt: skip
"""Steps at which leadership was lost, and runs: with fewer, something keeps orders from being seen."""
STARTING = 8.0
"""Seconds in which the loss may come: three tries that fail, and more."""
LONGEST = 60.0
"""Seconds until a start that was deaf has been left behind, and the next term maintains."""


async def lose_and_regain(world: World, kernel: Kernel, mode: str) -> None:
    """A start that goes as `mode` says, lost and regained in the middle of whatever step that is."""
    role = Role("plugin", mode)
    async with staged(world, role) as stage:
        stage.elector.gain()

        def disturb() -> None:
            role.starts = ("fine",)
            stage.elector.lose()
            stage.elector.gain()

        await kernel.disturbed(world, STARTING, disturb)
        if not kernel.steps:
            await goes_on(world, stage)


async def goes_on(world: World, stage: Stage) -> None:
    """The second term maintains before long, and from then on at every step."""
    term = stage.elector.term
    await world.until(lambda: stage.runs, within=LONGEST, what="maintenance")
    tenure = stage.maintainer.tenure
    assert tenure is not None
    assert tenure.term is term
    actors = [actor for upkeep in tenure.upkeeps if isinstance(actor := upkeep.service, Actor)]

    def look() -> None:
        assert stage.runs
        assert stage.maintainer.tenure is tenure
        assert all(actor.ended is None for actor in actors)

    world.loop.after_step.append(look)
    await world.sleep(LONGEST)
    world.loop.after_step.remove(look)
    assert len(actors) == 1


def explored(mode: str, depth: int) -> tuple[int, int]:
    return every_order(lambda world, kernel: lose_and_regain(world, kernel, mode), MORE or depth)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", ["fail", "late fail"])
def test_S_088_nothing_of_a_failing_start_stops_the_next_term(mode: str) -> None:
    """The trap of River's pull request #1184: to check the epoch and to stop were two steps."""
    steps, runs = explored(mode, depth=2 if mode == "fail" else 3)
    assert steps >= LEAST[mode][0]
    assert runs >= LEAST[mode][1]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", ["fine", "hang", "deaf", "late", "meddle"])
def test_S_089_the_next_term_maintains_whatever_became_of_the_start_before(mode: str) -> None:
    """The trap W-04: a stale start made the next one report success with nothing running."""
    steps, runs = explored(mode, depth=2 if mode == "fine" else 3)
    assert steps >= LEAST[mode][0]
    assert runs >= LEAST[mode][1]


class Slow(Service):
    """Counts how many of it are in `run`."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies = 0
        self.most = 0

    async def run(self) -> None:
        self.bodies += 1
        self.most = max(self.most, self.bodies)
        try:
            await sleep(0.01)
            self.ready()
            await self.stopping.wait()
            await sleep(0.01)
        finally:
            self.bodies -= 1


async def stop_and_start(world: World, kernel: Kernel) -> None:
    """Both at once, at any step of a start and of what follows."""
    service, tasks = Slow(), list[asyncio.Task[Any]]()

    def begin(call: Any) -> None:
        tasks.append(world.loop.create_task(call()))

    def disturb() -> None:
        begin(service.stop)
        begin(service.start)

    begin(service.start)
    await kernel.disturbed(world, 0.05, disturb)
    await asyncio.wait(tasks)
    for task in tasks:
        assert isinstance(task.exception(), (ServiceStopped, type(None)))
    runs = [task.result() for task in tasks if task.exception() is None]
    assert all(run.did_start for run in runs if isinstance(run, Run))
    assert service.bodies == (service.state is ServiceState.RUNNING)
    await service.start()
    assert (service.state, service.bodies) == (ServiceState.RUNNING, 1)
    await service.stop()
    assert (service.state, service.bodies, service.most) == (ServiceState.IDLE, 0, 1)


@pytest.mark.timeout(3600)
def test_a_service_that_is_stopped_and_started_at_any_step_is_in_one_state() -> None:
    steps, runs = every_order(stop_and_start, MORE or 5)
    assert steps >= 4
    assert runs >= 100


async def disturb_drain(world: World, kernel: Kernel, how: str) -> None:
    """A leader steps down, which takes a while, and on the way something else happens to it."""
    a, b = world.client("a"), world.client("b")
    await a.start()
    await world.until(lambda: a.maintains, within=1)
    await b.start()
    a.plugin.end, term = 0.02, a.elector.term
    assert term is not None
    disturb = world.server.lose_row if how == "lose" else lambda: world.spawn(a.stop())
    a.elector.resign(term, LeadershipReason.RESIGN_REQUESTED, abstain=7.0)
    await kernel.disturbed(world, 0.04, disturb)
    await world.until(lambda: b.maintains or a.maintains, within=22)
    for client in (a, b):
        await client.stop()
    await world.sleep(1)
    assert world.invariants is not None
    world.invariants.look_at_end()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", ["lose", "stop"])
def test_a_drain_that_is_disturbed_at_any_step_hands_over_all_the_same(how: str) -> None:
    steps, runs = every_order(lambda world, kernel: disturb_drain(world, kernel, how), MORE or 1)
    assert steps >= 50
    assert runs >= 150
