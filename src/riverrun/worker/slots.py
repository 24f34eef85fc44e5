"""The slots of one queue: which attempts are under way, and how many more may begin.

    take ─► running ──────────────────────────► free
               │ late                            ▲
               ▼                                 │
             stuck ─► (a handler says so) release ┘  the attempt runs on, without a slot

A slot is free once, however an attempt that was stuck and its release come together.
"""

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

from riverrun.worker.attempt import Attempt


class JobCounts(NamedTuple):
    """Attempts that have ended since the last count, that run, and that are stuck."""

    ran: int = 0
    running: int = 0
    stuck: int = 0


class Slots:
    """`limit` attempts may hold one at a time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._attempts: dict[int, Attempt] = {}
        self._slotless: set[int] = set()
        self._stuck: set[int] = set()
        self._ran = 0
        self._empty = asyncio.Event()

    def __len__(self) -> int:
        """How many attempts are under way, with a slot or without."""
        return len(self._attempts)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(list(self._attempts.values()))

    @property
    def free(self) -> int:
        """How many more attempts may begin."""
        return self._limit - len(self._attempts) + len(self._slotless)

    @property
    def ids(self) -> list[int]:
        """The jobs whose attempts are under way."""
        return list(self._attempts)

    def get(self, job_id: int) -> Attempt | None:
        """The attempt at a job that is under way; None if there is none."""
        return self._attempts.get(job_id)

    def take(self, attempt: Attempt) -> None:
        """The attempt begins."""
        self._attempts[attempt.row.id] = attempt

    def end(self, attempt: Attempt) -> bool:
        """The attempt is over; false if nobody waits for it any more."""
        if (
            self._attempts.get(attempt.row.id) is not attempt
        ):  # `_holds`, which every job would call
            return False
        self._ran += 1
        self._forget(attempt.row.id)
        return True

    def drop(self, attempt: Attempt) -> None:
        """Wait no longer for the attempt; nothing it says counts from now on."""
        if self._holds(attempt):
            self._forget(attempt.row.id)

    def stuck(self, attempt: Attempt) -> None:
        """The attempt runs on though it should long have ended."""
        if self._holds(attempt):
            self._stuck.add(attempt.row.id)

    def unstuck(self, attempt: Attempt) -> None:
        """It ends after all."""
        if self._holds(attempt):
            self._stuck.discard(attempt.row.id)

    def release(self, attempt: Attempt) -> bool:
        """Let another attempt run beside this one; false if its slot is free already."""
        if not self._holds(attempt) or attempt.row.id in self._slotless:
            return False
        self._slotless.add(attempt.row.id)
        return True

    def count(self) -> JobCounts:
        """How many there are, those that ended since the last call."""
        ran, self._ran = self._ran, 0
        return JobCounts(ran, len(self._attempts), len(self._stuck))

    async def wait_empty(self) -> None:
        """Return once no attempt is under way."""
        while self._attempts:
            self._empty.clear()
            await self._empty.wait()

    def _holds(self, attempt: Attempt) -> bool:
        return self._attempts.get(attempt.row.id) is attempt

    def _forget(self, job_id: int) -> None:
        del self._attempts[job_id]
        if self._stuck or self._slotless:
            self._slotless.discard(job_id)
            self._stuck.discard(job_id)
        if not self._attempts:
            self._empty.set()
