"""At most one insert notification for each queue in a while, and none lost for it.

One notification wakes a worker for however many jobs there are, and each one costs PostgreSQL a lock
at commit. So a client sends the first at once and holds back what follows within the cooldown; what
was held back is sent as one more at its end, by which time the jobs are there to be fetched.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from riverrun.model.errors import RiverError

logger = logging.getLogger("riverrun.client")


class NotificationLimiter:
    """One for a client; the cooldown is in seconds."""

    def __init__(self, cooldown: float, send: Callable[[str], Awaitable[None]]) -> None:
        self._cooldown = cooldown
        self._send = send
        self._sent: dict[str, float] = {}
        self._owed: dict[str, asyncio.Task[None]] = {}

    def allows(self, queue: str) -> bool:
        """Whether a notification may be sent now; asking uses it up."""
        if self._rest(queue) > 0:
            return False
        self._sent[queue] = time.monotonic()
        return True

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

    def _rest(self, queue: str) -> float:
        return self._sent.get(queue, float("-inf")) + self._cooldown - time.monotonic()

    async def _pay(self, queue: str) -> None:
        await asyncio.sleep(max(self._rest(queue), 0))
        self._owed.pop(queue, None)
        self._sent[queue] = time.monotonic()
        try:
            await self._send(queue)
        except RiverError as error:
            logger.warning("telling the workers of queue %r failed: %s", queue, error)
