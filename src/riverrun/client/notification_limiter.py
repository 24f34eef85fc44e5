"""At most one insert notification for each queue in a while, and none lost for it.

One notification wakes a worker for however many jobs there are, and each one costs PostgreSQL a lock
at commit. So a client sends the first at once and holds back what follows within the cooldown; what
was held back is sent as one more at its end, by which time the jobs are there to be fetched.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

from riverrun.model.errors import RiverError

logger = logging.getLogger("riverrun.client")


class _Cooldowns:
    """When a notification was last sent for each queue; the cooldown is in seconds."""

    def __init__(self, cooldown: float) -> None:
        self._cooldown = cooldown
        self._sent: dict[str, float] = {}

    def allows(self, queue: str) -> bool:
        """Whether a notification may be sent now; asking uses it up."""
        if self._rest(queue) > 0:
            return False
        self._sent[queue] = time.monotonic()
        return True

    def _rest(self, queue: str) -> float:
        return self._sent.get(queue, float("-inf")) + self._cooldown - time.monotonic()


class NotificationLimiter(_Cooldowns):
    """One for a client."""

    def __init__(self, cooldown: float, send: Callable[[str], Awaitable[None]]) -> None:
        super().__init__(cooldown)
        self._send = send
        self._owed: dict[str, asyncio.Task[None]] = {}

    def allows_or_owes(self, queue: str) -> bool:
        """The same, but what may not be sent now is sent by itself when the cooldown is over."""
        if self.allows(queue):
            return True
        owed = self._owed.get(queue)
        if owed is None or owed.done():  # it is, if somebody cancelled all tasks
            self._owed[queue] = asyncio.create_task(self._pay(queue))
        return False

    async def close(self) -> None:
        """Forget what is owed: the workers' own polling finds the jobs."""
        owed, self._owed = self._owed, {}
        for task in owed.values():
            task.cancel()
        await asyncio.gather(*owed.values(), return_exceptions=True)

    async def _pay(self, queue: str) -> None:
        await asyncio.sleep(max(self._rest(queue), 0))
        self._owed.pop(queue, None)
        self._sent[queue] = time.monotonic()
        with _only_warning(queue):
            await self._send(queue)


class SyncNotificationLimiter(_Cooldowns):
    """The same for any number of threads; each debt is a timer, on a thread that holds up nobody.

    Where threads cannot be started, as late in a program's life, nothing is held back.
    """

    def __init__(self, cooldown: float, send: Callable[[str], object]) -> None:
        super().__init__(cooldown)
        self._send = send
        self._lock = threading.Lock()
        self._owed: dict[str, threading.Timer] = {}

    def allows_or_owes(self, queue: str) -> bool:
        """Whether a notification may be sent now; if not, it is sent when the cooldown is over."""
        with self._lock:
            if self.allows(queue):
                return True
            return queue not in self._owed and not self._owe(queue)

    def close(self) -> None:
        """Send what is owed at once: a program that has inserted its jobs often ends here."""
        with self._lock:
            owed = dict(self._owed)
        for queue, timer in owed.items():
            timer.cancel()
            self._pay(queue)

    def _owe(self, queue: str) -> bool:
        timer = threading.Timer(max(self._rest(queue), 0), self._pay, [queue])
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:
            return False
        self._owed[queue] = timer
        return True

    def _pay(self, queue: str) -> None:
        with self._lock:
            if self._owed.pop(queue, None) is None:
                return
            self._sent[queue] = time.monotonic()
        with _only_warning(queue):
            self._send(queue)


@contextmanager
def _only_warning(queue: str) -> Generator[None]:
    try:
        yield
    except RiverError as error:
        logger.warning("telling the workers of queue %r failed: %s", queue, error)
