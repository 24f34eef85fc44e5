"""What every service does, whatever it is for."""

import asyncio

import pytest

from riverrun.drivers.statement import Database
from riverrun.runtime.scope import Cause, Scope
from riverrun.runtime.service import Service, ServiceState, ServiceStopped
from tests.contract.services import SERVICE_FACTORIES, ServiceFactory


@pytest.fixture(params=SERVICE_FACTORIES, ids=[make.__name__ for make in SERVICE_FACTORIES])
def service(request: pytest.FixtureRequest, db: Database) -> Service:
    make: ServiceFactory = request.param
    return make(db)


async def test_S_001_stop_before_start_does_nothing(service: Service) -> None:
    await service.stop()
    await service.start()
    assert service.state is ServiceState.RUNNING
    await service.stop()


async def test_S_002_all_stops_return_after_the_one_end(service: Service) -> None:
    run = await service.start()
    await asyncio.gather(service.stop(), service.stop())
    await service.stop()
    assert run.stopped.is_set()
    assert service.state is ServiceState.IDLE


async def test_S_003_handles_taken_while_idle_fire(service: Service) -> None:
    started, stopped = service.started, service.stopped
    await service.start()
    assert started.is_set()
    assert not stopped.is_set()
    await service.stop()
    assert stopped.is_set()


async def test_it_can_be_started_three_times(service: Service) -> None:
    generations: list[int] = []
    for _ in range(3):
        generations.append((await service.start()).generation)
        await service.stop()
    assert generations == [1, 2, 3]


async def test_starting_twice_at_once_makes_one_run(service: Service) -> None:
    first, second = await asyncio.gather(service.start(), service.start())
    assert first is second
    assert await service.start() is first
    await service.stop()


async def test_stopping_while_it_starts_ends_both(service: Service) -> None:
    starting = asyncio.create_task(service.start())
    stopping = asyncio.create_task(service.stop())  # runs when `starting` has begun
    await asyncio.wait({starting, stopping})
    assert isinstance(starting.exception(), ServiceStopped | None)
    assert stopping.exception() is None
    assert service.state is ServiceState.IDLE


async def test_S_021_a_cancelled_scope_starts_nothing(service: Service) -> None:
    scope = Scope()
    scope.cancel(Cause.STOP)
    with pytest.raises(ServiceStopped, match="its scope is over"):
        await service.start(scope)
    assert service.current_run is None


async def test_it_ends_with_the_scope_around_it_and_leaves_no_task(service: Service) -> None:
    scope = Scope()
    before = asyncio.all_tasks()
    run = await service.start(scope)
    scope.cancel(Cause.LEADERSHIP_LOST)
    await run.stopped.wait()
    assert run.scope.cause is Cause.LEADERSHIP_LOST
    assert run.error is None
    assert asyncio.all_tasks() <= before


async def test_S_004_any_order_of_starts_and_stops_ends_idle(service: Service) -> None:
    async def rounds(first: int) -> None:
        for index in range(first, first + 6):
            if index % 2:
                await service.stop()
            else:
                await asyncio.gather(service.start(), return_exceptions=True)

    async with asyncio.timeout(20):
        await asyncio.gather(*(rounds(first) for first in range(4)))
        await service.stop()
    assert service.state is ServiceState.IDLE
