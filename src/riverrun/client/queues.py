"""`client.queues`: look at queues, pause and resume them."""

from typing import Protocol

from riverrun.client.asking import Asking
from riverrun.model.errors import NotFoundError
from riverrun.model.queue import QueueRow
from riverrun.runtime.clock import Clock


class PausedHere(Protocol):
    """Tells the producers of this process at once; the others hear of it."""

    def __call__(self, queue: str, *, paused: bool) -> None: ...


class Queues:
    """Every method takes `tx=`: a connection of the caller's, in whose transaction it happens."""

    def __init__(self, asking: Asking, clock: Clock, paused: PausedHere) -> None:
        self._asking = asking
        self._clock = clock
        self._paused = paused

    async def get(self, name: str, *, tx: object | None = None) -> QueueRow:
        """The queue; raises `NotFoundError` if no client has served it lately."""
        queue = await self._asking.ask(lambda ops: ops.queues.get(name), tx)
        if queue is None:
            raise _unknown(name)
        return queue

    async def list(self, *, limit: int = 100, tx: object | None = None) -> list[QueueRow]:
        """The queues on record, by name."""
        return await self._asking.ask(lambda ops: ops.queues.list(limit), tx)

    async def pause(self, name: str, *, tx: object | None = None) -> None:
        """Stop fetching from the queue, on every client, or from all with "*"; raises `NotFoundError`."""
        now = self._clock.now_or_none()
        if not await self._asking.ask_all(lambda ops: ops.queues.pause(name, now=now), tx):
            raise _unknown(name)
        if tx is None:
            self._paused(name, paused=True)

    async def resume(self, name: str, *, tx: object | None = None) -> None:
        """Fetch from the queue again, or from all with "*"; raises `NotFoundError`."""
        now = self._clock.now_or_none()
        if not await self._asking.ask_all(lambda ops: ops.queues.resume(name, now=now), tx):
            raise _unknown(name)
        if tx is None:
            self._paused(name, paused=False)


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"queue {name!r} does not exist; a queue is known once a client serves it")
