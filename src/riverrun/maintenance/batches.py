"""Maintenance in batches: never more rows at once than the database can do in time.

A round of a `BatchedService` is one statement on at most `breaker.size` rows. While rounds come back
full the next follows after a short pause, so that others get their turn; then the service rests for
its interval. Three statements in a row that ran out of time trip the breaker, and batches stay small
for as long as the process lives: what was too slow once will be again.
"""

import logging
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import random as _random

from riverrun.model.errors import StatementTimeoutError
from riverrun.runtime.clock import Clock
from riverrun.runtime.service import PeriodicService

logger = logging.getLogger("riverrun.maintenance")

FULL_SIZE = 10_000
REDUCED_SIZE = 1_000

TRIPPING_TIMEOUTS = 3
"""So many in a row, ..."""
TRIPPING_WINDOW = 600.0
"""... within so many seconds, trip the breaker."""

SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds between two batches, drawn anew each time, so that clients do not fall into step."""


class BatchBreaker:
    """How many rows a batch may have. One for each kind of service, for the life of the process.

    Example:
        >>> from riverrun.runtime.clock import ManualClock
        >>> breaker = BatchBreaker(ManualClock())
        >>> for _ in range(3):
        ...     breaker.timed_out()
        >>> breaker.size
        1000
    """

    def __init__(self, clock: Clock, *, full: int = FULL_SIZE, reduced: int = REDUCED_SIZE) -> None:
        self._clock = clock
        self._full = full
        self._reduced = reduced
        self._timeouts: deque[float] = deque(maxlen=TRIPPING_TIMEOUTS)
        self.tripped = False

    @property
    def size(self) -> int:
        return self._reduced if self.tripped else self._full

    def succeeded(self) -> None:
        """A batch was done in time: the count begins anew."""
        self._timeouts.clear()

    def timed_out(self) -> None:
        """A batch ran out of time. Other errors say nothing about its size and are not told."""
        now = self._clock.monotonic()
        self._timeouts.append(now)
        is_full = len(self._timeouts) == TRIPPING_TIMEOUTS
        if is_full and now - self._timeouts[0] <= TRIPPING_WINDOW:
            self.tripped = True


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of one batch: how many rows it handled, and whether there may be more."""

    handled: int
    limit: int

    @property
    def is_full(self) -> bool:
        return self.handled >= self.limit


class BatchedService(PeriodicService):
    """Writes `batch`, and says how often in `interval` and what it does to rows in `done`.

    A batch that fails is logged and tried again soon, as every `PeriodicService` does it.
    """

    stop_grace = 1.0
    done = "done"
    """What happened to the rows, for the log."""

    def __init__(
        self,
        clock: Clock,
        breaker: BatchBreaker | None,
        *,
        interval: float,
        random: Callable[[], float] = _random,
    ) -> None:
        super().__init__(clock, random=random)
        self.breaker = breaker or BatchBreaker(clock)
        self.interval = interval
        self._draw = random
        self._handled = 0

    @abstractmethod
    async def batch(self, limit: int) -> int:
        """Handle at most `limit` rows; how many it were."""

    async def tick(self) -> float:
        batch = await self._within_breaker()
        self._handled += batch.handled
        if batch.is_full:
            return SHORTEST_PAUSE + (LONGEST_PAUSE - SHORTEST_PAUSE) * self._draw()
        self._finish_pass()
        return self.interval

    async def _within_breaker(self) -> Batch:
        limit = self.breaker.size
        try:
            handled = await self.batch(limit)
        except StatementTimeoutError:
            self._timed_out()
            raise
        self.breaker.succeeded()
        return Batch(handled, limit)

    def _timed_out(self) -> None:
        tripped_before = self.breaker.tripped
        self.breaker.timed_out()
        if self.breaker.tripped and not tripped_before:
            logger.warning(
                "%s: batches shrink to %d rows, as %d in a row timed out",
                self.name, self.breaker.size, TRIPPING_TIMEOUTS,
            )  # fmt: skip

    def _finish_pass(self) -> None:
        handled, self._handled = self._handled, 0
        if handled:
            logger.info("%s: Ran successfully: %d %s", self.name, handled, self.done)
