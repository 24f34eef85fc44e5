"""Clocks of one simulated client: they go with the loop's virtual time, each in its own way.

clock = SimClock(loop, rate=1.03, wall=3600.0)
clock.monotonic()      # the boot clock: counts suspended time too, a little fast by `rate`
clock.now()            # time of day: `step` and `set_wall` set it, as NTP would; nothing else sees that
"""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2030, 1, 1, tzinfo=UTC)


class SimClock:
    """Implements `riverrun.runtime.clock.Clock`; `rate` is its seconds for one true second."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        rate: float = 1.0,
        boot: float = 1000.0,
        wall: float = 0.0,
    ) -> None:
        self._loop = loop
        self._rate = rate
        self._boot = boot
        self._wall = wall

    def step(self, seconds: float) -> None:
        """Set the time of day."""
        self._wall += seconds

    def set_wall(self, seconds: float) -> None:
        """How far the time of day is from the true one, its rate aside."""
        self._wall = seconds

    def now_or_none(self) -> datetime | None:
        return None

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.time() * self._rate + self._wall)

    def monotonic(self) -> float:
        return self._boot + self._loop.time() * self._rate

    async def sleep(self, seconds: float) -> None:
        await sleep(seconds / self._rate)

    async def wait_for_event(self, event: asyncio.Event, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds / self._rate):
                await event.wait()
        except TimeoutError:
            pass
        return event.is_set()


async def sleep(seconds: float) -> None:
    """Virtual seconds, which take no time."""
    await asyncio.sleep(seconds)  # noqa: TID251 - on a virtual loop


async def ignore_cancellation(seconds: float) -> None:
    """So many virtual seconds, whatever happens; the loop is told who does that."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    deaf: set[Any] = getattr(loop, "deaf", set())
    end = loop.time() + seconds
    deaf.add(task)
    try:
        while loop.time() < end:
            with contextlib.suppress(asyncio.CancelledError):
                await sleep(end - loop.time())
    finally:
        deaf.discard(task)
