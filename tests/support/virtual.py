"""Runs a test in virtual time: on a loop that sleeps for nobody, with a model of the database.

    @virtual()
    async def test_S_042_foreign_resignations_do_not_postpone_the_renewal(world: World) -> None:
        a = world.client("a")
        await a.start()
        await world.until(lambda: a.leads, within=1.0)
        await world.sleep(60.0)
        assert a.leads

`virtual(seed=7)` gives another order of events, `virtual(seeds=20)` runs it with twenty. The test is a
plain function for pytest: other fixtures and parameters may follow `world`. What a world can do stands in
tests/simulation/world.py, clients in client.py, hostile services in hostile.py, faults in faults.py.
Without a world: `run_virtual(async_function, *args)`, which runs it on a virtual loop.
"""

import functools
import inspect
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tests.simulation.loop import VirtualLoop
from tests.simulation.world import World, run_world

T = TypeVar("T")


def run_virtual(function: Callable[..., Awaitable[T]], *args: Any, seed: int | None = 0) -> T:
    """What `function` returns, run on a virtual loop."""
    random.seed(f"global {seed}")

    async def main() -> T:
        return await function(*args)

    return VirtualLoop(seed).run(main())


def virtual(
    *, seed: int | None = 0, seeds: int = 1, checked: bool = True
) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., None]]:
    """Makes a test of a coroutine whose first parameter is a `World`."""

    def decorate(test: Callable[..., Awaitable[Any]]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            def scenario(world: World) -> Awaitable[Any]:
                return test(world, **fixtures)

            for offset in range(seeds):
                run_world(scenario, seed=None if seed is None else seed + offset, checked=checked)

        parameters = list(inspect.signature(test).parameters.values())[1:]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        del run.__wrapped__
        return run

    return decorate
