"""The contract of a service, on small ones that fail, hang and misbehave."""

import asyncio
import contextlib
import gc
import random
import weakref
from collections.abc import Callable

import pytest

from riverrun.model.errors import LifecycleError
from riverrun.runtime.scope import Cause, Scope
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


async def test_S_021_an_ended_scope_ends_the_service_and_starts_no_other() -> None:
    scope, service = Scope(), Obedient()
    run = await service.start(scope)
    scope.cancel(Cause.LEADERSHIP_LOST)
    await run.stopped.wait()
    assert service.cause is Cause.LEADERSHIP_LOST
    with pytest.raises(ServiceStopped):
        await service.start(scope)
    assert service.ends == 1


async def test_S_022_starting_again_after_a_failure_fails_again() -> None:
    service = Broken()
    for _ in range(2):
        with pytest.raises(OSError, match="broken"):
            await service.start()


async def test_S_023_a_stop_that_times_out_goes_on() -> None:
    service = Slow()
    await service.start()
    with pytest.raises(TimeoutError):
        await service.stop(timeout=0)
    assert service.state is ServiceState.STOPPING
    service.may_end.set()
    await service.stop()
    assert service.state is ServiceState.IDLE


async def test_a_start_during_a_stop_waits_and_begins_a_new_run() -> None:
    service = Slow()
    run = await service.start()
    stopping = asyncio.create_task(service.stop())
    await run.scope.wait()
    starting = asyncio.create_task(service.start())
    service.may_end.set()
    await stopping
    assert (await starting).generation == 2


async def test_returning_before_ready_is_a_failed_start() -> None:
    class Absent(Service):
        async def run(self) -> None: ...

    with pytest.raises(LifecycleError, match="Absent returned before it was ready"):
        await Absent().start()


async def test_a_body_that_swallows_the_stop_of_its_start_did_not_start() -> None:
    class Stubborn(Gated):
        async def run(self) -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await super().run()
            self.ready()

    service = Stubborn()
    starting = asyncio.create_task(service.start())
    await service.entered.wait()
    await service.stop()
    with pytest.raises(ServiceStopped):
        await starting


async def test_what_run_raises_after_ready_is_raised_by_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Dying(OSError("died"))
    run = await service.start()
    service.die.set()
    with pytest.raises(OSError, match="died"):
        await service.wait()
    assert run.scope.cause is Cause.CRASH
    assert [record.getMessage() for record in caplog.records] == ["Dying failed"]
    await service.stop()


async def test_wait_returns_at_once_before_the_first_start_and_after_a_stop() -> None:
    service = Obedient()
    await service.wait()
    await service.start()
    await service.stop()
    await service.wait()


async def test_the_cause_given_first_stays() -> None:
    service = Slow()
    run = await service.start()
    run.scope.cancel(Cause.LEADERSHIP_LOST)
    service.may_end.set()
    await service.stop(Cause.TIMEOUT)
    assert run.scope.cause is Cause.LEADERSHIP_LOST


async def test_a_stray_cancellation_is_a_failure_not_a_stop() -> None:
    class Stray(Service):
        async def run(self) -> None:
            raise asyncio.CancelledError

    with pytest.raises(LifecycleError, match="cancellation that nobody asked for"):
        await Stray().start()


async def test_a_run_slower_than_stop_grace_is_cancelled() -> None:
    service = Slow()
    service.stop_grace = 0.0
    run = await service.start()
    await service.stop()
    assert (run.error, service.quarantined) == (None, 0)


async def test_spawned_tasks_end_before_the_run_does() -> None:
    class Parent(Service):
        async def run(self) -> None:
            self.child = self.spawn(asyncio.Event().wait(), name="child")
            self.ready()
            await self.stopping.wait()
            assert not self.child.done()

    service = Parent()
    await service.start()
    await service.stop()
    assert service.child.cancelled()


async def test_a_spawned_task_that_fails_ends_the_run_with_its_error() -> None:
    class Parent(Obedient):
        async def run(self) -> None:
            self.spawn(self.fail())
            await super().run()

        async def fail(self) -> None:
            await self.started.wait()
            raise OSError("child failed")

    service = Parent()
    await service.start()
    with pytest.raises(OSError, match="child failed"):
        await service.wait()
    assert (service.cause, service.ends) == (Cause.CRASH, 1)


async def test_the_first_error_is_the_one_that_counts(caplog: pytest.LogCaptureFixture) -> None:
    class Worse(Obedient):
        async def run(self) -> None:
            self.spawn(self.fail())
            await super().run()
            raise OSError("second")

        async def fail(self) -> None:
            await self.started.wait()
            raise OSError("first")

    service = Worse()
    await service.start()
    with pytest.raises(OSError, match="first"):
        await service.wait()
    assert "OSError: second" in caplog.text


async def test_an_ended_run_is_forgotten_by_the_scope_around_it() -> None:
    scope, service = Scope(), Obedient()
    ended = weakref.ref(await service.start(scope))
    await service.stop()
    await service.start(scope)
    gc.collect()
    assert ended() is None
    await service.stop()


async def test_nothing_can_be_spawned_for_a_run_that_is_over() -> None:
    service = Obedient()
    await service.start()
    await service.stop()
    with pytest.raises(ServiceStopped, match="Obedient has ended"):
        service.spawn(service.wait())


async def test_an_outer_run_is_over_only_when_the_inner_is() -> None:
    inner = Slow()

    class Outer(Service):
        async def run(self) -> None:
            await inner.start(self.scope)
            self.ready()

    outer = Outer()
    await outer.start()
    inner_run = inner.current_run
    assert inner_run is not None
    await inner_run.scope.wait()
    assert outer.state is ServiceState.STOPPING
    inner.may_end.set()
    await outer.wait()
    assert inner.state is ServiceState.IDLE


async def test_a_part_of_an_inner_service_cannot_wait_for_the_outer_to_stop() -> None:
    outer = Obedient()
    run = await outer.start()

    class Inner(Service):
        async def run(self) -> None:
            self.ready()
            with pytest.raises(StopFromWithin):
                await outer.stop()

    inner = Inner()
    await inner.start(run.scope)
    await outer.wait()
    await inner.wait()


async def test_calls_from_another_loop_are_refused() -> None:
    service = Obedient()
    await service.start()
    for call in (service.start, service.stop, service.wait):
        outcome = await asyncio.to_thread(lambda: asyncio.run(_outcome(call)))  # noqa: B023
        assert isinstance(outcome, LifecycleError)
    await service.stop()


async def _outcome(call: Callable[[], object]) -> object:
    return (await asyncio.gather(call(), return_exceptions=True))[0]  # type: ignore[call-overload]
