"""The jobs that are measured, the clients that work them, and their inserts.

The settings are those of River's own benchmark.
"""

import asyncio
from datetime import timedelta
from typing import ClassVar

import msgspec

from riverrun.cli.signals import StopSignals
from riverrun.client.client import Client
from riverrun.drivers.statement import Database
from riverrun.model.errors import RiverError
from riverrun.model.queue import QueueConfig
from riverrun.worker.registry import Workers

BATCH = 5000
FETCH_COOLDOWN = timedelta(milliseconds=2)
FETCH_POLL_INTERVAL = timedelta(milliseconds=20)


class Benchmark(msgspec.Struct, frozen=True):
    """The args of the jobs that are measured, those of River's own."""

    kind: ClassVar[str] = "benchmark"
    num: int


def working_client(
    database: Database, workers: Workers, max_workers: int, *, in_bursts: bool = False
) -> Client:
    """A client that is quick to fetch."""
    return Client(
        database,
        workers=workers,
        queues={"default": QueueConfig(max_workers=max_workers, burst=in_bursts)},
        fetch_cooldown=FETCH_COOLDOWN,
        fetch_poll_interval=FETCH_POLL_INTERVAL,
    )


async def stop(client: Client, signals: StopSignals) -> None:
    """Let running jobs end, and their outcomes be written; a second signal cancels them."""
    stopping = asyncio.ensure_future(client.stop())
    second = asyncio.ensure_future(signals.second.wait())
    await asyncio.wait({stopping, second}, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        await client.stop(soft=0)
    second.cancel()
    if left := await stopping:
        raise RiverError(f"{left} jobs did not end")


class Feed:
    """Inserts jobs in batches and counts them.

    Nothing is read or stopped in the middle of an insert, or nobody would know how much there is.
    """

    def __init__(self, client: Client, signals: StopSignals) -> None:
        self._client = client
        self._signals = signals
        self.inserted = 0
        self.between_inserts = asyncio.Lock()

    async def fill(self, total: int) -> None:
        """Insert until there have been `total` jobs, or until told to stop."""
        while self.inserted < total and not self._signals.first.is_set():
            numbers = range(self.inserted, min(self.inserted + BATCH, total))
            jobs = [Benchmark(number) for number in numbers]
            async with self.between_inserts:
                self.inserted += await self._client.insert_many_fast(jobs)
