"""Time, as one object that tests and users can replace.

What is due is decided by the database's clock, never by ours: statements take `now_or_none()`, which
is None in production and the moved time under a `ManualClock`. The local clock is good for three
things only: labels (`now`), measuring how long something took (`monotonic`), and pausing.
"""

import asyncio
import contextlib
import itertools
import sys
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Protocol

_BOOT_CLOCK: int | None = getattr(
    time, "CLOCK_MONOTONIC" if sys.platform == "darwin" else "CLOCK_BOOTTIME", None
)
"""Counts the time spent suspended too: the first does so on macOS, the second on Linux."""


class Clock(Protocol):
    """What a service may ask about time."""

    def now_or_none(self) -> datetime | None:
        """The time to give to a statement; None lets the database's clock decide."""
        ...

    def now(self) -> datetime:
        """The time of day, in UTC, for labels and keys."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment: never set back, and going on while the machine sleeps."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; always lets others run first."""
        ...

    async def wait_for_event(self, event: asyncio.Event, seconds: float) -> bool:
        """Return once `event` is set or `seconds` have passed; whether it is set."""
        ...


class SystemClock:
    """The clock of the machine.

    `asyncio` sleeps stand still while the machine is suspended, so a pause may end late; whoever must
    know how much time really passed asks `monotonic`.
    """

    def now_or_none(self) -> datetime | None:
        return None

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return _boot_time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait_for_event(self, event: asyncio.Event, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
        return event.is_set()


def _boot_time() -> float:
    """Seconds since boot, those spent suspended included."""
    return _leaping() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)


class LeapingClock:
    """`monotonic` where it may stand still during a suspension: it leaps as far as the time of day does.

    Somebody may have set that instead; then a lease is trusted for too short a time, never too long.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        time_of_day: Callable[[], float] = time.time,
    ) -> None:
        self._monotonic, self._time_of_day = monotonic, time_of_day
        self._last = monotonic(), time_of_day()
        self._leapt = 0.0

    def __call__(self) -> float:
        before, now = self._last, (self._monotonic(), self._time_of_day())
        self._last = now
        ahead = (now[1] - before[1]) - (now[0] - before[0])
        if ahead > SMALLEST_LEAP:
            self._leapt += ahead
        return now[0] + self._leapt


SMALLEST_LEAP = 1.0
_leaping = LeapingClock()


class ManualClock:
    """A clock that moves only when told to.

    `advance` moves it and wakes the sleepers whose time has come, the earliest first. They run when
    the caller next awaits, and all of them see the time after the move. To be sure that a service is
    already in its pause, await `sleeping()` before moving.

        clock = ManualClock()
        await clock.sleeping()
        clock.advance(minutes=5)
    """

    def __init__(self, now: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._start = now.astimezone(UTC)
        self._elapsed = timedelta(0)
        self._order = itertools.count()
        self._sleepers: dict[tuple[timedelta, int], Callable[[], None]] = {}
        self._fell_asleep = asyncio.Event()

    def now_or_none(self) -> datetime | None:
        return self.now()

    def now(self) -> datetime:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed.total_seconds()

    def advance(self, by: timedelta | float = 0, **units: float) -> None:
        """Move on by a duration, by seconds, or by `days=`, `hours=` and so on."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        self._elapsed += step + timedelta(**units)
        for due in sorted(key for key in self._sleepers if key[0] <= self._elapsed):
            self._sleepers.pop(due)()

    def until_next(self) -> float | None:
        """Seconds to move until the next sleeper wakes; None when nobody sleeps."""
        due = min(self._sleepers, default=None)
        return None if due is None else (due[0] - self._elapsed).total_seconds()

    async def sleeping(self, count: int = 1) -> None:
        """Return once at least `count` sleepers wait for this clock."""
        while len(self._sleepers) < count:
            self._fell_asleep.clear()
            await self._fell_asleep.wait()

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
        else:
            await self.wait_for_event(asyncio.Event(), seconds)

    async def wait_for_event(self, event: asyncio.Event, seconds: float) -> bool:
        try:
            async with asyncio.timeout(None if seconds > 0 else 0) as limit:
                with self._asleep(seconds, wake=lambda: limit.reschedule(0)):
                    await event.wait()
        except TimeoutError:
            pass
        return event.is_set()

    @contextlib.contextmanager
    def _asleep(self, seconds: float, *, wake: Callable[[], None]) -> Generator[None, None, None]:
        """Have `wake` called once the clock has moved on by `seconds` within the block."""
        key = (self._due(seconds), next(self._order))
        self._sleepers[key] = wake
        self._fell_asleep.set()
        try:
            yield
        finally:
            self._sleepers.pop(key, None)

    def _due(self, seconds: float) -> timedelta:
        try:
            return self._elapsed + timedelta(seconds=seconds)
        except OverflowError:
            return timedelta.max
