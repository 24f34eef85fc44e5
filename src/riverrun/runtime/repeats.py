"""Remembers failures, so that one that comes again and again is told in a line and not in a traceback."""

from dataclasses import dataclass
from datetime import datetime

from riverrun.runtime.clock import Clock

FORGOTTEN_AFTER = 3600.0
"""Seconds without it after which a failure counts as new."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """One failure; its text says how often it has come, nothing the first time."""

    error: str
    count: int
    since: datetime
    seen: float

    @property
    def is_new(self) -> bool:
        return self.count == 1

    def __str__(self) -> str:
        return "" if self.is_new else f" (number {self.count} since {self.since:%Y-%m-%d %H:%M:%S})"


class Repeats:
    """The last failure of each thing, by the thing's name; it outlives the terms of a client."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: dict[str, Repeat] = {}

    def note(self, name: str, error: str) -> Repeat:
        """It has failed with this; the same failure as before is counted on."""
        now, last = self._clock.monotonic(), self._last.get(name)
        if last is None or last.error != error or now - last.seen > FORGOTTEN_AFTER:
            repeat = Repeat(error, 1, self._clock.now(), now)
        else:
            repeat = Repeat(error, last.count + 1, last.since, now)
        self._last[name] = repeat
        return repeat


def is_milestone(count: int) -> bool:
    """Whether to say once more that something has happened `count` times: 1, 2, 4, 8, ..."""
    return count & (count - 1) == 0
