"""Insert: how many jobs a second go in, one at a time and many at once. Nobody works them."""

import time
from collections.abc import AsyncIterator
from typing import Any

from riverrun.cli.bench_client import Benchmark
from riverrun.cli.bench_plan import Plan
from riverrun.cli.bench_report import Progress, Result
from riverrun.cli.signals import StopSignals
from riverrun.client.client import Client
from riverrun.drivers.statement import Database

MANY = 1000
"""Jobs of one call of `insert_many` and `insert_many_fast`."""


class Inserts:
    """One measurement of inserts on one open database."""

    def __init__(self, database: Database, plan: Plan, signals: StopSignals) -> None:
        self._client = Client(database)
        self._total = plan.jobs or MANY
        self._signals = signals

    async def run(self) -> Result:
        """Insert the same number of jobs in each way, one way after the other."""
        ways = {
            "insert": self._single(),
            "insert_many": self._many(),
            "insert_many_fast": self._many_fast(),
        }
        try:
            rates = {name: round(await self._rate(name, way), 1) for name, way in ways.items()}
        finally:
            await self._client.close()
        lines = [f"bench: {name:<16} job/sec [ {rate:10.1f} ]" for name, rate in rates.items()]
        figures: dict[str, Any] = {"jobs_per_second": max(rates.values())}
        figures |= {f"{name}_per_second": rate for name, rate in rates.items()}
        return Result(lines=lines, figures=figures | {"jobs": self._total, "batch": MANY})

    async def _rate(self, name: str, way: AsyncIterator[int]) -> float:
        """Go one way, showing how it goes; each step says how many it has inserted."""
        progress = Progress(f"{name} inserted", self._total)
        started, inserted = time.monotonic(), 0
        async for count in way:
            inserted += count
            progress.show(inserted)
            if self._signals.first.is_set():
                break
        return inserted / (time.monotonic() - started)

    async def _single(self) -> AsyncIterator[int]:
        for number in range(self._total):
            await self._client.insert(Benchmark(number))
            yield 1

    async def _many(self) -> AsyncIterator[int]:
        for numbers in self._batches():
            yield len(await self._client.insert_many(map(Benchmark, numbers)))

    async def _many_fast(self) -> AsyncIterator[int]:
        for numbers in self._batches():
            yield await self._client.insert_many_fast(map(Benchmark, numbers))

    def _batches(self) -> list[range]:
        return [
            range(first, min(first + MANY, self._total)) for first in range(0, self._total, MANY)
        ]
