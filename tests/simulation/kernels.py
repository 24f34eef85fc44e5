"""The few steps in which everything is decided, gone through in every order.

`every_order` runs something without a disturbance first, to count the steps of the loop. Then there is one
run for each of them, in which the disturbance comes right after that step, and for each of those one run for
every order in which the tasks that are ready may go on at the choices that follow, up to `depth` of them.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.simulation.order import Choices, explore
from tests.simulation.world import World, run_world


class Kernel:
    """One run: `disturb` has a call made after step `at`, counted from now on, and then explores."""

    def __init__(self, at: int | None, choices: Choices | None) -> None:
        self.steps = 0
        self._at = at
        self._choices = choices

    async def disturbed(self, world: World, seconds: float, call: Callable[[], object]) -> None:
        """Wait so long, with the disturbance in the midst of it; return right after it has come."""
        first = world.loop.steps
        if self._at is None:
            await world.sleep(seconds)
            self.steps = world.loop.steps - first
            return
        done: list[bool] = []

        def look() -> None:
            if world.loop.steps >= first + (self._at or 0) and not done:
                done.append(True)
                call()
                if self._choices is not None:
                    self._choices.begin(world.loop.steps)

        world.loop.after_step.append(look)
        await world.until(lambda: bool(done), within=seconds + 1)
        world.loop.after_step.remove(look)


Scenario = Callable[[World, Kernel], Awaitable[Any]]


def every_order(scenario: Scenario, depth: int) -> tuple[int, int]:
    """How many steps there were, and how many runs."""
    steps = run_kernel(scenario).steps
    runs = 0
    for at in range(steps):
        for choices in explore(depth):
            run_kernel(scenario, at, choices)
            runs += 1
    return steps, runs


def run_kernel(scenario: Scenario, at: int | None = None, choices: Choices | None = None) -> Kernel:
    kernel = Kernel(at, choices)
    run_world(lambda world: scenario(world, kernel), seed=None, order=choices)
    return kernel
