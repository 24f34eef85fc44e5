"""The contract of a service, on small ones that fail, hang and misbehave."""

import asyncio
import random
from collections.abc import Callable

import pytest

from riverrun.runtime.scope import Cause
from riverrun.runtime.service import Run, Service, ServiceState, ServiceStopped, StopFromWithin
from tests.contract.small_services import Broken, Deaf, Dying, Gated, Obedient, Slow


async def test_S_002_the_body_ends_once_however_often_it_is_stopped() -> None:
    service = Obedient()
    await service.start()
    await asyncio.gather(*(service.stop() for _ in range(4)))
    assert service.ends == 1


@pytest.mark.parametrize("seed", range(5))
async def test_S_004_ten_tasks_in_any_order_never_run_two_bodies(seed: int) -> None:
    service, choices = Obedient(), random.Random(seed)  # noqa: S311

    async def rounds() -> None:
        for _ in range(50):
            call = service.start if choices.random() < 0.5 else service.stop
            await asyncio.gather(call(), return_exceptions=True)

    async with asyncio.timeout(20):
        await asyncio.gather(*(rounds() for _ in range(10)))
        await service.stop()
    assert (service.state, service.bodies) == (ServiceState.IDLE, 0)
    assert service.ends > 0


class Moody(Obedient):
    """Fails, dies, dawdles or behaves, as chance has it."""

    def __init__(self, choices: random.Random) -> None:
        super().__init__()
        self.choices = choices

    async def run(self) -> None:
        mood = self.choices.choice(["fails", "dies", "dawdles", "behaves"])
        if mood == "fails":
            raise OSError(mood)
        if mood == "dawdles":
            await asyncio.wait({self.spawn(asyncio.Event().wait())}, timeout=0)
        if mood == "dies":
            self.ready()
            raise OSError(mood)
        await super().run()


@pytest.mark.parametrize("seed", range(10))
async def test_S_004_whatever_is_cancelled_and_fails_nothing_is_left(seed: int) -> None:
    choices = random.Random(seed)  # noqa: S311
    service, before, runs = Moody(choices), asyncio.all_tasks(), set[Run]()

    async def rounds() -> None:
        for _ in range(30):
            call = asyncio.ensure_future(choices.choice([service.start, service.stop])())
            await asyncio.wait({call}, timeout=choices.choice([0, 0, None]))
            call.cancel()
            if (run := service.current_run) is not None:
                runs.add(run)

    async with asyncio.timeout(20):
        await asyncio.gather(*(rounds() for _ in range(5)))
        await service.stop()
    assert all(run.started.is_set() and run.stopped.is_set() for run in runs)
    assert (service.state, service.bodies, service.quarantined) == (ServiceState.IDLE, 0, 0)
    assert asyncio.all_tasks() == before


async def test_S_005_a_failing_start_leaves_it_idle_and_startable() -> None:
    service = Broken(OSError("no such host"))
    started, stopped = service.started, service.stopped
    with pytest.raises(OSError, match="no such host"):
        await service.start()
    assert (started.is_set(), stopped.is_set(), service.state) == (True, True, ServiceState.IDLE)
    await service.stop()
    service.error = None
    assert (await service.start()).did_start
    await service.stop()


async def test_S_006_a_failing_start_leaves_no_task_behind() -> None:
    class HalfWay(Service):
        async def run(self) -> None:
            self.spawn(asyncio.Event().wait())
            raise OSError("second hook failed")

    before = asyncio.all_tasks()
    for _ in range(2):
        with pytest.raises(OSError, match="second hook"):
            await HalfWay().start()
    assert asyncio.all_tasks() == before


async def test_S_007_after_a_failed_start_the_handles_are_those_of_the_next_run() -> None:
    service, before = Broken(), asyncio.all_tasks()
    for _ in range(100):
        with pytest.raises(OSError, match="broken"):
            await service.start()
        assert not service.stopped.is_set()
    assert asyncio.all_tasks() == before


async def test_S_012_a_stopped_service_sees_the_cause_stop() -> None:
    service = Obedient()
    await service.start()
    await service.stop()
    assert service.cause is Cause.STOP


