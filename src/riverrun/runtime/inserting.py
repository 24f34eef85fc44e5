"""The port through which periodic jobs are inserted: what to insert, and who does it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from riverrun.drivers.statement import Script
from riverrun.model.insert import InsertOptions


@dataclass(frozen=True, slots=True)
class PeriodicInsert:
    """One firing of a periodic job: what it makes, and when it was planned for."""

    args: object
    options: InsertOptions
    scheduled_at: datetime
    periodic_id: str | None = None


class JobInserter(Protocol):
    """The client's normal pipeline: hooks, middleware, uniqueness, notifications."""

    async def insert_periodic(
        self, jobs: Sequence[PeriodicInsert], run: Callable[[Script[Any]], Awaitable[Any]]
    ) -> int:
        """Insert them all in the one transaction that `run` opens; how many rows are new."""
        ...
