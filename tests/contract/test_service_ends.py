"""More of the contract of a service: ends, owners, tasks of its own, and what is left behind."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Callable

import pytest

from riverrun.model.errors import LifecycleError
from riverrun.runtime.scope import Cause, Scope
from riverrun.runtime.service import Service, ServiceState, ServiceStopped, StopFromWithin
from tests.contract.small_services import Broken, Dying, Gated, Obedient, Slow


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
