"""Losing and regaining leadership at every step of a start, in every order of what follows.

The maintainer, its tenures and their upkeeps are the real ones. A run without a loss is made first, to
count the steps of the loop. Then there is one run for each of them, in which leadership is lost and
regained at once right after that step, and for each of those one run for every order in which the tasks
that are ready may go on at the choices that follow, up to `DEPTH` of them. `make simulate` takes more.
"""

import os
from dataclasses import dataclass, field

import pytest

from tests.simulation.order import Choices, explore
from tests.simulation.world import World, run_world
from tests.support.maintaining import Actor, Role, Stage, staged

DEPTH = int(os.environ.get("KERNEL_DEPTH", "2"))
STARTING = 8.0
"""Seconds in which the loss may come: three tries that fail, and more."""
LONGEST = 60.0
"""Seconds until a start that was deaf has been left behind, and the next term maintains."""


@dataclass
class Kernel:
    """One run: a start that goes as `mode` says, and what must be true after a loss at step `at`."""

    mode: str
    at: int | None = None
    choices: Choices | None = None
    steps: int = 0
    second: list[Actor] = field(default_factory=list)
    """Those of the second term that have begun to work."""

    def run(self) -> "Kernel":
        run_world(self._scenario, seed=None, order=self.choices)
        return self

    async def _scenario(self, world: World) -> None:
        role = Role("plugin", self.mode)
        async with staged(world, role) as stage:
            stage.elector.gain()
            first = world.loop.steps
            if self.at is not None:
                await self._lose_and_regain(world, stage, role, first + self.at)
                await self._watch(world, stage)
            else:
                await world.sleep(STARTING)
                self.steps = world.loop.steps - first

    async def _lose_and_regain(self, world: World, stage: Stage, role: Role, at: int) -> None:
        """In the middle of whatever step that is, and both at once."""
        done: list[bool] = []

        def look() -> None:
            if world.loop.steps >= at and not done:
                done.append(True)
                role.starts = ("fine",)
                stage.elector.lose()
                stage.elector.gain()
                if self.choices is not None:
                    self.choices.begin(world.loop.steps)

        world.loop.after_step.append(look)
        await world.until(lambda: bool(done), within=STARTING + 1)
        world.loop.after_step.remove(look)

    async def _watch(self, world: World, stage: Stage) -> None:
        """The second term maintains before long, and from then on at every step."""
        term = stage.elector.term
        await world.until(lambda: stage.runs, within=LONGEST, what="maintenance")
        tenure = stage.maintainer.tenure
        assert tenure is not None
        assert tenure.term is term
        self.second = [
            actor for upkeep in tenure.upkeeps if isinstance(actor := upkeep.service, Actor)
        ]

        def look() -> None:
            assert stage.runs
            assert stage.maintainer.tenure is tenure
            assert all(actor.ended is None for actor in self.second)

        world.loop.after_step.append(look)
        await world.sleep(LONGEST)
        world.loop.after_step.remove(look)
        assert len(self.second) == 1


def explored(mode: str) -> tuple[int, int]:
    """How many steps, and how many runs."""
    steps = Kernel(mode).run().steps
    runs = 0
    for at in range(steps):
        for choices in explore(DEPTH):
            Kernel(mode, at, choices).run()
            runs += 1
    return steps, runs


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", ["fail", "late fail"])
def test_S_088_nothing_of_a_failing_start_stops_the_next_term(mode: str) -> None:
    """The trap of River's pull request #1184: to check the epoch and to stop were two steps."""
    steps, runs = explored(mode)
    assert runs > steps > 5


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", ["fine", "hang", "deaf", "late", "meddle"])
def test_S_089_the_next_term_maintains_whatever_became_of_the_start_before(mode: str) -> None:
    """The trap W-04: a stale start made the next one report success with nothing running."""
    steps, runs = explored(mode)
    assert runs > steps > 5
