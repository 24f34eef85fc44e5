"""What the log says of the leader's services that fail: a line each time, and never two."""

import asyncio
import gc
import logging
from contextlib import suppress
from typing import Any

import pytest

from riverrun.runtime.clock import SystemClock
from riverrun.runtime.scope import Cause, Scope
from riverrun.runtime.service import Service, ServiceStopped
from riverrun.runtime.term import LeadershipTerm
from riverrun.runtime.upkeep import Upkeep
from tests.contract.small_services import Obedient
from tests.simulation.clocks import SimClock
from tests.simulation.world import World
from tests.support.maintaining import Role, staged
from tests.support.recording import led_by
from tests.support.virtual import virtual


@pytest.mark.parametrize("isolate", [True, False])
@virtual()
async def test_a_service_that_dies_is_told_of_in_one_line(
    world: World, caplog: pytest.LogCaptureFixture, isolate: bool
) -> None:
    rescuer = Role("job_rescuer")
    async with staged(world, rescuer, Role("other"), isolate=isolate) as stage:
        stage.elector.gain()
        await world.until(lambda: stage.runs, within=0.1)
        rescuer.running[0].die.set()
        await world.until(lambda: not stage.runs, within=0.1)
    (error,) = errors(caplog)
    assert "ended: OSError('job_rescuer died'); it is started again" in error


@virtual()
async def test_attempts_beyond_the_limit_are_not_counted_by_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    clock, role = SimClock(world.loop), Role("hooks", "fail")
    term = LeadershipTerm(7, "a", "now", trusted_until=100, clock=clock)
    upkeep = Upkeep("hooks", lambda: role.service.new(term), clock, epoch=7)
    await upkeep.start()
    await world.until(lambda: upkeep.health.failures == 4, within=10)
    await upkeep.stop()
    said = [error.partition(", next")[0] for error in errors(caplog) if "attempt" in error]
    assert said[-1] == "hooks could not be started, attempt 4 (epoch 7)"


@virtual()
async def test_a_loop_that_was_blocked_is_told_of(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """R-34: by more than a second, and before it costs the lease."""
    a = world.client("a", services=[])
    await led_by(world, a)
    a.stall(0.5)
    await world.sleep(3)
    assert "stood still" not in caplog.text
    a.stall(5)
    await world.sleep(10)
    assert "the event loop stood still for" in caplog.text
    assert a.leads


@pytest.mark.parametrize("steps", range(6))
async def test_S_110_a_term_that_ends_as_a_service_starts_leaves_no_complaint(steps: int) -> None:
    """Nobody asks any more how that went, of which asyncio would tell with a traceback."""
    loop, scope, complaints = asyncio.get_running_loop(), Scope(), list[Any]()
    loop.set_exception_handler(lambda _loop, context: complaints.append(context))

    def lose(steps: int) -> None:
        if steps:
            loop.call_soon(lose, steps - 1)
        else:
            scope.cancel(Cause.LEADERSHIP_LOST)

    def make() -> Service:
        loop.call_soon(lose, steps)
        return Obedient()

    with suppress(ServiceStopped):
        await Upkeep("hooks", make, SystemClock()).start(scope)
    gc.collect()
    assert complaints == []


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
