"""Burst and sustained: jobs inserted, worked and counted.

    burst        insert all ─► start the clock and the client ─► until all are stored as completed
    sustained    insert enough ─► start ─► keep inserting ─► until told to stop

While it runs, nothing is counted that costs: the handler adds one to a number, and every two seconds
the database is asked how many jobs are left. What is reported as worked is what is stored.
"""

import asyncio
import time
from collections.abc import Coroutine, Iterator
from typing import Any

from riverrun.cli.bench_client import Benchmark, Feed, stop, working_client
from riverrun.cli.bench_database import count_unfinished
from riverrun.cli.bench_plan import Mode, Plan
from riverrun.cli.bench_report import (
    QUARTERS,
    REPORT_EVERY,
    Reading,
    Readings,
    Result,
    report,
    total_line,
)
from riverrun.cli.memory import settle_memory
from riverrun.cli.signals import StopSignals
from riverrun.drivers.statement import Database
from riverrun.worker.context import Job
from riverrun.worker.registry import Workers

ENOUGH = 75_000
"""Jobs that are kept waiting in sustained mode."""

FEED_EVERY = 0.25
LOOK_EVERY = 0.01
"""How often the end is looked for, once every handler has returned."""

MICROSECONDS = 1e6


class Working:
    """One measurement of work on one open database."""

    def __init__(self, database: Database, plan: Plan, signals: StopSignals) -> None:
        self._database = database
        self._plan = plan
        self._signals = signals
        self._client = working_client(
            database, self._workers(), plan.max_workers, in_bursts=plan.in_bursts
        )
        self._feed = Feed(self._client, signals)
        self._readings = Readings()
        self._returned = 0
        self._all_returned = asyncio.Event()

    async def run(self) -> Result:
        """Insert, work, and say how it goes and how it went."""
        await self._feed.fill(self._plan.jobs or ENOUGH)
        settle_memory()  # as `riverrun work` does
        shown = await self._read()
        used = time.process_time()
        self._readings.add(Reading(at=time.monotonic(), worked=0, inserted=0))
        report(self._readings.last, shown, 0)
        try:
            await self._client.start()
            await self._until_over(shown)
        finally:
            await stop(self._client, self._signals)
        quarters = self._readings.quarters()
        if self._readings.last.worked != self._plan.jobs:
            self._readings.add(await self._read())
        return self._result(time.process_time() - used, quarters)

    async def _until_over(self, shown: Reading) -> None:
        """Say every two seconds how it goes, until one of the things happens that end it."""
        ends = [asyncio.ensure_future(end) for end in self._ends()]
        try:
            while not any(end.done() for end in ends):
                await asyncio.wait(
                    ends, timeout=self._read_every, return_when=asyncio.FIRST_COMPLETED
                )
                reading = await self._read()
                self._readings.add(reading)
                if reading.worked == self._plan.jobs:
                    break
                if reading.at - shown.at >= REPORT_EVERY:
                    report(shown, reading, reading.at - shown.at)
                    shown = reading
        finally:
            await self._end(ends)

    @property
    def _read_every(self) -> float:
        """Seconds between readings: there must be one for each quarter."""
        return min(REPORT_EVERY, (self._plan.seconds or REPORT_EVERY * QUARTERS) / QUARTERS)

    def _ends(self) -> Iterator[Coroutine[Any, Any, Any]]:
        """What goes on until it is over, and what ends it."""
        yield self._keep_fed() if self._plan.mode is Mode.SUSTAINED else self._until_all_stored()
        yield self._signals.first.wait()
        yield self._client.wait()
        if self._plan.seconds is not None:
            yield asyncio.sleep(self._plan.seconds)

    async def _end(self, ends: list["asyncio.Task[Any]"]) -> None:
        """Drop those that go on, and raise what one of them failed with."""
        async with self._feed.between_inserts:
            for end in ends:
                end.cancel()
        await asyncio.wait(ends)
        for end in ends:
            if not end.cancelled():
                end.result()

    async def _until_all_stored(self) -> None:
        await self._all_returned.wait()
        while True:
            if not await count_unfinished(self._database):
                return
            await asyncio.sleep(LOOK_EVERY)

    async def _keep_fed(self) -> None:
        """Keep enough jobs waiting."""
        while True:
            await self._feed.fill(self._returned + ENOUGH)
            await asyncio.sleep(FEED_EVERY)

    async def _read(self) -> Reading:
        """What is inserted and not waiting any more is worked."""
        async with self._feed.between_inserts:
            left = await count_unfinished(self._database)
            inserted = self._feed.inserted
            return Reading(at=time.monotonic(), worked=inserted - left, inserted=inserted)

    def _result(self, cpu_seconds: float, quarters: list[float]) -> Result:
        """`quarters` are without the end, in which nothing is fetched any more."""
        readings = self._readings
        figures: dict[str, Any] = {
            "jobs_per_second": round(readings.rate, 1),
            "worked": readings.last.worked,
            "inserted": readings.last.inserted,
            "seconds": round(readings.seconds, 3),
            "max_workers": self._plan.max_workers,
            "cpu_us_per_job": round(cpu_seconds * MICROSECONDS / max(1, readings.last.worked), 1),
        }
        if self._plan.mode is Mode.BURST:
            return Result(lines=[total_line(readings)], figures=figures)
        figures["quarters"] = [round(rate, 1) for rate in quarters]
        shown = " ".join(f"{rate:10.1f}" for rate in figures["quarters"])
        return Result(
            lines=[f"bench: job/sec by quarter [ {shown} ]", total_line(readings)], figures=figures
        )

    def _workers(self) -> Workers:
        workers = Workers()

        @workers.work(Benchmark)
        async def count(_job: Job[Benchmark]) -> None:
            self._returned += 1
            if self._returned == self._plan.jobs:
                self._all_returned.set()

        return workers
