"""Several services: started in order, stopped together or in turn."""

import asyncio

import pytest

from riverrun.runtime.groups import Together, running, start_all, stop_all, wait_all_started
from riverrun.runtime.scope import Cause
from riverrun.runtime.service import Service, ServiceState, StopFromWithin
from tests.contract.small_services import Broken, Deaf, Dying, Gated, Obedient, Slow


async def test_S_008_when_one_fails_to_start_those_before_it_are_stopped() -> None:
    first, broken, never = Obedient(), Broken(), Obedient()
    together = Together([first, broken, never])
    with pytest.raises(OSError, match="broken"):
        await together.start()
    assert (first.cause, first.ends, never.ends) == (Cause.STOP, 1, 0)
    await together.stop()
    broken.error = None
    assert (await together.start()).did_start
    await together.stop()


async def test_S_009_a_deaf_one_does_not_hold_up_the_error() -> None:
    deaf = Deaf()
    together = Together([deaf, Broken()])
    with pytest.raises(OSError, match="broken"):
        await together.start()
    assert deaf.quarantined == 1
    fresh = Together([Obedient()])
    assert (await fresh.start()).did_start
    await fresh.stop()
    deaf.may_end.set()
    await deaf.ended.wait()


@pytest.mark.parametrize("before", [0, 2])
async def test_S_010_the_first_error_is_raised_and_the_others_are_stopped(before: int) -> None:
    services = [Obedient() for _ in range(before)]
    with pytest.raises(OSError, match="third"):
        await start_all([*services, Broken(OSError("third"))])
    assert [service.ends for service in services] == [1] * before


async def test_S_011_waiting_for_all_ends_though_one_failed_to_start() -> None:
    good, broken = Obedient(), Broken()
    waiting = asyncio.create_task(wait_all_started([good, broken]))
    with pytest.raises(OSError, match="broken"):
        await start_all([good, broken])
    await waiting


async def test_stopping_all_waits_for_each_and_then_raises_what_went_wrong() -> None:
    first, slow, last = Obedient(), Slow(), Obedient()
    await start_all([first, slow, last])
    with pytest.raises(ExceptionGroup) as caught:
        await stop_all([first, slow, last], timeout=0.001)
    assert caught.group_contains(TimeoutError)
    assert (first.ends, last.ends) == (1, 1)
    slow.may_end.set()
    await slow.stop()


async def test_all_are_asked_to_stop_at_the_same_time() -> None:
    services = [Slow() for _ in range(3)]
    runs = [await service.start() for service in services]
    stopping = asyncio.create_task(stop_all(services, Cause.LEADERSHIP_LOST))
    for run in runs:
        await run.scope.wait()
    for service in services:
        service.may_end.set()
    await stopping
    assert {run.scope.cause for run in runs} == {Cause.LEADERSHIP_LOST}


async def test_together_ends_with_the_error_of_the_one_that_dies() -> None:
    good, dying = Obedient(), Dying()
    together = Together([good, dying])
    await together.start()
    dying.die.set()
    with pytest.raises(OSError, match="died"):
        await together.wait()
    assert (good.ends, good.state) == (1, ServiceState.IDLE)


async def test_together_hands_the_cause_on() -> None:
    good = Obedient()
    together = Together([good])
    await together.start()
    await together.stop(Cause.LEADERSHIP_LOST)
    assert good.cause is Cause.LEADERSHIP_LOST


async def test_stopping_while_together_starts_gives_all_the_cause_stop() -> None:
    good, gated = Obedient(), Gated()
    together = Together([good, gated])
    starting = asyncio.create_task(together.start())
    await gated.entered.wait()
    await together.stop()
    assert (good.cause, gated.cause) == (Cause.STOP, Cause.STOP)
    await asyncio.wait({starting})


class Recorded(Obedient):
    """Writes its name into `order` when it ends."""

    def __init__(self, name: str, order: list[str]) -> None:
        super().__init__(name)
        self.order = order

    async def run(self) -> None:
        await super().run()
        self.order.append(self.name)


async def test_a_block_stops_its_services_last_first() -> None:
    order: list[str] = []
    async with running([Recorded(name, order) for name in "abc"]):
        assert order == []
    assert order == ["c", "b", "a"]


async def test_a_block_that_cannot_start_stops_what_was_started() -> None:
    good = Obedient()
    with pytest.raises(OSError, match="broken"):
        async with running([good, Broken()]):
            pytest.fail("the block was entered")
    assert good.ends == 1


@pytest.mark.parametrize("while_starting", [True, False])
async def test_a_cancelled_block_stops_its_services_as_cancelled(*, while_starting: bool) -> None:
    good, gated, before = Obedient(), Gated(), asyncio.all_tasks()

    async def host() -> None:
        async with running([good, gated]):
            await asyncio.Event().wait()

    task = asyncio.create_task(host())
    await gated.entered.wait()
    if not while_starting:
        gated.gate.set()
        await gated.started.wait()
    task.cancel()
    await asyncio.wait({task})
    assert (good.cause, gated.state) == (Cause.CANCELLED, ServiceState.IDLE)
    assert asyncio.all_tasks() == before


async def test_one_that_cannot_be_awaited_keeps_no_other_from_being_stopped() -> None:
    good, entered = Obedient(), asyncio.Event()

    class Host(Service):
        async def run(self) -> None:
            self.ready()
            with pytest.raises(StopFromWithin):
                async with running([good, self]):
                    entered.set()

    host = Host()
    await host.start()
    await host.wait()
    assert (entered.is_set(), good.ends) == (True, 1)
