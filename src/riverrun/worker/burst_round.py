"""The jobs of one transaction of a burst: which still run, and how the others have ended."""

import asyncio
from datetime import datetime

from riverrun.model.job import JobRow
from riverrun.model.lifecycle import SUCCESS
from riverrun.worker.completer import Completion


class BurstRound:
    """From the first job that begins until the transaction has been committed, or is lost."""

    def __init__(self, previous: "BurstRound | None" = None) -> None:
        self.under_way = asyncio.Event()
        """Its jobs have begun, or never will."""
        self.done = asyncio.Event()
        """Committed or lost."""
        self.leaves_some = False
        """Whether it has locked more than it has begun, which the next round cannot have meanwhile."""
        self._previous = previous
        self.begun: list[JobRow] = []
        self.completed: list[Completion] = []
        """Plain successes, written together with the claim."""
        self.others: list[Completion] = []
        """What the completer is to write once the claim has been."""
        self.running: list[JobRow] = []
        """Those that were not completed in time: ordinary attempts from the commit on."""
        self.completed_at: datetime | None = None
        self._running: dict[int, JobRow] = {}
        self._settled = False
        self._over = asyncio.Event()

    def begin(self, row: JobRow) -> None:
        """The attempt at a job begins."""
        self.begun.append(row)
        self._running[row.id] = row

    def take(self, completion: Completion) -> bool:
        """Take over an outcome; false if it is none of this round's.

        A job may be in two rounds: the server has freed it from the first, which has not heard of that.
        """
        row = completion.row
        if self._running.get(row.id) is not row:
            return False
        del self._running[row.id]
        plain = completion.update is SUCCESS and not self._settled
        (self.completed if plain else self.others).append(completion)
        if not self._running:
            self._over.set()
        return True

    async def wait(self, seconds: float) -> None:
        """Return once no job runs any more, or after so many seconds."""
        if not self._running:
            return
        self._over.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return

    async def settle(self) -> None:
        """Wait for the round before; then on nothing is completed in time any more."""
        if self._previous is not None:
            await self._previous.done.wait()
        self._settled = True
        completed = {completion.row.id for completion in self.completed}
        self.running = [row for row in self.begun if row.id not in completed]

    def end(self) -> None:
        """All of it is over, in whatever way."""
        self._previous = None
        self.under_way.set()
        self.done.set()