async def test_S_012_cancelling_the_task_that_starts_it_is_seen_as_cancelled() -> None:
    service = Gated()
    starting = asyncio.create_task(service.start())
    await service.entered.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert (service.cause, service.state) == (Cause.CANCELLED, ServiceState.IDLE)


async def test_S_013_two_starters_get_the_same_error_of_one_body() -> None:
    service = Gated(OSError("late failure"))
    starts = [asyncio.create_task(service.start()) for _ in range(2)]
    await service.entered.wait()
    service.gate.set()
    first, second = await asyncio.gather(*starts, return_exceptions=True)
    assert first is second is service.error
    assert service.ran == 1


async def test_a_second_starter_that_is_cancelled_does_not_end_the_start() -> None:
    service = Gated()
    first, second = (asyncio.create_task(service.start()) for _ in range(2))
    await service.entered.wait()
    second.cancel()
    await asyncio.wait({second})
    service.gate.set()
    assert (await first).did_start
    await service.stop()


async def test_S_014_a_stop_ends_a_start_under_way() -> None:
    service = Gated()
    started, starting = service.started, asyncio.create_task(service.start())
    await service.entered.wait()
    await service.stop()
    with pytest.raises(ServiceStopped, match=r"Gated was stopped while it started \(stop\)"):
        await starting
    assert started.is_set()
    assert service.cause is Cause.STOP


async def test_S_015_a_body_cancelled_before_its_first_step_fires_both_events() -> None:
    service = Obedient()
    starting = asyncio.create_task(service.start())
    stopping = asyncio.create_task(service.stop())  # runs before the body's first step
    run = await asyncio.gather(starting, stopping, return_exceptions=True)
    assert isinstance(run[0], ServiceStopped)
    assert service.ends == 0
    assert service.state is ServiceState.IDLE


async def test_S_016_a_deaf_body_is_cancelled_again_and_left_behind() -> None:
    service = Deaf()
    run = await service.start()
    await service.stop()
    assert run.stopped.is_set()
    assert (service.swallowed, service.quarantined) == (4, 1)
    service.deaf = False
    following = await service.start()
    service.may_end.set()
    await service.ended.wait()
    assert (run.error, following.scope.cancelled) == (None, False)
    assert service.state is ServiceState.RUNNING
    await service.stop()


async def test_S_016_the_late_end_of_a_deaf_body_lowers_the_count() -> None:
    service = Deaf()
    await service.start()
    await service.stop()
    service.may_end.set()
    await asyncio.wait({task for task in asyncio.all_tasks() if task.get_name() == "Deaf"})
    assert service.quarantined == 0


async def test_S_017_a_cancelled_stop_goes_on_and_the_next_joins_it() -> None:
    service = Slow()
    run = await service.start()
    first = asyncio.create_task(service.stop())
    await run.scope.wait()
    first.cancel()
    await asyncio.wait({first})
    assert service.state is ServiceState.STOPPING
    service.may_end.set()
    await service.stop()
    assert run.stopped.is_set()


@pytest.mark.parametrize("in_a_task", [True, False])
async def test_S_018_a_service_that_stops_itself_does_not_wait_for_itself(
    *, in_a_task: bool
) -> None:
    class Quitter(Service):
        async def run(self) -> None:
            self.ready()
            with pytest.raises(StopFromWithin):
                await (asyncio.create_task(self.stop()) if in_a_task else self.stop())
            await self.stopping.wait()

    service = Quitter()
    run = await service.start()
    await service.wait()
    assert run.scope.cause is Cause.STOP


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("make", [Broken, Dying])
def test_S_019_an_exit_reaches_the_owner_and_fires_stopped(
    make: Callable[[BaseException], Broken | Dying], error: BaseException
) -> None:
    service = make(error)
    stopped = service.stopped

    async def main() -> None:
        await service.start()
        if isinstance(service, Dying):
            service.die.set()
        await service.stopped.wait()

    with pytest.raises(type(error)):
        asyncio.run(main())
    assert stopped.is_set()
    assert service.state is ServiceState.IDLE


def test_S_020_the_end_of_the_loop_ends_it_quietly(caplog: pytest.LogCaptureFixture) -> None:
    service = Obedient()
    asyncio.run(service.start(), debug=True)  # type: ignore[arg-type]
    assert (service.ends, service.state, caplog.records) == (1, ServiceState.IDLE, [])
