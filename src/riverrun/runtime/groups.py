"""Several services at once: started in order, stopped together or in turn."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence

from riverrun.runtime.scope import Cause, Scope
from riverrun.runtime.service import Service

logger = logging.getLogger(__name__)


async def start_all(services: Sequence[Service], scope: Scope | None = None) -> None:
    """Start in order; if one fails, stop those already up and raise its error."""
    for index, service in enumerate(services):
        try:
            await service.start(scope)
        except BaseException as error:
            error.add_note(f"while {service.name} was started")
            await _stop_quietly(services[: index + 1])
            raise


async def stop_all(
    services: Sequence[Service],
    cause: Cause = Cause.STOP,
    *,
    timeout: float | None = None,  # noqa: ASYNC109
) -> None:
    """Stop all at the same time and wait for each; then raise, as a group, what went wrong."""
    stops = (service.stop(cause, timeout=timeout) for service in services)
    results = await asyncio.gather(*stops, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if errors:
        raise BaseExceptionGroup("some services did not stop", errors)


async def wait_all_started(services: Sequence[Service]) -> None:
    """Return once each has started, or has ended without."""
    for service in services:
        await service.started.wait()


@contextlib.asynccontextmanager
async def running(
    services: Sequence[Service], scope: Scope | None = None
) -> AsyncGenerator[None, None]:
    """Start in order; stop in turn, last first, however the block ends."""
    begun: list[Service] = []
    cause = Cause.STOP
    try:
        for service in services:
            begun.append(service)
            await service.start(scope)
        yield
    except asyncio.CancelledError:
        cause = Cause.CANCELLED
        raise
    finally:
        await stop_in_turn(begun, cause)


async def stop_in_turn(services: Sequence[Service], cause: Cause = Cause.STOP) -> None:
    """Stop one after the other, last first; what one raises keeps no other from being stopped."""
    async with contextlib.AsyncExitStack() as stack:
        for service in services:
            stack.push_async_callback(service.stop, cause)


class Together(Service):
    """Services that are one: started in order, stopped at the same time.

    When one of them dies, all are stopped, and `wait` raises its error.
    """

    def __init__(self, services: Sequence[Service], *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.services = tuple(services)

    @property
    def quarantined(self) -> int:
        return super().quarantined + sum(service.quarantined for service in self.services)

    async def run(self) -> None:
        await start_all(self.services, self.scope)
        for service in self.services:
            self.spawn(service.wait(), name=f"{self.name}: watch {service.name}")
        self.ready()
        await self.stopping.wait()
        await stop_all(self.services, self.scope.cause or Cause.STOP)


async def _stop_quietly(services: Sequence[Service]) -> None:
    """Stop after a failure, which is what the caller is to hear about."""
    try:
        await stop_all(services)
    except Exception:
        logger.exception("stopping after a failed start failed too")
